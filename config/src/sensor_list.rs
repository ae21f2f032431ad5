//! All sensors of a configuration, and which of them a rule watches.

use std::collections::BTreeMap;

use tilth_core::id::{Id, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::sensor::Sensor;
use tilth_core::time::Span;
use tilth_core::unit::Unit;

use crate::input::Input;
use crate::selector::{Glob, Selector};
use crate::source::Place;

/// How a sensor is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// Source of its raw values; none for a sensor that only a recording fills.
    pub input: Option<Input>,
    /// The bus of `agent.toml` that its input is on.
    pub bus: Option<Id>,
    /// How often it is read or speaks.
    pub interval: Option<Span>,
    /// The clock that stamps its readings.
    pub stamp: Stamping,
    /// Measured quantity; values in another unit are converted.
    pub quantity: Quantity,
    /// The unit of numbers that say none, where it is not the quantity's own.
    pub unit: Option<Unit>,
}

/// The clock that stamps a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamping {
    /// The time at which it arrived.
    #[default]
    Arrival,
    /// The time that its source gave it, where it gave one.
    Source,
}

/// A sensor that can be watched.
#[derive(Debug)]
pub(crate) struct SensorEntry {
    pub(crate) sensor: Sensor,
    pub(crate) settings: InputSettings,
    pub(crate) enabled: bool,
    /// A switch that holds the actuators of its zone, and whether it does while open; else while closed.
    pub(crate) hold_while_open: Option<bool>,
    pub(crate) path: String,
    /// Place of the sensor's key.
    pub(crate) key: Place,
    /// Place of the sensor's own range, if it has one.
    pub(crate) range: Option<Place>,
    /// Place of the sensor's interval.
    pub(crate) interval: Place,
    /// Place of the sensor's input.
    pub(crate) input: Place,
}

/// All sensors that are right, sorted by id, and the names of all that are written.
#[derive(Debug, Default)]
pub(crate) struct Sensors {
    pub(crate) entries: Vec<SensorEntry>,
    /// Every name, that of a wrong entry too, with the entry's place.
    pub(crate) names: BTreeMap<String, Place>,
    of_zone: BTreeMap<Id, Vec<usize>>,
    of_name: BTreeMap<String, Vec<usize>>,
    of_quantity: BTreeMap<Quantity, Vec<usize>>,
}

impl Sensors {
    /// Sorts the sensors and lists them by what rules may name.
    pub(crate) fn new(mut entries: Vec<SensorEntry>, names: BTreeMap<String, Place>) -> Sensors {
        entries.sort_by(|a, b| a.sensor.id.cmp(&b.sensor.id));
        let mut sensors = Sensors { names, ..Sensors::default() };
        for (ix, SensorEntry { sensor, .. }) in entries.iter().enumerate() {
            sensors.of_zone.entry(sensor.zone.clone()).or_default().push(ix);
            sensors.of_name.entry(sensor.id.name().to_owned()).or_default().push(ix);
            sensors.of_quantity.entry(sensor.quantity).or_default().push(ix);
        }
        sensors.entries = entries;
        sensors
    }

    pub(crate) fn get(&self, id: &SensorId) -> Option<&SensorEntry> {
        self.entries.binary_search_by(|entry| entry.sensor.id.cmp(id)).ok().map(|ix| &self.entries[ix])
    }

    /// Whether any sensor, enabled or not, is in a zone.
    pub(crate) fn has_zone(&self, zone: &Id) -> bool {
        self.of_zone.contains_key(zone)
    }

    /// The zones that have sensors.
    pub(crate) fn zones(&self) -> impl Iterator<Item = &str> {
        self.of_zone.keys().map(Id::as_str)
    }

    /// Whether some entry was wrong, so that a rule without a sensor may be no mistake of the rule.
    pub(crate) fn some_are_wrong(&self) -> bool {
        self.entries.len() < self.names.len()
    }

    /// The sensors that fit, of one zone or of all. Looks at the shortest list that must hold them all, so that ten
    /// thousand rules over ten thousand sensors stay apart.
    pub(crate) fn watched(
        &self,
        selector: &Selector,
        quantity: Option<Quantity>,
        zone: Option<&Id>,
    ) -> Vec<&SensorEntry> {
        let fits = |entry: &&SensorEntry| {
            entry.enabled
                && quantity.is_none_or(|quantity| entry.sensor.quantity == quantity)
                && zone.is_none_or(|zone| entry.sensor.zone == *zone)
        };
        let glob = match selector {
            Selector::One(id) => return self.get(id).filter(fits).into_iter().collect(),
            Selector::Glob(glob) => glob,
        };
        let entry = |ix: &usize| &self.entries[*ix];
        let within = self.half(glob);
        let list = [
            zone.map(|zone| list(&self.of_zone, zone)),
            quantity.map(|quantity| list(&self.of_quantity, &quantity)),
            (!glob.name.contains('*')).then(|| list(&self.of_name, &glob.name)),
        ];
        match list.into_iter().flatten().min_by_key(|list| list.len()).filter(|list| list.len() < within.len()) {
            Some(list) => list.iter().map(entry).filter(fits).filter(|entry| glob.matches(&entry.sensor.id)).collect(),
            None => within.iter().filter(fits).filter(|entry| glob.matches(&entry.sensor.id)).collect(),
        }
    }

    /// The sensors whose id begins with the glob's first half; all where that is a pattern.
    fn half(&self, glob: &Glob) -> &[SensorEntry] {
        if glob.zone.contains('*') {
            return &self.entries;
        }
        // In ASCII 0 follows /, so these are the bounds of all ids that begin so.
        let (from, to) = (format!("{}/", glob.zone), format!("{}0", glob.zone));
        let bound = |bound: &str| self.entries.partition_point(|entry| entry.sensor.id.as_str() < bound);
        &self.entries[bound(&from)..bound(&to)]
    }
}

fn list<'a, K: Ord>(lists: &'a BTreeMap<K, Vec<usize>>, key: &K) -> &'a [usize] {
    lists.get(key).map_or(&[], Vec::as_slice)
}
