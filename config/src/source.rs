//! The texts that a configuration is read from, and where in them a value stands.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::redact;

/// Layer of documents; a later one overrides an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// Shipped with the program.
    #[serde(rename = "base")]
    Base,
    /// Layer of the tenant's tier.
    #[serde(rename = "tier")]
    Tier,
    /// Layer of the tenant.
    #[serde(rename = "client")]
    Client,
    /// Layer of one zone.
    #[serde(rename = "zone")]
    Zone,
    /// A file of `config.d`, on a farm without a hub.
    #[serde(rename = "config.d")]
    ConfigD,
}

/// Which text: its place in [`Sources`], which is also the order in which documents are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceId(u32);

/// Bytes of a text. Ordered by text, then by where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// Which text.
    pub(crate) source: SourceId,
    /// First byte.
    pub(crate) start: u32,
    /// The byte after the last.
    pub(crate) end: u32,
}

/// A place as a person counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1; a tab is one character.
    pub column: usize,
    /// The bytes of the text.
    pub span: Range<usize>,
}

/// One text, or a document that came without one.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The name shown: the path inside the folder of the configuration, or `base/..` for what is shipped.
    pub file: String,
    /// Layer of the document; none for `agent.toml`, which is not merged.
    pub layer: Option<Layer>,
    /// The version of the document, where it has one.
    pub version: Option<u64>,
    /// The text, where there is one.
    pub text: Option<String>,
}

/// Every text of a configuration, in the order in which they are merged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sources {
    sources: Vec<Source>,
    /// First byte of each line of each text.
    lines: Vec<Vec<u32>>,
}

impl Layer {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Layer::Base => "base",
            Layer::Tier => "tier",
            Layer::Client => "client",
            Layer::Zone => "zone",
            Layer::ConfigD => "config.d",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl SourceId {
    /// The whole of a document, for what stands nowhere in it.
    pub(crate) fn whole(self) -> Place {
        Place { source: self, start: 0, end: 0 }
    }

    /// Some bytes of a text. Offsets fit 32 bits, because longer files are refused before they are parsed.
    pub(crate) fn at(self, span: Range<usize>) -> Place {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Place { source: self, start: offset(span.start), end: offset(span.end) }
    }
}

impl Place {
    /// Whether another place begins within this one.
    pub(crate) fn holds(self, other: Place) -> bool {
        self.source == other.source && (self.start..self.end).contains(&other.start)
    }
}

impl Sources {
    pub(crate) fn add(&mut self, source: Source) -> SourceId {
        let newlines = source.text.iter().flat_map(|text| text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n'));
        self.lines.push(std::iter::once(0).chain(newlines.map(|(at, _)| at as u32 + 1)).collect());
        self.sources.push(source);
        SourceId(self.sources.len() as u32 - 1)
    }

    /// A name to say something of that has no text.
    pub(crate) fn add_empty(&mut self, file: &str) -> SourceId {
        self.add(Source { file: file.to_owned(), layer: None, version: None, text: None })
    }

    /// The source of a place.
    pub(crate) fn get(&self, id: SourceId) -> &Source {
        &self.sources[id.0 as usize]
    }

    /// The text of a file as a diagnostic names it.
    #[must_use]
    pub fn text(&self, file: &str) -> Option<&str> {
        self.sources.iter().find(|source| source.file == file)?.text.as_deref()
    }

    /// The text of a file as it may be shown: as long as it was, without secrets.
    #[must_use]
    pub fn shown(&self, file: &str) -> Option<String> {
        self.text(file).map(redact::masked)
    }

    /// The files in the order in which they were merged.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Source> {
        self.sources.iter()
    }

    /// A place as messages name it: `config.d/tower.toml:4`.
    pub(crate) fn name(&self, place: Place) -> String {
        let file = &self.get(place.source).file;
        match self.position(place) {
            Some(position) => format!("{file}:{}", position.line),
            None => file.clone(),
        }
    }

    /// Line and column of a place; none for a document without a text.
    pub(crate) fn position(&self, place: Place) -> Option<Position> {
        let text = self.get(place.source).text.as_deref()?;
        let start = text.floor_char_boundary(place.start as usize);
        let end = text.ceil_char_boundary(place.end as usize).max(start);
        let lines = &self.lines[place.source.0 as usize];
        let line = lines.partition_point(|begin| *begin as usize <= start);
        let before = &text[lines[line - 1] as usize..start];
        // The mark that some editors put at the head of a file is no character of its first line.
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        Some(Position { line, column, span: start..end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_whatever_the_line_ends_are() {
        for (text, offset, expected) in [
            ("a = 1\nb = 2\n", 6, (2, 1)),
            ("a = 1\r\n\tb = 2\r\n", 8, (2, 2)),
            ("\u{feff}a = 1", 3, (1, 1)),
            ("é = \"ü\" # x", 10, (1, 9)),
            ("é", 1, (1, 1)),
            ("", 0, (1, 1)),
            ("a\n", 2, (2, 1)),
            ("a", 99, (1, 2)),
        ] {
            let mut sources = Sources::default();
            let text = Some(text.to_owned());
            let id = sources.add(Source { file: "x".into(), layer: None, version: None, text: text.clone() });
            let position = sources.position(id.at(offset..offset)).unwrap();
            assert_eq!((position.line, position.column), expected, "{text:?} at {offset}");
        }
    }
}
