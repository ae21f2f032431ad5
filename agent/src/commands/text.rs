//! Text for people: tables with aligned columns, and the agent's state with a line for each part.

pub(super) mod actuators;
mod bus;
mod chart;
pub(super) mod history;
mod status;
mod sync;
mod times;

use std::{array, iter};

use tilth_core::site::Matcher;
use tilth_core::time::Span;

use crate::api::changes::matcher;
use crate::api::rows::{AlertRow, CalibrationRow, SensorRow, SilenceRow};
use crate::cli;
use crate::sense::i2c::CalibrationStep;

pub(super) use status::status;
pub(super) use times::Times;

/// Lines of rows under a head, in columns as wide as their widest cell.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Vec<String> {
    let rows: Vec<[String; N]> = iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

pub(super) fn sensors(rows: &[SensorRow]) -> Vec<String> {
    let row = |row: &SensorRow| {
        let value = row.value.as_ref().map(|digits| digits.get());
        [
            row.sensor.to_string(),
            row.state.as_deref().or(value).unwrap_or("-").to_owned(),
            row.unit.clone(),
            // The state of a bus says it all: its value is always good.
            match (&row.state, &row.quality) {
                (Some(_), _) => String::new(),
                (None, Some(quality)) => quality.clone(),
                (None, None) => "nothing yet".to_owned(),
            },
            row.age_s.map_or("-".to_owned(), for_long),
            row.why.as_deref().map(line).unwrap_or_default(),
        ]
    };
    table(["SENSOR", "VALUE", "UNIT", "QUALITY", "AGE", ""], rows.iter().map(row))
}

pub(super) fn alerts(rows: &[AlertRow], times: &Times) -> Vec<String> {
    let row = |row: &AlertRow| {
        [
            row.alert.map_or("-".to_owned(), |alert| alert.to_string()),
            row.severity.clone(),
            row.state.clone(),
            times.minute(row.since.as_ref()).unwrap_or_else(|| "-".to_owned()),
            for_long(row.for_s),
            row.rule.to_string(),
            row.sensor.to_string(),
            format!("{}{}", line(&row.message), circumstances(row, times)),
        ]
    };
    table(["ALERT", "SEVERITY", "STATE", "SINCE", "FOR", "RULE", "SENSOR", "MESSAGE"], rows.iter().map(row))
}

/// Circumstances of an alert in parentheses: its cause, and why it pages nobody.
fn circumstances(row: &AlertRow, times: &Times) -> String {
    let parts = [
        row.why.as_deref().map(line),
        (row.state == "acknowledged").then(|| acknowledgement(row, times)),
        row.left_s.filter(|_| row.state == "pending").map(|left| format!("fires in {} if it goes on", for_long(left))),
        row.silenced.then(|| match times.minute(row.silenced_until.as_ref()) {
            Some(until) => format!("silenced until {until}"),
            None => "silenced".to_owned(),
        }),
        row.inhibited.then(|| {
            let why = row.inhibited_by.as_deref().unwrap_or("its bus is down or silent");
            format!("nobody is paged: {}", line(why))
        }),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

fn acknowledgement(row: &AlertRow, times: &Times) -> String {
    let by = row.by.as_ref().map_or(String::new(), |by| format!(" by {}", line(by)));
    let left = || row.left_s.map_or(String::new(), |left| format!(" for another {}", for_long(left)));
    let until = times.minute(row.until.as_ref()).map_or_else(left, |until| format!(" until {until}"));
    format!("acknowledged{by}{until}")
}

pub(super) fn acknowledged(row: &AlertRow, span: Span, times: &Times) -> String {
    let AlertRow { rule, sensor, message, .. } = row;
    let number = row.alert.map_or("-".to_owned(), |alert| alert.to_string());
    let until = until(times.minute(row.until.as_ref()), span);
    format!("alert {number} ({rule} on {sensor}: {}) is acknowledged {until}; nobody is paged before", line(message))
}

pub(super) fn silences(rows: &[SilenceRow], times: &Times) -> Vec<String> {
    let row = |row: &SilenceRow| {
        let until = times.minute(row.until.as_ref()).unwrap_or_else(|| "-".to_owned());
        [row.silence.to_string(), until, for_long(row.left_s), row.by.clone(), of(row)]
    };
    table(["SILENCE", "UNTIL", "LEFT", "BY", "OF"], rows.iter().map(row))
}

/// What was silenced, with the command that ends it: `agent` has the options to type again.
pub(super) fn silenced(row: &SilenceRow, agent: &cli::AgentAddress, times: &Times) -> String {
    let until = until(times.minute(row.until.as_ref()), span(row.left_s));
    let (silence, options) = (row.silence, agent.typed());
    format!("silence {silence}: {}, {until}; end it with: tilth-agent silence{options} --end {silence}", of(row))
}

pub(super) fn silence_ended(row: &SilenceRow) -> String {
    format!("silence {} of {} is ended: {}", row.silence, row.by, of(row))
}

/// What a circuit keeps after a step: `tank/ph: mid 7 is taken; the circuit keeps 1 point; slope 99.7 % in acid, 100.3 % in base`.
pub(super) fn calibrated(row: &CalibrationRow) -> String {
    let value = row.value.map_or(String::new(), |value| format!(" {value}"));
    let taken = match row.step {
        CalibrationStep::Query => String::new(),
        step => format!("{step}{value} is taken; "),
    };
    let kept = match row.points {
        Some(0) => "the circuit is not calibrated".to_owned(),
        Some(1) => "the circuit keeps 1 point".to_owned(),
        Some(points) => format!("the circuit keeps {points} points"),
        None => "the circuit's firmware does not say how many points it keeps".to_owned(),
    };
    let slope = row.slope_percent.map(|[acid, base]| format!("; slope {acid} % in acid, {base} % in base"));
    format!("{}: {taken}{kept}{}", row.sensor, slope.unwrap_or_default())
}

fn of(row: &SilenceRow) -> String {
    matcher(&Matcher { zone: row.zone.clone(), rule: row.rule.clone(), sensor: row.sensor.clone() })
}

fn until(at: Option<String>, left: Span) -> String {
    at.map_or_else(|| format!("for {}", for_long(left.as_secs_f64())), |at| format!("until {at}"))
}

/// A text followed by each of these counts that is not zero: `3 open, 1 pending`.
fn with_counts(text: String, counts: &[(u64, &str)]) -> String {
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    counts.fold(text, |text, (count, what)| format!("{text}, {count} {what}"))
}

/// Text without control characters, which boards and authors may write.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn span(seconds: f64) -> Span {
    Span((seconds * 1000.0).round() as i64)
}

/// A time of which only the uptime is known.
fn after_boot(uptime_s: f64, boot: u32) -> String {
    format!("{} after boot {boot}", for_long(uptime_s))
}

/// Duration for people: to the second, from an hour on to the minute.
fn for_long(seconds: f64) -> String {
    let seconds = seconds.round() as i64;
    let unit = if seconds.abs() >= 3600 { 60 } else { 1 };
    Span::from_secs(seconds - seconds % unit).to_string()
}

/// Number of bytes for people: `4.7 GiB`.
fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let (mut bytes, mut unit) = (bytes, 0);
    while bytes >= 1024.0 && unit + 1 < units.len() {
        bytes /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes:.0} B") } else { format!("{bytes:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests;
