//! State sensors: `bus/NAME` is 0 while a bus is down, `notify/NAME` while a modem cannot send, `hub/accepts` while the hub rejects this
//! device, `agent/doses` while actuators with a total must not run, so that rules can watch them.

use std::mem;

use serde_json::json;
use tilth_core::engine::Input;
use tilth_core::id::{Id, SensorId};
use tilth_core::reading::{Quality, Raw};

use super::Decide;
use crate::notify::to_decide::ModemProblems;

impl Decide {
    /// A bus went down, for this reason, or came up.
    pub(super) fn bus_changed(&mut self, bus: &Id, down: Option<&str>) {
        let up = down.is_none();
        self.stage_diagnostic("bus", json!({ "bus": bus, "up": up, "reason": down }));
        self.context.buses.insert(bus.clone(), down.map(str::to_owned));
        self.handle(Input::Bus { bus: bus.clone(), up });
        self.update_sirens_on(bus, &down.map_or(Ok(()), |why| Err(format!("its board is away: {why}"))));
        self.feed_state(&SensorId::of_bus(bus), up);
    }

    /// A message came from a bus and matched no sensor.
    pub(super) fn message_unmatched(&mut self, bus: Id, why: String) {
        self.context.unmatched.insert(bus.clone(), why);
        self.handle(Input::Unmatched(bus));
    }

    /// Modems can send, or cannot any more.
    pub(super) fn modems_changed(&mut self, problems: ModemProblems) {
        let before = mem::replace(&mut self.modem_problems, problems.clone());
        for (channel, problem) in problems {
            let can_send = problem.is_none();
            if before.get(&channel).is_none_or(|before| before.is_none() != can_send) {
                self.feed_state(&SensorId::of_channel(&channel), can_send);
            }
        }
    }

    /// The hub accepts or rejects this device.
    pub(super) fn hub_changed(&mut self, accepts: bool) {
        self.hub_accepts = Some(accepts);
        self.feed_state(&SensorId::hub_accepts(), accepts);
    }

    /// Gives the engine each state again as a reading of its sensor: a new plan may have sensors for states that began before it.
    pub(super) fn feed_states(&mut self) {
        for (bus, down) in self.context.buses.clone() {
            self.feed_state(&SensorId::of_bus(&bus), down.is_none());
        }
        for (channel, problem) in self.modem_problems.clone() {
            self.feed_state(&SensorId::of_channel(&channel), problem.is_none());
        }
        if let Some(accepts) = self.hub_accepts {
            self.feed_state(&SensorId::hub_accepts(), accepts);
        }
        self.feed_doses();
    }

    pub(super) fn feed_state(&mut self, sensor: &SensorId, is_good: bool) {
        self.follow_clock();
        let Some(sensor) = self.engine.plan().sensor_ix(sensor.as_str()) else { return };
        let (at, value) = (self.now(), f64::from(u8::from(is_good)));
        self.decide(at, Input::Reading(Raw { sensor, at, value, quality: Quality::Good }));
    }
}
