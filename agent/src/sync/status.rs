//! Status of sync, for `tilth-agent status` and the API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_sync::engine::{ProblemKind, Status};

/// Handle of the status; clones share it. Locked only to copy something in or out.
#[derive(Debug, Clone, Default)]
pub(crate) struct SyncStatus(Arc<Mutex<SyncSnapshot>>);

#[derive(Debug, Clone, Default)]
pub(crate) struct SyncSnapshot {
    /// Address of the hub; `None` where none is configured.
    pub(crate) hub: Option<String>,
    /// Why sync cannot start.
    pub(crate) start_error: Option<String>,
    /// Problems that need a person, with their reasons.
    pub(crate) problems: BTreeMap<ProblemKind, String>,
    /// Status of the sync engine, once there is one.
    pub(crate) engine: Option<Status>,
}

impl SyncStatus {
    pub(crate) fn of(hub: &str) -> SyncStatus {
        let status = SyncStatus::default();
        status.lock().hub = Some(hub.to_owned());
        status
    }

    pub(crate) fn shown(&self) -> SyncSnapshot {
        self.lock().clone()
    }

    pub(crate) fn set_start_error(&self, error: Option<String>) {
        self.lock().start_error = error;
    }

    pub(crate) fn set_engine(&self, status: Status) {
        self.lock().engine = Some(status);
    }

    pub(crate) fn set_problem(&self, kind: ProblemKind, reason: Option<String>) {
        let mut shown = self.lock();
        match reason {
            Some(reason) => shown.problems.insert(kind, reason),
            None => shown.problems.remove(&kind),
        };
    }

    fn lock(&self) -> MutexGuard<'_, SyncSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
