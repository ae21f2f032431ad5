//! Actuators: relays, pumps and valves as they are configured, checked. The interlock says when they may run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Id, SensorId};
use crate::time::Span;

/// A relay, pump, valve or climate unit of one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actuator {
    /// Name of the actuator, unique on a device.
    pub id: Id,
    /// Zone of the actuator; a hold of the zone stops it.
    pub zone: Id,
    /// What drives it.
    pub output: Output,
    /// False: it is kept off.
    pub enabled: bool,
    /// The output is energised while the actuator is off, so that loss of agent, board or power switches it on: a siren.
    pub normally_energised: bool,
    /// A channel tells people by it. A hold of its zone leaves it alone: hands in the tank are no reason for a silent alarm.
    #[serde(default)]
    pub is_alarm: bool,
    /// Longest time on without a pause; none only where the output is normally energised.
    pub max_on: Option<Span>,
    /// Shortest pause after it was on.
    pub min_off: Span,
    /// Longest time on within any hour.
    pub dose_per_hour: Option<Span>,
    /// Longest time on within any 24 hours.
    pub dose_per_day: Option<Span>,
    /// Actuators that are never on together with it. The exclusion is mutual, whichever of the two names the other.
    pub excludes: BTreeSet<Id>,
    /// Sensors without whose believed, recent value it is off.
    pub needs_fresh: BTreeSet<SensorId>,
}

/// What drives an actuator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// A relay of a board with our firmware.
    Board {
        /// The bus that the board is on.
        bus: Id,
        /// The board's name for the relay.
        channel: Id,
    },
}

/// The actuators of a plan by name, shared with everybody who reads the plan.
pub type Actuators = Arc<BTreeMap<Id, Actuator>>;

/// What an actuator should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// On for so long; without a time for as long as its `max_on`.
    On(Option<Span>),
    /// Off at once.
    Off,
}

impl Actuator {
    /// Whether its time on is limited in total, so that it is booked before it is switched on.
    #[must_use]
    pub fn has_total(&self) -> bool {
        self.dose_per_hour.is_some() || self.dose_per_day.is_some()
    }

    /// Whether another definition drives the same output in the same way.
    #[must_use]
    pub fn is_wired_as(&self, other: &Actuator) -> bool {
        self.output == other.output && self.normally_energised == other.normally_energised
    }
}

impl Output {
    /// The bus that the output is on.
    #[must_use]
    pub fn bus(&self) -> &Id {
        match self {
            Output::Board { bus, .. } => bus,
        }
    }
}

/// Form in documents: `board:gateway/relay-1`.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Board { bus, channel } => write!(f, "board:{bus}/{channel}"),
        }
    }
}
