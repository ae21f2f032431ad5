//! Whether the limits of a sensor leave any value without an alert.

use std::collections::BTreeMap;

use tilth_core::id::SensorId;
use tilth_core::rules::Condition;

use crate::diagnostic::{Diagnostics, Problem};
use crate::path;
use crate::rules::Rule;
use crate::source::{Place, Sources};

/// The narrowest limits of every sensor.
#[derive(Debug, Default)]
pub(crate) struct LimitConflicts {
    sensors: BTreeMap<SensorId, Limits>,
}

#[derive(Debug, Default)]
struct Limits {
    above: Option<Limit>,
    below: Option<Limit>,
}

#[derive(Debug)]
struct Limit {
    value: f64,
    place: Place,
    path: String,
    rule: String,
}

impl LimitConflicts {
    /// Takes note of a rule that is bound to a sensor. One that watches by hours may well contradict another.
    pub(crate) fn add(&mut self, sensor: &SensorId, rule: &Rule) {
        let (value, is_above) = match rule.condition.of_one_sensor() {
            Some(Condition::Above { limit, .. }) => (*limit, true),
            Some(Condition::Below { limit, .. }) => (*limit, false),
            _ => return,
        };
        if rule.during.is_some() {
            return;
        }
        let limits = self.sensors.entry(sensor.clone()).or_default();
        let known = if is_above { &mut limits.above } else { &mut limits.below };
        if known.as_ref().is_none_or(|known| if is_above { value < known.value } else { value > known.value }) {
            let path = path::join(&rule.path, rule.condition.key);
            *known = Some(Limit { value, place: rule.condition.place, path, rule: rule.id.to_string() });
        }
    }

    /// Says where two limits leave nothing between them, once for each limit that is at fault.
    pub(crate) fn say(self, sources: &Sources, log: &Diagnostics) {
        let mut crossed: BTreeMap<Place, (String, String, usize)> = BTreeMap::new();
        for (sensor, limits) in &self.sensors {
            let (Some(above), Some(below)) = (&limits.above, &limits.below) else { continue };
            if below.value <= above.value {
                continue;
            }
            // The one that was written later.
            let (later, word, earlier, other) = if below.place > above.place {
                (below, "below", above, "above")
            } else {
                (above, "above", below, "below")
            };
            let found = crossed.entry(later.place).or_insert_with(|| {
                let place = sources.name(earlier.place);
                let message = format!(
                    "{word} {} and, by {}, {other} {} ({place}) leave no value of {sensor} without an alert",
                    later.value, earlier.rule, earlier.value
                );
                (later.path.clone(), message, 0)
            });
            found.2 += 1;
        }
        for (place, (path, message, sensors)) in crossed {
            let problem = match sensors {
                1 => Problem::new(message),
                2 => Problem::new(format!("{message}, nor of 1 sensor more")),
                sensors => Problem::new(format!("{message}, nor of {} sensors more", sensors - 1)),
            };
            log.warning(place, &path, problem.across_documents());
        }
    }
}
