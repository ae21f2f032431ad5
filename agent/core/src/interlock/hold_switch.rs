//! Holds by switches on site: a zone is on hold while one of its switches says so, beside the holds of people.
//!
//! A switch holds its zone until it was read and believed for the first time: a person who turned it on relies on it. After that a switch
//! that cannot be read, or cannot be believed, leaves its zone as it is.

use std::collections::BTreeMap;
use std::mem;

use super::Interlock;
use super::view::HeldBy;
use crate::id::{Id, SensorId};
use crate::time::Stamp;

/// A switch on site that holds its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HoldSwitch {
    pub(super) zone: Id,
    pub(super) state: SwitchState,
}

/// What is known of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SwitchState {
    /// Not believed once since the start: it may be on.
    Unread,
    On,
    Off,
}

impl HoldSwitch {
    pub(super) fn holds(&self) -> bool {
        self.state != SwitchState::Off
    }
}

impl Interlock {
    /// A switch was read and believed. That one which was not read yet is off is no news: no hold was told of.
    pub(crate) fn set_hold_switch(&mut self, now: Stamp, sensor: &SensorId, on: bool) {
        let Some(switch) = self.switches.get_mut(sensor) else { return };
        let before = mem::replace(&mut switch.state, if on { SwitchState::On } else { SwitchState::Off });
        let zone = switch.zone.clone();
        match (before, on) {
            (SwitchState::Off | SwitchState::Unread, true) => {
                self.stop_zone(now, &zone);
                self.report_switch(now, sensor, zone, true);
            }
            (SwitchState::On, false) => self.report_switch(now, sensor, zone, false),
            (SwitchState::On, true) | (SwitchState::Off | SwitchState::Unread, false) => {}
        }
    }

    /// Takes over the switches of the configuration, each with its zone: the hold of one that is gone ends, and that of one in another
    /// zone moves there. What is on in a zone that is held from now on is switched off by [`Interlock::set_actuators`].
    pub(crate) fn set_hold_switches(&mut self, now: Stamp, configured: BTreeMap<SensorId, Id>) {
        let before = mem::take(&mut self.switches);
        let state = |sensor: &SensorId| before.get(sensor).map_or(SwitchState::Unread, |switch| switch.state);
        let switch = |(sensor, zone): (SensorId, Id)| (sensor.clone(), HoldSwitch { zone, state: state(&sensor) });
        self.switches = configured.into_iter().map(switch).collect();
        for (sensor, HoldSwitch { zone, .. }) in before.into_iter().filter(|(_, of)| of.state == SwitchState::On) {
            let moved_to = self.switches.get(&sensor).map(|switch| switch.zone.clone());
            if moved_to.as_ref() != Some(&zone) {
                self.report_switch(now, &sensor, zone, false);
                moved_to.into_iter().for_each(|zone| self.report_switch(now, &sensor, zone, true));
            }
        }
    }

    /// Whether the actuators of a zone are locked, by a person or by a switch.
    pub(super) fn is_held(&self, zone: &Id) -> bool {
        self.holds.contains_key(zone) || self.switches.values().any(|switch| switch.holds() && switch.zone == *zone)
    }

    /// People and switches that hold a zone.
    pub(super) fn holders(&self, zone: &Id) -> Vec<HeldBy> {
        let person = self.holds.get(zone).map(|hold| HeldBy::Person(hold.by.clone()));
        let switches = self.switches.iter().filter(|(_, switch)| switch.holds() && switch.zone == *zone);
        person.into_iter().chain(switches.map(|(sensor, switch)| self.held_by(sensor, switch.state))).collect()
    }

    fn report_switch(&mut self, now: Stamp, sensor: &SensorId, zone: Id, began: bool) {
        self.report_hold(now, zone, Some(format!("switch {sensor}")), began, false);
    }
}
