//! The folder of a hub: its database, its signing key and what of that may be told.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tilth_config::bundle::SigningKey;
use tilth_config::plain_file;

/// Whoever reads these files can speak for the hub.
const OWNER_ONLY: u32 = 0o600;

/// The most bytes of a key's file. It has one line.
const MAX_KEY: u64 = 4096;

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

    fn signing_key(&self) -> PathBuf {
        self.0.join("hub.key")
    }

    /// The file that devices get.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.0.join("hub.pub")
    }

    /// Makes the folder with a new key and an empty file for the database. Overwrites nothing.
    pub(crate) fn create(&self, seed: &[u8; 32]) -> anyhow::Result<SigningKey> {
        for file in [self.database(), self.signing_key(), self.public_key()] {
            if file.exists() {
                bail!("{}: there is a hub here already; nothing was changed", file.display());
            }
        }
        let folder = || self.0.display().to_string();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).with_context(folder)?;
        let key = SigningKey::from_seed(seed);
        write_new(&self.signing_key(), OWNER_ONLY, &SigningKey::text_of_seed(seed))?;
        write_new(&self.public_key(), 0o644, &format!("{}\n", key.trusted()))?;
        write_new(&self.database(), OWNER_ONLY, "")?;
        // The names of the files must outlive a power cut as their contents do.
        File::open(&self.0).and_then(|folder| folder.sync_all()).with_context(folder)?;
        Ok(key)
    }

    /// Reads the key that signs. Refuses one that others may read.
    pub(crate) fn read_signing_key(&self) -> anyhow::Result<SigningKey> {
        let path = self.signing_key();
        let name = || path.display().to_string();
        // One that may not be looked at is another matter.
        if [&path, &self.database()].into_iter().all(|path| matches!(path.try_exists(), Ok(false))) {
            bail!("{}: there is no hub here; `tilth-hub init` makes one", self.0.display());
        }
        let file = plain_file::open(&path).with_context(name)?;
        let mode = file.metadata().with_context(name)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{}: others may read it (mode {:03o}); expected 600", path.display(), mode & 0o777);
        }
        let bytes = plain_file::read_open(file, MAX_KEY).with_context(name)?;
        SigningKey::parse(&String::from_utf8_lossy(&bytes)).with_context(name)
    }

    /// Keeps a second hub from serving the same folder, as long as the file is open.
    pub(crate) fn lock(&self) -> anyhow::Result<File> {
        let path = self.0.join("hub.lock");
        let name = || path.display().to_string();
        // Opening a pipe would wait for whoever reads it.
        if path.exists() {
            plain_file::open(&path).with_context(name)?;
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).with_context(name)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(_) => bail!("{}: a hub serves this folder already", path.display()),
        }
    }
}

fn write_new(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(name)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(name)
}
