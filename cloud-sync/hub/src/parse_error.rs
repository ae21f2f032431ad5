//! Error messages about JSON and parameters in plain words, in place of the parser's.

use std::borrow::Cow;

/// A message about parameters, which may begin with the name of one.
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

/// Message about a JSON text, with line and column.
pub(crate) fn json(error: &serde_json::Error) -> String {
    let what = in_row(error);
    match error.line() {
        0 => what,
        line => format!("{what} (line {line}, column {})", error.column()),
    }
}

/// Message about the JSON text of one row, without line and column: those of the batch are not known.
pub(crate) fn in_row(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends too early".to_owned(),
        serde_json::error::Category::Syntax => "it is not JSON".to_owned(),
        serde_json::error::Category::Io => "it cannot be read".to_owned(),
        serde_json::error::Category::Data => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message);
            // Messages of our own types stay.
            known(message).unwrap_or_else(|| message.to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
