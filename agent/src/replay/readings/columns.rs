//! The columns of the wide layout, and what the name of a series means.

use std::collections::HashMap;
use std::sync::Arc;

use tilth_core::label::{Label, Siblings};
use tilth_core::quantity::Quantity;
use tilth_core::unit::{Conversion, Unit};

use super::dialect::Dialect;
use super::numbers::{self, DecimalMark};
use super::report::{Reason, Report};
use super::sensors::{Sensors, bare, label, unit_of};
use super::series::SeriesNames;
use crate::sense::line::attributes::{self, AmbiguousOwner, UnitRef, Units};
use crate::sense::line::number;

/// A sensor's column, or a column without a name, which must be empty.
pub(super) struct ValueColumn {
    pub(super) index: usize,
    sensor: Result<usize, Reason>,
    measurement: Measurement,
    /// The column that holds the unit of its numbers.
    unit: Option<UnitRef>,
}

/// What the numbers of a series measure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measurement {
    /// Quantity of the sensor; none where the configuration has no such sensor.
    pub(super) quantity: Option<Quantity>,
    /// From the unit of the heading.
    conversion: Option<Conversion>,
    unit: Option<Unit>,
}

impl Measurement {
    /// The unit that a cell beside a number says.
    pub(super) fn unit_beside(self, text: &[u8], is_own: bool) -> Result<Option<Unit>, Reason> {
        let Some(quantity) = self.quantity.filter(|_| !text.is_empty()) else { return Ok(None) };
        let text = String::from_utf8_lossy(text);
        let wrong = if Unit::of(&text).is_some() { Reason::UnitWrong } else { Reason::UnitUnknown };
        attributes::stated_unit(&text, is_own, quantity).map_err(|()| wrong)
    }

    /// The value of a cell, read as `read`, in the unit of its sensor; nothing where the cell says that there is none. `beside` finds
    /// the unit of a number from the one in its own cell.
    pub(super) fn value(
        self,
        text: &[u8],
        read: numbers::Read,
        beside: impl FnOnce(Option<Unit>) -> Result<Option<Unit>, Reason>,
    ) -> Result<Option<f64>, Reason> {
        match read {
            Ok(None) => Ok(None),
            Ok(Some((number, unit))) => self.convert(number, beside(unit)?).map(Some),
            Err(reason) => self.word(text).map(Some).ok_or(reason),
        }
    }

    /// What a word says: `true` of counts and contacts, `open` of contacts.
    fn word(self, text: &[u8]) -> Option<f64> {
        let truth = numbers::truth(text).filter(|_| self.quantity.is_none_or(number::takes_bools));
        truth.or_else(|| {
            number::contact(str::from_utf8(text).ok()?).filter(|_| self.quantity == Some(Quantity::Contact))
        })
    }

    /// What there is to say of a heading whose numbers are converted.
    fn note(self, heading: &str) -> Option<String> {
        let (quantity, unit) = (self.quantity?, self.unit?);
        let changes = self.conversion.is_some_and(|conversion| !conversion.is_none());
        changes.then(|| format!("\"{}\" is converted from {unit} to {}", bare(heading), quantity.unit()))
    }

    /// A number in the unit of what its sensor measures; `unit` is said beside the number, and goes before that of the heading.
    fn convert(self, number: f64, unit: Option<Unit>) -> Result<f64, Reason> {
        let conversion = match (unit, self.quantity) {
            (Some(unit), Some(quantity)) => Some(quantity.conversion(unit).ok_or(Reason::UnitWrong)?),
            _ => self.conversion,
        };
        Ok(conversion.filter(|conversion| !conversion.is_none()).map_or(number, |conversion| conversion.apply(number)))
    }
}

impl ValueColumn {
    /// The sensor and its value in a cell of a line; `cell` gives the text of any.
    pub(super) fn read<'a>(
        &self,
        cell: impl Fn(usize) -> &'a [u8],
        mark: DecimalMark,
    ) -> Result<(usize, Option<f64>), Reason> {
        let (sensor, text) = (self.sensor?, cell(self.index));
        let beside = |unit: Option<Unit>| match self.unit {
            Some(beside) if unit.or(self.measurement.unit).is_none() => {
                self.measurement.unit_beside(cell(beside.ix), beside.is_own)
            }
            _ => Ok(unit),
        };
        Ok((sensor, self.measurement.value(text, numbers::read(text, mark), beside)?))
    }
}

/// The columns below a header; those of one place, where lines are of several.
pub(super) fn wide(
    dialect: &Dialect,
    place: Option<&str>,
    sensors: &mut Sensors,
    names: &mut SeriesNames,
    report: &mut Report,
) -> Result<Vec<ValueColumn>, String> {
    // A first column without a name only counts the lines, as some programs write it.
    let is_row_number = |at: usize| at == 0 && dialect.headings[0].is_empty();
    let is_other = |at: &usize| !dialect.times.contains(at) && !dialect.places.contains(at) && !is_row_number(*at);
    let named = |at: usize| match (place, &dialect.headings[at]) {
        (Some(place), heading) if !heading.is_empty() => (at, format!("{place}/{heading}")),
        (_, heading) => (at, heading.clone()),
    };
    let headings: Vec<(usize, String)> = (0..dialect.headings.len()).filter(is_other).map(named).collect();
    let found = find(&headings, sensors)?;
    let labels: Vec<(usize, Label)> =
        headings.iter().filter_map(|(at, _)| Some((*at, label(&dialect.headings[*at])?))).collect();
    let mut siblings = Siblings::default();
    labels.iter().for_each(|(_, label)| {
        siblings.add(label);
    });
    let is_text = |at: usize| dialect.texts.binary_search(&at).is_ok();
    let (units, keys) = units(&labels, is_text);
    let mut columns = Vec::new();
    for ((at, heading), sensor) in headings.into_iter().zip(found) {
        if sensor.is_none() && is_text(at) {
            if !units.has(at) && !report.texts.contains(&dialect.headings[at]) {
                report.texts.push(dialect.headings[at].clone());
            }
            continue;
        }
        let name = sensors.called(sensor, &heading);
        let key = keys.get(&at).copied().unwrap_or_default();
        let unit = units
            .of(at, key)
            .map_err(|AmbiguousOwner| format!("the unit of \"{heading}\" could stand in more than one column"));
        let unit = if sensor.is_some() { unit? } else { None };
        let is_id = place.is_none() && sensors.is_id(&heading);
        let found = measurement_of(sensor, &heading, is_id, sensors, &siblings).and_then(|measurement| {
            match names.add_heading(&heading, name, measurement) {
                Err(Reason::NameEmpty) => Ok((Err(Reason::NameEmpty), measurement)),
                known => known.map(|known| (Ok(known), measurement)),
            }
        });
        match found {
            Err(reason) => report.bad_heading(dialect.header, at, reason, heading.as_bytes()),
            Ok((sensor, measurement)) => {
                measurement.note(&heading).into_iter().for_each(|note| report.note(note));
                columns.push(ValueColumn { index: at, sensor, measurement, unit });
            }
        }
    }
    Ok(columns)
}

/// Which columns hold units, and the keys of the others by place.
fn units(labels: &[(usize, Label)], is_text: impl Fn(usize) -> bool) -> (Units, HashMap<usize, &str>) {
    let unit_of = |place: usize, label: &Label| attributes::unit_field(label).filter(|_| is_text(place));
    let (mut units, mut numbers) = (Vec::new(), Vec::new());
    for (place, label) in labels {
        match unit_of(*place, label) {
            Some(base) => units.push((*place, base)),
            None if is_text(*place) => {}
            None => numbers.push((*place, label.key())),
        }
    }
    let units = Units::new(units.iter().map(|(place, base)| (*place, base.as_str())), &numbers);
    (units, numbers.into_iter().collect())
}

/// The sensor of each heading. Whole names first, so that a part of one takes none away from them.
fn find(headings: &[(usize, String)], sensors: &mut Sensors) -> Result<Vec<Option<usize>>, String> {
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
            return Err(format!("\"{one}\" and \"{heading}\" would both be {}", sensors.known[*sensor].id));
        }
    }
    Ok(found)
}

fn measurement_of(
    sensor: Option<usize>,
    heading: &str,
    is_id: bool,
    sensors: &Sensors,
    siblings: &Siblings,
) -> Result<Measurement, Reason> {
    let Some(quantity) = sensor.map(|sensor| sensors.known[sensor].quantity) else { return Ok(Measurement::default()) };
    let unit = unit_of(heading, is_id, quantity, siblings).or_else(|| sensors.unit(sensor?, heading));
    let conversion = match unit {
        Some(unit) => Some(quantity.conversion(unit).ok_or(Reason::UnitWrong)?),
        None => None,
    };
    Ok(Measurement { quantity: Some(quantity), conversion, unit })
}

/// What a series of the long layout is called, and what it measures.
pub(super) fn series(name: &str, sensors: &mut Sensors) -> Result<(Arc<str>, Measurement), String> {
    let sensor = sensors.find(name)?;
    let measurement = measurement_of(sensor, name, sensors.is_id(name), sensors, &Siblings::default());
    let measurement = measurement.map_err(|reason| format!("\"{name}\": {reason}"))?;
    Ok((sensors.called(sensor, name), measurement))
}

#[cfg(test)]
mod tests;
