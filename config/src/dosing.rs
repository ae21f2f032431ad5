//! Actuators that dose: limits that are left out, acid or base that is given in the wrong direction, and doses by a probe's counts.

use std::collections::{BTreeMap, BTreeSet};

use tilth_core::actuator::Actuator;
use tilth_core::id::{Id, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::rules::Condition;
use tilth_core::sensor::Sensor;
use tilth_core::target::Limit;

use crate::diagnostic::{Diagnostics, Problem};
use crate::document::Effective;
use crate::path;

/// Words in the name of an actuator that lowers the pH.
const LOWERS: [&str; 4] = ["acid", "ph-down", "phdown", "ph-minus"];

/// Words in the name of one that raises it.
const RAISES: [&str; 6] = ["base", "lye", "alkali", "ph-up", "phup", "ph-plus"];

/// Words in the name of one that doses something else.
const DOSES: [&str; 7] = ["dose", "doser", "dosing", "nutrient", "nutrients", "fertilizer", "fertiliser"];

/// Words in the name of an actuator that gives nothing into water, also beside other words: `base-lamp`.
const DOSES_NOTHING: [&str; 7] = ["lamp", "light", "fan", "heater", "siren", "horn", "vent"];

/// Actuators that dose by a sensor, each with one of its sensors; of a rule or a target.
pub(crate) type DosedBy = BTreeMap<Id, SensorId>;

/// Whether what is switched on by the value of a quantity is given into water, and cannot be taken out again.
pub(crate) fn is_dosed(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::Ph | Quantity::Ec | Quantity::Tds | Quantity::Orp)
}

/// Which side of its limits switches an actuator on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Above,
    Below,
    Both,
}

impl Side {
    pub(crate) fn of_condition(condition: &Condition) -> Option<Side> {
        match condition {
            Condition::Above { .. } => Some(Side::Above),
            Condition::Below { .. } => Some(Side::Below),
            Condition::Outside { .. } => Some(Side::Both),
            _ => None,
        }
    }

    pub(crate) fn of_target(on: Limit) -> Side {
        match on {
            Limit::Above(_) => Side::Above,
            Limit::Below(_) => Side::Below,
        }
    }
}

/// Why an actuator by its name must not be switched on by this side of a pH: what is wrong, and what was expected.
pub(crate) fn wrong_direction(actuator: &Id, side: Side) -> Option<(String, String)> {
    let (does, expected) = match (has_word(actuator, &LOWERS), has_word(actuator, &RAISES)) {
        (true, false) => ("lowers", Side::Above),
        (false, true) => ("raises", Side::Below),
        _ => return None,
    };
    let word = |side| if side == Side::Above { "above" } else { "below" };
    let when = match side {
        Side::Both => "below the limits as well as above them".to_owned(),
        side if side == expected => return None,
        side => format!("while the pH is {} a limit already", word(side)),
    };
    let wrong = format!("{actuator} {does} the pH by its name, and here it is given {when}");
    Some((wrong, format!("expected a limit {}, or an actuator of another name", word(expected))))
}

/// The limits of a condition on the value.
pub(crate) fn limits_of(condition: &Condition) -> Option<Vec<f64>> {
    match *condition {
        Condition::Above { limit, .. } | Condition::Below { limit, .. } => Some(vec![limit]),
        Condition::Outside { low, high, .. } => Some(vec![low, high]),
        Condition::Between { above, below } => Some(vec![above, below]),
        _ => None,
    }
}

/// The limits of a target.
pub(crate) fn limits_of_target(on: Limit, off: Limit) -> [f64; 2] {
    [on, off].map(|(Limit::Above(at) | Limit::Below(at))| at)
}

/// Why limits do not switch an actuator on by a sensor that counts: they, or the sensor's name, are of another quantity, such as a pH whose
/// probe shows its counts for a calibration. What is wrong, and what was expected.
pub(crate) fn by_counts(actuator: &Id, sensor: &Sensor, limits: &[f64]) -> Option<(String, String)> {
    // Between 0 and 1 is the limit of a switch, such as a float.
    let is_between_counts =
        |limit: &f64| limit.abs() > 1.0 && sensor.resolution.floor(*limit) != sensor.resolution.ceil(*limit);
    let is_of_dosed = |word| Quantity::from_name(word).is_some_and(is_dosed);
    let is_meant = !sensor.id.name().split('-').any(is_of_dosed) && !limits.iter().any(is_between_counts);
    if sensor.quantity != Quantity::Count || is_meant {
        return None;
    }
    let wrong = format!("{actuator} is not switched on by counts: {} has quantity = \"count\"", sensor.id);
    let help = "expected the quantity that the limits are of, such as ph; while the sensor shows the counts of a probe for its calibration";
    Some((wrong, format!("{help}, set enabled = false in [actuators.{actuator}]")))
}

/// Whether a name has a word of doses, between hyphens or its ends.
fn has_word(name: &Id, words: &[&str]) -> bool {
    let name = format!("-{name}-");
    let has = |words: &[&str]| words.iter().any(|word| name.contains(&format!("-{word}-")));
    has(words) && !has(&DOSES_NOTHING)
}

/// Warns of actuators that dose and that nothing limits in total, or nothing stops when the probe fails.
pub(crate) fn say_unlimited(
    effective: &Effective,
    actuators: &BTreeMap<String, Option<Actuator>>,
    dosed_by: &DosedBy,
    log: &Diagnostics,
) {
    let mut said = BTreeSet::new();
    for (at, _, table) in effective.tables("actuators") {
        for (name, entry) in table {
            let Some(Some(actuator)) = actuators.get(name).filter(|_| said.insert(name)) else { continue };
            let by_sensor = dosed_by.get(&actuator.id);
            let doses =
                by_sensor.is_some() || [&LOWERS[..], &RAISES, &DOSES].iter().any(|of| has_word(&actuator.id, of));
            if !doses || actuator.is_alarm || !actuator.enabled {
                continue;
            }
            let warn = |what: &str, help: String| {
                let problem = Problem::new(format!("{name} doses, and {what}")).help(help);
                log.warning(entry.key, &path::join(&at, name), problem.across_documents());
            };
            if !actuator.has_total() {
                let what = "no total limits it: rules and people may give max_on again and again";
                warn(what, "set dose_per_hour and dose_per_day, such as \"10s\" and \"60s\"".to_owned());
            }
            // An empty list says that none is wanted.
            if actuator.needs_fresh.is_empty() && entry.node.get(["needs_fresh"]).is_none() {
                let sensor = by_sensor.map_or_else(|| format!("{}/ph", actuator.zone), SensorId::to_string);
                let what = "needs no sensor: people may dose while its probe has failed, and what is on goes on";
                warn(what, format!("set needs_fresh, such as [\"{sensor}\"]"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_direction_by_whole_words_alone() {
        let wrong = |name: &str, side| wrong_direction(&Id::new(name).unwrap(), side).is_some();
        for (name, above, below) in [
            ("acid-pump", false, true),
            ("tower-acid", false, true),
            ("ph-down", false, true),
            ("base", true, false),
            ("ph-up-2", true, false),
            ("basement-fan", false, false),
            ("placid", false, false),
            ("base-lamp", false, false),
            ("acid-or-base", false, false),
        ] {
            assert_eq!((wrong(name, Side::Above), wrong(name, Side::Below)), (above, below), "{name}");
        }
        assert!(wrong("acid", Side::Both) && wrong("base", Side::Both) && !wrong("lamp", Side::Both));
    }
}
