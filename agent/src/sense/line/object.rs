//! Lines of JSON: an object of numbers, inner ones by their dotted path.

use std::borrow::Cow;

use serde_json::Value;

/// Reads a line as a JSON object; nothing where it is none.
pub(super) fn parse(text: &str) -> Option<Value> {
    let read = |text: &str| serde_json::from_str(text).ok().filter(Value::is_object);
    read(text).or_else(|| read(&without_nan(text)?))
}

/// Calls `each` for every value that is not itself an object or a list, with its dotted path.
pub(super) fn each_value<'a>(value: &'a Value, each: &mut impl FnMut(&str, &'a Value)) {
    walk(value, &mut String::new(), each);
}

fn walk<'a>(value: &'a Value, path: &mut String, each: &mut impl FnMut(&str, &'a Value)) {
    let mut inside = |key: &str, inner: &'a Value| {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(key);
        walk(inner, path, each);
        path.truncate(length);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| inside(key, inner)),
        Value::Array(items) => items.iter().enumerate().for_each(|(ix, inner)| inside(&ix.to_string(), inner)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => each(path, value),
    }
}

/// Sketches print `{"temp":nan}`, which is no JSON: such words become null. Nothing where there is none.
fn without_nan(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    let mut parts = text.split_inclusive(['"', ',', '{', '}', '[', ']', ':']);
    let mut quoted = false;
    for part in &mut parts {
        let (word, end) = part.split_at(part.len() - usize::from(part.ends_with(['"', ',', '{', '}', '[', ']', ':'])));
        let word = if quoted { Cow::Borrowed(word) } else { null_for_nan(word) };
        changed |= matches!(word, Cow::Owned(_));
        out.push_str(&word);
        out.push_str(end);
        let escaped = word.len() - word.trim_end_matches('\\').len();
        if end == "\"" && (!quoted || escaped.is_multiple_of(2)) {
            quoted = !quoted;
        }
    }
    changed.then_some(out)
}

fn null_for_nan(word: &str) -> Cow<'_, str> {
    let bare = word.trim().trim_start_matches(['-', '+']);
    if ["nan", "inf", "infinity", "ovf"].iter().any(|nan| nan.eq_ignore_ascii_case(bare)) {
        Cow::Owned("null".to_owned())
    } else {
        Cow::Borrowed(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_dotted_paths() {
        let parsed = parse(r#"{"a":1,"b":{"c":nan,"d":[2,{"e":-Inf}]},"s":"nan, \"inf"}"#).unwrap();
        let mut found = Vec::new();
        each_value(&parsed, &mut |path, value| found.push(format!("{path}={value}")));
        assert_eq!(found, ["a=1", "b.c=null", "b.d.0=2", "b.d.1.e=null", r#"s="nan, \"inf""#]);
        for text in ["[1]", "1", "{", r#"{"a":1} x"#, r#"{"b":1},"c":2}"#, r#"{"a":nano}"#] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
