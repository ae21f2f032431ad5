//! The columns of the wide layout, and what the name of a series means.

use std::collections::HashMap;
use std::sync::Arc;

use tilth_core::quantity::Quantity;
use tilth_core::unit::{Conversion, Unit};

use super::cells::{self, Mark};
use super::decoder::name_of;
use super::dialect::Dialect;
use super::names::Names;
use super::report::{Reason, Report};
use super::wanted::{Ambiguous, Sensors, bare, unit_of};

/// The columns of a line.
pub(super) type Columns = Vec<Column>;

/// A sensor's column, or a column without a name, which must be empty.
pub(super) struct Column {
    pub(super) place: usize,
    sensor: Result<usize, Reason>,
    meaning: Meaning,
}

/// What the numbers of a series measure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meaning {
    /// Of a sensor of the configuration.
    quantity: Option<Quantity>,
    /// From the unit of the heading.
    conversion: Option<Conversion>,
    unit: Option<Unit>,
}

impl Meaning {
    /// Whether it is a series of a sensor of the configuration.
    pub(super) fn is_of_a_sensor(self) -> bool {
        self.quantity.is_some()
    }

    /// What there is to say of a heading whose numbers are converted.
    fn note(self, heading: &str) -> Option<String> {
        let (quantity, unit) = (self.quantity?, self.unit?);
        let changes = self.conversion.is_some_and(|conversion| !conversion.is_none());
        changes.then(|| format!("\"{}\" is converted from {unit} to {}", bare(heading), quantity.unit()))
    }

    /// A number in the unit of what its sensor measures; `unit` is said beside the number, and goes before that of the heading.
    pub(super) fn convert(self, number: f64, unit: Option<Unit>) -> Result<f64, Reason> {
        let conversion = match (unit, self.quantity) {
            (Some(unit), Some(quantity)) => Some(quantity.conversion(unit).ok_or(Reason::UnitWrong)?),
            _ => self.conversion,
        };
        Ok(conversion.filter(|conversion| !conversion.is_none()).map_or(number, |conversion| conversion.apply(number)))
    }
}

impl Column {
    /// The sensor and its value in a cell.
    pub(super) fn read(&self, text: &[u8], mark: Mark) -> Result<(usize, Option<f64>), Reason> {
        let sensor = self.sensor?;
        match cells::read(text, mark)? {
            None => Ok((sensor, None)),
            Some((number, unit)) => Ok((sensor, Some(self.meaning.convert(number, unit)?))),
        }
    }
}

/// The columns below a header; those of one place, where lines are of several.
pub(super) fn wide(
    dialect: &Dialect,
    place: Option<&str>,
    sensors: &mut Sensors,
    names: &mut Names,
    meanings: &mut Vec<Meaning>,
    report: &mut Report,
) -> Result<Columns, Ambiguous> {
    let is_other =
        |at: &usize| !dialect.times.contains(at) && !dialect.places.contains(at) && !is_row_number(dialect, *at);
    let named = |at: usize| match (place, &dialect.headings[at]) {
        (Some(place), heading) if !heading.is_empty() => (at, format!("{place}/{heading}")),
        (_, heading) => (at, heading.clone()),
    };
    let headings: Vec<(usize, String)> = (0..dialect.headings.len()).filter(is_other).map(named).collect();
    let found = find(&headings, sensors)?;
    let mut columns = Vec::new();
    for ((at, heading), sensor) in headings.into_iter().zip(found) {
        if sensor.is_none() && dialect.texts.binary_search(&at).is_ok() {
            if !report.texts.contains(&dialect.headings[at]) {
                report.texts.push(dialect.headings[at].clone());
            }
            continue;
        }
        let name = name_of(sensor, &heading, sensors);
        match meaning_of(sensor, &heading, sensors) {
            Err(reason) => report.bad_heading(dialect.header, at, reason, heading.as_bytes()),
            Ok(meaning) => match names.add_heading(&heading, &name) {
                Ok(known) => {
                    meanings.push(meaning);
                    meaning.note(&heading).into_iter().for_each(|note| report.note(note));
                    columns.push(Column { place: at, sensor: Ok(known), meaning });
                }
                Err(Reason::NameEmpty) => columns.push(Column { place: at, sensor: Err(Reason::NameEmpty), meaning }),
                Err(reason) => report.bad_heading(dialect.header, at, reason, heading.as_bytes()),
            },
        }
    }
    Ok(columns)
}

/// The sensor of each heading. Whole names first, so that a part of one takes none away from them.
fn find(headings: &[(usize, String)], sensors: &mut Sensors) -> Result<Vec<Option<usize>>, Ambiguous> {
    let mut found = Vec::with_capacity(headings.len());
    for (_, heading) in headings {
        found.push(sensors.find_whole(heading)?);
    }
    for (sensor, (_, heading)) in found.iter_mut().zip(headings) {
        if sensor.is_none() {
            *sensor = sensors.find_part(heading)?;
        }
    }
    let mut first: HashMap<usize, &str> = HashMap::new();
    for (sensor, (_, heading)) in found.iter().zip(headings) {
        let Some(sensor) = sensor else { continue };
        // A heading that is there twice is said where its second column is left out.
        if let Some(one) = first.insert(*sensor, heading).filter(|one| one != heading) {
            return Err(Ambiguous(format!("\"{one}\" and \"{heading}\" would both be {}", sensors.id(*sensor))));
        }
    }
    Ok(found)
}

/// Whether a column without a name only counts the lines, as some programs write it before the others.
fn is_row_number(dialect: &Dialect, at: usize) -> bool {
    at == 0 && dialect.headings[0].is_empty()
}

fn meaning_of(sensor: Option<usize>, heading: &str, sensors: &Sensors) -> Result<Meaning, Reason> {
    let Some(quantity) = sensor.map(|sensor| sensors.quantity(sensor)) else { return Ok(Meaning::default()) };
    let unit = unit_of(heading, quantity);
    let conversion = match unit {
        Some(unit) => Some(quantity.conversion(unit).ok_or(Reason::UnitWrong)?),
        None => None,
    };
    Ok(Meaning { quantity: Some(quantity), conversion, unit })
}

/// What a series of the long layout is called, and what it measures.
pub(super) fn series(name: &str, sensors: &mut Sensors) -> Result<(Arc<str>, Meaning), Ambiguous> {
    let sensor = sensors.find(name)?;
    let meaning = meaning_of(sensor, name, sensors).map_err(|reason| Ambiguous(format!("\"{name}\": {reason}")))?;
    Ok((name_of(sensor, name, sensors), meaning))
}
