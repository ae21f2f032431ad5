//! Holds by switches on site: a zone is on hold while one of its switches says so, beside the holds of people.

use super::{Effect, HoldChange, Interlock};
use crate::id::{Id, SensorId};
use crate::time::Stamp;

impl Interlock {
    /// A switch was read and believed. What is not read or not believed changes nothing: the zone stays as it is.
    pub(crate) fn set_hold_switch(&mut self, now: Stamp, sensor: &SensorId, zone: &Id, on: bool) {
        let before = self.switches.get(sensor).cloned();
        if before.as_ref() == Some(zone).filter(|_| on) {
            return;
        }
        if let Some(before) = before {
            self.release_switch(now, sensor, before);
        }
        if on {
            self.stop_zone(now, zone);
            self.switches.insert(sensor.clone(), zone.clone());
            self.tell_switch(now, sensor, zone.clone(), true);
        }
    }

    /// Ends the holds of switches that the configuration has no longer.
    pub(crate) fn keep_hold_switches(&mut self, now: Stamp, is_configured: impl Fn(&SensorId, &Id) -> bool) {
        let gone = self.switches.iter().filter(|(sensor, zone)| !is_configured(sensor, zone));
        let gone: Vec<(SensorId, Id)> = gone.map(|(sensor, zone)| (sensor.clone(), zone.clone())).collect();
        gone.into_iter().for_each(|(sensor, zone)| self.release_switch(now, &sensor, zone));
    }

    /// Whether the actuators of a zone are locked, by a person or by a switch.
    pub(super) fn is_held(&self, zone: &Id) -> bool {
        self.holds.contains_key(zone) || self.switches.values().any(|held| held == zone)
    }

    fn release_switch(&mut self, now: Stamp, sensor: &SensorId, zone: Id) {
        self.switches.remove(sensor);
        self.tell_switch(now, sensor, zone, false);
    }

    fn tell_switch(&mut self, at: Stamp, sensor: &SensorId, zone: Id, held: bool) {
        let change = HoldChange { at, zone, by: Some(format!("switch {sensor}")), held, only_doses: false };
        self.effects.push_back(Effect::Hold(change));
    }
}
