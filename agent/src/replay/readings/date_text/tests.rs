//! Texts of times, each with what it says.

use super::*;

#[track_caller]
fn check(text: &str, order: DateOrder, expected: &str) {
    let stamp = DateText::of(text).unwrap_or_else(|| panic!("{text:?} is no stamp"));
    let civil = stamp.civil(order).unwrap_or_else(|| panic!("{text:?} is no day: {stamp:?}"));
    let zone = match stamp.zone {
        None => String::new(),
        Some(Zone::Offset(offset)) => format!(" {}", offset.seconds()),
        Some(Zone::Name(name)) => format!(" {name}"),
    };
    assert_eq!(format!("{civil}{zone}"), expected, "{text:?}");
}

#[test]
fn dates_and_times_in_their_usual_orders() {
    use DateOrder::{Dmy, Mdy, Ymd};
    for (text, order, expected) in [
        ("31.12.2026 23:05", Dmy, "2026-12-31T23:05:00"),
        ("1.2.2026 9:05:07", Mdy, "2026-02-01T09:05:07"),
        ("31.12.26, 23:05:07,250", Dmy, "2026-12-31T23:05:07.25"),
        ("31/12/2026 23:05", Dmy, "2026-12-31T23:05:00"),
        ("31/12/2026 23.05.07", Dmy, "2026-12-31T23:05:07"),
        ("31/12/2026 23h05", Dmy, "2026-12-31T23:05:00"),
        ("2026123123", Dmy, "2026-12-31T23:00:00"),
        ("12/31/2026 11:05 PM", Mdy, "2026-12-31T23:05:00"),
        ("12/31/26 12:05:00 AM", Mdy, "2026-12-31T00:05:00"),
        ("12/31/2026 12:05 p.m.", Mdy, "2026-12-31T12:05:00"),
        ("12/31/26 11:05p", Mdy, "2026-12-31T23:05:00"),
        ("26-12-31 23:05", Ymd, "2026-12-31T23:05:00"),
        ("2026/12/31 23:05", Dmy, "2026-12-31T23:05:00"),
        ("2026-12-31T23:05:07.123456789", Mdy, "2026-12-31T23:05:07.123"),
        ("2026-12-31 24:00", Dmy, "2027-01-01T00:00:00"),
        ("20261231230507", Dmy, "2026-12-31T23:05:07"),
        ("20261231 23:05", Dmy, "2026-12-31T23:05:00"),
        ("31-Dec-2026 23:05", Mdy, "2026-12-31T23:05:00"),
        ("31 déc. 2026 23:05", Dmy, "2026-12-31T23:05:00"),
        ("Dec 31, 2026 11:05 PM", Dmy, "2026-12-31T23:05:00"),
        ("5. Mai 2026 23:05", Dmy, "2026-05-05T23:05:00"),
        ("Thu, 31 Dec 2026 23:05:07 GMT", Dmy, "2026-12-31T23:05:07 0"),
        ("23:05 31.12.2026", Dmy, "2026-12-31T23:05:00"),
        ("2026-12-31 23:05:07 UTC", Dmy, "2026-12-31T23:05:07 0"),
        ("2026-12-31 23:05 +0100", Dmy, "2026-12-31T23:05:00 3600"),
        ("2026-12-31T23:05:07-08:00", Dmy, "2026-12-31T23:05:07 -28800"),
        ("2026-12-31 23:05 UTC+2", Dmy, "2026-12-31T23:05:00 7200"),
        ("2026-12-31 23:05 CET", Dmy, "2026-12-31T23:05:00 CET"),
        ("2026-12-31", Dmy, "2026-12-31T00:00:00"),
        ("31.12.2026 0830", Dmy, "2026-12-31T08:30:00"),
        ("31.12.2026 24:00", Dmy, "2027-01-01T00:00:00"),
    ] {
        check(text, order, expected);
    }
}

#[test]
fn what_is_no_time() {
    for text in [
        "",
        "-",
        "21.5",
        "1.234",
        "1.234.567",
        "12-30",
        "soon",
        "2026",
        "1735689600000",
        "2026-13-01",
        "31.2.2026",
        "10:60",
        "25:00",
        "10:5",
        "13:00 PM",
        "a/t",
        "2026-12-31 x",
        "2026-12-31 10:00 x",
        "1/2",
        "05/11",
        "192.168.1.1",
        "10:00:00:00",
        "5 V",
        "x 5",
        "2026-11-26T13:50-922337203685477580820",
        "01.06.2026 25:30",
        "01.06.2026 7:60",
        "2026-06-01 11:75:00",
        "2026-06-01 12:30:75",
        "01.06.2026 13:30 PM",
        "01.06.2026 2530",
        "01.06.2026 99:10",
    ] {
        assert_eq!(
            DateText::of(text).and_then(|stamp| stamp
                .day
                .map_or(Some(true), |day| { day.date(DateOrder::Dmy).or(day.date(DateOrder::Mdy)).map(|_| true) })),
            None,
            "{text:?}"
        );
    }
    assert_eq!(DateText::of("10:05").map(|stamp| (stamp.day, stamp.time_ms)), Some((None, Some(36_300_000))));
}

#[test]
fn numbers_that_fit_one_order_only() {
    let day = DateText::of("31/12/2026").and_then(|stamp| stamp.day).unwrap();
    assert_eq!((day.date(DateOrder::Mdy), day.date(DateOrder::Ymd)), (None, None));
    assert!(day.date(DateOrder::Dmy).is_some());
}
