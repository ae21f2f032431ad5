use serde_json::{Value as Json, json};

use super::*;

fn window(seq: u64) -> Json {
    json!({
        "seq": seq, "sensor": "tower-1/ph", "quantity": "ph", "resolution": 0.01, "grain": "minute",
        "start": {"boot": 1, "uptime": 0, "wall": null}, "revision": 0, "bad": 1, "count": 0,
    })
}

fn raw(windows: &Json, live: &Json, more: &str) -> RawBatch {
    let head = r#""version":1,"client":"acme","device":"pi-7","epoch":null"#;
    let stream = format!("{:032x}", 1);
    let text = format!(r#"{{{head},"stream":"{stream}",{more}"lanes":{{"windows":{windows}}},"live":{live}}}"#);
    serde_json::from_str(&text).unwrap()
}

fn read(rows: &[Json], live: &Json, more: &str) -> ParsedBatch {
    let raw = raw(&json!({"first": 1, "last": rows.len(), "rows": rows}), live, more);
    raw.batch.check_ranges().unwrap();
    raw.parse()
}

#[test]
fn what_a_newer_agent_adds_is_counted_and_the_rest_is_read() {
    let mut row = window(1);
    row["shape"] = json!({"of": [1]});
    row["start"]["leap"] = json!(0);
    let live = json!([{"sensor": "tower-1/ph", "quantity": "ph", "at": row["start"], "value": 1, "quality": "superb"}]);
    let received = read(&[row, window(2)], &live, r#""mood":"good","rest":{},"#);
    assert_eq!(received.batch.lanes.windows.unwrap().rows.len(), 2);
    assert_eq!((received.unreadable, received.batch.live), (vec![], vec![]));
    assert_eq!(received.unknown_keys, 5, "two of the batch, two of a row, one live value");
}

/// Guards against: a batch that is refused again and again, and with it all that the device has, for one gap.
#[test]
fn a_gap_of_a_kind_that_a_newer_agent_has_counts_as_lost_and_names_its_kind() {
    let gap = |seq: u64, kind: &str| json!({"first": seq, "last": seq, "kind": kind, "reason": "above the limit"});
    let gaps = [gap(2, "thinned"), gap(3, "replaced")];
    let raw = raw(&json!({"first": 1, "last": 4, "rows": [window(1), window(4)], "gaps": gaps}), &json!([]), "");
    raw.batch.check_ranges().unwrap();
    let received = raw.parse();
    let windows = received.batch.lanes.windows.unwrap();
    let gaps: Vec<_> = windows.gaps.iter().map(|gap| (gap.kind, gap.reason.as_str())).collect();
    assert_eq!(gaps, [(GapKind::Lost, "thinned: above the limit"), (GapKind::Replaced, "above the limit")]);
    assert_eq!((windows.rows.len(), received.unreadable, received.unknown_keys), (2, vec![], 1));
}

#[test]
fn a_row_that_cannot_be_read_is_named_and_the_others_are_there() {
    let wrong = |key: &str, value: Json| {
        let mut row = window(2);
        row[key] = value;
        row
    };
    for (row, expected) in [
        (wrong("quantity", json!("mood")), "quantity: unknown word mood; expected one of temperature, "),
        (wrong("count", json!(-1)), "count: found -1, expected a whole number that fits"),
        (wrong("sensor", json!("A/b")), "sensor: sensor \"A/b\" contains 'A'"),
        (json!({"seq": 2}), "the key sensor is missing"),
    ] {
        let received = read(&[window(1), row.clone(), window(3)], &json!([]), "");
        let seqs: Vec<u64> = received.batch.lanes.windows.unwrap().rows.iter().map(|row| row.seq).collect();
        let [unreadable] = received.unreadable.as_slice() else { panic!("{row}") };
        assert_eq!((seqs, unreadable.lane, unreadable.seq), (vec![1, 3], Lane::Windows, 2));
        assert!(
            unreadable.reason.starts_with(expected) && !unreadable.reason.contains("line 1"),
            "{}",
            unreadable.reason
        );
        assert_eq!(serde_json::from_str::<Json>(&unreadable.text).unwrap(), row);
    }
}

#[test]
fn a_row_without_a_sequence_has_the_one_of_its_place() {
    let changed = |key: &str, value: Json| {
        let mut row = window(3);
        row[key] = value;
        row
    };
    let as_list = json!([9, "tower-1/ph", "ph", 0.01, "minute", {"boot": 1, "uptime": 0, "wall": null}, 0, 1, 0, null]);
    let gap = |seq: u64| json!({"first": seq, "last": seq, "kind": "lost", "reason": "x"});
    for (row, expected) in [
        (json!({}), "the key seq is missing"),
        (json!([]), "found a list, expected an object"),
        (json!(null), "found null, expected an object"),
        (changed("seq", json!(-1)), "seq: found -1, expected a whole number that fits"),
        (changed("seq", json!("3")), "seq: found the text \"3\", expected a whole number that fits"),
        (as_list, "seq: found 9, expected 3"),
    ] {
        let rows = json!([window(1), row, window(5)]);
        let lane = json!({"first": 1, "last": 5, "rows": rows, "gaps": [gap(2), gap(4)]});
        let raw = raw(&lane, &json!([]), "");
        raw.batch.check_ranges().unwrap();
        let received = raw.parse();
        let seqs: Vec<u64> = received.batch.lanes.windows.unwrap().rows.iter().map(|row| row.seq).collect();
        let [unreadable] = received.unreadable.as_slice() else { panic!("{row}") };
        assert_eq!((seqs, unreadable.seq), (vec![1, 5], 3));
        assert!(unreadable.reason.starts_with(expected), "{row}: {}", unreadable.reason);
    }
}

#[test]
fn a_range_that_does_not_fit_its_rows_refuses_the_batch() {
    for (first, last, rows) in [
        (1, 3, json!([window(1), {}])),
        (1, 1, json!([window(1), {}])),
        (1, 2, json!([{}, window(1)])),
        (1, 2, json!([window(2), {}])),
        (0, 1, json!([{}, {}])),
        (1, u64::MAX, json!([{}])),
    ] {
        let lane = json!({"first": first, "last": last, "rows": rows});
        assert!(raw(&lane, &json!([]), "").batch.check_ranges().is_err(), "{lane}");
    }
}
