use super::*;

fn event(at: &Json, body: &Json) -> Event {
    serde_json::from_value(json!({"seq": 7, "at": at, "kind": "alert", "body": body})).unwrap()
}

fn window(change: impl Fn(&mut Json)) -> WindowRow {
    let mut row = json!({
        "seq": 3, "sensor": "tower-1/ph", "quantity": "ph", "resolution": 0.01, "grain": "minute",
        "start": {"boot": 1, "uptime": 60_000, "wall": null}, "revision": 0, "bad": 1, "count": 2,
        "sums": {"sum": 1370, "sum_sq": "938500", "min": 680, "max": 690, "last": 690, "last_at": 59_000},
    });
    change(&mut row);
    serde_json::from_value(row).unwrap()
}

fn hex(fingerprint: Fingerprint) -> String {
    fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of an event, a window and an empty one, by version.
const GOLDEN: [[&str; 2]; 3] = [
    ["33378f50394d559b", "e7223ec5ce9c9477"],
    ["95a54e0cd6d945e8", "f16906065bbeb6a6"],
    ["68846290c759c7fa", "c9da129c1a2f1d30"],
];

/// Databases hold these fingerprints: they stay, even if the types change.
#[test]
fn the_marks_of_each_version_stay() {
    let stamp = json!({"boot": 1, "uptime": 61_000, "wall": 1_763_683_261_000_i64});
    let body = json!({"z": "21.5 °C", "since": stamp, "value": 20.0, "list": [1, null, true, {"boot": 2, "uptime": 3, "wall": 4}]});
    let (event, whole, empty) = (
        event(&stamp, &body),
        window(|_| ()),
        window(|row| {
            row["count"] = json!(0);
            row["resolution"] = json!(1);
            row.as_object_mut().unwrap().remove("sums");
        }),
    );
    let both = |fingerprints: [Fingerprint; 2]| fingerprints.map(hex);
    let of_event = both([Version::One, Version::Two].map(|version| fingerprint(&event, version)));
    let of_whole = both([Version::One, Version::Two].map(|version| fingerprint(&whole, version)));
    let of_empty = both([Version::One, Version::Two].map(|version| fingerprint(&empty, version)));
    assert_eq!([of_event, of_whole, of_empty], GOLDEN);
}

#[test]
fn a_mark_is_of_everything_but_the_time_of_day() {
    for version in [Version::One, Version::Two] {
        let row = |wall: Json, value: i64| {
            let at = json!({"boot": 1, "uptime": 2, "wall": wall});
            fingerprint(&event(&at, &json!({"value": value, "since": at, "wall": 1})), version)
        };
        assert_eq!(row(json!(null), 1), row(json!(5), 1));
        assert_ne!(row(json!(5), 1), row(json!(5), 2));
        let at = json!({"boot": 1, "uptime": 2, "wall": null});
        let other = fingerprint(&event(&at, &json!({"value": 1, "since": at, "wall": 2})), version);
        assert_ne!(other, row(json!(5), 1), "what only looks like a stamp's time counts");
        let same = fingerprint(&window(|row| row["start"]["wall"] = json!(9)), version);
        assert_eq!(same, fingerprint(&window(|_| ()), version));
        for (field, value) in [("seq", json!(4)), ("revision", json!(1)), ("bad", json!(2)), ("resolution", json!(0.1))]
        {
            let other = window(|row| row[field] = value.clone());
            assert_ne!(fingerprint(&other, version), fingerprint(&window(|_| ()), version), "{field}");
        }
    }
}

#[test]
fn a_body_is_the_same_whatever_its_form() {
    let at = json!({"boot": 1, "uptime": 2, "wall": null});
    let read = |body: &str| fingerprint(&event(&at, &serde_json::from_str(body).unwrap()), Version::Two);
    assert_eq!(read(r#"{"b":20.0,"a":[1e0,0.5]}"#), read(r#"{ "a": [1, 5e-1], "b": 20 }"#));
    assert_ne!(read(r#"{"b":20.0}"#), read(r#"{"b":"20"}"#));
    assert_ne!(read(r#"{"b":9007199254740993}"#), read(r#"{"b":9007199254740992}"#));
}
