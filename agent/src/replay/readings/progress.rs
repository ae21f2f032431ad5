//! How far a file has been read, for whoever waits for it on another thread.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read, of how many where that is known. A packed file counts as it lies on the disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    pub(super) fn of(file: &File) -> Progress {
        let total = file.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
        Progress { read: Arc::default(), total: total.filter(|total| *total > 0) }
    }
}

/// In whole percent or tens of megabytes, so that it does not change with every look.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MB: u64 = 1_000_000;
        let read = self.read.load(Ordering::Relaxed);
        match self.total {
            Some(total) => write!(f, "{} % of {} MB", read.min(total) * 100 / total, total.div_ceil(MB)),
            None => write!(f, "{} MB", read / MB / 10 * 10),
        }
    }
}

/// A source that tells how much was read from it.
pub(super) struct Counted<R> {
    pub(super) source: R,
    pub(super) progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(out)?;
        self.progress.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
