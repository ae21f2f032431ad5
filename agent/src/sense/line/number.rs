//! Reads one field: a number with or without a unit, a word for a missing one, or a time. Pure; `replay` reads cells by it as well.

use tilth_core::quantity::Quantity;
use tilth_core::time::WallTime;
use tilth_core::unit::{Conversion, Unit};

use super::words;

/// The longest unit, such as `umol/m2/s`; what is longer is text.
const MAX_UNIT: usize = 12;

/// What sketches and libraries print where there is no value.
const MISSING: [&str; 11] = ["", "nan", "inf", "infinity", "ovf", "null", "none", "n/a", "-", "--", "---"];

/// Names of a line's own time. A sensor that reads a field of such a name gets it as a value.
const TIME_NAMES: [&str; 9] = ["time", "ts", "timestamp", "date", "datetime", "millis", "epoch", "unixtime", "timems"];

/// Names that say of a number that it counts milliseconds: a small one is then no time of day, however large as seconds.
const MS_NAMES: [&str; 2] = ["millis", "timems"];

/// 1973-03-03 in seconds and in milliseconds: what is smaller counts from the board's start and is no time of day.
const EPOCH_S: f64 = 1e8;
const EPOCH_MS: f64 = 1e11;

/// 2200-01-01T00:00:00Z: times end before it.
pub(crate) const END_MS: i64 = 7_258_118_400_000;

/// What a text says where a value is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Parsed<'a> {
    /// A number, and the unit after it; empty where none is said.
    Number(f64, &'a str),
    /// The board says that it has no value.
    Empty,
    /// `true` or `false`: a value of what is open or closed, and none of what is measured.
    Bool(bool),
    Text,
}

/// Lengths that are said in two units: the larger one, and those in which the rest may be.
const COMPOUND: [(&str, &[&str]); 3] = [("m", &["cm", "mm"]), ("cm", &["mm"]), ("ft", &["in"])];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    At(WallTime),
    /// Counted from something else than 1970, such as the board's start, taken as seconds since 1970; none where it is no count.
    Counter(Option<WallTime>),
    Wrong,
}

/// Whether the key of a label ([`tilth_core::label::Label::key`]) names a line's own time.
pub(crate) fn is_time_name(key: &str) -> bool {
    TIME_NAMES.contains(&key)
}

/// Whether the key of a label says that its number counts milliseconds.
pub(crate) fn is_name_of_ms(key: &str) -> bool {
    MS_NAMES.contains(&key)
}

/// Reads a field: a number with or without a unit, or a word.
pub(crate) fn parsed(text: &str) -> Parsed<'_> {
    let text = text.trim();
    if let Some(end) = number_end(text, 0)
        && let Ok(number) = text[..end].parse::<f64>()
    {
        let rest = &text[end..];
        let unit = rest.trim_start();
        return match is_unit(unit) && !is_broken_exponent(rest) {
            true if number.is_finite() => Parsed::Number(number, unit),
            true => Parsed::Empty,
            false => compound(text)
                .filter(|(_, end)| *end == text.len())
                .and_then(|(length, _)| length)
                .map_or(Parsed::Text, |(number, unit)| Parsed::Number(number, unit)),
        };
    }
    match text {
        _ if is_empty_value(text) => Parsed::Empty,
        "true" => Parsed::Bool(true),
        "false" => Parsed::Bool(false),
        _ => Parsed::Text,
    }
}

/// Number, unit and end of a length in two units, such as `1m 20cm` or `5'3"`; no number where the second unit is missing: `5 ft 3`.
pub(super) fn compound(text: &str) -> Option<(Option<(f64, &'static str)>, usize)> {
    let end = number_end(text, 0)?;
    let is_unit_char = |c: char| c.is_alphabetic() || c == '\'';
    // Most numbers have no other one after them.
    let follows = text[end..].trim_start().trim_start_matches(is_unit_char).trim_start();
    let large = text[..end].parse::<i32>().ok().filter(|_| follows.starts_with(|c: char| c.is_ascii_digit()))?;
    let (unit, rest) = length_unit(text[end..].trim_start(), '\'', "ft")?;
    let (large_unit, smaller) = COMPOUND.into_iter().find(|(name, _)| *name == unit.name())?;
    let second = rest.trim_start();
    let end = number_end(second, 0).filter(|_| second.starts_with(|c: char| c.is_ascii_digit()))?;
    let small = second[..end].parse::<f64>().ok()?;
    let at = |rest: &str| text.len() - rest.len();
    let behind = &second[end..];
    let Some((unit, rest)) = length_unit(behind.trim_start(), '"', "in") else {
        let is_alone = second.len() < rest.len() && behind.chars().next().is_none_or(|c| " \t,;|".contains(c));
        let is_label = behind.trim_start().starts_with([':', '=']);
        return (is_alone && !is_label).then_some((None, at(behind)));
    };
    let factor = |unit: Unit| Quantity::WaterLevel.conversion(unit).and_then(Conversion::factor);
    let part = small * factor(unit)? / factor(Unit::of(large_unit)?)?;
    // A second part of a whole larger unit (`1 m 100 cm`) repeats the length in another unit, and is not added.
    (smaller.contains(&unit.name()) && part < 1.0).then(|| {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        (Some((f64::from(large) + sign * part, large_unit)), at(rest))
    })
}

/// The unit that a text begins with, in letters or as a symbol, and what follows it.
fn length_unit<'t>(text: &'t str, symbol: char, name: &str) -> Option<(Unit, &'t str)> {
    if let Some(rest) = text.strip_prefix(symbol) {
        return Some((Unit::of(name)?, rest));
    }
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    Some((Unit::of(&text[..end])?, &text[end..]))
}

/// Whether `true` and `false` are numbers of a quantity: of what is open or closed, and of counts.
pub(crate) fn takes_bools(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::Contact | Quantity::Count)
}

/// What a word says of a contact: 1 for what is open, on or there, 0 for what is closed, off or not there.
pub(crate) fn contact(word: &str) -> Option<f64> {
    let word = word.trim();
    let is_open = words::OPEN.has(word);
    (is_open || words::CLOSED.has(word)).then_some(f64::from(u8::from(is_open)))
}

/// Whether a word stands for a missing value: `nan`, `-`, `OVF`.
pub(crate) fn is_empty_value(text: &str) -> bool {
    let word = text.strip_prefix(['-', '+']).unwrap_or(text);
    MISSING.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Reads a field of time: RFC 3339, or seconds or milliseconds since 1970. `in_ms` where its name says that it counts those.
pub(crate) fn time(text: &str, in_ms: bool) -> Time {
    let text = text.trim();
    if let Parsed::Number(number, "") = parsed(text) {
        return epoch(number, in_ms);
    }
    // What PLX-DAQ fills in by itself.
    if ["DATE", "TIME"].contains(&text) {
        return Time::Counter(None);
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => checked(time.as_millisecond()),
        Err(_) => Time::Wrong,
    }
}

/// Reads seconds or milliseconds since 1970, by their size. A small number whose name says milliseconds is no time of day.
pub(crate) fn epoch(number: f64, in_ms: bool) -> Time {
    match number {
        _ if number.is_nan() => Time::Wrong,
        EPOCH_MS.. => checked(number.round() as i64),
        EPOCH_S.. if !in_ms => checked((number * 1000.0).round() as i64),
        _ => Time::Counter(Some(WallTime((number * 1000.0).round() as i64))),
    }
}

fn checked(ms: i64) -> Time {
    if (0..END_MS).contains(&ms) { Time::At(WallTime(ms)) } else { Time::Wrong }
}

/// End of the number that begins at a place of a text; none where no number begins there.
pub(super) fn number_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits_from = |at: usize| bytes[at.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let start = at + usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
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
        match digits_from(end + 1 + sign) {
            0 => {}
            exponent => end += 1 + sign + exponent,
        }
    }
    Some(end)
}

/// `1e`, `1e-`: the end of the number was lost.
pub(super) fn is_broken_exponent(rest: &str) -> bool {
    matches!(rest, "e" | "E" | "e-" | "e+" | "E-" | "E+")
}

/// Whether a text is empty or may be a unit, such as `°C`, `mS/cm` or `g/m3`; a digit elsewhere means a broken number.
pub(super) fn is_unit(text: &str) -> bool {
    text.is_empty() || has_unit_shape(text) || Unit::of(text).is_some()
}

/// Whether a text has the letters and symbols of a unit, known or not.
pub(super) fn has_unit_shape(text: &str) -> bool {
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
        for (text, number, unit) in [
            ("21.5", 21.5, ""),
            (" -3 ", -3.0, ""),
            ("+.5", 0.5, ""),
            ("5.", 5.0, ""),
            ("1.2e3", 1200.0, ""),
            ("1e-2V", 0.01, "V"),
            ("21.5C", 21.5, "C"),
            ("21.5 °C", 21.5, "°C"),
            ("25.0^C", 25.0, "^C"),
            ("24.3*C", 24.3, "*C"),
            ("24.3 'C", 24.3, "'C"),
            ("24.5℃", 24.5, "℃"),
            ("24.5 deg C", 24.5, "deg C"),
            ("30cm.", 30.0, "cm."),
            ("55%", 55.0, "%"),
            ("55 % RH", 55.0, "% RH"),
            ("1.8 mS/cm", 1.8, "mS/cm"),
            ("9 g/m3", 9.0, "g/m3"),
            ("400 umol/m2/s", 400.0, "umol/m2/s"),
            ("400 µmol m⁻² s⁻¹", 400.0, "µmol m⁻² s⁻¹"),
            ("5 furlongs", 5.0, "furlongs"),
            ("1m 20cm", 1.2, "m"),
            ("1 m 20 cm", 1.2, "m"),
            ("2 m 5mm", 2.005, "m"),
            ("5ft 3in", 5.25, "ft"),
            ("5'3\"", 5.25, "ft"),
            ("5' 3 \"", 5.25, "ft"),
            ("-1m 20cm", -1.2, "m"),
            ("0m 20cm", 0.2, "m"),
        ] {
            assert_eq!(parsed(text), Parsed::Number(number, unit), "{text:?}");
        }
        for text in ["1e999", "nan", "NaN", "-nan", "INF", "ovf", "", "--", "-", "null", "N/A", "---"] {
            assert_eq!(parsed(text), Parsed::Empty, "{text:?}");
        }
        for text in [
            "21.5.3",
            "2#1.5",
            "5V3",
            "0x1F",
            "12:30",
            "12-30",
            "1,5",
            "1e",
            "2e",
            "1E-",
            "6 1",
            "21.5 55",
            "ok",
            "1 of the sensors is gone",
            "<5",
            "5/10",
            "5 ft 3",
            "1m20",
            "1m 120cm",
            "1.5 m 20 cm",
            "5ft 20cm",
            "5'",
            "1m 20cm 3",
        ] {
            assert_eq!(parsed(text), Parsed::Text, "{text:?}");
        }
    }

    #[test]
    fn truths_are_no_numbers() {
        assert_eq!((parsed("true"), parsed(" false ")), (Parsed::Bool(true), Parsed::Bool(false)));
        assert_eq!(parsed("TRUE"), Parsed::Text);
    }

    #[test]
    fn words_say_how_a_contact_is() {
        for (word, expected) in
            [("open", Some(1.0)), (" ON ", Some(1.0)), ("Closed", Some(0.0)), ("dry", Some(0.0)), ("5", None)]
        {
            assert_eq!(contact(word), expected, "{word}");
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
            ("123456", Time::Counter(Some(WallTime(123_456_000)))),
            ("-1", Time::Counter(Some(WallTime(-1000)))),
            ("TIME", Time::Counter(None)),
            ("1e30", Time::Wrong),
            ("2014-04-03 11:00:00", Time::Wrong),
            ("11:00:00", Time::Wrong),
            ("", Time::Wrong),
        ] {
            assert_eq!(time(text, false), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_that_says_milliseconds_makes_a_small_number_a_count() {
        let noon = Time::At(WallTime(1_796_522_800_000));
        let count = Time::Counter(Some(WallTime(1_796_522_800_000)));
        for (name, text, expected) in [
            ("millis", "1796522800", count),
            ("timems", "1796522800", count),
            ("millis", "1796522800000", noon),
            ("time", "1796522800", noon),
            ("epoch", " 1796522800 ", noon),
            ("millis", "soon", Time::Wrong),
        ] {
            assert_eq!(time(text, is_name_of_ms(name)), expected, "{name} {text:?}");
        }
    }
}
