//! The end of a replay as one JSON object. Its keys are stable; the README says what they mean.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tilth_core::alert::AlertId;
use tilth_core::id::{Id, SensorId};
use tilth_core::local::Local;
use tilth_core::plan::Severity;

use super::super::outcome::Outcome;
use super::super::stamps::Refused;
use super::super::tally::{PastAlert, SensorTally};

/// Unknown names listed: a file may make up as many as it likes. `unknown_sensors` counts them all.
const MAX_NAMES: usize = 200;

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

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Outcome { course, roster, tally, report, refused, .. } = self;
        let ends = course.ends();
        let unheard_alerts = tally.of_sensors(|sensor| sensor.unheard);
        let mut object = serializer.serialize_map(None)?;
        // The earliest and the greatest time stamp; null without readings.
        object.serialize_entry("from", &ends.map(|(from, _)| from.to_string()))?;
        object.serialize_entry("to", &ends.map(|(_, to)| to.to_string()))?;
        // Names in the recording, known or not.
        object.serialize_entry("sensors", &roster.len())?;
        object.serialize_entry("readings", &report.values)?;
        object.serialize_entry("missing", &report.missing)?;
        object.serialize_entry("late", &tally.of_sensors(|sensor| sensor.late))?;
        object.serialize_entry("behind", &course.behind())?;
        object.serialize_entry("not_believed", &tally.of_sensors(|sensor| sensor.not_believed))?;
        let doubt = self.first_doubt().map(|(sensor, at)| Doubt { sensor, at: at.to_string() });
        object.serialize_entry("first_not_believed", &doubt)?;
        object.serialize_entry("bad_lines", &report.bad_lines)?;
        object.serialize_entry("bad_cells", &report.bad_cells)?;
        object.serialize_entry("bad_columns", &report.bad_columns)?;
        object.serialize_entry("short_lines", &report.short_lines)?;
        let reason = |(reason, count): &(_, u64)| Reason { reason: ToString::to_string(reason), count: *count };
        object.serialize_entry("bad", &list::<&(super::super::readings::Reason, u64), _>(&report.reasons, reason))?;
        object.serialize_entry("bad_shown", &list(&report.shown, ToString::to_string))?;
        object.serialize_entry("refused_lines", &refused.lines)?;
        let words = |of: &Refused| format!("line {}: {}: {}", of.line, of.at, of.why.words());
        object.serialize_entry("refused_shown", &list(&refused.shown, words))?;
        object.serialize_entry("unknown_sensors", &roster.unknown().count())?;
        let unknown = |(sensor, readings)| Unknown { sensor, readings, meant: self.meant(sensor) };
        object.serialize_entry("unknown", &list(roster.unknown().take(MAX_NAMES), unknown))?;
        object.serialize_entry("absent", &list(self.absent(), Unheard::of))?;
        object.serialize_entry("late_sensors", &list(self.began_late(), Unheard::of))?;
        // With those of sensors that had not spoken, which are counted alone as well.
        object.serialize_entry("alerts", &(tally.fired() + unheard_alerts))?;
        object.serialize_entry("notifications", &(tally.notifications() + tally.unheard_notifications))?;
        object.serialize_entry("unheard_alerts", &unheard_alerts)?;
        object.serialize_entry("unheard_notifications", &tally.unheard_notifications)?;
        let fired: BTreeMap<&Id, u64> =
            tally.rules.iter().map(|(name, rule)| (name, rule.fired + rule.unheard)).collect();
        object.serialize_entry("rules", &fired)?;
        object.serialize_entry("open", &list(tally.all_open(), Open::of))?;
        object.serialize_entry("faults", &list(self.faulty(), Faulty::of))?;
        object.serialize_entry("hint", &self.hint(&Local::UTC))?;
        if !self.notes.is_empty() {
            object.serialize_entry("notes", &self.notes)?;
        }
        // Why the recording was not read to its end, or means nothing; null where all is well.
        object.serialize_entry("failure", &self.broken().or_else(|| self.nothing()))?;
        object.end()
    }
}

fn list<T, U>(of: impl IntoIterator<Item = T>, entry: impl Fn(T) -> U) -> Vec<U> {
    of.into_iter().map(entry).collect()
}

impl<'a> Unheard<'a> {
    fn of(sensor: &'a SensorTally) -> Unheard<'a> {
        Unheard { sensor: &sensor.id, alerts: sensor.unheard }
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
        Faulty {
            sensor: &sensor.id,
            faults: sensor.faults().map(|(fault, count)| (fault.to_string(), count)).collect(),
            now: sensor.fault.map(|fault| fault.to_string()),
        }
    }
}
