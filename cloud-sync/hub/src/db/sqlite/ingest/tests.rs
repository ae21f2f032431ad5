//! Batches into a store in memory: what is confirmed, kept, refused and dated.
#![expect(clippy::needless_pass_by_value, reason = "JSON is put together from parts that are used once")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tilth_core::id::Id;
use tilth_core::windows::Grain;
use tilth_protocol::{Confirmed, Epoch, GapKind, Stream};

use super::*;
use crate::db::sqlite::merge::Scope;
use crate::db::sqlite::rows::{StoredWindow, TenantId};
use crate::db::sqlite::tests::in_memory;
use crate::domain::ingest::received::RawBatch;

mod cost;
mod limits;
mod upgrade;

const SENSOR: &str = "tower-1/ph";

/// 2025-11-21T00:00:00Z.
const MIDNIGHT: i64 = 1_763_683_200_000;

struct Farm {
    connection: Connection,
    tenant: TenantId,
    device: DeviceId,
    quota: Quota,
    client: ClientState,
    now: WallTime,
}

fn farm() -> Farm {
    let connection = in_memory();
    let now = WallTime(MIDNIGHT);
    let tenant = devices::add_tenant(&connection, &Id::new("acme").unwrap(), now).unwrap().unwrap();
    let device = devices::add(&connection, tenant, &Id::new("pi-7").unwrap(), now).unwrap().unwrap();
    let client = ClientState { confirmed: Confirmed::default(), next_epoch: Epoch(99) };
    Farm { connection, tenant, device, quota: Quota::USUAL, client, now }
}

fn at(boot: u32, uptime: i64, wall: Option<i64>) -> Json {
    json!({"boot": boot, "uptime": uptime, "wall": wall})
}

fn event(seq: u64, kind: &str, at: Json, body: Json) -> Json {
    json!({"seq": seq, "at": at, "kind": kind, "body": body})
}

fn note(seq: u64, text: &str) -> Json {
    event(seq, "note", at(1, seq as i64, None), json!({"text": text}))
}

/// A window of one reading.
fn window(seq: u64, start: Json, revision: u32, value: i64) -> Json {
    let sums = json!({
        "sum": value, "sum_sq": (value * value).to_string(), "min": value, "max": value, "last": value, "last_at": 0,
    });
    json!({
        "seq": seq, "sensor": SENSOR, "quantity": "ph", "resolution": 0.01, "grain": "minute", "start": start,
        "revision": revision, "bad": 0, "count": 1, "sums": sums,
    })
}

/// A lane of rows without gaps.
fn rows(rows: &[Json]) -> Json {
    let seq = |row: Option<&Json>| row.map_or(Json::Null, |row| row["seq"].clone());
    json!({"first": seq(rows.first()), "last": seq(rows.last()), "rows": rows})
}

fn batch(stream: u128, lanes: Json) -> ParsedBatch {
    received(json!({
        "version": 1, "client": "acme", "device": "pi-7", "stream": Stream(stream).to_string(), "epoch": null, "lanes": lanes,
    }))
}

fn received(batch: Json) -> ParsedBatch {
    let raw: RawBatch = serde_json::from_value(batch).unwrap();
    raw.batch.check_ranges().unwrap();
    raw.parse()
}

impl Farm {
    fn take(&self, batch: &ParsedBatch) -> BatchOutcome {
        store(&self.connection, self.device, (batch, &self.client), self.quota, self.now).unwrap()
    }

    fn answer(&self, batch: &ParsedBatch) -> Answer {
        match self.take(batch) {
            BatchOutcome::Stored { answer, .. } => answer,
            BatchOutcome::Rejected(refused) => panic!("refused: {refused:?}"),
        }
    }

    fn confirmed(&self, batch: &ParsedBatch, lane: Lane) -> u64 {
        self.answer(batch).confirmed[&lane]
    }

    fn refused(&self, batch: &ParsedBatch) -> BatchRejection {
        match self.take(batch) {
            BatchOutcome::Rejected(refused) => refused,
            BatchOutcome::Stored { answer, .. } => panic!("taken: {answer:?}"),
        }
    }

    /// All dated windows of the sensor, as (time of day, revision, value in steps).
    fn windows(&self) -> Vec<(i64, u32, i64)> {
        let Some(sensor) = windows::find_sensor(&self.connection, self.device, SENSOR).unwrap() else {
            return Vec::new();
        };
        let boots = boots::dated(&self.connection, self.device).unwrap();
        let (from, to) = (WallTime(i64::MIN), WallTime(i64::MAX));
        // Small pages, so that their ends are walked over.
        let (grain, device) = (Grain::Minute, None);
        let mut query = windows::WindowQuery { sensor: SENSOR.to_owned(), device, grain, from, to, at: None, limit: 2 };
        let mut all: Vec<StoredWindow> = Vec::new();
        loop {
            let (page, next) = windows::range(&self.connection, &boots, sensor, &query).unwrap();
            all.extend(page);
            match next {
                Some(next) => query.at = Some(next),
                None => break,
            }
        }
        all.iter().map(|stored| (stored.wall.0, stored.revision, stored.window.good.unwrap().sum)).collect()
    }

    fn count(&self, table: &str) -> u64 {
        self.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    fn alerts(&self, is_open: bool) -> Vec<(u64, String, bool)> {
        let found = alerts::of_devices(
            &self.connection,
            Scope { tenant: self.tenant, device: None },
            is_open,
            (0, 100),
            self.now,
        )
        .unwrap();
        found.into_iter().map(|alert| (alert.number, alert.state, alert.is_open)).collect()
    }
}

#[test]
fn repeated_reordered_and_old_batches_change_nothing() {
    let farm = farm();
    let all: Vec<Json> = (1..=6).map(|seq| note(seq, "x")).collect();
    let part = |range: std::ops::Range<usize>| batch(1, json!({"events": rows(&all[range])}));
    for (range, expected) in [(2..4, 0), (0..1, 1), (0..1, 1), (1..3, 4), (3..6, 6), (0..2, 6), (2..4, 6), (0..6, 6)] {
        assert_eq!(farm.confirmed(&part(range.clone()), Lane::Events), expected, "{range:?}");
    }
    assert_eq!(farm.count("events"), 6);
    let empty = batch(1, json!({}));
    assert_eq!(farm.answer(&empty).confirmed, [(Lane::Events, 6), (Lane::Windows, 0), (Lane::Diagnostics, 0)].into());
}

#[test]
fn gaps_account_for_what_has_no_row() {
    let farm = farm();
    let lane = json!({
        "first": 1, "last": 9_000_000_000_u64, "rows": [note(3, "x")],
        "gaps": [
            {"first": 1, "last": 2, "kind": "lost", "reason": "damaged block"},
            {"first": 4, "last": 9_000_000_000_u64, "kind": "replaced", "reason": "thinned"},
        ],
    });
    let batch = batch(1, json!({"events": lane}));
    assert_eq!(farm.confirmed(&batch, Lane::Events), 9_000_000_000);
    assert_eq!(farm.confirmed(&batch, Lane::Events), 9_000_000_000);
    assert_eq!(farm.count("events"), 1);
    let stream = streams::find(&farm.connection, farm.device, Stream(1)).unwrap().unwrap();
    assert_eq!(lanes::state(&farm.connection, stream, Lane::Events).unwrap().lost, 2);
}

#[test]
fn other_content_under_a_known_sequence_is_refused_whole() {
    let farm = farm();
    farm.answer(&batch(1, json!({"events": rows(&[note(1, "a"), note(2, "b")])})));
    let other = batch(
        1,
        json!({
            "events": rows(&[note(2, "changed"), note(3, "c")]),
            "windows": rows(&[window(1, at(1, 0, Some(MIDNIGHT)), 0, 680)]),
        }),
    );
    assert_eq!(farm.refused(&other), BatchRejection::Content { lane: Lane::Events, seq: 2 });
    assert_eq!((farm.count("events"), farm.count("windows")), (2, 0), "nothing of it was stored");
    assert_eq!(farm.confirmed(&batch(1, json!({"events": rows(&[note(3, "c")])})), Lane::Events), 3);
    // What the device gave up does not come back.
    let gap =
        json!({"first": 4, "last": 4, "rows": [], "gaps": [{"first": 4, "last": 4, "kind": "lost", "reason": "x"}]});
    farm.answer(&batch(1, json!({"events": gap})));
    let row = batch(1, json!({"events": rows(&[note(4, "d")])}));
    assert_eq!(farm.refused(&row), BatchRejection::Content { lane: Lane::Events, seq: 4 });
}

#[test]
fn two_streams_alive_at_once_are_refused() {
    let mut farm = farm();
    let note = |stream, seq| batch(stream, json!({"events": rows(&[note(seq, "x")])}));
    farm.answer(&note(1, 1));
    assert!(
        matches!(farm.take(&note(2, 1)), BatchOutcome::Stored { is_new_stream: true, .. }),
        "a device may begin a new one"
    );
    assert_eq!(farm.confirmed(&note(1, 1), Lane::Events), 1, "a late packet says nothing new");
    assert_eq!(farm.refused(&note(1, 2)), BatchRejection::TwoStreams);
    assert_eq!(farm.confirmed(&note(2, 2), Lane::Events), 2);
    farm.now = WallTime(farm.now.0 + stream::ALIVE.0 + 1);
    assert_eq!(farm.confirmed(&note(1, 2), Lane::Events), 2, "the other one is silent: an old card was put back");
    assert_eq!(farm.refused(&note(2, 3)), BatchRejection::TwoStreams);
}

#[test]
fn a_row_that_cannot_be_stored_is_named_and_blocks_nothing() {
    let farm = farm();
    let mut broken = window(2, at(1, 60_000, Some(MIDNIGHT)), 0, 680);
    broken["sums"]["max"] = json!(10);
    let lane = rows(&[window(1, at(1, 0, None), 0, 680), broken, window(3, at(1, 120_000, None), 0, 681)]);
    let clock = event(1, "clock", at(1, 0, None), json!({"source": "ntp"}));
    let batch = batch(1, json!({"windows": lane, "events": rows(&[clock, note(2, "x")])}));
    for _ in 0..2 {
        let answer = farm.answer(&batch);
        assert_eq!(answer.confirmed[&Lane::Windows], 3);
        assert_eq!(answer.confirmed[&Lane::Events], 2);
        let said: Vec<_> = answer.rejected.iter().map(|row| (row.lane, row.seq, row.reason.as_str())).collect();
        assert_eq!(
            said,
            [
                (
                    Lane::Events,
                    1,
                    "body: the key offset is missing; expected offset (time of day at uptime zero), source, and error where it is known"
                ),
                (Lane::Windows, 2, "min 680, max 10, last 680: expected the last between the others"),
            ]
        );
        assert_eq!((farm.count("windows"), farm.count("events")), (2, 1));
    }
    let gap = json!({"first": 2, "last": 2, "rows": [], "gaps": [{"first": 2, "last": 2, "kind": "quarantined", "reason": "said so"}]});
    let set_aside = super::tests::batch(1, json!({"windows": gap}));
    assert_eq!(farm.confirmed(&set_aside, Lane::Windows), 3, "as the device states it afterwards");
}

#[test]
fn every_rejected_row_has_a_reason() {
    let fine = || window(1, at(1, 0, Some(MIDNIGHT)), 0, 680);
    let broken = |key: &str, value: Json| {
        let mut row = fine();
        match key.split_once('.') {
            Some((outer, inner)) => row[outer][inner] = value,
            None => row[key] = value,
        }
        let row: WindowRow = serde_json::from_value(row).unwrap();
        validate::window(&row).err().unwrap_or_default()
    };
    for (found, expected) in [
        (broken("revision", json!(1)), ""),
        (broken("resolution", json!(0)), "resolution 0: expected a resolution above 0"),
        (broken("start.wall", json!(-1)), "wall -1: expected a time from 1970 to 9999"),
        (broken("start.uptime", json!(i64::MAX)), "uptime 9223372036854775807: expected at most"),
        (broken("sums.sum", json!(679)), "sum 679 of 1 readings from 680 to 680: expected a mean between them"),
        (broken("sums.min", json!(i64::MIN)), "min -9223372036854775808"),
        (broken("sums.last_at", json!(i64::MIN)), "last_at -9223372036854775808: expected at most"),
    ] {
        assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{found}");
    }
    let said = |kind: &str, body: Json| {
        let event: Event = serde_json::from_value(event(1, kind, at(1, 0, None), body)).unwrap();
        validate::event(&event).err().unwrap_or_default()
    };
    let alert = json!({"zone": "tower-1", "rule": "ph-high", "sensor": SENSOR, "event": "firing", "alert": 1});
    for (found, expected) in [
        (said("note", json!({})), ""),
        (said("Note", json!({})), "kind: expected 1 to 40 of a-z"),
        (said("", json!({})), "kind: expected 1 to 40 of a-z"),
        (said("note", json!({"text": "x".repeat(70_000)})), "body: 70011 bytes; expected at most 65536"),
        (said("clock", json!({"offset": 1, "source": "ntp"})), ""),
        (said("clock", json!({"offset": i64::MAX, "source": "ntp"})), "offset 9223372036854775807: expected"),
        (said("alert", alert), ""),
        (said("alert", json!({})), "body: the key zone is missing; expected zone, rule, sensor and event"),
    ] {
        assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{found}");
    }
}

#[test]
fn windows_are_dated_by_the_newest_word_on_their_boots_clock() {
    let farm = farm();
    let clock = |seq, said_at, offset: i64| {
        event(seq, "clock", at(1, said_at, None), json!({"offset": offset, "source": "ntp"}))
    };
    let undated = [window(1, at(1, 0, None), 0, 680), window(2, at(1, 60_000, None), 0, 681)];
    farm.answer(&batch(1, json!({"windows": rows(&undated)})));
    assert_eq!(farm.windows(), [], "no time of day is known");
    farm.answer(&batch(1, json!({"events": rows(&[clock(1, 70_000, MIDNIGHT)])})));
    assert_eq!(farm.windows(), [(MIDNIGHT, 0, 680), (MIDNIGHT + 60_000, 0, 681)]);
    // A stamp weighs less than a clock event; a later clock event weighs more than an earlier one.
    farm.answer(&batch(1, json!({"windows": rows(&[window(3, at(1, 120_000, Some(5_000_000)), 0, 682)])})));
    assert_eq!(farm.windows()[2], (MIDNIGHT + 120_000, 0, 682));
    let set_right = MIDNIGHT + 3_600_000;
    farm.answer(&batch(1, json!({"events": rows(&[clock(2, 200_000, set_right), clock(3, 150_000, 7)])})));
    let expected = [(set_right, 0, 680), (set_right + 60_000, 0, 681), (set_right + 120_000, 0, 682)];
    assert_eq!(farm.windows(), expected);
    // The same row, with a corrected stamp of the device, is no other content.
    let stamped = [window(1, at(1, 0, Some(set_right)), 0, 680)];
    assert_eq!(farm.confirmed(&batch(1, json!({"windows": rows(&stamped)})), Lane::Windows), 3);
}

#[test]
fn the_highest_revision_of_a_window_stays() {
    let farm = farm();
    let start = || at(1, 0, Some(MIDNIGHT));
    let revisions = [
        window(1, start(), 2, 680),
        window(2, start(), 1, 681),
        window(3, start(), 2, 682),
        window(4, start(), 3, 683),
    ];
    for (upto, expected) in [(1, (2, 680)), (2, (2, 680)), (3, (2, 680)), (4, (3, 683))] {
        farm.answer(&batch(1, json!({"windows": rows(&revisions[upto - 1..upto])})));
        assert_eq!(farm.windows(), [(MIDNIGHT, expected.0, expected.1)]);
    }
}

#[test]
fn a_new_stream_of_the_same_store_does_not_double_history() {
    let farm = farm();
    let dated =
        |seq, minute: i64, value| window(seq, at(4, minute * 60_000, Some(MIDNIGHT + minute * 60_000)), 0, value);
    farm.answer(&batch(1, json!({"windows": rows(&[dated(1, 0, 680), dated(2, 1, 681)])})));
    // Two of the same windows come again under other sequences, one stamped a little otherwise, and one is new.
    let again = window(2, at(4, 60_000, Some(MIDNIGHT + 60_050)), 0, 681);
    farm.answer(&batch(2, json!({"windows": rows(&[dated(1, 0, 680), again, dated(3, 2, 682)])})));
    let values: Vec<i64> = farm.windows().iter().map(|(.., value)| *value).collect();
    assert_eq!(values, [680, 681, 682]);
    assert_eq!(farm.count("boots"), 1);
}

#[test]
fn boots_that_become_one_later_keep_each_window_once() {
    let farm = farm();
    farm.answer(&batch(1, json!({"windows": rows(&[window(1, at(4, 0, Some(MIDNIGHT)), 0, 680), window(2, at(4, 60_000, Some(MIDNIGHT + 60_000)), 1, 681)])})));
    // The new stream's clock is not known yet: this may be another boot.
    let undated = [
        window(1, at(4, 0, None), 1, 690),
        window(2, at(4, 60_000, None), 0, 691),
        window(3, at(4, 120_000, None), 0, 692),
    ];
    farm.answer(&batch(2, json!({"windows": rows(&undated), "events": rows(&[note_at(1, 4)])})));
    assert_eq!((farm.count("boots"), farm.windows().len()), (2, 2));
    let clock = event(2, "clock", at(4, 130_000, None), json!({"offset": MIDNIGHT + 40, "source": "ntp"}));
    farm.answer(&batch(2, json!({"events": rows(&[clock])})));
    assert_eq!(farm.count("boots"), 1);
    assert_eq!(farm.windows(), [(MIDNIGHT, 1, 690), (MIDNIGHT + 60_000, 1, 681), (MIDNIGHT + 120_000, 0, 692)]);
    assert_eq!((farm.count("windows"), farm.count("events")), (3, 2));
    // What comes under the number afterwards goes to the one boot.
    farm.answer(&batch(2, json!({"windows": rows(&[window(4, at(4, 180_000, None), 0, 693)])})));
    assert_eq!(farm.windows().len(), 4);
}

fn note_at(seq: u64, boot: u32) -> Json {
    event(seq, "note", at(boot, 0, None), json!({}))
}

#[test]
fn a_store_made_anew_counts_its_boots_from_one_and_loses_nothing() {
    let farm = farm();
    farm.answer(&batch(1, json!({"windows": rows(&[window(1, at(1, 0, Some(MIDNIGHT)), 0, 680)])})));
    let day = 86_400_000;
    farm.answer(&batch(2, json!({"windows": rows(&[window(1, at(1, 0, Some(MIDNIGHT + day)), 0, 700)])})));
    assert_eq!(farm.windows(), [(MIDNIGHT, 0, 680), (MIDNIGHT + day, 0, 700)]);
    assert_eq!(farm.count("boots"), 2);
}

#[test]
fn the_newest_value_of_the_current_stream_is_live() {
    let farm = farm();
    let with_live = |stream, boot, uptime, value: f64| {
        let mut batch = batch(stream, json!({}));
        let live = json!([{"sensor": SENSOR, "quantity": "ph", "at": at(boot, uptime, None), "value": value, "quality": "good"}]);
        batch.batch.live = serde_json::from_value(live).unwrap();
        batch
    };
    let newest = || {
        let found = latest::newest(&farm.connection, farm.tenant, None, ("", ""), 10).unwrap();
        found.iter().map(|value| (value.sensor.clone(), value.value)).collect::<Vec<_>>()
    };
    for (stream, boot, uptime, value, expected) in [
        (1, 5, 100, 6.8, 6.8),
        (1, 5, 90, 6.7, 6.8),
        (1, 4, 900, 6.6, 6.8),
        (1, 6, 1, 6.9, 6.9),
        // A new store counts from one, and is newer all the same.
        (2, 1, 1, 7.0, 7.0),
        // A late packet of the old one.
        (1, 6, 5, 6.1, 7.0),
    ] {
        farm.answer(&with_live(stream, boot, uptime, value));
        assert_eq!(newest(), [(SENSOR.to_owned(), expected)], "{stream} {boot} {uptime}");
    }
}

#[test]
fn an_alert_stands_where_its_newest_transition_left_it() {
    let mut farm = farm();
    let alert = |seq, number: Option<u64>, rule: &str, state: &str| {
        let body = json!({"alert": number, "zone": "tower-1", "rule": rule, "sensor": SENSOR, "event": state});
        event(seq, "alert", at(1, seq as i64, None), body)
    };
    let send = |farm: &Farm, stream, row: Json| farm.answer(&batch(stream, json!({"events": rows(&[row])})));
    send(&farm, 1, alert(1, None, "ph-high", "pending"));
    assert_eq!(farm.alerts(false), [], "without a number it is none yet");
    send(&farm, 1, alert(3, Some(1), "ph-high", "acknowledged"));
    send(&farm, 1, alert(2, Some(1), "ph-high", "firing"));
    assert_eq!(farm.alerts(true), [(1, "acknowledged".to_owned(), true)], "what is late does not go back");
    send(&farm, 1, alert(4, Some(2), "ec-low", "firing"));
    send(&farm, 1, alert(5, Some(1), "ph-high", "resolved"));
    assert_eq!(farm.alerts(true), [(2, "firing".to_owned(), true)]);
    assert_eq!(farm.alerts(false).len(), 2);
    // A new stream: what it does not state again is forgotten after a day, or when its place is taken.
    send(&farm, 2, alert(1, Some(1), "other", "firing"));
    assert_eq!(farm.alerts(true), [(2, "firing".to_owned(), true), (1, "firing".to_owned(), true)]);
    send(&farm, 2, alert(2, Some(2), "ec-low", "firing"));
    assert_eq!(farm.alerts(true).len(), 2);
    send(&farm, 2, alert(3, Some(2), "ec-low", "resolved"));
    assert_eq!(farm.alerts(true), [(1, "firing".to_owned(), true)]);
    farm.now = WallTime(farm.now.0 + 86_400_001);
    send(&farm, 3, note(1, "x"));
    assert_eq!(farm.alerts(true), [(1, "firing".to_owned(), true)]);
    farm.now = WallTime(farm.now.0 + 86_400_001);
    assert_eq!(farm.alerts(true), []);
}

#[test]
fn a_restored_hub_confirms_what_it_has_under_another_epoch() {
    let farm = farm();
    let all: Vec<Json> = (1..=4).map(|seq| note(seq, "x")).collect();
    let part = |range: std::ops::Range<usize>| batch(1, json!({"events": rows(&all[range])}));
    farm.answer(&part(0..2));
    let before = farm.answer(&part(0..2)).epoch;
    crate::db::sqlite::set_epoch(&farm.connection, Epoch(99)).unwrap();
    // The device, which had been told 4, goes on at 5 and is told to come back; then it sends what is missing.
    let answer = farm.answer(&part(3..4));
    assert_ne!(answer.epoch, before);
    assert_eq!(answer.confirmed[&Lane::Events], 2);
    assert_eq!(farm.confirmed(&part(2..4), Lane::Events), 4);
    assert_eq!(farm.count("events"), 4);
}

/// What a device has in a lane: rows, and what it lost.
fn lane_of(sequences: &[bool], first: usize, last: usize, row: impl Fn(u64) -> Json) -> Json {
    let range = first..=last;
    let rows: Vec<Json> = range.clone().filter(|at| sequences[*at]).map(|at| row(at as u64 + 1)).collect();
    let lost = range.filter(|at| !sequences[*at]).map(|at| at + 1);
    let gaps: Vec<Json> = lost.map(|seq| json!({"first": seq, "last": seq, "kind": "lost", "reason": "x"})).collect();
    json!({"first": first + 1, "last": last + 1, "rows": rows, "gaps": gaps})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Through the store: any order, repetition and split gives the same rows and the same confirmation.
    #[test]
    fn any_course_of_batches_comes_to_the_same(
        sequences in proptest::collection::vec(proptest::bool::weighted(0.85), 1..30),
        sendings in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..25),
    ) {
        let farm = farm();
        let mut seen = BTreeSet::new();
        for (one, other) in sendings {
            let (one, other) = (one.index(sequences.len()), other.index(sequences.len()));
            let (first, last) = (one.min(other), one.max(other));
            let start = |seq: u64| at(1, seq as i64 * 60_000, Some(MIDNIGHT + seq as i64 * 60_000));
            let lanes = json!({
                "events": lane_of(&sequences, first, last, |seq| note(seq, "x")),
                "windows": lane_of(&sequences, first, last, |seq| window(seq, start(seq), 0, seq as i64)),
            });
            let answer = farm.answer(&batch(1, lanes));
            seen.extend(first as u64 + 1..=last as u64 + 1);
            let prefix = (1..).take_while(|seq| seen.contains(seq)).count() as u64;
            prop_assert_eq!(answer.confirmed[&Lane::Events], prefix);
            prop_assert_eq!(answer.confirmed[&Lane::Windows], prefix);
        }
        let rows: Vec<i64> = seen.iter().filter(|seq| sequences[**seq as usize - 1]).map(|seq| *seq as i64).collect();
        let values: Vec<i64> = farm.windows().iter().map(|(.., value)| *value).collect();
        prop_assert_eq!(&values, &rows);
        prop_assert_eq!(farm.count("events"), rows.len() as u64);
    }
}

#[test]
fn kinds_of_gaps_are_kept() {
    let farm = farm();
    for (seq, kind) in [(1, GapKind::Lost), (2, GapKind::Replaced), (3, GapKind::Quarantined)] {
        let gap = json!({"first": seq, "last": seq, "kind": kind, "reason": "x"});
        farm.answer(&batch(1, json!({"events": {"first": seq, "last": seq, "rows": [], "gaps": [gap]}})));
        let stream = streams::find(&farm.connection, farm.device, Stream(1)).unwrap().unwrap();
        let asked = SeqRange { first: seq, last: seq, content: Content::Unreadable };
        let known = lanes::overlapping(&farm.connection, (stream, Lane::Events), &asked, 10).unwrap();
        assert_eq!(known, [SeqRange { first: seq, last: seq, content: Content::Gap(kind, "x".into()) }]);
    }
}

/// Guards against: a database copied back by hand, in whose epoch the devices were confirmed more, and then silence for good.
#[test]
fn a_device_that_was_confirmed_more_begins_another_epoch() {
    let mut farm = farm();
    let batch = |epoch: u128, seq: u64| {
        let mut batch = json!({
            "version": 1, "client": "acme", "device": "pi-7", "stream": Stream(1), "epoch": Epoch(epoch),
            "lanes": {"events": rows(&[note(seq, "x")])},
        });
        if seq == 0 {
            batch["lanes"] = json!({});
        }
        received(batch)
    };
    let mut take = |told: &[(Lane, u64)], epoch: u128, seq: u64| {
        farm.client.confirmed = Confirmed(told.iter().copied().collect());
        match farm.take(&batch(epoch, seq)) {
            BatchOutcome::Stored { answer, behind, .. } => (answer.epoch.0, answer.confirmed[&Lane::Events], behind),
            BatchOutcome::Rejected(refused) => panic!("{refused:?}"),
        }
    };
    let before = |confirmed: u64| [(Lane::Events, confirmed)];
    for (told, epoch, seq, expected) in [
        // In the hub's epoch, which is 7, all that was confirmed is here.
        (before(0), 7, 1, (7, 1, None)),
        (before(1), 7, 2, (7, 2, None)),
        (before(2), 7, 0, (7, 2, None)),
        // A confirmation that was lost on its way.
        (before(1), 7, 0, (7, 2, None)),
        // The device was told more than is here: another epoch, for this device.
        (before(5), 7, 6, (99, 2, Some("events 5, here 2".to_owned()))),
        // What is still on its way in the old epoch is said, and begins nothing.
        (before(9), 7, 0, (99, 2, Some("events 9, here 2".to_owned()))),
        (before(2), 99, 3, (99, 3, None)),
        // An unknown epoch.
        (before(50), 12, 0, (99, 3, Some("events 50, here 3".to_owned()))),
    ] {
        assert_eq!(take(&told, epoch, seq), expected, "{told:?} {epoch} {seq}");
    }
    // The new epoch is of that device alone, and ends with the epoch of all.
    let tenant = farm.tenant;
    let other = devices::add(&farm.connection, tenant, &Id::new("pi-8").unwrap(), farm.now).unwrap().unwrap();
    assert_eq!(devices::epoch(&farm.connection, other).unwrap(), None);
    crate::db::sqlite::set_epoch(&farm.connection, Epoch(8)).unwrap();
    assert_eq!(devices::epoch(&farm.connection, farm.device).unwrap(), None);
}

/// After a restore a higher count is expected and raises no alarm. What is set back afterwards is noticed as before.
#[test]
fn after_a_restore_a_device_may_know_more_until_it_has_heard_of_it() {
    let mut farm = farm();
    crate::db::sqlite::set_epoch(&farm.connection, Epoch(99)).unwrap();
    farm.client.confirmed = Confirmed([(Lane::Windows, 3)].into());
    let behind = |epoch: u128| {
        let batch = json!({
            "version": 1, "client": "acme", "device": "pi-7", "stream": Stream(1), "epoch": Epoch(epoch), "lanes": {},
        });
        match farm.take(&received(batch)) {
            BatchOutcome::Stored { behind, .. } => behind,
            BatchOutcome::Rejected(refused) => panic!("{refused:?}"),
        }
    };
    assert_eq!((behind(7), behind(7)), (None, None));
    assert_eq!(behind(99).as_deref(), Some("windows 3, here 0"));
    assert_eq!(behind(7).as_deref(), Some("windows 3, here 0"));
}

#[test]
fn what_a_device_said_last_is_written_once_a_minute() {
    let mut farm = farm();
    let heard = |farm: &Farm| {
        let stream = streams::find(&farm.connection, farm.device, Stream(1)).unwrap().unwrap();
        let of_device = devices::get(&farm.connection, farm.device).unwrap().last_heard.unwrap();
        let of_stream = streams::last_heard(&farm.connection, stream).unwrap();
        (of_device.0 - MIDNIGHT, of_stream.0 - MIDNIGHT)
    };
    for (after_ms, expected) in
        [(0, 0), (59_999, 0), (60_000, 60_000), (119_999, 60_000), (120_000, 120_000), (-60_000, -60_000)]
    {
        farm.now = WallTime(MIDNIGHT + after_ms);
        farm.answer(&batch(1, json!({})));
        assert_eq!(heard(&farm), (expected, expected), "{after_ms} ms");
    }
    // Another stream speaks for the device at once.
    farm.answer(&batch(2, json!({})));
    let current = devices::get(&farm.connection, farm.device).unwrap().stream;
    assert_eq!(current, streams::find(&farm.connection, farm.device, Stream(2)).unwrap());
}

/// The whole stream may be one that the copy has never heard of.
#[test]
fn a_stream_that_was_confirmed_and_is_not_known_begins_another_epoch() {
    let mut farm = farm();
    farm.client.confirmed = Confirmed([(Lane::Windows, 3)].into());
    let batch = json!({
        "version": 1, "client": "acme", "device": "pi-7", "stream": Stream(9), "epoch": Epoch(7), "lanes": {},
    });
    let BatchOutcome::Stored { answer, behind, .. } = farm.take(&received(batch)) else {
        panic!("expected an answer");
    };
    assert_eq!((answer.epoch, behind.as_deref()), (Epoch(99), Some("windows 3, here 0")));
}
