//! Two sensors of one quantity held against each other, also of different resolutions.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{SensorRef, compare};
use crate::reading::SensorIx;
use crate::value::{Steps, Value};

/// What the limit of a difference is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The unit of both sensors.
    Unit,
    /// Percent of the other sensor's value: at 0 every difference is above the limit.
    PercentOfOther,
}

/// How far two sensors may lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Difference {
    pub(super) own: SensorRef,
    pub(super) other: SensorRef,
    pub(super) limit: f64,
    pub(super) clear: f64,
    pub(super) scale: Scale,
}

impl Difference {
    /// Whether two values lie further apart than the limit; than the clearing limit, if the alert is already raised.
    pub(super) fn is_beyond(&self, own: Steps, other: Steps, firing: bool) -> bool {
        let billionths = |steps, input: SensorRef| Value { steps, resolution: input.resolution }.billionths();
        let (own, other) = (billionths(own, self.own), billionths(other, self.other));
        let limit = if firing { self.clear } else { self.limit };
        let limit = match self.scale {
            Scale::Unit => limit * 1e9,
            Scale::PercentOfOther => limit / 100.0 * other.unsigned_abs() as f64,
        };
        compare(self.apart(own, other) as f64, limit) == Ordering::Greater
    }

    /// In billionths; on a circle the shorter way round.
    fn apart(&self, own: i128, other: i128) -> u128 {
        let apart = (own - other).unsigned_abs();
        match self.own.quantity.circle() {
            None => apart,
            Some(circle) => {
                let circle = (circle * 1e9) as u128;
                (apart % circle).min(circle - apart % circle)
            }
        }
    }

    pub(super) fn other(&self) -> SensorIx {
        self.other.sensor
    }
}
