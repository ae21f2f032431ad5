//! Attributes: fields that say something of other fields of their line, which is their unit or the node that they are of, as `unit` and
//! `node` in `node=7,temp=70,unit=F`. Finds the fields that each belongs to. Pure; `replay` finds the units of columns by it as well.

use tilth_core::label::Label;
use tilth_core::quantity::Quantity;
use tilth_core::unit::Unit;

use super::{number, words};

/// Names of fields that hold a unit.
const UNITS: [&str; 7] = ["unitofmeasurement", "units", "unit", "uom", "einheit", "unité", "eenheid"];

/// Words in place of a unit that name a system of units in which a quantity's own is usual.
const USUAL: [&str; 2] = ["metric", "si"];

/// A value could belong to either of two attribute fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AmbiguousOwner;

/// The field that holds the unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitRef {
    pub(crate) ix: usize,
    /// The field is the unit of no other number.
    pub(crate) is_own: bool,
}

/// The fields of a line, or the columns of a file, that hold units.
#[derive(Debug, Clone, Default)]
pub(crate) struct Units {
    units: Vec<UnitField>,
    /// Indices of all numbers.
    numbers: Vec<usize>,
}

#[derive(Debug, Clone)]
struct UnitField {
    ix: usize,
    /// Keys of the numbers whose unit it is begin with it.
    base: String,
    /// The label says whose unit this is; else the unit is that of the numbers around it, for want of any other.
    is_named_for_number: bool,
    /// How many numbers that are.
    count: usize,
}

/// Whether the field of a label says which node its line is of.
pub(crate) fn is_node(label: &Label) -> bool {
    label.words().iter().all(|word| words::NODES.has(word))
}

/// Beginning of the keys of the labels whose unit a field holds: `temperature` for `temperature.unit`, `temp_unit` and
/// `units.temp`, and nothing, which is any, for `unit`. None where the label is of no such field.
pub(crate) fn unit_field(label: &Label) -> Option<String> {
    let strip = |segment: &str| UNITS.iter().find_map(|name| segment.strip_suffix(name)).map(str::to_owned);
    let mut segments: Vec<String> = label.key().split('.').map(str::to_owned).collect();
    let (rest, segment) = segments.iter_mut().find_map(|segment| Some((strip(segment)?, segment)))?;
    *segment = rest;
    segments.retain(|segment| !segment.is_empty());
    Some(segments.join("."))
}

/// As [`unit_field`], of the field `u` of SenML, whose number is in the field `v` beside it.
pub(crate) fn unit_of_record(label: &Label) -> Option<String> {
    let list = label.key().strip_suffix('u')?;
    (list.is_empty() || list.ends_with('.')).then(|| format!("{list}v"))
}

impl Units {
    /// Takes the fields that hold a unit with their [`unit_field`], and those that hold a number with their labels' keys. A unit for
    /// which no number is named is that of the numbers around it.
    pub(crate) fn new<'l>(units: impl Iterator<Item = (usize, &'l str)>, numbers: &[(usize, &str)]) -> Units {
        let count = |base: &str| numbers.iter().filter(|(_, key)| is_of(base, key)).count();
        let field = |(ix, base): (usize, &str)| {
            let is_named_for_number = count(base) > 0;
            // A unit that is named for numbers which are not there belongs to none: `TempUnit` beside a humidity alone.
            let is_named = !is_named_for_number && !base.is_empty() && !base.contains('.');
            let mut base = base.to_owned();
            while count(&base) == 0 && !base.is_empty() {
                base.truncate(base.rfind('.').unwrap_or_default());
            }
            UnitField { ix, count: count(&base) + usize::from(is_named), is_named_for_number, base }
        };
        Units { units: units.map(field).collect(), numbers: numbers.iter().map(|(ix, _)| *ix).collect() }
    }

    /// Whether the field at an index holds one.
    pub(crate) fn has(&self, ix: usize) -> bool {
        self.units.iter().any(|unit| unit.ix == ix)
    }

    /// The field that holds the unit of a number, by its index and its label's key.
    ///
    /// # Errors
    /// The unit could stand in any of several fields.
    pub(crate) fn of(&self, ix: usize, key: &str) -> Result<Option<UnitRef>, AmbiguousOwner> {
        let fitting = || self.units.iter().filter(|unit| is_of(&unit.base, key));
        let nearness = |unit: &UnitField| (unit.is_named_for_number, unit.base.len());
        let Some(nearest) = fitting().map(nearness).max() else { return Ok(None) };
        let alike = || fitting().filter(|unit| nearness(unit) == nearest);
        match (alike().next(), alike().nth(1)) {
            (Some(unit), None) => Ok(Some(UnitRef { ix: unit.ix, is_own: unit.count == 1 })),
            _ => {
                let fields: Vec<usize> = alike().map(|unit| unit.ix).collect();
                let ix = attribute_of(&fields, &self.numbers, &self.numbers, ix)?;
                Ok(ix.map(|ix| UnitRef { ix, is_own: true }))
            }
        }
    }
}

/// Whether a key, or its last segment, begins with that of the field of a unit; `nodes.1` is no beginning of `nodes.10`.
fn is_of(base: &str, key: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let begins = |key: &str| {
        key.strip_prefix(base).is_some_and(|rest| !(base.ends_with(is_digit) && rest.starts_with(is_digit)))
    };
    begins(key) || key.rsplit_once('.').is_some_and(|(_, last)| begins(last))
}

/// Unit that a field says for a number beside it, if any.
///
/// # Errors
/// The unit is unknown, or none of the quantity.
pub(crate) fn stated_unit(text: &str, is_own: bool, quantity: Quantity) -> Result<Option<Unit>, ()> {
    let text = text.trim();
    let is_none =
        number::is_empty_value(text) || words::STATES.has(text) || USUAL.contains(&text.to_lowercase().as_str());
    if is_none || !number::is_unit(text) {
        return Ok(None);
    }
    let is_known = Unit::of(text).is_some();
    match quantity.unit_of(text) {
        Some(unit) => Ok(Some(unit)),
        None if is_known && is_own => Err(()),
        None if is_known || quantity.units().len() < 2 => Ok(None),
        None => Err(()),
    }
}

/// Finds the attribute field (such as the node) to which the value at `ix` belongs. A line has its attributes all before or all after their
/// values; one that begins with an attribute has them before. Else the values of the same input, `repeated`, decide. If they are before the
/// first attribute, as in `temp=21 node=1 temp=22 node=2`, an attribute comes after its values; if they are after the last, it comes before
/// them. If they are on both sides or on neither, the owner is ambiguous.
pub(crate) fn attribute_of(
    fields: &[usize],
    values: &[usize],
    repeated: &[usize],
    ix: usize,
) -> Result<Option<usize>, AmbiguousOwner> {
    let (Some(first), Some(last)) = (fields.first(), fields.last()) else { return Ok(None) };
    let begins = |values: &[usize]| values.iter().any(|value| value < first);
    let ends = |values: &[usize]| values.iter().any(|value| value > last);
    let is_behind = match (begins(values), ends(values)) {
        (false, _) => false,
        (true, false) => begins(repeated).then_some(true).ok_or(AmbiguousOwner)?,
        // Values of the whole line stand at one of its ends.
        (true, true) => match (begins(repeated), ends(repeated)) {
            (begins, ends) if begins != ends => begins,
            _ => return Err(AmbiguousOwner),
        },
    };
    Ok(match is_behind {
        true => fields.iter().find(|field| **field > ix).copied(),
        false => fields.iter().rfind(|field| **field < ix).copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_of_a_unit_says_whose_it_is() {
        for (text, expected) in [
            ("unit", Some("")),
            ("Units", Some("")),
            ("unit_of_measurement", Some("")),
            ("temp_unit", Some("temp")),
            ("tempUnit", Some("temp")),
            ("temperature.unit", Some("temperature")),
            ("units.temp", Some("temp")),
            ("current_units.temperature_2m", Some("current.temperature2m")),
            ("sensors.0.unit", Some("sensors.0")),
            ("Tank 1 Unit", Some("tank1")),
            ("temp", None),
            ("unity", None),
            ("unit 1 temp", None),
            ("community", None),
        ] {
            let found = unit_field(&Label::of(text).unwrap());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_unit_is_that_of_the_nearest_number() {
        let own = |ix| Ok(Some(UnitRef { ix, is_own: true }));
        let shared = |ix| Ok(Some(UnitRef { ix, is_own: false }));
        for (units, numbers, of, expected) in [
            (&[(1, "")][..], &[(0, "temp")][..], 0, own(1)),
            (&[(2, "")], &[(0, "temp"), (1, "hum")], 1, shared(2)),
            (&[(1, "temp"), (3, "hum")], &[(0, "temp"), (2, "hum")], 2, own(3)),
            (&[(1, "temp")], &[(0, "temperature"), (2, "hum")], 2, Ok(None)),
            (&[(2, "temp"), (3, "pressure")], &[(0, "a.temperature"), (1, "a.pressure")], 1, own(3)),
            (&[(1, "temp")], &[(0, "a.humidity")], 0, shared(1)),
            (&[(2, "attributes")], &[(0, "state"), (1, "n")], 0, shared(2)),
            (&[(1, "n.1"), (3, "n.10")], &[(0, "n.1.t"), (2, "n.10.t")], 2, own(3)),
            (&[(1, ""), (3, "")], &[(0, "temp"), (2, "hum")], 0, own(1)),
            (&[(0, ""), (2, "")], &[(1, "temp"), (3, "hum")], 1, own(0)),
            (&[(1, ""), (3, "")], &[(0, "temp"), (2, "hum"), (4, "ec")], 2, Err(AmbiguousOwner)),
        ] {
            let (ix, key) = numbers.iter().find(|(ix, _)| *ix == of).unwrap();
            let found = Units::new(units.iter().copied(), numbers).of(*ix, key);
            assert_eq!(found, expected, "{units:?} {numbers:?}");
        }
    }

    #[test]
    fn what_is_no_unit_says_nothing() {
        let unit = |name| Ok(Unit::of(name));
        for (text, is_own, quantity, expected) in [
            ("F", true, Quantity::Temperature, unit("F")),
            ("°F", false, Quantity::Temperature, unit("F")),
            ("fahrenheit", false, Quantity::Temperature, unit("F")),
            ("F", false, Quantity::Humidity, Ok(None)),
            ("F", true, Quantity::Humidity, Err(())),
            ("us", false, Quantity::Ec, unit("uS/cm")),
            ("imperial", false, Quantity::Temperature, Err(())),
            ("imperial", false, Quantity::Humidity, Ok(None)),
            ("metric", true, Quantity::Temperature, Ok(None)),
            ("on", true, Quantity::Temperature, Ok(None)),
            ("rack-2", true, Quantity::Temperature, Ok(None)),
            ("", true, Quantity::Temperature, Ok(None)),
        ] {
            assert_eq!(stated_unit(text, is_own, quantity), expected, "{text:?} of {quantity}");
        }
    }

    #[test]
    fn attributes_stand_before_their_values_or_behind_them() {
        for (fields, values, repeated, ix, expected) in [
            (&[0, 2][..], &[1, 3][..], &[1, 3][..], 3, Ok(Some(2))),
            (&[1, 3], &[0, 2], &[0, 2], 0, Ok(Some(1))),
            (&[1, 3], &[0, 2], &[0, 2], 2, Ok(Some(3))),
            // A value of the whole line at its beginning, or at its end.
            (&[1, 3], &[0, 2, 4], &[2, 4], 2, Ok(Some(1))),
            (&[1, 3], &[0, 2, 4], &[0, 2], 2, Ok(Some(3))),
            (&[1, 3], &[0, 2, 4], &[0, 2, 4], 2, Err(AmbiguousOwner)),
            (&[1, 3], &[0, 2], &[2], 2, Err(AmbiguousOwner)),
            (&[0, 2], &[1], &[1], 1, Ok(Some(0))),
        ] {
            assert_eq!(attribute_of(fields, values, repeated, ix), expected, "{fields:?} {values:?} {repeated:?}");
        }
    }
}
