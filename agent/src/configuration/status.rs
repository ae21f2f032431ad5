//! Status of the configuration, for `tilth-agent status` and the API.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_config::InventoryChange;
use tilth_config::bundle::Bundle;
use tilth_core::id::SensorId;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use super::bundle_files::RejectedBundle;
use crate::clock::Clock;
use crate::findings::Problems;

/// Handle of the status; clones share it. Locked only to copy something in or out.
#[derive(Debug, Clone)]
pub(crate) struct ConfigStatus {
    clock: Clock,
    shown: Arc<Mutex<StatusSnapshot>>,
}

#[derive(Debug, Clone)]
pub(crate) struct StatusSnapshot {
    /// Hash that names the active configuration.
    pub(crate) hash: String,
    pub(crate) since: Option<WallTime>,
    /// Inventory, and what is gone since the configuration before.
    pub(crate) change: InventoryChange,
    /// Time zone of the times that people read.
    pub(super) local: Local,
    /// The configuration in the folder, where it is rejected.
    pub(crate) rejected: Option<Rejected>,
    /// Sensors that are not good since the configuration became active from files, in words.
    pub(crate) warning: Option<String>,
    /// Changed keys of `agent.toml` that need a restart.
    pub(crate) restart_keys: Vec<&'static str>,
    pub(crate) bundle: BundleStatus,
}

#[derive(Debug, Clone)]
pub(crate) struct Rejected {
    pub(crate) at: Option<WallTime>,
    pub(crate) problems: Problems,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct BundleStatus {
    /// Version and content hash of the active bundle.
    pub(crate) active: Option<(u64, String)>,
    /// Why the last good bundle is not active, and what is.
    pub(crate) unavailable_reason: Option<String>,
    /// Why `bundle.state` was lost or cannot be read.
    pub(crate) state_error: Option<String>,
    /// Sensors that must be good again before the active bundle has passed its probation; `None` once it has.
    pub(crate) probation: Option<Vec<SensorId>>,
    pub(crate) rejected: Option<RejectedBundle>,
    /// Why a received bundle is not applied, or not saved, yet.
    pub(crate) deferred_reason: Option<String>,
    /// Files of `config.d` that are ignored because of the bundle.
    pub(crate) ignored: Vec<String>,
}

impl BundleStatus {
    /// Records that this bundle is active.
    pub(super) fn set_active(&mut self, bundle: &Bundle) {
        self.active = Some((bundle.version, bundle.hash.to_string()));
        (self.unavailable_reason, self.deferred_reason) = (None, None);
    }

    /// No bundle is active any more, and why.
    pub(super) fn returns_to_files(&mut self, unavailable_reason: Option<String>) {
        *self = BundleStatus { unavailable_reason, state_error: self.state_error.take(), ..BundleStatus::default() };
    }
}

impl ConfigStatus {
    /// At the start with this configuration; `local` is the farm's time zone.
    pub(crate) fn new(clock: Clock, hash: String, local: Local) -> ConfigStatus {
        let shown = StatusSnapshot {
            hash,
            since: clock.now().1,
            change: InventoryChange::default(),
            local,
            rejected: None,
            warning: None,
            restart_keys: Vec::new(),
            bundle: BundleStatus::default(),
        };
        ConfigStatus { clock, shown: Arc::new(Mutex::new(shown)) }
    }

    pub(crate) fn shown(&self) -> StatusSnapshot {
        self.lock().clone()
    }

    pub(crate) fn local(&self) -> Local {
        self.lock().local.clone()
    }

    /// Another configuration is active from now on.
    pub(super) fn set_active(&self, hash: &str, change: InventoryChange, local: Local) {
        let mut shown = self.lock();
        hash.clone_into(&mut shown.hash);
        (shown.since, shown.change, shown.local) = (self.clock.now().1, change, local);
        shown.warning = None;
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sensors are not good since the configuration changed.
    pub(super) fn set_warning(&self, said: String) {
        self.lock().warning = Some(said);
    }

    /// The configuration in the folder is rejected; where there are no problems, it is not. Returns whether one was before.
    pub(super) fn set_rejected(&self, problems: Problems) -> bool {
        let rejected = Some(problems).filter(|problems| !problems.is_empty());
        let rejected = rejected.map(|problems| Rejected { at: self.clock.now().1, problems });
        std::mem::replace(&mut self.lock().rejected, rejected).is_some()
    }

    /// Records which keys of `agent.toml` need a restart. Returns whether that is news.
    pub(super) fn set_restart_keys(&self, keys: &[&'static str]) -> bool {
        let mut shown = self.lock();
        let is_news = shown.restart_keys != keys;
        keys.clone_into(&mut shown.restart_keys);
        is_news
    }

    pub(super) fn update_bundle<T>(&self, change: impl FnOnce(&mut BundleStatus) -> T) -> T {
        change(&mut self.lock().bundle)
    }

    fn lock(&self) -> MutexGuard<'_, StatusSnapshot> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
