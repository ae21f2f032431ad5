//! What a label probably measures: by its words, by the unit that lines say, and by what can be believed of each quantity. Pure.

use std::collections::BTreeMap;

use tilth_config::{Document, Layer, Purpose, base, load_documents};
use tilth_core::label::Label;
use tilth_core::plan::Plan;
use tilth_core::quantity::Quantity;
use tilth_core::unit::Unit;

use crate::sense::line::survey::FoundValue;

/// What a value is taken for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Guess {
    pub(super) quantity: Quantity,
    /// The unit of its numbers, where the lines say none and they cannot be in that of the quantity.
    pub(super) unit: Option<&'static str>,
    /// The newest value, in the unit of the quantity.
    pub(super) value: f64,
}

/// The lowest and the highest value that can be believed of each quantity.
pub(super) type Ranges = BTreeMap<Quantity, (f64, f64)>;

/// Words of labels, and what they measure. The first line of which a label has a word decides. `temper` is any label that contains it, `-temp`
/// one that ends with it, `=t` that word alone, each with or without a number at its end: `wind` is in `window`, `rain` in `drain`.
const WORDS: &[(Quantity, &str)] = &[
    (Quantity::DewPoint, "dew"),
    (Quantity::WaterTemperature, "watertemp tanktemp restemp ds18b20"),
    (Quantity::Temperature, "temper celsius -temp -tempc -tempf =t =tmp =ta"),
    (Quantity::AbsoluteHumidity, "abshum absolute"),
    (Quantity::SoilMoisture, "moist =vwc"),
    (Quantity::Humidity, "humidity =humid =hum =rh =h"),
    (Quantity::Vpd, "vpd"),
    (Quantity::Dli, "=dli"),
    (Quantity::Orp, "=orp redox"),
    (Quantity::Ph, "=ph"),
    (Quantity::DissolvedOxygen, "oxygen =do"),
    (Quantity::Co2, "co2"),
    (Quantity::Tds, "=tds"),
    (Quantity::Ec, "=ec =cond conduct"),
    (Quantity::Par, "=par ppfd"),
    (Quantity::Radiation, "solar radiat irradi"),
    (Quantity::Light, "=light =lux illum =als"),
    (Quantity::Pressure, "press baro"),
    (Quantity::WindDirection, "winddir =vane"),
    (Quantity::Wind, "=wind windspeed =gust"),
    (Quantity::Rain, "=rain rainfall"),
    (Quantity::Flow, "=flow flowrate =waterflow"),
    (Quantity::WaterLevel, "=level waterlevel =depth =distance"),
    (Quantity::SoilNutrient, "nitro phosph potass =n =p =k"),
    (Quantity::Voltage, "volt batt vcc"),
    (Quantity::Current, "=current =amps"),
    (Quantity::Power, "=power =watt =watts"),
    (Quantity::Contact, "=door =float =leak =contact =mains"),
    (Quantity::Count, "=count =counter =pulses"),
];

/// Words beside `temp` that say that it is that of water.
const OF_WATER: [&str; 6] = ["water", "tank", "reservoir", "nutrient", "solution", "pond"];

/// Units that sketches leave out, to be tried where a number cannot be in that of its quantity.
const LEFT_OUT: &[(Quantity, &str)] = &[
    (Quantity::Ec, "uS/cm"),
    (Quantity::Pressure, "Pa"),
    (Quantity::Pressure, "kPa"),
    (Quantity::Temperature, "F"),
    (Quantity::WaterTemperature, "F"),
    (Quantity::Voltage, "mV"),
    (Quantity::WaterLevel, "mm"),
];

/// The shipped base's ranges.
pub(super) fn ranges() -> Ranges {
    let sensor = |(ix, quantity): (usize, Quantity)| format!("[sensors.\"any/{ix}\"]\nquantity = \"{quantity}\"\n");
    let sensors: String = Quantity::ALL.into_iter().enumerate().map(sensor).collect();
    let mut documents = base();
    documents.layers.push(Document::toml(Layer::ConfigD, "ranges", &sensors));
    let plan = load_documents(documents, Purpose::Replay).plan;
    let ranges = plan.iter().flat_map(Plan::sensors).filter_map(|sensor| Some((sensor.quantity, sensor.range?)));
    ranges.collect()
}

/// What a value probably is; none where neither its label nor its unit says.
pub(super) fn guess(found: &FoundValue, ranges: &Ranges) -> Option<Guess> {
    let read =
        |wanted: Quantity| found.readable.iter().find(|(quantity, _)| *quantity == wanted).map(|(_, value)| *value);
    let is_plausible =
        |quantity, value| ranges.get(&quantity).is_none_or(|(low, high)| (*low..=*high).contains(&value));
    if let Some(quantity) = by_words(&found.name.label)
        && let Some(value) = read(quantity)
    {
        if is_plausible(quantity, value) {
            return Some(Guess { quantity, unit: None, value });
        }
        return LEFT_OUT.iter().filter(|(of, _)| *of == quantity && !found.has_unit).find_map(|(_, unit)| {
            let value = quantity.conversion(Unit::of(unit)?)?.apply(value);
            is_plausible(quantity, value).then_some(Guess { quantity, unit: Some(unit), value })
        });
    }
    let (quantity, value) =
        *found.readable.iter().find(|(quantity, value)| found.has_unit && is_plausible(*quantity, *value))?;
    Some(Guess { quantity, unit: None, value })
}

fn by_words(label: &str) -> Option<Quantity> {
    let label = Label::of(label)?;
    let mut words: Vec<&str> = label.words().iter().map(String::as_str).collect();
    // `watertemp` in one word, and `water temp` in two.
    let joined = label.words().concat();
    words.push(&joined);
    let without_number = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let is_one = |wanted: &str| match wanted.split_at(1) {
        ("=", wanted) => words.iter().any(|word| without_number(word) == wanted),
        ("-", wanted) => words.iter().any(|word| without_number(word).ends_with(wanted)),
        _ => joined.contains(wanted),
    };
    let (quantity, _) = WORDS.iter().find(|(_, wanted)| wanted.split(' ').any(is_one))?;
    match quantity {
        Quantity::Temperature if OF_WATER.iter().any(|of| joined.contains(of)) => Some(Quantity::WaterTemperature),
        Quantity::Wind if joined.contains("dir") => Some(Quantity::WindDirection),
        quantity => Some(*quantity),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tilth_config::LineName;

    use super::*;

    #[test]
    fn a_label_says_what_it_measures() {
        for (label, expected) in [
            ("Temp", Some("temperature")),
            ("tempC", Some("temperature")),
            ("T1", Some("temperature")),
            ("Water Temp", Some("water_temperature")),
            ("reservoir.temperature", Some("water_temperature")),
            ("Soil moisture", Some("soil_moisture")),
            ("Soil temp", Some("temperature")),
            ("pH", Some("ph")),
            ("EC", Some("ec")),
            ("hum", Some("humidity")),
            ("Humidity", Some("humidity")),
            ("eCO2", Some("co2")),
            ("wind_dir", Some("wind_direction")),
            ("Lux", Some("light")),
            ("BatteryVoltage", Some("voltage")),
            ("Door", Some("contact")),
            ("soil_ph", Some("ph")),
            ("Soil EC", Some("ec")),
            ("soil-moisture", Some("soil_moisture")),
            ("drain_level", Some("water_level")),
            ("overflow", None),
            ("window", None),
            ("attempts", None),
            ("humidifier", None),
            ("flow", Some("flow")),
            ("foo", None),
            ("theory", None),
        ] {
            assert_eq!(by_words(label).map(Quantity::name), expected, "{label}");
        }
    }

    fn found(label: &str, readable: &[(Quantity, f64)], has_unit: bool) -> FoundValue {
        let name = LineName { label: label.to_owned(), selectors: Vec::new() };
        FoundValue { name, readable: readable.to_vec(), has_unit, count: 1, span: Duration::ZERO }
    }

    #[test]
    fn a_number_that_cannot_be_in_the_unit_of_its_quantity_is_in_one_that_sketches_leave_out() {
        let ranges = ranges();
        assert_eq!(ranges.get(&Quantity::Ph), Some(&(0.0, 14.0)));
        let all = |value| Quantity::ALL.map(|quantity| (quantity, value));
        let guessed = |label, value, has_unit| {
            guess(&found(label, &all(value), has_unit), &ranges)
                .map(|guess| (guess.quantity.name(), guess.unit, guess.value))
        };
        assert_eq!(guessed("EC", 1.8, false), Some(("ec", None, 1.8)));
        assert_eq!(guessed("EC", 1413.0, false), Some(("ec", Some("uS/cm"), 1.413)));
        assert_eq!(guessed("pressure", 101_300.0, false), Some(("pressure", Some("Pa"), 1013.0)));
        assert_eq!(guessed("Moisture", 512.0, false), None, "counts of a converter are no share");
        assert_eq!(guessed("foo", 21.0, false), None);
    }

    #[test]
    fn a_unit_says_what_its_label_does_not() {
        let ranges = ranges();
        let of_celsius =
            [(Quantity::Temperature, 21.0), (Quantity::WaterTemperature, 21.0), (Quantity::DewPoint, 21.0)];
        let guessed = guess(&found("A0", &of_celsius, true), &ranges).map(|guess| guess.quantity);
        assert_eq!(guessed, Some(Quantity::Temperature));
    }
}
