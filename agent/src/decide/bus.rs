//! A bus as decide hears of it: while it is down its sensors' alerts are inhibited, so it is a sensor itself, `bus/NAME`.

use std::collections::BTreeMap;

use serde_json::json;
use tilth_core::engine::{Engine, Input};
use tilth_core::id::{Id, SensorId};
use tilth_core::reading::{Quality, Raw};

use super::Decide;

impl Decide {
    /// A bus went down or came back.
    pub(super) fn bus_changed(&mut self, bus: &Id, down: Option<&str>) {
        let up = down.is_none();
        self.diagnose("bus", json!({ "bus": bus, "up": up, "reason": down }));
        self.buses.insert(bus.clone(), down.map(str::to_owned));
        self.handle(Input::Bus { bus: bus.clone(), up });
        self.read_bus(bus, up);
    }

    /// Something came from a bus that had nothing for a sensor.
    pub(super) fn line_unused(&mut self, bus: Id, why: String) {
        self.unread.insert(bus.clone(), why);
        self.handle(Input::Line(bus));
    }

    /// The plan is another: it may watch buses that are down since before.
    pub(super) fn read_buses(&mut self) {
        for (bus, down) in self.buses.clone() {
            self.read_bus(&bus, down.is_none());
        }
    }

    /// Why the bus is down that a sensor `bus/NAME` stands for.
    pub(super) fn why_down(&self, sensor: &SensorId) -> Option<String> {
        self.buses.iter().find_map(|(bus, down)| down.clone().filter(|_| *sensor == SensorId::of_bus(bus)))
    }

    /// Why no line has a value, of a bus that a sensor `bus/NAME` stands for and whose lines come.
    pub(super) fn why_unread(&self, sensor: &SensorId) -> Option<String> {
        unread(&self.engine, &self.unread, sensor)
    }

    fn read_bus(&mut self, bus: &Id, up: bool) {
        self.follow_clock();
        let Some(sensor) = self.engine.plan().sensor_ix(SensorId::of_bus(bus).as_str()) else { return };
        let value = if up { 1.0 } else { 0.0 };
        let at = self.now();
        self.decide(at, Input::Reading(Raw { sensor, at, value, quality: Quality::Good }));
    }
}

/// As [`Decide::why_unread`], for those who look at the engine.
pub(crate) fn unread(engine: &Engine, unread: &BTreeMap<Id, String>, sensor: &SensorId) -> Option<String> {
    let bus = engine.plan().sensor(engine.plan().sensor_ix(sensor.as_str())?).stands_for.as_ref()?;
    unread.get(bus).filter(|_| engine.is_unread(bus)).cloned()
}
