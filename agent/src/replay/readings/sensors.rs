//! Options with which a recording is read, and the sensor that each of its headings or names means.

use std::collections::HashMap;
use std::sync::Arc;

use tilth_core::label::{Label, MatchKind, Siblings};
use tilth_core::quantity::Quantity;
use tilth_core::unit::Unit;

use crate::cli::{Map, ReadArgs};

#[derive(Debug, Clone)]
pub(crate) struct KnownSensor {
    pub(crate) id: Arc<str>,
    pub(crate) quantity: Quantity,
    /// The unit of its board's numbers, where they say none.
    pub(crate) unit: Option<Unit>,
}

/// How a recording is to be read: options of the command line, and the sensors of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadOptions {
    pub(crate) args: ReadArgs,
    /// The farm's own zone, to be suggested.
    pub(crate) farm_zone: Option<String>,
    pub(crate) sensors: Vec<KnownSensor>,
}

/// Finds the sensor that a name of the recording means. Fails, in words for the person who called, where a name could be meant by more
/// than one `--map`, or two names are said to be one sensor.
#[derive(Debug, Default)]
pub(super) struct Sensors {
    pub(super) known: Vec<KnownSensor>,
    by_id: HashMap<Arc<str>, usize>,
    /// By what is left of an id without case, blanks, `_` and `-`; nothing where two ids are alike.
    by_key: HashMap<String, Option<usize>>,
    maps: Vec<Mapped>,
}

#[derive(Debug)]
struct Mapped {
    map: Map,
    label: Option<Label>,
    sensor: Option<usize>,
    /// The name that it was found to mean, and whether it says the whole of it.
    taken: Option<(String, bool)>,
}

impl Mapped {
    fn is_exactly(&self, name: &str) -> bool {
        self.map.name.trim() == name
    }

    fn matches(&self, label: Option<&Label>) -> Option<MatchKind> {
        label?.matches(self.label.as_ref()?)
    }
}

impl Sensors {
    pub(super) fn new(options: &ReadOptions) -> Sensors {
        let known = options.sensors.clone();
        let by_id: HashMap<_, _> = (0..).zip(&known).map(|(index, known)| (Arc::clone(&known.id), index)).collect();
        let mut by_key: HashMap<String, Option<usize>> = HashMap::new();
        for (index, KnownSensor { id, .. }) in known.iter().enumerate() {
            if let Some(label) = Label::of(id) {
                by_key.entry(label.key().to_owned()).and_modify(|one| *one = None).or_insert(Some(index));
            }
        }
        let mapped = |map: &Map| Mapped {
            label: label(&map.name),
            sensor: by_id.get(map.sensor.as_str()).copied(),
            map: map.clone(),
            taken: None,
        };
        let maps = options.args.map.iter().map(mapped).collect();
        Sensors { known, by_id, by_key, maps }
    }

    /// The sensor that a name means: as `--map` says it whole, by its id, or as `--map` says a part of it.
    pub(super) fn find(&mut self, name: &str) -> Result<Option<usize>, String> {
        match self.find_whole(name)? {
            Some(sensor) => Ok(Some(sensor)),
            None => self.find_part(name),
        }
    }

    pub(super) fn find_whole(&mut self, name: &str) -> Result<Option<usize>, String> {
        if self.known.is_empty() {
            return Ok(None);
        }
        let label = label(name);
        let exact = self.maps.iter().position(|mapped| mapped.is_exactly(name));
        let whole = || self.maps.iter().position(|mapped| mapped.matches(label.as_ref()) == Some(MatchKind::Exact));
        if let Some(index) = exact.or_else(whole) {
            return self.take(index, name, true);
        }
        let same = label.and_then(|label| self.by_key.get(label.key()).copied().flatten());
        Ok(self.by_id.get(name).copied().or(same))
    }

    pub(super) fn find_part(&mut self, name: &str) -> Result<Option<usize>, String> {
        if self.maps.is_empty() {
            return Ok(None);
        }
        let label = label(name);
        // What is the whole name of another is no part of this one: `sensor.t` beside `sensor.t_2`.
        let is_free =
            |mapped: &Mapped| mapped.taken.as_ref().is_none_or(|(before, is_whole)| !is_whole || before == name);
        let is_part = |mapped: &Mapped| is_free(mapped) && mapped.matches(label.as_ref()) == Some(MatchKind::Partial);
        let fits: Vec<usize> = (0..self.maps.len()).filter(|index| is_part(&self.maps[*index])).collect();
        match fits[..] {
            [] => Ok(None),
            [index] => self.take(index, name, false),
            [one, other, ..] => {
                let (one, other) = (&self.maps[one].map, &self.maps[other].map);
                Err(format!(
                    "\"{name}\" fits --map \"{}={}\" and --map \"{}={}\": write its whole name in one of them",
                    one.name, one.sensor, other.name, other.sensor
                ))
            }
        }
    }

    fn take(&mut self, index: usize, name: &str, is_whole: bool) -> Result<Option<usize>, String> {
        let Mapped { map, sensor, taken, .. } = &mut self.maps[index];
        match taken {
            Some((before, _)) if before != name => Err(format!(
                "--map \"{}={}\" fits \"{before}\" and \"{name}\": write the whole name of the one that is meant",
                map.name, map.sensor
            )),
            _ => {
                *taken = Some((name.to_owned(), is_whole));
                Ok(*sensor)
            }
        }
    }

    /// What rows of a name are called: by the id of its sensor, or as it stands.
    pub(super) fn called(&self, sensor: Option<usize>, name: &str) -> Arc<str> {
        sensor.map_or_else(|| name.into(), |sensor| Arc::clone(&self.known[sensor].id))
    }

    /// The unit of the numbers under a name of another tool, where the name says none: as the sensor's board has it.
    pub(super) fn unit(&self, index: usize, name: &str) -> Option<Unit> {
        self.known[index].unit.filter(|_| self.is_mapped(name))
    }

    pub(super) fn unmet(&self) -> impl Iterator<Item = &Map> {
        self.maps.iter().filter(|mapped| mapped.taken.is_none()).map(|mapped| &mapped.map)
    }

    /// Whether `--map` says that a name is a sensor, whole or in part.
    pub(super) fn is_mapped(&self, name: &str) -> bool {
        if self.maps.is_empty() {
            return false;
        }
        let label = label(name);
        self.maps.iter().any(|mapped| mapped.is_exactly(name) || mapped.matches(label.as_ref()).is_some())
    }

    /// Whether a whole name is a sensor, without a word of `--map`.
    pub(super) fn is_id(&self, name: &str) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let key = Label::of(name).and_then(|label| self.by_key.get(label.key()).copied().flatten());
        self.by_id.contains_key(name) || key.is_some()
    }
}

/// A heading as a label: `Temp, °C (LGR S/N: 1)` and `Temp - °C` are that of `Temp (°C)`.
pub(super) fn label(heading: &str) -> Option<Label> {
    let heading = bare(heading);
    let parted = |mark: &str| {
        heading.rsplit_once(mark).filter(|(name, unit)| !name.is_empty() && Unit::of(unit.trim()).is_some())
    };
    match parted(",").or_else(|| parted(" - ")) {
        Some((name, unit)) => Label::of(&format!("{name} ({})", unit.trim())),
        None => Label::of(&with_unit_apart(heading)),
    }
}

/// `Temperature°C` with its unit in brackets.
fn with_unit_apart(heading: &str) -> std::borrow::Cow<'_, str> {
    let sign = heading.find(['°', '℃', '℉', '%']).filter(|sign| *sign > 0);
    match sign.map(|sign| heading.split_at(sign)) {
        Some((name, unit)) if name.ends_with(char::is_alphanumeric) && Unit::of(unit).is_some() => {
            format!("{name} ({unit})").into()
        }
        _ => heading.into(),
    }
}

/// The unit that a heading says of a quantity: in brackets, at its end, or before it. The id of a sensor says none by its end: its values
/// are in the quantity's own.
pub(super) fn unit_of(heading: &str, is_id: bool, quantity: Quantity, siblings: &Siblings) -> Option<Unit> {
    let label = label(heading)?;
    let at_end = || label.unit_at_end(quantity, siblings).filter(|_| !is_id);
    label.unit().or_else(at_end).or_else(|| unit_before(bare(heading), quantity))
}

/// `m³/m³ Water Content`: a word with such a sign is no other.
fn unit_before(heading: &str, quantity: Quantity) -> Option<Unit> {
    let (unit, rest) = Unit::leading(heading, Unit::of_exactly)?;
    let text = &heading[..heading.len() - rest.len()];
    let is_said = !rest.is_empty() && text.contains(['/', '°', '%', '²', '³']);
    Some(unit).filter(|unit| is_said && quantity.conversion(*unit).is_some())
}

/// A heading without the serial numbers that loggers put behind it.
pub(super) fn bare(heading: &str) -> &str {
    let end = ["(LGR S/N", "(SEN S/N", "(S/N"].iter().filter_map(|sign| heading.find(sign)).min();
    heading[..end.unwrap_or(heading.len())].trim()
}

#[cfg(test)]
mod tests;
