//! The sensors that a recording names, and which of the plan's they are.

use std::sync::Arc;

use tilth_core::plan::Plan;
use tilth_core::reading::SensorIx;

/// Every name met, by its place among them.
#[derive(Debug, Default)]
pub(crate) struct Roster(Vec<Named>);

#[derive(Debug)]
struct Named {
    name: Arc<str>,
    sensor: Option<SensorIx>,
    rows: u64,
}

impl Roster {
    /// Looks up new names, once each.
    pub(crate) fn extend(&mut self, names: &[Arc<str>], plan: &Plan) {
        let named = |name: &Arc<str>| Named { name: Arc::clone(name), sensor: plan.sensor_ix(name), rows: 0 };
        self.0.extend(names.iter().map(named));
    }

    /// Counts a row of a name; the sensor that it is.
    pub(crate) fn count(&mut self, place: usize) -> Option<SensorIx> {
        let named = &mut self.0[place];
        named.rows += 1;
        named.sensor
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Names that the plan does not have, with how many rows each.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().filter(|named| named.sensor.is_none()).map(|named| (&*named.name, named.rows))
    }
}
