//! The fields of one line: labels with their values as they stand there. Pure.

use std::ops::Range;
use std::sync::Arc;

use super::names::LabelIx;
use super::number::{self, Parsed};

/// A value of a line and the label that it is under.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) label: LabelIx,
    pub(super) value: FieldValue,
    /// The object of JSON that it is in; else 0.
    pub(super) object: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldValue {
    Number(f64),
    Empty,
    /// A number with perhaps a unit, or a word.
    Raw(Range<usize>),
    /// A number, and the unit that stands elsewhere.
    NumberWithUnit(Range<usize>, Arc<str>),
    /// Text, also where it looks like a number.
    Text(Range<usize>),
}

#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) all: Vec<Field>,
    /// The texts of a line of JSON, unescaped; else empty.
    pub(super) text: String,
    pub(super) is_json: bool,
    /// For each object of JSON the one it is in.
    pub(super) parents: Vec<usize>,
}

/// A field of the line that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldRef<'l> {
    pub(super) fields: &'l Fields,
    pub(super) ix: usize,
    pub(super) line: &'l str,
}

impl Fields {
    /// Adds a field of a line that is no JSON.
    pub(super) fn push(&mut self, label: LabelIx, value: FieldValue) {
        self.all.push(Field { label, value, object: 0 });
    }

    pub(super) fn at<'l>(&'l self, ix: usize, line: &'l str) -> FieldRef<'l> {
        FieldRef { fields: self, ix, line }
    }
}

impl<'l> FieldRef<'l> {
    pub(super) fn field(self) -> &'l Field {
        &self.fields.all[self.ix]
    }

    pub(super) fn other(self, ix: usize) -> FieldRef<'l> {
        FieldRef { ix, ..self }
    }

    pub(super) fn text(self, range: &Range<usize>) -> &'l str {
        let whole = if self.fields.is_json { self.fields.text.as_str() } else { self.line };
        whole.get(range.clone()).unwrap_or_default()
    }

    pub(super) fn parsed(self) -> Parsed<'l> {
        match &self.field().value {
            FieldValue::Number(number) if number.is_finite() => Parsed::Number(*number, ""),
            FieldValue::Number(_) | FieldValue::Empty => Parsed::Empty,
            FieldValue::Raw(range) => number::parsed(self.text(range)),
            FieldValue::NumberWithUnit(range, unit) => match self.text(range).parse::<f64>() {
                Ok(number) if number.is_finite() => Parsed::Number(number, unit),
                Ok(_) => Parsed::Empty,
                Err(_) => Parsed::Text,
            },
            FieldValue::Text(_) => Parsed::Text,
        }
    }

    /// A value that is no number.
    pub(super) fn word(self) -> &'l str {
        match &self.field().value {
            FieldValue::Raw(range) | FieldValue::Text(range) => self.text(range),
            _ => "",
        }
    }

    /// A value as people are shown it.
    pub(super) fn shown(self) -> String {
        match &self.field().value {
            FieldValue::Number(number) => number.to_string(),
            FieldValue::Empty => "null".to_owned(),
            FieldValue::Raw(range) | FieldValue::Text(range) => self.text(range).trim().to_owned(),
            FieldValue::NumberWithUnit(range, unit) => format!("{} {unit}", self.text(range)).trim_end().to_owned(),
        }
    }

    /// Whether a value is the text that a selector names; numbers are equal as numbers, but for ids such as `00E1`.
    pub(super) fn says(self, text: &str) -> bool {
        let number = decimal(text);
        let is_same = |said: &str| {
            let said = said.trim();
            said.eq_ignore_ascii_case(text) || number.is_some() && decimal(said) == number
        };
        match &self.field().value {
            FieldValue::Empty => false,
            FieldValue::Number(said) => number == Some(*said),
            FieldValue::NumberWithUnit(range, unit) => {
                let said = self.text(range);
                is_same(said) || !unit.is_empty() && format!("{said}{unit}").eq_ignore_ascii_case(text)
            }
            FieldValue::Raw(range) | FieldValue::Text(range) => {
                let said = self.text(range);
                is_same(said)
                    || matches!(number::parsed(said), Parsed::Bool(is) if number == Some(f64::from(u8::from(is))))
            }
        }
    }
}

/// A number in digits, small enough that no other is equal to it.
fn decimal(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    text.parse::<f64>().ok().filter(|number| is_decimal && number.abs() < 9e15)
}
