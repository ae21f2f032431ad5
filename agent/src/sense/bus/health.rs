//! Health of a bus: whether it can be read, what came over it and what became of that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tilth_core::id::SensorId;
use tilth_core::time::{Uptime, WallTime};

use crate::sense::stamp::StampRejection;

/// Characters of a message or name that are kept to be shown.
const MAX_EXCERPT: usize = 80;

/// Upper limit of kept labels that no sensor reads: enough to find a misspelt name.
const MAX_UNMATCHED: usize = 16;

/// Health of one bus of any kind, counted since the agent started.
///
/// Whether a bus that is up has been silent for too long is decided by the engine, which knows the interval of each sensor.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct BusHealth {
    pub(crate) state: State,
    /// Since when the bus is up or down.
    pub(crate) since: Option<Uptime>,
    /// Times that the bus was opened.
    pub(crate) opened: u64,
    pub(crate) bytes: u64,
    /// Arrival of the newest message.
    pub(crate) last_input: Option<Uptime>,
    pub(crate) messages: MessageStats,
    /// Messages whose own time was not accepted though a sensor asks for it, by reason.
    pub(crate) rejected_stamps: BTreeMap<StampRejection, RejectedStamps>,
    /// Times that the task of the bus ended or panicked, and the last reason.
    pub(crate) failures: u64,
    pub(crate) failed: Option<String>,
    /// Sensors that are read from several nodes in turn, and which; of a bus of lines alone.
    pub(crate) mixed: BTreeMap<SensorId, String>,
    /// The board of a bus of kind board, once it said who it is.
    pub(crate) board: Option<BoardHealth>,
}

/// A board with Tilth's firmware, as `status` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BoardHealth {
    /// Id of the board, 16 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) firmware: String,
    /// Port or address where it was found.
    pub(crate) port: String,
    /// Why the board last booted.
    pub(crate) last_start: String,
    /// Boots since the agent first heard it.
    pub(crate) restarts: u64,
    /// Readings accepted, each once.
    pub(crate) readings: u64,
    /// Readings that its memory could not hold until they were stored.
    pub(crate) lost: u64,
    /// Readings that it holds and the store does not have yet.
    pub(crate) held: u32,
    /// Frames of the agent that did not reach it whole, since it booted.
    pub(crate) bad_frames: u16,
    /// Settings that it refuses, why, and what to do.
    pub(crate) refused: Vec<String>,
    /// Settings that it has not answered since its last Hello.
    pub(crate) unanswered: usize,
    /// Id of the board whose place it took since the agent started.
    pub(crate) instead_of: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Not tried yet.
    #[default]
    Opening,
    Up,
    /// Cannot be read, and why.
    Down(String),
}

/// What became of the messages of a bus: lines, frames, answers or topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MessageStats {
    pub(crate) received: u64,
    /// Messages that matched: they had a value for at least one sensor.
    pub(crate) matched: u64,
    /// Messages, or values of one, that were ignored, by reason.
    pub(crate) ignored: BTreeMap<Reason, u64>,
    pub(crate) last_ignored: Option<Ignored>,
    /// Unmatched labels: messages carry them and no sensor reads them.
    pub(crate) unmatched_labels: BTreeSet<String>,
    /// Names of inputs that no message has carried.
    pub(crate) missing_names: BTreeSet<String>,
    /// Sensors whose input fails, and why.
    pub(crate) faults: BTreeMap<SensorId, Arc<str>>,
}

/// Why a message was ignored; each kind of bus has its own reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reason {
    pub(crate) key: &'static str,
    pub(crate) text: &'static str,
}

/// A message that was ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) reason: Reason,
    /// Beginning of the message, as text.
    pub(crate) excerpt: String,
    /// The value of it that cannot be used, if the rest can.
    pub(crate) value: Option<UnusableValue>,
}

/// A value that a sensor reads and cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnusableValue {
    /// Label of the field, as the board prints it.
    pub(crate) field: String,
    /// What stands there.
    pub(crate) text: String,
    pub(crate) sensor: SensorId,
}

/// Messages whose own time was not accepted, for one reason.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RejectedStamps {
    pub(crate) messages: u64,
    /// Arrival of the first and the last of them.
    pub(crate) first: Uptime,
    pub(crate) last: Uptime,
    /// The last such stamp, and a sensor that it was meant for.
    pub(crate) stamp: Option<WallTime>,
    pub(crate) sensor: SensorId,
}

/// Health that the task of a bus writes and `status` reads. Clones are the same; the lock is held only to copy.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthHandle(Arc<Mutex<BusHealth>>);

impl Reason {
    pub(crate) const fn new(key: &'static str, text: &'static str) -> Reason {
        Reason { key, text }
    }
}

impl State {
    /// Name in JSON.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            State::Opening => "opening",
            State::Up => "up",
            State::Down(_) => "down",
        }
    }

    /// Why the bus is down.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            State::Down(why) => Some(why),
            State::Opening | State::Up => None,
        }
    }
}

impl MessageStats {
    /// Why the input of a sensor fails from now on; none where it does not.
    pub(crate) fn set_fault(&mut self, sensor: &SensorId, why: Option<&Arc<str>>) {
        match why {
            Some(why) => drop(self.faults.insert(sensor.clone(), Arc::clone(why))),
            None => drop(self.faults.remove(sensor)),
        }
    }

    /// How often messages, or values of one, were ignored for a reason.
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        self.ignored.get(&reason).copied().unwrap_or(0)
    }

    /// Counts a message that is ignored; with `value` only that value of it is.
    pub(crate) fn ignore(&mut self, reason: Reason, message: &str, value: Option<UnusableValue>) {
        *self.ignored.entry(reason).or_default() += 1;
        self.last_ignored = Some(Ignored { reason, excerpt: excerpt(message), value });
    }

    /// Keeps a label that a message carries and no sensor reads, up to a limit.
    pub(crate) fn note_unmatched(&mut self, label: &str) {
        if self.unmatched_labels.len() < MAX_UNMATCHED && !self.unmatched_labels.contains(label) {
            self.unmatched_labels.insert(excerpt(label));
        }
    }
}

/// Beginning of a text, with only what can be printed.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(MAX_EXCERPT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl BusHealth {
    /// Counts a message whose own time was not accepted; answers whether it is the first for this reason.
    pub(crate) fn reject_stamp(
        &mut self,
        why: StampRejection,
        stamp: Option<WallTime>,
        sensor: SensorId,
        now: Uptime,
    ) -> bool {
        let before = self.rejected_stamps.get(&why).map(|before| (before.messages, before.first));
        let (messages, first) = before.unwrap_or((0, now));
        self.rejected_stamps.insert(why, RejectedStamps { messages: messages + 1, first, last: now, stamp, sensor });
        before.is_none()
    }

    pub(super) fn up(&mut self, now: Uptime) {
        self.opened += 1;
        self.since = Some(now);
        self.state = State::Up;
    }

    /// The reason is the newest one; answers whether it is another than before.
    pub(super) fn down(&mut self, why: &str, now: Uptime) -> bool {
        if self.state.reason().is_none() {
            self.since = Some(now);
        }
        let is_news = self.state.reason() != Some(why);
        self.state = State::Down(why.to_owned());
        is_news
    }
}

impl HealthHandle {
    /// A copy of the health as it is now.
    pub(crate) fn get(&self) -> BusHealth {
        self.lock().clone()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BusHealth> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
