//! The end of a replay, told in a terminal; as an object in [`object`].

use std::fmt::{self, Display};

use super::outcome::Outcome;
use super::timestamps::{RejectedLine, RejectedLines};
use super::totals::SensorTotals;
use crate::output::{counted, listed};

mod object;

/// Names listed before the rest is only counted.
const MAX_NAMES: usize = 20;

/// Alerts and sensors listed before the rest is only counted.
const MAX_LISTED: usize = 50;

/// Lines that each begin with a word for what they are about.
impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notes.iter().try_for_each(|note| entry(f, "note", note))?;
        for part in [fmt_counts, fmt_names, fmt_bad, fmt_rejected, fmt_alerts, fmt_faults] {
            part(self, f)?;
        }
        self.hint(&self.local).map_or(Ok(()), |hint| entry(f, "hint", hint))
    }
}

fn entry(f: &mut fmt::Formatter<'_>, word: &str, text: impl Display) -> fmt::Result {
    writeln!(f, "{word:<9} {text}")
}

fn fmt_counts(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Outcome { time_order, names, totals, report, .. } = outcome;
    match outcome.ends() {
        Some((from, to)) => {
            let (span, names) = (time_order.span(), counted(names.len() as u64, "sensor"));
            entry(f, "readings", format_args!("{} of {names}, {from} to {to} ({span})", report.values))?;
        }
        None => entry(f, "readings", "none")?,
    }
    let late = totals.of_sensors(|sensor| sensor.late);
    let not_believed = totals.of_sensors(|sensor| sensor.not_believed);
    let behind = time_order.behind;
    entry(
        f,
        "of these",
        format_args!("{late} late for their sensor, {behind} stamped before the clock, {not_believed} not believed"),
    )?;
    if let Some((sensor, at)) = outcome.first_doubt() {
        let readings = counted(not_believed, "reading");
        let at = outcome.local.second(at);
        entry(f, "", format_args!("{readings} not believed, the first of {sensor} at {at}"))?;
    }
    let missing = counted(report.missing, "missing value");
    let short = match report.short_lines {
        0 => String::new(),
        lines => format!(", {}", counted(lines, "short line")),
    };
    entry(f, "beside", format_args!("{missing}, {} bad{short}", report.bad()))
}

fn fmt_names(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut sensors, mut rows) = (0, 0);
    for (_, of_sensor) in outcome.names.unknown() {
        (sensors, rows) = (sensors + 1, rows + of_sensor);
    }
    if sensors > 0 {
        let names = listed(outcome.names.unknown().map(|(name, _)| name), MAX_NAMES);
        let (rows, sensors) = (counted(rows, "reading"), counted(sensors, "sensor"));
        entry(f, "unknown", format_args!("{rows} of {sensors} that the configuration does not name: {names}"))?;
    }
    for (name, id) in &outcome.meant {
        entry(f, "", format_args!("{name}: did you mean {id}?"))?;
    }
    fmt_unheard("absent", "never heard in this recording", &outcome.absent(), f)?;
    fmt_unheard("late", "heard only after an alert", &outcome.began_late(), f)
}

/// Sensors whose alerts the lines above leave out, since the recording does not tell whether anything was wrong.
fn fmt_unheard(word: &str, what: &str, sensors: &[&SensorTotals], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if sensors.is_empty() {
        return Ok(());
    }
    let names = listed(sensors.iter().map(|sensor| &sensor.id), MAX_NAMES);
    let alerts = match sensors.iter().map(|sensor| sensor.unheard).sum::<u64>() {
        0 => String::new(),
        alerts => format!("; {} left out above, --json has all", counted(alerts, "alert")),
    };
    entry(f, word, format_args!("{} {what}: {names}{alerts}", counted(sensors.len() as u64, "sensor")))
}

fn fmt_bad(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let report = &outcome.report;
    if report.reasons.is_empty() {
        return Ok(());
    }
    let (lines, cells) = (counted(report.bad_lines, "line"), counted(report.bad_cells, "cell"));
    let columns = match report.bad_columns {
        0 => String::new(),
        columns => format!(", {}", counted(columns, "column")),
    };
    entry(f, "bad", format_args!("{lines}, {cells} of other lines{columns}"))?;
    for (reason, count) in &report.reasons {
        entry(f, "", format_args!("{}: {reason}", counted(*count, "time")))?;
    }
    for bad in &report.shown {
        entry(f, "", bad)?;
    }
    rest(f, report.shown.len(), report.bad())
}

fn fmt_rejected(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let RejectedLines { lines, shown, .. } = &outcome.rejected;
    if *lines == 0 {
        return Ok(());
    }
    entry(f, "refused", format_args!("{} with a time that cannot be true: not played", counted(*lines, "line")))?;
    for RejectedLine { line, at, why } in shown {
        let at = outcome.local.second(*at);
        entry(f, "", format_args!("line {line} is stamped {at}: {why}"))?;
    }
    rest(f, shown.len(), *lines)
}

fn fmt_alerts(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let totals = &outcome.totals;
    let (fired, told) = (counted(totals.fired(), "alert"), counted(totals.notifications(), "notification"));
    entry(f, "fired", format_args!("{fired}, {told} if nobody acknowledged"))?;
    for (name, rule) in totals.rules.iter().filter(|(_, rule)| rule.fired > 0) {
        entry(f, "", format_args!("{}: {name}", counted(rule.fired, "time")))?;
    }
    let quiet = listed(outcome.quiet(), MAX_NAMES);
    if !quiet.is_empty() {
        entry(f, "", format_args!("Never fired: {quiet}"))?;
    }
    let open = totals.open().count() as u64;
    if open > 0 {
        entry(f, "open", format_args!("{} firing at the end", counted(open, "alert")))?;
    }
    for alert in totals.open().take(MAX_LISTED) {
        let fired = alert.fired.map_or(String::new(), |fired| format!(" since {}", outcome.local.second(fired)));
        let (key, severity) = (&alert.key, alert.severity);
        entry(f, "", format_args!("alert {}: {} on {}, {severity}{fired}", alert.id, key.rule, key.sensor))?;
    }
    rest(f, MAX_LISTED, open)
}

fn fmt_faults(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let faulty = outcome.faulty();
    if !faulty.is_empty() {
        entry(f, "faults", counted(faulty.len() as u64, "sensor"))?;
    }
    for sensor in faulty.iter().take(MAX_LISTED) {
        let now = sensor.fault.map_or(String::new(), |fault| format!("; at the end: {fault}"));
        entry(f, "", format_args!("{}: {}{now}", sensor.id, sensor.faults_in_words()))?;
    }
    rest(f, MAX_LISTED, faulty.len() as u64)
}

/// Says how many there are beside those shown.
fn rest(f: &mut fmt::Formatter<'_>, shown: usize, of: u64) -> fmt::Result {
    match of.saturating_sub(shown as u64) {
        0 => Ok(()),
        more => entry(f, "", format_args!("and {more} more")),
    }
}
