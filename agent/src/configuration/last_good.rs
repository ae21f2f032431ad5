//! The configuration that was last in force from files, for a start at which the files in the folder have errors: nobody may be
//! there to read them.
//!
//! `config.good` in the data folder, JSON: the files with their names and texts, the names of all that was in force, and the
//! SHA-256 of that. A thread of its own writes it after the configuration has taken effect; a configuration that the disk does
//! not take is in force all the same.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tilth_config::{Files, Inventory};
use tracing::{info, warn};

use crate::durable::{self, Unreadable};
use crate::store::put_aside;

const NAME: &str = "config.good";

/// Between two tries to write what the disk did not take, and two looks at whether what it took is still there.
const AGAIN: Duration = Duration::from_secs(60);

/// What is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct LastGood {
    /// What was last in force from files.
    pub(super) files: Files,
    /// All that was last in force, wherever it was from.
    pub(super) has: Inventory,
}

impl LastGood {
    /// This, and where it has no files that are merged those of before.
    fn over(self, before: LastGood) -> LastGood {
        LastGood { files: self.files.over(before.files), ..self }
    }

    /// What was last in force; `None` where there never was anything.
    ///
    /// # Errors
    /// Why that is not known any more.
    pub(super) fn read(data: &Path) -> Result<Option<LastGood>, Unreadable> {
        let Some(bytes) = durable::read(&data.join(NAME))? else { return Ok(None) };
        durable::unseal(&bytes).map(Some)
    }

    /// Moves the file aside; returns its new path. `mark` goes into the name.
    ///
    /// # Errors
    /// In words.
    pub(super) fn put_aside(data: &Path, mark: &str) -> Result<PathBuf, String> {
        put_aside(&data.join(NAME), mark).map_err(|error| error.to_string())
    }

    /// Writes it; returns what is in the file then.
    fn write(self, data: &Path) -> io::Result<LastGood> {
        let before = LastGood::read(data);
        if let Ok(Some(before)) = &before
            && *before == self.clone().over(before.clone())
        {
            return Ok(before.clone());
        }
        // Without the files of before there is still `agent.toml` to keep.
        let good = self.over(before.ok().flatten().unwrap_or_default());
        durable::write(data, NAME, &durable::seal(&good)?)?;
        Ok(good)
    }
}

/// Hands what is in force to the thread that keeps it.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// What the disk does not have yet.
    waiting: Arc<Mutex<Option<LastGood>>>,
    touch: SyncSender<()>,
}

impl Keeper {
    /// Starts its thread, which ends with the keeper.
    pub(super) fn start(data: &Path) -> io::Result<Keeper> {
        let (touch, touched) = sync_channel(1);
        let waiting = Arc::<Mutex<Option<LastGood>>>::default();
        let (data, to_write) = (data.to_owned(), Arc::clone(&waiting));
        std::thread::Builder::new().name("keeper".to_owned()).spawn(move || keep(&data, &to_write, &touched))?;
        Ok(Keeper { waiting, touch })
    }

    /// Keeps what is in force now.
    pub(super) fn keep(&self, good: LastGood) {
        let mut waiting = lock(&self.waiting);
        let before = waiting.take().unwrap_or_default();
        *waiting = Some(good.over(before));
        drop(waiting);
        // One touch that was not noticed yet says as much as many.
        let _ = self.touch.try_send(());
    }
}

fn lock(waiting: &Mutex<Option<LastGood>>) -> MutexGuard<'_, Option<LastGood>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(data: &Path, waiting: &Mutex<Option<LastGood>>, touched: &Receiver<()>) {
    let mut failed = false;
    let mut kept: Option<LastGood> = None;
    loop {
        if touched.recv_timeout(AGAIN) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let new = lock(waiting).take();
        // Somebody deleted the file, or the folder with it.
        let gone = kept.as_ref().filter(|_| !data.join(NAME).exists()).cloned();
        let Some(good) = new.or(gone) else { continue };
        match good.clone().write(data) {
            Ok(there) => {
                if failed {
                    info!(target: "config.good", "fallback copy of the configuration saved");
                }
                (kept, failed) = (Some(there), false);
            }
            Err(error) => {
                // A disk may be full for weeks: once.
                if !failed {
                    warn!(target: "config.good", "configuration applied; saving the fallback copy failed ({error}), will retry");
                }
                failed = true;
                let mut waiting = lock(waiting);
                let newer = waiting.take();
                *waiting = Some(newer.map_or(good.clone(), |newer| newer.over(good)));
            }
        }
    }
}
