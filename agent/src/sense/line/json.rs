//! The fields of a line of JSON, and of one that ends with an object: `MQT: tele/SENSOR = {"temp":21.5}`. Values of inner objects have a
//! dotted path.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tilth_core::unit::Unit;

use super::fields::{Field, FieldValue, Fields};
use super::formats::LineContext;
use super::number::{self, Parsed};

/// Whole numbers from here on are not all floats.
const LARGE: u64 = 1 << 53;

/// A value that holds no other.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scalar<'a> {
    Number(f64),
    Bool(bool),
    Null,
    Text(&'a str),
}

#[derive(Debug, Clone, Copy)]
struct JsonPath<'a> {
    /// Path with indices in lists: `nodes.0.temp`.
    path: &'a str,
    /// Path without indices in lists: `nodes.temp`.
    without_indices: &'a str,
    /// The object that it is in, by its index among all objects of the line.
    object: usize,
}

/// A JSON object after other text.
pub(super) fn embedded(text: &str, context: &mut LineContext<'_>) -> bool {
    match text.find('{') {
        Some(begin) if text.ends_with('}') => json(&text[begin..], context),
        _ => false,
    }
}

/// False where the text is no object.
pub(super) fn json(text: &str, context: &mut LineContext<'_>) -> bool {
    let LineContext { names, fields: Fields { all, text: texts, parents, is_json }, messages, .. } = context;
    all.clear();
    texts.clear();
    let is_object = each_value(text, parents, |path, scalar| {
        if let Scalar::Text(unit) = scalar
            && let Some(Field { label, value: last @ FieldValue::Number(_), .. }) = all.last_mut()
            && is_next(&names.labels[*label].text, path.path)
            && Unit::of(unit).is_some()
        {
            // A list of a number and its unit.
            let start = texts.len();
            if let FieldValue::Number(number) = last {
                texts.push_str(&format!("{number} {unit}"));
            }
            *last = FieldValue::Raw(start..texts.len());
            return;
        }
        let is_text = matches!(scalar, Scalar::Text(text) if number::parsed(text) == Parsed::Text);
        let is_interned = || !is_text || names.is_always_interned(path.path, Some(path.without_indices));
        let is_number = !is_text && !matches!(scalar, Scalar::Null);
        let label = match names.find(path.path) {
            None if is_interned() => names.intern(path.path, Some(path.without_indices), is_number),
            found => found,
        };
        let Some(label) = label else { return };
        let mut word = |text: &str| {
            let start = texts.len();
            texts.push_str(text);
            FieldValue::Raw(start..texts.len())
        };
        let value = match scalar {
            Scalar::Number(number) => FieldValue::Number(number),
            Scalar::Bool(is) => word(if is { "true" } else { "false" }),
            Scalar::Null => FieldValue::Empty,
            Scalar::Text(text) => word(text),
        };
        let entry = &names.labels[label];
        if matches!(scalar, Scalar::Number(_) | Scalar::Bool(_)) && entry.consumers.is_empty() && entry.is_value() {
            messages.note_unmatched(&entry.text);
        }
        all.push(Field { label, value, object: path.object });
    });
    *is_json = is_object;
    is_object
}

/// Whether a path is that of the next place of a list.
fn is_next(before: &str, path: &str) -> bool {
    let parted =
        |path: &'_ str| path.rsplit_once('.').and_then(|(list, ix)| Some((list.len(), ix.parse::<usize>().ok()?)));
    let (Some((list, ix)), Some((next_list, next))) = (parted(before), parted(path)) else { return false };
    before.get(..list) == path.get(..next_list) && next == ix + 1
}

/// Calls `each` for every value of an object that is not itself an object or a list; keys that come twice come twice. `parents`
/// gets for each object the one that it is in, for the outermost itself. False where the text is no object: then nothing was
/// called.
fn each_value(text: &str, parents: &mut Vec<usize>, each: impl FnMut(JsonPath<'_>, Scalar<'_>)) -> bool {
    let Some(text) = as_json(text) else { return false };
    let is_list = text.starts_with('[');
    if !(text.starts_with('{') || is_list && text[1..].trim_start().starts_with('{')) {
        return false;
    }
    parents.clear();
    // What is around all objects of a list.
    parents.extend(is_list.then_some(0));
    let mut walk = Walk { path: String::new(), without_indices: String::new(), object: 0, parents, each };
    serde_json::Deserializer::from_slice(text.as_bytes()).deserialize_any(Inside(&mut walk)).is_ok()
}

pub(super) fn is_object(text: &str) -> bool {
    text.starts_with('{') && as_json(text).is_some()
}

/// A text as JSON, if it is some but for words such as `nan`.
fn as_json(text: &str) -> Option<Cow<'_, str>> {
    let is_json = |text: &str| serde_json::from_slice::<IgnoredAny>(text.as_bytes()).is_ok();
    if is_json(text) {
        return Some(Cow::Borrowed(text));
    }
    without_nan(text).filter(|text| is_json(text)).map(Cow::Owned)
}

/// How many objects and lists of a text have no end yet.
pub(super) fn depth(text: &str) -> i64 {
    let mut depth = 0;
    let (mut is_quoted, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            b'{' | b'[' if !is_quoted => depth += 1,
            b'}' | b']' if !is_quoted => depth -= 1,
            _ => {}
        }
    }
    depth
}

struct Walk<'p, F> {
    path: String,
    without_indices: String,
    object: usize,
    parents: &'p mut Vec<usize>,
    each: F,
}

impl<F: FnMut(JsonPath<'_>, Scalar<'_>)> Walk<'_, F> {
    fn found<E>(&mut self, scalar: Scalar<'_>) -> Result<(), E> {
        let Walk { path, without_indices, object, each, .. } = self;
        each(JsonPath { path, without_indices, object: *object }, scalar);
        Ok(())
    }
}

/// Reads one value wherever it is.
struct Inside<'w, 'p, F>(&'w mut Walk<'p, F>);

impl<'de, F: FnMut(JsonPath<'_>, Scalar<'_>)> DeserializeSeed<'de> for Inside<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(JsonPath<'_>, Scalar<'_>)> Visitor<'de> for Inside<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let walk = self.0;
        let (path, without_indices, outer) = (walk.path.len(), walk.without_indices.len(), walk.object);
        walk.object = walk.parents.len();
        walk.parents.push(outer);
        while let Some(key) = map.next_key::<String>()? {
            for path in [&mut walk.path, &mut walk.without_indices] {
                path.push_str(if path.is_empty() { "" } else { "." });
                path.push_str(&key);
            }
            map.next_value_seed(Inside(walk))?;
            walk.path.truncate(path);
            walk.without_indices.truncate(without_indices);
        }
        walk.object = outer;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let walk = self.0;
        let path = walk.path.len();
        for ix in 0.. {
            walk.path.push_str(&format!("{}{ix}", if path > 0 { "." } else { "" }));
            let item = items.next_element_seed(Inside(walk))?;
            walk.path.truncate(path);
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, is: bool) -> Result<(), E> {
        self.0.found(Scalar::Bool(is))
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.found(Scalar::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        match number {
            // The number of a node, which as a float would be equal to that of another.
            LARGE.. => self.0.found(Scalar::Text(&number.to_string())),
            _ => self.0.found(Scalar::Number(number as f64)),
        }
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.found(Scalar::Number(number))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.found(Scalar::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.found(Scalar::Text(text))
    }
}

/// Sketches print `{"temp":nan}`, which is no JSON: such words become null. None where there is no such word.
fn without_nan(text: &str) -> Option<String> {
    const ENDS: [char; 7] = ['"', ',', '{', '}', '[', ']', ':'];
    let mut out = String::with_capacity(text.len());
    let (mut has_nan, mut is_quoted) = (false, false);
    for part in text.split_inclusive(ENDS) {
        let word = part.strip_suffix(ENDS).unwrap_or(part);
        let bare = word.trim().trim_start_matches(['-', '+']);
        let is_nan = !is_quoted && ["nan", "inf", "infinity", "ovf"].iter().any(|nan| nan.eq_ignore_ascii_case(bare));
        has_nan |= is_nan;
        out.push_str(if is_nan { "null" } else { word });
        out.push_str(&part[word.len()..]);
        let escapes = word.len() - word.trim_end_matches('\\').len();
        is_quoted ^= part.ends_with('"') && (!is_quoted || escapes.is_multiple_of(2));
    }
    has_nan.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Vec<String>> {
        let mut found = Vec::new();
        let is_object = each_value(text, &mut Vec::new(), |path, scalar| {
            let value = match scalar {
                Scalar::Number(number) => number.to_string(),
                Scalar::Bool(is) => is.to_string(),
                Scalar::Null => "null".to_owned(),
                Scalar::Text(text) => format!("{text:?}"),
            };
            found.push(format!("{} {} {}={value}", path.object, path.without_indices, path.path));
        });
        is_object.then_some(found)
    }

    #[test]
    fn values_have_dotted_paths() {
        let values = found(r#"{"a":1,"b":{"c":nan,"d":[2,{"e":-Inf}]},"s":"nan, \"inf","a":true}"#).unwrap();
        let expected = [
            "0 a a=1",
            "1 b.c b.c=null",
            "1 b.d b.d.0=2",
            "2 b.d.e b.d.1.e=null",
            r#"0 s s="nan, \"inf""#,
            "0 a a=true",
        ];
        assert_eq!(values, expected);
        assert_eq!(found(r#"[{"n":"t","v":1},{"n":"h"}]"#).unwrap(), [r#"1 n 0.n="t""#, "1 v 0.v=1", r#"2 n 1.n="h""#]);
        for text in ["[1]", "1", "{", r#"{"a":1} x"#, r#"{"b":1},"c":2}"#, r#"{"a":nano}"#] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn each_object_knows_the_one_it_is_in() {
        let mut parents = Vec::new();
        assert!(each_value(r#"{"nodes":[{"id":1},{"id":2,"in":{"t":3}}]}"#, &mut parents, |_, _| {}));
        assert_eq!(parents, [0, 0, 0, 2]);
    }
}
