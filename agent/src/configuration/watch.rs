//! Watches the configuration folder for changes.
//!
//! The kernel reports changes; where it cannot, since a user may watch only a limited number of files, the folder is polled.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify_watch::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::warn;

use super::file_versions::FileVersions;

/// Poll interval of a folder that the kernel does not watch.
const POLL_INTERVAL: Duration = Duration::from_secs(30);

/// An editor writes a file in several steps: they are one change if nothing follows for this long.
const SETTLE: Duration = Duration::from_millis(200);

/// Longest wait for a change to be complete.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches a folder on a thread of its own, until the receiver is dropped; sends when each change was complete. `versions` says
/// how the folder looked when it was read last.
pub(super) fn start(folder: PathBuf, versions: FileVersions) -> io::Result<mpsc::Receiver<Instant>> {
    // While one change is dealt with the next may wait; more are one.
    let (changed, changes) = mpsc::channel(1);
    let watch = move || {
        let mut watch = Watch::new(folder, versions, POLL_INTERVAL);
        loop {
            watch.wait();
            if changed.blocking_send(Instant::now()).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(watch)?;
    Ok(changes)
}

/// A configuration folder that is watched.
struct Watch {
    folder: PathBuf,
    poll_interval: Duration,
    /// `None` while the folder is polled instead.
    kernel: Option<RecommendedWatcher>,
    wake: SyncSender<()>,
    woken: Receiver<()>,
    versions: FileVersions,
    /// Whether the log says that the folder is polled.
    is_logged: bool,
}

impl Watch {
    /// A folder that was read last when it looked like this.
    fn new(folder: PathBuf, versions: FileVersions, poll_interval: Duration) -> Watch {
        // One wake-up that is not handled yet stands for all.
        let (wake, woken) = sync_channel(1);
        let mut watch = Watch { folder, poll_interval, kernel: None, wake, woken, versions, is_logged: false };
        watch.renew();
        if watch.versions != self::versions(&watch.folder) {
            let _ = watch.wake.try_send(());
        }
        watch
    }

    /// Waits for a change, and until it is complete. Other files in the folder, such as a log that is written at
    /// each change, are ignored.
    fn wait(&mut self) {
        loop {
            while !self.is_woken() {}
            self.renew();
            let began = Instant::now();
            while began.elapsed() < LONGEST && self.woken.recv_timeout(SETTLE).is_ok() {}
            // A folder may have been created meanwhile.
            self.renew();
            let now = versions(&self.folder);
            if self.versions != now {
                self.versions = now;
                return;
            }
        }
    }

    fn is_woken(&mut self) -> bool {
        if self.kernel.is_some() {
            return self.woken.recv().is_ok();
        }
        let is_woken = self.woken.recv_timeout(self.poll_interval).is_ok();
        self.renew();
        is_woken || self.versions != versions(&self.folder)
    }

    /// Watches the folders that exist now: folders may be created or replaced at any time.
    fn renew(&mut self) {
        match self.watched() {
            Ok(kernel) => {
                self.kernel = Some(kernel);
                self.is_logged = false;
            }
            Err(error) if !self.is_logged => {
                self.is_logged = true;
                let (folder, secs) = (self.folder.display(), self.poll_interval.as_secs());
                warn!("{folder}: polled every {secs} s, since the kernel cannot watch it: {error}");
            }
            Err(_) => {}
        }
    }

    /// The folders and not the files: editors replace a file by another one.
    fn watched(&mut self) -> notify_watch::Result<RecommendedWatcher> {
        let mut kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None => self.watcher()?,
        };
        kernel.watch(&self.folder, RecursiveMode::NonRecursive)?;
        let inner = inner(&self.folder);
        match kernel.watch(&inner, RecursiveMode::NonRecursive) {
            Err(error) if inner.is_dir() => Err(error),
            Ok(()) | Err(_) => Ok(kernel),
        }
    }

    fn watcher(&self) -> notify_watch::Result<RecommendedWatcher> {
        let wake = self.wake.clone();
        notify_watch::recommended_watcher(move |event: notify_watch::Result<notify_watch::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = wake.try_send(());
            }
        })
    }
}

fn inner(folder: &Path) -> PathBuf {
    folder.join("config.d")
}

/// How the files in a folder look now.
pub(super) fn versions(folder: &Path) -> FileVersions {
    let mut files = vec![folder.join("agent.toml"), inner(folder)];
    files.extend(fs::read_dir(inner(folder)).into_iter().flatten().flatten().map(|entry| entry.path()));
    files.sort();
    FileVersions::of(files)
}

#[cfg(test)]
mod tests;
