//! The sensors that a recording names, which of the plan's they are, and which may have been meant.

use std::sync::Arc;

use tilth_core::plan::Plan;
use tilth_core::reading::SensorIx;

/// Unknown names that are compared with those of the plan, which may be thousands.
const MAX_MEANT: usize = 5;

/// The names of the recording, in the order of their first row.
#[derive(Debug, Default)]
pub(crate) struct RecordedNames(Vec<Named>);

#[derive(Debug)]
struct Named {
    name: Arc<str>,
    sensor: Option<SensorIx>,
    rows: u64,
}

impl RecordedNames {
    pub(crate) fn extend(&mut self, names: &[Arc<str>], plan: &Plan) {
        let named = |name: &Arc<str>| Named { name: Arc::clone(name), sensor: plan.sensor_ix(name), rows: 0 };
        self.0.extend(names.iter().map(named));
    }

    /// Counts a row of a name; the sensor that it is.
    pub(crate) fn count(&mut self, index: usize) -> Option<SensorIx> {
        let named = &mut self.0[index];
        named.rows += 1;
        named.sensor
    }

    pub(crate) fn sensor(&self, index: usize) -> Option<SensorIx> {
        self.0.get(index).and_then(|named| named.sensor)
    }

    /// Whether any row was of a sensor of the plan.
    pub(crate) fn fits(&self) -> bool {
        self.0.iter().any(|named| named.sensor.is_some() && named.rows > 0)
    }

    /// The first few unknown names that are near to one of the plan, each with that.
    pub(crate) fn meant<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a str, &'a str)> {
        let near = |(name, _)| Some((name, nearest(name, plan.sensors().iter().map(|sensor| sensor.id.as_str()))?));
        self.unknown().take(MAX_MEANT).filter_map(near)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|named| &*named.name)
    }

    /// Names that the plan does not have, with how many rows each.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().filter(|named| named.sensor.is_none()).map(|named| (&*named.name, named.rows))
    }
}

/// The id that is nearest to a name, unless even that is too far off to have been meant.
pub(super) fn nearest<'a>(name: &str, ids: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = plain(name);
    // One slip in every three letters still reads as the same word; a name that is the end of an id lacks only its zone.
    let most = name.chars().count() / 3;
    let near = |id: &'a str| {
        let own = plain(id.split_once('/').map_or(id, |(_, own)| own));
        let distance = if own == name { 0 } else { strsim::levenshtein(&name, &plain(id)) };
        (distance <= most).then_some((distance, id))
    };
    ids.filter_map(near).min_by_key(|(distance, _)| *distance).map(|(_, id)| id)
}

fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_meant_is_found() {
        let known = ["tower-1/ph", "tower-1/ec", "tower-2/ph", "kas/temperature"];
        for (name, expected) in [
            ("Tower-1/pH", Some("tower-1/ph")),
            ("tower1_ph", Some("tower-1/ph")),
            ("tower-2.ph", Some("tower-2/ph")),
            ("towre-1/ec", Some("tower-1/ec")),
            ("temperature", Some("kas/temperature")),
            ("ph", Some("tower-1/ph")),
            ("pond-3", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name:?}");
        }
    }
}
