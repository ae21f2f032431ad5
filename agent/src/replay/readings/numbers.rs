//! The values of cells: decimal points or commas, marks that part thousands, words for a missing value, numbers with a unit.

use std::borrow::Cow;

use tilth_core::unit::Unit;

use super::report::Reason;
use crate::replay::entry;
use crate::sense::line::number::{self, Parsed};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum DecimalMark {
    /// `1234.5`; commas part thousands.
    #[default]
    Point,
    /// `1234,5`; points part thousands.
    Comma,
}

/// Words for a missing value that files have beside those of live lines.
const MISSING: &str = "na, #n/a, #na, n.a., k.a., unknown, unavailable, undefined, ---, ----, -----, \\n, (null), no data, nodata, \
     missing";

/// A number with the unit that stands behind it, or nothing where the cell says that there is no value.
pub(super) type Read = Result<Option<(f64, Option<Unit>)>, Reason>;

pub(super) fn read(text: &[u8], mark: DecimalMark) -> Read {
    if mark == DecimalMark::Point
        && let Ok(value) = parse_value(text)
    {
        return Ok(value.map(|number| (number, None)));
    }
    let text = str::from_utf8(text).map_err(|_| Reason::ValueForm)?;
    if is_empty_value(text) {
        return Ok(None);
    }
    let text = with_point(text, mark)?;
    match parse_value(text.as_bytes()) {
        Err(Reason::ValueForm) => live(&text),
        value => value.map(|value| value.map(|number| (number, None))),
    }
}

/// A finite number, or nothing for an empty field and for NaN.
pub(super) fn parse_value(text: &[u8]) -> Result<Option<f64>, Reason> {
    if text.is_empty() {
        return Ok(None);
    }
    let text = str::from_utf8(text).map_err(|_| Reason::ValueForm)?;
    match text.parse::<f64>().map_err(|_| Reason::ValueForm)? {
        value if value.is_nan() => Ok(None),
        value if value.is_infinite() => Err(Reason::ValueInfinite),
        value => Ok(Some(value)),
    }
}

/// As the reader of live lines has it.
fn live(text: &str) -> Read {
    match number::parsed(text) {
        Parsed::Empty => Ok(None),
        Parsed::Text | Parsed::Bool(_) => Err(Reason::ValueForm),
        Parsed::Number(number, "") => Ok(Some((number, None))),
        Parsed::Number(number, unit) => Unit::of(unit).map(|of| Some((number, Some(of)))).ok_or(Reason::UnitUnknown),
    }
}

/// The number of `true` or `false`, for what is open or closed, or counted.
pub(super) fn truth(text: &[u8]) -> Option<f64> {
    if !text.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    // Other tools write capitals: `True`, `TRUE`.
    match number::parsed(&str::from_utf8(text).ok()?.to_ascii_lowercase()) {
        Parsed::Bool(is) => Some(f64::from(u8::from(is))),
        _ => None,
    }
}

pub(super) fn is_empty_value(text: &str) -> bool {
    let is_stroke = text.contains('-') && text.bytes().all(|byte| matches!(byte, b'-' | b'.' | b' '));
    text.is_empty() || is_stroke || MISSING.split(", ").any(|known| known.eq_ignore_ascii_case(text))
}

/// Whether a cell is a number or a word for a missing one, in either way of writing.
pub(super) fn is_value(text: &[u8]) -> bool {
    truth(text).is_some()
        || [DecimalMark::Point, DecimalMark::Comma]
            .into_iter()
            .any(|mark| !matches!(read(text, mark), Err(Reason::ValueForm)))
}

/// A number with a decimal point and without marks between thousands; what is no number stays.
fn with_point(text: &str, mark: DecimalMark) -> Result<Cow<'_, str>, Reason> {
    let end = text.find(|c: char| !is_of_number(c)).unwrap_or(text.len());
    let number = text[..end].trim_end();
    if number.parse::<f64>().is_ok() && mark == DecimalMark::Point
        || !number.contains(['.', ',', '\'', '\u{a0}', '\u{202f}'])
    {
        return Ok(Cow::Borrowed(text));
    }
    let (thousands, decimal) = match mark {
        DecimalMark::Point => (',', '.'),
        DecimalMark::Comma => ('.', ','),
    };
    let (whole, fraction) = number.split_once(decimal).map_or((number, None), |(whole, part)| (whole, Some(part)));
    let mut parts = whole.split([thousands, '\'', '\u{a0}', '\u{202f}']);
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let is_grouped = first.trim_start_matches(['-', '+']).len() <= 3 && rest.iter().all(|part| part.len() == 3);
    if !rest.is_empty() && (!is_grouped || first.is_empty()) {
        return Err(Reason::ValueForm);
    }
    // `1,234` alone may be either, and half of the readers are wrong about it.
    if mark == DecimalMark::Point && rest.len() == 1 && fraction.is_none() && whole.contains(',') {
        return Err(Reason::ValueMark);
    }
    let point = if fraction.is_some() { "." } else { "" };
    Ok(Cow::Owned(format!("{first}{}{point}{}{}", rest.concat(), fraction.unwrap_or_default(), &text[number.len()..])))
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+' | '\'' | '\u{a0}' | '\u{202f}')
}

/// What cells show of how the numbers of a file are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DecimalMarks {
    /// Numbers with a decimal point for sure, and with a decimal comma for sure.
    points: u64,
    commas: u64,
    /// A comma before three digits: thousands, or a decimal comma.
    open: u64,
}

impl DecimalMarks {
    pub(super) fn add(&mut self, text: &str) {
        let end = text.find(|c: char| !is_of_number(c)).unwrap_or(text.len());
        let number = text[..end].trim_start_matches(['-', '+']);
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !number.split(['.', ',', '\'', '\u{a0}', '\u{202f}']).all(is_digits) {
            return;
        }
        // With three digits behind it, and at most three before, a mark may part thousands.
        let is_decimal = |mark: char| {
            let last_part = number.rsplit(['.', ',']).next().unwrap_or_default();
            let whole = number.split_once(mark).map_or("", |(whole, _)| whole);
            last_part.len() != 3 || whole.len() > 3 || whole == "0"
        };
        match (number.matches('.').count(), number.matches(',').count()) {
            (1, 0) if is_decimal('.') => self.points += 1,
            (0, 1) if is_decimal(',') => self.commas += 1,
            (0, 1) => self.open += 1,
            (1.., 1) if number.rfind(',') > number.rfind('.') => self.commas += 1,
            (1, 1..) | (0, 2..) => self.points += 1,
            (2.., 0) => self.commas += 1,
            _ => {}
        }
    }

    /// Whether a number shows for sure which mark is that of decimals.
    pub(super) fn are_sure(self) -> bool {
        self.points + self.commas > 0
    }

    /// How the numbers are written. Where commas part the cells, one before three digits is left open; else it is decimal.
    pub(super) fn mark(self, separator: u8) -> DecimalMark {
        let is_comma = self.points == 0 && (self.commas > 0 || self.open > 0 && separator != b',');
        if is_comma { DecimalMark::Comma } else { DecimalMark::Point }
    }
}

/// In files that nowhere show which mark is that of decimals: which columns mean thousands by theirs. Their marked numbers are
/// refused, as `1,012` is in a file of commas.
#[derive(Debug, Clone, Default)]
pub(super) struct Thousands {
    /// The file does not show which mark is that of decimals.
    pub(super) is_open: bool,
    pub(super) columns: Vec<MarksOfColumn>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MarksOfColumn {
    /// The least whole number of three digits.
    least_hundreds: Option<u32>,
    /// A number has four digits and no mark.
    has_bare_thousands: bool,
    means_thousands: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grouping {
    /// Three digits and no mark.
    Hundreds(u32),
    /// Four digits or more and no mark.
    BareThousands,
    /// A number with one mark, this much before the mark and three digits behind it.
    LoneMark(u32),
    Other,
}

impl Thousands {
    /// Looks at a cell, and says whether its mark parts thousands as likely as decimals.
    pub(super) fn is_doubtful(&mut self, column: usize, text: &[u8]) -> bool {
        if !self.is_open {
            return false;
        }
        let column = entry(&mut self.columns, column, MarksOfColumn::default());
        match grouping(text) {
            Grouping::Other => false,
            Grouping::BareThousands => {
                column.has_bare_thousands = true;
                false
            }
            Grouping::Hundreds(number) => {
                column.least_hundreds = Some(column.least_hundreds.map_or(number, |least| least.min(number)));
                false
            }
            // As decimals, numbers such as 1.012 and 998 would not be of one sensor.
            Grouping::LoneMark(whole) => {
                column.means_thousands |= column.least_hundreds.is_some_and(|least| 2 * whole < least);
                column.means_thousands && !column.has_bare_thousands
            }
        }
    }

    /// Whether a number has an only mark before three digits, and nothing in the file tells what that means.
    pub(super) fn is_untold(&self, text: &[u8]) -> bool {
        self.is_open && matches!(grouping(text), Grouping::LoneMark(_))
    }
}

fn grouping(text: &[u8]) -> Grouping {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && !matches!(byte, b'.' | b',')).unwrap_or(text.len());
    let number = &text[..end];
    let mut parts = number.split(|byte| matches!(byte, b'.' | b','));
    let whole = parts.next().unwrap_or_default();
    let value = || str::from_utf8(whole).ok().and_then(|whole| whole.parse().ok()).unwrap_or(0);
    match (parts.next(), parts.next()) {
        (None, _) if whole.len() == 3 && !whole.starts_with(b"0") => Grouping::Hundreds(value()),
        (None, _) if whole.len() > 3 => Grouping::BareThousands,
        (Some(behind), None) if behind.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with(b"0") => {
            Grouping::LoneMark(value())
        }
        _ => Grouping::Other,
    }
}

#[cfg(test)]
mod tests;
