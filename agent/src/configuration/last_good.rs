//! The last good configuration: a fallback for a start at which the files in the folder have errors and no person is there to read them.
//!
//! `config.good` in the data folder is JSON: the files with their names and texts, the inventory of what was active, and the SHA-256 of
//! that. A thread writes it after the configuration has taken effect, and tries again where the disk refuses.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tilth_config::{Files, Inventory};
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
    /// This one; where it has no files of `config.d`, with those of the one before.
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
        // Where the file before cannot be read, `agent.toml` is still saved.
        let good = self.or_files_of(before.ok().flatten().unwrap_or_default());
        durable::write(data, NAME, &durable::with_checksum(&good)?)?;
        Ok(good)
    }
}

/// Hands the active configuration to the thread that saves it.
#[derive(Debug)]
pub(crate) struct LastGoodWriter {
    /// Content that is not saved yet.
    waiting: Arc<Mutex<Option<LastGood>>>,
    wake: SyncSender<()>,
}

impl LastGoodWriter {
    /// Starts the thread, which ends with this handle.
    pub(super) fn start(data: &Path) -> io::Result<LastGoodWriter> {
        let (wake, woken) = sync_channel(1);
        let waiting = Arc::<Mutex<Option<LastGood>>>::default();
        let (data, to_write) = (data.to_owned(), Arc::clone(&waiting));
        std::thread::Builder::new().name("last-good".to_owned()).spawn(move || keep_saved(&data, &to_write, &woken))?;
        Ok(LastGoodWriter { waiting, wake })
    }

    pub(super) fn save(&self, good: LastGood) {
        let mut waiting = lock(&self.waiting);
        let before = waiting.take().unwrap_or_default();
        *waiting = Some(good.or_files_of(before));
        drop(waiting);
        // A full channel already wakes the thread.
        let _ = self.wake.try_send(());
    }
}

fn lock(waiting: &Mutex<Option<LastGood>>) -> MutexGuard<'_, Option<LastGood>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_saved(data: &Path, waiting: &Mutex<Option<LastGood>>, woken: &Receiver<()>) {
    let (mut newest, mut is_saved, mut has_failed) = (None::<LastGood>, true, false);
    while woken.recv_timeout(AGAIN) != Err(RecvTimeoutError::Disconnected) {
        if let Some(new) = lock(waiting).take() {
            newest = Some(new.or_files_of(newest.unwrap_or_default()));
            is_saved = false;
        }
        // A person may have deleted the file, or the folder with it.
        let Some(good) = newest.clone().filter(|_| !is_saved || !data.join(NAME).exists()) else { continue };
        match good.write(data) {
            Ok(written) => {
                if has_failed {
                    info!(target: "config.good", "fallback copy of the configuration saved");
                }
                (newest, is_saved, has_failed) = (Some(written), true, false);
            }
            Err(error) => {
                // Logged once: a disk may be full for weeks.
                if !has_failed {
                    warn!(target: "config.good", "configuration applied; saving the fallback copy failed ({error}), will retry");
                }
                has_failed = true;
            }
        }
    }
}
