//! What the agent says of its configuration, for `status`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tilth_config::InventoryChange;
use tilth_config::bundle::Bundle;
use tilth_core::id::SensorId;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use super::bundle_files::RejectedBundle;
use crate::clock::Clock;
use crate::findings::Problems;

/// A handle; clones are the same. Held only to copy something in or out.
#[derive(Debug, Clone)]
pub(crate) struct ConfigStatus {
    clock: Clock,
    shown: Arc<Mutex<Shown>>,
}

/// The configuration in force, and what else came.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Names the configuration in force.
    pub(crate) hash: String,
    /// When it came into force.
    pub(crate) since: Option<WallTime>,
    /// What it has, and what is gone.
    pub(crate) entered: InventoryChange,
    /// The clock by which people read times.
    pub(super) local: Local,
    /// The configuration that is in the folder and not in force.
    pub(crate) rejected: Option<Rejected>,
    /// Sensors that are not good any more since it came into force from files, in words.
    pub(crate) warning: Option<String>,
    /// Keys of `agent.toml` that are taken up at the next start.
    pub(crate) later: Vec<&'static str>,
    /// The hub's part.
    pub(crate) bundle: BundleStatus,
}

/// A configuration that is not in force.
#[derive(Debug, Clone)]
pub(crate) struct Rejected {
    pub(crate) at: Option<WallTime>,
    pub(crate) problems: Problems,
}

/// What the hub configured.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct BundleStatus {
    /// The bundle in force.
    pub(super) bundle: Option<RunningBundle>,
    /// Why the last good bundle is not in force, and what is.
    pub(super) lost: Option<String>,
    /// Why what was remembered of bundles is gone, or cannot be read.
    pub(super) forgotten: Option<String>,
    /// Sensors that must be good again before the bundle in force has passed its probation; `None` once it has.
    pub(super) probation: Option<Vec<SensorId>>,
    /// The last bundle that was rejected.
    pub(super) refused: Option<RejectedBundle>,
    /// Why a bundle that came is not in force, or not kept, yet.
    pub(super) waits: Option<String>,
    /// Files that a bundle makes void.
    pub(super) ignored: Vec<String>,
}

/// The bundle in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RunningBundle {
    pub(super) version: u64,
    pub(super) hash: String,
}

impl From<&Bundle> for RunningBundle {
    fn from(bundle: &Bundle) -> RunningBundle {
        RunningBundle { version: bundle.version, hash: bundle.hash.to_string() }
    }
}

impl BundleStatus {
    /// This bundle is in force, and makes these files void.
    pub(super) fn follows(&mut self, bundle: RunningBundle, ignored: Vec<String>) {
        (self.bundle, self.ignored) = (Some(bundle), ignored);
        (self.lost, self.waits) = (None, None);
    }

    /// No bundle is in force any more, and why.
    pub(super) fn returns_to_files(&mut self, lost: Option<String>) {
        *self = BundleStatus { lost, forgotten: self.forgotten.take(), ..BundleStatus::default() };
    }
}

impl ConfigStatus {
    /// Of an agent that begins with this configuration; `local` is the clock of its farm.
    pub(crate) fn new(clock: Clock, hash: String, local: Local) -> ConfigStatus {
        let shown = Shown {
            hash,
            since: clock.now().1,
            entered: InventoryChange::default(),
            local,
            rejected: None,
            warning: None,
            later: Vec::new(),
            bundle: BundleStatus::default(),
        };
        ConfigStatus { clock, shown: Arc::new(Mutex::new(shown)) }
    }

    /// A copy of all of it.
    pub(crate) fn shown(&self) -> Shown {
        self.lock().clone()
    }

    /// The clock by which people read times.
    pub(crate) fn local(&self) -> Local {
        self.lock().local.clone()
    }

    /// Another configuration is in force from now on.
    pub(super) fn entered(&self, hash: &str, entered: InventoryChange, local: Local) {
        let mut shown = self.lock();
        hash.clone_into(&mut shown.hash);
        (shown.since, shown.entered, shown.local) = (self.clock.now().1, entered, local);
        shown.warning = None;
    }

    /// The clock of the farm.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sensors are not good any more since the configuration changed.
    pub(super) fn warn(&self, said: String) {
        self.lock().warning = Some(said);
    }

    /// The configuration in the folder is rejected. Says whether one was before.
    pub(super) fn rejected(&self, problems: Problems) -> bool {
        let rejected = Some(problems).filter(|problems| !problems.lines.is_empty());
        let rejected = rejected.map(|problems| Rejected { at: self.clock.now().1, problems });
        std::mem::replace(&mut self.lock().rejected, rejected).is_some()
    }

    /// Keys of `agent.toml` that are taken up at the next start. Says whether that is news.
    pub(super) fn later(&self, keys: &[&'static str]) -> bool {
        let mut shown = self.lock();
        let is_news = shown.later != keys;
        keys.clone_into(&mut shown.later);
        is_news
    }

    /// Changes the hub's part.
    pub(super) fn bundle<T>(&self, change: impl FnOnce(&mut BundleStatus) -> T) -> T {
        change(&mut self.lock().bundle)
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
