//! Targets of actuators as they are written: the sensor that an actuator follows, two limits, and hours.

use tilth_core::id::{Id, SensorId};
use tilth_core::sensor::Sensor;
use tilth_core::target::{Limit, Target};

use crate::diagnostic::{Diagnostics, Problem};
use crate::dosing;
use crate::reader::{self, Fields};
use crate::schedules::Schedules;
use crate::tree::Node;

/// Reads `actuators.NAME.target`; none where something in it is wrong. `sensor` reads a sensor that the actuator may need, `followed` gives
/// the one whose values its limits must fit.
pub(crate) fn read<'s>(
    fields: Fields<'_>,
    actuator: &Id,
    sensor: impl FnOnce(&Node) -> Result<SensorId, Problem>,
    followed: impl FnOnce(&SensorId) -> Option<&'s Sensor>,
    schedules: &Schedules,
    log: &Diagnostics,
) -> Option<Target> {
    let sensor = fields.required("sensor", sensor);
    let limits = limits(&fields);
    if let (Some(sensor), Some((on, off))) = (sensor.as_ref().and_then(followed), limits) {
        check_values(&fields, actuator, sensor, on, off);
    }
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

/// Says which limit no value of the sensor passes, or that they are of no counts. Only warns: a farm that ran with such a target must be
/// watched after an upgrade, too.
fn check_values(fields: &Fields<'_>, actuator: &Id, sensor: &Sensor, on: Limit, off: Limit) {
    if let Some((wrong, help)) = dosing::by_counts(actuator, sensor, &dosing::limits_of_target(on, off)) {
        return fields.warning("sensor", Problem::new(wrong).help(help).across_documents());
    }
    let Some((low, high)) = sensor.range else { return };
    let (on_key, off_key) = match on {
        Limit::Below(_) => ("on_below", "off_above"),
        Limit::Above(_) => ("on_above", "off_below"),
    };
    let unreached = |limit, never: &str| {
        let (word, at) = match limit {
            Limit::Above(at) if at >= high => ("above", at),
            Limit::Below(at) if at <= low => ("below", at),
            Limit::Above(_) | Limit::Below(_) => return None,
        };
        let wrong = format!("no plausible value of {} is {word} {at}, so it would never go {never}", sensor.id);
        let help = format!("expected a limit between {low} and {high}, as the sensor measures {}", sensor.quantity);
        Some(Problem::new(wrong).help(help).across_documents())
    };
    if let Some(problem) = unreached(off, "off") {
        fields.warning(off_key, problem);
    }
    if let Some(problem) = unreached(on, "on") {
        fields.warning(on_key, problem);
    }
}
