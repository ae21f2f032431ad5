//! Settings that one file of `config.d` makes and a later one makes otherwise: a file that was copied, and a name in it
//! forgotten. Overriding what is shipped is another matter, and what layers are for.

use serde_json::Value as Json;

use crate::diagnostic::{Diagnostics, Problem};
use crate::merge;
use crate::path;
use crate::source::{Layer, Place, Sources};
use crate::tree::{Content, Node, Table};

/// Upper limit of settings that are named; the first few of a copied file suffice.
const MAX_SAID: usize = 20;

/// A longer value is not quoted.
const MAX_QUOTED: usize = 40;

/// Says which settings are replaced from file to file, by the documents' tables in the order of merging.
pub(crate) fn say(layers: &[Table], sources: &Sources, log: &Diagnostics) {
    let is_file = |table: &&Table| {
        let first = table.values().next().map(|entry| entry.key.source);
        first.is_some_and(|source| sources.get(source).layer == Some(Layer::ConfigD))
    };
    let mut files = layers.iter().filter(is_file).peekable();
    let Some(mut known) = files.next().cloned() else { return };
    let mut search = Search { sources, log, said: 0, last: None };
    while let Some(table) = files.next() {
        search.compare(&known, table, "");
        if files.peek().is_some() {
            merge::apply_table(&mut known, table);
        }
    }
    if let Some(place) = search.last.filter(|_| search.said > MAX_SAID) {
        let more = search.said - MAX_SAID;
        log.warning(place, "", Problem::new(format!("{more} more settings are replaced from here on")));
    }
}

struct Search<'a> {
    sources: &'a Sources,
    log: &'a Diagnostics,
    said: usize,
    /// The first that is not said by itself.
    last: Option<Place>,
}

impl Search<'_> {
    fn compare(&mut self, known: &Table, table: &Table, at: &str) {
        for (key, entry) in table {
            let Some(before) = known.get(key) else { continue };
            let path = path::join(at, key);
            match (before.node.as_table(), entry.node.as_table()) {
                (Some(before), Some(table)) => self.compare(before, table, &path),
                _ if same(&before.node, &entry.node) => {}
                _ => self.say(&before.node, &entry.node, &path),
            }
        }
    }

    fn say(&mut self, before: &Node, now: &Node, path: &str) {
        self.said += 1;
        if self.said > MAX_SAID {
            self.last = self.last.or(Some(now.place));
            return;
        }
        let message = format!("{} replaces {} of {}", quoted(now), quoted(before), self.sources.name(before.place));
        let problem = Problem::new(message).help("of two files with one setting, the later by name wins");
        self.log.warning(now.place, path, problem);
    }
}

/// Whether two values say the same, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.content, &b.content) {
        (Content::Integer(integer), Content::Float(float)) | (Content::Float(float), Content::Integer(integer)) => {
            *integer as f64 == *float
        }
        (Content::Array(a), Content::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a.to_json() == b.to_json(),
    }
}

fn quoted(node: &Node) -> String {
    match node.shown_json() {
        Json::Array(items) => {
            let text = format!("[{}]", items.iter().map(Json::to_string).collect::<Vec<_>>().join(", "));
            if text.len() <= MAX_QUOTED { text } else { node.to_string() }
        }
        _ => node.to_string(),
    }
}
