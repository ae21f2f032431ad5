//! How far the store's thread has come, and what is in its way, for those who hand it something.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_core::time::Uptime;

use super::buffer::Cause;
use super::lane::LaneStates;

/// How far the thread has come with what was recorded. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<Marks>>);

#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The latest commit that was recorded.
    recorded: Option<Uptime>,
    /// What was recorded from here on is not on the disk. Nothing where all is.
    unwritten_from: Option<Uptime>,
    /// Why nothing can be written; nothing while it can.
    pub(super) cause: Option<Cause>,
    /// With what the hub confirmed and no commit has written yet.
    pub(super) lanes: LaneStates,
    /// The highest number of an alert that is reserved on the disk, since the thread began to write; 0 before.
    pub(super) alerts_through: u64,
}

impl Progress {
    /// From which instant on nothing of what was recorded is on the disk; nothing where all is.
    pub(crate) fn unwritten_from(&self) -> Option<Uptime> {
        self.marks().unwritten_from
    }

    pub(crate) fn lanes(&self) -> LaneStates {
        self.marks().lanes
    }

    pub(super) fn record(&self, now: Uptime) {
        let mut marks = self.marks();
        marks.recorded = Some(now);
        marks.unwritten_from.get_or_insert(now);
    }

    pub(super) fn written(&self, until: Uptime) {
        let mut marks = self.marks();
        let is_all = marks.recorded <= Some(until);
        marks.unwritten_from = marks.unwritten_from.filter(|_| !is_all).map(|from| from.max(until));
        marks.cause = None;
    }

    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
