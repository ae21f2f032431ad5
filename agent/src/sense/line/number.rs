//! What stands behind a name: a number with or without a unit, a word for a missing one, or a time.

use tilth_core::time::WallTime;

/// The longest unit, such as `umol/m2/s`; what is longer is text.
const MAX_UNIT: usize = 12;

/// What sketches and libraries print where there is no value.
const MISSING: [&str; 10] = ["", "nan", "inf", "infinity", "ovf", "null", "none", "n/a", "-", "--"];

/// Names of a line's own time. A sensor that wants a field of such a name gets it as a value.
const TIME_NAMES: [&str; 9] = ["time", "ts", "timestamp", "date", "datetime", "millis", "epoch", "unixtime", "time_ms"];

/// 1973-03-03 in seconds and in milliseconds: what is smaller counts from the board's start and is no time of day.
const EPOCH_S: f64 = 1e8;
const EPOCH_MS: f64 = 1e11;

/// 2200-01-01T00:00:00Z: times end before it.
const END_MS: i64 = 7_258_118_400_000;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Number(f64),
    /// The board says that it has no value.
    Missing,
    /// Anything else.
    Text,
}

/// What a field of time holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    At(WallTime),
    /// Counted from something else than 1970, such as the board's start; as if it were seconds since 1970.
    NotOfDay(WallTime),
    Wrong,
}

/// Names that say of a number that it counts milliseconds: a small one is then no time of day, however large as seconds.
const MS_NAMES: [&str; 2] = ["millis", "time_ms"];

pub(super) fn is_time_name(name: &str) -> bool {
    TIME_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Reads a field. A unit behind a number is ignored.
pub(crate) fn cell(text: &str) -> Cell {
    let text = text.trim();
    if let Some((number, rest)) = split_number(text)
        && is_unit(rest.trim_start())
    {
        return if number.is_finite() { Cell::Number(number) } else { Cell::Missing };
    }
    let word = text.strip_prefix(['-', '+']).unwrap_or(text);
    if MISSING.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return Cell::Missing;
    }
    match word {
        "true" => Cell::Number(1.0),
        "false" => Cell::Number(0.0),
        _ => Cell::Text,
    }
}

/// Reads a field of time: RFC 3339, or seconds or milliseconds since 1970.
pub(super) fn time(text: &str) -> Time {
    let text = text.trim();
    if let Some((number, "")) = split_number(text) {
        return epoch(number);
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => checked(time.as_millisecond()),
        Err(_) => Time::Wrong,
    }
}

/// As [`time`], of a field with a name.
pub(super) fn named_time(name: &str, text: &str) -> Time {
    match split_number(text.trim()) {
        Some((number, "")) => named_epoch(name, number),
        _ => time(text),
    }
}

/// As [`epoch`], of a field with a name.
pub(super) fn named_epoch(name: &str, number: f64) -> Time {
    let is_count = number < EPOCH_MS && MS_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is_count { Time::NotOfDay(as_seconds(number)) } else { epoch(number) }
}

/// A number of seconds or of milliseconds since 1970; which, its size tells.
pub(super) fn epoch(number: f64) -> Time {
    match number {
        _ if number.is_nan() => Time::Wrong,
        EPOCH_MS.. => checked(number.round() as i64),
        EPOCH_S.. => checked((number * 1000.0).round() as i64),
        _ => Time::NotOfDay(as_seconds(number)),
    }
}

fn as_seconds(number: f64) -> WallTime {
    WallTime((number * 1000.0).round() as i64)
}

fn checked(ms: i64) -> Time {
    if (0..END_MS).contains(&ms) { Time::At(WallTime(ms)) } else { Time::Wrong }
}

/// The number that a text begins with, and what follows it.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits_from = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits_from(start);
    let mut end = start + whole;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits_from(end + 1);
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        match digits_from((end + 1 + sign).min(bytes.len())) {
            0 => {}
            exponent => end += 1 + sign + exponent,
        }
    }
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

/// Nothing, or something such as `C`, `°C`, `%`, `mS/cm`, `g/m3`. A digit elsewhere means that the number itself is broken.
fn is_unit(text: &str) -> bool {
    let mut before = None;
    text.chars().count() <= MAX_UNIT
        && text.chars().all(|c| {
            let fits = match before {
                None => c.is_alphabetic() || matches!(c, '%' | '°' | '‰'),
                Some('m' | '^') if matches!(c, '2' | '3') => true,
                Some(_) => c.is_alphabetic() || matches!(c, '%' | '°' | '/' | '²' | '³' | '^' | '·'),
            };
            before = Some(c);
            fits
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_units_and_without() {
        for (text, expected) in [
            ("21.5", Cell::Number(21.5)),
            (" -3 ", Cell::Number(-3.0)),
            ("+.5", Cell::Number(0.5)),
            ("5.", Cell::Number(5.0)),
            ("1.2e3", Cell::Number(1200.0)),
            ("1e-2V", Cell::Number(0.01)),
            ("2e", Cell::Number(2.0)),
            ("21.5C", Cell::Number(21.5)),
            ("21.5 °C", Cell::Number(21.5)),
            ("55%", Cell::Number(55.0)),
            ("1.8 mS/cm", Cell::Number(1.8)),
            ("9 g/m3", Cell::Number(9.0)),
            ("400 umol/m2/s", Cell::Number(400.0)),
            ("1e999", Cell::Missing),
            ("nan", Cell::Missing),
            ("NaN", Cell::Missing),
            ("-nan", Cell::Missing),
            ("INF", Cell::Missing),
            ("ovf", Cell::Missing),
            ("", Cell::Missing),
            ("--", Cell::Missing),
            ("null", Cell::Missing),
            ("true", Cell::Number(1.0)),
            ("false", Cell::Number(0.0)),
            ("21.5.3", Cell::Text),
            ("2#1.5", Cell::Text),
            ("5V3", Cell::Text),
            ("0x1F", Cell::Text),
            ("12:30", Cell::Text),
            ("12-30", Cell::Text),
            ("1,5", Cell::Text),
            ("ok", Cell::Text),
            ("-", Cell::Missing),
            ("1 of the sensors is gone", Cell::Text),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_of_day_or_not() {
        let noon = Time::At(WallTime(1_396_522_800_000));
        for (text, expected) in [
            ("2014-04-03T11:00:00Z", noon),
            ("2014-04-03 13:00:00+02:00", noon),
            ("1396522800", noon),
            ("1396522800000", noon),
            ("1396522800.25", Time::At(WallTime(1_396_522_800_250))),
            ("123456", Time::NotOfDay(WallTime(123_456_000))),
            ("-1", Time::NotOfDay(WallTime(-1000))),
            ("1e30", Time::Wrong),
            ("2014-04-03 11:00:00", Time::Wrong),
            ("11:00:00", Time::Wrong),
            ("", Time::Wrong),
        ] {
            assert_eq!(time(text), expected, "{text:?}");
        }
    }
    #[test]
    fn a_name_that_says_milliseconds_makes_a_small_number_a_count() {
        let noon = Time::At(WallTime(1_796_522_800_000));
        let count = Time::NotOfDay(WallTime(1_796_522_800_000));
        for (name, text, expected) in [
            ("millis", "1796522800", count),
            ("Time_MS", "1796522800", count),
            ("millis", "1796522800000", noon),
            ("time", "1796522800", noon),
            ("epoch", " 1796522800 ", noon),
            ("millis", "soon", Time::Wrong),
        ] {
            assert_eq!(named_time(name, text), expected, "{name} {text:?}");
        }
    }
}
