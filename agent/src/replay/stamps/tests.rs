//! Files as lists of stamps: which lines are played, and which are refused and why.

use super::*;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// 2026-03-01T06:00:00Z.
const BEGIN: i64 = 1_772_344_800_000;
const YEAR_2038: i64 = 2_147_483_647_000;

/// The lines that are refused of a file of (sensor, stamp) a line; every other is played once, in order.
#[track_caller]
fn refused(rows: impl IntoIterator<Item = (usize, i64)>) -> Vec<(u64, Why)> {
    let rows: Vec<Row> = (2..)
        .zip(rows)
        .map(|(line, (sensor, at_ms))| Row { line, at_ms, sensor: Some(sensor), value: Some(1.0) })
        .collect();
    let (mut stamps, mut played) = (Stamps::default(), Vec::new());
    rows.iter().for_each(|row| stamps.push(*row, &mut played));
    stamps.finish(&mut played);
    assert!(played.is_sorted_by_key(|row| row.line), "in order");
    assert_eq!(played.len() as u64 + stamps.refused.lines, rows.len() as u64, "{:?}", stamps.refused);
    stamps.refused.shown.iter().map(|refused| (refused.line, refused.why)).collect()
}

fn of_one(stamps: impl IntoIterator<Item = i64>) -> Vec<(u64, Why)> {
    refused(stamps.into_iter().map(|at| (0, at)))
}

/// So many stamps a minute apart.
fn minutes(from: i64, count: i64) -> Vec<i64> {
    (0..count).map(|n| from + n * MINUTE).collect()
}

#[track_caller]
fn check(what: &str, parts: &[&[i64]], expected: &[(u64, Why)]) {
    assert_eq!(of_one(parts.concat()), expected, "{what}");
}

#[test]
fn a_line_far_ahead_of_both_its_neighbours_is_refused() {
    let (before, after) = (minutes(BEGIN, 30), minutes(BEGIN + 30 * MINUTE, 30));
    for (what, stamp) in [
        ("2038", YEAR_2038),
        ("2106", 4_294_967_295_000),
        ("a month", BEGIN + 31 * DAY),
        ("a day", BEGIN + DAY),
        ("five hours", BEGIN + 300 * MINUTE),
    ] {
        check(what, &[&before, &[stamp], &after], &[(32, Why::Ahead)]);
        check(
            what,
            &[&before, &[stamp, stamp + 1000, stamp + 2000], &after],
            &[(32, Why::Ahead), (33, Why::Ahead), (34, Why::Ahead)],
        );
        check(
            what,
            &[&before, &[stamp], &after, &[stamp + 60_000], &minutes(BEGIN + 60 * MINUTE, 9)],
            &[(32, Why::Ahead), (63, Why::Ahead)],
        );
    }
    let long = minutes(BEGIN + 30 * MINUTE, 6000);
    for ahead in [2 * 60 * MINUTE, DAY / 2, DAY, 2 * DAY + 12_345, 20 * DAY] {
        check("in a long file that reaches it", &[&before, &[BEGIN + ahead], &long], &[(32, Why::Ahead)]);
    }
    let for_an_hour: Vec<i64> = minutes(YEAR_2038, 60);
    assert_eq!(
        of_one([&before[..], &for_an_hour, &after].concat()).len(),
        MAX_SHOWN,
        "a clock that is wrong for an hour"
    );
    check("the first", &[&[YEAR_2038], &before], &[(2, Why::Ahead)]);
    check("the second", &[&[BEGIN - MINUTE, YEAR_2038], &before], &[(3, Why::Ahead)]);
    check("with few lines after it", &[&before, &[YEAR_2038], &after[..2]], &[(32, Why::Ahead)]);
    check("an hour is within what is looked at afterwards", &[&before, &[BEGIN + 60 * MINUTE], &after[..9]], &[]);
}

#[test]
fn a_line_at_the_end_of_a_file_needs_others_beside_it() {
    let before = minutes(BEGIN, 30);
    check("years", &[&before, &[YEAR_2038]], &[(32, Why::NothingFollows)]);
    check("a pause of a week", &[&before, &[BEGIN + 7 * DAY]], &[]);
    check("five lines", &[&before, &minutes(YEAR_2038, 5)], &[]);
    check("two lines alone", &[&[BEGIN, YEAR_2038]], &[]);
}

#[test]
fn gaps_of_any_length_are_gaps() {
    for gap in [2 * 60 * MINUTE, DAY, 40 * DAY, 400 * DAY, 4000 * DAY] {
        check("a gap", &[&minutes(BEGIN, 30), &minutes(BEGIN + gap, 30)], &[]);
        check(
            "and back to work within few lines",
            &[&minutes(BEGIN, 30), &minutes(BEGIN + gap, 6), &minutes(BEGIN + 2 * gap, 6)],
            &[],
        );
    }
    let by = |step: i64| (0..40).map(|n| BEGIN + n * step).collect::<Vec<_>>();
    check("a reading a day", &[&by(DAY)], &[]);
    check("a reading a month", &[&by(32 * DAY)], &[]);
    check("a reading a quarter", &[&by(92 * DAY)], &[]);
    let wrong_beyond =
        [minutes(BEGIN, 9), vec![BEGIN + 90 * DAY, YEAR_2038], minutes(BEGIN + 90 * DAY + MINUTE, 20)].concat();
    check("a wrong one beyond a gap", &[&wrong_beyond], &[(12, Why::Ahead)]);
    let first_beyond = [minutes(BEGIN, 9), vec![YEAR_2038], minutes(BEGIN + 90 * DAY, 20)].concat();
    check("a wrong one first beyond a gap", &[&first_beyond], &[(11, Why::Ahead)]);
}

#[test]
fn clocks_that_were_not_set_yet_are_refused() {
    let seconds = |from: i64, count: i64| (0..count).map(|n| from + n * 1000).collect::<Vec<_>>();
    let live = minutes(BEGIN, 30);
    for epoch in [0, 315_964_800_000, 946_684_800_000] {
        let of_head = |count: u64| (2..2 + count.min(10)).map(|line| (line, Why::NeverSet)).collect::<Vec<_>>();
        for count in [1, 3, 20, 300] {
            check("at the start", &[&seconds(epoch, count), &live], &of_head(count as u64));
        }
        let in_the_middle = [minutes(BEGIN, 9), seconds(epoch, 3), minutes(BEGIN + 9 * MINUTE, 9)].concat();
        let three = [(11, Why::NeverSet), (12, Why::NeverSet), (13, Why::NeverSet)];
        check("in the middle", &[&in_the_middle], &three);
        check("from then on", &[&minutes(BEGIN, 9), &seconds(epoch, 3)], &three);
    }
    let gps = minutes(BEGIN - 1024 * 7 * DAY, 9);
    check(
        "a GPS receiver without its weeks",
        &[&gps, &live],
        &(2..11).map(|line| (line, Why::NeverSet)).collect::<Vec<_>>(),
    );
    check("a file of 1999", &[&minutes(930_000_000_000, 6000)], &[]);
    check("one line a year before the others", &[&[BEGIN - 400 * DAY], &live], &[(2, Why::NothingBefore)]);
    check("a short trial a month before the others", &[&minutes(BEGIN - 40 * DAY, 6), &live], &[]);
}

#[test]
fn what_comes_late_is_not_wrong() {
    // A line that was live, then three hours that a gateway had kept.
    let backlog = [
        minutes(BEGIN, 9),
        vec![BEGIN + 200 * MINUTE],
        minutes(BEGIN + 9 * MINUTE, 191),
        minutes(BEGIN + 201 * MINUTE, 9),
    ];
    check("a backlog", &[&backlog.concat()], &[]);
    let mixed: Vec<i64> = (0..200).flat_map(|n| [BEGIN + (300 + n) * MINUTE, BEGIN + n * 2 * MINUTE]).collect();
    check("a backlog between live lines", &[&mixed], &[]);
    check("an hour back for good", &[&minutes(BEGIN, 90), &minutes(BEGIN + 30 * MINUTE, 200)], &[]);
    check("a year back for good", &[&minutes(BEGIN, 90), &minutes(BEGIN - 365 * DAY, 200)], &[]);
}

#[test]
fn a_recording_sorted_by_sensor_loses_nothing() {
    let of = |sensor: usize| {
        [minutes(BEGIN, 300), minutes(BEGIN + 20 * DAY, 3)].concat().into_iter().map(move |at| (sensor, at))
    };
    assert_eq!(refused((0..9).flat_map(of)), []);
    let with_a_wrong_one = of(0).chain([(0, YEAR_2038)]).chain(of(1)).chain(of(2));
    assert_eq!(refused(with_a_wrong_one), [(305, Why::Ahead)]);
}

/// All sensors of a line have its stamp.
#[test]
fn a_wide_line_is_one_line() {
    let rows = (0..60).flat_map(|line| (0..40).map(move |sensor| (line, sensor)));
    let (mut stamps, mut played) = (Stamps::default(), Vec::new());
    for (line, sensor) in rows {
        let at_ms = if line == 30 { YEAR_2038 } else { BEGIN + line as i64 * MINUTE };
        stamps.push(Row { line, at_ms, sensor: Some(sensor), value: None }, &mut played);
    }
    stamps.finish(&mut played);
    assert_eq!((stamps.refused.lines, played.len()), (1, 59 * 40));
    assert_eq!(stamps.refused.shown, [Refused { line: 30, at: WallTime(YEAR_2038), why: Why::Ahead }]);
}

/// Whatever the stamps are, each row is played once and in order, or refused.
#[test]
fn nothing_gets_lost_among_any_stamps() {
    let mut state: u64 = 7;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..400 {
        let steps = [1000, MINUTE, 2 * 3_600_000, 40 * DAY, 2000 * DAY, 9000 * DAY];
        let sensors = 1 + next(4) as usize;
        let mut at = BEGIN;
        let rows: Vec<(usize, i64)> = (0..1 + next(600))
            .map(|_| {
                let step = steps[if next(9) == 0 { next(6) as usize } else { 1 }];
                at = (if next(12) == 0 { at - step } else { at + step }).clamp(0, 7_258_118_399_999);
                (next(sensors as u64) as usize, at)
            })
            .collect();
        let _ = refused(rows);
    }
    // Steps of 40 days, each of them a gap.
    let _ = of_one((0..4000).map(|n| n * 40 * DAY / 30));
}
