//! A document as a tree whose every value knows where it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Number, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Log, Problem};
use crate::slips::{self, Broken};
use crate::source::{Place, SourceId};

/// The deepest value of any document, a figure of a zone's own quantity, lies seven levels down; what lies much deeper is
/// no configuration, and trees are walked by recursion.
const MAX_DEPTH: usize = 16;

/// A broken text larger than this is not read on after its first error: each error takes memory, and this many bytes can
/// hold a hundred thousand.
const MAX_GUESSED: usize = 256 << 10;

/// A line that cannot be read is taken out and the text read again, at most this often. Once is nearly always enough.
const MAX_READS: usize = 20;

/// How much of a text a message quotes.
const MAX_QUOTED: usize = 40;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub(crate) content: Content,
    /// Where it stands; for a table the latest document that writes into it.
    pub(crate) place: Place,
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
pub(crate) fn from_toml(source: SourceId, text: &str, log: &Log) -> Table {
    let error = match DeTable::parse(text) {
        Ok(table) => return Toml { source, log }.table(table.into_inner(), 0),
        Err(error) => error,
    };
    if text.len() > MAX_GUESSED {
        let problem = Problem::new(format!("not TOML: {}", error.message()));
        log.broken(source.at(error.span().unwrap_or_default()), problem);
        return Table::new();
    }
    let mut readable = text.to_owned();
    let mut said = BTreeSet::new();
    for _ in 0..MAX_READS {
        let (_, errors) = DeTable::parse_recoverable(&readable);
        let broken = slips::broken(text, &errors);
        let fresh: Vec<Broken> = broken.into_iter().filter(|broken| said.insert(broken.spoilt.start)).collect();
        if fresh.is_empty() {
            break;
        }
        for Broken { at, spoilt, message, help, is_line } in fresh {
            let mut problem = Problem::new(format!("not TOML: {message}"));
            if let Some(help) = help {
                problem = problem.help(help);
            }
            if is_line {
                // As long as it was, so that all that follows stays in its place.
                readable.replace_range(spoilt.clone(), &" ".repeat(spoilt.len()));
            }
            log.broken_within(source.at(spoilt), source.at(at), problem);
        }
    }
    let (table, _) = DeTable::parse_recoverable(&readable);
    Toml { source, log }.table(table.into_inner(), 0)
}

/// The tree of a JSON value, which knows its document but no line in it.
///
/// Nothing limits its depth here: a JSON parser does.
pub(crate) fn from_json(source: SourceId, json: &Json) -> Node {
    let content = match json {
        Json::Null => Content::Null,
        Json::Bool(value) => Content::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Content::Integer(integer),
            None => Content::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Content::Text(text.clone()),
        Json::Array(items) => Content::Array(items.iter().map(|item| from_json(source, item)).collect()),
        Json::Object(fields) => Content::Table(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), Entry { key: source.whole(), node: from_json(source, value) }))
                .collect(),
        ),
    };
    Node { content, place: source.whole() }
}

struct Toml<'a> {
    source: SourceId,
    log: &'a Log,
}

impl Toml<'_> {
    fn table(&self, table: DeTable<'_>, depth: usize) -> Table {
        let entries = table.into_iter().filter_map(|(key, value)| {
            let place = self.source.at(key.span());
            let node = self.node(value, depth + 1)?;
            Some((key.into_inner().into_owned(), Entry { key: place, node }))
        });
        entries.collect()
    }

    fn node(&self, value: Spanned<DeValue<'_>>, depth: usize) -> Option<Node> {
        let place = self.source.at(value.span());
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
                    self.log.broken(place, Problem::new(format!("the number {integer} is too large")));
                    return None;
                }
            },
            DeValue::Float(float) => Content::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Content::Bool(value),
            DeValue::Datetime(time) => Content::Text(time.to_string()),
            DeValue::Array(items) => {
                Content::Array(items.into_iter().filter_map(|item| self.node(item, depth + 1)).collect())
            }
            DeValue::Table(table) => Content::Table(self.table(table, depth)),
        };
        Some(Node { content, place })
    }
}

impl Node {
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
            Content::Null => f.write_str("null"),
            Content::Bool(value) => write!(f, "{value}"),
            Content::Integer(integer) => write!(f, "{integer}"),
            Content::Float(float) if float.is_nan() => f.write_str("nan"),
            Content::Float(float) => write!(f, "{float}"),
            Content::Text(text) => match text.char_indices().nth(MAX_QUOTED) {
                Some((end, _)) => write!(f, "{:?}..", &text[..end]),
                None => write!(f, "{text:?}"),
            },
            Content::Array(items) if items.is_empty() => f.write_str("an empty list"),
            Content::Array(items) => write!(f, "a list of {}", items.len()),
            Content::Table(_) => f.write_str("a table"),
        }
    }
}
