//! The hub as decide hears of it: while it refuses this device, what is seen here stays here, so it is a sensor, `hub/accepts`.

use tilth_core::engine::Input;
use tilth_core::id::SensorId;
use tilth_core::reading::{Quality, Raw};

use super::Decide;

impl Decide {
    /// The hub refuses this device, or takes what it says.
    pub(super) fn hub_changed(&mut self, accepts: bool) {
        self.hub_accepts = Some(accepts);
        self.read_hub();
    }

    /// Also where the plan is another, which may not have watched it before.
    pub(super) fn read_hub(&mut self) {
        let Some(accepts) = self.hub_accepts else { return };
        self.follow_clock();
        let Some(sensor) = self.engine.plan().sensor_ix(SensorId::hub_accepts().as_str()) else { return };
        let (at, value) = (self.now(), f64::from(u8::from(accepts)));
        self.decide(at, Input::Reading(Raw { sensor, at, value, quality: Quality::Good }));
    }
}
