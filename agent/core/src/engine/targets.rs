//! Actuators that follow a sensor: what its value wants, within the hours of the target.

use super::Engine;
use crate::id::Id;
use crate::reading::SensorIx;
use crate::value::Value;

impl Engine {
    /// A reading came, or the sensor can no longer be believed.
    pub(super) fn follow_targets_of(&mut self, ix: SensorIx) {
        for target_ix in 0..self.plan.targets.len() {
            if self.plan.targets[target_ix].sensor == ix {
                self.follow_target(target_ix);
            }
        }
    }

    /// A schedule opened or closed.
    pub(super) fn follow_targets_during(&mut self, schedule: u32) {
        for target_ix in 0..self.plan.targets.len() {
            if self.plan.targets[target_ix].schedule == Some(schedule) {
                self.follow_target(target_ix);
            }
        }
    }

    /// Follows another plan: an actuator that followed a sensor and no longer does goes off, the others follow theirs.
    pub(super) fn follow_all_targets(&mut self) {
        let is_followed = |id: &&Id| self.plan.targets.iter().any(|compiled| compiled.target.actuator == **id);
        let gone: Vec<Id> = self.interlock.wanted_by_targets().filter(|id| !is_followed(id)).cloned().collect();
        gone.iter().for_each(|id| self.interlock.target_wants(self.clock.stamp(self.now), id, Some(false)));
        (0..self.plan.targets.len()).for_each(|target_ix| self.follow_target(target_ix));
        self.follow_interlock();
    }

    fn follow_target(&mut self, target_ix: usize) {
        let compiled = &self.plan.targets[target_ix];
        let is_open = compiled.schedule.is_none_or(|schedule| self.schedules[schedule as usize].open);
        let wants = match self.facts(compiled.sensor).value {
            _ if !is_open => Some(false),
            // The interlock switches off what needs the sensor.
            None => return,
            Some(steps) => {
                compiled.target.wants(Value { steps, resolution: self.plan.sensor(compiled.sensor).resolution })
            }
        };
        self.interlock.target_wants(self.clock.stamp(self.now), &compiled.target.actuator, wants);
        self.follow_interlock();
    }
}
