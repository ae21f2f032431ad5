//! A new configuration under running actuators: limits change at once, what is gone or disabled is switched off first.

use super::{Actuators, Interlock, OffReason, Running, State};
use crate::actuator::Actuator;
use crate::id::Id;
use crate::time::Stamp;

impl Interlock {
    /// Takes over the actuators of a new configuration.
    pub(crate) fn set_actuators(&mut self, now: Stamp, actuators: &Actuators) {
        self.actuators = Actuators::clone(actuators);
        let ids: Vec<Id> = self.running.keys().cloned().collect();
        for id in &ids {
            self.follow_plan(now, id);
        }
        self.add_new();
        self.stop_forbidden(now);
    }

    /// Actuators that nothing is known of: their outputs are off, since every start switches them off.
    pub(super) fn add_new(&mut self) {
        for (id, actuator) in self.actuators.iter() {
            if !self.running.contains_key(id) {
                self.running.insert(id.clone(), Running { actuator: actuator.clone(), state: State::Off });
            }
        }
    }

    fn follow_plan(&mut self, now: Stamp, id: &Id) {
        let planned = self.actuators.get(id).cloned();
        let Some(running) = self.running.get_mut(id) else { return };
        match planned {
            Some(planned) if planned.enabled && planned.output == running.actuator.output => {
                running.shorten(now, &planned);
                running.actuator = planned;
            }
            // Its old output is switched off before anything else is done with the name.
            _ if running.state != State::Off => self.stop(now, id, &OffReason::Removed, None),
            _ => self.adopt_definition(id),
        }
    }

    /// An actuator that is off takes over the configuration: another definition, or none.
    pub(super) fn adopt_definition(&mut self, id: &Id) {
        let Some(running) = self.running.get_mut(id).filter(|running| running.state == State::Off) else { return };
        match self.actuators.get(id) {
            Some(planned) => running.actuator = planned.clone(),
            None => drop(self.running.remove(id)),
        }
    }

    /// Switches off what the new configuration forbids to be on: both of two that exclude each other, what lacks a sensor, what
    /// is in a zone on hold.
    fn stop_forbidden(&mut self, now: Stamp) {
        let is_on = |running: &&Running| matches!(running.state, State::On { .. } | State::Booking { .. });
        let forbidden = self.running.values().filter(is_on).filter_map(|running| {
            let reason = self.forbids(&running.actuator)?;
            Some((running.actuator.id.clone(), reason))
        });
        let forbidden: Vec<(Id, OffReason)> = forbidden.collect();
        forbidden.iter().for_each(|(id, reason)| self.stop(now, id, reason, None));
    }

    fn forbids(&self, actuator: &Actuator) -> Option<OffReason> {
        if self.excluded_by(actuator).is_some() {
            return Some(OffReason::Excluded);
        }
        if !actuator.is_alarm && self.holds.contains_key(&actuator.zone) {
            return Some(OffReason::Hold);
        }
        self.lacks(actuator).map(|sensor| OffReason::NotFresh(sensor.clone()))
    }
}

impl Running {
    /// A lower `max_on` ends what is on sooner.
    fn shorten(&mut self, now: Stamp, planned: &Actuator) {
        let (State::On { since, until, .. }, Some(max_on)) = (&mut self.state, planned.max_on) else { return };
        let end = *since + max_on;
        if until.is_none_or(|until| end < until) {
            *until = Some(end.max(now.uptime));
        }
    }
}
