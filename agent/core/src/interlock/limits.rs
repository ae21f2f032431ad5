//! **Where a limit of an actuator is compared**: whether a command may be carried out, and why not.

use super::ledger::{self, History};
use super::{ActuatorEntry, Command, Interlock, MAX_COMMANDS, Refusal, State};
use crate::actuator::Actuator;
use crate::id::SensorId;
use crate::time::{Span, Stamp, Uptime};

impl Interlock {
    /// Whether a command may switch an actuator on, and for how long: none without an end.
    pub(super) fn check(&self, now: Stamp, command: &Command, asked: Option<Span>) -> Result<Option<Span>, Refusal> {
        match self.forbidden_command(now.uptime, command) {
            Some(refusal) => Err(refusal),
            None => self.check_limits(now, command, asked),
        }
    }

    /// The same without what is wrong with the command itself. Holds for a command whose booking waits, too: limits, doses that are known
    /// and other actuators may have changed since.
    pub(super) fn check_limits(
        &self,
        now: Stamp,
        command: &Command,
        asked: Option<Span>,
    ) -> Result<Option<Span>, Refusal> {
        if let Some(refusal) = self.forbidden_now(command) {
            return Err(refusal);
        }
        let entry = self.entries.get(&command.actuator).ok_or(Refusal::NoSuchActuator)?;
        self.check_idle(entry, command)?;
        let span = asked.or(entry.actuator.max_on);
        match (span, entry.actuator.max_on) {
            (Some(span), _) if span <= Span::ZERO => return Err(Refusal::NoTime),
            (Some(span), Some(max_on)) if span > max_on => return Err(Refusal::MaxOn(max_on)),
            _ => {}
        }
        for key in ledger::keys(&entry.actuator) {
            if let Some(history) = self.history.get(&key) {
                check_history(now.uptime, &entry.actuator, history, span)?;
            }
        }
        check_size(&entry.actuator, span)?;
        Ok(span)
    }

    /// What is wrong with a command itself.
    fn forbidden_command(&self, now: Uptime, command: &Command) -> Option<Refusal> {
        if self.commands.contains_key(&command.id) {
            return Some(Refusal::Repeated);
        }
        if command.expires <= now {
            return Some(Refusal::Expired);
        }
        (command.is_remembered() && self.commands.len() >= MAX_COMMANDS).then_some(Refusal::TooMany)
    }

    /// What forbids that an actuator is on at this moment, apart from its time on so far.
    fn forbidden_now(&self, command: &Command) -> Option<Refusal> {
        // Only what the configuration in force has may be switched on.
        let Some(actuator) = self.actuators.get(&command.actuator) else { return Some(Refusal::NoSuchActuator) };
        if !actuator.enabled {
            return Some(Refusal::Disabled);
        }
        if !actuator.is_alarm && self.is_held(&actuator.zone) {
            return Some(Refusal::Hold);
        }
        if self.has_unknown_doses(actuator) {
            return Some(Refusal::DosesUnknown);
        }
        if self.buses_down.contains(actuator.output.bus()) {
            return Some(Refusal::BusDown);
        }
        if let Some(other) = self.excluded_by(actuator) {
            return Some(Refusal::Excluded(other.actuator.id.clone()));
        }
        self.lacks(actuator).map(|sensor| Refusal::NotFresh(sensor.clone()))
    }

    /// A sensor that an actuator needs and that is not fresh.
    pub(super) fn lacks<'a>(&self, actuator: &'a Actuator) -> Option<&'a SensorId> {
        actuator.needs_fresh.iter().find(|sensor| !self.fresh.contains(*sensor))
    }

    /// Finds another actuator that must be off for this one to be on, and is not known to be. One that a new configuration gave another
    /// name may be on under the old one.
    pub(super) fn excluded_by(&self, actuator: &Actuator) -> Option<&ActuatorEntry> {
        let excludes =
            |other: &Actuator| actuator.excludes.contains(&other.id) || other.excludes.contains(&actuator.id);
        let is_excluded = |other: &Actuator| {
            let mut renamed = self.actuators.values().filter(|now| now.output == other.output && now.id != actuator.id);
            excludes(other) || renamed.any(excludes)
        };
        let is_other = |other: &&ActuatorEntry| other.actuator.id != actuator.id && other.state != State::Off;
        self.entries.values().filter(is_other).find(|other| is_excluded(&other.actuator))
    }

    /// Whether an actuator is off, or booked by the same command, and its output is not another one's that is not off.
    fn check_idle(&self, entry: &ActuatorEntry, command: &Command) -> Result<(), Refusal> {
        let actuator = &entry.actuator;
        match &entry.state {
            State::Off => {}
            State::Booking { command: booked, .. } if booked == command => {}
            State::On { .. } | State::Booking { .. } => return Err(Refusal::On),
            State::Stopping { .. } if !actuator.has_total() && actuator.min_off == Span::ZERO => {}
            State::Stopping { .. } => return Err(Refusal::Busy),
        }
        let shares =
            |other: &ActuatorEntry| other.actuator.output == actuator.output && other.actuator.id != actuator.id;
        let is_moved = self.actuators.get(&actuator.id).is_none_or(|planned| planned.output != actuator.output);
        if is_moved || self.entries.values().any(|other| shares(other) && other.state != State::Off) {
            return Err(Refusal::Busy);
        }
        Ok(())
    }
}

fn check_history(now: Uptime, actuator: &Actuator, history: &History, span: Option<Span>) -> Result<(), Refusal> {
    if let Some(off) = history.off_for(now).filter(|off| *off < actuator.min_off) {
        return Err(Refusal::MinOff { wait: Span(actuator.min_off.0 - off.0) });
    }
    let dose = span.unwrap_or(Span::ZERO);
    if let Some(limit) = actuator.dose_per_hour {
        match history.wait_in_hour(now, dose, limit) {
            Some(Span::ZERO) => {}
            wait => return Err(Refusal::DosePerHour { wait }),
        }
    }
    if let Some(limit) = actuator.dose_per_day {
        match history.wait_in_day(now, dose, limit) {
            Some(Span::ZERO) => {}
            wait => return Err(Refusal::DosePerDay { wait }),
        }
    }
    Ok(())
}

/// A dose larger than a limit is refused also where nothing was dosed before.
fn check_size(actuator: &Actuator, span: Option<Span>) -> Result<(), Refusal> {
    if actuator.dose_per_hour.is_some_and(|limit| span.is_none_or(|span| span > limit)) {
        return Err(Refusal::DosePerHour { wait: None });
    }
    if actuator.dose_per_day.is_some_and(|limit| span.is_none_or(|span| span > limit)) {
        return Err(Refusal::DosePerDay { wait: None });
    }
    Ok(())
}
