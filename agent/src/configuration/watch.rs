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

use super::file_stamps::FileStamps;

/// Poll interval of a folder that the kernel does not watch.
const POLL_INTERVAL: Duration = Duration::from_secs(30);

/// An editor writes a file in several steps: they are one change if nothing follows for this long.
const SETTLE: Duration = Duration::from_millis(200);

/// Longest wait for a change to be complete.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches a folder on a thread of its own, until the receiver is dropped; sends when each change was complete. `stamps` says
/// how the folder looked when it was read last.
pub(super) fn start(folder: PathBuf, stamps: FileStamps) -> io::Result<mpsc::Receiver<Instant>> {
    // While one change is dealt with the next may wait; more are one.
    let (changed, changes) = mpsc::channel(1);
    let watch = move || {
        let mut watch = Watch::new(folder, stamps, POLL_INTERVAL);
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
    touch: SyncSender<()>,
    touched: Receiver<()>,
    stamps: FileStamps,
    /// Whether the log says that the folder is polled.
    is_logged: bool,
}

impl Watch {
    /// A folder that was read last when it looked like this.
    fn new(folder: PathBuf, stamps: FileStamps, poll_interval: Duration) -> Watch {
        // One touch that is not handled yet stands for all.
        let (touch, touched) = sync_channel(1);
        let mut watch = Watch { folder, poll_interval, kernel: None, touch, touched, stamps, is_logged: false };
        watch.renew();
        if watch.stamps != self::stamps(&watch.folder) {
            let _ = watch.touch.try_send(());
        }
        watch
    }

    /// Waits for a change, and until it is complete. Other files in the folder, such as a log that is written at
    /// each change, are ignored.
    fn wait(&mut self) {
        loop {
            while !self.is_touched() {}
            self.renew();
            let began = Instant::now();
            while began.elapsed() < LONGEST && self.touched.recv_timeout(SETTLE).is_ok() {}
            // A folder may have been created meanwhile.
            self.renew();
            let now = stamps(&self.folder);
            if self.stamps != now {
                self.stamps = now;
                return;
            }
        }
    }

    fn is_touched(&mut self) -> bool {
        if self.kernel.is_some() {
            return self.touched.recv().is_ok();
        }
        let is_touched = self.touched.recv_timeout(self.poll_interval).is_ok();
        self.renew();
        is_touched || self.stamps != stamps(&self.folder)
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
        let touch = self.touch.clone();
        notify_watch::recommended_watcher(move |event: notify_watch::Result<notify_watch::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = touch.try_send(());
            }
        })
    }
}

fn inner(folder: &Path) -> PathBuf {
    folder.join("config.d")
}

/// How the files in a folder look now.
pub(super) fn stamps(folder: &Path) -> FileStamps {
    let mut files = vec![folder.join("agent.toml"), inner(folder)];
    files.extend(fs::read_dir(inner(folder)).into_iter().flatten().flatten().map(|entry| entry.path()));
    files.sort();
    FileStamps::of(files)
}

#[cfg(test)]
mod tests;
