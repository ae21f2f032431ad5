//! Inputs that speak and have no value for a sensor: the engine is told that they failed, people are told why.

use std::sync::Arc;

use tilth_core::id::SensorId;
use tilth_core::plan::AlertKey;
use tilth_core::rules::Condition;

use super::Decide;
use crate::output::tell;
use crate::sense::sample::Sample;

impl Decide {
    /// Said in the log once, and again when it is something else.
    pub(super) fn input_fails(&mut self, sensor: &SensorId, why: Arc<str>) {
        if self.faults.get(sensor) != Some(&why) {
            tell(format_args!("tilth-agent: {sensor}: fault: {why}"));
            self.faults.insert(sensor.clone(), why);
        }
    }

    /// A value came; one that is none says nothing.
    pub(super) fn input_works(&mut self, sample: &Sample) {
        if !self.faults.is_empty() && sample.value.is_finite() && self.faults.remove(&sample.sensor).is_some() {
            tell(format_args!("tilth-agent: {}: its input has a value again", sample.sensor));
        }
    }

    /// What the engine does not know of an alert: why the bus is down or unread that it is about, or why the sensor's input fails.
    pub(super) fn why(&self, key: &AlertKey) -> Option<String> {
        let is_of_sensor = || self.plan.rule(key).is_some_and(|rule| rule.condition == Condition::Faulty);
        let fault = self.faults.get(&key.sensor).filter(|_| is_of_sensor()).map(ToString::to_string);
        fault.or_else(|| self.why_down(&key.sensor)).or_else(|| self.why_unread(&key.sensor))
    }
}
