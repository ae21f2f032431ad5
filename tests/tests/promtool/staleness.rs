//! When a value is too old to be one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use tilth_tests::agent::{Farm, NEW_YEAR_MS, Transition};

use crate::notation::{self, Sample};

/// `eval instant at AT EXPRESSION` over the series loaded before it, and the value expected, if any.
struct Case {
    interval_ms: i64,
    series: BTreeMap<String, Vec<Sample>>,
    at_ms: i64,
    expression: String,
    expected: Option<f64>,
}

#[test]
fn a_value_is_stale_when_prometheus_says() {
    let Some(file) = tilth_tests::data("rules/promql_staleness.test", "promtool, staleness", 17) else { return };
    let cases = parse(&fs::read_to_string(file).unwrap());
    let (mut run, mut skipped) = (0, 0);
    for case in &cases {
        match check(case) {
            None => run += 1,
            Some(why) => {
                skipped += 1;
                println!("skipped: {} at {} ms: {why}", case.expression, case.at_ms);
            }
        }
    }
    println!("{run} run, {skipped} skipped");
    assert!(run >= 9 && skipped >= 8, "{run} run, {skipped} skipped");
    assert_eq!(run + skipped, cases.len());
}

/// Compares one case, or says why it has none of ours to be compared with.
#[track_caller]
fn check(case: &Case) -> Option<&'static str> {
    let Case { interval_ms, series, at_ms, expression, expected } = case;
    let Some(samples) = series.get(expression) else {
        return Some("asks for more than the value of a series");
    };
    let times = (0..).map(|place: i64| place * interval_ms);
    let seen: Vec<(i64, Sample)> = times.zip(samples.iter().copied()).take_while(|(at, _)| at <= at_ms).collect();
    let is_there = |(_, sample): &&(i64, Sample)| *sample != Sample::Missing;
    if seen.iter().rev().find(is_there).is_some_and(|(_, sample)| *sample == Sample::Stale) {
        return Some("the series says that it ended; a sensor only falls silent");
    }
    let mut recording = "time,sensor,value\n".to_owned();
    for (at, sample) in &seen {
        if let Sample::Value(value) = sample {
            writeln!(recording, "{},prom/metric,{value}", NEW_YEAR_MS + at).unwrap();
        }
    }
    writeln!(recording, "{},clock/tick,0", NEW_YEAR_MS + at_ms).unwrap();
    let farm = "[sensors.\"prom/metric\"]\nquantity = \"count\"\nstale_after = \"5m\"\n";
    let transitions = Farm::new("staleness", farm).transitions(&recording);
    let stale = |transition: &Transition| transition.event == "fault" && transition.reason.as_deref() == Some("stale");
    let newest = seen.iter().rev().find_map(|(_, sample)| match sample {
        Sample::Value(value) => Some(*value),
        Sample::Missing | Sample::Stale => None,
    });
    let value = newest.filter(|_| !transitions.iter().any(stale));
    assert_eq!(value, *expected, "{expression} at {at_ms} ms\n{recording}{transitions:#?}");
    None
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let (mut interval_ms, mut series, mut loading) = (0, BTreeMap::new(), false);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["clear"] => series.clear(),
            ["load", interval] => (interval_ms, loading) = (notation::duration_ms(interval).unwrap(), true),
            ["eval", "instant", "at", at, ..] => {
                loading = false;
                cases.push(Case {
                    interval_ms,
                    series: series.clone(),
                    at_ms: notation::duration_ms(at).unwrap(),
                    expression: line.split_once(at).unwrap().1.trim().to_owned(),
                    expected: None,
                });
            }
            [name, samples @ ..] if loading => {
                series.insert((*name).to_owned(), notation::samples(&samples.join(" ")).unwrap_or_default());
            }
            [.., value] => cases.last_mut().unwrap().expected = value.parse().ok(),
            [] => {}
        }
    }
    cases
}
