//! Watches the configuration folder for changes: looks at its files a few times a second. That needs no help of the kernel, whose watches
//! are limited in number and end with a folder that is replaced, and costs a few system calls.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::file_versions::FileVersions;

/// Interval at which the files are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// An editor writes a file in several steps: they are one change if nothing follows for this long.
const SETTLE: Duration = Duration::from_millis(200);

/// Longest wait for a change to be complete.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches a folder on a thread of its own, until the receiver is dropped; sends when each change was complete. `versions` says
/// how the folder looked when it was read last.
pub(super) fn start(folder: PathBuf, mut versions: FileVersions) -> io::Result<mpsc::Receiver<Instant>> {
    // While one change is dealt with the next may wait; more are one.
    let (changed, changes) = mpsc::channel(1);
    let watch = move || {
        loop {
            versions = wait_for_change(&folder, &versions);
            if changed.blocking_send(Instant::now()).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("watch".to_owned()).spawn(watch)?;
    Ok(changes)
}

/// Waits until the files are others than `before`, and until that change is complete. Other files in the folder, such as a log that is
/// written at each change, are ignored.
fn wait_for_change(folder: &Path, before: &FileVersions) -> FileVersions {
    loop {
        if versions(folder) != *before {
            let now = settled(folder);
            if now != *before {
                return now;
            }
        }
        sleep(POLL_INTERVAL);
    }
}

/// How the files look once they have not changed for [`SETTLE`], or after [`LONGEST`].
fn settled(folder: &Path) -> FileVersions {
    let (began, mut now) = (Instant::now(), versions(folder));
    loop {
        sleep(SETTLE);
        let last = std::mem::replace(&mut now, versions(folder));
        if now == last || began.elapsed() >= LONGEST {
            return now;
        }
    }
}

/// How the files in a folder look now.
pub(super) fn versions(folder: &Path) -> FileVersions {
    let inner = folder.join("config.d");
    let mut files = vec![folder.join("agent.toml"), inner.clone()];
    files.extend(fs::read_dir(inner).into_iter().flatten().flatten().map(|entry| entry.path()));
    files.sort();
    FileVersions::of(files)
}

#[cfg(test)]
mod tests;
