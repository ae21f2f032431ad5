//! What a device has too much of is refused with the limit's name, and the rest of its data goes on.

use super::*;

#[test]
fn a_device_begins_a_bounded_number_of_streams_a_day() {
    let mut farm = farm();
    let empty = |stream: u64| batch(u128::from(stream), json!({}));
    for stream in 1..=quota::MAX_STREAMS {
        farm.answer(&empty(stream));
    }
    let next = empty(quota::MAX_STREAMS + 1);
    assert_eq!(farm.refused(&next), BatchRejection::TooManyStreams);
    farm.answer(&empty(quota::MAX_STREAMS));
    farm.now = WallTime(farm.now.0 + quota::STREAMS_WITHIN.0 + 1);
    farm.answer(&next);
}

/// Windows of sensors, one each, from a sequence on.
fn of_sensors(first: u64, names: &[&str]) -> Json {
    let row = |(place, name): (usize, &&str)| {
        let mut row = window(first + place as u64, at(1, place as i64 * 60_000, None), 0, 680);
        row["sensor"] = json!(name);
        row
    };
    rows(&names.iter().enumerate().map(row).collect::<Vec<_>>())
}

#[test]
fn a_sensor_beyond_the_quota_is_named_and_the_others_go_on() {
    let mut farm = farm();
    farm.quota = Quota { sensors: 2, ..Quota::USUAL };
    let limit = "quota: this hub keeps at most 2 sensors of a device";
    let answer = farm.answer(&batch(1, json!({"windows": of_sensors(1, &["a/1", "a/2", "a/3", "a/1"])})));
    let rejected: Vec<(u64, &str)> = answer.rejected.iter().map(|row| (row.seq, row.reason.as_str())).collect();
    assert_eq!(rejected, [(3, limit)]);
    assert_eq!((answer.confirmed[&Lane::Windows], farm.count("windows"), farm.count("sensors")), (4, 3, 2));
    let mut live = batch(1, json!({"windows": of_sensors(5, &["a/2"])}));
    let value = json!({"sensor": "a/4", "quantity": "ph", "at": at(1, 1, None), "value": 1.0, "quality": "good"});
    live.batch.live = serde_json::from_value(json!([value])).unwrap();
    let BatchOutcome::Stored { answer, over_quota, .. } = farm.take(&live) else { panic!("expected an answer") };
    assert_eq!((answer.rejected.len(), over_quota.as_deref(), farm.count("live")), (0, Some(limit), 0));
    assert_eq!(answer.confirmed[&Lane::Windows], 5);
    assert_eq!(devices::get(&farm.connection, farm.device).unwrap().rows, 4, "what is refused is not counted");
}

#[test]
fn the_last_rows_of_the_quota_are_for_events() {
    let mut farm = farm();
    farm.quota = Quota { rows: 200, ..Quota::USUAL };
    let windows = |first: u64, count: u64| {
        rows(&(first..first + count).map(|seq| window(seq, at(1, seq as i64 * 60_000, None), 0, 1)).collect::<Vec<_>>())
    };
    let answer = farm.answer(&batch(1, json!({"windows": windows(1, 250)})));
    assert_eq!((answer.confirmed[&Lane::Windows], farm.count("windows"), answer.rejected.len()), (250, 198, 52));
    assert_eq!(answer.rejected[0].reason, "quota: this hub keeps at most 200 rows of a device");
    let notes: Vec<Json> = (1..=3).map(|seq| note(seq, "x")).collect();
    let answer = farm.answer(&batch(1, json!({"events": rows(&notes)})));
    assert_eq!((farm.count("events"), answer.confirmed[&Lane::Events]), (2, 3));
    assert_eq!((answer.rejected[0].lane, answer.rejected[0].seq), (Lane::Events, 3));
    // What comes again was counted.
    assert_eq!(farm.answer(&batch(1, json!({"windows": windows(1, 198)}))).rejected, []);
}

#[test]
fn a_gap_over_thousands_of_ranges_is_stated_in_parts() {
    let farm = farm();
    let count = quota::MAX_TOUCHED as u64 / 4 + 1;
    let gap = |first: u64, last: u64, kind: &str| json!({"first": first, "last": last, "kind": kind, "reason": "x"});
    for part in 0..4 {
        let first = 2 + part * count;
        let kinds = (first..first + count).map(|seq| gap(seq, seq, if seq % 2 == 0 { "lost" } else { "replaced" }));
        let gaps: Vec<Json> = kinds.collect();
        let lane = json!({"first": first, "last": first + count - 1, "rows": [], "gaps": gaps});
        assert_eq!(farm.confirmed(&batch(1, json!({"windows": lane})), Lane::Windows), 0);
    }
    let over = |last: u64| {
        batch(1, json!({"windows": {"first": 2, "last": last, "rows": [], "gaps": [gap(2, last, "lost")]}}))
    };
    assert_eq!(farm.refused(&over(1 << 60)), BatchRejection::TooManyRanges { lane: Lane::Windows });
    assert_eq!(farm.confirmed(&over(count), Lane::Windows), 0);
    let first = json!({"first": 1, "last": 1, "rows": [], "gaps": [gap(1, 1, "lost")]});
    assert_eq!(farm.confirmed(&batch(1, json!({"windows": first})), Lane::Windows), 4 * count + 1);
    // What is confirmed is not looked at again.
    assert_eq!(farm.confirmed(&over(1 << 60), Lane::Windows), 1 << 60);
}

#[test]
fn a_boot_with_many_rows_before_its_clock_is_known_stays_a_boot_of_its_own() {
    for (count, boots) in [(boots::MAX_MOVED, 1), (boots::MAX_MOVED + 1, 2)] {
        let farm = farm();
        farm.answer(&batch(1, json!({"windows": rows(&[window(1, at(4, 0, Some(MIDNIGHT)), 0, 680)])})));
        let rows_of: Vec<Json> =
            (1..=count).map(|seq| window(seq, at(4, (seq as i64 - 1) * 60_000, None), 0, 1)).collect();
        for part in rows_of.chunks(2_000) {
            farm.answer(&batch(2, json!({"windows": rows(part)})));
        }
        let clock = event(1, "clock", at(4, 1, None), json!({"offset": MIDNIGHT, "source": "ntp"}));
        farm.answer(&batch(2, json!({"events": rows(&[clock])})));
        assert_eq!(farm.count("boots"), boots, "{count} rows");
        assert_eq!(farm.count("windows"), if boots == 1 { count } else { count + 1 });
        let undated = if boots == 1 { 0 } else { boots::MAX_MOVED };
        assert_eq!(farm.count("undated_windows"), undated);
    }
}

/// What a device leaves beside its rows takes room, too.
#[test]
fn gaps_boots_and_refused_rows_are_counted() {
    let mut farm = farm();
    farm.quota = Quota { rows: 100, ..Quota::USUAL };
    let others = |farm: &Farm| devices::get(&farm.connection, farm.device).unwrap().others;
    let gap = |seq: u64, kind: &str| json!({"first": seq, "last": seq, "kind": kind, "reason": "x"});
    let gaps: Vec<Json> = (1..=40).map(|seq| gap(seq, if seq % 2 == 0 { "lost" } else { "replaced" })).collect();
    let lane = batch(1, json!({"events": {"first": 1, "last": 40, "rows": [], "gaps": gaps}}));
    farm.answer(&lane);
    farm.answer(&lane);
    assert_eq!(others(&farm), 40, "what comes again is counted once");
    let windows: Vec<Json> = (1..=150).map(|seq| window(seq, at(1, seq as i64 * 60_000, None), 0, 1)).collect();
    farm.answer(&batch(1, json!({"windows": rows(&windows)})));
    assert_eq!(others(&farm), 40 + 1 + 6, "a boot, and 51 rows over the quota");
    farm.connection.execute("UPDATE devices SET others = ?1", [quota::MAX_OTHERS]).unwrap();
    assert_eq!(farm.refused(&batch(1, json!({}))), BatchRejection::TooManyOthers);
}

/// A version in the report would be shown as the one that runs there.
#[test]
fn a_report_of_a_version_that_no_hub_issues_is_rejected() {
    let farm = farm();
    let said = |version: u64| json!({"version": version, "hash": "0".repeat(64), "outcome": "applied"});
    let of = |seq: u64, version: u64| event(seq, "bundle", at(1, 0, None), said(version));
    let answer = farm.answer(&batch(1, json!({"events": rows(&[of(1, 1 << 48), of(2, (1 << 48) + 1)])})));
    assert_eq!((answer.rejected.len(), answer.rejected[0].seq), (1, 2), "{:?}", answer.rejected);
}
