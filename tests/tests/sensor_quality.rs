//! Quality compared with QARTOD, the tests that the US ocean observing system holds its sensors to. What differs is what
//! `docs/rules.md` says under "Compared with QARTOD".
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;

use serde::Deserialize;
use serde_json::Value;
use tilth_core::effect::Effect;
use tilth_core::reading::{Quality, SensorIx};

/// The published flags.
const GOOD: u8 = 1;
const NOT_EVALUATED: u8 = 2;
const SUSPECT: u8 = 3;
const FAIL: u8 = 4;
const MISSING: u8 = 9;

#[derive(Debug, Deserialize)]
struct Vectors {
    gross_range: Vec<GrossRange>,
    spike: Vec<Spike>,
}

#[derive(Debug, Deserialize)]
struct GrossRange {
    fail: (f64, f64),
    suspect: (f64, f64),
    #[serde(rename = "in")]
    values: Vec<Value>,
    #[serde(rename = "out")]
    flags: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Spike {
    suspect: f64,
    #[serde(rename = "in")]
    values: Vec<Value>,
    #[serde(rename = "out")]
    flags: Vec<u8>,
}

/// Why a flag is not what we say, each a sentence of `docs/rules.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// A value outside the narrower span is possible and unwelcome: a matter of rules.
    SuspectSpan,
    /// Theirs cannot judge the first and the last, nor a value beside a missing one.
    AnEnd,
    /// Theirs marks good values beside a spike.
    BesideASpike,
    /// A ramp up to a value stays within `max_rate`, and the way back does not: theirs marks the peak.
    PeakOfARamp,
    /// And we mark the step back.
    StepBack,
}

/// Row of a table: which vector, which value of it, its flag, and why we say otherwise.
type Row = (usize, usize, u8, Difference);

fn vectors(test: &str, cases: usize) -> Option<Vectors> {
    let file = tilth_tests::data("sensor_quality/qartod_vectors.json", test, cases)?;
    Some(serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())
}

/// What the engine says of values that come a minute apart; nothing where one is missing.
fn judged(judging: &str, values: &[f64]) -> Vec<Option<Quality>> {
    let plan = tilth_tests::engine::plan(&format!("[sensors.\"buoy/t\"]\nquantity = \"temperature\"\n{judging}"));
    let readings: Vec<_> = (0..).map(|minute: i64| minute * 60_000).zip(values).collect();
    let readings: Vec<_> = readings.into_iter().map(|(at_ms, value)| (at_ms, SensorIx(0), *value)).collect();
    let effects = tilth_tests::engine::effects(&plan, &readings);
    let quality = |effect: &Effect| match effect {
        Effect::Reading(reading) => Some(Some(reading.quality)),
        Effect::NoValue(_) => Some(None),
        _ => None,
    };
    effects.iter().filter_map(quality).collect()
}

/// A null and the word "NaN" are missing values.
fn numbers(values: &[Value]) -> Vec<f64> {
    values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

#[test]
fn outside_the_fail_span_is_a_fault_and_nothing_else_is() {
    let Some(vectors) = vectors("sensor_quality, gross range", 2) else { return };
    let mut differences: Vec<Row> = Vec::new();
    for (place, vector) in vectors.gross_range.iter().enumerate() {
        let GrossRange { fail: (low, high), suspect, values, flags } = vector;
        let values = numbers(values);
        let found = judged(&format!("range = [{low}, {high}]\nmax_rate = 1e6"), &values);
        assert_eq!(found.len(), flags.len(), "{vector:?}");
        for (nth, (flag, value)) in flags.iter().zip(&values).enumerate() {
            let unwelcome = *flag == SUSPECT && (*value < suspect.0 || *value > suspect.1);
            let expected = match *flag {
                FAIL => Some(Quality::Fault),
                MISSING => None,
                GOOD => Some(Quality::Good),
                SUSPECT if unwelcome => {
                    differences.push((place, nth, SUSPECT, Difference::SuspectSpan));
                    Some(Quality::Good)
                }
                other => panic!("flag {other} of {vector:?}"),
            };
            assert_eq!(found[nth], expected, "value {value}, the {nth}th of {vector:?}");
        }
    }
    let known: &[Row] = &[
        (0, 1, SUSPECT, Difference::SuspectSpan),
        (0, 2, SUSPECT, Difference::SuspectSpan),
        (0, 8, SUSPECT, Difference::SuspectSpan),
        (1, 1, SUSPECT, Difference::SuspectSpan),
        (1, 2, SUSPECT, Difference::SuspectSpan),
    ];
    assert_begins_with(&differences, known);
}

#[test]
fn a_spike_is_suspect_and_what_differs_is_written() {
    let Some(vectors) = vectors("sensor_quality, spike", 3) else { return };
    let mut differences: Vec<Row> = Vec::new();
    for (place, vector) in vectors.spike.iter().enumerate() {
        let values = numbers(&vector.values);
        let found = judged(&format!("range = [-1e6, 1e6]\nmax_rate = {}", vector.suspect), &values);
        assert_eq!(found.len(), vector.flags.len(), "{vector:?}");
        for (nth, flag) in vector.flags.iter().enumerate() {
            let agrees = match *flag {
                GOOD => found[nth] == Some(Quality::Good),
                // The two limits of the vectors are one of ours, and a jump of any size is suspect.
                SUSPECT | FAIL => found[nth] == Some(Quality::Suspect),
                MISSING => found[nth].is_none(),
                _ => false,
            };
            if !agrees {
                let why = why(vector, &values, &found, nth);
                let why = why.unwrap_or_else(|| panic!("{:?} of the {nth}th of {vector:?}", found[nth]));
                differences.push((place, nth, *flag, why));
            }
        }
    }
    let known: &[Row] = &[
        (0, 0, NOT_EVALUATED, Difference::AnEnd),
        (0, 1, FAIL, Difference::BesideASpike),
        (0, 3, FAIL, Difference::BesideASpike),
        (0, 5, SUSPECT, Difference::PeakOfARamp),
        (0, 6, GOOD, Difference::StepBack),
        (0, 7, NOT_EVALUATED, Difference::AnEnd),
        (1, 0, NOT_EVALUATED, Difference::AnEnd),
        (1, 1, FAIL, Difference::BesideASpike),
        (1, 3, FAIL, Difference::BesideASpike),
        (1, 5, SUSPECT, Difference::PeakOfARamp),
        (1, 6, GOOD, Difference::StepBack),
        (1, 7, NOT_EVALUATED, Difference::AnEnd),
        (2, 0, NOT_EVALUATED, Difference::AnEnd),
        (2, 3, NOT_EVALUATED, Difference::AnEnd),
    ];
    assert_begins_with(&differences, known);
}

/// The difference that a value is an example of, from the values alone; nothing where it is of none.
fn why(vector: &Spike, values: &[f64], found: &[Option<Quality>], nth: usize) -> Option<Difference> {
    let jump = |from: usize, to: usize| (values[to] - values[from]).abs() > vector.suspect;
    let is = |place: usize, quality| found[place] == Some(quality);
    let flag = vector.flags[nth];
    let beside = |place: usize| values.get(place).is_some_and(|value| !value.is_nan());
    if nth == 0 || !beside(nth - 1) || !beside(nth + 1) {
        return (flag == NOT_EVALUATED || flag == MISSING).then_some(Difference::AnEnd);
    }
    let marked = matches!(flag, SUSPECT | FAIL);
    let beside =
        (is(nth - 1, Quality::Suspect) && jump(nth - 1, nth)) || (is(nth + 1, Quality::Suspect) && jump(nth, nth + 1));
    let up_slowly = !jump(nth - 1, nth);
    match (marked, found[nth]?) {
        (true, Quality::Good) if up_slowly && jump(nth, nth + 1) && vector.flags[nth + 1] == GOOD => {
            Some(Difference::PeakOfARamp)
        }
        (true, Quality::Good) if beside => Some(Difference::BesideASpike),
        (false, Quality::Suspect) if jump(nth - 1, nth) => Some(Difference::StepBack),
        _ => None,
    }
}

/// The vectors we know come first; a longer file may have more, of the same kinds.
#[track_caller]
fn assert_begins_with(differences: &[Row], known: &[Row]) {
    assert_eq!(&differences[..known.len().min(differences.len())], known, "{differences:#?}");
}
