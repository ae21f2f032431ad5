//! Status of the configuration, for `tilth-agent status` and the API.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tilth_config::InventoryChange;
use tilth_config::bundle::Bundle;
use tilth_core::id::SensorId;
use tilth_core::local::Local;

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
    pub(crate) config: ConfigState,
    pub(crate) bundle: BundleStatus,
    /// Time zone of the times that people read.
    pub(super) local: Local,
}

/// The active configuration, as `status` shows it. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigState {
    pub(crate) hash: String,
    pub(crate) since: Option<String>,
    /// Contents of this configuration, and what the one before contained besides.
    #[serde(flatten)]
    pub(crate) change: InventoryChange,
    /// Changed keys of `agent.toml` that take effect at the next start.
    pub(crate) restart_keys: Vec<String>,
    /// Warning about sensors that stopped being good when it became active from files.
    pub(crate) warning: Option<String>,
    /// Newer configuration on the disk that was rejected.
    pub(crate) rejected: Option<RejectedConfig>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RejectedConfig {
    pub(crate) at: Option<String>,
    #[serde(flatten)]
    pub(crate) problems: Problems,
}

/// The hub's bundles, as `status` shows them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BundleStatus {
    #[serde(rename = "bundle")]
    pub(crate) active: Option<ActiveBundle>,
    /// Why the last good bundle is not active, and what is.
    pub(crate) unavailable_reason: Option<String>,
    /// Why `bundle.state` was lost or cannot be read.
    pub(crate) state_error: Option<String>,
    /// Sensors that must be good again before the active bundle has passed its probation; `None` once it has.
    pub(crate) probation: Option<Vec<SensorId>>,
    pub(crate) rejected: Option<RejectedBundle>,
    /// Why a received bundle is not applied, or not saved, yet.
    #[serde(rename = "pending_reason")]
    pub(crate) deferred_reason: Option<String>,
    /// Files of `config.d` that are ignored because of the bundle.
    pub(crate) ignored: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ActiveBundle {
    pub(crate) version: u64,
    /// Hash of its content.
    pub(crate) hash: String,
}

impl BundleStatus {
    /// Records that this bundle is active.
    pub(super) fn set_active(&mut self, bundle: &Bundle) {
        self.active = Some(ActiveBundle { version: bundle.version, hash: bundle.hash.to_string() });
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
        let config = ConfigState { hash, since: now(&clock), ..ConfigState::default() };
        let shown = StatusSnapshot { config, bundle: BundleStatus::default(), local };
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
        hash.clone_into(&mut shown.config.hash);
        (shown.config.since, shown.config.change, shown.local) = (now(&self.clock), change, local);
        shown.config.warning = None;
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sensors are not good since the configuration changed.
    pub(super) fn set_warning(&self, said: String) {
        self.lock().config.warning = Some(said);
    }

    /// The configuration in the folder is rejected; where there are no problems, it is not. Returns whether one was before.
    pub(super) fn set_rejected(&self, problems: Problems) -> bool {
        let rejected = Some(problems).filter(|problems| !problems.is_empty());
        let rejected = rejected.map(|problems| RejectedConfig { at: now(&self.clock), problems });
        std::mem::replace(&mut self.lock().config.rejected, rejected).is_some()
    }

    /// Records which keys of `agent.toml` need a restart. Returns whether that is news.
    pub(super) fn set_restart_keys(&self, keys: &[&'static str]) -> bool {
        let before = &mut self.lock().config.restart_keys;
        let is_news = before != keys;
        *before = keys.iter().map(ToString::to_string).collect();
        is_news
    }

    pub(super) fn update_bundle<T>(&self, change: impl FnOnce(&mut BundleStatus) -> T) -> T {
        change(&mut self.lock().bundle)
    }

    fn lock(&self) -> MutexGuard<'_, StatusSnapshot> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time of day, where it is trusted.
fn now(clock: &Clock) -> Option<String> {
    clock.now().1.map(|now| now.to_string())
}
