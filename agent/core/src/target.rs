//! Targets: an actuator that follows a sensor, as a heater with a thermostat does. Pure; the interlock stays below it.

use std::sync::Arc;

use crate::id::{Id, SensorId};
use crate::reading::SensorIx;
use crate::schedule::Schedule;
use crate::value::Value;

/// What an actuator follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The actuator. It must need the sensor, so that it is off without a recent value of good quality.
    pub actuator: Id,
    /// The sensor that it follows.
    pub sensor: SensorId,
    /// From then on it is wanted on.
    pub on: Limit,
    /// From then on it is wanted off. Between the two it stays as it is.
    pub off: Limit,
    /// Hours in which the actuator follows the sensor; none: always.
    pub during: Option<Arc<Schedule>>,
}

/// A limit that a value passes. One that is equal has not passed it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// The value is below this.
    Below(f64),
    /// The value is above this.
    Above(f64),
}

/// A target whose names are found in a plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CompiledTarget {
    pub(crate) target: Target,
    pub(crate) sensor: SensorIx,
    /// Place among the plan's schedules.
    pub(crate) schedule: Option<u32>,
}

impl Target {
    /// Whether a value wants the actuator on or off; none between the limits.
    pub(crate) fn wants(&self, value: Value) -> Option<bool> {
        match (self.on.is_passed(value), self.off.is_passed(value)) {
            (_, true) => Some(false),
            (true, false) => Some(true),
            (false, false) => None,
        }
    }
}

impl Limit {
    fn is_passed(self, value: Value) -> bool {
        match self {
            Limit::Below(limit) => value.steps < value.resolution.ceil(limit),
            Limit::Above(limit) => value.steps > value.resolution.floor(limit),
        }
    }
}
