//! What the tasks post about themselves, for whoever asks how the agent is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_config::Entered;
use tilth_core::id::Id;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use crate::clock::Clock;
use crate::sense::line::LineStatus;
use crate::store::Meter;

/// What is missing is said so often in `status`, the newest first.
pub(crate) const MOST_MISSING: usize = 5;

/// The facts; clones are the same. Held only to copy something in or out.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    clock: Clock,
    posted: Arc<Mutex<Posted>>,
}

#[derive(Debug)]
pub(crate) struct Posted {
    /// Names the configuration that runs, and when it began to.
    pub(crate) hash: String,
    pub(crate) since: Option<WallTime>,
    /// What it has, and what is gone.
    pub(crate) entered: Entered,
    /// The clock by which people read times.
    pub(crate) local: Local,
    pub(crate) refused: Option<Refusal>,
    /// Keys of `agent.toml` that are taken up at the next start.
    pub(crate) later: Vec<&'static str>,
    pub(crate) buses: Vec<Bus>,
    /// Why nothing can be written.
    pub(crate) trouble: Option<String>,
    /// What was dropped and is not written down yet, in words.
    pub(crate) dropped: Vec<String>,
    /// What of the history is missing, as it was noticed at this start and the ones before.
    pub(crate) missing: Vec<String>,
    pub(crate) meter: Meter,
}

/// A configuration that is not in force.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) at: Option<WallTime>,
    pub(crate) problems: Vec<String>,
}

/// A bus and where it is plugged in.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    pub(crate) id: Id,
    pub(crate) port: String,
    pub(crate) status: LineStatus,
}

impl Facts {
    /// Of an agent that begins with this configuration; `local` is the clock of its farm.
    pub(crate) fn new(clock: Clock, hash: String, local: Local) -> Facts {
        let posted = Posted {
            hash,
            since: clock.now().1,
            entered: Entered::default(),
            local,
            refused: None,
            later: Vec::new(),
            buses: Vec::new(),
            trouble: None,
            dropped: Vec::new(),
            missing: Vec::new(),
            meter: Meter::default(),
        };
        Facts { clock, posted: Arc::new(Mutex::new(posted)) }
    }

    /// The clock by which people read times.
    pub(crate) fn local(&self) -> Local {
        self.posted().local.clone()
    }

    /// Whether this is not the configuration that is in force.
    pub(crate) fn is_another(&self, hash: &str) -> bool {
        self.posted().hash != hash
    }

    /// This configuration is in force.
    pub(crate) fn entered(&self, hash: &str, entered: Entered, local: Local) {
        let mut posted = self.posted();
        posted.local = local;
        hash.clone_into(&mut posted.hash);
        (posted.since, posted.entered) = (self.clock.now().1, entered);
    }

    /// What lies there is what is in force. Says whether something was refused before.
    pub(crate) fn mended(&self) -> bool {
        self.posted().refused.take().is_some()
    }

    /// What lies there is refused.
    pub(crate) fn refused(&self, problems: Vec<String>) {
        self.posted().refused = Some(Refusal { at: self.clock.now().1, problems });
    }

    /// These keys of `agent.toml` are taken up at the next start. Says whether that is news.
    pub(crate) fn later(&self, keys: Vec<&'static str>) -> bool {
        let mut posted = self.posted();
        let is_news = posted.later != keys;
        posted.later = keys;
        is_news
    }

    /// These buses are read.
    pub(crate) fn buses(&self, buses: Vec<Bus>) {
        self.posted().buses = buses;
    }

    /// Nothing can be written; nothing where it works again.
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

    pub(crate) fn posted(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
