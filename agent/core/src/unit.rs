//! Units as boards and people write them, and how a number in one becomes a number in the unit of a quantity.
//!
//! A unit is known by many spellings (`°C`, `degC`, `Celsius`); a quantity converts the few that measure the same thing.
//! Everything else said behind a number is the wrong unit, and the number is not taken.

use std::fmt;

use crate::quantity::Quantity;

/// The longest unit in bytes, such as `micromoles per square metre`; what is longer is text.
const MAX_LENGTH: usize = 32;

/// A unit consists of at most this many words, as in `umol m-2 s-1`.
const MAX_WORDS: usize = 3;

/// A known unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(u8);

/// How a number in one unit becomes a number in another: `(number - zero) * times / over`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    zero: f64,
    times: f64,
    over: f64,
}

/// Each unit: its name, then its spellings in [`plain`] form. What differs only in case need not be repeated, unless two units
/// do (`mW`, `MW`).
const UNITS: &[(&str, &[&str])] = &[
    ("C", &["C", "°C", "Celsius", "°Celsius", "C°", "centigrade", "Cel"]),
    ("F", &["F", "°F", "Fahrenheit", "°Fahrenheit", "F°"]),
    ("K", &["K", "°K", "Kelvin", "Kelvins"]),
    ("°", &["°"]),
    ("rad", &["rad", "radians"]),
    ("%", &["%", "percent", "pct", "%RH", "RH%", "RH", "%rel", "%VWC", "VWC", "%vol", "vol%", "Vol-%"]),
    ("m3/m3", &["m3/m3", "cm3/cm3"]),
    ("ppm", &["ppm", "ppmv"]),
    ("ppm500", &["ppm500", "ppm(500)"]),
    ("ppm640", &["ppm640", "ppm(640)"]),
    ("ppm700", &["ppm700", "ppm(700)"]),
    ("ppb", &["ppb", "ppbv"]),
    ("ppt", &["ppt"]),
    ("mg/L", &["mg/L", "mgL-1"]),
    ("g/L", &["g/L", "gL-1"]),
    ("umol/L", &["umol/L", "uM"]),
    ("mg/kg", &["mg/kg"]),
    ("g/kg", &["g/kg"]),
    (
        "mS/cm",
        &[
            "mS/cm",
            "mScm-1",
            "mScm",
            "mS",
            "millisiemens",
            "milli-siemens/cm",
            "millisiemens/cm",
            "dS/m",
            "dSm-1",
            "mmho/cm",
        ],
    ),
    (
        "uS/cm",
        &[
            "uS/cm",
            "uScm-1",
            "uScm",
            "uS",
            "microsiemens",
            "micro-siemens/cm",
            "microsiemens/cm",
            "umho/cm",
            "umhos/cm",
        ],
    ),
    ("mS/m", &["mS/m", "mSm-1"]),
    ("S/m", &["S/m", "Sm-1"]),
    ("CF", &["CF"]),
    ("uV", &["uV"]),
    ("mV", &["mV", "millivolt", "millivolts", "mVolt", "mVolts"]),
    ("V", &["V", "volt", "volts", "Vdc", "VAC"]),
    ("kV", &["kV"]),
    ("uA", &["uA"]),
    ("mA", &["mA", "milliamp", "milliamps"]),
    ("A", &["A", "amp", "amps", "ampere", "amperes"]),
    ("mW", &["mW", "milliwatt", "milliwatts"]),
    ("W", &["W", "watt", "watts"]),
    ("kW", &["kW", "kilowatt", "kilowatts"]),
    ("MW", &["MW", "megawatt", "megawatts"]),
    ("Pa", &["Pa", "pascal", "pascals"]),
    ("hPa", &["hPa", "hectopascal", "hectopascals", "mbar", "mb", "millibar", "millibars"]),
    ("kPa", &["kPa", "kilopascal", "kilopascals"]),
    ("MPa", &["MPa"]),
    ("bar", &["bar", "bars"]),
    ("inHg", &["inHg", "\"Hg", "inchesHg", "inchHg", "inHg32°F"]),
    ("mmHg", &["mmHg", "Torr"]),
    ("psi", &["psi", "lb/in2", "psia"]),
    ("atm", &["atm"]),
    ("mm", &["mm", "millimetre", "millimetres", "millimeter", "millimeters", "L/m2"]),
    ("cm", &["cm", "cms", "centimetre", "centimetres", "centimeter", "centimeters"]),
    ("m", &["m", "metre", "metres", "meter", "meters"]),
    ("km", &["km"]),
    ("in", &["in", "inch", "inches", "\""]),
    ("ft", &["ft", "foot", "feet"]),
    ("mm/h", &["mm/h", "mm/hr", "mm/hour"]),
    (
        "L/min",
        &[
            "L/min",
            "LPM",
            "L/m",
            "L/mn",
            "L/minute",
            "ltr/min",
            "lt/min",
            "litre/min",
            "liter/min",
            "litres/min",
            "liters/min",
            "litres/minute",
            "liters/minute",
        ],
    ),
    ("L/h", &["L/h", "L/hr", "LPH", "L/hour", "litres/hour", "liters/hour"]),
    ("L/s", &["L/s", "L/sec"]),
    ("mL/min", &["mL/min", "mL/m", "mL/minute", "ccm"]),
    ("mL/s", &["mL/s", "mL/sec"]),
    ("m3/h", &["m3/h", "m3/hr", "cbm/h"]),
    ("gal/min", &["gal/min", "GPM", "gallons/min"]),
    ("gal/h", &["gal/h", "gal/hr", "GPH", "gallons/hour"]),
    ("m/s", &["m/s", "mps", "ms-1", "m/sec"]),
    ("km/h", &["km/h", "kmh", "kph", "km/hr", "kmph", "kmh-1"]),
    ("mph", &["mph", "mi/h", "miles/h", "miles/hour"]),
    ("kn", &["kn", "kt", "kts", "knot", "knots"]),
    ("ft/s", &["ft/s", "fps"]),
    ("lux", &["lux", "lx"]),
    ("klx", &["klx", "klux"]),
    ("fc", &["fc", "footcandle", "footcandles", "ftcd"]),
    (
        "umol/m2/s",
        &["umol/m2/s", "umol/m2s", "umol/(m2s)", "umol/(m2*s)", "umolm-2s-1", "umol/s/m2", "umols-1m-2", "PPFD"],
    ),
    ("mol/m2/d", &["mol/m2/d", "mol/m2/day", "mol/m2d", "molm-2d-1", "mol/d/m2", "mol/day"]),
    ("W/m2", &["W/m2", "Watt/m2", "Watts/m2", "Wm-2", "W/sqm"]),
    ("kW/m2", &["kW/m2", "kWm-2"]),
    ("mW/cm2", &["mW/cm2", "mWcm-2"]),
    ("g/m3", &["g/m3", "gm-3"]),
    ("mg/m3", &["mg/m3", "mgm-3"]),
    ("kg/m3", &["kg/m3", "kgm-3"]),
    ("ug/m3", &["ug/m3", "ugm-3"]),
    ("g/cm3", &["g/cm3", "g/mL"]),
    ("ug/L", &["ug/L"]),
    ("mmol/L", &["mmol/L", "mM"]),
    ("kg/ha", &["kg/ha"]),
    ("pH", &["pH", "pHunits"]),
    ("us", &["us", "usec", "microseconds"]),
    ("ms", &["ms", "msec", "millis", "milliseconds"]),
    ("s", &["s", "sec", "secs", "seconds"]),
    ("min", &["min", "mins", "minutes"]),
    ("h", &["h", "hr", "hrs", "hours"]),
    ("d", &["d", "days"]),
    ("Hz", &["Hz", "hertz"]),
    ("kHz", &["kHz"]),
    ("rpm", &["rpm"]),
    ("dB", &["dB", "dBA"]),
    ("dBm", &["dBm"]),
    ("g", &["g", "gram", "grams"]),
    ("kg", &["kg"]),
    ("lb", &["lb", "lbs"]),
    ("oz", &["oz"]),
    ("mL", &["mL", "cc"]),
    ("L", &["L", "litre", "litres", "liter", "liters"]),
    ("gal", &["gal", "gallon", "gallons"]),
    ("Wh", &["Wh"]),
    ("kWh", &["kWh"]),
    ("mAh", &["mAh"]),
    ("Ah", &["Ah"]),
    ("J", &["J"]),
    ("N", &["N"]),
    ("ohm", &["ohm", "ohms", "Ω"]),
    ("kohm", &["kohm", "kohms", "kΩ"]),
    ("NTU", &["NTU"]),
    ("psu", &["psu"]),
];

/// Names of units with the zero, times and over of their [`Conversion`].
type Factors = &'static [(&'static str, f64, f64, f64)];

/// What each quantity converts: the unit, and `(number - zero) * times / over`. A quantity's own unit needs no line. Sources: SI
/// for prefixes and the litre; NIST SP 811 (2008), appendix B.8, for inch, foot, mile, knot, gallon (US), inHg, mmHg, psi,
/// atmosphere and foot-candle, whose factors are the exact or the tabulated ones.
const CONVERSIONS: &[(Quantity, Factors)] = &[
    (Quantity::Temperature, TEMPERATURES),
    (Quantity::WaterTemperature, TEMPERATURES),
    (Quantity::DewPoint, TEMPERATURES),
    (Quantity::AbsoluteHumidity, &[("mg/m3", 0.0, 1.0, 1000.0), ("kg/m3", 0.0, 1000.0, 1.0)]),
    (Quantity::Ph, &[("pH", 0.0, 1.0, 1.0)]),
    (
        Quantity::Ec,
        &[
            ("uS/cm", 0.0, 1.0, 1000.0),
            ("mS/m", 0.0, 1.0, 100.0),
            ("S/m", 0.0, 10.0, 1.0),
            // The conductivity factor of hydroponics is ten times mS/cm by its definition.
            ("CF", 0.0, 1.0, 10.0),
            // What meters print as ppm of salts is the EC times the scale that they state (NaCl, 442 and KCl).
            ("ppm500", 0.0, 1.0, 500.0),
            ("ppm640", 0.0, 1.0, 640.0),
            ("ppm700", 0.0, 1.0, 700.0),
        ],
    ),
    // In water of some 1 kg/L a part per million is a milligram a litre.
    (Quantity::Tds, &[("mg/L", 0.0, 1.0, 1.0), ("g/L", 0.0, 1000.0, 1.0), ("ppt", 0.0, 1000.0, 1.0)]),
    (Quantity::Orp, &[("V", 0.0, 1000.0, 1.0)]),
    // As for tds; the molar mass of O2 is 31.998 g/mol (IUPAC 2021).
    (Quantity::DissolvedOxygen, &[("ppm", 0.0, 1.0, 1.0), ("umol/L", 0.0, 31.998, 1000.0)]),
    (Quantity::Co2, &[("%", 0.0, 10_000.0, 1.0), ("ppb", 0.0, 1.0, 1000.0)]),
    (Quantity::Light, &[("klx", 0.0, 1000.0, 1.0), ("fc", 0.0, 10.763_91, 1.0)]),
    (Quantity::Radiation, &[("kW/m2", 0.0, 1000.0, 1.0), ("mW/cm2", 0.0, 10.0, 1.0)]),
    (Quantity::Vpd, PRESSURES_KPA),
    (Quantity::Pressure, PRESSURES_HPA),
    (
        Quantity::WaterLevel,
        &[("mm", 0.0, 1.0, 10.0), ("m", 0.0, 100.0, 1.0), ("in", 0.0, 2.54, 1.0), ("ft", 0.0, 30.48, 1.0)],
    ),
    (
        Quantity::Flow,
        &[
            ("L/h", 0.0, 1.0, 60.0),
            ("L/s", 0.0, 60.0, 1.0),
            ("mL/min", 0.0, 1.0, 1000.0),
            ("mL/s", 0.0, 60.0, 1000.0),
            ("m3/h", 0.0, 1000.0, 60.0),
            ("gal/min", 0.0, 3.785_411_784, 1.0),
            ("gal/h", 0.0, 3.785_411_784, 60.0),
        ],
    ),
    (Quantity::Rain, &[("cm", 0.0, 10.0, 1.0), ("in", 0.0, 25.4, 1.0)]),
    (
        Quantity::Wind,
        &[
            ("km/h", 0.0, 1.0, 3.6),
            ("mph", 0.0, 0.447_04, 1.0),
            ("kn", 0.0, 1852.0, 3600.0),
            ("ft/s", 0.0, 0.3048, 1.0),
        ],
    ),
    (Quantity::WindDirection, &[("rad", 0.0, 180.0, std::f64::consts::PI)]),
    (Quantity::SoilMoisture, &[("m3/m3", 0.0, 100.0, 1.0)]),
    // A part per million of mass is a milligram a kilogram.
    (Quantity::SoilNutrient, &[("ppm", 0.0, 1.0, 1.0), ("g/kg", 0.0, 1000.0, 1.0)]),
    (Quantity::Voltage, &[("uV", 0.0, 1.0, 1e6), ("mV", 0.0, 1.0, 1000.0), ("kV", 0.0, 1000.0, 1.0)]),
    (Quantity::Current, &[("uA", 0.0, 1.0, 1e6), ("mA", 0.0, 1.0, 1000.0)]),
    (Quantity::Power, &[("mW", 0.0, 1.0, 1000.0), ("kW", 0.0, 1000.0, 1.0), ("MW", 0.0, 1e6, 1.0)]),
];

/// A degree sign alone, as old sketches print it, means Celsius where temperature is measured.
const TEMPERATURES: Factors = &[("F", 32.0, 5.0, 9.0), ("K", 273.15, 1.0, 1.0), ("°", 0.0, 1.0, 1.0)];

const PRESSURES_HPA: Factors = &[
    ("Pa", 0.0, 1.0, 100.0),
    ("kPa", 0.0, 10.0, 1.0),
    ("MPa", 0.0, 10_000.0, 1.0),
    ("bar", 0.0, 1000.0, 1.0),
    ("inHg", 0.0, 33.863_89, 1.0),
    ("mmHg", 0.0, 1.333_224, 1.0),
    ("psi", 0.0, 68.947_57, 1.0),
    ("atm", 0.0, 1013.25, 1.0),
];

const PRESSURES_KPA: Factors = &[("Pa", 0.0, 1.0, 1000.0), ("hPa", 0.0, 1.0, 10.0)];

impl Unit {
    /// The unit that a whole text means, in any spelling: `°C`, `mS/cm`, `deg F`, `µmol/m²/s`.
    #[must_use]
    pub fn of(text: &str) -> Option<Unit> {
        let plain = plain(text)?;
        let same = plain.to_lowercase();
        spelled(|known| known == plain).or_else(|| spelled(|known| known.to_lowercase() == same))
    }

    /// As [`Unit::of`], of a text whose capitals are those of the unit: `In` is no inch, and `Min` no minute.
    #[must_use]
    pub fn of_exactly(text: &str) -> Option<Unit> {
        let plain = plain(text)?;
        spelled(|known| known == plain)
    }

    /// The unit that a text begins with, in as many words as it takes, and what follows it. `find` is [`Unit::of`] or
    /// [`Unit::of_exactly`].
    #[must_use]
    pub fn leading(text: &str, find: fn(&str) -> Option<Unit>) -> Option<(Unit, &str)> {
        let text = text.trim_start();
        let ends = text.match_indices([' ', '\t']).map(|(end, _)| end).chain([text.len()]);
        let whole = ends.filter(|end| !text[..*end].ends_with([' ', '\t'])).take(MAX_WORDS);
        let found = whole.filter_map(|end| find(&text[..end]).map(|unit| (unit, &text[end..])));
        found.last()
    }

    /// Whether it is a unit of some quantity, or one that a quantity converts.
    #[must_use]
    pub fn is_of_a_quantity(self) -> bool {
        Quantity::ALL.into_iter().any(|quantity| quantity != Quantity::Count && quantity.conversion(self).is_some())
    }

    /// The name in documents and messages, such as `uS/cm`.
    #[must_use]
    pub fn name(self) -> &'static str {
        UNITS[usize::from(self.0)].0
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Conversion {
    /// A number stays as it is.
    pub const NONE: Conversion = Conversion { zero: 0.0, times: 1.0, over: 1.0 };

    /// The number in the quantity's unit.
    #[must_use]
    pub fn apply(self, number: f64) -> f64 {
        (number - self.zero) * self.times / self.over
    }

    /// Whether a number stays as it is.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Conversion::NONE
    }

    /// The factor, where the conversion is only that.
    #[must_use]
    pub fn factor(self) -> Option<f64> {
        (self.zero == 0.0).then_some(self.times / self.over)
    }
}

impl Quantity {
    /// How a number in a unit becomes one in the quantity's own; nothing where the unit measures something else. A count is of
    /// anything.
    #[must_use]
    pub fn conversion(self, unit: Unit) -> Option<Conversion> {
        if self == Quantity::Count || Unit::of(self.unit()) == Some(unit) {
            return Some(Conversion::NONE);
        }
        let (_, zero, times, over) = *self.conversions().iter().find(|(name, ..)| *name == unit.name())?;
        Some(Conversion { zero, times, over })
    }

    /// The unit that a text means where this is measured: `us` are microsiemens of EC, and `mw` are milliwatts of power. Nothing for
    /// a text that is no unit of it.
    #[must_use]
    pub fn unit_of(self, text: &str) -> Option<Unit> {
        let own = |unit: &Unit| self.conversion(*unit).is_some();
        if let Some(unit) = Unit::of(text).filter(own) {
            return Some(unit);
        }
        let same = plain(text)?.to_lowercase();
        let is_same = |spellings: &[&str]| spellings.iter().any(|known| known.to_lowercase() == same);
        let units = (0..).zip(UNITS).filter(|(_, (_, spellings))| is_same(spellings)).map(|(place, _)| Unit(place));
        units.filter(|_| self != Quantity::Count).find(own)
    }

    /// The names of the units that it converts, its own first.
    #[must_use]
    pub fn units(self) -> Vec<&'static str> {
        let own = Some(self.unit()).filter(|unit| !unit.is_empty());
        let others = self.conversions().iter().map(|(name, ..)| *name).filter(|name| *name != "°");
        own.into_iter().chain(others).collect()
    }

    fn conversions(self) -> Factors {
        CONVERSIONS.iter().find(|(quantity, _)| *quantity == self).map_or(&[], |(_, units)| *units)
    }
}

/// The one unit of which a spelling matches.
fn spelled(matches: impl Fn(&str) -> bool) -> Option<Unit> {
    let mut found = (0..).zip(UNITS).filter(|(_, (_, spellings))| spellings.iter().any(|known| matches(known)));
    let first = found.next();
    first.filter(|_| found.next().is_none()).map(|(place, _)| Unit(place))
}

/// A unit's text without blanks, dots and powers written as such; every sign for degree is `°`. Nothing for what is too long or
/// cannot be a unit.
fn plain(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches(['.', '!']).trim_end();
    if text.is_empty() || text.len() > MAX_LENGTH {
        return None;
    }
    let text = without_word(text);
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '.' | '·' | '⋅' | 'Â' => {}
            'µ' | 'μ' => plain.push('u'),
            '²' => plain.push('2'),
            '³' => plain.push('3'),
            '¹' => plain.push('1'),
            '⁻' | '−' => plain.push('-'),
            '°' | 'º' | '˚' => plain.push('°'),
            '℃' => plain.push_str("°C"),
            '℉' => plain.push_str("°F"),
            // Signs that stand for a degree where a board has none.
            '*' | '^' | '\'' | '`' | '’' | '~' if plain.is_empty() && letters.peek().is_some() => plain.push('°'),
            // A small o, as in oC.
            'o' if plain.is_empty() && matches!(letters.peek(), Some('C' | 'F')) => plain.push('°'),
            // Powers: m^2, m**2.
            '^' | '*' => {}
            other => plain.push(other),
        }
    }
    (!plain.is_empty()).then_some(plain)
}

/// `degrees C`, `deg. F` and the like, with a sign in place of the word.
fn without_word(text: &str) -> std::borrow::Cow<'_, str> {
    let word = ["degrees", "degree", "degs", "deg", "grados", "grado", "graden", "grad"]
        .into_iter()
        .find(|word| text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word)));
    match word {
        Some(word) => format!("°{}", &text[word.len()..]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_known_by_their_spellings() {
        for (texts, name) in [
            (
                &[
                    "C",
                    "c",
                    "°C",
                    "*C",
                    "^C",
                    "'C",
                    "ºC",
                    "˚C",
                    "℃",
                    "deg C",
                    "degC",
                    "degrees Celsius",
                    "oC",
                    "Â°C",
                    "C°",
                ][..],
                "C",
            ),
            (&["F", "°F", "*F", "℉", "deg. F", "degrees F", "Fahrenheit", "fahrenheit"], "F"),
            (&["K", "Kelvin"], "K"),
            (&["°", "deg", "degrees"], "°"),
            (&["%", "%RH", "% RH", "% rH", "percent", "%VWC"], "%"),
            (&["uS/cm", "µS/cm", "μS/cm", "us/cm", "uS", "µS cm-1", "µS·cm⁻¹"], "uS/cm"),
            (&["mS/cm", "ms/cm", "mS", "dS/m"], "mS/cm"),
            (&["umol/m2/s", "µmol/m²/s", "umol m-2 s-1", "μmol·m⁻²·s⁻¹", "umol/m^2/s"], "umol/m2/s"),
            (&["W/m2", "W/m^2", "W/m²", "w/m2"], "W/m2"),
            (&["cm", "cm.", "CM"], "cm"),
            (&["L/min", "l/min", "LPM", "lpm", "l/m", "L/m", "L/Min", "l/minute", "Liter/min", "L / min"], "L/min"),
            (&["Cel", "cel"], "C"),
            (&["mW"], "mW"),
            (&["MW"], "MW"),
            (&["kn", "kt", "knots"], "kn"),
            (&["hPa", "mbar", "mb", "HPA"], "hPa"),
            (&["inHg", "in Hg"], "inHg"),
        ] {
            for text in texts {
                assert_eq!(Unit::of(text).map(Unit::name), Some(name), "{text:?}");
            }
        }
        for text in ["", "e", "x", "Temp", "mw", "C3", "m/s/s", "OK", "1", "°X", "of"] {
            assert_eq!(Unit::of(text).map(Unit::name), None, "{text:?}");
        }
    }

    #[test]
    fn a_text_begins_with_the_longest_unit_it_can() {
        for (text, expected) in [
            (" C Hum", Some(("C", " Hum"))),
            ("deg C", Some(("C", ""))),
            ("% RH  Temp", Some(("%", "  Temp"))),
            ("in Hg", Some(("inHg", ""))),
            ("umol m-2 s-1 Air", Some(("umol/m2/s", " Air"))),
            ("Water Temp", None),
            ("", None),
        ] {
            assert_eq!(Unit::leading(text, Unit::of).map(|(unit, rest)| (unit.name(), rest)), expected, "{text:?}");
        }
    }

    #[test]
    fn quantities_convert_what_measures_the_same_and_nothing_else() {
        for (quantity, unit, number, expected) in [
            (Quantity::Temperature, "°C", 21.5, Some(21.5)),
            (Quantity::Temperature, "F", 70.7, Some(21.5)),
            (Quantity::Temperature, "K", 294.65, Some(21.5)),
            (Quantity::WaterTemperature, "F", 50.0, Some(10.0)),
            (Quantity::Temperature, "kPa", 1.0, None),
            (Quantity::Ec, "uS/cm", 1800.0, Some(1.8)),
            (Quantity::Ec, "mS/m", 180.0, Some(1.8)),
            (Quantity::Ec, "ppm", 900.0, None),
            (Quantity::Ec, "ppm500", 900.0, Some(1.8)),
            (Quantity::Tds, "mg/L", 900.0, Some(900.0)),
            (Quantity::Tds, "uS/cm", 900.0, None),
            (Quantity::DissolvedOxygen, "ppm", 8.0, Some(8.0)),
            (Quantity::DissolvedOxygen, "%", 95.0, None),
            (Quantity::Pressure, "inHg", 29.92, Some(1_013.207_588_8)),
            (Quantity::Pressure, "mbar", 1013.0, Some(1013.0)),
            (Quantity::Pressure, "Pa", 101_325.0, Some(1013.25)),
            (Quantity::Wind, "km/h", 36.0, Some(10.0)),
            (Quantity::Wind, "mph", 10.0, Some(4.4704)),
            (Quantity::Wind, "kn", 10.0, Some(5.144_444_444)),
            (Quantity::Rain, "in", 1.0, Some(25.4)),
            (Quantity::Rain, "mm/h", 1.0, None),
            (Quantity::Light, "klx", 12.0, Some(12_000.0)),
            (Quantity::Flow, "gal/min", 1.0, Some(3.785_411_784)),
            (Quantity::WindDirection, "°", 214.0, Some(214.0)),
            (Quantity::WindDirection, "C", 214.0, None),
            (Quantity::Ph, "pH", 6.8, Some(6.8)),
            (Quantity::Ph, "%", 6.8, None),
            (Quantity::Count, "rpm", 7.0, Some(7.0)),
        ] {
            let unit = Unit::of(unit).unwrap();
            let found = quantity.conversion(unit).map(|conversion| conversion.apply(number));
            let is_near = found.zip(expected).is_none_or(|(found, expected)| (found - expected).abs() < 1e-6);
            assert!(is_near && found.is_some() == expected.is_some(), "{quantity} {number} {unit}: {found:?}");
        }
    }

    #[test]
    fn each_unit_of_a_table_is_known_and_no_spelling_is_of_two() {
        for quantity in Quantity::ALL {
            for name in quantity.units() {
                let unit = Unit::of(name).unwrap_or_else(|| panic!("{quantity}: {name}"));
                assert!(quantity.conversion(unit).is_some(), "{quantity}: {name}");
            }
        }
        for (name, spellings) in UNITS {
            assert_eq!(Unit::of(name).map(Unit::name), Some(*name));
            for spelling in *spellings {
                assert_eq!(Unit::of(spelling).map(Unit::name), Some(*name), "{spelling}");
            }
        }
    }
}
