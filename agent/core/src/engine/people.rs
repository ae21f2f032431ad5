//! What people tell the engine: acknowledgements, silences, calibrations.

use super::{Engine, Kind, RuleState};
use crate::alert::AlertId;
use crate::calibrate::Calibration;
use crate::effect::{Effect, RejectReason, Transition};
use crate::id::SensorId;
use crate::site::{Matcher, Silence};
use crate::time::{Due, Span};

impl Engine {
    pub(super) fn acknowledge(&mut self, alert: AlertId, span: Span, by: String) {
        let raised = |rule_state: &RuleState| rule_state.alert.raised().is_some_and(|raised| raised.id == alert);
        let Some(rule_ix) = self.rule_states.iter().position(raised) else { return };
        let until = Due::after(self.clock.stamp(self.now), span);
        self.rule_states[rule_ix].alert.acknowledge(until);
        self.rule_states[rule_ix].acknowledged_by = Some(by.clone());
        let rule_ix = rule_ix as u32;
        self.emit_transition(rule_ix, Transition::Acknowledged { until: self.clock.stamp(until.at), by });
        self.set_alert_timer(rule_ix);
    }

    pub(super) fn silence(&mut self, of: Matcher, span: Span, by: String) {
        let until = Due::after(self.clock.stamp(self.now), span);
        match self.site.silence(Silence { of, until, by }) {
            Some(number) => {
                self.timers.add(until.at, Kind::SilenceEnds, number);
                self.effects.push_back(Effect::Site);
            }
            None => self.effects.push_back(Effect::Rejected(RejectReason::TooManySilences)),
        }
    }

    pub(super) fn calibrate(&mut self, sensor: SensorId, calibration: Option<Calibration>) {
        if calibration.is_some() && self.plan.sensor_ix(sensor.as_str()).is_none() {
            self.effects.push_back(Effect::Rejected(RejectReason::NoSuchSensor));
            return;
        }
        self.site.calibrate(sensor, calibration);
        self.effects.push_back(Effect::Site);
    }

    pub(super) fn end_silence(&mut self, number: u32) {
        if let Some(silence) = self.site.silences.get(&number) {
            self.timers.0.remove(&(silence.until(), Kind::SilenceEnds, number));
            self.silence_ended(number);
        }
    }

    pub(super) fn silence_ended(&mut self, number: u32) {
        if self.site.end_silence(number).is_some() {
            self.effects.push_back(Effect::Site);
            self.retry_all_pages();
        }
    }

    pub(super) fn retry_all_pages(&mut self) {
        (0..self.plan.rules.len() as u32).for_each(|rule_ix| self.retry_page(rule_ix));
    }
}
