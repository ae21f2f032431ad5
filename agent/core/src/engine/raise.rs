//! From a sensor's facts to alerts raised, pages sent and alerts over.

use std::sync::Arc;

use super::bus::Inhibition;
use super::{Engine, Kind};
use crate::alert::{Change, Raised, RuleTiming, State};
use crate::effect::{AlertDetails, Effect, Page, Reason, Transition};
use crate::escalate::{Cause, DuePage, Escalation, PageId};
use crate::message::{Placeholder, Template};
use crate::plan::{Rule, Severity};
use crate::reading::SensorIx;
use crate::resolved;
use crate::rules::{Condition, ConditionState, DisplayValue, Facts};
use crate::time::{Span, Stamp, Uptime};

impl Engine {
    pub(super) fn facts(&self, ix: SensorIx) -> Facts {
        let (state, bounds) = (&self.sensors[ix.0 as usize], &self.plan.bounds[ix.0 as usize]);
        let facts = Facts {
            value: state.judge.usable().filter(|_| !state.old),
            rate: state.judge.rate(bounds).filter(|_| state.wants_rate && !state.old),
            unchanged: state.judge.unchanged().filter(|_| !state.old),
            silent_for: self.now - state.read_at,
            heard: state.judge.is_heard(),
            faulty: state.judge.faulty(),
        };
        self.with_bus(ix, facts)
    }

    /// Compares a rule, by the facts of its own sensor.
    pub(super) fn evaluate(&mut self, rule_ix: u32, own: &Facts) {
        if !self.is_watching(rule_ix) {
            return;
        }
        self.watch_missing(rule_ix);
        let condition_state = self.condition_state(rule_ix, own);
        let rule_state = &mut self.rule_states[rule_ix as usize];
        if rule_state.alert.is_quiet() && condition_state != ConditionState::Holds {
            return;
        }
        let timing = timing(&self.plan.rules[rule_ix as usize].rule);
        let change = rule_state.alert.judge(self.clock.stamp(self.now), condition_state, timing);
        self.apply(rule_ix, change);
    }

    /// What a rule's condition is now, by the facts of its own sensor.
    #[inline]
    pub(super) fn condition_state(&self, rule_ix: u32, own: &Facts) -> ConditionState {
        let is_raised = self.rule_states[rule_ix as usize].alert.raised().is_some();
        self.plan.rules[rule_ix as usize].test.condition_state(own, |ix| self.facts(ix), is_raised)
    }

    /// Comes again when the silence that a rule is about will have lasted long enough, if it has not.
    pub(super) fn watch_missing(&mut self, rule_ix: u32) {
        if self.rule_states[rule_ix as usize].missing_timer {
            return;
        }
        if let Some(due) = self.missing_at(rule_ix).filter(|due| *due > self.now) {
            self.rule_states[rule_ix as usize].missing_timer = true;
            self.timers.add(due, Kind::Missing, rule_ix);
        }
    }

    /// Whether the rule's schedule is open.
    pub(super) fn is_watching(&self, rule_ix: u32) -> bool {
        self.plan.rules[rule_ix as usize].schedule.is_none_or(|schedule| self.schedules[schedule as usize].open)
    }

    pub(super) fn alert_due(&mut self, rule_ix: u32) {
        self.rule_states[rule_ix as usize].timer = None;
        while self.rule_states[rule_ix as usize].alert.deadline().is_some_and(|due| due <= self.now) {
            let compiled = &self.plan.rules[rule_ix as usize];
            let condition_state = self.condition_state(rule_ix, &self.facts(compiled.sensor));
            let now = self.clock.stamp(self.now);
            let change = self.rule_states[rule_ix as usize].alert.wake(now, condition_state, timing(&compiled.rule));
            self.apply(rule_ix, change);
        }
        self.escalate(rule_ix);
        self.set_alert_timer(rule_ix);
    }

    fn apply(&mut self, rule_ix: u32, change: Option<Change>) {
        match change {
            None => {}
            Some(Change::Pending) => self.emit_transition(rule_ix, Transition::Pending),
            Some(Change::Fire { since }) => {
                let number = self.numbers.next();
                let severity = self.plan.rules[rule_ix as usize].rule.severity;
                let rule_state = &mut self.rule_states[rule_ix as usize];
                rule_state.alert.fire(number, since);
                rule_state.escalation = Some(Escalation::new(self.clock.stamp(self.now), severity));
                self.emit_transition(rule_ix, Transition::Firing);
                self.escalate(rule_ix);
                self.act(rule_ix);
            }
            Some(Change::Resolved(raised)) => {
                let details = self.details(rule_ix, Some(Resolved { raised, reason: Reason::Cleared }));
                (self.rule_states[rule_ix as usize].escalation, self.rule_states[rule_ix as usize].acknowledged_by) =
                    (None, None);
                self.effects.push_back(Effect::Alert(Transition::Resolved(Reason::Cleared), Box::new(details)));
            }
            Some(Change::Expired) => {
                if let Some(escalation) = &mut self.rule_states[rule_ix as usize].escalation {
                    escalation.acknowledgement_expired(self.clock.stamp(self.now));
                }
                self.escalate(rule_ix);
            }
        }
        self.set_alert_timer(rule_ix);
    }

    /// Pages if it is time and nothing suppresses that.
    pub(super) fn escalate(&mut self, rule_ix: u32) {
        let inhibition = self.inhibition(rule_ix);
        let suppressed = match (self.silenced_until(rule_ix), &inhibition) {
            (Some(_), _) => Some(Cause::SilenceEnded),
            (None, Some(_)) => Some(Cause::BusBack),
            (None, None) => None,
        };
        let rule = &self.plan.rules[rule_ix as usize].rule;
        let rule_state = &mut self.rule_states[rule_ix as usize];
        let (State::Firing(raised), Some(escalation)) = (&rule_state.alert.state, &mut rule_state.escalation) else {
            return;
        };
        let now = self.clock.stamp(self.now);
        let was_deferred = escalation.is_deferred();
        let Some(DuePage { cause, page }) = escalation.step(now, &rule.escalation, suppressed) else {
            // Deferred until the bus is heard, also when it was deferred for another reason before.
            let is_new = !was_deferred || matches!(inhibition, Some(Inhibition::Undecided));
            if suppressed == Some(Cause::BusBack) && escalation.is_deferred() && is_new {
                self.note_deferred_page(rule_ix);
            }
            return;
        };
        let id = PageId { alert: raised.id, page };
        let channels = rule.escalation.level(escalation.severity).channels.clone();
        let details = self.details(rule_ix, None);
        if cause == Cause::Escalated {
            self.effects.push_back(Effect::Alert(Transition::Escalated, Box::new(details.clone())));
        }
        self.effects.push_back(Effect::Page(Box::new(Page { id, cause, channels, details })));
    }

    /// Until when a person silenced the alert.
    pub(super) fn silenced_until(&self, rule_ix: u32) -> Option<Uptime> {
        self.site.silenced_until(&self.plan.rules[rule_ix as usize].rule.key).filter(|until| *until > self.now)
    }

    /// Sets the alert's one timer to its earliest deadline.
    pub(super) fn set_alert_timer(&mut self, rule_ix: u32) {
        let rule_state = &mut self.rule_states[rule_ix as usize];
        let escalation = match rule_state.alert.state {
            State::Firing(_) => rule_state.escalation.and_then(|escalation| escalation.deadline()),
            _ => None,
        };
        let due = rule_state.alert.deadline().into_iter().chain(escalation).min();
        if rule_state.timer == due {
            return;
        }
        if let Some(old) = rule_state.timer {
            self.timers.0.remove(&(old, Kind::Alert, rule_ix));
        }
        if let Some(due) = due {
            self.timers.add(due, Kind::Alert, rule_ix);
        }
        rule_state.timer = due;
    }

    /// Compares every rule again, after something changed under it: a plan, a schedule's clock, a
    /// restart.
    pub(super) fn compare_all(&mut self) {
        for rule_ix in 0..self.plan.rules.len() as u32 {
            if !self.is_watching(rule_ix) {
                self.stop(rule_ix, Reason::ScheduleClosed);
                continue;
            }
            self.compare(rule_ix);
        }
        // What suppresses a page may have been another alert.
        self.retry_all_pages();
    }

    /// Sends the deferred pages about a sensor that nothing suppresses any more.
    pub(super) fn retry_pages_about(&mut self, ix: SensorIx) {
        let plan = Arc::clone(&self.plan);
        plan.rules_about(ix).for_each(|rule_ix| self.retry_page(rule_ix));
    }

    /// Sends the deferred page of an alert, if nothing suppresses it any more.
    pub(super) fn retry_page(&mut self, rule_ix: u32) {
        if self.rule_states[rule_ix as usize].escalation.is_some_and(|escalation| escalation.is_deferred()) {
            self.escalate(rule_ix);
            self.set_alert_timer(rule_ix);
        }
    }

    /// The rule no longer watches.
    pub(super) fn stop(&mut self, rule_ix: u32, reason: Reason) {
        if let Some(raised) = self.rule_states[rule_ix as usize].alert.stop() {
            let details = self.details(rule_ix, Some(Resolved { raised, reason }));
            self.effects.push_back(Effect::Alert(Transition::Resolved(reason), Box::new(details)));
        }
        (self.rule_states[rule_ix as usize].escalation, self.rule_states[rule_ix as usize].acknowledged_by) =
            (None, None);
        self.set_alert_timer(rule_ix);
    }

    pub(super) fn emit_transition(&mut self, rule_ix: u32, transition: Transition) {
        let details = self.details(rule_ix, None);
        self.effects.push_back(Effect::Alert(transition, Box::new(details)));
    }

    /// What the alert is now; `resolved` is what it was, for one that has just resolved.
    pub(super) fn details(&self, rule_ix: u32, resolved: Option<Resolved>) -> AlertDetails {
        let compiled = &self.plan.rules[rule_ix as usize];
        let rule_state = &self.rule_states[rule_ix as usize];
        let at = self.clock.stamp(self.now);
        let (alert, since) = match (&rule_state.alert.state, resolved) {
            (_, Some(Resolved { raised, .. })) => (Some(raised.id), raised.since),
            (State::Firing(raised) | State::Acknowledged { raised, .. }, None) => (Some(raised.id), raised.since),
            (State::Pending { since, .. }, None) => (None, *since),
            (State::Quiet, None) => (None, at),
        };
        let since = self.clock.with_wall(since);
        let judge = &self.sensors[compiled.sensor.0 as usize].judge;
        // A condition on the value is compared with values that are believed, and with no other.
        let newest = match compiled.rule.condition {
            Condition::MissingFor(_) | Condition::StuckFor(_) | Condition::Faulty => judge.current(),
            _ => judge.believed(),
        };
        let value = newest.map(|newest| self.plan.value(compiled.sensor, newest.steps));
        let facts = self.facts(compiled.sensor);
        let facts =
            if resolved.is_none() && alert.is_some() { self.with_unheard(rule_ix, facts, (since, at)) } else { facts };
        let (value, limit) = compiled.test.figures(&compiled.rule.condition, &facts, value);
        let severity = rule_state.escalation.map_or(compiled.rule.severity, |escalation| escalation.severity);
        let usual =
            || (self.render(rule_ix, &compiled.rule.message, severity, value, limit), compiled.rule.advice.clone());
        let (message, advice) = match resolved {
            None => self.silent_bus_message(rule_ix).unwrap_or_else(usual),
            Some(resolved) => (
                self.resolved_message(rule_ix, resolved.reason, (at, since), severity, (value, limit)),
                compiled.rule.advice.clone(),
            ),
        };
        AlertDetails {
            at,
            alert,
            key: compiled.rule.key.clone(),
            severity,
            value,
            limit,
            since,
            reading_at: newest.map(|newest| self.clock.stamp(newest.at)),
            pages: rule_state.escalation.map_or(0, |escalation| escalation.pages),
            message,
            advice,
        }
    }

    /// The facts of a sensor whose silence was raised before this process listened, or before its bus went down: the silence has lasted at
    /// least since then, also where something was heard since.
    fn with_unheard(&self, rule_ix: u32, facts: Facts, (since, at): (Stamp, Stamp)) -> Facts {
        let compiled = &self.plan.rules[rule_ix as usize];
        let is_unheard = !facts.heard || self.sensors[compiled.sensor.0 as usize].old;
        // A port that was opened again counts its silence from then, once that is long enough to be one.
        let is_reopened = self.is_open_again(compiled.sensor);
        match compiled.rule.condition {
            Condition::MissingFor(span) if is_unheard && (facts.silent_for < span || !is_reopened) => {
                let lasted = silent_for(&compiled.rule, since, at).unwrap_or(span);
                Facts { silent_for: facts.silent_for.max(lasted), ..facts }
            }
            _ => facts,
        }
    }

    /// What is said of an alert that is over.
    fn resolved_message(
        &self,
        rule_ix: u32,
        reason: Reason,
        (at, since): (Stamp, Stamp),
        severity: Severity,
        (value, limit): (Option<DisplayValue>, Option<DisplayValue>),
    ) -> String {
        let compiled = &self.plan.rules[rule_ix as usize];
        let rule = &compiled.rule;
        match (reason, &rule.during, &rule.resolved) {
            (Reason::Removed, ..) => resolved::removed(&rule.key),
            (Reason::ScheduleClosed, Some(schedule), _) => resolved::schedule_closed(&rule.key, &schedule.id),
            (_, _, Some(template)) => self.render(rule_ix, template, severity, value, limit),
            _ => {
                let quantity = self.plan.sensor(compiled.sensor).quantity;
                let silent = silent_for(rule, since, at).max(self.bus_unheard_for(compiled.sensor));
                resolved::Cleared { rule, quantity, value, other: self.other_value(rule_ix), silent }.words()
            }
        }
    }

    /// The newest believed value of the sensor that a rule compares its own with.
    fn other_value(&self, rule_ix: u32) -> Option<DisplayValue> {
        let other = self.plan.rules[rule_ix as usize].test.other()?;
        let newest = self.sensors[other.0 as usize].judge.believed()?;
        Some(DisplayValue::Value(self.plan.value(other, newest.steps)))
    }

    fn render(
        &self,
        rule_ix: u32,
        template: &Template,
        severity: Severity,
        value: Option<DisplayValue>,
        limit: Option<DisplayValue>,
    ) -> String {
        use std::fmt::Write;
        let compiled = &self.plan.rules[rule_ix as usize];
        let rule = &compiled.rule;
        let quantity = self.plan.sensor(compiled.sensor).quantity;
        // An input that failed has no value, and there is no unit of it to say.
        let failed = rule.condition == Condition::Faulty && value.is_none();
        let figure = |figure: Option<DisplayValue>, out: &mut String| match figure {
            Some(figure) => write!(out, "{figure}"),
            None if failed => out.write_str("no value"),
            None => out.write_str("-"),
        };
        template.render(|place, out| match place {
            Placeholder::Value => figure(value, out),
            Placeholder::Limit => figure(limit, out),
            Placeholder::Other => figure(self.other_value(rule_ix), out),
            Placeholder::OtherSensor => match rule.condition.others().next() {
                Some(other) => out.write_str(other.as_str()),
                None => out.write_str("-"),
            },
            Placeholder::Unit => match rule.condition.unit(quantity) {
                unit if unit.is_empty() || failed => {
                    out.truncate(out.trim_end_matches(' ').len());
                    Ok(())
                }
                unit => out.write_str(&unit),
            },
            Placeholder::Sensor => out.write_str(rule.key.sensor.as_str()),
            Placeholder::Name => out.write_str(rule.key.sensor.name()),
            Placeholder::Zone => out.write_str(rule.key.zone.as_str()),
            Placeholder::Rule => out.write_str(rule.key.rule.as_str()),
            Placeholder::Severity => out.write_str(severity.name()),
        })
    }
}

/// An alert that has just resolved, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolved {
    pub(super) raised: Raised,
    pub(super) reason: Reason,
}

/// How long nothing came, when an alert about that is over: what its rule waited for, and what came on top.
fn silent_for(rule: &Rule, since: Stamp, at: Stamp) -> Option<Span> {
    let Condition::MissingFor(span) = rule.condition else { return None };
    let held = if since.boot == at.boot { at.uptime - since.uptime } else { at.wall? - since.wall? };
    Some(Span(span.0.saturating_add(held.0 - rule.keep_firing_for.0).max(span.0)))
}

pub(super) fn timing(rule: &Rule) -> RuleTiming {
    RuleTiming { hold: rule.hold, keep_firing_for: rule.keep_firing_for, cooldown: rule.cooldown }
}
