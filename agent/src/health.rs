//! What the tasks post about their condition, for whoever asks how the agent is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_core::id::Id;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use crate::output::tell;
use crate::sense::bus::HealthHandle;
use crate::store::{Meter, Missing};

/// Upper limit of messages about missing history in `status`, the newest first.
pub(crate) const MOST_MISSING: usize = 5;

/// A handle; clones are the same. Held only to copy something in or out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health(Arc<Mutex<Posted>>);

/// What was posted.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    pub(crate) buses: Vec<Bus>,
    /// Why nothing can be written.
    pub(crate) trouble: Option<String>,
    /// What was dropped and is not written down yet, in words.
    pub(crate) dropped: Vec<String>,
    /// What of the history is missing, as it was noticed at this start and the ones before.
    pub(crate) missing: Vec<String>,
    pub(crate) meter: Meter,
}

/// A bus and where it is plugged in.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    pub(crate) id: Id,
    pub(crate) port: String,
    pub(crate) health: HealthHandle,
}

impl Health {
    /// These buses are read.
    pub(crate) fn buses(&self, buses: Vec<Bus>) {
        self.posted().buses = buses;
    }

    /// Why nothing can be written; `None` where it works again.
    pub(crate) fn store_trouble(&self, trouble: Option<String>) {
        self.posted().trouble = trouble;
    }

    /// This was dropped and is not written down yet.
    pub(crate) fn dropped(&self, dropped: Vec<String>) {
        self.posted().dropped = dropped;
    }

    /// This of the history is missing.
    pub(crate) fn missing(&self, said: String) {
        let mut posted = self.posted();
        posted.missing.truncate(MOST_MISSING - 1);
        posted.missing.insert(0, said);
    }

    /// This of the history is missing: in the log, too, where `local` shows times. The task that decides makes it an event.
    pub(crate) fn say_missing(&self, missing: &Missing, now: Option<WallTime>, local: &Local) {
        tell(format_args!("tilth-agent: store: {}", missing.said(now, |at| local.second(at))));
        self.missing(missing.said(now, |at| at.to_string()));
    }

    /// All that was posted.
    pub(crate) fn posted(&self) -> MutexGuard<'_, Posted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
