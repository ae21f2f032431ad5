//! Times of lines, and local times that come twice.

use super::*;

fn clock(form: TimeFormat, zone: &str) -> TimeColumn {
    TimeColumn::new(vec![0], form, TimeZone::get(zone).ok())
}

fn read(clock: &mut TimeColumn, text: &str) -> Result<Moment, Reason> {
    clock.read(|_| Ok(text.as_bytes()))
}

fn at(text: &str) -> Result<Moment, Reason> {
    Ok(Moment::At(text.parse::<Timestamp>().unwrap().as_millisecond()))
}

#[test]
fn a_time_without_a_zone_is_that_of_the_zone_given() {
    let amsterdam = &mut clock(TimeFormat::Civil(DateOrder::Dmy), "Europe/Amsterdam");
    for (text, expected) in [
        ("2026-07-01 12:00", at("2026-07-01T10:00:00Z")),
        ("1.1.2026 12:00", at("2026-01-01T11:00:00Z")),
        ("2026-07-01T12:00:00Z", at("2026-07-01T12:00:00Z")),
        ("2026-07-01 12:00 CEST", at("2026-07-01T10:00:00Z")),
        ("2026-10-25 02:30 CEST", at("2026-10-25T00:30:00Z")),
        ("2026-10-25 02:30 CET", at("2026-10-25T01:30:00Z")),
        ("2026-03-29 02:30", Err(Reason::TimeGap)),
        ("2026-07-01 12:00 IST", Err(Reason::TimeZone)),
        ("13/13/2026 12:00", Err(Reason::TimeOrder)),
        ("noon", Err(Reason::TimeUnlike)),
    ] {
        assert_eq!(read(amsterdam, text), expected, "{text}");
    }
    assert_eq!(read(&mut clock(TimeFormat::Civil(DateOrder::Dmy), "none"), "2026-07-01 12:00"), Err(Reason::TimeNaive));
    let days = &mut clock(TimeFormat::Days, "UTC");
    assert_eq!(read(days, "46113.4166666667"), at("2026-04-01T10:00:00Z"));
    assert_eq!(read(days, "1"), Err(Reason::TimeRange));
}

#[test]
fn numbers_since_1970_are_told_by_their_size() {
    for (text, unit, expected) in [
        ("1767225600", EpochUnit::Seconds, at("2026-01-01T00:00:00Z")),
        ("1767225600.1239", EpochUnit::Seconds, at("2026-01-01T00:00:00.123Z")),
        ("1767225600,5", EpochUnit::Seconds, at("2026-01-01T00:00:00.5Z")),
        ("1767225600123", EpochUnit::Milliseconds, at("2026-01-01T00:00:00.123Z")),
        ("1767225600123456", EpochUnit::Microseconds, at("2026-01-01T00:00:00.123Z")),
        ("1767225600123456789", EpochUnit::Nanoseconds, at("2026-01-01T00:00:00.123Z")),
    ] {
        assert_eq!(EpochUnit::of(text.as_bytes()), Some(unit), "{text}");
        assert_eq!(read(&mut clock(TimeFormat::Epoch(unit), "UTC"), text), expected, "{text}");
    }
    for text in ["", "1", "123456", "1e9", "-5", "2026-01-01", "99999999999999999999999"] {
        assert_eq!(EpochUnit::of(text.as_bytes()), None, "{text}");
    }
    assert_eq!(read(&mut clock(TimeFormat::Epoch(EpochUnit::Seconds), "UTC"), "1767225600123"), Err(Reason::TimeUnit));
}

/// Local times of the night of 2026-10-25 in Amsterdam, each of a series: the UTC minutes after midnight that they are.
fn minutes(rows: &[(usize, &str)]) -> Vec<i64> {
    let clock = &mut clock(TimeFormat::Civil(DateOrder::Dmy), "Europe/Amsterdam");
    let mut repeated_hour = RepeatedHour::default();
    let midnight = "2026-10-25T00:00:00Z".parse::<Timestamp>().unwrap().as_millisecond();
    let rows = rows.iter().zip(2..).map(|((series, time), line)| {
        let moment = read(clock, &format!("2026-10-25 {time}")).unwrap();
        (repeated_hour.decide(moment, *series, line) - midnight) / 60_000
    });
    rows.collect()
}

#[test]
fn the_order_of_the_file_decides_what_was_shown_twice() {
    assert_eq!(
        minutes(&[(0, "01:30"), (0, "02:00"), (0, "02:30"), (0, "02:00"), (0, "02:30"), (0, "03:00")]),
        [-30, 0, 30, 60, 90, 120]
    );
    assert_eq!(minutes(&[(0, "01:00"), (0, "02:00"), (0, "02:00"), (0, "03:00")]), [-60, 0, 60, 120], "hourly");
    assert_eq!(
        minutes(&[(0, "02:00"), (1, "02:00"), (0, "02:00"), (1, "02:00"), (2, "02:30")]),
        [0, 0, 60, 60, 90],
        "long"
    );
    assert_eq!(
        minutes(&[(0, "02:30"), (0, "02:00"), (0, "03:30"), (1, "01:00"), (1, "02:30")]),
        [30, 60, 150, -60, 30],
        "by sensor"
    );
    assert_eq!(
        minutes(&[(0, "01:00"), (0, "01:00"), (0, "02:00"), (0, "02:00")]),
        [-60, -60, 0, 0],
        "stamps that repeat anyway"
    );
    let newest_first =
        [(0, "03:30"), (0, "03:00"), (0, "02:30"), (0, "02:00"), (0, "02:30"), (0, "02:00"), (0, "01:30")];
    assert_eq!(minutes(&newest_first), [150, 120, 90, 60, 30, 0, -30]);
}
