//! Rules over several sensors are compared when an instant is over: the values of one line or row come one after the other, and a
//! new value of one sensor says nothing beside the old one of another.

use super::Engine;
use crate::reading::SensorIx;
use crate::time::{Span, Uptime};

/// Time goes on in milliseconds, so an instant is over one later.
const NEXT: Span = Span(1);

impl Engine {
    /// Ends the instant. [`Engine::handle`] does so itself once time has gone on; a caller that plays a recording says it at the end.
    pub fn end_instant(&mut self) {
        self.advance(self.now);
        for rule_ix in std::mem::take(&mut self.waiting) {
            self.compare(rule_ix);
        }
    }

    /// Compares a rule now, unless it waits for the end of the instant.
    pub(super) fn compare(&mut self, rule_ix: u32) {
        if !self.waiting.contains(&rule_ix) {
            let facts = self.facts(self.plan.rules[rule_ix as usize].sensor);
            self.evaluate(rule_ix, &facts);
        }
    }

    /// When the instant is over, if a rule waits for that.
    pub(super) fn instant_ends(&self) -> Option<Uptime> {
        (!self.waiting.is_empty()).then(|| self.now + NEXT)
    }

    /// A reading came: compares the rules of its sensor.
    pub(super) fn evaluate_sensor(&mut self, ix: SensorIx) {
        let facts = self.facts(ix);
        for index in 0..self.plan.rules_of[ix.0 as usize].len() {
            self.evaluate(self.plan.rules_of[ix.0 as usize][index], &facts);
        }
        self.waiting.extend(&self.plan.shared_rules_of[ix.0 as usize]);
    }
}
