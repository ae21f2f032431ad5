//! Exports of other tools, known by their headings, and the headings by which names, values and places are called.

use crate::cli::DateOrder;

/// An export of a known tool, as notes call it.
pub(super) type Tool = &'static str;

pub(super) const HOME_ASSISTANT: Tool = "Home Assistant history";
pub(super) const INFLUX: Tool = "an InfluxDB export";

/// The tool whose export has these headings below this first line.
pub(super) fn tool(first_line: &[u8], headings: &[String]) -> Option<Tool> {
    let has = |name: &str| headings.iter().any(|heading| heading.eq_ignore_ascii_case(name));
    let begins_with = |name: &str| headings.first().is_some_and(|first| first == name);
    let first = String::from_utf8_lossy(first_line);
    let is_hobo = headings.iter().any(|heading| heading.starts_with("Date Time, GMT")) || first.contains("Plot Title:");
    let signs = [
        ("a Campbell TOA5 table", first.trim_start_matches('"').starts_with("TOA5")),
        (HOME_ASSISTANT, has("entity_id") && has("state") && (has("last_changed") || has("last_updated"))),
        (INFLUX, has("_time") && (has("_value") || has("result") || has("table"))),
        (INFLUX, begins_with("name") && has("time") && headings.len() > 2),
        ("a ThingSpeak feed", has("created_at") && has("entry_id")),
        ("a HOBO export", is_hobo),
        ("a Grafana export", begins_with("Time") && first.starts_with("\"Time\"")),
        ("a Grafana export", has("series") && has("time") && has("value")),
    ];
    signs.into_iter().find(|(_, is_there)| *is_there).map(|(tool, _)| tool)
}

/// What a line beside the data of such a file begins with, and the header may come again.
pub(super) fn is_annotation(line: &[u8]) -> bool {
    [&b"#group"[..], b"#datatype", b"#default"].iter().any(|sign| line.starts_with(sign))
}

/// Headings of the time, the likeliest first.
const TIMES: &str = "time, _time, timestamp, datetime, date time, date/time, created_at, last_changed, last_updated, ts, \
     time_utc, recorded_at, date, utc, local_time, zeit, zeitstempel, datum, datum/uhrzeit, datum zeit, \
     zeitpunkt, uhrzeit, horodatage, date heure, date/heure, heure, tijd, tijdstip, fecha, fecha y hora, \
     fecha hora, hora";

/// Headings of times that are less likely than any of those.
const RARE_TIMES: &str = "epoch, unix, unixtime, dateutc, clock, timestamp_ms";

fn entries(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split(", ")
}

/// How likely a heading is the name of the time; less is more likely.
pub(super) fn time_rank(heading: &str) -> usize {
    let heading = heading.to_lowercase();
    let plain = heading.split(['(', '[', ',']).next().unwrap_or_default().trim().replace('-', "_");
    entries(TIMES).position(|name| name == plain).unwrap_or(usize::MAX)
}

/// The order of day and month that a heading says, as in `Time(dd/mm/yyyy)`.
pub(super) fn order(heading: &str) -> Option<DateOrder> {
    let plain: String =
        heading.to_lowercase().chars().filter(|letter| !matches!(letter, '/' | '-' | '.' | ' ')).collect();
    let begins = |forms: &[&str]| forms.iter().any(|form| plain.contains(form));
    match () {
        () if begins(&["ddmmyy", "ttmmjj", "jjmmaa", "ddmmaa", "dmy"]) => Some(DateOrder::Dmy),
        () if begins(&["mmddyy", "mdy"]) => Some(DateOrder::Mdy),
        () if begins(&["yymmdd", "jjmmtt"]) => Some(DateOrder::Ymd),
        () => None,
    }
}

pub(super) fn is_time_name(heading: &str) -> bool {
    time_rank(heading) < usize::MAX || entries(RARE_TIMES).any(|name| name == heading.to_lowercase())
}

/// Headings of the column that names what a line measures, in the long layout.
const NAMES: &str = "sensor, entity_id, _field, series, metric, statistic_id, parameter, variable, sensor_id, sensor name, \
     sensorname, topic, point, measurement, name, kanal, messstelle, naam, item";

const VALUES: &str = "value, _value, state, reading, val, measured value, wert, messwert, valeur, waarde, valor, mean, result, \
     data, values";

const UNITS: &str = "unit, units, unit_of_measurement, einheit, unité, eenheid";

/// Headings of columns that say where a line was measured, where it measures several things.
const PLACES: &str = "device, device_id, deviceid, device name, device_name, devicename, dev_eui, deveui, sensor, sensor_id, \
     sensorid, sensor name, sensor_name, location, room, zone, area, site, node, node_id, nodeid, mote, moteid, \
     station, station_id, station name, logger, logger name, serial, serial number, serialnumber, mac, \
     mac address, host, topic, tower, channel, probe, module, name, gerät, geraet, standort, raum, messstelle, \
     fühler, appareil, capteur, apparaat, ruimte, dispositivo, id, model, addr, address, slave, port, eui, \
     source, probe_id";

fn position(names: &'static str, headings: &[String]) -> Option<usize> {
    let is = |name: &str| headings.iter().position(|heading| heading.to_lowercase().replace('-', "_") == name);
    entries(names).find_map(is)
}

pub(super) fn name_and_value(headings: &[String]) -> Option<(usize, usize)> {
    Some((position(NAMES, headings)?, position(VALUES, headings)?)).filter(|(name, value)| name != value)
}

pub(super) fn unit(headings: &[String]) -> Option<usize> {
    position(UNITS, headings)
}

/// The column of the quality, under the headings of `tilth-agent export`.
pub(super) fn quality_of_export(headings: &[String]) -> Option<usize> {
    let position = |name: &str| headings.iter().position(|heading| heading == name);
    position("before_calibration").and(position("quality"))
}

pub(super) fn is_place(heading: &str) -> bool {
    let heading = heading.to_lowercase().replace('-', "_");
    entries(PLACES).any(|place| place == heading)
}
