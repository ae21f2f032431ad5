//! The way of a reading through the engine, and the silence when none comes.

use super::{Engine, Kind};
use crate::effect::{Effect, SensorEvent};
use crate::judge::{Fault, Health, PastReading};
use crate::reading::{Quality, Raw, Reading, SensorIx};
use crate::time::Uptime;
use crate::windows::Closed;

impl Engine {
    /// `is_dated`: its stamp is when it was measured, not only when it arrived.
    pub(super) fn read(&mut self, raw: Raw, is_dated: bool) {
        let sensor = self.plan.sensor(raw.sensor);
        let calibration = match self.site.calibrations.is_empty() {
            true => &sensor.calibration,
            false => self.site.calibrations.get(&sensor.id).unwrap_or(&sensor.calibration),
        };
        let Some(steps) = calibration.apply(raw.value, sensor.resolution) else {
            // The number says nothing of the sensor, but its bus carried it.
            self.note_bus_heard(raw.sensor);
            self.effects.push_back(Effect::NoValue(raw.sensor));
            if raw.quality == Quality::Fault {
                self.fail(raw.sensor, raw.at);
            }
            return;
        };
        let state = &mut self.sensors[raw.sensor.0 as usize];
        let bounds = &self.plan.bounds[raw.sensor.0 as usize];
        let judged = state.judge.judge(bounds, PastReading { at: raw.at, steps }, raw.quality, is_dated);
        let reading = Reading {
            sensor: raw.sensor,
            at: raw.at,
            steps,
            quality: judged.quality,
            raw: raw.value,
            late: judged.late,
        };
        let is_back = !judged.late && self.note_heard(raw.sensor);
        if !judged.late {
            let state = &mut self.sensors[raw.sensor.0 as usize];
            if state.wants_rate && judged.quality.is_usable() {
                state.judge.remember(PastReading { at: raw.at, steps });
            }
            self.emit_health(raw.sensor, judged.health);
            self.watch_silence(raw.sensor);
        } else {
            // What comes late has come all the same.
            self.note_bus_heard(raw.sensor);
        }
        self.roll_up(&reading);
        if !judged.late {
            self.evaluate_sensor(raw.sensor);
        }
        if is_back {
            self.retry_pages_about(raw.sensor);
        }
        self.effects.push_back(Effect::Reading(reading));
    }

    /// The input says that it failed, and has no value: the sensor is heard, and is at fault.
    fn fail(&mut self, ix: SensorIx, at: Uptime) {
        let state = &mut self.sensors[ix.0 as usize];
        let Some(health) = state.judge.fail(at) else { return };
        let is_back = self.note_heard(ix);
        self.emit_health(ix, health);
        self.watch_silence(ix);
        self.evaluate_sensor(ix);
        if is_back {
            self.retry_pages_about(ix);
        }
    }

    /// A sensor is heard. Says whether its bus came back since it last was.
    fn note_heard(&mut self, ix: SensorIx) -> bool {
        self.note_bus_heard(ix);
        let state = &mut self.sensors[ix.0 as usize];
        (state.read_at, state.old) = (self.now, false);
        state.back_at.take().is_some()
    }

    fn roll_up(&mut self, reading: &Reading) {
        let phase = self.clock.phase();
        let state = &mut self.sensors[reading.sensor.0 as usize];
        let due = state.open.add(reading, phase, self.now);
        if !state.has_open_windows {
            state.has_open_windows = true;
            self.with_open_windows.push(reading.sensor.0);
        }
        self.arm_windows(due);
        if self.sensors[reading.sensor.0 as usize].open.is_crowded() {
            self.close_windows_of(reading.sensor);
        }
    }

    /// Closes what is over of one sensor's windows. Returns when its next ends.
    fn close_windows_of(&mut self, sensor: SensorIx) -> Option<Uptime> {
        let phase = self.clock.phase();
        self.sensors[sensor.0 as usize].open.close(self.now, phase, |grain, start, late, window| {
            let closed = Closed { sensor, grain, start: self.clock.stamp(start), late, window };
            self.effects.push_back(Effect::Window(closed));
        })
    }

    pub(super) fn arm_windows(&mut self, due: Uptime) {
        if self.windows_due.is_none_or(|earlier| due < earlier) {
            if let Some(later) = self.windows_due {
                self.timers.0.remove(&(later, Kind::Windows, 0));
            }
            self.windows_due = Some(due);
            self.timers.add(due, Kind::Windows, 0);
        }
    }

    pub(super) fn close_windows(&mut self) {
        self.windows_due = None;
        let mut open = std::mem::take(&mut self.with_open_windows);
        open.sort_unstable();
        let mut next = None;
        open.retain(|&ix| {
            let end = self.close_windows_of(SensorIx(ix));
            self.sensors[ix as usize].has_open_windows = end.is_some();
            next = next.into_iter().chain(end).min();
            end.is_some()
        });
        self.with_open_windows = open;
        if let Some(next) = next {
            self.arm_windows(next);
        }
    }

    /// A sensor was heard: sets the timer of its next silence.
    pub(super) fn watch_silence(&mut self, ix: SensorIx) {
        let state = &mut self.sensors[ix.0 as usize];
        if let (Some(span), false) = (self.plan.sensor(ix).stale_after, state.stale_timer) {
            state.stale_timer = true;
            self.timers.add(state.read_at + span, Kind::Stale, ix.0);
        }
    }

    /// Perhaps the sensor has been silent for too long. The timer is set once and not with each reading: it finds out here
    /// that there was one, and comes again.
    pub(super) fn stale_due(&mut self, ix: SensorIx) {
        let state = &mut self.sensors[ix.0 as usize];
        let Some(span) = self.plan.sensor(ix).stale_after else { return };
        state.stale_timer = state.read_at + span > self.now;
        if state.stale_timer {
            self.timers.add(state.read_at + span, Kind::Stale, ix.0);
        } else if state.judge.set_stale() {
            self.emit_health(ix, Health::Fault(Fault::Stale));
        }
    }

    pub(super) fn missing_due(&mut self, rule_ix: u32) {
        self.rule_states[rule_ix as usize].missing_timer = false;
        match self.missing_at(rule_ix) {
            Some(due) if due > self.now => {
                self.rule_states[rule_ix as usize].missing_timer = true;
                self.timers.add(due, Kind::Missing, rule_ix);
            }
            Some(_) => self.compare(rule_ix),
            None => {}
        }
    }

    fn emit_health(&mut self, ix: SensorIx, health: Health) {
        self.follow_freshness(ix);
        let fault = match health {
            Health::Same => return,
            Health::Fault(fault) => Some(fault),
            Health::Recovered => None,
        };
        let newest = self.sensors[ix.0 as usize].judge.current();
        self.effects.push_back(Effect::Sensor(SensorEvent {
            at: self.clock.stamp(self.now),
            sensor: ix,
            fault,
            value: newest.map(|newest| self.plan.value(ix, newest.steps)),
            reading_at: newest.map(|newest| self.clock.stamp(newest.at)),
        }));
    }
}
