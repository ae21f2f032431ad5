//! Inputs that speak and have no value for a sensor: the engine is told that they failed, people are told why.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_core::engine::Engine;
use tilth_core::id::SensorId;
use tilth_core::plan::AlertKey;
use tilth_core::rules::Condition;
use tilth_core::time::{Span, Uptime};
use tracing::{info, warn};

use super::{AbsentOf, Decide, Faults};
use crate::notify::dispatch::Diagnosis;
use crate::sense::sample::Sample;

/// How often the log says of one sensor that its input fails: a board that flickers must not wear the card out.
const SAY_AGAIN_AFTER: Span = Span::from_mins(10);

/// What to do where lines come and have no value for a sensor.
const NAME_ADVICE: &str =
    "Correct the sensor's input, or what its board prints; tilth-agent status shows the names that came.";

/// What the log has said of the inputs that failed, by sensor.
#[derive(Debug, Default)]
pub(super) struct LoggedFaults(BTreeMap<SensorId, LoggedFault>);

#[derive(Debug)]
struct LoggedFault {
    at: Uptime,
    why: Arc<str>,
    is_over: bool,
}

impl LoggedFaults {
    /// Whether to say now that the input fails.
    fn fails(&mut self, sensor: &SensorId, why: &Arc<str>, now: Uptime) -> bool {
        let is_quiet = self.0.get(sensor).is_some_and(|said| {
            let is_known = !said.is_over && said.why == *why;
            is_known || now - said.at < SAY_AGAIN_AFTER
        });
        if !is_quiet {
            self.0.insert(sensor.clone(), LoggedFault { at: now, why: Arc::clone(why), is_over: false });
        }
        !is_quiet
    }

    /// Whether to say that it works again.
    fn works(&mut self, sensor: &SensorId) -> bool {
        self.0.get_mut(sensor).is_some_and(|said| !std::mem::replace(&mut said.is_over, true))
    }
}

impl Decide {
    /// Said in the log once, and again when it is something else.
    pub(super) fn input_fails(&mut self, sensor: &SensorId, why: Arc<str>) {
        if self.logged_faults.fails(sensor, &why, self.engine.now().uptime) {
            warn!(%sensor, "fault: {why}");
        }
        if self.faults.get(sensor) != Some(&why) {
            self.faults.insert(sensor.clone(), why);
        }
    }

    /// A value came; one that is none says nothing.
    pub(super) fn input_works(&mut self, sample: &Sample) {
        let has_failed =
            !self.faults.is_empty() && sample.value.is_finite() && self.faults.remove(&sample.sensor).is_some();
        if has_failed && self.logged_faults.works(&sample.sensor) {
            info!(sensor = %sample.sensor, "its input has a value again");
        }
    }

    /// What the engine does not say of an alert: why the bus is down or unread that it is about, why the sensor's input fails or its
    /// value is not believed, or that no line has its value.
    pub(super) fn cause(&self, key: &AlertKey) -> Option<Diagnosis> {
        let cause = cause(&self.engine, &self.faults, &self.absent, key);
        let of_bus = || self.why_down(&key.sensor).or_else(|| self.why_unread(&key.sensor));
        cause.or_else(|| Some(Diagnosis { why: of_bus()?, advice: None }))
    }
}

/// Why the sensor of an alert is at fault or silent, of the alert that is about that; nothing where that is not known.
pub(crate) fn cause(engine: &Engine, faults: &Faults, absent: &AbsentOf, key: &AlertKey) -> Option<Diagnosis> {
    let ix = engine.plan().sensor_ix(key.sensor.as_str())?;
    match engine.plan().rule(key)?.condition {
        Condition::Faulty => {
            let fault = faults.get(&key.sensor).map(ToString::to_string);
            Some(Diagnosis { why: fault.or_else(|| engine.doubt(ix))?, advice: None })
        }
        Condition::MissingFor(_) => {
            let bus = engine.plan().sensor(ix).bus.as_ref()?;
            let why = absent.get(bus)?.get(&key.sensor)?.to_string();
            Some(Diagnosis { why, advice: Some(NAME_ADVICE) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_flickers_is_said_once_in_a_while_and_one_that_lasts_in_the_end() {
        let (sensor, mut said) = (SensorId::new("a/t").unwrap(), LoggedFaults::default());
        let [short, twice]: [Arc<str>; 2] = ["no number".into(), "twice".into()];
        let at = |seconds: i64| Uptime(seconds * 1000);
        assert!(said.fails(&sensor, &short, at(0)) && !said.fails(&sensor, &short, at(1)));
        assert!(said.works(&sensor) && !said.works(&sensor));
        let flickers = (2..600).filter(|second| {
            let is_said = said.fails(&sensor, if second % 2 == 0 { &twice } else { &short }, at(*second));
            said.works(&sensor) || is_said
        });
        assert_eq!(flickers.count(), 0);
        assert!(said.fails(&sensor, &twice, at(600)), "it lasts");
        assert!(!said.fails(&sensor, &twice, at(5000)) && said.fails(&sensor, &short, at(5001)), "it is another");
    }
}
