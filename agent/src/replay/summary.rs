//! The end of a replay, told in a terminal.

use std::fmt::{self, Display};

use super::outcome::{Outcome, faults};
use crate::output::counted;

/// Names listed before the rest is only counted.
const MAX_NAMES: usize = 20;

/// Alerts and sensors listed before the rest is only counted.
const MAX_LISTED: usize = 50;

/// The account of a replay. Every line begins with a word for what it is about.
pub(crate) struct Summary<'a>(pub(crate) &'a Outcome);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary(outcome) = self;
        fmt_counts(outcome, f)?;
        fmt_names(outcome, f)?;
        fmt_bad(outcome, f)?;
        fmt_alerts(outcome, f)?;
        fmt_faults(outcome, f)?;
        if let Some(hint) = outcome.hint() {
            entry(f, "hint", &hint)?;
        }
        Ok(())
    }
}

fn entry(f: &mut fmt::Formatter<'_>, word: &str, text: impl Display) -> fmt::Result {
    writeln!(f, "{word:<9} {text}")
}

fn fmt_counts(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Outcome { course, roster, tally, report, .. } = outcome;
    match course.ends() {
        Some((from, to)) => {
            let (span, names) = (course.span(), counted(roster.len() as u64, "sensor"));
            entry(f, "readings", format_args!("{} of {names}, {from} to {to} ({span})", report.values))?;
        }
        None => entry(f, "readings", "none")?,
    }
    let late = tally.of_sensors(|sensor| sensor.late);
    let not_believed = tally.of_sensors(|sensor| sensor.not_believed);
    let behind = course.behind();
    let bad = report.bad_lines + report.bad_cells;
    entry(
        f,
        "of these",
        format_args!("{late} late for their sensor, {behind} stamped before the clock, {not_believed} not believed"),
    )?;
    entry(f, "beside", format_args!("{}, {bad} bad", counted(report.missing, "missing value")))
}

fn fmt_names(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut sensors, mut rows) = (0, 0);
    for (_, of_sensor) in outcome.roster.unknown() {
        (sensors, rows) = (sensors + 1, rows + of_sensor);
    }
    if sensors > 0 {
        let names = listed(outcome.roster.unknown().map(|(name, _)| name), MAX_NAMES);
        let (rows, sensors) = (counted(rows, "reading"), counted(sensors, "sensor"));
        entry(f, "unknown", format_args!("{rows} of {sensors} that the configuration does not name: {names}"))?;
    }
    let absent = outcome.absent().count() as u64;
    if absent > 0 {
        let (absent, names) = (counted(absent, "sensor"), listed(outcome.absent(), MAX_NAMES));
        entry(f, "absent", format_args!("{absent} of the configuration without readings: {names}"))?;
    }
    Ok(())
}

fn fmt_bad(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let report = &outcome.report;
    if report.reasons.is_empty() {
        return Ok(());
    }
    let (lines, cells) = (counted(report.bad_lines, "line"), counted(report.bad_cells, "cell"));
    entry(f, "bad", format_args!("{lines}, {cells} of other lines"))?;
    for (reason, count) in &report.reasons {
        entry(f, "", format_args!("{}: {reason}", counted(*count, "time")))?;
    }
    for bad in &report.shown {
        entry(f, "", bad)?;
    }
    rest(f, report.shown.len(), report.bad_lines + report.bad_cells)
}

fn fmt_alerts(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let tally = &outcome.tally;
    let notifications: u64 = tally.rules.values().map(|rule| rule.notifications).sum();
    let (fired, told) = (counted(tally.fired(), "alert"), counted(notifications, "notification"));
    entry(f, "fired", format_args!("{fired}, {told}"))?;
    for (name, rule) in tally.rules.iter().filter(|(_, rule)| rule.fired > 0) {
        entry(f, "", format_args!("{}: {name}", counted(rule.fired, "time")))?;
    }
    let open = tally.open();
    if open.len() > 0 {
        entry(f, "open", format_args!("{} firing at the end", counted(open.len() as u64, "alert")))?;
    }
    for alert in tally.open().take(MAX_LISTED) {
        let fired = alert.fired.map_or(String::new(), |fired| format!(" since {fired}"));
        let (key, severity) = (&alert.key, alert.severity);
        entry(f, "", format_args!("alert {}: {} on {}, {severity}{fired}", alert.id, key.rule, key.sensor))?;
    }
    rest(f, MAX_LISTED, tally.open().len() as u64)
}

fn fmt_faults(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let count = outcome.faulty().count() as u64;
    if count > 0 {
        entry(f, "faults", counted(count, "sensor"))?;
    }
    for sensor in outcome.faulty().take(MAX_LISTED) {
        let now = sensor.fault.map_or(String::new(), |fault| format!("; at the end: {fault}"));
        entry(f, "", format_args!("{}: {}{now}", sensor.id, faults(sensor)))?;
    }
    rest(f, MAX_LISTED, count)
}

/// Says how many there are beside those shown.
fn rest(f: &mut fmt::Formatter<'_>, shown: usize, of: u64) -> fmt::Result {
    match of.saturating_sub(shown as u64) {
        0 => Ok(()),
        more => entry(f, "", format_args!("and {more} more")),
    }
}

fn listed<'a>(mut names: impl Iterator<Item = &'a str>, most: usize) -> String {
    let first = names.by_ref().take(most).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
