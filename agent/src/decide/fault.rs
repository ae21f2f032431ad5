//! Faults of inputs: messages come and have no value for a sensor. Logged, and part of the alert that follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_core::engine::Engine;
use tilth_core::id::SensorId;
use tilth_core::plan::AlertKey;
use tilth_core::rules::Condition;
use tilth_core::time::{Span, Uptime};
use tracing::{info, warn};

use super::{Decide, DecideState};
use crate::notify::dispatch::Explanation;
use crate::sense::sensor_value::SensorValue;

/// Shortest time between two log lines about one sensor: a board that flickers must not wear the card out.
const LOG_AGAIN_AFTER: Span = Span::from_mins(10);

/// Advice where lines come and have no value for a sensor.
const NAME_ADVICE: &str =
    "Correct the sensor's input, or what its board prints; tilth-agent status shows the names that came.";

#[derive(Debug, Default)]
pub(super) struct LoggedFaults(BTreeMap<SensorId, LoggedFault>);

#[derive(Debug)]
struct LoggedFault {
    at: Uptime,
    why: Arc<str>,
    is_over: bool,
}

impl LoggedFaults {
    fn should_log_fault(&mut self, sensor: &SensorId, why: &Arc<str>, now: Uptime) -> bool {
        let is_quiet = self.0.get(sensor).is_some_and(|logged| {
            let is_logged = !logged.is_over && logged.why == *why;
            is_logged || now - logged.at < LOG_AGAIN_AFTER
        });
        if !is_quiet {
            self.0.insert(sensor.clone(), LoggedFault { at: now, why: Arc::clone(why), is_over: false });
        }
        !is_quiet
    }

    fn should_log_end(&mut self, sensor: &SensorId) -> bool {
        self.0.get_mut(sensor).is_some_and(|logged| !std::mem::replace(&mut logged.is_over, true))
    }
}

impl Decide {
    /// Takes a fault; logs it unless the log has it already.
    pub(super) fn input_fails(&mut self, sensor: &SensorId, why: Arc<str>) {
        if self.logged_faults.should_log_fault(sensor, &why, self.engine.now().uptime) {
            warn!(%sensor, "fault: {why}");
        }
        if self.context.faults.get(sensor) != Some(&why) {
            self.context.faults.insert(sensor.clone(), why);
        }
    }

    /// Takes a value without a fault, which ends that of its sensor unless it is no number.
    pub(super) fn input_works(&mut self, value: &SensorValue) {
        let has_failed = !self.context.faults.is_empty()
            && value.number.is_finite()
            && self.context.faults.remove(&value.sensor).is_some();
        if has_failed && self.logged_faults.should_log_end(&value.sensor) {
            info!(sensor = %value.sensor, "input has a value again");
        }
    }

    /// Explains an alert beyond its rule, for notifications: as [`explanation`], and why a bus is down, its lines have no value, or a
    /// modem cannot send.
    pub(super) fn explanation(&self, key: &AlertKey) -> Option<Explanation> {
        let context = &self.context;
        let of_bus = || {
            let down = self.context.buses.iter().find(|(bus, _)| key.sensor == SensorId::of_bus(bus));
            down.and_then(|(_, why)| why.clone()).or_else(|| why_unmatched(&self.engine, context, &key.sensor))
        };
        let of_channel = || {
            let down = self.modem_problems.iter().find(|(channel, _)| key.sensor == SensorId::of_channel(channel));
            down.and_then(|(_, why)| why.clone())
        };
        let of_sensor = explanation(&self.engine, context, key).or_else(|| self.explain_doses(key));
        of_sensor.or_else(|| Some(Explanation { why: of_bus().or_else(of_channel)?, advice: None }))
    }
}

/// Explains an alert about a faulty or silent sensor, where that is known.
pub(crate) fn explanation(engine: &Engine, context: &DecideState, key: &AlertKey) -> Option<Explanation> {
    let ix = engine.plan().sensor_ix(key.sensor.as_str())?;
    match engine.plan().rule(key)?.condition {
        Condition::Faulty => {
            let fault = context.faults.get(&key.sensor).map(ToString::to_string);
            Some(Explanation { why: fault.or_else(|| engine.doubt(ix))?, advice: None })
        }
        Condition::MissingFor(_) => {
            let bus = engine.plan().sensor(ix).bus.as_ref()?;
            let why = context.missing.get(bus)?.get(&key.sensor)?.to_string();
            Some(Explanation { why, advice: Some(NAME_ADVICE) })
        }
        _ => None,
    }
}

/// Why the messages of a bus match no sensor, of a sensor `bus/NAME` whose messages come.
pub(crate) fn why_unmatched(engine: &Engine, context: &DecideState, sensor: &SensorId) -> Option<String> {
    let bus = engine.plan().sensor(engine.plan().sensor_ix(sensor.as_str())?).state_of_bus.as_ref()?;
    context.unmatched.get(bus).filter(|_| engine.is_unmatched(bus)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_flickers_is_logged_once_in_a_while_and_one_that_lasts_in_the_end() {
        let (sensor, mut logged) = (SensorId::new("a/t").unwrap(), LoggedFaults::default());
        let [short, twice]: [Arc<str>; 2] = ["no number".into(), "twice".into()];
        let at = |seconds: i64| Uptime(seconds * 1000);
        assert!(logged.should_log_fault(&sensor, &short, at(0)) && !logged.should_log_fault(&sensor, &short, at(1)));
        assert!(logged.should_log_end(&sensor) && !logged.should_log_end(&sensor));
        let flickers = (2..600).filter(|second| {
            let is_logged =
                logged.should_log_fault(&sensor, if second % 2 == 0 { &twice } else { &short }, at(*second));
            logged.should_log_end(&sensor) || is_logged
        });
        assert_eq!(flickers.count(), 0);
        assert!(logged.should_log_fault(&sensor, &twice, at(600)), "it lasts");
        assert!(
            !logged.should_log_fault(&sensor, &twice, at(5000)) && logged.should_log_fault(&sensor, &short, at(5001)),
            "it is another"
        );
    }
}
