//! What the time of day changes: schedules, and waits from before a reboot.

use super::{Engine, Kind};
use crate::effect::{Effect, Reason, ScheduleEvent};
use crate::time::WallTime;

impl Engine {
    pub(super) fn set_clock(&mut self, wall: WallTime) {
        self.clock.set(self.now, wall);
        if let Some((boot, by)) = self.clock.move_waits() {
            self.shift_waits(boot, by);
        }
        let was_open: Vec<bool> = self.schedules.iter().map(|hours| hours.open).collect();
        self.rearm();
        for (ix, was_open) in was_open.into_iter().enumerate() {
            self.set_open(ix as u32, was_open);
        }
        // Time spent off may have used up a wait.
        self.advance(self.now);
    }

    /// Whether a schedule is open now; sets the timer of when that changes.
    pub(super) fn arm_schedule(&mut self, ix: u32) -> bool {
        let schedule = &self.plan.schedules[ix as usize];
        let Some(wall) = self.clock.wall(self.now) else { return schedule.open_when_untrusted };
        let opening = schedule.at(wall);
        self.timers.add(self.now + (opening.until - wall), Kind::Schedule, ix);
        opening.open
    }

    pub(super) fn schedule_due(&mut self, ix: u32) {
        let was_open = self.schedules[ix as usize].open;
        self.schedules[ix as usize].open = self.arm_schedule(ix);
        self.set_open(ix, was_open);
    }

    /// Follows a schedule that opened or closed with its rules and targets.
    fn set_open(&mut self, ix: u32, was_open: bool) {
        let open = self.schedules[ix as usize].open;
        if open == was_open {
            return;
        }
        self.effects.push_back(Effect::Schedule(ScheduleEvent {
            at: self.clock.stamp(self.now),
            schedule: self.plan.schedules[ix as usize].id.clone(),
            open,
            trusted: self.clock.wall(self.now).is_some(),
        }));
        for index in 0..self.schedules[ix as usize].rules.len() {
            let rule = self.schedules[ix as usize].rules[index];
            if open {
                self.compare(rule);
            } else {
                self.stop(rule, Reason::ScheduleClosed);
            }
        }
        self.follow_targets_during(ix);
    }
}
