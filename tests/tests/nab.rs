//! Recordings of the Numenta anomaly benchmark, a year of hourly temperature with gaps among them: silence is noticed, and
//! never filled in.
//!
//! What is true is computed here from the rows themselves.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use jiff::civil::DateTime;
use tilth_core::effect::Effect;
use tilth_core::reading::SensorIx;
use tilth_core::time::WallTime;
use tilth_core::windows::Grain;
use tilth_tests::agent::{Farm, raised_and_over};

/// Degrees Fahrenheit come in, degrees Celsius are measured. Nothing is implausible, so that every row counts.
const FARM: &str = r#"
[sensors."office/temperature"]
quantity = "temperature"
interval = "1h"
calibration = { gain = 0.5555555555555556, offset = -17.77777777777778 }
range = [-1e6, 1e6]
max_rate = 1e6

[rules.gap]
sensor = "office/temperature"
missing_for = "2h"
"#;

const HOUR_MS: i64 = 3_600_000;

/// Rows of a file: when, in milliseconds since 1970, taking its times as UTC; and degrees Fahrenheit.
type Rows = Vec<(i64, f64)>;

/// Every recording there is, by the name of its file.
fn recordings(test: &str, cases: usize) -> Option<Vec<(String, Rows)>> {
    let folder = tilth_tests::data("nab", test, cases)?;
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let packed = files.filter(|file| file.to_string_lossy().ends_with(".csv.gz"));
    let recordings = packed.map(|file| (file.file_stem().unwrap().to_string_lossy().into_owned(), rows(&file)));
    let recordings: Vec<(String, Rows)> = recordings.collect();
    assert!(!recordings.is_empty());
    Some(recordings)
}

fn rows(file: &Path) -> Rows {
    let mut text = String::new();
    GzDecoder::new(File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let row = |line: &str| {
        let (stamp, value) = line.split_once(',').unwrap();
        let stamp = DateTime::strptime("%Y-%m-%d %H:%M:%S", stamp).unwrap();
        (stamp.in_tz("UTC").unwrap().timestamp().as_millisecond(), value.parse().unwrap())
    };
    let rows: Rows = text.lines().skip(1).map(row).collect();
    assert!(rows.is_sorted_by_key(|(at, _)| *at), "the gaps are found between rows in order");
    rows
}

fn recording(rows: &[(i64, f64)]) -> String {
    let mut recording = "time,sensor,value\n".to_owned();
    for (at, value) in rows {
        writeln!(recording, "{at},office/temperature,{value}").unwrap();
    }
    recording
}

/// For each silence of two hours or more: it fires two hours after the last sample and is over with the first one after.
/// At exactly two hours it is both at one instant: the hour is full before the reading comes.
fn gaps_in(rows: &[(i64, f64)]) -> Vec<String> {
    let gaps = rows.windows(2).filter(|pair| pair[1].0 - pair[0].0 >= 2 * HOUR_MS);
    gaps.flat_map(|pair| {
        let (fires, over) = (WallTime(pair[0].0 + 2 * HOUR_MS), WallTime(pair[1].0));
        [format!("{fires} firing"), format!("{over} resolved")]
    })
    .collect()
}

#[test]
fn each_gap_fires_once_and_is_over_with_the_first_sample_after_it() {
    let Some(recordings) = recordings("nab, gaps", 5) else { return };
    for (name, rows) in recordings {
        let long = rows.windows(2).filter(|pair| pair[1].0 - pair[0].0 >= 48 * HOUR_MS).count();
        let found = raised_and_over(&Farm::new("nab", FARM).transitions(recording(&rows)), "gap");
        assert_eq!(found, gaps_in(&rows), "{name}");
        println!("{name}: {} gaps of 2 h or more, {long} of them of 48 h or more", found.len() / 2);
        if name.starts_with("ambient_temperature") {
            assert_eq!(long, 5, "{name}");
        }
    }
}

#[test]
fn a_gap_of_just_the_span_fires_and_is_over_at_one_instant() {
    for (gap_ms, expected) in [
        (2 * HOUR_MS - 1, &[][..]),
        (2 * HOUR_MS, &["2014-01-01T03:00:00Z firing", "2014-01-01T03:00:00Z resolved"]),
        (2 * HOUR_MS + 1, &["2014-01-01T03:00:00Z firing", "2014-01-01T03:00:00.001Z resolved"]),
    ] {
        let start_ms = 1_388_534_400_000;
        let rows = [(start_ms, 70.0), (start_ms + HOUR_MS, 70.0), (start_ms + HOUR_MS + gap_ms, 71.0)];
        let found = raised_and_over(&Farm::new("nab", FARM).transitions(recording(&rows)), "gap");
        assert_eq!(found, expected, "a gap of {gap_ms} ms");
        assert_eq!(found, gaps_in(&rows), "a gap of {gap_ms} ms");
    }
}

/// Count, sum, sum of squares, least, most and last of a window, in hundredths of a degree.
type Sums = (u32, i64, u128, i64, i64, i64);

/// A window by its length and its start, in milliseconds.
type Windows = BTreeMap<(i64, i64), Sums>;

#[test]
fn windows_are_what_the_rows_are_and_none_is_inside_a_gap() {
    let Some(recordings) = recordings("nab, windows", 2) else { return };
    let plan = tilth_tests::engine::plan(FARM);
    for (name, rows) in recordings {
        let mut readings: Vec<_> = rows.iter().map(|(at, value)| (*at, SensorIx(0), *value)).collect();
        // The clock has to go on for the last windows to close. The year after is one more gap.
        let end = rows.last().unwrap().0 + 365 * 24 * HOUR_MS;
        readings.push((end, SensorIx(0), f64::NAN));
        let found = windows(&tilth_tests::engine::effects(&plan, &readings));

        let mut expected = Windows::new();
        for grain in [Grain::Minute, Grain::Quarter] {
            add_windows(&mut expected, &rows, grain.span().0);
        }
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(found, expected, "{name}");
    }
}

fn windows(effects: &[Effect]) -> Windows {
    let mut windows = Windows::new();
    for effect in effects {
        let Effect::Window(closed) = effect else { continue };
        assert!(!closed.late && closed.window.bad == 0, "{closed:?}");
        let good = closed.window.good.expect("a window with nothing in it does not exist");
        let sums = (good.count, good.sum, good.sum_sq, good.min.0, good.max.0, good.last.0);
        let key = (closed.grain.span().0, closed.start.wall.unwrap().0);
        assert_eq!(windows.insert(key, sums), None, "{closed:?} closed twice");
    }
    windows
}

fn add_windows(windows: &mut Windows, rows: &[(i64, f64)], length_ms: i64) {
    for (at, fahrenheit) in rows {
        let celsius = 0.5555555555555556 * fahrenheit + -17.77777777777778;
        let steps = (celsius * 100.0).round() as i64;
        let (count, sum, squares, least, most, last) =
            windows.entry((length_ms, at.div_euclid(length_ms) * length_ms)).or_insert((0, 0, 0, steps, steps, steps));
        *count += 1;
        *sum += steps;
        *squares += u128::from(steps.unsigned_abs().pow(2));
        (*least, *most, *last) = (steps.min(*least), steps.max(*most), steps);
    }
}
