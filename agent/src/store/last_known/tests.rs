use super::*;

fn known() -> LastKnown {
    LastKnown {
        database: "a".to_owned(),
        boot: 7,
        lanes: [(Lane::Events, 100), (Lane::Windows, 50)].into(),
        alerts_through: 140,
        at: None,
        is_open: true,
    }
}

fn found(events: u64, boot: u32, log: Log) -> (LastKnown, Log) {
    (LastKnown { boot, lanes: [(Lane::Events, events), (Lane::Windows, 50)].into(), ..known() }, log)
}

#[test]
fn a_database_that_is_behind_what_was_known_has_lost_something() {
    let another = LastKnown { database: "b".to_owned(), ..found(900, 9, Log::Whole).0 };
    let table = [
        ("as it was", found(100, 7, Log::Whole), None),
        ("further on: it was noted before", found(120, 8, Log::Whole), None),
        (
            "fewer events",
            found(99, 7, Log::Whole),
            Some("or is an older copy (events end with 99, and 100 were known)"),
        ),
        ("an older boot", found(100, 6, Log::Whole), Some("or is an older copy (boot 7 was known)")),
        ("no log", found(100, 7, Log::Absent), Some("tilth.db-wal was not there")),
        ("a log of no bytes", found(100, 7, Log::Empty), Some("tilth.db-wal was empty")),
        ("a log of zeros", found(40, 7, Log::Unreadable), Some("tilth.db-wal was overwritten")),
        ("an unfinished log", found(100, 7, Log::Unfinished), Some("tilth.db-wal ends within a transaction")),
        ("a log that was cut", found(99, 7, Log::Unfinished), Some("(events end with 99, and 100 were known)")),
        ("a damaged log", found(100, 7, Log::Damaged(3)), Some("damaged, 3 commits from its end")),
        ("another", (another, Log::Whole), Some("another database")),
    ];
    for (what, (found, log), expected) in table {
        let reason = known().lost_in(&found, log).map(|lost| lost.reason);
        match expected {
            None => assert_eq!(reason, None, "{what}"),
            Some(part) => {
                assert!(reason.as_ref().is_some_and(|reason| reason.contains(part)), "{what}: {reason:?}");
            }
        }
    }
}

#[test]
fn after_a_clean_end_there_is_no_log() {
    let known = LastKnown { is_open: false, ..known() };
    for log in [Log::Absent, Log::Empty] {
        assert_eq!(known.lost_in(&found(100, 7, log).0, log), None);
    }
}

#[test]
fn what_is_missing_is_dated() {
    let at = |seconds: i64| Some(WallTime(1_772_323_200_000 + seconds * 1000));
    let lost = |is_all, from, until| {
        let amount = if is_all { LossAmount::All } else { LossAmount::Part };
        LostHistory { reason: "why".to_owned(), from, until, amount }
    };
    let table = [
        (
            lost(true, None, at(0)),
            at(60),
            "history before 2026-03-01T00:01:00Z is missing: why; it was recorded at least until 2026-03-01T00:00:00Z",
        ),
        (lost(true, None, None), None, "history before this start is missing: why"),
        (
            lost(false, at(0), at(60)),
            at(90),
            "history from 2026-03-01T00:00:00Z to 2026-03-01T00:01:00Z is missing: why",
        ),
        (lost(false, at(0), None), at(90), "history after 2026-03-01T00:00:00Z is missing: why"),
        (lost(false, None, at(60)), at(90), "some history before 2026-03-01T00:01:00Z is missing: why"),
    ];
    for (lost, now, expected) in table {
        assert_eq!(lost.said(now, |at| at.to_string()), expected);
    }
    let unsure = LostHistory { amount: LossAmount::PerhapsPart, ..lost(false, at(0), None) };
    assert_eq!(unsure.said(None, |at| at.to_string()), "history after 2026-03-01T00:00:00Z may be missing: why");
}

#[test]
fn it_is_noted_with_events_and_now_and_then_but_not_with_each_of_a_storm() {
    let mut notes = NoteSchedule::default();
    let at = |seconds: i64| Uptime(seconds * 1000);
    assert!(notes.is_due(at(0), 0), "at the start");
    assert!(!notes.is_due(at(300), 0), "windows alone");
    assert!(notes.is_due(at(600), 0), "now and then");
    assert!(notes.is_due(at(601), 1), "an event");
    let storm = (0..1000).filter(|number| notes.is_due(Uptime(601_000 + number * 10), 2 + number.unsigned_abs()));
    assert_eq!(storm.count(), 9);
    assert!(notes.is_due(at(640), 5000), "the last of it");
}
