//! How far the store's thread has come, and what is in its way, for those who hand it something.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_core::time::Uptime;

use super::buffer::Cause;
use super::lane::LaneStates;

/// How far the thread has come with what was recorded. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<ProgressState>>);

#[derive(Debug, Default)]
pub(super) struct ProgressState {
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
        self.state().unwritten_from
    }

    pub(crate) fn lanes(&self) -> LaneStates {
        self.state().lanes
    }

    pub(super) fn record(&self, now: Uptime) {
        let mut state = self.state();
        state.recorded = Some(now);
        state.unwritten_from.get_or_insert(now);
    }

    pub(super) fn written(&self, until: Uptime) {
        let mut state = self.state();
        let is_all = state.recorded <= Some(until);
        state.unwritten_from = state.unwritten_from.filter(|_| !is_all).map(|from| from.max(until));
        state.cause = None;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, ProgressState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
