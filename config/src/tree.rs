//! A document as a tree whose every value knows where it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem;

use serde_json::{Number, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostics, Problem};
use crate::redact::{self, KeyContext, NOT_SHOWN, SecretSpans};
use crate::source::{Place, SourceId};
use crate::toml_hints::{self, SyntaxError};

/// The deepest value of any document, a figure of a zone's own quantity, lies seven levels down; what lies much deeper is
/// no configuration, and trees are walked by recursion.
const MAX_DEPTH: usize = 16;

/// A broken text larger than this is not read on after its first error: each error takes memory, and this many bytes can
/// hold a hundred thousand.
const MAX_GUESSED: usize = 256 << 10;

/// A line that cannot be read is taken out and the text read again, at most this often. Once is nearly always enough.
const MAX_READS: usize = 20;

/// Keys of sentences, which may speak of secrets.
const SENTENCES: [&str; 2] = ["message", "advice"];

/// How much of a text a message quotes.
const MAX_QUOTED: usize = 40;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub(crate) content: Content,
    /// Place of the value; for a table in the latest document that writes into it.
    pub(crate) place: Place,
    /// Whether it is a secret, which no message quotes.
    pub(crate) hidden: bool,
}

/// A value of a document. Dates and times of TOML are texts, as they are in JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// Deletes what it is merged over. Only JSON has it.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number, or none: TOML has `nan` and `inf`.
    Float(f64),
    /// A text.
    Text(String),
    /// A list, which is one value to a merge.
    Array(Vec<Node>),
    /// Values by key.
    Table(Table),
}

/// Values by key, sorted.
pub(crate) type Table = BTreeMap<String, Entry>;

/// A value with where its key was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key; for a table the last part of its header.
    pub(crate) key: Place,
    /// The value.
    pub(crate) node: Node,
}

/// The tree of a TOML text. What cannot be read is in the log, and the tree holds the rest.
pub(crate) fn from_toml(source: SourceId, text: &str, log: &Diagnostics) -> Table {
    let error = match DeTable::parse(text) {
        Ok(table) => {
            let hidden = SecretSpans::default();
            return Toml { source, log, hidden }.table(table.into_inner(), KeyContext::Top, 0);
        }
        Err(error) => error,
    };
    if text.len() > MAX_GUESSED {
        let problem = Problem::new(format!("not TOML: {}", error.message()));
        log.broken(source.at(error.span().unwrap_or_default()), problem);
        return Table::new();
    }
    let (shown, hidden) = (redact::masked(text), SecretSpans::of(text));
    let mut readable = text.to_owned();
    let mut said = BTreeSet::new();
    for _ in 0..MAX_READS {
        let (_, errors) = DeTable::parse_recoverable(&readable);
        let broken = toml_hints::broken(&shown, &hidden, &errors);
        let fresh: Vec<SyntaxError> =
            broken.into_iter().filter(|broken| said.insert(broken.unreadable.start)).collect();
        if fresh.is_empty() {
            break;
        }
        for SyntaxError { at, unreadable, message, help, is_line } in fresh {
            let mut problem = Problem::new(format!("not TOML: {message}"));
            if let Some(help) = help {
                problem = problem.help(help);
            }
            if is_line {
                // As long as it was, so that all that follows stays in its place.
                readable.replace_range(unreadable.clone(), &" ".repeat(unreadable.len()));
            }
            log.broken_within(source.at(unreadable), source.at(at), problem);
        }
    }
    let (table, _) = DeTable::parse_recoverable(&readable);
    Toml { source, log, hidden }.table(table.into_inner(), KeyContext::Top, 0)
}

/// The tree of a JSON value, which knows its document but no line in it. The JSON parser limits its depth.
pub(crate) fn from_json(source: SourceId, json: &Json, within: KeyContext) -> Node {
    let place = source.whole();
    let item = |item: &Json| from_json(source, item, within);
    let content = match json {
        Json::Null => Content::Null,
        Json::Bool(value) => Content::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Content::Integer(integer),
            None => Content::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Content::Text(text.clone()),
        Json::Array(items) => Content::Array(items.iter().map(item).collect()),
        Json::Object(fields) => {
            let entry = |(key, value): (&String, &Json)| {
                let is_table =
                    value.is_object() || value.as_array().is_some_and(|items| items.iter().any(Json::is_object));
                let node = from_json(source, value, within.step(key, is_table));
                (shown_key(key, within), Entry { key: place, node: node.of_key(key) })
            };
            Content::Table(fields.iter().map(entry).collect())
        }
    };
    Node { hidden: is_secret(&content, within), content, place }
}

/// A key, unless it is part of a secret: no such key means anything, and paths are shown.
fn shown_key(key: &str, within: KeyContext) -> String {
    if within == KeyContext::Secret { NOT_SHOWN.to_owned() } else { key.to_owned() }
}

/// Whether a value is not to be shown, by where it stands.
fn is_secret(content: &Content, within: KeyContext) -> bool {
    match content {
        Content::Text(text) => within == KeyContext::Secret && !redact::is_name(text),
        Content::Integer(_) | Content::Float(_) | Content::Array(_) => within == KeyContext::Secret,
        // Values of a table are judged each by itself; and a yes or no is no secret.
        Content::Table(_) | Content::Null | Content::Bool(_) => false,
    }
}

struct Toml<'a> {
    source: SourceId,
    log: &'a Diagnostics,
    /// Places of secrets in a broken text: what could be read of it may not be what was meant.
    hidden: SecretSpans,
}

impl Toml<'_> {
    fn table(&self, table: DeTable<'_>, within: KeyContext, depth: usize) -> Table {
        let entries = table.into_iter().filter_map(|(key, value)| {
            let (place, name) = (self.source.at(key.span()), key.get_ref().as_ref());
            let is_secret = self.hidden.touches(&key.span());
            let is_table = match value.get_ref() {
                DeValue::Table(_) => true,
                DeValue::Array(items) => items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))),
                _ => false,
            };
            let node = self.node(value, within.step(name, is_table), depth + 1)?.of_key(name);
            let name = shown_key(name, if is_secret { KeyContext::Secret } else { within });
            Some((name, Entry { key: place, node }))
        });
        entries.collect()
    }

    fn node(&self, value: Spanned<DeValue<'_>>, within: KeyContext, depth: usize) -> Option<Node> {
        let (place, span) = (self.source.at(value.span()), value.span());
        if depth > MAX_DEPTH {
            let problem = Problem::new(format!("nested more than {MAX_DEPTH} levels deep"));
            self.log.broken(place, problem);
            return None;
        }
        let content = match value.into_inner() {
            DeValue::String(text) => Content::Text(text.into_owned()),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(integer) => Content::Integer(integer),
                Err(_) => {
                    let shown = if within == KeyContext::Secret { NOT_SHOWN } else { integer.as_str() };
                    self.log.broken(place, Problem::new(format!("the number {shown} is too large")));
                    return None;
                }
            },
            DeValue::Float(float) => Content::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Content::Bool(value),
            DeValue::Datetime(time) => Content::Text(time.to_string()),
            DeValue::Array(items) => {
                Content::Array(items.into_iter().filter_map(|item| self.node(item, within, depth + 1)).collect())
            }
            DeValue::Table(table) => Content::Table(self.table(table, within, depth)),
        };
        let hidden = is_secret(&content, within) || !matches!(content, Content::Table(_)) && self.hidden.touches(&span);
        Some(Node { content, place, hidden })
    }
}

impl Node {
    /// No value, to be merged into.
    pub(crate) fn null(place: Place) -> Node {
        Node { content: Content::Null, place, hidden: false }
    }

    /// The value as JSON. Numbers that JSON has no word for become null.
    #[must_use]
    pub(crate) fn to_json(&self) -> Json {
        match &self.content {
            Content::Null => Json::Null,
            Content::Bool(value) => Json::Bool(*value),
            Content::Integer(integer) => Json::from(*integer),
            Content::Float(float) => Number::from_f64(*float).map_or(Json::Null, Json::Number),
            Content::Text(text) => Json::String(text.clone()),
            Content::Array(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Content::Table(table) => {
                Json::Object(table.iter().map(|(key, entry)| (key.clone(), entry.node.to_json())).collect())
            }
        }
    }

    /// The value as JSON, as it may be shown.
    pub(crate) fn shown_json(&self) -> Json {
        match &self.content {
            _ if self.hidden => Json::from(NOT_SHOWN),
            Content::Text(text) => Json::from(redact::text(text)),
            Content::Array(items) => Json::Array(items.iter().map(Node::shown_json).collect()),
            Content::Table(table) => {
                let shown = |(key, entry): (&String, &Entry)| (key.clone(), entry.node.shown_json());
                Json::Object(table.iter().map(shown).collect())
            }
            Content::Null | Content::Bool(_) | Content::Integer(_) | Content::Float(_) => self.to_json(),
        }
    }

    /// The value of a key: hidden where it is an address whose password or path cannot be told from the rest, or a text with a secret in
    /// it, as a line of a header has.
    fn of_key(mut self, key: &str) -> Node {
        match &mut self.content {
            Content::Text(text) => {
                // What has no scheme, or a blank in it, is not read as an address: nothing tells where its host ends.
                let is_bare = redact::behind_scheme(text).is_none() && text.contains(['@', '/', '?']);
                let is_odd = is_bare || text.trim().contains(char::is_whitespace);
                self.hidden |= redact::names_address(key) && is_odd
                    || !SENTENCES.contains(&key) && !redact::is_name(text) && SecretSpans::of(text).is_any();
            }
            Content::Array(items) => {
                *items = mem::take(items).into_iter().map(|item| item.of_key(key)).collect();
            }
            _ => {}
        }
        self
    }

    /// The value as a table, where it is one.
    #[must_use]
    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.content {
            Content::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The value as a text, where it is one.
    #[must_use]
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value some keys down.
    #[must_use]
    pub(crate) fn get<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Node> {
        path.into_iter().try_fold(self, |node, key| Some(&node.as_table()?.get(key)?.node))
    }
}

/// A value as a message quotes it: short, on one line.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            _ if self.hidden => f.write_str(NOT_SHOWN),
            Content::Null => f.write_str("null"),
            Content::Bool(value) => write!(f, "{value}"),
            Content::Integer(integer) => write!(f, "{integer}"),
            Content::Float(float) if float.is_nan() => f.write_str("nan"),
            Content::Float(float) => write!(f, "{float}"),
            Content::Text(text) => {
                let text = redact::text(text);
                match text.char_indices().nth(MAX_QUOTED) {
                    Some((end, _)) => write!(f, "{:?}..", &text[..end]),
                    None => write!(f, "{text:?}"),
                }
            }
            Content::Array(items) if items.is_empty() => f.write_str("an empty list"),
            Content::Array(items) => write!(f, "a list of {}", items.len()),
            Content::Table(_) => f.write_str("a table"),
        }
    }
}
