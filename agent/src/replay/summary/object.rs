//! The end of a replay as one JSON object. Its keys are stable; the README says what they mean.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};
use tilth_core::id::Id;
use tilth_core::local::Local;

use super::super::outcome::Outcome;
use super::super::page::MAX_NAMES;
use super::super::timestamps::RejectedLine;
use super::super::totals::{PastAlert, SensorTotals};

/// An object with these keys in this order.
struct Keys<const N: usize>([(&'static str, Value); N]);

impl<const N: usize> Serialize for Keys<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Outcome { time_order, names, totals, report, rejected, .. } = self;
        let ends = time_order.ends();
        let unheard_alerts = totals.of_sensors(|sensor| sensor.unheard);
        let mut object = serializer.serialize_map(None)?;
        // The earliest and the latest timestamp; null without readings.
        object.serialize_entry("from", &ends.map(|(from, _)| from.to_string()))?;
        object.serialize_entry("to", &ends.map(|(_, to)| to.to_string()))?;
        // Names in the recording, known or not.
        object.serialize_entry("sensors", &names.len())?;
        object.serialize_entry("readings", &report.values)?;
        object.serialize_entry("missing", &report.missing)?;
        object.serialize_entry("late", &totals.of_sensors(|sensor| sensor.late))?;
        object.serialize_entry("behind", &time_order.behind)?;
        object.serialize_entry("not_believed", &totals.of_sensors(|sensor| sensor.not_believed))?;
        let doubt =
            self.first_doubt().map(|(sensor, at)| Keys([("sensor", json!(sensor)), ("at", json!(at.to_string()))]));
        object.serialize_entry("first_not_believed", &doubt)?;
        object.serialize_entry("bad_lines", &report.bad_lines)?;
        object.serialize_entry("bad_cells", &report.bad_cells)?;
        object.serialize_entry("bad_columns", &report.bad_columns)?;
        object.serialize_entry("short_lines", &report.short_lines)?;
        let bad = report.reasons.iter();
        let bad = bad.map(|(reason, count)| Keys([("reason", json!(reason.to_string())), ("count", json!(count))]));
        object.serialize_entry("bad", &bad.collect::<Vec<_>>())?;
        object.serialize_entry("bad_shown", &list(&report.shown, ToString::to_string))?;
        object.serialize_entry("refused_lines", &rejected.lines)?;
        let words = |of: &RejectedLine| format!("line {}: {}: {}", of.line, of.at, of.why);
        object.serialize_entry("refused_shown", &list(&rejected.shown, words))?;
        object.serialize_entry("unknown_sensors", &names.unknown().count())?;
        let unknown = |(name, rows)| {
            Keys([("sensor", json!(name)), ("readings", json!(rows)), ("meant", json!(self.meant(name)))])
        };
        object.serialize_entry("unknown", &list(names.unknown().take(MAX_NAMES), unknown))?;
        let unheard = |sensor: &SensorTotals| Keys([("sensor", json!(sensor.id)), ("alerts", json!(sensor.unheard))]);
        object.serialize_entry("absent", &list(self.absent(), unheard))?;
        object.serialize_entry("late_sensors", &list(self.began_late(), unheard))?;
        // With those of sensors that had not spoken, which are counted alone as well.
        object.serialize_entry("alerts", &(totals.fired() + unheard_alerts))?;
        object.serialize_entry("notifications", &(totals.notifications() + totals.unheard_notifications))?;
        object.serialize_entry("unheard_alerts", &unheard_alerts)?;
        object.serialize_entry("unheard_notifications", &totals.unheard_notifications)?;
        let fired: BTreeMap<&Id, u64> =
            totals.rules.iter().map(|(name, rule)| (name, rule.fired + rule.unheard)).collect();
        object.serialize_entry("rules", &fired)?;
        object.serialize_entry("open", &list(totals.open.values(), open))?;
        object.serialize_entry("faults", &list(self.faulty(), faulty))?;
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

fn open(alert: &PastAlert) -> Keys<5> {
    Keys([
        ("alert", json!(alert.id)),
        ("rule", json!(alert.key.rule)),
        ("sensor", json!(alert.key.sensor)),
        ("severity", json!(alert.severity)),
        ("fired", json!(alert.fired.map(|fired| fired.to_string()))),
    ])
}

/// How often each kind of fault was noticed, and what is wrong at the end.
fn faulty(sensor: &SensorTotals) -> Keys<3> {
    let faults: BTreeMap<String, u64> = sensor.faults().map(|(fault, count)| (fault.to_string(), count)).collect();
    let now = sensor.fault.map(|fault| fault.to_string());
    Keys([("sensor", json!(sensor.id)), ("faults", json!(faults)), ("now", json!(now))])
}
