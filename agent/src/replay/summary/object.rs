//! The end of a replay as one JSON object. Its keys are stable; the README says what they mean.

use std::collections::BTreeMap;

use serde::Serialize;
use tilth_core::alert::AlertId;
use tilth_core::id::{Id, SensorId};
use tilth_core::local::Local;
use tilth_core::plan::Severity;

use super::super::outcome::Outcome;
use super::super::stamps::Refused;
use super::super::tally::{FAULTS, PastAlert, SensorTally};

/// Unknown names listed: a file may make up as many as it likes. `unknown_sensors` counts them all.
const MAX_NAMES: usize = 200;

/// Everything that the summary says, and nothing left out of it.
#[derive(Debug, Serialize)]
pub(crate) struct Object<'a> {
    /// The earliest and the greatest time stamp; null without readings.
    from: Option<String>,
    to: Option<String>,
    /// Names in the recording, known or not.
    sensors: u64,
    readings: u64,
    missing: u64,
    /// Readings older than their sensor's newest, and those stamped before the clock.
    late: u64,
    behind: u64,
    not_believed: u64,
    first_not_believed: Option<Doubt<'a>>,
    bad_lines: u64,
    bad_cells: u64,
    bad_columns: u64,
    short_lines: u64,
    /// How often each reason was met, and the first of the bad lines.
    bad: Vec<Reason>,
    bad_shown: Vec<String>,
    /// Lines that were not played because their time cannot be true, and the first of them.
    refused_lines: u64,
    refused_shown: Vec<String>,
    /// Names that the configuration does not have.
    unknown_sensors: u64,
    unknown: Vec<Unknown<'a>>,
    /// Sensors of the configuration without a reading.
    absent: Vec<Unheard<'a>>,
    /// Sensors with alerts from before their first reading.
    late_sensors: Vec<Unheard<'a>>,
    /// Alerts that fired, and how often people would have been told if nobody acknowledged; with those of sensors that had
    /// not spoken, which `unheard_alerts` and `unheard_notifications` count alone.
    alerts: u64,
    notifications: u64,
    unheard_alerts: u64,
    unheard_notifications: u64,
    /// How often each rule fired, 0 included.
    rules: BTreeMap<&'a Id, u64>,
    /// Alerts that fire at the end.
    open: Vec<Open<'a>>,
    faults: Vec<Faulty<'a>>,
    hint: Option<String>,
    /// How the recording was read; no key where it is plain.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    /// Why the recording was not read to its end, or means nothing; null where all is well.
    failure: Option<String>,
}

#[derive(Debug, Serialize)]
struct Doubt<'a> {
    sensor: &'a SensorId,
    at: String,
}

#[derive(Debug, Serialize)]
struct Reason {
    reason: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Unknown<'a> {
    sensor: &'a str,
    readings: u64,
    meant: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Unheard<'a> {
    sensor: &'a SensorId,
    alerts: u64,
}

#[derive(Debug, Serialize)]
struct Open<'a> {
    alert: AlertId,
    rule: &'a Id,
    sensor: &'a SensorId,
    severity: Severity,
    fired: Option<String>,
}

#[derive(Debug, Serialize)]
struct Faulty<'a> {
    sensor: &'a SensorId,
    /// How often each kind was noticed.
    faults: BTreeMap<String, u64>,
    /// What is wrong at the end.
    now: Option<String>,
}

impl<'a> Object<'a> {
    pub(crate) fn new(outcome: &'a Outcome) -> Object<'a> {
        let Outcome { course, roster, tally, report, .. } = outcome;
        let (from, to) = course.ends().map(|(from, to)| (from.to_string(), to.to_string())).unzip();
        let unheard = |sensor: &'a SensorTally| Unheard { sensor: &sensor.id, alerts: sensor.unheard };
        let unknown = |(sensor, readings): (&'a str, u64)| Unknown { sensor, readings, meant: outcome.meant(sensor) };
        let unheard_alerts = tally.of_sensors(|sensor| sensor.unheard);
        let refused = |of: &Refused| format!("line {}: {}: {}", of.line, of.at, of.why.words());
        let reason = |(reason, count): &(_, u64)| Reason { reason: ToString::to_string(reason), count: *count };
        let reasons: &[(super::super::readings::Reason, u64)] = &report.reasons;
        Object {
            from,
            to,
            sensors: roster.len() as u64,
            readings: report.values,
            missing: report.missing,
            late: tally.of_sensors(|sensor| sensor.late),
            behind: course.behind(),
            not_believed: tally.of_sensors(|sensor| sensor.not_believed),
            first_not_believed: outcome.first_doubt().map(|(sensor, at)| Doubt { sensor, at: at.to_string() }),
            bad_lines: report.bad_lines,
            bad_cells: report.bad_cells,
            bad_columns: report.bad_columns,
            short_lines: report.short_lines,
            bad: reasons.iter().map(reason).collect(),
            bad_shown: report.shown.iter().map(ToString::to_string).collect(),
            refused_lines: outcome.refused.lines,
            refused_shown: outcome.refused.shown.iter().map(refused).collect(),
            unknown_sensors: roster.unknown().count() as u64,
            unknown: roster.unknown().take(MAX_NAMES).map(unknown).collect(),
            absent: outcome.absent().map(unheard).collect(),
            late_sensors: outcome.began_late().map(unheard).collect(),
            alerts: tally.fired() + unheard_alerts,
            notifications: tally.notifications() + tally.unheard_notifications,
            unheard_alerts,
            unheard_notifications: tally.unheard_notifications,
            rules: tally.rules.iter().map(|(name, rule)| (name, rule.fired + rule.unheard)).collect(),
            open: tally.all_open().map(Open::of).collect(),
            faults: outcome.faulty().map(Faulty::of).collect(),
            hint: outcome.hint(&Local::UTC),
            notes: &outcome.notes,
            failure: outcome.broken().or_else(|| outcome.unmet_map()).or_else(|| outcome.means_nothing()),
        }
    }
}

impl<'a> Open<'a> {
    fn of(alert: &'a PastAlert) -> Open<'a> {
        Open {
            alert: alert.id,
            rule: &alert.key.rule,
            sensor: &alert.key.sensor,
            severity: alert.severity,
            fired: alert.fired.map(|fired| fired.to_string()),
        }
    }
}

impl<'a> Faulty<'a> {
    fn of(sensor: &'a SensorTally) -> Faulty<'a> {
        let kinds = FAULTS.iter().zip(sensor.faults).filter(|(_, count)| *count > 0);
        Faulty {
            sensor: &sensor.id,
            faults: kinds.map(|(fault, count)| (fault.to_string(), count)).collect(),
            now: sensor.fault.map(|fault| fault.to_string()),
        }
    }
}
