//! Which unit the words of a label say, where it stands in no brackets: `temp_f`, `EC uS/cm`, `tempF`, `windspeedmph`. Whether a word
//! is a unit depends on what is measured: `temp_in` is indoors, `rain_in` in inches.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Label, comparable};
use crate::quantity::Quantity;
use crate::unit::Unit;

/// A unit takes at most this many words: `light_umol_m2_s`.
const MAX_WORDS: usize = 3;

/// Words behind which boards write a unit without anything between: `tempf`, `temp1f`, `windspeedmph`, `dailyrainin`.
const STEMS: [&str; 23] = [
    "temp",
    "tempin",
    "tempout",
    "temperature",
    "dewpt",
    "dewpoint",
    "heatindex",
    "feelslike",
    "chill",
    "speed",
    "spd",
    "gust",
    "wind",
    "rain",
    "pressure",
    "level",
    "depth",
    "distance",
    "voltage",
    "battery",
    "current",
    "power",
    "flow",
];

/// Things that letters tell apart: `Probe F` is no Fahrenheit.
const THINGS: [&str; 22] = [
    "tank",
    "reservoir",
    "node",
    "probe",
    "sensor",
    "station",
    "zone",
    "room",
    "bed",
    "bench",
    "rack",
    "shelf",
    "tower",
    "house",
    "tray",
    "pot",
    "channel",
    "port",
    "row",
    "bay",
    "block",
    "section",
];

/// Words for one of several values; the unit may stand before them: `temp_f_avg`.
const VALUES: [&str; 8] = ["avg", "average", "mean", "min", "max", "now", "last", "current"];

/// Words before which `in` is inches and no place.
const LENGTHS: [&str; 4] = ["depth", "distance", "dist", "height"];

/// Letters at the ends of labels that are otherwise alike: beside `Temp A` or `Temp B`, the end of `Temp C` is no unit.
const LETTERS: [char; 2] = ['a', 'b'];

/// Labels that end with a letter.
#[derive(Debug, Clone, Default)]
pub struct Siblings {
    /// By what stands before the end, in comparable form.
    ends: BTreeMap<String, Vec<char>>,
}

impl Label {
    /// The unit that the end of a label says of a quantity; nothing where the quantity does not convert it.
    #[must_use]
    pub fn unit_at_end(&self, quantity: Quantity, siblings: &Siblings) -> Option<Unit> {
        if siblings.tell_apart(self, quantity) {
            return None;
        }
        let words = words_of(&self.bare);
        let trailing = words.iter().rev().take_while(|word| is_trailing(&self.bare[(*word).clone()])).count();
        let last = words.len().checked_sub(1)?;
        let ends = (last.saturating_sub(trailing)..=last).rev().map(|end| &words[..=end]);
        let at_end = |words: &[Range<usize>]| unit_of_words(&self.bare, words, quantity);
        let together = || words.iter().find_map(|word| behind_stem(&self.bare[word.clone()], quantity));
        ends.into_iter().find_map(at_end).or_else(together)
    }

    /// What stands before the last word, and that word.
    fn head_and_end(&self) -> Option<(String, &str)> {
        let (end, head) = self.words.split_last()?;
        Some((head.concat(), end))
    }
}

/// The unit with which some words end, unless the last one says where, or which one.
fn unit_of_words(text: &str, words: &[Range<usize>], quantity: Quantity) -> Option<Unit> {
    let end = words.last()?.end;
    let last = &text[words.last()?.clone()];
    let before = words.iter().rev().nth(1).map(|word| comparable(&text[word.clone()])).unwrap_or_default();
    if is_place(&before, &comparable(last), quantity) {
        return None;
    }
    let together = words.iter().rev().take(MAX_WORDS).rev().map(|word| &text[word.start..end]);
    let parts = behind_small_letters(last).chain(last.split('/').skip(1));
    together.chain(parts).find_map(|words| said(quantity, words))
}

/// Whether the last word of a label says where, or which one: `level_in`, `Probe F`, `tankF`.
fn is_place(before: &str, last: &str, quantity: Quantity) -> bool {
    let thing = last.char_indices().next_back().map_or("", |(letter, _)| &last[..letter]);
    match last {
        "in" => quantity != Quantity::Rain && !LENGTHS.contains(&before),
        letter if thing.is_empty() => letter.len() == 1 && THINGS.contains(&before),
        _ => THINGS.contains(&thing),
    }
}

/// Whether a word may stand behind the unit: which one, or what of several values.
fn is_trailing(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit()) || VALUES.iter().any(|value| value.eq_ignore_ascii_case(word))
}

impl Siblings {
    /// Learns a label; says whether the end of another, learnt before, means something else now.
    pub fn add(&mut self, label: &Label) -> bool {
        let Some((head, end)) = label.head_and_end().filter(|(_, end)| end.len() == 1) else { return false };
        let ends = self.ends.entry(head).or_default();
        let letter = end.chars().next().unwrap_or_default();
        let (is_new, had_others) = (!ends.contains(&letter), !ends.is_empty());
        if is_new {
            ends.push(letter);
        }
        is_new && had_others && LETTERS.contains(&letter)
    }

    /// Whether the end of a label only tells it from others.
    fn tell_apart(&self, label: &Label, quantity: Quantity) -> bool {
        let Some((head, end)) = label.head_and_end().filter(|_| !self.ends.is_empty()) else { return false };
        let ends = self.ends.get(&head).filter(|_| end.len() == 1);
        ends.is_some_and(|ends| {
            LETTERS.iter().any(|letter| ends.contains(letter) && quantity.unit_of(&letter.to_string()).is_none())
        })
    }
}

/// The unit that words mean for a quantity, written together or with strokes between: `degf`, `us/cm`.
fn said(quantity: Quantity, words: &str) -> Option<Unit> {
    let joined = |joint: &str| words.split(is_end).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(joint);
    quantity.unit_of(words).or_else(|| quantity.unit_of(&joined(""))).or_else(|| quantity.unit_of(&joined("/")))
}

/// A unit that a word has written together behind what is measured.
fn behind_stem(word: &str, quantity: Quantity) -> Option<Unit> {
    let word = comparable(word);
    let mut ends = word.char_indices().skip(1).map(|(at, _)| word.split_at(at));
    ends.find_map(|(before, unit)| {
        let before = before.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_stem = STEMS.iter().any(|stem| before.ends_with(stem));
        quantity.unit_of(unit).filter(|_| is_stem)
    })
}

/// The ends of a word that begin with a capital behind a small letter: `F` of `tempF`.
fn behind_small_letters(word: &str) -> impl Iterator<Item = &str> {
    let places = word.char_indices().zip(word.chars().skip(1));
    places
        .filter(|((_, before), c)| before.is_lowercase() && c.is_uppercase())
        .map(|((at, before), _)| &word[at + before.len_utf8()..])
}

/// The words of a label, by where they are.
fn words_of(text: &str) -> Vec<Range<usize>> {
    let words = text.split(is_end).filter(|word| !word.is_empty());
    let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    words.map(|word| start(word)..start(word) + word.len()).collect()
}

/// What ends a word; a stroke is a part of units.
fn is_end(c: char) -> bool {
    c != '/' && c != '\'' && super::is_word_end(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str, quantity: Quantity, siblings: &[&str]) -> Option<&'static str> {
        let mut known = Siblings::default();
        for sibling in siblings {
            known.add(&Label::of(sibling).unwrap());
        }
        Label::of(text).unwrap().unit_at_end(quantity, &known).map(Unit::name)
    }

    #[test]
    fn the_end_of_a_label_is_its_unit_where_the_quantity_converts_it() {
        use Quantity::{Co2, Ec, Flow, Par, Power, Pressure, Rain, Temperature, Voltage, WaterLevel, Wind};
        for (text, quantity, expected) in [
            ("temp_f", Temperature, Some("F")),
            ("Temp F", Temperature, Some("F")),
            ("TEMP-F", Temperature, Some("F")),
            ("air.temp.f", Temperature, Some("F")),
            ("tempF", Temperature, Some("F")),
            ("Temp/F", Temperature, Some("F")),
            ("temp_degF", Temperature, Some("F")),
            ("temp_deg_f", Temperature, Some("F")),
            ("Temperature_Fahrenheit", Temperature, Some("F")),
            ("tempf", Temperature, Some("F")),
            ("temp1f", Temperature, Some("F")),
            ("tempinf", Temperature, Some("F")),
            ("F", Temperature, Some("F")),
            ("temp_k", Temperature, Some("K")),
            ("temp_c", Temperature, Some("C")),
            ("ec_us", Ec, Some("uS/cm")),
            ("ec_us_cm", Ec, Some("uS/cm")),
            ("ec_dS/m", Ec, Some("mS/cm")),
            ("ec_ms", Ec, Some("mS/cm")),
            ("level_in", WaterLevel, None),
            ("depth_in", WaterLevel, Some("in")),
            ("level mm", WaterLevel, Some("mm")),
            ("depth_ft", WaterLevel, Some("ft")),
            ("rain_in", Rain, Some("in")),
            ("dailyrainin", Rain, Some("in")),
            ("windspeedmph", Wind, Some("mph")),
            ("windSpeedKmh", Wind, Some("km/h")),
            ("wind_m_s", Wind, Some("m/s")),
            ("pressure_in_hg", Pressure, Some("inHg")),
            ("baro inHg", Pressure, Some("inHg")),
            ("pressurePa", Pressure, Some("Pa")),
            ("flow_l_h", Flow, Some("L/h")),
            ("batt_mv", Voltage, Some("mV")),
            ("batteryMv", Voltage, Some("mV")),
            ("power_mw", Power, Some("mW")),
            ("light_umol_m2_s", Par, Some("umol/m2/s")),
            ("co2_pct", Co2, Some("%")),
            ("temperature_F", Temperature, Some("F")),
            ("Heat Index F", Temperature, Some("F")),
            ("water_f", Temperature, Some("F")),
            ("wind_avg_km_h", Wind, Some("km/h")),
            ("press_inhg", Pressure, Some("inHg")),
            ("par_umol_m2_s", Par, Some("umol/m2/s")),
            ("uS/cm", Ec, Some("uS/cm")),
            ("temp_f_avg", Temperature, Some("F")),
            ("Temp F 1", Temperature, Some("F")),
            ("windspdmph_avg2m", Wind, Some("mph")),
            ("windgustmph_10m", Wind, Some("mph")),
            ("Probe F", Temperature, None),
            ("Probe F 2", Temperature, None),
            ("tankF", Temperature, None),
            ("in", WaterLevel, None),
            ("in", Rain, Some("in")),
            ("level 1", WaterLevel, None),
            ("TANK", Temperature, None),
            ("temp_out", Temperature, None),
            ("ec_ppm", Ec, None),
            ("temp_in", Temperature, None),
            ("temp_min", Temperature, None),
            ("temp_hum", Temperature, None),
            ("Temp rack", Temperature, None),
            ("temprack", Temperature, None),
            ("left", WaterLevel, None),
            ("main", WaterLevel, None),
            ("rain", Rain, None),
            ("temp", Temperature, None),
            ("Temp 1", Temperature, None),
            ("Temp (in)", Temperature, None),
        ] {
            assert_eq!(unit(text, quantity, &[]), expected, "{text:?} of {quantity}");
        }
    }

    #[test]
    fn letters_that_tell_labels_apart_are_no_units() {
        use Quantity::Temperature;
        for (text, quantity, siblings, expected) in [
            ("Temp F", Temperature, &["Temp A", "Temp C"][..], None),
            ("Temp F", Temperature, &["Temp C"], Some("F")),
            ("Temp F", Temperature, &["Hum A", "Temp out"], Some("F")),
            ("f", Temperature, &["t", "h"], Some("F")),
            ("f", Temperature, &["a", "b"], None),
            ("temp_fahrenheit", Temperature, &["temp_a"], Some("F")),
        ] {
            assert_eq!(unit(text, quantity, siblings), expected, "{text:?} beside {siblings:?}");
        }
    }
}
