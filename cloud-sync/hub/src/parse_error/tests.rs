use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether they can be read is looked at")]
struct Row {
    count: u32,
    value: f64,
    name: String,
    is_on: bool,
    kind: Kind,
    sensor: tilth_core::id::SensorId,
    list: Vec<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Minute,
    Quarter,
}

#[test]
fn every_mistake_has_plain_words() {
    let fine = r#"{"count":1,"value":2,"name":"a","is_on":true,"kind":"minute","sensor":"a/b","list":[]}"#;
    serde_json::from_str::<Row>(fine).unwrap();
    for (from, to, expected) in [
        ("{", "{{", "it is not JSON"),
        ("]}", "", "it ends too early"),
        (r#""count":1,"#, "", "the key count is missing"),
        (r#""count":1"#, r#""count":1,"count":1"#, "the key count is there twice"),
        (
            r#""count":1"#,
            r#""more":1,"count":1"#,
            "unknown key more; expected one of count, value, name, is_on, kind, sensor, list",
        ),
        ("minute", "hour", "unknown word hour; expected minute or quarter"),
        (r#""count":1"#, r#""count":"now""#, "found the text \"now\", expected a whole number that fits"),
        (r#""count":1"#, r#""count":-1"#, "found -1, expected a whole number that fits"),
        (r#""count":1"#, r#""count":1.5"#, "found 1.5, expected a whole number that fits"),
        (r#""count":1"#, r#""count":null"#, "found null, expected a whole number that fits"),
        (r#""value":2"#, r#""value":{}"#, "found an object, expected a number"),
        (r#""name":"a""#, r#""name":[]"#, "found a list, expected a text"),
        ("true", "7", "found 7, expected true or false"),
        ("[]", "3", "found 3, expected a list"),
        (r#""minute""#, "3", "it is not JSON"),
        (r#""a/b""#, r#""A/b""#, "sensor \"A/b\" contains 'A'"),
    ] {
        let error = serde_json::from_str::<Row>(&fine.replacen(from, to, 1)).unwrap_err();
        let said = json(&error);
        assert!(said.starts_with(expected) && said.contains(" (line 1, column "), "{from} -> {to}: {said}");
        for word in ["struct", "`", "invalid", "u32", "f64", "EOF", "at line", "variant", "field"] {
            assert!(!said.contains(word), "{word:?} in {said}");
        }
    }
    let list = serde_json::from_str::<Row>("[]").unwrap_err();
    assert!(json(&list).starts_with("found a list, expected an object"), "{}", json(&list));
}
