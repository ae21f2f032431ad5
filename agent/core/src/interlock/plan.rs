//! A new configuration under running actuators: limits change at once, what is gone or disabled is switched off first.

use super::{ActuatorEntry, Actuators, Interlock, OffReason, State, ledger};
use crate::actuator::Actuator;
use crate::id::Id;
use crate::time::{Span, Stamp};

impl Interlock {
    /// Takes over the actuators of a new configuration.
    pub(crate) fn set_actuators(&mut self, now: Stamp, actuators: &Actuators) {
        self.actuators = Actuators::clone(actuators);
        self.backing_off.clear();
        let ids: Vec<Id> = self.entries.keys().cloned().collect();
        for id in &ids {
            self.follow_plan(now, id);
        }
        for id in self.add_new() {
            if self.actuators[&id].normally_energised {
                self.order_off(now, &id);
            }
        }
        self.stop_forbidden(now);
    }

    /// Adds actuators that nothing is known of, and returns them. Their outputs are off, since every start switches them off.
    pub(super) fn add_new(&mut self) -> Vec<Id> {
        let new: Vec<Id> = self.actuators.keys().filter(|id| !self.entries.contains_key(*id)).cloned().collect();
        let new_entry = |id: &Id| ActuatorEntry { actuator: self.actuators[id].clone(), state: State::Off };
        self.entries.extend(new.iter().map(|id| (id.clone(), new_entry(id))));
        new
    }

    /// Tells the output of an actuator that is off to be off: that of one that is normally energised is energised now.
    fn order_off(&mut self, now: Stamp, id: &Id) {
        // A start tells all of them.
        if !self.dormant {
            self.stop(now, id, &OffReason::Command, None);
        }
    }

    pub(super) fn follow_plan(&mut self, now: Stamp, id: &Id) {
        let planned = self.actuators.get(id).cloned();
        let excess = planned.as_ref().map_or(Span::ZERO, |planned| self.excess(now, planned));
        let Some(entry) = self.entries.get_mut(id) else { return };
        match planned {
            Some(planned) if planned.enabled && planned.is_wired_as(&entry.actuator) => {
                entry.shorten(now, &planned, excess);
                entry.actuator = planned;
            }
            // The old output is switched off before anything else is done with the name.
            _ if entry.state != State::Off => self.stop(now, id, &OffReason::Removed, None),
            _ => self.adopt_definition(now, id),
        }
    }

    /// By how much the doses that count exceed the totals of a configuration.
    fn excess(&self, now: Stamp, planned: &Actuator) -> Span {
        let beyond = |dosed: Span, limit: Option<Span>| limit.map_or(0, |limit| (dosed.0 - limit.0).max(0));
        let histories = ledger::keys(planned).into_iter().filter_map(|key| self.history.get(&key));
        let totals = histories.map(|history| history.totals(now.uptime));
        let excess =
            totals.map(|(hour, day)| beyond(hour, planned.dose_per_hour).max(beyond(day, planned.dose_per_day)));
        Span(excess.max().unwrap_or(0))
    }

    /// An actuator that is off takes over the configuration: another definition, or none.
    pub(super) fn adopt_definition(&mut self, now: Stamp, id: &Id) {
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.state == State::Off) else { return };
        let Some(planned) = self.actuators.get(id) else { return drop(self.entries.remove(id)) };
        let was_energised = entry.actuator.normally_energised;
        let is_rewired = !planned.is_wired_as(&entry.actuator);
        entry.actuator = planned.clone();
        if is_rewired && (was_energised || planned.normally_energised) {
            self.order_off(now, id);
        }
    }

    /// Switches off what the new configuration forbids to be on: both of two that exclude each other, what lacks a sensor, what
    /// is in a zone on hold.
    pub(super) fn stop_forbidden(&mut self, now: Stamp) {
        let is_on = |entry: &&ActuatorEntry| matches!(entry.state, State::On { .. } | State::Booking { .. });
        let forbidden = self.entries.values().filter(is_on).filter_map(|entry| {
            let reason = self.forbids(&entry.actuator)?;
            Some((entry.actuator.id.clone(), reason))
        });
        let forbidden: Vec<(Id, OffReason)> = forbidden.collect();
        forbidden.iter().for_each(|(id, reason)| self.stop(now, id, reason, None));
    }

    fn forbids(&self, actuator: &Actuator) -> Option<OffReason> {
        if self.excluded_by(actuator).is_some() {
            return Some(OffReason::Excluded);
        }
        if !actuator.is_alarm && self.is_held(&actuator.zone) {
            return Some(OffReason::Hold);
        }
        self.lacks(actuator).map(|sensor| OffReason::NotFresh(sensor.clone()))
    }
}

impl ActuatorEntry {
    /// A lower `max_on` ends what is on sooner; so does a lower total, by what exceeds it.
    fn shorten(&mut self, now: Stamp, planned: &Actuator, excess: Span) {
        let (State::On { since, span, until, .. }, Some(max_on)) = (&mut self.state, planned.max_on) else { return };
        let end = *since + Span(max_on.0.min(span.unwrap_or(max_on).0 - excess.0));
        if until.is_none_or(|until| end < until) {
            *until = Some(end.max(now.uptime));
        }
    }
}
