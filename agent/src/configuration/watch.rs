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

/// Between two looks at a folder that the kernel does not watch. A person who changed a file waits no longer than that.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// An editor writes a file in several steps: they are one change if nothing follows for this long.
const SETTLE: Duration = Duration::from_millis(200);

/// Longest wait for a change to be complete.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches a folder on a thread of its own, for as long as somebody hears of its changes: when each was complete. `stamps` says
/// how the folder looked when it was read last.
pub(super) fn start(folder: PathBuf, stamps: FileStamps) -> io::Result<mpsc::Receiver<Instant>> {
    // While one change is dealt with the next may wait; more are one.
    let (changed, changes) = mpsc::channel(1);
    let watch = move || {
        let mut watch = Watch::new(folder, stamps, LOOK_AGAIN);
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
    look_again: Duration,
    /// Nothing while the folder is looked at instead.
    kernel: Option<RecommendedWatcher>,
    touch: SyncSender<()>,
    touched: Receiver<()>,
    stamps: FileStamps,
    said: bool,
}

impl Watch {
    /// A folder that was read last when it looked like this.
    fn new(folder: PathBuf, stamps: FileStamps, look_again: Duration) -> Watch {
        // One touch that nobody has noticed yet says as much as many.
        let (touch, touched) = sync_channel(1);
        let mut watch = Watch { folder, look_again, kernel: None, touch, touched, stamps, said: false };
        watch.renew();
        if watch.stamps != self::stamps(&watch.folder) {
            let _ = watch.touch.try_send(());
        }
        watch
    }

    /// Waits for a change, and until it is complete. What else is in the folder, such as a log that tells of each change, is
    /// none.
    fn wait(&mut self) {
        loop {
            while !self.is_touched() {}
            self.renew();
            let began = Instant::now();
            while began.elapsed() < LONGEST && self.touched.recv_timeout(SETTLE).is_ok() {}
            // A folder may have been made meanwhile.
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
        let is_touched = self.touched.recv_timeout(self.look_again).is_ok();
        self.renew();
        is_touched || self.stamps != stamps(&self.folder)
    }

    /// The folders may be made, or others be put in their place, at any time: each time what is there now is watched.
    fn renew(&mut self) {
        match self.watched() {
            Ok(kernel) => {
                self.kernel = Some(kernel);
                self.said = false;
            }
            Err(error) if !self.said => {
                self.said = true;
                let (folder, secs) = (self.folder.display(), self.look_again.as_secs());
                warn!("{folder}: looked at every {secs} s, for it cannot be watched: {error}");
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
