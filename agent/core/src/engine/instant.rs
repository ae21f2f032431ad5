//! Rules over several sensors are compared when an instant is over: the values of one line or row come one after the other, and a
//! new value of one sensor says nothing beside the old one of another.

use super::Engine;
use crate::reading::SensorIx;
use crate::time::{Span, Uptime};

/// Time goes on in milliseconds, so an instant is over one later.
const NEXT: Span = Span(1);

impl Engine {
    /// No more comes at this instant. [`Engine::handle`] knows by itself once time has gone on; whoever plays a recording says it
    /// at the end.
    pub fn end_instant(&mut self) {
        self.advance(self.now);
        for of in std::mem::take(&mut self.waiting) {
            self.evaluate(of, self.facts(self.plan.rules[of as usize].sensor));
        }
    }

    /// When the instant is over, if a rule waits for that.
    pub(super) fn instant_ends(&self) -> Option<Uptime> {
        (!self.waiting.is_empty()).then(|| self.now + NEXT)
    }

    /// A sensor has spoken: compares its rules.
    pub(super) fn evaluate_sensor(&mut self, ix: SensorIx) {
        let facts = self.facts(ix);
        for place in 0..self.plan.rules_of[ix.0 as usize].len() {
            let of = self.plan.rules_of[ix.0 as usize][place];
            if self.plan.rules[of as usize].is_about_several() {
                self.waiting.insert(of);
            } else {
                self.evaluate(of, facts);
            }
        }
    }
}
