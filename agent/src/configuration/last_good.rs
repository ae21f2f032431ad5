//! The last good configuration: a fallback for a start at which the files in the folder have errors and no person is there to read them.
//!
//! `config.good` in the data folder is JSON: the files with their names and texts, the inventory of what was active, and the SHA-256 of
//! that. A task writes it after the configuration has taken effect, and tries again where the disk refuses.

use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tilth_config::{Files, Inventory};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::durable::{self, Unreadable};

const NAME: &str = "config.good";

/// Between two tries to save, and between two checks that the file is still there.
const AGAIN: Duration = Duration::from_secs(60);

/// Content of `config.good`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct LastGood {
    /// Files that were last active.
    pub(super) files: Files,
    /// Inventory of what was last active, from files or a bundle.
    #[serde(rename = "has")]
    pub(super) inventory: Inventory,
}

impl LastGood {
    /// Takes the files of `config.d` from the one before, if this one has none.
    fn or_files_of(self, before: LastGood) -> LastGood {
        LastGood { files: self.files.over(before.files), ..self }
    }

    /// Reads it; `None` where there is no file.
    pub(super) fn read(data: &Path) -> Result<Option<LastGood>, Unreadable> {
        let Some(bytes) = durable::read(&data.join(NAME))? else { return Ok(None) };
        durable::parse_checked(&bytes).map(Some)
    }

    /// Writes it; returns the content of the file.
    fn write(self, data: &Path) -> io::Result<LastGood> {
        let before = LastGood::read(data);
        if let Ok(Some(before)) = &before
            && *before == self.clone().or_files_of(before.clone())
        {
            return Ok(before.clone());
        }
        // If the file before cannot be read, `agent.toml` is still saved.
        let good = self.or_files_of(before.ok().flatten().unwrap_or_default());
        durable::write(data, NAME, &durable::with_checksum(&good)?)?;
        Ok(good)
    }
}

/// Text of `agent.toml` as it was last active with a data folder.
pub(crate) fn last_agent_toml(data: &Path) -> Option<String> {
    LastGood::read(data).ok()??.files.agent_toml_text()
}

/// Hands the active configuration to the task that saves it.
#[derive(Debug)]
pub(crate) struct LastGoodWriter(watch::Sender<LastGood>);

impl LastGoodWriter {
    /// Starts the task, which ends with this handle.
    pub(super) fn start(data: &Path) -> LastGoodWriter {
        let (newest, saves) = watch::channel(LastGood::default());
        tokio::spawn(keep_saved(data.to_owned(), saves));
        LastGoodWriter(newest)
    }

    pub(super) fn save(&self, good: LastGood) {
        self.0.send_modify(|before| *before = good.or_files_of(mem::take(before)));
    }
}

/// Writes what is new, and every [`AGAIN`] what is not on the disk: it may have refused that, or a person deleted the file, or the folder
/// with it.
async fn keep_saved(data: PathBuf, mut saves: watch::Receiver<LastGood>) {
    let (mut newest, mut has_failed) = (LastGood::default(), false);
    let mut changed = saves.changed().await;
    while changed.is_ok() {
        newest = saves.borrow_and_update().clone().or_files_of(newest);
        let (good, folder) = (newest.clone(), data.clone());
        match spawn_blocking(move || good.write(&folder)).await.map_err(io::Error::other).flatten() {
            Ok(written) => {
                if has_failed {
                    info!(target: "config.good", "fallback copy of the configuration saved");
                }
                (newest, has_failed) = (written, false);
            }
            Err(error) => {
                // Logged once: a disk may be full for weeks.
                if !has_failed {
                    warn!(target: "config.good", "configuration applied; saving the fallback copy failed ({error}), will retry");
                }
                has_failed = true;
            }
        }
        changed = timeout(AGAIN, saves.changed()).await.unwrap_or(Ok(()));
    }
}
