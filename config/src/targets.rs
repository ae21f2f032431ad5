//! Targets of actuators as they are written: the sensor that an actuator follows, two limits, and hours.

use tilth_core::id::{Id, SensorId};
use tilth_core::target::{Limit, Target};

use crate::diagnostic::{Diagnostics, Problem};
use crate::reader::{self, Fields};
use crate::schedules::Schedules;
use crate::tree::Node;

/// Reads `actuators.NAME.target`; none where something in it is wrong. `sensor` reads a sensor that the actuator may need.
pub(crate) fn read(
    fields: Fields<'_>,
    actuator: &Id,
    sensor: impl FnOnce(&Node) -> Result<SensorId, Problem>,
    schedules: &Schedules,
    log: &Diagnostics,
) -> Option<Target> {
    let sensor = fields.required("sensor", sensor);
    let limits = limits(&fields);
    let during = fields.optional("during", |node| {
        let id = reader::id(node)?;
        let hours = schedules.get(id.as_str());
        hours.ok_or_else(|| reader::unknown_name("schedule", id.as_str(), "schedules", schedules.keys(), log))
    });
    let has_hours = fields.has("during");
    fields.finish();
    let during = during.and_then(|hours| Some(hours.as_ref()?.schedule.clone()));
    if has_hours && during.is_none() {
        return None;
    }
    let (on, off) = limits?;
    Some(Target { actuator: actuator.clone(), sensor: sensor?, on, off, during })
}

/// When it is wanted on, and when off.
fn limits(fields: &Fields<'_>) -> Option<(Limit, Limit)> {
    let read = |key| fields.optional(key, reader::number);
    let [on_below, off_above, on_above, off_below] = ["on_below", "off_above", "on_above", "off_below"].map(read);
    match ["on_below", "off_above", "on_above", "off_below"].map(|key| fields.has(key)) {
        [true, true, false, false] => {
            let (on, off) = (on_below?, off_above?);
            if off <= on {
                let problem = Problem::new(format!("not above on_below, {on}, so it would never rest"));
                fields.error("off_above", problem.help("leave room between the two").across_documents());
            }
            Some((Limit::Below(on), Limit::Above(off)))
        }
        [false, false, true, true] => {
            let (on, off) = (on_above?, off_below?);
            if on <= off {
                let problem = Problem::new(format!("not below on_above, {on}, so it would never rest"));
                fields.error("off_below", problem.help("leave room between the two").across_documents());
            }
            Some((Limit::Above(on), Limit::Below(off)))
        }
        _ => {
            let problem = Problem::new("the limits of a target are two").across_documents();
            let help = "expected on_below with off_above, as for a heater, or on_above with off_below, as for a fan";
            fields.error_here(problem.help(help));
            None
        }
    }
}
