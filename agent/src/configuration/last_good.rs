//! What was last in force from files, for a start at which what lies in the folder has errors: nobody may be there to read them.
//!
//! `config.good` in the data folder, JSON: the files with their names and texts, the names of all that was in force, and the
//! SHA-256 of that. It is written on a thread of its own, after the configuration has taken effect; one that the disk does not
//! take is in force all the same.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tilth_config::{Document, Files, Holdings};

use crate::configuration::bundle_files::{self, NotGood};
use crate::output::tell;
use crate::store::put_aside;

const NAME: &str = "config.good";

/// Between two tries to write what the disk did not take, and two looks at whether what it took is still there.
const AGAIN: Duration = Duration::from_secs(60);

/// What is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Good {
    /// What was last in force from files.
    pub(crate) files: Files,
    /// All that was last in force, wherever it was from.
    pub(crate) has: Holdings,
}

impl Good {
    /// This, and where it has no files that are merged those of before.
    fn over(self, before: Good) -> Good {
        Good { files: self.files.over(before.files), ..self }
    }
}

/// What was last in force; nothing where there never was anything.
///
/// # Errors
/// Why that is not known any more.
pub(crate) fn read(data: &Path) -> Result<Option<Good>, NotGood> {
    let Some(bytes) = bundle_files::read(&data.join(NAME))? else { return Ok(None) };
    bundle_files::unseal(&bytes).map(Some)
}

/// Puts it aside; its new path. `mark` goes into the name.
///
/// # Errors
/// In words.
pub(crate) fn put_good_aside(data: &Path, mark: &str) -> Result<PathBuf, String> {
    put_aside(&data.join(NAME), mark).map_err(|error| error.to_string())
}

/// What lies there then.
fn put(data: &Path, good: Good) -> io::Result<Good> {
    let before = read(data);
    if let Ok(Some(before)) = &before
        && *before == good.clone().over(before.clone())
    {
        return Ok(before.clone());
    }
    // Without the files of before there is still `agent.toml` to keep.
    let good = good.over(before.ok().flatten().unwrap_or_default());
    bundle_files::put(data, NAME, &bundle_files::seal(&good)?)?;
    Ok(good)
}

/// Keeps what is in force; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    held: Arc<Mutex<Held>>,
    touch: SyncSender<()>,
}

#[derive(Debug, Default)]
struct Held {
    /// `agent.toml` as it is in force.
    site: Option<Document>,
    /// What the disk does not have yet.
    waiting: Option<Good>,
}

impl Keeper {
    /// Starts its thread, which ends with the last of those that have something to keep.
    pub(crate) fn start(data: &Path) -> io::Result<Keeper> {
        let (touch, touched) = sync_channel(1);
        let held = Arc::<Mutex<Held>>::default();
        let (data, waiting) = (data.to_owned(), Arc::clone(&held));
        std::thread::Builder::new().name("keeper".to_owned()).spawn(move || keep(&data, &waiting, &touched))?;
        Ok(Keeper { held, touch })
    }

    /// This is in force.
    pub(crate) fn keep(&self, good: Good) {
        let mut held = lock(&self.held);
        held.site = good.files.site();
        let before = held.waiting.take().unwrap_or_default();
        held.waiting = Some(good.over(before));
        drop(held);
        // One touch that was not noticed yet says as much as many.
        let _ = self.touch.try_send(());
    }

    /// The `agent.toml` that is in force.
    pub(crate) fn site(&self) -> Option<Document> {
        lock(&self.held).site.clone()
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(data: &Path, held: &Mutex<Held>, touched: &Receiver<()>) {
    let mut failed = false;
    let mut kept: Option<Good> = None;
    loop {
        if touched.recv_timeout(AGAIN) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let waiting = lock(held).waiting.take();
        // Somebody deleted the file, or the folder with it.
        let gone = kept.as_ref().filter(|_| !data.join(NAME).exists()).cloned();
        let Some(good) = waiting.or(gone) else { continue };
        match put(data, good.clone()) {
            Ok(there) => {
                if failed {
                    tell("tilth-agent: config.good: the disk took the configuration that is in force");
                }
                (kept, failed) = (Some(there), false);
            }
            Err(error) => {
                // A disk may be full for weeks: once.
                if !failed {
                    tell(format_args!(
                        "tilth-agent: config.good: the configuration is in force, and kept once the disk takes it: {error}"
                    ));
                }
                failed = true;
                let mut held = lock(held);
                let newer = held.waiting.take();
                held.waiting = Some(newer.map_or(good.clone(), |newer| newer.over(good)));
            }
        }
    }
}
