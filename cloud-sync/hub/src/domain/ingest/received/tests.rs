use serde_json::{Value as Json, json};

use super::*;

fn window(seq: u64) -> Json {
    json!({
        "seq": seq, "sensor": "tower-1/ph", "quantity": "ph", "resolution": 0.01, "grain": "minute",
        "start": {"boot": 1, "uptime": 0, "wall": null}, "revision": 0, "bad": 1, "count": 0,
    })
}

fn read(rows: &[Json], live: &Json, more: &str) -> Received {
    let text = format!(
        r#"{{"version":1,"client":"acme","device":"pi-7","stream":"{:032x}","epoch":null,{more}
        "lanes":{{"windows":{{"first":1,"last":{},"rows":{}}}}},"live":{live}}}"#,
        1,
        rows.len(),
        Json::from(rows)
    );
    let envelope: Envelope = serde_json::from_str(&text).unwrap();
    envelope.batch.check_ranges().unwrap();
    envelope.read()
}

#[test]
fn what_a_newer_agent_adds_is_counted_and_the_rest_is_read() {
    let mut row = window(1);
    row["shape"] = json!({"of": [1]});
    row["start"]["leap"] = json!(0);
    let live = json!([{"sensor": "tower-1/ph", "quantity": "ph", "at": row["start"], "value": 1, "quality": "superb"}]);
    let received = read(&[row, window(2)], &live, r#""mood":"good","rest":{},"#);
    assert_eq!(received.batch.lanes.windows.unwrap().rows.len(), 2);
    assert_eq!((received.unread, received.batch.live), (vec![], vec![]));
    assert_eq!(received.unknown_keys, 5, "two of the batch, two of a row, one live value");
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
        let [unread] = received.unread.as_slice() else { panic!("{row}") };
        assert_eq!((seqs, unread.lane, unread.seq), (vec![1, 3], Lane::Windows, 2));
        assert!(unread.reason.starts_with(expected) && !unread.reason.contains("line 1"), "{}", unread.reason);
        assert_eq!(serde_json::from_str::<Json>(&unread.text).unwrap(), row);
    }
}

#[test]
fn a_row_without_a_sequence_refuses_the_batch() {
    for row in [json!({}), json!([]), json!({"seq": -1}), json!(null), json!({"seq": "1"})] {
        assert!(serde_json::from_str::<RawRow>(&row.to_string()).is_err(), "{row}");
    }
}
