//! The end of a replay, told in a terminal; as an object in [`object`].

use std::fmt::{self, Display};

use super::outcome::Outcome;
use super::timestamps::{RejectedLine, RejectedLines};
use super::totals::SensorTotals;
use crate::console::{counted, listed};

mod object;

/// Names listed before the rest is only counted.
const MAX_NAMES: usize = 20;

/// Alerts and sensors listed before the rest is only counted.
const MAX_LISTED: usize = 50;

/// Lines that each begin with a word for what they are about.
impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        self.notes.iter().for_each(|note| lines.add("note", note));
        for part in [add_counts, add_names, add_bad, add_rejected, add_alerts, add_faults] {
            part(self, &mut lines);
        }
        self.hint(&self.local).iter().for_each(|hint| lines.add("hint", hint));
        f.write_str(&lines.0)
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, word: &str, text: impl Display) {
        self.0 += &format!("{word:<9} {text}\n");
    }

    /// Says how many there are beside those shown.
    fn add_rest(&mut self, shown: usize, of: u64) {
        let more = of.saturating_sub(shown as u64);
        if more > 0 {
            self.add("", format_args!("and {more} more"));
        }
    }
}

fn add_counts(outcome: &Outcome, lines: &mut Lines) {
    let Outcome { time_order, names, totals, report, .. } = outcome;
    match outcome.ends() {
        Some((from, to)) => {
            let (span, names) = (time_order.span(), counted(names.len() as u64, "sensor"));
            lines.add("readings", format_args!("{} of {names}, {from} to {to} ({span})", report.values));
        }
        None => lines.add("readings", "none"),
    }
    let late = totals.of_sensors(|sensor| sensor.late);
    let not_believed = totals.of_sensors(|sensor| sensor.not_believed);
    let behind = time_order.behind;
    lines.add(
        "of these",
        format_args!("{late} late for their sensor, {behind} stamped before the clock, {not_believed} not believed"),
    );
    if let Some((sensor, at)) = outcome.first_doubt() {
        let readings = counted(not_believed, "reading");
        let at = outcome.local.second(at);
        lines.add("", format_args!("{readings} not believed, the first of {sensor} at {at}"));
    }
    let missing = counted(report.missing, "missing value");
    let short = match report.short_lines {
        0 => String::new(),
        count => format!(", {}", counted(count, "short line")),
    };
    lines.add("beside", format_args!("{missing}, {} bad{short}", report.bad()));
}

fn add_names(outcome: &Outcome, lines: &mut Lines) {
    let (mut sensors, mut rows) = (0, 0);
    for (_, of_sensor) in outcome.names.unknown() {
        (sensors, rows) = (sensors + 1, rows + of_sensor);
    }
    if sensors > 0 {
        let names = listed(outcome.names.unknown().map(|(name, _)| name), MAX_NAMES);
        let (rows, sensors) = (counted(rows, "reading"), counted(sensors, "sensor"));
        lines.add("unknown", format_args!("{rows} of {sensors} that the configuration does not name: {names}"));
    }
    for (name, id) in &outcome.meant {
        lines.add("", format_args!("{name}: did you mean {id}?"));
    }
    add_unheard("absent", "never heard in this recording", &outcome.absent(), lines);
    add_unheard("late", "heard only after an alert", &outcome.began_late(), lines);
}

/// Sensors whose alerts the lines above leave out, since the recording does not tell whether anything was wrong.
fn add_unheard(word: &str, what: &str, sensors: &[&SensorTotals], lines: &mut Lines) {
    if sensors.is_empty() {
        return;
    }
    let names = listed(sensors.iter().map(|sensor| &sensor.id), MAX_NAMES);
    let alerts = match sensors.iter().map(|sensor| sensor.unheard).sum::<u64>() {
        0 => String::new(),
        alerts => format!("; {} left out above, --json has all", counted(alerts, "alert")),
    };
    lines.add(word, format_args!("{} {what}: {names}{alerts}", counted(sensors.len() as u64, "sensor")));
}

fn add_bad(outcome: &Outcome, lines: &mut Lines) {
    let report = &outcome.report;
    if report.reasons.is_empty() {
        return;
    }
    let (bad_lines, cells) = (counted(report.bad_lines, "line"), counted(report.bad_cells, "cell"));
    let columns = match report.bad_columns {
        0 => String::new(),
        columns => format!(", {}", counted(columns, "column")),
    };
    lines.add("bad", format_args!("{bad_lines}, {cells} of other lines{columns}"));
    for (reason, count) in &report.reasons {
        lines.add("", format_args!("{}: {reason}", counted(*count, "time")));
    }
    for bad in &report.shown {
        lines.add("", bad);
    }
    lines.add_rest(report.shown.len(), report.bad());
}

fn add_rejected(outcome: &Outcome, lines: &mut Lines) {
    let RejectedLines { lines: count, shown, .. } = &outcome.rejected;
    if *count == 0 {
        return;
    }
    lines.add("refused", format_args!("{} with a time that cannot be true: not played", counted(*count, "line")));
    for RejectedLine { line, at, why } in shown {
        let at = outcome.local.second(*at);
        lines.add("", format_args!("line {line} is stamped {at}: {why}"));
    }
    lines.add_rest(shown.len(), *count);
}

fn add_alerts(outcome: &Outcome, lines: &mut Lines) {
    let totals = &outcome.totals;
    let (fired, told) = (counted(totals.fired(), "alert"), counted(totals.notifications(), "notification"));
    lines.add("fired", format_args!("{fired}, {told} if nobody acknowledged"));
    for (name, rule) in totals.rules.iter().filter(|(_, rule)| rule.fired > 0) {
        lines.add("", format_args!("{}: {name}", counted(rule.fired, "time")));
    }
    let quiet = listed(outcome.quiet(), MAX_NAMES);
    if !quiet.is_empty() {
        lines.add("", format_args!("Never fired: {quiet}"));
    }
    let open = totals.heard_open().count() as u64;
    if open > 0 {
        lines.add("open", format_args!("{} firing at the end", counted(open, "alert")));
    }
    for alert in totals.heard_open().take(MAX_LISTED) {
        let fired = alert.fired.map_or(String::new(), |fired| format!(" since {}", outcome.local.second(fired)));
        let (key, severity) = (&alert.key, alert.severity);
        lines.add("", format_args!("alert {}: {} on {}, {severity}{fired}", alert.id, key.rule, key.sensor));
    }
    lines.add_rest(MAX_LISTED, open);
}

fn add_faults(outcome: &Outcome, lines: &mut Lines) {
    let faulty = outcome.faulty();
    if !faulty.is_empty() {
        lines.add("faults", counted(faulty.len() as u64, "sensor"));
    }
    for sensor in faulty.iter().take(MAX_LISTED) {
        let now = sensor.fault.map_or(String::new(), |fault| format!("; at the end: {fault}"));
        lines.add("", format_args!("{}: {}{now}", sensor.id, sensor.faults_in_words()));
    }
    lines.add_rest(MAX_LISTED, faulty.len() as u64);
}
