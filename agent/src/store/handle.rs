//! Handles of the store's thread: decide records, sync and the API ask. None of them waits for a disk.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use tilth_core::time::Span;

use super::Store;
use super::buffer::{BEHIND, Buffer, Losses};
use super::commit::Commit;
use super::lane::LaneStates;
use super::progress::Progress;
use super::questions::{Questions, Unanswered};

/// Jobs that wait for the thread. When the queue is full, commits gather on the side of decide under the same limits as in the thread, and
/// questions are refused, to be asked again.
pub(crate) const QUEUE: usize = 256;

/// How long the last commit waits for room in the queue: a disk that hangs must not keep the agent from ending.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(1);

/// Interval of checks for that room.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Work for the store's thread.
pub(super) enum StoreJob {
    Record(Vec<Commit>, Losses),
    Change(Box<dyn FnOnce(&mut Store) + Send>),
    /// Commits what waits, then answers whether everything is on the disk.
    Flush(Box<dyn FnOnce(bool) + Send>),
    Stop,
}

/// Handle of decide. Recording never waits.
pub(crate) struct StoreWriter {
    jobs: SyncSender<StoreJob>,
    overflow: Buffer,
    progress: Progress,
}

/// Handle for questions and confirmations.
#[derive(Clone)]
pub(crate) struct StoreHandle {
    pub(super) jobs: SyncSender<StoreJob>,
    pub(super) questions: Questions,
    pub(super) progress: Progress,
}

impl StoreWriter {
    /// Handle of a thread that does `jobs` and gathers readings for `interval`.
    pub(super) fn new(jobs: SyncSender<StoreJob>, interval: Span) -> StoreWriter {
        StoreWriter { jobs, overflow: Buffer::new(interval), progress: Progress::default() }
    }

    /// Hands a commit over. With the queue full it stays here until the next one; beyond the limits the oldest is dropped
    /// and counted.
    pub(crate) fn record(&mut self, commit: Commit) {
        self.progress.record(commit.now);
        self.overflow.set_drop_cause(self.progress.state().cause.unwrap_or(BEHIND));
        self.overflow.add(commit);
        self.send_commits();
    }

    /// Has what was recorded so far committed, and answers whether all of it is on the disk; a dose waits for that. Busy when the queue is
    /// full, or commits wait for room in it: what waits for the answer does not happen.
    pub(crate) fn flush(&self, answer: impl FnOnce(bool) + Send + 'static) -> Result<(), Unanswered> {
        if !self.overflow.is_empty() {
            return Err(Unanswered::Busy);
        }
        self.jobs.try_send(StoreJob::Flush(Box::new(answer))).map_err(|_| Unanswered::Busy)
    }

    /// The highest number of an alert that is reserved on the disk, since the thread began to write; 0 before.
    pub(crate) fn alerts_through(&self) -> u64 {
        self.progress.state().alerts_through
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn send_commits(&mut self) {
        let (commits, lost) = self.overflow.take();
        if let Err(TrySendError::Full(StoreJob::Record(commits, lost))) =
            self.jobs.try_send(StoreJob::Record(commits, lost))
        {
            self.overflow.set_drop_cause(self.progress.state().cause.unwrap_or(BEHIND));
            self.overflow.add_lost(&lost);
            commits.into_iter().for_each(|commit| self.overflow.add(commit));
        }
    }

    /// Hands over what is left and lets the thread commit everything and end. Waits for room in the queue, but not for long.
    pub(crate) fn stop(mut self) {
        let end = Instant::now() + LAST_WAIT;
        while !self.try_stop() && Instant::now() < end {
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn try_stop(&mut self) -> bool {
        self.send_commits();
        self.overflow.is_empty() && !matches!(self.jobs.try_send(StoreJob::Stop), Err(TrySendError::Full(_)))
    }
}

impl StoreHandle {
    /// Has the store's thread change something; `change` answers by a channel of its own. While the database cannot be opened it is
    /// dropped, and with it its channel. Busy when the queue is full: try again later. What is only read is asked with
    /// [`StoreHandle::read`].
    pub(crate) fn change(&self, change: impl FnOnce(&mut Store) + Send + 'static) -> Result<(), Unanswered> {
        self.jobs.try_send(StoreJob::Change(Box::new(change))).map_err(|_| Unanswered::Busy)
    }

    /// Committed and confirmed sequences of each lane of the outbox.
    pub(crate) fn lanes(&self) -> LaneStates {
        self.progress.lanes()
    }

    /// Commits what waits and lets the thread end, where no other task could tell it to.
    pub(crate) fn stop(&self) {
        // A queue that is full is of a thread that hangs, and one that is closed of a thread that has ended.
        let _ = self.jobs.try_send(StoreJob::Stop);
    }
}
