//! A greenhouse's export as a recording that `tilth-agent replay` reads.
//!
//! The export has an empty first heading, local time without an offset, empty and `NaN` cells, and ends with an empty line
//! and a link, which are no readings.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// An export, converted.
#[derive(Debug)]
pub struct Recording {
    /// `time` and one column for each series; times in UTC, cells as they were.
    pub csv: String,
    /// In the order of the columns.
    pub series: Vec<Series>,
    /// The rows as numbers: the instant in milliseconds since 1970, and a cell for each series.
    pub rows: Vec<(i64, Vec<Option<f64>>)>,
    /// The beginnings of lines that are no readings.
    pub other_lines: Vec<String>,
}

/// One column of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The sensor's id, made from the heading.
    pub id: String,
    /// Quantity that the column measures, where we have a word for it.
    pub quantity: Option<&'static str>,
}

/// Names and units as the exports write them, and our words for them.
const QUANTITIES: &[(&[&str], &str, &str)] = &[
    (&["Absolute Humidity"], "g/m3", "absolute_humidity"),
    (&["Dewpoint"], "°C", "dew_point"),
    (&["Humidity", "Relative humidity"], "%", "humidity"),
    (&["Temperature", "Air temperature", "Surface temperature", "Temp", "temperature"], "°C", "temperature"),
    (&["VPD"], "kPa", "vpd"),
    (&["co2"], "ppm", "co2"),
    (&["PAR", "par"], "μmol m−2 s−1", "par"),
    (&["Air pressure"], "hPa", "pressure"),
    (&["Rain"], "mm", "rain"),
    (&["Wind speed"], "m/s", "wind"),
    (&["VWC"], "%", "soil_moisture"),
    (&["dissolved"], "mg/L", "dissolved_oxygen"),
    (&["battery"], "V", "voltage"),
    (&["Percentage", "Rain probability"], "%", "percent"),
];

/// The longest half of a sensor id.
const MAX_NAME: usize = 40;

/// Converts an export of a greenhouse whose clocks show this zone's time.
///
/// # Panics
/// When two columns would be one sensor, or a cell is no number: both mean that the export is not what it seems.
#[must_use]
pub fn convert(export: &str, greenhouse: &str, clock: &TimeZone) -> Recording {
    let mut lines = export.lines();
    let headings = lines.next().unwrap_or_default().split(',').skip(1);
    let series: Vec<Series> = headings.map(|heading| Series::named(greenhouse, heading)).collect();
    for (place, one) in series.iter().enumerate() {
        assert!(series[..place].iter().all(|other| other.id != one.id), "{} is there twice", one.id);
    }
    let ids: Vec<&str> = series.iter().map(|one| one.id.as_str()).collect();
    let mut recording = Recording {
        csv: format!("time,{}\n", ids.join(",")),
        series: Vec::new(),
        rows: Vec::new(),
        other_lines: Vec::new(),
    };
    let mut last = None;
    for line in lines {
        let (stamp, cells) = line.split_once(',').unwrap_or((line, ""));
        let Ok(local) = DateTime::strptime("%Y-%m-%d %H:%M:%S", stamp) else {
            recording.other_lines.push(line.chars().take(20).collect());
            continue;
        };
        let at = instant(local, clock, last);
        last = Some(at);
        let _ = writeln!(recording.csv, "{at},{cells}");
        recording.rows.push((at.as_millisecond(), cells.split(',').map(number).collect()));
    }
    recording.series = series;
    recording
}

/// The instant of a local time. One that is there twice is the first, unless the rows have gone past that.
fn instant(local: DateTime, clock: &TimeZone, last: Option<Timestamp>) -> Timestamp {
    let ambiguous = clock.to_ambiguous_timestamp(local);
    let first = ambiguous.earlier().expect("it is in a year that people live in");
    match ambiguous.offset() {
        AmbiguousOffset::Fold { .. } if last.is_some_and(|last| last >= first) => {
            ambiguous.later().expect("it is in a year that people live in")
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } | AmbiguousOffset::Gap { .. } => first,
    }
}

fn number(cell: &str) -> Option<f64> {
    if cell.is_empty() || cell == "NaN" {
        return None;
    }
    Some(cell.parse().unwrap_or_else(|_| panic!("{cell:?} is no number")))
}

impl Series {
    /// From a heading such as `Sensor kas 4 R (888) - Humidity (%) - averages`.
    fn named(greenhouse: &str, heading: &str) -> Series {
        let heading = heading.strip_suffix(" - averages").unwrap_or(heading);
        let (device, measure) = heading.rsplit_once(" - ").unwrap_or(("", heading));
        let (name, unit) = measure.split_once('(').unwrap_or((measure, ""));
        let (name, unit) = (name.trim(), unit.trim_end_matches(')').trim());
        let known = QUANTITIES.iter().find(|(names, known, _)| names.contains(&name) && *known == unit);
        let name = id_part(name);
        let device = id_part(device.strip_prefix("Sensor").unwrap_or(device));
        let room = MAX_NAME - 1 - name.len();
        let device = device[..device.len().min(room)].trim_matches('-');
        Series { id: format!("{greenhouse}/{device}-{name}"), quantity: known.map(|(_, _, quantity)| *quantity) }
    }
}

/// Small letters and digits, with one `-` for everything between them.
fn id_part(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

impl Recording {
    /// The sensors of all series that we have a word for, as they stand in `config.d`.
    #[must_use]
    pub fn sensors(&self, interval: &str) -> String {
        let mut toml = String::new();
        for Series { id, quantity } in &self.series {
            if let Some(quantity) = quantity {
                let _ = writeln!(toml, "[sensors.\"{id}\"]\nquantity = \"{quantity}\"\ninterval = \"{interval}\"\n");
            }
        }
        toml
    }

    /// The values of one series that are there, with their instants.
    ///
    /// # Panics
    /// When there is no such series.
    #[must_use]
    pub fn values(&self, id: &str) -> Vec<(i64, f64)> {
        let place = self.series.iter().position(|one| one.id == id).expect("the series is in the export");
        self.rows.iter().filter_map(|(at, cells)| Some((*at, cells.get(place).copied().flatten()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_becomes_a_recording() {
        let export = ",Sensor kas 4 R (888) - Humidity (%) - averages,wind - % (afd 4) - Percentage (%) - averages\n\
                      2020-10-25 02:30:00,52.1,NaN\n2020-10-25 02:00:00,,3\n2020-10-25 03:00:00,50,4\n,,,,\nLink to,\"a,b\"\n";
        let recording = convert(export, "kas", &TimeZone::get("Europe/Amsterdam").unwrap());
        let expected = "time,kas/kas-4-r-888-humidity,kas/wind-afd-4-percentage\n\
                        2020-10-25T00:30:00Z,52.1,NaN\n2020-10-25T01:00:00Z,,3\n2020-10-25T02:00:00Z,50,4\n";
        assert_eq!(recording.csv, expected);
        assert_eq!(recording.other_lines, [",,,,", "Link to,\"a,b\""]);
        assert_eq!(recording.series[0].quantity, Some("humidity"));
        assert_eq!(recording.values("kas/wind-afd-4-percentage"), [(1_603_587_600_000, 3.0), (1_603_591_200_000, 4.0)]);
    }

    #[test]
    fn the_headings_of_other_exports_have_words_too() {
        for (heading, id, quantity) in [
            ("Sensor PMC (21B) - VPD (kPa) - averages", "k/pmc-21b-vpd", Some("vpd")),
            ("Sensor PMC (21B) - Humidity Deficit (g/m3) - averages", "k/pmc-21b-humidity-deficit", None),
            (
                "Weather solutions station Pantar Tuinderij - Relative humidity (%) - averages",
                "k/weather-solutions-stat-relative-humidity",
                Some("humidity"),
            ),
            (
                "kastemperatuur - °C  (afd 4) - Temperature (°C) - averages",
                "k/kastemperatuur-c-afd-4-temperature",
                Some("temperature"),
            ),
        ] {
            assert_eq!(Series::named("k", heading), Series { id: id.to_owned(), quantity }, "{heading}");
        }
    }
}
