//! Prometheus' own tests of alerting rules with a hold, and of staleness, as promtool and promqltest read them.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod files;
mod notation;
mod staleness;

use std::fmt::{self, Write};
use std::fs;
use std::path::{Path, PathBuf};

use tilth_tests::agent::{Farm, NEW_YEAR_MS, Transition};

use files::{AlertTest, Rule, Test, TestFile};
use notation::{Comparison, Labels, Sample};

/// Files whose expectations are wrong on purpose: promtool fails every one of them, and so do we.
const WRONG_ON_PURPOSE: &[&str] = &["failing.yml"];

/// The files we know, with how many of their tests are run and skipped; a newer copy may have more.
const KNOWN: &[(&str, usize, usize)] = &[("failing.yml", 2, 1), ("long-period.yml", 0, 0), ("unittest.yml", 2, 2)];

/// Prometheus takes a sample for a series' value for this long.
const LOOKBACK_MS: i64 = 300_000;

const MINUTE_MS: i64 = 60_000;

/// What came of one `alert_rule_test`.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Agrees,
    Disagrees(String),
    /// Not as Prometheus would have it, for this reason.
    Differs(&'static str),
    Skipped(&'static str),
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    file: String,
    alert: String,
    at: String,
    expected: usize,
    outcome: Outcome,
}

/// A series as a sensor.
struct Sensor {
    id: String,
    labels: Labels,
    samples: Vec<Sample>,
}

#[test]
fn alerts_fire_when_prometheus_says() {
    let Some(folder) = tilth_tests::data("rules/promtool", "promtool", 7) else { return };
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yml" || extension == "yaml"));
    files.sort();
    let rows: Vec<Row> = files.iter().flat_map(|file| rows(&folder, file)).collect();

    let table: String = rows.iter().map(|row| format!("{row}\n")).collect();
    println!("{table}");
    for row in &rows {
        let wrong_on_purpose = WRONG_ON_PURPOSE.contains(&row.file.as_str());
        match row.outcome {
            Outcome::Agrees => assert!(!wrong_on_purpose, "agrees with what is wrong: {row}"),
            Outcome::Disagrees(_) => assert!(wrong_on_purpose, "{row}"),
            Outcome::Differs(_) | Outcome::Skipped(_) => {}
        }
    }
    for (file, run, skipped) in KNOWN {
        let of_file = || rows.iter().filter(|row| row.file == *file);
        let not_run = of_file().filter(|row| matches!(row.outcome, Outcome::Skipped(_))).count();
        assert!(of_file().count() - not_run >= *run && not_run >= *skipped, "{file}\n{table}");
    }
    // Of the files that are known, none of the rule with a hold may be explained away.
    let is_known = |row: &&Row| KNOWN.iter().any(|(file, ..)| row.file == *file) && row.alert == "InstanceDown";
    for row in rows.iter().filter(is_known) {
        assert!(matches!(row.outcome, Outcome::Agrees | Outcome::Disagrees(_)), "{row}");
    }
    let agrees = |fires: bool| {
        let down = rows.iter().filter(|row| row.alert == "InstanceDown" && row.outcome == Outcome::Agrees);
        down.filter(|row| (row.expected > 0) == fires).count()
    };
    assert!(agrees(true) > 0 && agrees(false) > 0, "{table}");
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { file, alert, at, expected, outcome } = self;
        write!(f, "{file:<16} {alert:<14} {at:>4} {expected} ")?;
        match outcome {
            Outcome::Agrees => f.write_str("agrees"),
            Outcome::Disagrees(how) => write!(f, "disagrees: {how}"),
            Outcome::Differs(why) => write!(f, "differs: {why}"),
            Outcome::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

/// Every test of alerts in a file; none in one of rules.
#[track_caller]
fn rows(folder: &Path, path: &Path) -> Vec<Row> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let file: TestFile = files::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    if file.tests.is_empty() {
        return Vec::new();
    }
    let rules = file.rules(folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    let evaluated = file.evaluation_interval.as_deref().map_or(MINUTE_MS, |text| notation::duration_ms(text).unwrap());
    let mut rows = Vec::new();
    for test in &file.tests {
        for asked in &test.alert_rule_test {
            rows.push(Row {
                file: name.to_owned(),
                alert: asked.alertname.clone(),
                at: asked.eval_time.clone(),
                expected: asked.exp_alerts.len(),
                outcome: outcome(&rules, evaluated, test, asked),
            });
        }
    }
    rows
}

fn outcome(rules: &[Rule], evaluated_ms: i64, test: &Test, asked: &AlertTest) -> Outcome {
    let at_ms = notation::duration_ms(&asked.eval_time).unwrap();
    let interval_ms = test.interval.as_deref().map_or(evaluated_ms, |text| notation::duration_ms(text).unwrap());
    let Some(rule) = rules.iter().find(|rule| rule.alert.as_ref() == Some(&asked.alertname)) else {
        return compare(&[], &Labels::new(), asked);
    };
    let Some(comparison) = notation::comparison(&rule.expr) else {
        return Outcome::Skipped("its expression is no comparison of a series: our rules watch a sensor");
    };
    let Some(sensors) = sensors(test, &comparison) else {
        return Outcome::Skipped("a series of its name is no plain numbers");
    };
    let transitions = replay(rule, &comparison, &sensors, interval_ms, at_ms);
    let firing = |sensor: &&Sensor| fires_at_end(&transitions, &sensor.id);
    let firing: Vec<&Labels> = sensors.iter().filter(firing).map(|sensor| &sensor.labels).collect();
    match compare(&firing, &rule.labels, asked) {
        Outcome::Disagrees(_) if sensors.iter().any(|sensor| vanishes(&sensor.samples, interval_ms, at_ms)) => {
            Outcome::Differs("a series that ends resolves there; here a value that cannot be told changes nothing")
        }
        Outcome::Disagrees(_) if interval_ms % evaluated_ms != 0 => {
            Outcome::Differs("rules are evaluated at intervals there; here they see every reading")
        }
        outcome => outcome,
    }
}

/// The series that the comparison is about.
fn sensors(test: &Test, comparison: &Comparison) -> Option<Vec<Sensor>> {
    let mut sensors = Vec::new();
    for series in &test.input_series {
        let (name, labels) = notation::series(&series.series)?;
        let meant = comparison.labels.iter().all(|(name, value)| labels.get(name) == Some(value));
        if name == comparison.series && meant {
            let id = format!("prom/series-{}", sensors.len());
            sensors.push(Sensor { id, labels, samples: notation::samples(&series.values)? });
        }
    }
    Some(sensors)
}

/// The real program over all samples, until the clock shows the instant that is asked about.
fn replay(rule: &Rule, of: &Comparison, sensors: &[Sensor], interval_ms: i64, until_ms: i64) -> Vec<Transition> {
    let mut farm = String::new();
    for Sensor { id, .. } in sensors {
        let judging =
            "quantity = \"count\"\nresolution = 0.001\nrange = [-1e6, 1e6]\nmax_rate = 1e6\nstale_after = \"5m\"";
        writeln!(farm, "[sensors.\"{id}\"]\n{judging}").unwrap();
    }
    let span = |text: &Option<String>| text.as_deref().map_or(0, |text| notation::duration_ms(text).unwrap());
    let (hold, keep) = (span(&rule.hold), span(&rule.keep_firing_for));
    writeln!(farm, "[rules.alert]\nsensor = \"prom/*\"\ncooldown = \"0s\"\n{}", condition(of)).unwrap();
    writeln!(farm, "for = \"{hold}ms\"\nkeep_firing_for = \"{keep}ms\"").unwrap();

    let mut recording = "time,sensor,value\n".to_owned();
    let samples = sensors.iter().map(|sensor| sensor.samples.len()).max().unwrap_or(0);
    for place in 0..samples {
        let at_ms = place as i64 * interval_ms;
        for Sensor { id, samples, .. } in sensors.iter().filter(|_| at_ms <= until_ms) {
            if let Some(Sample::Value(value)) = samples.get(place) {
                writeln!(recording, "{},{id},{value}", NEW_YEAR_MS + at_ms).unwrap();
            }
        }
    }
    // A sensor that the configuration does not have still moves the clock.
    writeln!(recording, "{},clock/tick,0", NEW_YEAR_MS + until_ms).unwrap();
    Farm::new("promtool", &farm).transitions(&recording)
}

/// Our condition for a comparison. Values are whole steps of 0.001, so that less than a step beside a limit is the limit.
fn condition(of: &Comparison) -> String {
    let number = of.number;
    match of.operator {
        "==" => format!("above = {}\nbelow = {}", number - 0.001, number + 0.001),
        "!=" => format!("outside = [{}, {}]", number - 0.0004, number + 0.0004),
        ">" => format!("above = {number}"),
        ">=" => format!("above = {}", number - 0.001),
        "<" => format!("below = {number}"),
        _ => format!("below = {}", number + 0.001),
    }
}

fn fires_at_end(transitions: &[Transition], sensor: &str) -> bool {
    let of_sensor = transitions.iter().rev().filter(|transition| transition.sensor.as_deref() == Some(sensor));
    let mut raised =
        of_sensor.filter(|transition| transition.is("alert", "firing") || transition.is("alert", "resolved"));
    raised.next().is_some_and(|last| last.event == "firing")
}

/// Whether Prometheus had no value of a series for some time between its first sample and an instant.
fn vanishes(samples: &[Sample], interval_ms: i64, until_ms: i64) -> bool {
    let mut last_ms = None;
    let times = (0..).map(|place: i64| place * interval_ms);
    for (at_ms, sample) in times.zip(samples).take_while(|(at_ms, _)| *at_ms <= until_ms) {
        match sample {
            Sample::Stale => return last_ms.is_some(),
            Sample::Value(_) if last_ms.is_some_and(|last_ms| at_ms - last_ms >= LOOKBACK_MS) => return true,
            Sample::Value(_) => last_ms = Some(at_ms),
            Sample::Missing => {}
        }
    }
    last_ms.is_some_and(|last_ms| until_ms - last_ms >= LOOKBACK_MS)
}

/// Whether just those series fire that should. Labels that are templates of theirs are not looked at.
fn compare(firing: &[&Labels], of_rule: &Labels, asked: &AlertTest) -> Outcome {
    let is_template = |name: &str| of_rule.get(name).is_some_and(|value| value.contains("{{"));
    let plain = |labels: &Labels| -> Labels {
        labels
            .iter()
            .filter(|(name, _)| !is_template(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let mut found: Vec<Labels> = firing
        .iter()
        .map(|labels| plain(&labels.iter().chain(of_rule).map(|(name, value)| (name.clone(), value.clone())).collect()))
        .collect();
    let mut expected: Vec<Labels> = asked.exp_alerts.iter().map(|alert| plain(&alert.exp_labels)).collect();
    found.sort();
    expected.sort();
    if found == expected { Outcome::Agrees } else { Outcome::Disagrees(format!("{found:?} instead of {expected:?}")) }
}
