//! Labels as boards print them, names as documents write them, and whether a label matches a name.
//!
//! A name is a whole label without its unit: `Air Temp`, `air_temp` and `AIR-TEMP` name what is labelled `Air Temp (°C)`. A name that
//! is only some words of a label (`Temp`) matches partially. Whether that is unique only the caller can tell, who has seen all labels.

mod units;

pub use units::Siblings;

use crate::unit::Unit;

/// Longer labels are noise.
const MAX_LENGTH: usize = 200;

/// A label or a name, made comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Lower case, without blanks, `_`, `-` and the unit.
    key: String,
    /// The unit as it stands in brackets, comparable likewise; empty where there is none.
    bracket: String,
    unit: Option<Unit>,
    /// The label as it is written, without the unit in brackets.
    bare: String,
    /// The words of the key, in order, and written together.
    words: Vec<String>,
    joined: String,
}

/// How a label matches a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchKind {
    /// The name is a part of its words.
    Partial,
    /// The name is the whole label.
    Exact,
}

impl Label {
    /// Reads a label or a name; nothing for a text without any letter, digit or `#`, and for one that is too long.
    #[must_use]
    pub fn of(text: &str) -> Option<Label> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let text = text.trim();
        let (bare, bracket, unit) = split_unit(text).unwrap_or_else(|| (text.to_owned(), "", None));
        let words: Vec<String> = bare.split(is_word_end).map(comparable).filter(|word| !word.is_empty()).collect();
        let key = comparable(bare.trim_end_matches(['.', ':', ' ', '\t']));
        let is_label = key.contains(|c: char| c.is_alphanumeric() || c == '#');
        is_label.then(|| Label { key, bracket: comparable(bracket), unit, joined: words.concat(), words, bare })
    }

    /// How this label matches a name. A name that says a unit matches no label that says another.
    #[must_use]
    pub fn matches(&self, name: &Label) -> Option<MatchKind> {
        let other_unit = !name.bracket.is_empty() && !self.bracket.is_empty() && name.bracket != self.bracket;
        match self.key == name.key {
            true if other_unit && name.unit != self.unit => None,
            true => Some(MatchKind::Exact),
            false => self.has_words(&name.joined).then_some(MatchKind::Partial),
        }
    }

    /// Whether two labels are one label, leaving aside the unit that they state.
    #[must_use]
    pub fn is_same(&self, other: &Label) -> bool {
        self.key == other.key
    }

    /// The unit that the label says in brackets, or in a way that can mean nothing else.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        self.unit
    }

    /// Lower case without blanks, `_`, `-` and unit: `airtemp`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The words of the label, without the unit and made comparable.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether some words in a row, written together, are those of a name written together.
    fn has_words(&self, name: &str) -> bool {
        let from = |from: usize| {
            let mut rest = name;
            for word in &self.words[from..] {
                match rest.strip_prefix(word.as_str()) {
                    Some("") => return true,
                    Some(after) => rest = after,
                    None => return false,
                }
            }
            false
        };
        // Most labels have none of it.
        self.joined.len() > name.len() && self.joined.contains(name) && (0..self.words.len()).any(from)
    }
}

/// Lower case without what does not matter. Small digits are digits: `CO₂`.
fn comparable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ' ' | '\t' | '_' | '-' => {}
            '₀'..='₉' => out.extend(char::from_digit(letter as u32 - '₀' as u32, 10)),
            'µ' => out.push('μ'),
            other => out.extend(other.to_lowercase()),
        }
    }
    out
}

fn is_word_end(c: char) -> bool {
    matches!(c, ' ' | '\t' | '_' | '-' | '.' | ',' | ';' | '/' | ':' | '\'' | '(' | ')' | '[' | ']' | '{' | '}')
}

/// A label without its unit, the unit's text, and the unit: in brackets anywhere, or as the last word where it cannot be another
/// word (`Temp °F`, `Distance in cm`).
fn split_unit(text: &str) -> Option<(String, &str, Option<Unit>)> {
    in_brackets(text).or_else(|| last_word(text))
}

fn in_brackets(text: &str) -> Option<(String, &str, Option<Unit>)> {
    let groups = text.match_indices(['(', '[', '{']).filter_map(|(begin, bracket)| {
        let close = match bracket {
            "(" => ')',
            "[" => ']',
            _ => '}',
        };
        let end = begin + text[begin..].find(close)?;
        Some((begin, end + close.len_utf8(), &text[begin + bracket.len()..end]))
    });
    let (begin, end, inside) = groups.into_iter().find(|(.., inside)| Unit::of(inside).is_some())?;
    let bare = format!("{} {}", text[..begin].trim_end(), text[end..].trim_start());
    (!bare.trim().is_empty()).then(|| (bare.trim().to_owned(), inside, Unit::of(inside)))
}

fn last_word(text: &str) -> Option<(String, &str, Option<Unit>)> {
    let (before, word) = text.rsplit_once([' ', '\t'])?;
    let unit = Unit::of(word)?;
    let said = before.trim_end();
    let (bare, is_said) = match said.rsplit_once([' ', '\t']) {
        _ if said.ends_with(',') => (said.trim_end_matches(','), true),
        Some((bare, word)) if word.eq_ignore_ascii_case("in") => (bare.trim_end(), true),
        _ => (said, word.contains(['°', 'º', '℃', '℉', '%', '*', '^']) || word.contains('/')),
    };
    (is_said && !bare.is_empty()).then(|| (bare.to_owned(), word, Some(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        Label::of(text).unwrap_or_else(|| panic!("{text:?} is no label"))
    }

    #[test]
    fn a_name_is_the_whole_label_without_its_unit() {
        for (name, labels) in [
            (
                "Air Temp",
                &["Air Temp", "air_temp", "AIR-TEMP", "AirTemp", "Air Temp (°C)", "Air  Temp [F]", "Air Temp."][..],
            ),
            (
                "Temperature",
                &["Temperature (C)", "temperature(°C)", "Temperature °C", "Temperature in C", "Temperature {K}"],
            ),
            ("CO2 concentration", &["CO2 concentration [ppm]", "CO₂ concentration (ppm)"]),
            ("#1", &["#1"]),
            ("Sensor 1", &["Sensor 1", "sensor_1", "Sensor1"]),
            ("tank.ph", &["tank.ph", "Tank.pH"]),
            ("Temp (in)", &["Temp (in)", "temp (in)"]),
            ("Temp (out)", &["Temp (out)"]),
            ("Humidity", &["Humidity (%)", "Humidity %", "Humidity in %", "humidity [%RH]"]),
            ("Distance", &["Distance in cm", "Distance (cm)"]),
        ] {
            for text in labels {
                assert_eq!(label(text).matches(&label(name)), Some(MatchKind::Exact), "{name:?} and {text:?}");
            }
        }
    }

    #[test]
    fn a_partial_match_is_some_of_the_words() {
        for (name, text, expected) in [
            ("Temp", "Air Temp", Some(MatchKind::Partial)),
            ("CO2", "CO2 concentration [ppm]", Some(MatchKind::Partial)),
            ("Air Temp", "Air Temp inside", Some(MatchKind::Partial)),
            ("airtemp", "Air Temp inside", Some(MatchKind::Partial)),
            ("ph", "tank.ph", Some(MatchKind::Partial)),
            ("pH", "Tank 1 pH", Some(MatchKind::Partial)),
            ("Temp", "Temp (out)", Some(MatchKind::Partial)),
            ("temp", "packet 'temp", Some(MatchKind::Partial)),
            ("Temp", "Temperature", None),
            ("co", "CO2", None),
            ("V", "mV", None),
            ("temp", "airtemp", None),
            ("Temp Air", "Air Temp", None),
            ("1", "Sensor 12", None),
            ("Temp (C)", "Temp (F)", None),
            ("Temp (C)", "Temp", Some(MatchKind::Exact)),
            ("Temp", "Temp (F)", Some(MatchKind::Exact)),
        ] {
            assert_eq!(label(text).matches(&label(name)), expected, "{name:?} and {text:?}");
        }
    }

    #[test]
    fn a_label_says_its_unit_and_has_a_letter() {
        for (text, unit) in [
            ("Temp (°F)", Some("F")),
            ("Time (ms)", Some("ms")),
            ("Temp °F", Some("F")),
            ("Level in mm", Some("mm")),
            ("EC mS/cm", Some("mS/cm")),
            ("Temp, C", Some("C")),
            ("Temp (raw)", None),
            ("Temp C", None),
            ("Log in", None),
            ("A", None),
        ] {
            assert_eq!(label(text).unit().map(Unit::name), unit, "{text:?}");
        }
        for text in ["", " ", "--", "()", "_", &"x".repeat(201)] {
            assert_eq!(Label::of(text), None, "{text:?}");
        }
    }
}
