//! The hub's folder: database, signing key and public key.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use tilth_config::bundle::SigningKey;
use tilth_config::plain_file;
use tilth_core::time::WallTime;

use crate::reach;

/// Mode of files that only the hub may read.
pub(crate) const OWNER_ONLY: u32 = 0o600;

/// Files of a hub: the database with its journal, and the keys.
const FILES: [&str; 5] = ["hub.db", "hub.db-wal", "hub.db-shm", "hub.key", "hub.pub"];

/// Prefix of the folders with replaced files; their time follows, so that the last by name is the newest.
const BEFORE: &str = "before-restore-";

/// Maximum size of a key file, in bytes. It has one line.
const MAX_KEY: u64 = 4096;

/// What a command says of a folder without a hub.
pub(crate) const NO_HUB: &str = "there is no hub here; `tilth-hub init` creates one";

/// A hub's folder.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    pub(crate) fn new(path: &Path) -> DataDir {
        DataDir(path.to_owned())
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("hub.db")
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// True for a folder that holds files of a hub.
    pub(crate) fn is_one(folder: &Path) -> bool {
        FILES.iter().any(|file| folder.join(file).exists())
    }

    /// Text of the signing key's file.
    pub(crate) fn signing_key_text(&self) -> anyhow::Result<String> {
        let path = self.signing_key();
        let name = || path.display().to_string();
        let bytes = plain_file::read(&path, MAX_KEY).with_context(name)?;
        String::from_utf8(bytes).with_context(name)
    }

    /// Writes the signing key and the public key.
    pub(crate) fn write_keys(&self, text: &str, key: &SigningKey) -> anyhow::Result<()> {
        write_new(&self.signing_key(), OWNER_ONLY, text)?;
        write_new(&self.public_key(), 0o644, &format!("{}\n", key.trusted()))
    }

    /// Moves the hub's files to a folder of their own; none if there are none.
    pub(crate) fn put_aside(&self, now: WallTime) -> anyhow::Result<Option<PathBuf>> {
        if FILES.iter().all(|file| !self.0.join(file).exists()) {
            return Ok(None);
        }
        let time: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        let name = |number: u32| if number == 0 { time.clone() } else { format!("{time}-{number}") };
        let mut folders = (0..).map(|number| self.0.join(format!("{BEFORE}{}", name(number))));
        let aside = folders.find(|folder| !folder.exists()).context("a name for a folder")?;
        make_folder(&aside)?;
        self.move_to(&DataDir(aside.clone()))?;
        Ok(Some(aside))
    }

    /// The hub's database, or the one that an interrupted restore has moved away.
    pub(crate) fn last_database(&self) -> Option<PathBuf> {
        let own = self.database();
        if own.exists() {
            return Some(own);
        }
        let folders = fs::read_dir(&self.0).ok()?.filter_map(Result::ok);
        let before = folders.filter(|folder| folder.file_name().to_string_lossy().starts_with(BEFORE));
        before.map(|folder| folder.path().join("hub.db")).filter(|database| database.exists()).max()
    }

    /// Moves the hub's files to another folder, the database last: a folder with a database is complete.
    pub(crate) fn move_to(&self, other: &DataDir) -> anyhow::Result<()> {
        for file in FILES.iter().rev() {
            let (from, to) = (self.0.join(file), other.0.join(file));
            if from.exists() {
                fs::rename(&from, &to).with_context(|| to.display().to_string())?;
            }
        }
        sync_folder(&other.0)
    }

    fn signing_key(&self) -> PathBuf {
        self.0.join("hub.key")
    }

    /// File for the devices.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.0.join("hub.pub")
    }

    /// Creates the folder with a new key and an empty database file. Overwrites nothing.
    pub(crate) fn create(&self, seed: &[u8; 32]) -> anyhow::Result<SigningKey> {
        for file in [self.database(), self.signing_key(), self.public_key()] {
            if file.exists() {
                bail!("{}: there is a hub here already; nothing was changed", file.display());
            }
        }
        make_folder(&self.0)?;
        let key = SigningKey::from_seed(seed);
        self.write_keys(&SigningKey::text_of_seed(seed), &key)?;
        write_new(&self.database(), OWNER_ONLY, "")?;
        sync_folder(&self.0)?;
        Ok(key)
    }

    /// Reads the signing key. Fails if others may read the file.
    pub(crate) fn read_signing_key(&self) -> anyhow::Result<SigningKey> {
        let path = self.signing_key();
        let name = || path.display().to_string();
        // A file without permission is another error.
        if [&path, &self.database()].into_iter().all(|path| matches!(path.try_exists(), Ok(false))) {
            match self.last_database() {
                None => bail!("{}: {NO_HUB}", self.0.display()),
                Some(before) => bail!(
                    "{}: a restore was interrupted: run it again; the replaced files are in {}",
                    self.0.display(),
                    before.parent().unwrap_or(&before).display()
                ),
            }
        }
        let file = plain_file::open(&path).map_err(|error| {
            let why = (error.kind() == ErrorKind::PermissionDenied).then(|| reach::obstacle(&path)).flatten();
            anyhow!("{}: {}", path.display(), why.unwrap_or_else(|| error.to_string()))
        })?;
        if let Some(mode) = plain_file::open_to_others(&file).with_context(name)? {
            bail!("{}: other users may read it (mode {mode:03o}); expected 600", path.display());
        }
        let bytes = plain_file::read_open(file, MAX_KEY).with_context(name)?;
        SigningKey::parse(&String::from_utf8_lossy(&bytes)).with_context(name)
    }

    /// Locks the folder against a second hub, until the returned file is closed. The folder itself is locked: a file in it could be
    /// deleted meanwhile.
    pub(crate) fn lock(&self) -> anyhow::Result<File> {
        let folder = File::open(&self.0).with_context(|| self.0.display().to_string())?;
        match folder.try_lock() {
            Ok(()) => Ok(folder),
            Err(TryLockError::WouldBlock) => bail!("{}: a hub serves this folder already", self.0.display()),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| self.0.display().to_string()),
        }
    }
}

/// Creates a folder for its owner only, if it does not exist.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let name = || folder.display().to_string();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(name)
}

/// Syncs a folder, so that file names survive a power cut.
fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())
}

/// As [`sync_folder`], of the folder that a file is in.
pub(crate) fn sync_folder_of(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    sync_folder(folder.unwrap_or(Path::new(".")))
}

pub(crate) fn write_new(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(name)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(name)
}
