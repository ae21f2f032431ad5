//! Buses that go down or fall silent: one cause is one alert, and that is the bus's own.
//!
//! While a bus is down, or none of its sensors speaks, the alerts of its sensors do not page. Once it is back, each of them has
//! time to speak before anybody is paged about it.

use serde::{Deserialize, Serialize};

use super::{Engine, Kind, Sense};
use crate::id::Id;
use crate::plan::Bound;
use crate::reading::SensorIx;
use crate::rules::{Condition, Facts};
use crate::time::{Span, Uptime};

/// A bus that is back gives its sensors at least this long to speak.
const SHORTEST_PATIENCE: Span = Span::from_mins(1);

/// What is remembered of a bus that a sensor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bus {
    /// When one of its sensors spoke last; boot, before that.
    heard_at: Uptime,
    /// Whether one spoke since boot, and since the port was last opened.
    heard: bool,
    /// When the port was opened first after a sensor spoke last; none where it stayed open.
    up_at: Option<Uptime>,
    /// A page about the silence of a sensor is held, for it may be the bus's.
    suspected: bool,
}

impl Bus {
    /// One of which nothing is known, from this instant on.
    pub(super) fn new(at: Uptime) -> Bus {
        Bus { heard_at: at, heard: false, up_at: None, suspected: false }
    }

    /// Since when nothing came although the port was open.
    fn quiet_since(&self) -> Uptime {
        self.up_at.map_or(self.heard_at, |up_at| up_at.max(self.heard_at))
    }

    /// How long nobody listened.
    pub(super) fn shift(&mut self, deaf: Span) {
        self.heard_at = self.heard_at + deaf;
        self.up_at = self.up_at.map(|up_at| up_at + deaf);
    }
}

impl Engine {
    pub(super) fn set_bus(&mut self, bus: Id, up: bool) {
        if !up {
            self.buses_down.insert(bus);
        } else if self.buses_down.remove(&bus) {
            if let Some(place) = self.plan.buses.iter().position(|known| known.id == bus) {
                self.open_again(place);
            }
            self.unmute_all();
        }
    }

    /// A port is open again, and nothing has come yet.
    fn open_again(&mut self, bus: usize) {
        let memory = &mut self.buses[bus];
        memory.up_at.get_or_insert(self.now);
        memory.heard = false;
        self.give_time(bus, false);
        if let Some(rule) = self.plan.buses[bus].silence {
            self.evaluate(rule, self.facts(self.plan.buses[bus].sensor));
        }
    }

    /// A sensor has spoken, and so has its bus.
    pub(super) fn hear_bus(&mut self, sensor: SensorIx) {
        let Some(bus) = self.plan.bus_of[sensor.0 as usize] else { return };
        let bus = bus as usize;
        let was_silent = self.is_silent(bus);
        let was_suspected = self.buses[bus].suspected;
        self.buses[bus] = Bus { heard_at: self.now, heard: true, up_at: None, suspected: false };
        if was_silent || was_suspected {
            self.give_time(bus, was_silent);
        }
        if let Some(rule) = self.plan.buses[bus].silence.filter(|rule| !self.watches[*rule as usize].alert.is_quiet()) {
            self.evaluate(rule, self.facts(self.plan.buses[bus].sensor));
        }
    }

    /// The bus is back: each of its sensors has time to speak. One that has had it and did not is silent by itself, unless the
    /// whole bus was silent meanwhile.
    fn give_time(&mut self, bus: usize, was_silent: bool) {
        for place in 0..self.plan.buses[bus].members.len() {
            let ix = self.plan.buses[bus].members[place];
            let patience = self.patience(ix);
            let sense = &mut self.sensors[ix.0 as usize];
            if was_silent || sense.back_at.is_none() {
                sense.back_at = Some(self.now);
                self.timers.add(self.now + patience, Kind::BusBack, ix.0);
            }
        }
    }

    /// A sensor has had time to speak since its bus was back.
    pub(super) fn bus_back_due(&mut self, of: u32) {
        let ix = SensorIx(of);
        if self.sensors[of as usize].back_at.is_some_and(|back_at| back_at + self.patience(ix) <= self.now) {
            self.unmute_sensor(ix);
        }
    }

    /// How long a sensor has to speak once its bus is back.
    fn patience(&self, ix: SensorIx) -> Span {
        let bus = self.plan.bus_of[ix.0 as usize].and_then(|bus| self.plan.buses[bus as usize].silent_after);
        let usual = bus.unwrap_or(SHORTEST_PATIENCE).max(SHORTEST_PATIENCE);
        usual.max(self.plan.sensor(ix).stale_after.unwrap_or(Span::ZERO))
    }

    /// Comes again for a sensor that has time to speak since its bus is back, if that is not over.
    pub(super) fn arm_bus_back(&mut self, ix: SensorIx) {
        let due = self.sensors[ix.0 as usize].back_at.map(|back_at| back_at + self.patience(ix));
        if let Some(due) = due.filter(|due| *due > self.now) {
            self.timers.add(due, Kind::BusBack, ix.0);
        }
    }

    /// Whether an alert does not page because of the bus of its sensor.
    pub(super) fn is_inhibited(&self, of: u32) -> bool {
        let bound = &self.plan.rules[of as usize];
        let sensor = self.plan.sensor(bound.sensor);
        if let Some(bus) = &sensor.stands_for {
            // That it is down says enough; that it is silent then says nothing.
            return matches!(bound.rule.condition, Condition::MissingFor(_)) && self.buses_down.contains(bus);
        }
        let Some(bus) = &sensor.bus else { return false };
        if self.buses_down.contains(bus) {
            return true;
        }
        let Some(bus) = self.plan.bus_of[bound.sensor.0 as usize] else { return false };
        let sense = &self.sensors[bound.sensor.0 as usize];
        self.is_silent(bus as usize)
            || sense.back_at.is_some_and(|back_at| self.now < back_at + self.patience(bound.sensor))
            || self.is_suspected(bus as usize, bound, sense)
    }

    /// Whether nobody on a bus has spoken for as long as its own rule allows.
    fn is_silent(&self, bus: usize) -> bool {
        let known = &self.plan.buses[bus];
        let Some((rule, silent_after)) = known.silence.zip(known.silent_after) else { return false };
        let is_raised = self.watches[rule as usize].alert.raised().is_some();
        is_raised || self.now - self.buses[bus].quiet_since() >= silent_after
    }

    /// Whether the silence of a sensor is probably that of its bus, which is not noticed yet: no other sensor of it spoke much
    /// later.
    fn is_suspected(&self, bus: usize, bound: &Bound, sense: &Sense) -> bool {
        let (Condition::MissingFor(span), Some(silent_after)) =
            (bound.rule.condition, self.plan.buses[bus].silent_after)
        else {
            return false;
        };
        self.buses[bus].heard_at <= sense.seen + Span(span.0.min(silent_after.0) / 3)
    }

    /// A page of an alert is held because of its bus.
    pub(super) fn suspect_bus(&mut self, of: u32) {
        let sensor = self.plan.rules[of as usize].sensor;
        if let Some(bus) = self.plan.bus_of[sensor.0 as usize] {
            self.buses[bus as usize].suspected = true;
        }
    }

    /// The facts of a sensor that stands for a bus, whose silence is that of all sensors on it. While it is down nothing can
    /// be told of that.
    pub(super) fn with_bus(&self, ix: SensorIx, facts: Facts) -> Facts {
        let Some((bus, is_down)) = self.bus_at(ix) else { return facts };
        let silent = if is_down { Span::ZERO } else { self.now - bus.quiet_since() };
        Facts { silent, heard: bus.heard && !is_down, ..facts }
    }

    /// From when the silence of a sensor counts.
    pub(super) fn quiet_since(&self, ix: SensorIx) -> Uptime {
        self.bus_at(ix).map_or(self.sensors[ix.0 as usize].seen, |(bus, _)| bus.quiet_since())
    }

    /// The bus that a sensor stands for, and whether it is down.
    fn bus_at(&self, ix: SensorIx) -> Option<(&Bus, bool)> {
        let id = self.plan.sensor(ix).stands_for.as_ref()?;
        let place = self.plan.buses.iter().position(|bus| bus.sensor == ix)?;
        Some((&self.buses[place], self.buses_down.contains(id)))
    }
}
