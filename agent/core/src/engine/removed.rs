//! Alerts whose rule a configuration took away: for a while they are remembered, and one whose rule comes back goes on under its
//! number, with its acknowledgement. A file may be emptied for a moment, and a rule be moved from one file to another.

use serde::{Deserialize, Serialize};

use super::snapshot::AlertRecord;
use super::{Engine, RuleState};
use crate::alert::State;
use crate::effect::Transition;
use crate::escalate::Cause;
use crate::rules::ConditionState;
use crate::time::{Due, Span, Uptime};

/// An alert that was pending, firing or acknowledged when its rule went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Removed {
    pub(super) record: AlertRecord,
    /// Instant at which the alert is forgotten.
    until: Due,
}

impl Removed {
    pub(super) fn is_remembered(&self, now: Uptime) -> bool {
        self.until.at > now
    }

    pub(super) fn shift(&mut self, up_to_boot: u32, by: Span) {
        self.record.shift(up_to_boot, by);
        self.until.shift(up_to_boot, by);
    }
}

impl Engine {
    /// The rule of an alert goes.
    pub(super) fn remember_removed(&mut self, record: AlertRecord, span: Span) {
        if span > Span::ZERO && !record.alert.is_quiet() {
            let until = Due::after(self.clock.stamp(self.now), span);
            self.removed.insert(record.key.clone(), Removed { record, until });
        }
    }

    /// Alerts whose rules are back go on, and are stated again, unless they would be over by now.
    pub(super) fn resume_returned(&mut self) {
        for rule_ix in std::mem::take(&mut self.returned) {
            let own = self.facts(self.plan.rules[rule_ix as usize].sensor);
            if !self.is_watching(rule_ix) || self.condition_state(rule_ix, &own) == ConditionState::Fine {
                let rule_state = &self.rule_states[rule_ix as usize];
                self.rule_states[rule_ix as usize] = RuleState { timer: rule_state.timer, ..RuleState::default() };
                self.set_alert_timer(rule_ix);
                continue;
            }
            self.emit_returned(rule_ix);
            self.set_alert_timer(rule_ix);
        }
    }

    fn emit_returned(&mut self, rule_ix: u32) {
        let now = self.clock.stamp(self.now);
        let rule_state = &mut self.rule_states[rule_ix as usize];
        match &rule_state.alert.state {
            State::Quiet => {}
            State::Pending { .. } => self.emit_transition(rule_ix, Transition::Pending),
            State::Firing(_) => {
                rule_state.escalation.iter_mut().for_each(|escalation| escalation.page_again(now, Cause::RuleBack));
                self.emit_transition(rule_ix, Transition::Firing);
                self.escalate(rule_ix);
            }
            State::Acknowledged { until, .. } => {
                let (until, by) = (self.clock.stamp(until.at), rule_state.acknowledged_by.clone().unwrap_or_default());
                self.emit_transition(rule_ix, Transition::Acknowledged { until, by });
            }
        }
    }
}
