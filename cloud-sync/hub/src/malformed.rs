//! What is wrong with JSON or parameters, in the words of whoever wrote them: no text of a parser or type of this program.

use std::borrow::Cow;

/// A parser's message in plain words. What our own types say of a value is kept as it is.
pub(crate) fn in_words(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    known(message).unwrap_or_else(|| message.to_owned())
}

/// A message on parameters, which may begin with the name of one.
pub(crate) fn parameters(message: &str) -> String {
    let places = message.match_indices(": ").map(|(place, separator)| place + separator.len());
    for place in std::iter::once(0).chain(places) {
        if let Some(words) = known(&message[place..]) {
            return format!("{}{words}", &message[..place]);
        }
    }
    message.to_owned()
}

fn known(message: &str) -> Option<String> {
    let named = |prefix: &str| Some(message.strip_prefix(prefix)?.split('`').next().unwrap_or_default());
    if let Some(name) = named("missing field `") {
        return Some(format!("the key {name} is missing"));
    }
    if let Some(name) = named("duplicate field `") {
        return Some(format!("the key {name} is there twice"));
    }
    for (prefix, what) in [("unknown field `", "key"), ("unknown variant `", "word")] {
        if let Some(name) = named(prefix) {
            let expected = message.split_once(", expected ").map(|(_, expected)| expected.replace('`', ""));
            let expected = expected.map_or(String::new(), |expected| format!("; expected {expected}"));
            return Some(format!("unknown {what} {name}{expected}"));
        }
    }
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((found, expected)) = message.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected ")) {
            let (found, expected) = (found_in_words(found), expected_in_words(expected));
            return Some(format!("found {found}, expected {expected}"));
        }
    }
    match message {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => Some("expected a whole number".to_owned()),
        "provided string was not `true` or `false`" => Some("expected true or false".to_owned()),
        _ => None,
    }
}

fn found_in_words(found: &str) -> Cow<'_, str> {
    let quoted = |prefix: &str| found.strip_prefix(prefix).map(|rest| rest.trim_matches('`'));
    if let Some(text) = quoted("string ") {
        return format!("the text {text}").into();
    }
    for prefix in ["integer ", "floating point ", "boolean "] {
        if let Some(value) = quoted(prefix) {
            return value.into();
        }
    }
    match found {
        "map" => "an object".into(),
        "sequence" => "a list".into(),
        "null" | "unit value" | "Option value" => "null".into(),
        count if count.bytes().all(|byte| byte.is_ascii_digit()) => "a list".into(),
        _ => "something else".into(),
    }
}

fn expected_in_words(expected: &str) -> Cow<'_, str> {
    const WHOLE: [&str; 12] = ["i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize"];
    match expected {
        number if WHOLE.contains(&number) => "a whole number that fits".into(),
        "f32" | "f64" => "a number".into(),
        "a string" | "a borrowed string" | "str" | "string" => "a text".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "a map" => "an object".into(),
        "unit" => "null".into(),
        kind if kind.starts_with("struct ") => "an object".into(),
        kind if ["enum ", "variant "].iter().any(|prefix| kind.starts_with(prefix)) => "a word".into(),
        kind if kind.starts_with("tuple ") => "a list".into(),
        ours => ours.into(),
    }
}

/// What is wrong with a JSON text, and where.
pub(crate) fn json(error: &serde_json::Error) -> String {
    let what = in_row(error);
    match error.line() {
        0 => what,
        line => format!("{what} (line {line}, column {})", error.column()),
    }
}

/// What is wrong with the JSON text of one row. Line and column within a row say nothing to whoever has the batch.
pub(crate) fn in_row(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends too early".to_owned(),
        serde_json::error::Category::Syntax => "it is not JSON".to_owned(),
        serde_json::error::Category::Io => "it cannot be read".to_owned(),
        serde_json::error::Category::Data => in_words(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
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
}
