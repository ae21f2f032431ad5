//! Checks of rows, with the reason for which one is rejected. Pure.

use tilth_config::bundle::MAX_VERSION;
use tilth_core::id::{Id, SensorId};
use tilth_core::time::Stamp;
use tilth_core::value::{Resolution, Steps};
use tilth_protocol::{Event, Figures, Live, WindowRow};

use crate::domain::ingest::clock::ClockObservation;
use crate::parse_error;

/// Maximum size of an event's body, in bytes. An alert with message and advice has about 1 KiB.
const MAX_BODY: usize = 64 << 10;

/// The year 10000: times of day beyond have no RFC 3339 form.
const END_OF_TIME: i64 = 253_402_300_800_000;

/// Maximum uptime in ms, either way, so that sums do not overflow.
const MAX_UPTIME: i64 = END_OF_TIME;

/// Checks a stamp.
fn stamp(at: &Stamp) -> Result<(), String> {
    if at.uptime.0.unsigned_abs() > MAX_UPTIME.unsigned_abs() {
        return Err(format!("uptime {}: expected at most {MAX_UPTIME} ms", at.uptime.0));
    }
    match at.wall {
        Some(wall) if !(0..END_OF_TIME).contains(&wall.0) => {
            Err(format!("wall {}: expected a time from 1970 to 9999 in milliseconds", wall.0))
        }
        _ => Ok(()),
    }
}

/// Checks a window.
pub(crate) fn window(row: &WindowRow) -> Result<(), String> {
    stamp(&row.start)?;
    row.check().map_err(|_| format!("count {}: expected sums if and only if it is above 0", row.count))?;
    Resolution::new(row.resolution).map_err(|error| format!("resolution {}: {error}", row.resolution))?;
    row.sums.as_ref().map_or(Ok(()), |sums| figures(row.count, sums))
}

/// Checks that the figures can be those of readings.
fn figures(count: u32, sums: &Figures) -> Result<(), String> {
    let Figures { sum, min, max, last, last_at, .. } = *sums;
    if [min, max, last].into_iter().any(|steps| steps.unsigned_abs() > Steps::MAX.0.unsigned_abs()) {
        return Err(format!("min {min}, max {max}, last {last}: expected at most 2^40 steps either way"));
    }
    if min > max || !(min..=max).contains(&last) {
        return Err(format!("min {min}, max {max}, last {last}: expected the last between the others"));
    }
    let (count, sum) = (i128::from(count), i128::from(sum));
    if !(count * i128::from(min)..=count * i128::from(max)).contains(&sum) {
        return Err(format!("sum {sum} of {count} readings from {min} to {max}: expected a mean between them"));
    }
    if last_at.0.unsigned_abs() > MAX_UPTIME.unsigned_abs() {
        return Err(format!("last_at {}: expected at most {MAX_UPTIME} ms", last_at.0));
    }
    Ok(())
}

/// Checks an event.
pub(crate) fn event(event: &Event) -> Result<(), String> {
    stamp(&event.at)?;
    let kind = &event.kind;
    if !(1..=40).contains(&kind.len()) || !kind.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')) {
        return Err("kind: expected 1 to 40 of a-z, 0-9, - and _".to_owned());
    }
    let size = serde_json::to_string(&event.body).map_or(usize::MAX, |text| text.len());
    if size > MAX_BODY {
        return Err(format!("body: {size} bytes; expected at most {MAX_BODY}"));
    }
    match kind.as_str() {
        "clock" => clock(event).map(drop),
        "alert" => transition(event).map(drop),
        "bundle" => bundle(event),
        _ => Ok(()),
    }
}

/// Checks a report about a bundle.
fn bundle(event: &Event) -> Result<(), String> {
    match event.body.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version > MAX_VERSION => {
            Err(format!("body: version {version}: expected at most {MAX_VERSION}"))
        }
        _ => Ok(()),
    }
}

/// Checks a live value.
pub(crate) fn live(live: &Live) -> Result<(), String> {
    stamp(&live.at)?;
    if live.value.is_finite() { Ok(()) } else { Err("value: expected a number".to_owned()) }
}

/// The observation of a clock event.
pub(crate) fn clock(event: &Event) -> Result<ClockObservation, String> {
    #[derive(serde::Deserialize)]
    struct Body {
        offset: i64,
        source: String,
        #[serde(default)]
        error: Option<i64>,
    }
    let Body { offset, source, error } =
        body(event, "offset (time of day at uptime zero), source, and error where it is known")?;
    if !(-MAX_UPTIME..END_OF_TIME).contains(&offset) {
        return Err(format!("offset {offset}: expected a time up to 9999 in milliseconds since 1970"));
    }
    Ok(ClockObservation { offset, is_anchor: true, said_at: event.at.uptime.0, source: Some(source), error_ms: error })
}

/// A transition of an alert: the keys that the hub uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) number: u64,
    pub(crate) zone: Id,
    pub(crate) rule: Id,
    pub(crate) sensor: SensorId,
    pub(crate) state: String,
}

/// The transition of an alert event; none before the alert has a number.
pub(crate) fn transition(event: &Event) -> Result<Option<Transition>, String> {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(default)]
        alert: Option<u64>,
        zone: Id,
        rule: Id,
        sensor: SensorId,
        event: String,
    }
    let Body { alert, zone, rule, sensor, event: state } =
        body(event, "zone, rule, sensor and event, and alert once it fired")?;
    if !(1..=40).contains(&state.len()) {
        return Err("event: expected 1 to 40 bytes".to_owned());
    }
    match alert {
        Some(number) if i64::try_from(number).is_err() => Err(format!("alert {number}: expected at most 2^63 - 1")),
        number => Ok(number.map(|number| Transition { number, zone, rule, sensor, state })),
    }
}

fn body<T: serde::de::DeserializeOwned>(event: &Event, expected: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::Object(event.body.clone()))
        .map_err(|error| format!("body: {}; expected {expected}", parse_error::json(&error)))
}
