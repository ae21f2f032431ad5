//! Status of sync, for `tilth-agent status` and the API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tilth_core::time::Uptime;
use tilth_sync::engine::{ProblemKind, Status};

use crate::clock;
use crate::configuration::BundleStatus;

/// Handle of the status; clones share it. Locked only to copy something in or out.
#[derive(Debug, Clone, Default)]
pub(crate) struct SyncStatus(Arc<Mutex<Shown>>);

/// The status in the form of its JSON. All times are uptimes of the machine, whatever clock the agent runs on.
#[derive(Debug, Clone, Default, Serialize)]
struct Shown {
    /// Address of the hub; `None` where none is configured.
    hub: Option<String>,
    /// The present on the same clock as the times below, milliseconds.
    now: Option<Uptime>,
    /// Why sync cannot start.
    #[serde(rename = "trouble")]
    start_error: Option<String>,
    /// Problems that need a person, with their reasons.
    #[serde(rename = "alerts")]
    problems: BTreeMap<ProblemKind, String>,
    #[serde(flatten)]
    bundle: BundleStatus,
    /// Status of the sync engine, once there is one.
    #[serde(flatten)]
    engine: Option<Status>,
}

impl SyncStatus {
    pub(crate) fn of(hub: &str) -> SyncStatus {
        let status = SyncStatus::default();
        status.shown().hub = Some(hub.to_owned());
        status
    }

    /// JSON object, with the status of bundles; `None` where no hub is configured.
    pub(crate) fn json(&self, bundle: BundleStatus) -> Option<Box<RawValue>> {
        let mut shown = self.shown().clone();
        shown.hub.as_ref()?;
        (shown.now, shown.bundle) = (Some(clock::machine_uptime()), bundle);
        to_raw_value(&shown).ok()
    }

    pub(crate) fn set_start_error(&self, error: Option<String>) {
        self.shown().start_error = error;
    }

    pub(crate) fn set_engine(&self, status: Status) {
        self.shown().engine = Some(status);
    }

    pub(crate) fn set_problem(&self, kind: ProblemKind, reason: Option<String>) {
        let mut shown = self.shown();
        match reason {
            Some(reason) => shown.problems.insert(kind, reason),
            None => shown.problems.remove(&kind),
        };
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
