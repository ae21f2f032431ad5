//! Timelines of stamps and arrivals: each edge of the chart, and the clocks that boards have.

use super::*;

/// The agent runs since an hour; its clock is right.
const START: Uptime = Uptime(3_600_000);
const NOW: i64 = 1_795_000_000_000;

/// Lines as (seconds of arrival, stamp); both in seconds, stamps from [`NOW`] on.
type Lines = Vec<(f64, f64)>;

fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// What becomes of stamps in milliseconds since 1970: `.` its own time counts, a letter says why it does not.
fn verdicts(lines: impl IntoIterator<Item = (f64, i64)>) -> String {
    let mut judge = StampJudge::default();
    let one = |(arrived, stamp): (f64, i64)| {
        let now = (Uptime(START.0 + ms(arrived)), Some(WallTime(NOW + ms(arrived))));
        match judge.judge(WallTime(stamp), now) {
            Ok(()) => '.',
            Err(StampRejection::Ahead) => 'a',
            Err(StampRejection::NeverSet) => 'n',
            Err(StampRejection::Behind) => 'b',
            Err(StampRejection::StandsStill) => 's',
            Err(StampRejection::Counter) => 'c',
            Err(StampRejection::NoClock | StampRejection::NoTime) => '?',
        }
    };
    lines.into_iter().map(one).collect()
}

fn relative(lines: &Lines) -> String {
    verdicts(lines.iter().map(|(arrived, stamp)| (*arrived, NOW + ms(*stamp))))
}

/// So many lines, one every `every` seconds from `at` on, whose stamps begin at `stamp` and go on `pace` times as fast.
fn lines(count: u32, at: f64, every: f64, stamp: f64, pace: f64) -> Lines {
    (0..count).map(|n| (at + f64::from(n) * every, stamp + f64::from(n) * every * pace)).collect()
}

/// So many lines read at once, with stamps so many seconds apart.
fn burst(count: u32, at: f64, stamp: f64, apart: f64) -> Lines {
    (0..count).map(|n| (at, stamp + f64::from(n) * apart)).collect()
}

#[track_caller]
fn check(what: &str, parts: &[(Lines, &str)]) {
    let all: Lines = parts.iter().flat_map(|(lines, _)| lines.clone()).collect();
    let expected: Vec<&str> = parts.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(relative(&all), expected.concat(), "{what}: expected {expected:?}");
}

const HOUR: f64 = 3600.0;

#[test]
fn every_edge_of_the_chart_is_walked() {
    let live = |at: f64| lines(2, at, 1.0, at, 1.0);
    let hour_back = |count, at: f64| lines(count, at, 1.0, at - HOUR, 1.0);
    check("believed to doubted to believed", &[(live(0.0), ".."), (hour_back(3, 2.0), "..."), (live(5.0), "..")]);
    check("doubted to wrong to believed", &[(live(0.0), ".."), (hour_back(7, 2.0), "....bbb"), (live(9.0), "..")]);
    check("doubted to backlog to believed", &[(burst(9, 0.0, -HOUR, 10.0), "........."), (live(1.0), "..")]);
    check(
        "backlog to doubted to backlog: a pause",
        &[
            (burst(5, 0.0, -HOUR, 10.0), "....."),
            (burst(5, 300.0, 50.0 - HOUR, 10.0), "....."),
            (burst(5, 600.0, 100.0 - HOUR, 10.0), "....."),
        ],
    );
    check(
        "backlog to doubted to wrong: it was a clock after all, read in one piece",
        &[(burst(5, 0.0, -HOUR, 1.0), "....."), (lines(40, 1.0, 1.0, 5.0 - HOUR, 1.0), &wrong_within(40, 14))],
    );
    check(
        "backlog to wrong, and no backlog again: a clock whose lines come in bursts",
        &[(kept(2, 30.0, 3.0, HOUR), &".".repeat(20)), (kept(9, 30.0, 3.0, HOUR)[20..].to_vec(), &"b".repeat(70))],
    );
    check(
        "wrong to backlog: what was stored comes from the board whose clock was wrong",
        &[(hour_back(6, 0.0), "....bb"), (burst(9, 7.0, -3.0 * HOUR, 60.0), "bbbb.....")],
    );
}

/// At most so many lines that are believed, then none.
fn wrong_within(lines: usize, believed: usize) -> String {
    ".".repeat(believed) + &"b".repeat(lines - believed)
}

#[test]
fn a_clock_that_is_wrong_is_found_within_five_lines() {
    for (what, back) in
        [("twelve minutes", 720.0), ("an hour", HOUR), ("five hours", 5.0 * HOUR), ("a week", 168.0 * HOUR)]
    {
        for every in [0.1, 0.5, 1.0, 2.0, 5.0] {
            check(&format!("{what}, each {every} s"), &[(lines(8, 0.0, every, -back, 1.0), "....bbbb")]);
        }
        // With slow lines the second is enough: nothing is silent for long.
        for every in [30.0, 60.0, 300.0, 1800.0] {
            check(&format!("{what}, each {every} s"), &[(lines(4, 0.0, every, -back, 1.0), ".bbb")]);
        }
    }
    check(
        "in whole seconds",
        &[((0..9).map(|n| (f64::from(n) * 0.7, (f64::from(n) * 0.7).floor() - HOUR)).collect(), "....bbbbb")],
    );
    check("slower than time", &[(lines(7, 0.0, 60.0, -HOUR, 0.2), "....bbb")]);
    check("a little faster than time", &[(lines(6, 0.0, 60.0, -HOUR, 1.1), ".bbbbb")]);
    check("it stands still", &[(lines(7, 0.0, 1.0, -HOUR, 0.0), "....sss")]);
    check("it stands still, with slow lines", &[(lines(4, 0.0, 60.0, -HOUR, 0.0), ".sss")]);
    check("it stands still from now on", &[(lines(16, 0.0, 60.0, 0.0, 0.0), "............ssss")]);
    check(
        "to and fro",
        &[(
            [0.0, -50.0, 20.0, -30.0, 7.0, -9.0]
                .iter()
                .zip(0..)
                .map(|(stamp, at)| (f64::from(at), stamp * 1000.0 - 1e6))
                .collect(),
            "....bb",
        )],
    );
}

#[test]
fn clocks_that_were_never_set_are_known_at_once() {
    for (what, first_ms, expected) in [
        ("1970", 5000, 'n'),
        ("GPS weeks from 1980", 315_964_800_000, 'n'),
        ("2000, as real-time clocks begin", 946_684_800_000, 'n'),
        ("seconds since 2000 taken for since 1970", NOW - 946_684_800_000, 'n'),
        ("seconds since 1980 taken for since 1970", NOW - 315_964_800_000, 'n'),
        ("GPS weeks rolled over", NOW - 1024 * 7 * 86_400_000, 'n'),
        ("seconds since 1904 taken for since 1970", NOW + 2_082_844_800_000, 'a'),
        ("seconds since 1900 taken for since 1970", NOW + 2_208_988_800_000, 'a'),
        ("2036", 2_085_978_496_000, 'a'),
        ("2038", 2_147_483_647_000, 'a'),
        ("2106", 4_294_967_295_000, 'a'),
        ("2165", 6_171_000_000_000, 'a'),
        ("local time for UTC, east", NOW + 7_200_000, 'a'),
        ("a day ahead", NOW + 86_400_000, 'a'),
        ("three minutes ahead", NOW + 180_000, 'a'),
    ] {
        let said = verdicts((0..6).map(|n| (f64::from(n), first_ms + i64::from(n) * 1000)));
        assert_eq!(said, String::from(expected).repeat(6), "{what}");
    }
}

#[test]
fn a_step_forward_and_back_costs_what_lies_between() {
    let mut all = lines(3, 0.0, 1.0, 0.0, 1.0);
    all.extend(lines(3, 3.0, 1.0, 86_400.0, 1.0));
    all.extend(lines(3, 6.0, 1.0, 6.0, 1.0));
    assert_eq!(relative(&all), "...aaa...");
}

#[test]
fn a_backlog_keeps_its_times() {
    check("hours in one piece", &[(burst(500, 0.0, -5.0 * HOUR, 30.0), &".".repeat(500))]);
    check("ten a second", &[(lines(500, 0.0, 0.1, -5.0 * HOUR, 100.0), &".".repeat(500))]);
    check("ten times as fast as it was", &[(lines(400, 0.0, 1.0, -2.0 * HOUR, 10.0), &".".repeat(400))]);
    check("twice as fast as it was", &[(lines(400, 0.0, 5.0, -2.0 * HOUR, 2.0), &".".repeat(400))]);
    check("five minutes of data a second", &[(lines(50, 0.0, 1.0, -5.0 * HOUR, 300.0), &".".repeat(50))]);
    check("ten lines a second of data ten times a second", &[(burst(50, 0.0, -HOUR, 0.1), &".".repeat(50))]);
    let bursts: Lines =
        (0..60).flat_map(|n| burst(5, f64::from(n) * 20.0, f64::from(n) * 100.0 - 4.0 * HOUR, 20.0)).collect();
    check("five lines each twenty seconds", &[(bursts, &".".repeat(300))]);
    let handshake = [burst(1, 0.0, -HOUR, 1.0), burst(50, 60.0, 10.0 - HOUR, 10.0)].concat();
    check("one line, then a minute's pause", &[(handshake, &".".repeat(51))]);
    let newest_first: Lines = (0..60).map(|n| (f64::from(n) * 0.05, -700.0 - f64::from(n) * 60.0)).collect();
    check("the newest first", &[(newest_first, &".".repeat(60))]);
    let shuffled: Lines = (0..60).map(|n| (0.0, f64::from(n ^ 1) * 30.0 - 3.0 * HOUR)).collect();
    check("pairs in the wrong order", &[(shuffled, &".".repeat(60))]);
}

#[test]
fn a_backlog_between_live_lines_keeps_its_times() {
    let one_by_one: Lines = (0..300)
        .flat_map(|n| {
            let at = f64::from(n);
            [(at, at), (at + 0.5, at * 1.0 - 3.0 * HOUR)]
        })
        .collect();
    check("one old for each new, never catching up", &[(one_by_one, &".".repeat(600))]);
    let ten_to_one: Lines = (0..60)
        .flat_map(|n| {
            let at = f64::from(n) * 10.0;
            let mut part = lines(10, at, 1.0, f64::from(n) * 100.0 - 3.0 * HOUR, 10.0);
            part.push((at + 9.5, at + 9.5));
            part
        })
        .collect();
    check("ten old for each new", &[(ten_to_one, &".".repeat(660))]);
}

#[test]
fn a_board_that_restarts_within_a_backlog_costs_its_own_lines_alone() {
    let backlog = |at: f64, stamp: f64| burst(20, at, stamp - 3.0 * HOUR, 10.0);
    let all = [backlog(0.0, 0.0), lines(20, 0.1, 0.1, -NOW as f64 / 1000.0, 1.0), backlog(3.0, 200.0)].concat();
    assert_eq!(relative(&all), [".".repeat(20), "n".repeat(20), ".".repeat(20)].concat());
}

/// `millis()` in a field that is called time: below 1e8 it is a count, above it looks like seconds since 1970.
#[test]
fn a_counter_stays_one() {
    let counter = |start_ms: i64, count: u32, every_ms: i64| {
        verdicts((0..count).map(|n| {
            let passed = i64::from(n) * every_ms;
            (passed as f64 / 1000.0, (start_ms + passed) * 1000)
        }))
    };
    assert_eq!(counter(99_990_000, 20, 1000), format!("nnn{}", "c".repeat(17)), "over 1e8");
    // Twenty days on, as seconds it is about now; found before, it is none.
    let near_now = NOW / 1000 - 40_000;
    assert_eq!(counter(near_now, 60, 1000)[4..], "c".repeat(56));
    assert_eq!(counter(4_000_000_000, 20, 2000)[4..], "c".repeat(16), "as seconds after 2096");
    let micros = verdicts((0..20).map(|n| (f64::from(n), (150_000_000 + i64::from(n) * 1_000_000) * 1000)));
    assert_eq!(micros[4..], "c".repeat(16));
    let mut judge = StampJudge::default();
    for n in 0..5 {
        let _ = judge.judge(WallTime(n * 1_000_000), (Uptime(n * 1000), Some(WallTime(NOW + n * 1000))));
    }
    let near = judge.judge(WallTime(NOW + 5000), (Uptime(5000), Some(WallTime(NOW + 5000))));
    assert_eq!(near, Err(StampRejection::Counter), "by chance it is right for a moment");
}

/// `time(nullptr)` before SNTP answers: seconds since the board's start, then the time of day.
#[test]
fn a_counter_on_a_fast_board_is_found_within_seconds() {
    // A board that is up for 20 days: its milliseconds are taken for seconds of 2026.
    let start = 1_780_000_000_i64;
    for (every_ms, at_once) in [(200, 1), (100, 1), (20, 1), (10, 1), (50, 10), (100, 5), (333, 2)] {
        let count = 10_000 / every_ms;
        let arrived = |n: i64| (n / at_once * at_once) as f64 * every_ms as f64 / 1000.0;
        let found = verdicts((0..count).map(|n| (arrived(n), (start + n * every_ms) * 1000)));
        let first = found.find('c').unwrap_or_else(|| panic!("every {every_ms} ms, {at_once} at once: {found}"));
        assert!(arrived(first as i64) <= 5.0, "every {every_ms} ms, {at_once} at once: {found}");
        assert!(found[first..].bytes().all(|verdict| verdict == b'c'), "{found}");
    }
    // A backlog that is sent as fast is none.
    let backlog = verdicts((0..50).map(|n| (n as f64 * 0.2, NOW - 3_600_000 + n * 60_000)));
    assert_eq!(backlog, ".".repeat(50));
}

#[test]
fn a_clock_that_is_set_later_is_believed_from_then_on() {
    let unset = (0..30).map(|n| (f64::from(n), i64::from(n) * 1000));
    let set = (30..40).map(|n| (f64::from(n), NOW + i64::from(n) * 1000));
    assert_eq!(verdicts(unset.chain(set)), "n".repeat(30) + &".".repeat(10));
}

#[test]
fn without_a_trusted_clock_nothing_is_known() {
    let mut judge = StampJudge::default();
    assert_eq!(judge.judge(WallTime(NOW), (START, None)), Err(StampRejection::NoClock));
    assert_eq!(judge.judge(WallTime(5), (START, None)), Err(StampRejection::NoClock));
    assert_eq!(judge.judge(WallTime(NOW), (START, Some(WallTime(NOW)))), Ok(()), "it leaves no trace");
    // The agent's own clock is older than the agent: nothing is held against a stamp that is as old.
    let old = WallTime(EARLIEST.0 - 86_400_000);
    assert_eq!(judge.judge(old, (START, Some(old))), Ok(()));
    assert_eq!(judge.judge(WallTime(old.0 - 3_600_000), (START, Some(old))), Ok(()), "a backlog, perhaps");
}

/// Bursts of lines that a board kept: so many bursts, one every `every` seconds, each with the lines since the one before, that
/// are `apart` seconds apart, by a clock that is `back` seconds behind.
fn kept(bursts: u32, every: f64, apart: f64, back: f64) -> Lines {
    let count = (every / apart).floor() as u32;
    (1..=bursts)
        .flat_map(|burst| {
            let at = f64::from(burst) * every;
            (0..count).map(move |n| (at, at - back - f64::from(count - 1 - n) * apart))
        })
        .collect()
}

#[test]
fn a_wrong_clock_is_found_though_its_lines_come_in_bursts() {
    for back in [720.0, HOUR, 9.0 * 24.0 * HOUR, 200.0 * 24.0 * HOUR] {
        for (every, apart) in [
            (30.0, 3.0),
            (30.0, 1.0),
            (30.0, 10.0),
            (60.0, 20.0),
            (300.0, 60.0),
            (300.0, 10.0),
            (900.0, 60.0),
            (10.0, 1.0),
            (20.0, 0.1),
            (3600.0, 300.0),
        ] {
            let lines = kept(40, every, apart, back);
            let of_burst = lines.len() / 40;
            let said = relative(&lines);
            let what = format!("{back} s back, each {every} s lines of {apart} s: {said}");
            let believed = said.find('b').unwrap_or(said.len());
            assert!(believed <= 4 * of_burst.max(2) && said[believed..].bytes().all(|one| one == b'b'), "{what}");
        }
    }
    let newest_first: Lines = (1..20)
        .flat_map(|burst| (0..10).map(move |n| (f64::from(burst) * 30.0, f64::from(burst * 30 - n * 3) - HOUR)))
        .collect();
    let said = relative(&newest_first);
    assert!(
        said.find('b').is_some_and(|place| place <= 20) && said.ends_with(&"b".repeat(170)),
        "the newest first: {said}"
    );
    // Uploads are late or early, and a burst has a line more or less.
    for (every, off, apart) in [(60, 6, 10), (573, 20, 115), (597, 50, 119), (568, 30, 95), (3600, 300, 300)] {
        let mut sent = -1;
        let uneven: Lines = (1..60)
            .flat_map(|burst: i32| {
                let at = burst * every + (burst * 7 % 13 - 6) * off / 6;
                let from = std::mem::replace(&mut sent, (at - 1) / apart);
                (from + 1..=sent).map(move |n| (f64::from(at), f64::from(n * apart) - 19.0 * HOUR)).collect::<Lines>()
            })
            .collect();
        let said = relative(&uneven);
        let most = 4 * every / apart;
        let found = |place: usize| place <= most as usize && said[place..].bytes().all(|one| one == b'b');
        assert!(said.find('b').is_some_and(found), "each {every} s: {said}");
    }
}

#[test]
fn a_backlog_in_bursts_keeps_its_times() {
    // A gateway sends a part of what it kept again and again; the parts are of so many lines, so many seconds apart.
    for (every, lines, apart) in [
        (20.0, 5, 20.0),
        (30.0, 10, 10.0),
        (60.0, 30, 60.0),
        (300.0, 100, 60.0),
        (30.0, 50, 1.0),
        (5.0, 10, 3.0),
        (60.0, 3, 60.0),
    ] {
        let part = f64::from(lines) * apart;
        let count = (8.0 * HOUR / part) as u32;
        let all: Lines = (0..count)
            .flat_map(|n| burst(lines, f64::from(n) * every, f64::from(n) * part - 20.0 * HOUR, apart))
            .collect();
        check(&format!("{lines} lines of {apart} s each {every} s"), &[(all.clone(), &".".repeat(all.len()))]);
        // The network fails for a while in the middle.
        for outage in [part * 3.0, part * 10.0, HOUR] {
            let half = all.len() / 2 / lines as usize * lines as usize;
            let with_outage: Lines = all[..half]
                .iter()
                .copied()
                .chain(all[half..].iter().map(|(at, stamp)| (at + outage, *stamp)))
                .collect();
            check(
                &format!("{lines} lines of {apart} s each {every} s, an outage of {outage} s"),
                &[(with_outage, &".".repeat(all.len()))],
            );
        }
    }
}

#[test]
fn a_board_in_bursts_may_set_its_clock_and_send_what_it_kept() {
    let wrong = kept(10, 30.0, 3.0, 9.0 * 24.0 * HOUR);
    let right: Lines = kept(5, 30.0, 3.0, 0.0).into_iter().map(|(at, stamp)| (at + 300.0, stamp + 300.0)).collect();
    check("set", &[(wrong.clone(), &[".".repeat(20), "b".repeat(80)].concat()), (right, &".".repeat(50))]);
    let stored = burst(300, 320.0, -20.0 * 24.0 * HOUR, 10.0);
    check(
        "what it kept from before its clock went wrong",
        &[(wrong, &[".".repeat(20), "b".repeat(80)].concat()), (stored, &["b".repeat(7), ".".repeat(293)].concat())],
    );
    // What the board kept while its clock was right, that is nearer to now than its clock is.
    let wrong = kept(10, 30.0, 3.0, 9.0 * 24.0 * HOUR);
    let stored = burst(300, 320.0, -2.0 * HOUR, 10.0);
    let said = relative(&[wrong, stored].concat());
    assert!(said[100..].find('.').is_some_and(|place| place <= 8) && said.ends_with(&".".repeat(290)), "{said}");
}
