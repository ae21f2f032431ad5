//! What people and buses tell the engine: acknowledgements, silences, a line that is down.

use super::{Engine, Kind, Watch};
use crate::alert::AlertId;
use crate::effect::{Effect, Transition};
use crate::id::Id;
use crate::plan::Rule;
use crate::site::{Matcher, Silence};
use crate::time::Span;

impl Engine {
    pub(super) fn acknowledge(&mut self, alert: AlertId, span: Span, by: String) {
        let raised = |watch: &Watch| watch.alert.raised().is_some_and(|raised| raised.id == alert);
        let Some(of) = self.watches.iter().position(raised) else { return };
        let until = self.now + span;
        self.watches[of].alert.acknowledge(until);
        let of = of as u32;
        self.say(of, Transition::Acknowledged { until: self.clock.stamp(until), by });
        self.come_again(of);
    }

    pub(super) fn silence(&mut self, of: Matcher, span: Span, by: String) {
        let until = self.now + span;
        let number = self.site.silence(Silence { of, until, by, boot: self.clock.boot() });
        self.timers.add(until, Kind::SilenceEnds, number);
        self.effects.push_back(Effect::Site);
    }

    pub(super) fn end_silence(&mut self, number: u32) {
        if let Some(silence) = self.site.silences.get(&number) {
            self.timers.0.remove(&(silence.until, Kind::SilenceEnds, number));
            self.silence_ended(number);
        }
    }

    pub(super) fn silence_ended(&mut self, number: u32) {
        let Some(silence) = self.site.end_silence(number) else { return };
        self.effects.push_back(Effect::Site);
        self.unmute(|rule, _| silence.of.matches(&rule.key));
    }

    pub(super) fn set_bus(&mut self, bus: Id, up: bool) {
        if up && self.buses_down.remove(&bus) {
            self.unmute(|_, sensor_bus| sensor_bus == Some(&bus));
        } else if !up {
            self.buses_down.insert(bus);
        }
    }

    fn unmute(&mut self, is_meant: impl Fn(&Rule, Option<&Id>) -> bool) {
        for of in 0..self.plan.rules.len() {
            let bound = &self.plan.rules[of];
            if !is_meant(&bound.rule, self.plan.sensor(bound.sensor).bus.as_ref()) {
                continue;
            }
            if let Some(escalation) = &mut self.watches[of].escalation {
                escalation.unmute(self.now);
                self.escalate(of as u32);
                self.come_again(of as u32);
            }
        }
    }
}
