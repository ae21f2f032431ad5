//! A value on its way: raw as it came from an input, and judged as everything after sees it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Uptime;
use crate::value::Steps;

/// How far a value can be believed. It travels with the value everywhere.
///
/// Ordered from best to worst where that matters: the worse of two opinions holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Believed.
    Good,
    /// Made by a simulation; decided on like a good one, and never mistaken for one.
    Simulated,
    /// The sensor is being calibrated: what it says is about the buffer solution, not the crop.
    Calibrating,
    /// Possible but doubtful: it jumped faster than the sensor can, or has not moved for too long.
    Suspect,
    /// The newest value is too old to speak for now.
    Stale,
    /// Impossible: outside the plausible range, or the input itself says it failed.
    Fault,
}

impl Quality {
    /// Whether a rule may decide on a value of this quality.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Quality::Good | Quality::Simulated)
    }

    /// What an input said of a value that was judged since, as far as that is known: a history is judged anew by other ranges and rates.
    #[must_use]
    pub const fn stated(self) -> Quality {
        match self {
            Quality::Calibrating | Quality::Simulated => self,
            Quality::Good | Quality::Suspect | Quality::Stale | Quality::Fault => Quality::Good,
        }
    }

    /// The quality that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Quality> {
        use Quality::{Calibrating, Fault, Good, Simulated, Stale, Suspect};
        [Good, Simulated, Calibrating, Suspect, Stale, Fault].into_iter().find(|quality| quality.name() == name)
    }

    /// The word in events and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Quality::Good => "good",
            Quality::Simulated => "simulated",
            Quality::Calibrating => "calibrating",
            Quality::Suspect => "suspect",
            Quality::Stale => "stale",
            Quality::Fault => "fault",
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A sensor's index in the plan's sorted list of sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorIx(pub u32);

/// A value as it came from an input, before anything was done to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Raw {
    /// Sensor that measured.
    pub sensor: SensorIx,
    /// The value's own time; at arrival, or as its source stamped it.
    pub at: Uptime,
    /// In the unit of the input; not a number where the input answered without a value, which with [`Quality::Fault`] is a failure of the
    /// sensor and else only counted.
    pub value: f64,
    /// What the input itself says of it.
    pub quality: Quality,
}

/// A value calibrated, rounded and judged: what rules, windows, the store and the wire see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Sensor that measured.
    pub sensor: SensorIx,
    /// The value's own time.
    pub at: Uptime,
    /// The value in steps of the sensor's resolution.
    pub steps: Steps,
    /// How far it can be believed.
    pub quality: Quality,
    /// The number before calibration, for the store while the calibration is not the identity.
    pub raw: f64,
    /// Older than the sensor's newest: stored and counted in its window, but it moves nothing.
    pub late: bool,
}
