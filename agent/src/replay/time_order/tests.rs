//! Recordings as lists of sensor and timestamp: what explains their order.

use tilth_core::reading::Quality;

use super::*;

fn time_order(stamps: &[i64]) -> TimeOrder {
    let mut time_order = TimeOrder::default();
    for (line, at_ms) in (2..).zip(stamps) {
        time_order.add(&Row { line, at_ms: *at_ms, sensor: Some(0), value: None, quality: Quality::Good });
    }
    time_order
}

#[test]
fn rows_behind_the_clock_are_counted() {
    for (stamps, behind, ends) in [
        (&[][..], 0, None),
        (&[5], 0, Some((5, 5))),
        (&[5, 5, 6], 0, Some((5, 6))),
        (&[5, 4, 6, 5, 5], 3, Some((4, 6))),
        (&[0, 0, 1], 0, Some((0, 1))),
    ] {
        let time_order = time_order(stamps);
        assert_eq!((time_order.behind, time_order.rows), (behind, stamps.len() as u64), "{stamps:?}");
        assert_eq!(time_order.ends(), ends.map(|(from, to)| (WallTime(from), WallTime(to))), "{stamps:?}");
    }
}

/// Rows of (sensor, timestamp).
fn disorder(rows: impl IntoIterator<Item = (usize, i64)>) -> Option<Disorder> {
    let mut time_order = TimeOrder::default();
    for (line, (sensor, at_ms)) in (2..).zip(rows) {
        time_order.add(&Row { line, at_ms, sensor: Some(sensor), value: None, quality: Quality::Good });
    }
    time_order.disorder()
}

fn ran_ahead(at_ms: i64, line: u64, rows_behind: u64) -> Option<Disorder> {
    Some(Disorder::RanAhead(LatestRow { at_ms, line, rows_behind }))
}

/// Sensors that alternate, in order; the row at `place` stamped far ahead.
fn with_stray(sensors: usize, rows: usize, place: usize) -> impl Iterator<Item = (usize, i64)> {
    (0..rows).map(move |row| (row % sensors, if row == place { 1_000_000 } else { row as i64 }))
}

#[test]
fn one_stamp_that_many_are_behind_is_named() {
    for sensors in [1, 2, 60] {
        assert_eq!(disorder(with_stray(sensors, 1000, 300)), ran_ahead(1_000_000, 302, 699), "{sensors}");
        assert_eq!(disorder(with_stray(sensors, 1000, 989)), ran_ahead(1_000_000, 991, 10), "{sensors}");
        assert_eq!(disorder(with_stray(sensors, 1000, 990)), None, "nine of {sensors}");
        assert_eq!(disorder(with_stray(sensors, 1001, 990)), None, "ten in 1001, {sensors}");
    }
}

#[test]
fn a_stray_stamp_of_a_sensor_that_speaks_once_is_no_order() {
    let rows = (0..100).map(|row| if row == 50 { (2, 1_000_000) } else { (row as usize % 2, row) });
    assert_eq!(disorder(rows), ran_ahead(1_000_000, 52, 49));
}

#[test]
fn a_recording_sorted_by_sensor_is_known() {
    for (sensors, rows) in [(2, 11), (2, 1000), (60, 500), (300, 5)] {
        let sorted = (0..sensors).flat_map(|sensor| (0..rows).map(move |row| (sensor, row * 1000 + sensor as i64)));
        assert_eq!(disorder(sorted.clone()), Some(Disorder::BySensor), "{sensors} of {rows}");
        let weeks = (0..3).flat_map(|week| sorted.clone().map(move |(sensor, at)| (sensor, at + week * 1_000_000)));
        if rows >= 10 {
            assert_eq!(disorder(weeks), Some(Disorder::BySensor), "{sensors} of {rows}, piece by piece");
        }
    }
    let with_stray = (0..200).map(|row| (row / 100, if row == 50 { 1_000_000 } else { row as i64 % 100 }));
    assert_eq!(disorder(with_stray), ran_ahead(1_000_000, 52, 149), "one stamp in its first block is wrong too");
}

#[test]
fn usual_lateness_has_no_cause_to_be_named() {
    let skewed = (0..1000).map(|row| (row as usize % 2, row - row % 2 * 7));
    assert_eq!(disorder(skewed), None, "two clocks that differ");
    let late = (0..1000).map(|row| (0, if row % 100 == 50 { row - 9 } else { row }));
    assert_eq!(disorder(late), None, "one in a hundred a little late");
    assert_eq!(disorder([]), None);
}
