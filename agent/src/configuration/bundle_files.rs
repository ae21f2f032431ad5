//! What is kept of bundles in the data folder: the last good one, the next one, and what became of others.
//! (`last_good` keeps the files of people.)
//!
//! | file | holds |
//! | --- | --- |
//! | `bundle.good` | the last one that proved itself, byte for byte; booted with, replaced by a better one |
//! | `bundle.good.new` | the next one, staged: it is tried only once the disk holds it, and becomes the good one by its name |
//! | `bundle.good.damaged-TIME` | one that the disk no longer had as it was written; the newest two are left for whoever wants to look |
//! | `bundle.state` | the highest version that was in force, what was refused and why, and how often a bundle was tried |
//!
//! Each is written beside its place as `.new`, synced, and renamed into it.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tilth_config::bundle::{self, Bundle, MAX_VERSION, TrustedKey};
use tilth_config::plain_file;
use tilth_core::id::Id;

use crate::store::put_aside;

const GOOD: &str = "bundle.good";
const STATE: &str = "bundle.state";

/// They are copies of what people wrote, who may have written more than they should.
const OWNER_ONLY: u32 = 0o600;

/// The files.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    folder: PathBuf,
}

/// What is remembered beside the last good one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The highest version that was in force. An older one is refused, also where the last good one is lost.
    #[serde(default)]
    pub(crate) highest: u64,
    /// The last one that was refused. It is not looked at again.
    #[serde(default)]
    pub(crate) refused: Option<Refused>,
    /// One that was applied and has not become good yet.
    #[serde(default)]
    pub(crate) trial: Option<Trial>,
}

/// A bundle that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// SHA-256 of its bytes.
    pub(crate) hash: String,
    /// The name of the key that was trusted then.
    #[serde(default)]
    pub(crate) trusted: String,
    pub(crate) version: Option<u64>,
    pub(crate) reason: String,
}

/// A bundle that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// SHA-256 of its bytes.
    pub(crate) hash: String,
    pub(crate) times: u32,
}

/// Why the last good one is not in force, in words.
#[derive(Debug)]
pub(crate) enum NotGood {
    /// The disk no longer has what was written.
    Damaged(String),
    /// It is whole; what is in its way may be mended.
    Unusable(String),
    /// It is whole, and does not go with `agent.toml`: the version, and every problem.
    Unfit(u64, Vec<String>),
    /// One was in force, and there is none any more.
    Gone,
}

impl Kept {
    pub(crate) fn new(data: &Path) -> Kept {
        Kept { folder: data.to_owned() }
    }

    /// The last good one; nothing where there is none.
    ///
    /// # Errors
    /// Why there is none to begin with.
    pub(crate) fn good(&self, key: &TrustedKey, client: &Id, device: &Id) -> Result<Option<Bundle>, NotGood> {
        let Some(bytes) = read(&self.folder.join(GOOD))? else { return Ok(None) };
        bundle::verify(&bytes, key, client, device).map(Some).map_err(|error| {
            let why = error.to_string();
            if error.is_damage() { NotGood::Damaged(why) } else { NotGood::Unusable(why) }
        })
    }

    /// Puts the last good one aside; its new path. `mark` goes into the name.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn put_good_aside(&self, mark: &str) -> Result<PathBuf, String> {
        let memory = self.memory();
        // The next start is to know that there was one, whichever: else it stays in its place and is found there again.
        if memory.highest == 0 {
            self.remember(&Memory { highest: 1, ..memory }).map_err(|error| error.to_string())?;
        }
        put_aside(&self.folder.join(GOOD), mark).map_err(|error| error.to_string())
    }

    /// Whether there is a last good one, of whatever kind.
    pub(crate) fn has_good(&self) -> bool {
        self.folder.join(GOOD).exists()
    }

    /// The highest version that was in force, as far as that is remembered; 0 for none.
    pub(crate) fn highest(&self) -> u64 {
        self.memory().highest
    }

    /// What is remembered; nothing where it cannot be read. The highest version is then that of the last good one.
    pub(crate) fn memory(&self) -> Memory {
        let memory = plain_file::read(&self.folder.join(STATE), MAX_KEPT).ok();
        let memory: Memory = memory.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        // An agent that had no limit yet may have taken one that no hub can outdo.
        if memory.highest > MAX_VERSION { Memory { highest: 0, ..memory } } else { memory }
    }

    pub(crate) fn remember(&self, memory: &Memory) -> io::Result<()> {
        put(&self.folder, STATE, &serde_json::to_vec(memory).map_err(io::Error::other)?)
    }

    /// Makes sure that the disk can hold it; the last good one stays.
    pub(crate) fn stage(&self, bytes: &[u8]) -> io::Result<()> {
        write_beside(&self.folder, GOOD, bytes)
    }

    /// What was staged is the last good one from now on.
    pub(crate) fn keep_staged(&self) -> io::Result<()> {
        put_in_place(&self.folder, GOOD)
    }

    pub(crate) fn put_good(&self, bytes: &[u8]) -> io::Result<()> {
        self.stage(bytes)?;
        self.keep_staged()
    }
}

/// The most bytes of a file that is kept: a bundle, or all files of a configuration, which have at most 16 MiB.
const MAX_KEPT: u64 = 64 << 20;

/// A file that is kept; nothing where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, NotGood> {
    plain_file::read(path, MAX_KEPT).map(Some).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        io::ErrorKind::PermissionDenied => Err(NotGood::Unusable(error.to_string())),
        _ => Err(NotGood::Damaged(error.to_string())),
    })
}

/// A file's content with the hash of its bytes.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    /// SHA-256 of the content's bytes.
    hash: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Bytes of a file that shows when it is damaged.
///
/// # Errors
/// When the content has no JSON form.
pub(crate) fn seal(content: &impl Serialize) -> io::Result<Vec<u8>> {
    let content = to_raw_value(content)?;
    Ok(serde_json::to_vec(&Sealed { hash: sha256(content.get().as_bytes()), content: &content })?)
}

/// What was sealed.
///
/// # Errors
/// When it is not what was written, or another version wrote it.
pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotGood> {
    let sealed: Sealed<'_> = serde_json::from_slice(bytes).map_err(|error| NotGood::Damaged(error.to_string()))?;
    if sealed.hash != sha256(sealed.content.get().as_bytes()) {
        return Err(NotGood::Damaged("its content is not what was written".to_owned()));
    }
    serde_json::from_str(sealed.content.get())
        .map_err(|error| NotGood::Unusable(format!("another version wrote it: {error}")))
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file to be kept: what was there before stays until the disk has all of it.
pub(crate) fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_beside(folder, name, bytes)?;
    put_in_place(folder, name)
}

fn write_beside(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = beside(folder, name);
    let mut file = File::options().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(path)?;
    // One of before may be there, with another mode.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn put_in_place(folder: &Path, name: &str) -> io::Result<()> {
    fs::rename(beside(folder, name), folder.join(name))?;
    // The name is on the disk only when its folder is.
    File::open(folder)?.sync_all()
}

fn beside(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.new"))
}
