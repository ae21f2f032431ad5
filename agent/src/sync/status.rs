//! What sync is at, for `status`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tilth_core::time::Uptime;
use tilth_sync::engine::{AlertKind, Status};

use crate::clock;
use crate::configuration::BundleStatus;

/// A handle; clones are the same. Held only to copy something in or out.
#[derive(Debug, Clone, Default)]
pub(crate) struct SyncStatus(Arc<Mutex<Shown>>);

/// As it is shown. All times are on the machine's uptime, whatever clock the farm runs on.
#[derive(Debug, Clone, Default, Serialize)]
struct Shown {
    /// The hub's address; none on a farm without one.
    hub: Option<String>,
    /// The present on the same clock as the times below, milliseconds.
    now: Option<Uptime>,
    /// Why it cannot begin.
    trouble: Option<String>,
    /// What needs a person.
    alerts: BTreeMap<AlertKind, String>,
    /// The configuration that the hub gave.
    #[serde(flatten)]
    bundle: BundleStatus,
    /// The engine's own words.
    #[serde(flatten)]
    engine: Option<Status>,
}

impl SyncStatus {
    pub(crate) fn of(hub: &str) -> SyncStatus {
        let status = SyncStatus::default();
        status.shown().hub = Some(hub.to_owned());
        status
    }

    /// As a JSON object, with what the hub configured; `None` on a farm without a hub.
    pub(crate) fn json(&self, bundle: BundleStatus) -> Option<Box<RawValue>> {
        let mut shown = self.shown().clone();
        shown.hub.as_ref()?;
        (shown.now, shown.bundle) = (Some(clock::machine_uptime()), bundle);
        to_raw_value(&shown).ok()
    }

    pub(crate) fn trouble(&self, trouble: Option<String>) {
        self.shown().trouble = trouble;
    }

    pub(crate) fn engine(&self, status: Status) {
        self.shown().engine = Some(status);
    }

    pub(crate) fn alert(&self, kind: AlertKind, reason: Option<String>) {
        let mut shown = self.shown();
        match reason {
            Some(reason) => shown.alerts.insert(kind, reason),
            None => shown.alerts.remove(&kind),
        };
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
