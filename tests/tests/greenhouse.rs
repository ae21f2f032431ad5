//! A month of a real greenhouse under the shipped rules, and the two days of a year on which its clocks are changed.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fmt::Write;
use std::fs::File;
use std::io::Read;

use flate2::read::GzDecoder;
use jiff::tz::TimeZone;
use tilth_core::plan::Plan;
use tilth_core::rules::Condition;
use tilth_core::time::{Span, WallTime};
use tilth_tests::agent::{Farm, Transition, raised_and_over};
use tilth_tests::greenhouse::{Recording, convert};

const DUAL_PAIR: &str = "greenhouse/dual-pair-one-month-every-5-minutes.csv.gz";
const ONE_WEEK: &str = "greenhouse/one-week-every-hour.csv.gz";

const INTERVAL: &str = "5m";

fn recording(set: &str, test: &str, cases: usize) -> Option<Recording> {
    let file = tilth_tests::data(set, test, cases)?;
    let mut export = String::new();
    GzDecoder::new(File::open(file).unwrap()).read_to_string(&mut export).unwrap();
    Some(convert(&export, "kas-4", &TimeZone::get("Europe/Amsterdam").unwrap()))
}

/// The shipped rules, and how many of the month's eight sensors each watches.
const SHIPPED: [(&str, usize); 13] = [
    ("ph-high", 0),
    ("ph-low", 0),
    ("ec-high", 0),
    ("ec-low", 0),
    ("temperature-high", 2),
    ("temperature-low", 2),
    ("humidity-high", 2),
    ("humidity-low", 2),
    ("co2-high", 0),
    ("water-level-low", 0),
    ("dissolved-oxygen-low", 0),
    ("light-missing-by-day", 0),
    ("sensor-silent", 8),
];

#[test]
fn every_shipped_rule_watches_what_there_is_of_its_quantity() {
    let Some(month) = recording(DUAL_PAIR, "greenhouse, binding", 13) else { return };
    let plan = tilth_tests::engine::plan(&month.sensors(INTERVAL));
    for (name, sensors) in SHIPPED {
        let bound = plan.rules().filter(|rule| rule.key.rule.as_str() == name).count();
        assert_eq!(bound, sensors, "{name}");
    }
}

#[test]
fn what_ends_an_export_is_no_reading() {
    let Some(month) = recording(DUAL_PAIR, "greenhouse, export", 2) else { return };
    assert_eq!(month.other_lines, [",".repeat(20), "Link to dashboard,\"h".to_owned()]);
    // The first and last row, by hand: summer time is two hours ahead.
    assert!(month.csv.lines().nth(1).unwrap().starts_with("2020-08-16T10:45:00Z,19.8,23,"));
    assert!(month.csv.lines().last().unwrap().starts_with("2020-09-15T10:45:00Z,21.2,24.4,"));

    let Some(week) = recording(ONE_WEEK, "greenhouse, export", 2) else { return };
    assert_eq!((week.series.len(), week.rows.len(), week.other_lines.len()), (55, 168, 2));
    let run = Farm::new("greenhouse-week", &week.sensors("1h")).replay(&week.csv, &["--json"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let summary = run.summary();
    assert_eq!((summary.bad_lines, summary.bad_cells), (0, 0), "{}", run.err);
}

#[test]
fn a_month_is_the_same_to_the_byte_every_time_and_across_restarts() {
    let Some(month) = recording(DUAL_PAIR, "greenhouse, month", 4) else { return };
    let farm = Farm::new("greenhouse-month", &month.sensors(INTERVAL));
    let same = farm.replay_each_way(&month.csv, &[&[], &[], &["--restart-every", "997"], &["--restart-every", "1"]]);
    assert!(same.lines().count() > 10, "{same}");
}

/// The month is drier than the shipped limit; these are met often, and the holds end between readings.
const NARROWER: &str = r#"
[zones.kas-4.rules.temperature-high]
above = 26
clear = 25
for = "7m"
[zones.kas-4.rules.humidity-high]
above = 82
clear = 80.5
for = "31m"
cooldown = "3h"
"#;

#[test]
fn alerts_are_those_that_a_reader_of_the_rows_finds() {
    let Some(month) = recording(DUAL_PAIR, "greenhouse, truth", 4) else { return };
    check_by_hand(&month, "", &[("temperature-high", 8), ("humidity-high", 0)]);
    check_by_hand(&month, NARROWER, &[("temperature-high", 50), ("humidity-high", 50)]);
}

/// Compares every alert of those rules; each fires at least so often.
#[track_caller]
fn check_by_hand(month: &Recording, narrower: &str, rules: &[(&str, usize)]) {
    let toml = month.sensors(INTERVAL) + narrower;
    let plan = tilth_tests::engine::plan(&toml);
    let transitions = Farm::new("greenhouse-truth", &toml).transitions(&month.csv);
    for (rule, least) in rules {
        let mut fired = 0;
        for sensor in watched(&plan, rule) {
            let of_sensor = transitions.iter().filter(|transition| transition.sensor.as_deref() == Some(&sensor));
            let found = raised_and_over(&of_sensor.cloned().collect::<Vec<Transition>>(), rule);
            let expected = read_by_hand(&plan, rule, &sensor, &month.values(&sensor));
            assert_eq!(found, expected, "{rule} on {sensor}");
            fired += found.iter().filter(|said| said.ends_with("firing")).count();
        }
        println!("{rule}: {fired} alerts{}", if narrower.is_empty() { "" } else { ", narrower" });
        assert!(fired >= *least, "{rule} fired {fired} times");
    }
}

fn watched(plan: &Plan, rule: &str) -> Vec<String> {
    let rules = plan.rules().filter(|bound| bound.key.rule.as_str() == rule);
    rules.map(|bound| bound.key.sensor.as_str().to_owned()).collect()
}

/// `above`, `clear`, `for` and `cooldown` as `docs/rules.md` has them, over believed values, in the plainest way: the alert is looked at at
/// each reading, after any hold that ended before it.
fn read_by_hand(plan: &Plan, rule: &str, sensor: &str, values: &[(i64, f64)]) -> Vec<String> {
    let is_it = |key: &tilth_core::plan::AlertKey| key.rule.as_str() == rule && key.sensor.as_str() == sensor;
    let bound = plan.rules().find(|bound| is_it(&bound.key)).unwrap();
    let Condition::Above { limit, clear } = bound.condition else { panic!("{:?}", bound.condition) };
    assert_eq!(bound.keep_firing_for, Span::ZERO);
    let stale_after = plan.sensor(plan.sensor_ix(sensor).unwrap()).stale_after.unwrap().0;

    let mut said = Vec::new();
    let mut firing = false;
    let mut due: Option<i64> = None;
    let mut cool_until = i64::MIN;
    let mut last_at = i64::MIN;
    for &(at, value) in values {
        // A hold that ended before this reading, while the last value still spoke for its time.
        if let Some(ended) = due.filter(|due| *due <= at && *due - last_at < stale_after) {
            said.push(format!("{} firing", WallTime(ended)));
            (firing, due) = (true, None);
        }
        if firing && value <= clear {
            said.push(format!("{} resolved", WallTime(at)));
            (firing, cool_until) = (false, at + bound.cooldown.0);
        } else if !firing && value > limit {
            let ends = *due.get_or_insert((at + bound.hold.0).max(cool_until));
            if ends <= at {
                said.push(format!("{} firing", WallTime(at)));
                (firing, due) = (true, None);
            }
        } else if !firing {
            due = None;
        }
        last_at = at;
    }
    said
}

/// Rows of the table under "Hours of the day" in `docs/rules.md`: a schedule in Amsterdam, and when an alert whose condition
/// always holds fires and is over between noon and noon.
type Hours = (&'static str, &'static str, &'static [&'static str]);

/// 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
const SPRING: &[Hours] = &[
    ("02:00", "06:00", &["2026-03-29T01:00:00Z firing", "2026-03-29T04:00:00Z resolved (schedule-closed)"]),
    ("02:30", "06:00", &["2026-03-29T01:00:00Z firing", "2026-03-29T04:00:00Z resolved (schedule-closed)"]),
    ("22:00", "02:00", &["2026-03-28T21:00:00Z firing", "2026-03-29T01:00:00Z resolved (schedule-closed)"]),
    ("22:00", "02:30", &["2026-03-28T21:00:00Z firing", "2026-03-29T01:00:00Z resolved (schedule-closed)"]),
    ("02:00", "03:00", &[]),
    ("02:30", "02:30", &["2026-03-28T12:00:00Z firing"]),
];

/// 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC, so that 02:30 is at 00:30 and at 01:30 UTC.
const AUTUMN: &[Hours] = &[
    ("02:30", "06:00", &["2026-10-25T00:30:00Z firing", "2026-10-25T05:00:00Z resolved (schedule-closed)"]),
    ("22:00", "02:30", &["2026-10-24T20:00:00Z firing", "2026-10-25T01:30:00Z resolved (schedule-closed)"]),
    ("02:00", "03:00", &["2026-10-25T00:00:00Z firing", "2026-10-25T02:00:00Z resolved (schedule-closed)"]),
    ("02:30", "02:30", &["2026-10-24T12:00:00Z firing"]),
];

#[test]
fn two_in_the_morning_is_as_written_on_the_days_when_clocks_change() {
    for (noon, table) in [("2026-03-28T12:00:00Z", SPRING), ("2026-10-24T12:00:00Z", AUTUMN)] {
        check_hours(noon, table);
    }
}

#[track_caller]
fn check_hours(noon: &str, table: &[Hours]) {
    let mut farm = "agent.timezone = \"Europe/Amsterdam\"\nsensors.\"kas/door\".quantity = \"contact\"\n".to_owned();
    for (row, (from, to, _)) in table.iter().enumerate() {
        writeln!(farm, "schedules.hours-{row} = {{ from = \"{from}\", to = \"{to}\" }}").unwrap();
        writeln!(farm, "rules.row-{row} = {{ sensor = \"kas/door\", above = 0, during = \"hours-{row}\" }}").unwrap();
    }
    let noon_ms = noon.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let mut recording = "time,sensor,value\n".to_owned();
    for minute in 0..24 * 60 {
        writeln!(recording, "{},kas/door,1", noon_ms + minute * 60_000).unwrap();
    }
    let transitions = Farm::new("hours", &farm).transitions(&recording);
    for (row, (from, to, expected)) in table.iter().enumerate() {
        assert_eq!(raised_and_over(&transitions, &format!("row-{row}")), *expected, "{from} to {to} from {noon}");
    }
}
