//! What the interlock remembers over a restart, and how it goes on: an outcome that is not known counts in full, and every
//! output is switched off first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::hold_switch::{HoldSwitch, SwitchState};
use super::ledger::{self, History};
use super::unknown::UnknownDoses;
use super::{
    Actuation, ActuatorEntry, Actuators, Effect, Event, Hold, Interlock, OffReason, SWITCH_WITHIN, State, SwitchOrder,
};
use crate::id::{Id, SensorId};
use crate::time::{Due, Span, Stamp};

/// Everything an interlock remembers between two inputs. Opaque; made to be kept as it serializes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "running")]
    entries: Vec<ActuatorEntry>,
    history: BTreeMap<String, History>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holds: BTreeMap<Id, Hold>,
    /// Switches that hold their zone, as far as they were read: a start takes no switch for off that it has not read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    switches: BTreeMap<SensorId, Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<UnknownDoses>,
    #[serde(rename = "steered", default, skip_serializing_if = "BTreeSet::is_empty")]
    wanted_by_targets: BTreeSet<Id>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    commands: BTreeMap<Id, Due>,
    last_order: u64,
}

impl Record {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Record::default()
    }
}

impl Interlock {
    /// What is to be kept.
    #[must_use]
    pub fn record(&self) -> Record {
        let on = self.switches.iter().filter(|(_, switch)| switch.state == SwitchState::On);
        Record {
            entries: self.entries.values().filter(|entry| entry.state != State::Off).cloned().collect(),
            history: self.history.clone(),
            holds: self.holds.clone(),
            switches: on.map(|(sensor, switch)| (sensor.clone(), switch.zone.clone())).collect(),
            unknown: self.unknown.clone(),
            wanted_by_targets: self.wanted_by_targets.clone(),
            commands: self.commands.clone(),
            last_order: self.last_order,
        }
    }

    /// An interlock that remembers; dormant until [`Interlock::resume`].
    #[must_use]
    pub fn restore(actuators: &Actuators, record: &Record) -> Interlock {
        let entries = record.entries.iter().map(|entry| (entry.actuator.id.clone(), entry.clone()));
        let on = |(sensor, zone): (&SensorId, &Id)| {
            (sensor.clone(), HoldSwitch { zone: zone.clone(), state: SwitchState::On })
        };
        let mut interlock = Interlock {
            actuators: Actuators::clone(actuators),
            entries: entries.collect(),
            history: record.history.clone(),
            holds: record.holds.clone(),
            switches: record.switches.iter().map(on).collect(),
            unknown: record.unknown.clone(),
            wanted_by_targets: record.wanted_by_targets.clone(),
            backing_off: BTreeMap::new(),
            commands: record.commands.clone(),
            fresh: BTreeSet::new(),
            buses_down: BTreeSet::new(),
            last_order: record.last_order,
            dormant: true,
            effects: VecDeque::new(),
        };
        interlock.add_new();
        interlock
    }

    /// Goes on at an instant at which the outputs may be anything: switches every output off, and counts what may have run.
    pub fn resume(&mut self, now: Stamp) {
        if !std::mem::take(&mut self.dormant) {
            return;
        }
        // What a sensor said before says nothing of now.
        self.fresh.clear();
        let ids: Vec<Id> = self.entries.keys().cloned().collect();
        for id in &ids {
            self.resume_one(now, id);
        }
        let actuators = Actuators::clone(&self.actuators);
        self.set_actuators(now, &actuators);
    }

    fn resume_one(&mut self, now: Stamp, id: &Id) {
        let order = self.next_order();
        let Some(entry) = self.entries.get_mut(id) else { return };
        self.effects.push_back(Effect::Switch(SwitchOrder::new(&entry.actuator, order, false, None)));
        if matches!(entry.state, State::On { .. } | State::Booking { .. }) {
            let event = Event::Off(OffReason::Restarted);
            self.effects.push_back(Actuation::effect(now, &entry.actuator, order, event, None));
        }
        if entry.state == State::Off && entry.actuator.has_total() {
            return;
        }
        let span = entry.may_run_for();
        let at_latest = span.map(|span| now.uptime + span + SWITCH_WITHIN);
        // An actuator that was on has counted since its order; of a booking the time of its order is unknown.
        if let (State::Booking { span, .. }, Some(at_latest)) = (&entry.state, at_latest) {
            for key in ledger::keys(&entry.actuator) {
                self.history.entry(key).or_default().add(now, *span, at_latest);
            }
        }
        entry.state = State::Stopping { order, span, at_latest };
    }

    /// Moves the waits that were set up to a boot.
    pub(crate) fn shift(&mut self, up_to_boot: u32, by: Span) {
        self.history.values_mut().for_each(|history| history.shift(up_to_boot, by));
        self.commands.values_mut().for_each(|until| until.shift(up_to_boot, by));
        self.unknown.iter_mut().for_each(|unknown| unknown.shift(up_to_boot, by));
        for hold in self.holds.values_mut() {
            hold.until.iter_mut().for_each(|until| until.shift(up_to_boot, by));
        }
    }

    /// What was remembered before is known only now: doses of before count, and zones that were on hold are. `by` leads from
    /// the clock of the record to the present one.
    pub(crate) fn merge_earlier(&mut self, now: Stamp, record: &Record, by: Span) {
        let mut before = Interlock::restore(&self.actuators, record);
        before.shift(u32::MAX, by);
        before.resume(now);
        self.last_order = self.last_order.max(before.last_order);
        for (key, history) in before.history {
            self.history.entry(key).or_default().merge_earlier(history);
        }
        before.entries.into_values().for_each(|entry| self.merge_entry(now, entry));
        self.stop_forbidden(now);
        for (zone, hold) in before.holds {
            self.stop_all(now, |actuator| actuator.zone == zone && !actuator.is_alarm, &OffReason::Hold);
            self.holds.entry(zone).or_insert(hold);
        }
        // A switch that was read since is known; one that was not holds its zone already.
        for (sensor, switch) in self.switches.iter_mut().filter(|(_, switch)| switch.state == SwitchState::Unread) {
            switch.state = before.switches.get(sensor).map_or(SwitchState::Unread, |before| before.state);
        }
        self.unknown = self.unknown.take().or(before.unknown);
        before.commands.append(&mut self.commands);
        self.commands = before.commands;
    }

    /// What may have been on when the process before ended may still be on, and this one took it for off.
    fn merge_entry(&mut self, now: Stamp, before: ActuatorEntry) {
        let State::Stopping { at_latest: before_at_latest, .. } = before.state else { return };
        let id = before.actuator.id.clone();
        if matches!(self.entries.get(&id), Some(ActuatorEntry { state: State::Booking { .. }, .. })) {
            self.stop(now, &id, &OffReason::Restarted, None);
        }
        match self.entries.get_mut(&id) {
            // This entry began as an actuator that may be on.
            Some(entry) if !entry.actuator.has_total() && entry.actuator.output == before.actuator.output => {}
            Some(ActuatorEntry { state: State::On { .. }, .. }) => {}
            Some(ActuatorEntry { state: State::Stopping { at_latest, .. }, .. }) => {
                *at_latest = at_latest.zip(before_at_latest).map(|(one, other)| one.max(other));
            }
            Some(_) | None => {
                self.entries.insert(id.clone(), before);
                self.stop(now, &id, &OffReason::Restarted, None);
                self.follow_plan(now, &id);
            }
        }
    }
}

impl ActuatorEntry {
    /// The longest time for which the output may still be on after a restart by itself; none where nothing ends it.
    fn may_run_for(&self) -> Option<Span> {
        match &self.state {
            // Without a total nothing was booked: it may have been switched on since the last record.
            State::Off => self.actuator.max_on,
            State::Booking { span, .. } => Some(*span),
            State::On { span, .. } | State::Stopping { span, .. } => *span,
        }
    }
}
