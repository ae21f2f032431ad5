//! What was: windows of a sensor as chart and table, alerts, notes.

use super::chart::{self, Bar};
use super::{Times, line};
use crate::api::rows::{Digits, HistoryRow, NoteRow, PastAlertRow};

/// A chart of a sensor's windows, under what it is of, and over what it says.
pub(in crate::commands) fn chart(rows: &[HistoryRow], times: &Times) -> Vec<String> {
    let [first, .., last] = rows else { return table(rows, times) };
    let bars: Vec<Bar> = rows.iter().filter_map(bar).collect();
    let (from, until) = (first.ago_s, last.ago_s - last.for_s);
    let mut lines = vec![format!("{}{}, {} to {}", first.sensor, in_unit(first), times.ago(from), times.ago(until))];
    lines.extend(chart::draw(&bars, (from, until), times));
    lines.push(summary(rows, times));
    lines
}

/// A window with good readings.
fn bar(row: &HistoryRow) -> Option<Bar> {
    let (lowest, highest) = (number(&row.lowest)?, number(&row.highest)?);
    Some(Bar { from_s: row.ago_s, until_s: row.ago_s - row.for_s, lowest, highest })
}

fn number(digits: &Digits) -> Option<f64> {
    digits.as_ref()?.get().parse().ok()
}

fn in_unit(row: &HistoryRow) -> String {
    if row.unit.is_empty() { String::new() } else { format!(" in {}", row.unit) }
}

/// Lowest and highest value with their times, the mean, and readings that count for nothing.
fn summary(rows: &[HistoryRow], times: &Times) -> String {
    let with = |value: fn(&HistoryRow) -> &Digits| {
        let found =
            rows.iter().filter_map(move |row| Some((number(value(row))?, value(row).as_ref()?.get(), row.ago_s)));
        found.collect::<Vec<_>>()
    };
    let (lowest, highest) = (with(|row| &row.lowest), with(|row| &row.highest));
    let lowest = lowest.iter().min_by(|one, other| one.0.total_cmp(&other.0));
    let highest = highest.iter().max_by(|one, other| one.0.total_cmp(&other.0));
    let bad: u64 = rows.iter().map(|row| u64::from(row.bad)).sum();
    let bad = if bad == 0 { String::new() } else { format!("; {bad} readings were not believed") };
    let (Some(lowest), Some(highest)) = (lowest, highest) else { return format!("no good value{bad}") };
    let (low_at, high_at) = (times.ago(lowest.2), times.ago(highest.2));
    format!("lowest {} at {low_at}, highest {} at {high_at}{bad}", lowest.1, highest.1)
}

/// A line for each window.
pub(in crate::commands) fn table(rows: &[HistoryRow], times: &Times) -> Vec<String> {
    let shown = |digits: &Digits| digits.as_ref().map_or("-", |digits| digits.get()).to_owned();
    let row = |row: &HistoryRow| {
        let at = times.ago(row.ago_s);
        let (count, bad) = (row.count.to_string(), if row.bad == 0 { String::new() } else { row.bad.to_string() });
        [at, shown(&row.lowest), shown(&row.mean), shown(&row.highest), count, bad]
    };
    super::table(["FROM", "LOWEST", "MEAN", "HIGHEST", "READINGS", "NOT BELIEVED"], rows.iter().map(row))
}

pub(in crate::commands) fn alerts(rows: &[PastAlertRow], times: &Times) -> Vec<String> {
    let row = |row: &PastAlertRow| {
        let minute = |at: &Option<String>| times.minute(at.as_ref()).unwrap_or_else(|| "-".to_owned());
        let ended = if row.is_over { minute(&row.resolved) } else { "open".to_owned() };
        let by = row.by.as_ref().map_or(String::new(), |by| format!(" (acknowledged by {})", line(by)));
        let message = format!("{}{by}", line(&row.message));
        [
            row.alert.to_string(),
            row.severity.clone(),
            minute(&row.since),
            ended,
            row.rule.clone(),
            row.sensor.clone(),
            message,
        ]
    };
    super::table(["ALERT", "SEVERITY", "SINCE", "UNTIL", "RULE", "SENSOR", "MESSAGE"], rows.iter().map(row))
}

pub(in crate::commands) fn notes(rows: &[NoteRow], times: &Times) -> Vec<String> {
    let row = |row: &NoteRow| {
        let at = times.minute(row.at.as_ref()).unwrap_or_else(|| super::after_boot(row.uptime_s, row.boot));
        [at, line(&row.by), line(&row.text)]
    };
    super::table(["AT", "BY", "NOTE"], rows.iter().map(row))
}

#[cfg(test)]
mod tests;
