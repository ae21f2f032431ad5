//! Inputs that speak and have no value for a sensor: the engine is told that they failed, people are told why.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_core::id::SensorId;
use tilth_core::plan::{AlertKey, Plan};
use tilth_core::rules::Condition;
use tilth_core::time::{Span, Uptime};

use super::{Decide, Faults, Unseen};
use crate::output::tell;
use crate::sense::sample::Sample;

/// How often the log says of one sensor that its input fails: a board that flickers must not wear the card out.
const SAY_AGAIN_AFTER: Span = Span::from_mins(10);

/// What the log has said of the inputs that failed, by sensor.
#[derive(Debug, Default)]
pub(super) struct SaidFaults(BTreeMap<SensorId, SaidFault>);

#[derive(Debug)]
struct SaidFault {
    at: Uptime,
    why: Arc<str>,
    is_over: bool,
}

impl SaidFaults {
    /// Whether to say now that the input fails.
    fn fails(&mut self, sensor: &SensorId, why: &Arc<str>, now: Uptime) -> bool {
        let is_quiet = self.0.get(sensor).is_some_and(|said| {
            let is_known = !said.is_over && said.why == *why;
            is_known || now - said.at < SAY_AGAIN_AFTER
        });
        if !is_quiet {
            self.0.insert(sensor.clone(), SaidFault { at: now, why: Arc::clone(why), is_over: false });
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
        if self.said_faults.fails(sensor, &why, self.engine.now().uptime) {
            tell(format_args!("tilth-agent: {sensor}: fault: {why}"));
        }
        if self.faults.get(sensor) != Some(&why) {
            self.faults.insert(sensor.clone(), why);
        }
    }

    /// A value came; one that is none says nothing.
    pub(super) fn input_works(&mut self, sample: &Sample) {
        let has_failed =
            !self.faults.is_empty() && sample.value.is_finite() && self.faults.remove(&sample.sensor).is_some();
        if has_failed && self.said_faults.works(&sample.sensor) {
            tell(format_args!("tilth-agent: {}: its input has a value again", sample.sensor));
        }
    }

    /// What the engine does not know of an alert: why the bus is down or unread that it is about, or why the sensor's input fails
    /// or never speaks.
    pub(super) fn why(&self, key: &AlertKey) -> Option<String> {
        let why = why_input(&self.plan, &self.faults, &self.unseen, key);
        why.or_else(|| self.why_down(&key.sensor)).or_else(|| self.why_unread(&key.sensor))
    }
}

/// Why the sensor's input fails, of the alert that is about that, or why it never speaks.
pub(crate) fn why_input(plan: &Plan, faults: &Faults, unseen: &Unseen, key: &AlertKey) -> Option<String> {
    let why = match plan.rule(key)?.condition {
        Condition::Faulty => faults.get(&key.sensor),
        Condition::MissingFor(_) => {
            unseen.get(plan.sensor(plan.sensor_ix(key.sensor.as_str())?).bus.as_ref()?)?.get(&key.sensor)
        }
        _ => None,
    };
    why.map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_flickers_is_said_once_in_a_while_and_one_that_lasts_in_the_end() {
        let (sensor, mut said) = (SensorId::new("a/t").unwrap(), SaidFaults::default());
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
