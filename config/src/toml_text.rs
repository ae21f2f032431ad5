//! Changes texts in a TOML document and keeps the rest of it to the byte: comments, order, other settings.

use std::ops::Range;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

/// The document cannot be changed this way; it stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// Not TOML.
    #[error("not TOML: {0}")]
    NotToml(String),
    /// The table is written in a form that is not changed: as dotted keys, inline, or by its parts alone.
    #[error("expected a table [{0}] on a line of its own, or none")]
    Form(String),
}

/// The text at `table.key`; none if it is absent, or something else.
#[must_use]
pub fn text_at(document: &str, table: &str, key: &str) -> Option<String> {
    let parsed = DeTable::parse(document).ok()?;
    let (_, value) = parsed.get_ref().iter().find(|(name, _)| name.get_ref() == table)?;
    let DeValue::Table(entries) = value.get_ref() else { return None };
    let (_, value) = entries.iter().find(|(name, _)| name.get_ref() == key)?;
    value.get_ref().as_str().map(str::to_owned)
}

/// Sets texts in a table of the top level: values that exist are replaced in their places, others follow the table's header; a table that does
/// not exist follows the end.
///
/// # Errors
/// [`NotChanged`] says why the document cannot be changed.
pub fn with_texts(document: &str, table: &str, values: &[(&str, &str)]) -> Result<String, NotChanged> {
    let parsed = DeTable::parse(document).map_err(|error| NotChanged::NotToml(error.message().to_owned()))?;
    let found = parsed.get_ref().iter().find(|(name, _)| name.get_ref() == table);
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let line = |(key, value): &(&str, &str)| format!("{key} = {}\n", quoted(value));
    match found {
        None => {
            let gap = match document {
                "" => "",
                text if text.ends_with('\n') => "\n",
                _ => "\n\n",
            };
            let lines: String = values.iter().map(line).collect();
            edits.push((document.len()..document.len(), format!("{gap}[{table}]\n{lines}")));
        }
        Some((header, value)) => {
            let DeValue::Table(entries) = value.get_ref() else { return Err(NotChanged::Form(table.to_owned())) };
            let after = after_header(document, header.span()).ok_or_else(|| NotChanged::Form(table.to_owned()))?;
            let mut missing = String::new();
            for pair in values {
                match entries.iter().find(|(name, _)| name.get_ref() == pair.0) {
                    Some((_, old)) => edits.push((old.span(), quoted(pair.1))),
                    None => missing += &line(pair),
                }
            }
            let gap = if document[..after].ends_with('\n') || missing.is_empty() { "" } else { "\n" };
            edits.push((after..after, format!("{gap}{missing}")));
        }
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut changed = document.to_owned();
    for (range, text) in edits {
        changed.replace_range(range, &text);
    }
    let is_set = |(key, value): &(&str, &str)| text_at(&changed, table, key).as_deref() == Some(*value);
    if values.iter().all(is_set) { Ok(changed) } else { Err(NotChanged::Form(table.to_owned())) }
}

/// Takes a key out of a table of the top level, with the line that it stands in.
///
/// # Errors
/// [`NotChanged`] says why the document cannot be changed.
pub fn without_key(document: &str, table: &str, key: &str) -> Result<String, NotChanged> {
    let parsed = DeTable::parse(document).map_err(|error| NotChanged::NotToml(error.message().to_owned()))?;
    let Some((header, value)) = parsed.get_ref().iter().find(|(name, _)| name.get_ref() == table) else {
        return Ok(document.to_owned());
    };
    let (Some(entries), Some(_)) = (value.get_ref().as_table(), after_header(document, header.span())) else {
        return Err(NotChanged::Form(table.to_owned()));
    };
    let mut changed = document.to_owned();
    if let Some((name, value)) = entries.iter().find(|(name, _)| name.get_ref() == key) {
        let begin = document[..name.span().start].rfind('\n').map_or(0, |at| at + 1);
        let end = document[value.span().end..].find('\n').map_or(document.len(), |at| value.span().end + at + 1);
        changed.replace_range(begin..end, "");
    }
    Ok(changed)
}

/// Begin of the line after a header `[table]`, by the place of its name.
fn after_header(document: &str, name: Range<usize>) -> Option<usize> {
    let begin = document[..name.start].rfind('\n').map_or(0, |at| at + 1);
    let is_header = document[begin..name.start].trim() == "[" && document[name.end..].trim_start().starts_with(']');
    let end = document[name.end..].find('\n').map_or(document.len(), |at| name.end + at + 1);
    is_header.then_some(end)
}

/// A TOML string: the escapes of JSON are escapes of TOML as well.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# at the greenhouse\n[device] # this one\nid = 'pi-8'  # by the door\n\n[bus.gateway]\nkind = \"line\"\nport = \"/dev/ttyUSB0\"\n";

    #[test]
    fn only_what_is_set_changes() {
        let changed = with_texts(DOCUMENT, "device", &[("id", "pi-7"), ("client", "acme")]).unwrap();
        let expected =
            DOCUMENT.replace("# this one\n", "# this one\nclient = \"acme\"\n").replace("'pi-8'", "\"pi-7\"");
        assert_eq!(changed, expected);
        assert_eq!(with_texts(&changed, "device", &[("id", "pi-7"), ("client", "acme")]), Ok(changed.clone()));
        let with_hub = with_texts(&changed, "hub", &[("url", "https://hub.example"), ("key_file", "a\"\\b")]).unwrap();
        assert_eq!(with_hub, expected + "\n[hub]\nurl = \"https://hub.example\"\nkey_file = \"a\\\"\\\\b\"\n");
        assert_eq!(text_at(&with_hub, "hub", "key_file").as_deref(), Some("a\"\\b"));
    }

    #[test]
    fn documents_without_the_table_or_a_last_line_end_get_it() {
        for (document, expected) in [
            ("", "[hub]\nurl = \"u\"\n"),
            ("# c", "# c\n\n[hub]\nurl = \"u\"\n"),
            ("[hub]", "[hub]\nurl = \"u\"\n"),
            ("[hub]\r\nca = \"x\"\r\n", "[hub]\r\nurl = \"u\"\nca = \"x\"\r\n"),
            ("[ hub ]\nurl = \"\"\"\nlong\"\"\"", "[ hub ]\nurl = \"u\""),
        ] {
            assert_eq!(with_texts(document, "hub", &[("url", "u")]).as_deref(), Ok(expected), "{document:?}");
        }
    }

    #[test]
    fn a_key_goes_with_its_line_alone() {
        let document = "[hub]\nurl = 'u'\nca = \"\"\"\nhub-ca.pem\"\"\" # ours\n# the key\nkey_file = 'k'\n";
        assert_eq!(without_key(document, "hub", "ca").as_deref(), Ok("[hub]\nurl = 'u'\n# the key\nkey_file = 'k'\n"));
        assert_eq!(without_key("[hub]\nca = 'c'", "hub", "ca").as_deref(), Ok("[hub]\n"));
        assert_eq!(without_key(DOCUMENT, "hub", "ca").as_deref(), Ok(DOCUMENT));
        assert_eq!(without_key(DOCUMENT, "device", "ca").as_deref(), Ok(DOCUMENT));
        for document in ["hub.ca = 'c'", "hub = { url = 'u', ca = 'c' }", "[\"hub\""] {
            assert!(without_key(document, "hub", "ca").is_err(), "{document}");
        }
    }

    #[test]
    fn other_forms_are_left_alone() {
        for document in [
            "hub.url = \"x\"",
            "hub = { url = \"x\" }",
            "hub = 1",
            "[hub.more]\na = 1",
            "[[hub]]\na = 1",
            "[\"hub\"",
            "a = ",
        ] {
            assert!(with_texts(document, "hub", &[("ca", "y")]).is_err(), "{document}");
        }
    }
}
