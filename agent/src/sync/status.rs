//! What sync is at, for `status`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tilth_core::time::Uptime;
use tilth_sync::engine::{AlertKind, Status};

use crate::clock;
use crate::configuration::bundle_files::Refused;

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
    bundle: Option<Running>,
    /// Why the last good bundle is not in force, and what is.
    lost: Option<String>,
    /// The last bundle that was refused.
    refused: Option<Refused>,
    /// Why a bundle that came is not in force, or not kept, yet.
    waits: Option<String>,
    /// Files that a bundle makes void.
    ignored: Vec<String>,
    /// The engine's own words.
    #[serde(flatten)]
    engine: Option<Status>,
}

/// The bundle that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Running {
    pub(crate) version: u64,
    pub(crate) hash: String,
}

impl SyncStatus {
    /// Of a farm with a hub.
    pub(crate) fn of(hub: &str) -> SyncStatus {
        let status = SyncStatus::default();
        status.shown().hub = Some(hub.to_owned());
        status
    }

    /// As a JSON object; nothing on a farm without a hub.
    pub(crate) fn json(&self) -> Option<Box<RawValue>> {
        let mut shown = self.shown().clone();
        shown.hub.as_ref()?;
        shown.now = Some(clock::machine_uptime());
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

    /// This bundle runs, and makes these files void.
    pub(crate) fn runs(&self, running: Running, ignored: Vec<String>) {
        let mut shown = self.shown();
        (shown.bundle, shown.ignored) = (Some(running), ignored);
        (shown.lost, shown.waits) = (None, None);
    }

    pub(crate) fn lost(&self, why: String) {
        self.shown().lost = Some(why);
    }

    pub(crate) fn refused(&self, refused: Option<Refused>) {
        self.shown().refused = refused;
    }

    /// Says whether that is news.
    pub(crate) fn waits(&self, why: Option<String>) -> bool {
        let mut shown = self.shown();
        let is_news = shown.waits != why;
        shown.waits = why;
        is_news
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
