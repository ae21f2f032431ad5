//! Files of an enrolment: agent.toml, and beside it the device's key, the hub's signing key and its CA.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use tilth_config::bundle::TrustedKey;
use tilth_config::{plain_file, text_at, with_texts, without_key};
use tilth_protocol::{CodeId, EnrolmentAnswer, Key, KeyKind};

use super::failure::EnrolFailure;
use crate::commands::init::HEAD;
use crate::commands::{doctor, is_root};
use crate::configuration::enrolment;
use crate::sync::owner::{self, HistoryOwner};
use crate::{durable, random};

/// Upper limit of agent.toml in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Upper limit in bytes of a file that is looked into before it is replaced: those of a whole system are some 250 KiB.
const MAX_PEM: u64 = 4 << 20;

/// Mode of what is no secret.
const PUBLIC: u32 = 0o644;

/// agent.toml as it is, and where its files are.
pub(super) struct Files {
    folder: PathBuf,
    /// None where there is no file yet.
    agent_toml: Option<String>,
    key: PathBuf,
    signing_key: PathBuf,
    /// Name of the file that the hub's CA goes to.
    ca: String,
    /// User and group of the agent, where files are written by root.
    owner: Option<(u32, u32)>,
    /// The folder, locked: of two enrolments at once the key of one would be put in place, and that of the other be at the hub.
    _lock: File,
}

/// Who vouches for the hub's certificate.
pub(super) enum Vouching {
    /// The CA that the code names, in a file beside its place.
    New(PathBuf),
    /// The CA that agent.toml names already.
    InUse(PathBuf),
    /// The CAs of the machine.
    Machine,
}

impl Vouching {
    /// File with the CA; `None` where the machine's are trusted.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Vouching::New(file) | Vouching::InUse(file) => Some(file),
            Vouching::Machine => None,
        }
    }
}

/// What was written, and what was there before.
pub(super) struct Found {
    pub(super) written: Vec<PathBuf>,
    pub(super) other_name: Option<String>,
    /// The file that `ca` named and names no more.
    pub(super) other_ca: Option<String>,
    /// Whether `ca` names a file now.
    pub(super) has_ca: bool,
    pub(super) other_signing_key: bool,
}

impl Files {
    /// Finds agent.toml, and checks that it can be changed, before anything is sent.
    pub(super) fn find(folder: &Path) -> anyhow::Result<Files> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let lock = File::open(folder).with_context(|| denied(folder))?;
        // What has no locks cannot be locked by another one.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            let which = folder.display();
            bail!("{which}: another tilth-agent enroll runs; run the same command again once it has ended");
        }
        let path = folder.join("agent.toml");
        let agent_toml = match plain_file::read_text(&path, MAX_BYTES) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| denied(&path)),
        };
        let named = |key: &str| agent_toml.as_deref().and_then(|text| text_at(text, "hub", key));
        let path_of = |key: &str, usual: &str| folder.join(named(key).as_deref().unwrap_or(usual));
        let (key, signing_key) = (path_of("key_file", "device.key"), path_of("signing_key", "hub.pub"));
        let ca = place_of_ca(folder, named("ca"))?;
        let owner = is_root().then(|| owner(folder)).flatten();
        let files = Files { folder: folder.to_owned(), agent_toml, key, signing_key, ca, owner, _lock: lock };
        files
            .changed("https://hub.example", ("client", "device"), &Vouching::New(PathBuf::new()))
            .map_err(|why| EnrolFailure::AgentToml { path, why })?;
        Ok(files)
    }

    /// agent.toml with the hub. What it names already keeps its name.
    fn changed(
        &self,
        url: &str,
        (client, device): (&str, &str),
        vouching: &Vouching,
    ) -> Result<String, tilth_config::NotChanged> {
        let text =
            with_texts(self.agent_toml.as_deref().unwrap_or(HEAD), "device", &[("id", device), ("client", client)])?;
        let or = |key: &str, usual: &str| text_at(&text, "hub", key).unwrap_or_else(|| usual.to_owned());
        let (signing_key, key_file) = (or("signing_key", "hub.pub"), or("key_file", "device.key"));
        let mut values = vec![("url", url), ("signing_key", &signing_key), ("key_file", &key_file)];
        if let Vouching::New(_) = vouching {
            values.insert(1, ("ca", &self.ca));
        }
        let text = with_texts(&text, "hub", &values)?;
        if let Vouching::Machine = vouching { without_key(&text, "hub", "ca") } else { Ok(text) }
    }

    /// The CA that agent.toml names already.
    pub(super) fn ca_in_use(&self) -> Option<PathBuf> {
        self.named_ca().map(|named| self.folder.join(named))
    }

    fn named_ca(&self) -> Option<String> {
        self.agent_toml.as_deref().and_then(|text| text_at(text, "hub", "ca"))
    }

    /// Writes the CA beside its place, for the exchange.
    pub(super) fn write_new_ca(&self, pem: &str) -> anyhow::Result<PathBuf> {
        self.write_new(&self.folder.join(&self.ca), pem, PUBLIC)
    }

    /// The key that is being exchanged for a code: the one of an earlier try, or a new one, on the disk.
    pub(super) fn pending_key(&self, code: &CodeId) -> anyhow::Result<Key> {
        let path = self.pending(code);
        let denied = || denied(&path);
        let kept = match plain_file::read(&path, MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            kept => kept.with_context(denied)?,
        };
        if Key::parse(String::from_utf8_lossy(&kept).trim()).is_ok() {
            return enrolment::device_key(&path).with_context(denied);
        }
        // The hub was not shown what is no key: that try was cut short.
        let key = Key::from_random(KeyKind::Device, random::bytes(), random::bytes());
        let (folder, name) = parts(&path)?;
        self.write_owned(folder, name, format!("{}\n", key.reveal()).as_bytes()).with_context(denied)?;
        Ok(key)
    }

    /// Notes whose the history in a data folder is from now on.
    pub(super) fn keep_owner(&self, data: &Path, owner: &HistoryOwner) -> anyhow::Result<()> {
        let written = owner.to_bytes().and_then(|bytes| self.write_owned(data, owner::NAME, &bytes));
        written.with_context(|| denied(&data.join(owner::NAME)))
    }

    /// Path of the key that is being exchanged for a code.
    pub(super) fn pending(&self, code: &CodeId) -> PathBuf {
        let name = self.key.file_name().unwrap_or_default().display();
        self.key.with_file_name(format!("{name}.{code}"))
    }

    /// Puts everything in its place, the key last: until it is there, the same command can be run again.
    pub(super) fn keep(
        &self,
        url: &str,
        answer: &EnrolmentAnswer,
        signing_key: TrustedKey,
        vouching: &Vouching,
        code: &CodeId,
    ) -> anyhow::Result<Found> {
        let EnrolmentAnswer { client_id, device_id, .. } = answer;
        let agent_toml = self.folder.join("agent.toml");
        let agent_toml = fs::canonicalize(&agent_toml).unwrap_or(agent_toml);
        let text = self.changed(url, (client_id.as_str(), device_id.as_str()), vouching)?;
        let before = self.agent_toml.as_deref().and_then(|text| text_at(text, "device", "id"));
        let ca = matches!(vouching, Vouching::New(_)).then(|| self.folder.join(&self.ca));
        let named_now = text_at(&text, "hub", "ca");
        let found = Found {
            written: [Some(&agent_toml), Some(&self.signing_key), ca.as_ref(), Some(&self.key)]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            other_name: before.filter(|before| before != device_id.as_str()),
            other_ca: self.named_ca().filter(|named| named_now.as_ref() != Some(named)),
            has_ca: named_now.is_some(),
            other_signing_key: enrolment::signing_key(&self.signing_key).is_ok_and(|before| before != signing_key),
        };
        if let Some(ca) = &ca {
            self.rename_new(ca)?;
        }
        self.write_new(&self.signing_key, &format!("{signing_key}\n"), PUBLIC)?;
        self.rename_new(&self.signing_key)?;
        self.write_new(&agent_toml, &text, PUBLIC)?;
        self.rename_new(&agent_toml)?;
        let put = || {
            fs::rename(self.pending(code), &self.key)?;
            File::open(folder_of(&self.key))?.sync_all()
        };
        put().with_context(|| self.key.display().to_string())?;
        Ok(found)
    }

    /// Writes the next version of a file beside it, with owner and mode of the one that is there.
    fn write_new(&self, path: &Path, text: &str, mode: u32) -> anyhow::Result<PathBuf> {
        let (folder, name) = parts(path)?;
        let new = durable::new_path(folder, name);
        let write = || {
            let file = durable::write_new(folder, name, text.as_bytes())?;
            let before = fs::metadata(path).ok();
            file.set_permissions(Permissions::from_mode(before.as_ref().map_or(mode, |file| file.mode() & 0o777)))?;
            match before {
                Some(before) if self.owner.is_some() => fchown(&file, Some(before.uid()), Some(before.gid())),
                _ => Ok(()),
            }
        };
        write().with_context(|| denied(path))?;
        Ok(new)
    }

    fn rename_new(&self, path: &Path) -> anyhow::Result<()> {
        let (folder, name) = parts(path)?;
        durable::rename_new(folder, name).with_context(|| path.display().to_string())
    }

    /// Writes a file of the agent's user, which nobody else may read.
    fn write_owned(&self, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = durable::write_new(folder, name, bytes)?;
        if let Some((user, group)) = self.owner {
            fchown(&file, Some(user), Some(group))?;
        }
        durable::rename_new(folder, name)
    }
}

/// Name of the file that the hub's CA goes to: the one that agent.toml names, where that is the agent's own. A file elsewhere, such as the machine's
/// certificates, and one with several certificates, as while the hub's is renewed, stay as they are.
fn place_of_ca(folder: &Path, named: Option<String>) -> anyhow::Result<String> {
    let own = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
    let is_free = |name: &String| {
        let path = folder.join(name);
        let is_inside = fs::canonicalize(folder_of(&path)).is_ok_and(|folder| folder.starts_with(&own));
        is_inside
            && match plain_file::read(&path, MAX_PEM) {
                Ok(pem) => String::from_utf8_lossy(&pem).matches("-----BEGIN ").count() <= 1,
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            }
    };
    let usual = std::iter::once("hub-ca.pem".to_owned()).chain((2..100).map(|number| format!("hub-ca-{number}.pem")));
    let found = named.into_iter().chain(usual).find(is_free);
    found.with_context(|| format!("{}: no free name for the hub's CA, hub-ca.pem to hub-ca-99.pem", folder.display()))
}

/// The agent's user; for a configuration that is not the service's, the owner of its folder.
fn owner(folder: &Path) -> Option<(u32, u32)> {
    let (user, group) = doctor::agents_user(folder);
    let of_folder = || fs::metadata(folder).ok().map(|folder| (folder.uid(), folder.gid()));
    if user == 0 { of_folder() } else { Some((user, group)) }
}

fn parts(path: &Path) -> anyhow::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok((folder_of(path), name.ok_or_else(|| anyhow!("{}: expected a file", path.display()))?))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn denied(path: &Path) -> String {
    format!("{}; sudo tilth-agent enroll may read and write there", path.display())
}
