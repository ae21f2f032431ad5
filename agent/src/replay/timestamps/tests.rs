//! Files as lists of timestamps: which lines are played, and which are rejected and why.

use tilth_core::reading::Quality;

use super::*;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// 2026-03-01T06:00:00Z.
const BEGIN: i64 = 1_772_344_800_000;
const YEAR_2038: i64 = 2_147_483_647_000;

/// The lines that are rejected of a file of (sensor, timestamp) a line; every other is played once, in order.
#[track_caller]
fn rejected(rows: impl IntoIterator<Item = (usize, i64)>) -> Vec<(u64, RejectReason)> {
    rejected_until(None, rows)
}

/// The same of a file that is replayed at a time.
#[track_caller]
fn rejected_until(latest: Option<i64>, rows: impl IntoIterator<Item = (usize, i64)>) -> Vec<(u64, RejectReason)> {
    let rows: Vec<Row> = (2..)
        .zip(rows)
        .map(|(line, (sensor, at_ms))| Row {
            line,
            at_ms,
            sensor: Some(sensor),
            value: Some(1.0),
            quality: Quality::Good,
        })
        .collect();
    let (mut stamps, mut played) = (TimestampCheck::until(latest.map(WallTime)), Vec::new());
    rows.iter().for_each(|row| stamps.push(*row, &mut played));
    stamps.finish(&mut played);
    assert!(played.is_sorted_by_key(|row| row.line), "in order");
    assert_eq!(played.len() as u64 + stamps.rejected.lines, rows.len() as u64, "{:?}", stamps.rejected);
    stamps.rejected.shown.iter().map(|rejected| (rejected.line, rejected.why)).collect()
}

fn of_one(stamps: impl IntoIterator<Item = i64>) -> Vec<(u64, RejectReason)> {
    rejected(stamps.into_iter().map(|at| (0, at)))
}

/// `count` timestamps, a minute apart.
fn minutes(from: i64, count: i64) -> Vec<i64> {
    (0..count).map(|n| from + n * MINUTE).collect()
}

#[track_caller]
fn check(what: &str, parts: &[&[i64]], expected: &[(u64, RejectReason)]) {
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
        ("an hour", BEGIN + 90 * MINUTE),
        ("half an hour", BEGIN + 60 * MINUTE),
        ("four minutes", BEGIN + 34 * MINUTE),
    ] {
        check(what, &[&before, &[stamp], &after], &[(32, RejectReason::Ahead)]);
        check(
            what,
            &[&before, &[stamp, stamp + 1000, stamp + 2000], &after],
            &[(32, RejectReason::Ahead), (33, RejectReason::Ahead), (34, RejectReason::Ahead)],
        );
        if stamp < BEGIN + 120 * MINUTE {
            continue;
        }
        check(
            what,
            &[&before, &[stamp], &after, &[stamp + 60_000], &minutes(BEGIN + 60 * MINUTE, 9)],
            &[(32, RejectReason::Ahead), (63, RejectReason::Ahead)],
        );
    }
    let long = minutes(BEGIN + 30 * MINUTE, 6000);
    for ahead in [2 * 60 * MINUTE, DAY / 2, DAY, 2 * DAY + 12_345, 20 * DAY] {
        check("in a long file that reaches it", &[&before, &[BEGIN + ahead], &long], &[(32, RejectReason::Ahead)]);
    }
    let for_an_hour: Vec<i64> = minutes(YEAR_2038, 60);
    assert_eq!(
        of_one([&before[..], &for_an_hour, &after].concat()).len(),
        MAX_SHOWN,
        "a clock that is wrong for an hour"
    );
    check("the first", &[&[YEAR_2038], &before], &[(2, RejectReason::Ahead)]);
    check("the second", &[&[BEGIN - MINUTE, YEAR_2038], &before], &[(3, RejectReason::Ahead)]);
    check("with few lines after it", &[&before, &[YEAR_2038], &after[..2]], &[(32, RejectReason::Ahead)]);
}

#[test]
fn a_line_at_the_end_of_a_file_needs_others_beside_it() {
    let before = minutes(BEGIN, 30);
    check("years", &[&before, &[YEAR_2038]], &[(32, RejectReason::NothingFollows)]);
    check("a pause of a week", &[&before, &[BEGIN + 7 * DAY]], &[]);
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
    check("a wrong one beyond a gap", &[&wrong_beyond], &[(12, RejectReason::Ahead)]);
    let first_beyond = [minutes(BEGIN, 9), vec![YEAR_2038], minutes(BEGIN + 90 * DAY, 20)].concat();
    check("a wrong one first beyond a gap", &[&first_beyond], &[(11, RejectReason::Ahead)]);
}

#[test]
fn clocks_that_were_not_set_yet_are_refused() {
    let seconds = |from: i64, count: i64| (0..count).map(|n| from + n * 1000).collect::<Vec<_>>();
    let live = minutes(BEGIN, 30);
    for epoch in [0, 315_964_800_000, 946_684_800_000] {
        let of_head =
            |count: u64| (2..2 + count.min(10)).map(|line| (line, RejectReason::NeverSet)).collect::<Vec<_>>();
        for count in [1, 3, 20, 300] {
            check("at the start", &[&seconds(epoch, count), &live], &of_head(count as u64));
        }
        let in_the_middle = [minutes(BEGIN, 9), seconds(epoch, 3), minutes(BEGIN + 9 * MINUTE, 9)].concat();
        let three = [(11, RejectReason::NeverSet), (12, RejectReason::NeverSet), (13, RejectReason::NeverSet)];
        check("in the middle", &[&in_the_middle], &three);
        check("from then on", &[&minutes(BEGIN, 9), &seconds(epoch, 3)], &three);
    }
    let gps = minutes(BEGIN - 1024 * 7 * DAY, 9);
    check(
        "a GPS receiver without its weeks",
        &[&gps, &live],
        &(2..11).map(|line| (line, RejectReason::NeverSet)).collect::<Vec<_>>(),
    );
    check("a file of 1999", &[&minutes(930_000_000_000, 6000)], &[]);
    check("one line a year before the others", &[&[BEGIN - 400 * DAY], &live], &[(2, RejectReason::NothingBefore)]);
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
    assert_eq!(rejected((0..9).flat_map(of)), []);
    let with_a_wrong_one = of(0).chain([(0, YEAR_2038)]).chain(of(1)).chain(of(2));
    assert_eq!(rejected(with_a_wrong_one), [(305, RejectReason::Ahead)]);
}

/// All sensors of a line have its timestamp.
#[test]
fn a_wide_line_is_one_line() {
    let rows = (0..60).flat_map(|line| (0..40).map(move |sensor| (line, sensor)));
    let (mut stamps, mut played) = (TimestampCheck::default(), Vec::new());
    for (line, sensor) in rows {
        let at_ms = if line == 30 { YEAR_2038 } else { BEGIN + line as i64 * MINUTE };
        stamps.push(Row { line, at_ms, sensor: Some(sensor), value: None, quality: Quality::Good }, &mut played);
    }
    stamps.finish(&mut played);
    assert_eq!((stamps.rejected.lines, played.len()), (1, 59 * 40));
    assert_eq!(stamps.rejected.shown, [RejectedLine { line: 30, at: WallTime(YEAR_2038), why: RejectReason::Ahead }]);
}

/// For any timestamps, each row is played once and in order, or rejected.
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
        let _ = rejected(rows);
    }
    // Steps of 40 days, each of them a gap.
    let _ = of_one((0..4000).map(|n| n * 40 * DAY / 30));
}

/// Replayed on the first of April 2026.
const REPLAYED: i64 = BEGIN + 31 * DAY;

#[track_caller]
fn check_until_replayed(what: &str, parts: &[&[i64]], expected: &[(u64, RejectReason)]) {
    let rows = parts.concat().into_iter().map(|at| (0, at));
    assert_eq!(rejected_until(Some(REPLAYED), rows), expected, "{what}");
}

#[test]
fn a_recording_holds_nothing_from_later_than_its_replay() {
    let before = minutes(BEGIN, 54);
    let not_yet = |from: u64, count: u64| {
        (from..from + count.min(10)).map(|line| (line, RejectReason::NotYet)).collect::<Vec<_>>()
    };
    for (what, stamp) in [
        ("2038", YEAR_2038),
        ("2106", 4_294_967_295_000),
        ("a year", REPLAYED + 365 * DAY),
        ("a week", REPLAYED + 7 * DAY),
        ("minutes", REPLAYED + 5 * MINUTE),
    ] {
        // More lines than before are years ahead at the most by mistake.
        let counts: &[i64] = if stamp - REPLAYED > YEARS.0 { &[5, 6, 60, 9000] } else { &[5, 6, 53] };
        for count in counts.iter().copied() {
            let wrong = minutes(stamp, count);
            check_until_replayed(what, &[&before, &wrong], &not_yet(56, count as u64));
            let still = vec![stamp; count as usize];
            check_until_replayed(&format!("{what}, standing still"), &[&before, &still], &not_yet(56, count as u64));
        }
        let twice = [&before[..], &minutes(stamp, 50), &minutes(BEGIN + 54 * MINUTE, 30), &minutes(stamp, 30)].concat();
        assert_eq!(
            rejected_until(Some(REPLAYED), twice.into_iter().map(|at| (0, at))).len(),
            MAX_SHOWN,
            "{what}: it comes back, and goes again"
        );
    }
    check_until_replayed("one line", &[&before, &[REPLAYED + 9 * DAY]], &[(56, RejectReason::NothingFollows)]);
    check_until_replayed(
        "one line of the next day",
        &[&minutes(REPLAYED - 9 * DAY, 54), &[REPLAYED + DAY]],
        &not_yet(56, 1),
    );
    check_until_replayed("two lines alone", &[&[BEGIN, YEAR_2038]], &not_yet(3, 1));
    check_until_replayed(
        "the first lines",
        &[&minutes(YEAR_2038, 20), &before],
        &(2..12).map(|line| (line, RejectReason::NotYet)).collect::<Vec<_>>(),
    );
    let until_now = minutes(REPLAYED - 54 * MINUTE, 54);
    check_until_replayed("an export of just now", &[&until_now, &minutes(REPLAYED + 20 * MINUTE, 6)], &not_yet(56, 6));
    check_until_replayed("up to the last minute", &[&until_now], &[]);
    check_until_replayed("a pause up to now", &[&before, &minutes(REPLAYED - 9 * MINUTE, 9)], &[]);
}

#[test]
fn a_recording_that_was_made_up_is_played() {
    check_until_replayed(
        "all of it is later",
        &[&minutes(REPLAYED + DAY, 300), &minutes(REPLAYED + 9 * DAY, 300)],
        &[],
    );
    check_until_replayed("it is very long", &[&minutes(REPLAYED + DAY, 20_000)], &[]);
    check_until_replayed("it walks over the day", &[&minutes(REPLAYED - 200 * MINUTE, 600)], &[]);
    check_until_replayed(
        "and pauses a day later",
        &[&minutes(REPLAYED - 200 * MINUTE, 600), &minutes(REPLAYED + 3 * DAY, 60)],
        &[],
    );
    check_until_replayed("most of it is later", &[&minutes(BEGIN, 30), &minutes(BEGIN + 365 * DAY, 100)], &[]);
    let daily: Vec<i64> = (0..90).map(|n| BEGIN + n * DAY).collect();
    check_until_replayed("a reading a day", &[&daily], &[]);
    let by_sensor =
        (0..4).flat_map(|sensor| minutes(REPLAYED - 30 * MINUTE, 90).into_iter().map(move |at| (sensor, at)));
    assert_eq!(rejected_until(Some(REPLAYED), by_sensor), []);
    // The first line of this recording is of a clock that was not set.
    let unset = [vec![3000], minutes(REPLAYED + DAY, 300)].concat();
    check_until_replayed("begun in 1970", &[&unset], &[(2, RejectReason::NeverSet)]);
}

/// So many rows, one each `step`, of one sensor.
fn paced(from: i64, count: i64, step: i64) -> Vec<i64> {
    (0..count).map(|n| from + n * step).collect()
}

#[test]
fn a_line_up_to_an_hour_ahead_of_its_sensor_is_refused() {
    for ahead in [4, 10, 30, 59, 60] {
        let wrong = |n: i64| if n == 100 { BEGIN + (n + ahead) * MINUTE } else { BEGIN + n * MINUTE };
        let file: Vec<i64> = (0..240).map(wrong).collect();
        check(&format!("{ahead} minutes, in the place of a true one"), &[&file], &[(102, RejectReason::Ahead)]);
        check(
            "between the times of others",
            &[&file[..100], &[file[100] + 31_000], &file[101..]],
            &[(102, RejectReason::Ahead)],
        );
        check("and the file ends soon", &[&file[..105]], &[(102, RejectReason::Ahead)]);
        let four = |n: i64| if (100..104).contains(&n) { BEGIN + (n + ahead) * MINUTE } else { BEGIN + n * MINUTE };
        let lines = [
            (102, RejectReason::Ahead),
            (103, RejectReason::Ahead),
            (104, RejectReason::Ahead),
            (105, RejectReason::Ahead),
        ];
        if ahead > 4 {
            check(
                "the second",
                &[&[BEGIN, BEGIN + ahead * MINUTE], &minutes(BEGIN + 2 * MINUTE, 90)],
                &[(3, RejectReason::Ahead)],
            );
            check("four of them", &[&(0..240).map(four).collect::<Vec<_>>()], &lines);
        }
        check("the first", &[&[BEGIN + ahead * MINUTE], &minutes(BEGIN + MINUTE, 90)], &[(2, RejectReason::Ahead)]);
    }
    let each_tenth = |n: i64| if n % 10 == 9 { BEGIN + (n + 50) * MINUTE } else { BEGIN + n * MINUTE };
    let file: Vec<i64> = (0..240).map(each_tenth).collect();
    let expected: Vec<_> = (0..10).map(|n| (11 + 10 * n, RejectReason::Ahead)).collect();
    check("each tenth", &[&file], &expected);
    for step in [1000, 10_000, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE] {
        let mut file = paced(BEGIN, 8000, step);
        file[40] += 55 * MINUTE;
        let expected = [(42, RejectReason::Ahead)];
        check(&format!("a row each {step} ms"), &[&file[..if step < MINUTE { 8000 } else { 90 }]], &expected);
    }
    check("a day ahead, the first", &[&[BEGIN + DAY], &minutes(BEGIN, 90)], &[(2, RejectReason::Ahead)]);
}

#[test]
fn the_other_sensors_of_a_file_are_no_evidence() {
    // Two boards, one ten minutes ahead, line by line; and one of them has a pause.
    let clocks = |ahead: i64, pause: i64| {
        (0..400i64).flat_map(move |n| {
            let late = if n > 200 { pause } else { 0 };
            [(0, BEGIN + (n + late) * MINUTE), (1, BEGIN + (n + ahead) * MINUTE)]
        })
    };
    for ahead in [3, 10, 59, 90] {
        assert_eq!(rejected(clocks(ahead, 0)), [], "{ahead}");
        assert_eq!(rejected(clocks(ahead, 30)), [], "{ahead}");
    }
    let with_a_wrong_one =
        (0..).zip(clocks(10, 0)).map(|(n, (sensor, at))| (sensor, at + if n == 300 { 40 * MINUTE } else { 0 }));
    assert_eq!(rejected(with_a_wrong_one), [(302, RejectReason::Ahead)]);
    // Twenty sensors each second: the rows of an hour do not fit into the queue.
    let many = (0..2000i64).flat_map(|n| (0..20).map(move |sensor| (sensor, BEGIN + n * 1000)));
    let many = (0..).zip(many).map(|(n, (sensor, at))| (sensor, at + if n == 9000 { 59 * MINUTE } else { 0 }));
    assert_eq!(rejected(many), [(9002, RejectReason::Ahead)]);
}

#[test]
fn true_lines_that_are_ahead_of_others_are_played() {
    let (begin, step) = (minutes(BEGIN, 30), MINUTE);
    for kept in [2, 5, 20, 50] {
        let backlog = [
            begin.clone(),
            vec![BEGIN + (30 + kept) * step],
            minutes(BEGIN + 30 * step, kept),
            minutes(BEGIN + (31 + kept) * step, 60),
        ];
        check(&format!("a live line before a backlog of {kept}"), &[&backlog.concat()], &[]);
        let live = [BEGIN + (30 + kept) * step, BEGIN + (31 + kept) * step];
        check(
            "two live lines before it",
            &[&begin, &live, &minutes(BEGIN + 30 * step, kept), &minutes(BEGIN + (32 + kept) * step, 60)],
            &[],
        );
    }
    for size in [2, 3, 4, 10, 60] {
        let newest_first: Vec<i64> =
            (0..20).flat_map(|burst| (0..size).rev().map(move |n| BEGIN + (burst * size + n) * MINUTE)).collect();
        check(&format!("bursts of {size}, each with its newest first"), &[&newest_first], &[]);
        let slow: Vec<i64> =
            (0..20).flat_map(|burst| (0..size).rev().map(move |n| BEGIN + (burst * size + n) * 10 * MINUTE)).collect();
        check(&format!("slow bursts of {size}"), &[&slow], &[]);
    }
    for step in [10_000, MINUTE, 5 * MINUTE, 30 * MINUTE] {
        let mut swapped: Vec<i64> =
            (0..300).flat_map(|pair| [BEGIN + (2 * pair + 1) * step, BEGIN + 2 * pair * step]).collect();
        check("neighbours in the wrong order", &[&swapped], &[]);
        swapped[100] += 9 * step + 20 * MINUTE;
        let said = of_one(swapped);
        assert!(said.iter().all(|(line, _)| *line == 102), "and one of them is wrong: {said:?}");
    }
    check("pauses", &[&begin, &minutes(BEGIN + 50 * MINUTE, 3), &minutes(BEGIN + 90 * MINUTE, 30)], &[]);
    check("all of it the newest first", &[&minutes(BEGIN, 300).into_iter().rev().collect::<Vec<_>>()], &[]);
    check(
        "one late line",
        &[&begin, &[BEGIN + 40 * MINUTE, BEGIN + 35 * MINUTE], &minutes(BEGIN + 41 * MINUTE, 30)],
        &[],
    );
    let mut state: u64 = 11;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut at = BEGIN;
    let events: Vec<i64> = (0..3000)
        .map(|_| {
            let longest = if next(4) == 0 { 3_000_000 } else { 90_000 };
            at += 1000 + next(longest) as i64;
            at
        })
        .collect();
    check("whenever a value changes", &[&events], &[]);
    for place in [700, 1500, 1800, 2200, 2500] {
        let mut wrong = events.clone();
        wrong[place] += 200 * MINUTE;
        check("and one of them is wrong", &[&wrong], &[(place as u64 + 2, RejectReason::Ahead)]);
    }
}

#[test]
fn a_wide_line_is_refused_as_a_whole() {
    let at = |line: i64| BEGIN + if line == 70 { line + 50 } else { line } * MINUTE;
    // The third of its sensors has a value each seventh line, and some lines have none.
    let sensors = |line: i64| match line {
        _ if line % 7 == 0 => vec![Some(0), Some(1), Some(2)],
        _ if line % 5 == 0 => vec![None],
        _ => vec![Some(0), Some(1)],
    };
    let (mut stamps, mut played) = (TimestampCheck::default(), Vec::new());
    for line in 2..200 {
        for sensor in sensors(line) {
            stamps.push(
                Row { line: line as u64, at_ms: at(line), sensor, value: None, quality: Quality::Good },
                &mut played,
            );
        }
    }
    stamps.finish(&mut played);
    assert_eq!((stamps.rejected.lines, stamps.rejected.shown[0].line), (1, 70));
    assert!(played.iter().all(|row| row.line != 70) && played.is_sorted_by_key(|row| row.line));
}
