//! The recording on a thread of its own, so that parsing goes on while the engine decides.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use tilth_core::time::{Span, WallTime};

use super::readings::{Progress, ReadOptions, Readings, ReadingsError, Report, Row};
use super::stored::StoredReadings;
use super::timestamps::{RejectedLines, TimestampCheck};
use crate::clock::{self, EARLIEST};
use crate::sense::stamp::AHEAD;

/// Rows handed over at once: so many that waking the other thread costs little beside them, even on a busy machine; so few
/// that they stay in the cache.
pub(super) const BATCH_ROWS: usize = 4096;

/// Batches on their way. They even out a slow disk and a busy minute of the engine; when all are full, parsing waits.
const BATCHES: usize = 8;

const DAY: Span = Span::from_mins(24 * 60);

#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    /// The sensors first met in this batch; the index of a row counts through those of all batches.
    pub(crate) names: Vec<Arc<str>>,
}

pub(crate) struct ReaderThread {
    full: Receiver<Batch>,
    thread: JoinHandle<End>,
    pub(crate) progress: Progress,
    /// Values are calibrated already.
    pub(crate) is_calibrated: bool,
}

pub(crate) struct End {
    pub(crate) report: Report,
    /// Lines whose time cannot be true; they are in no batch.
    pub(crate) rejected: RejectedLines,
    /// Why it ended before its end.
    pub(crate) broken: Option<ReadingsError>,
}

impl ReaderThread {
    pub(crate) fn open(path: &Path, options: &ReadOptions) -> Result<ReaderThread, ReadingsError> {
        let (readings, latest) = (Readings::open(path, options)?, latest(path));
        let (progress, is_calibrated) = (readings.progress.clone(), readings.is_export());
        Ok(ReaderThread::start(progress, is_calibrated, move |full| fill(readings, latest, full)))
    }

    /// Reads a store; `name` is what errors call it.
    pub(crate) fn of_store(name: String, stored: StoredReadings) -> ReaderThread {
        ReaderThread::start(Progress::default(), true, move |full| stored.fill(&name, full))
    }

    fn start(
        progress: Progress,
        is_calibrated: bool,
        fill: impl FnOnce(&SyncSender<Batch>) -> End + Send + 'static,
    ) -> ReaderThread {
        let (sender, full) = sync_channel(BATCHES);
        let thread = thread::spawn(move || fill(&sender));
        ReaderThread { full, thread, progress, is_calibrated }
    }

    pub(crate) fn next(&self) -> Option<Batch> {
        self.full.recv().ok()
    }

    pub(crate) fn end(self) -> End {
        drop(self.full);
        self.thread.join().expect("the reader does not panic")
    }
}

/// The latest time that a recording can hold: that of this machine. Where that clock is not synchronised, the file may know better:
/// it was not changed before its last line was written.
fn latest(path: &Path) -> Option<WallTime> {
    let (now, is_trusted) = clock::machine_wall();
    let changed =
        || fs::metadata(path).ok().filter(fs::Metadata::is_file).and_then(|metadata| metadata.modified().ok());
    let (latest, slack) = match is_trusted {
        true => (now, AHEAD),
        // Cards keep local times.
        false => (now.max(changed().map_or(now, clock::wall_of)), DAY),
    };
    (latest >= EARLIEST).then(|| WallTime(latest.0.saturating_add(slack.0)))
}

/// Reads to the end, to an error, or until the replay has ended.
fn fill(mut readings: Readings, latest: Option<WallTime>, full: &SyncSender<Batch>) -> End {
    let (mut named, mut ended, mut broken) = (0, false, None);
    let mut stamps = TimestampCheck::until(latest);
    while !ended {
        let mut batch = Batch { rows: Vec::with_capacity(BATCH_ROWS), names: Vec::new() };
        while batch.rows.len() < BATCH_ROWS && !ended {
            match readings.next_row() {
                Ok(Some(row)) => stamps.push(row, &mut batch.rows),
                end => {
                    broken = end.err();
                    ended = true;
                    stamps.finish(&mut batch.rows);
                }
            }
        }
        batch.names.extend_from_slice(&readings.names()[named..]);
        named = readings.names().len();
        if full.send(batch).is_err() {
            break;
        }
    }
    End { report: readings.report().clone(), rejected: stamps.rejected, broken }
}
