//! Settings that changed files no longer make, whether or not another file or the shipped base still sets another value there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::diagnostic::Diagnostics;
use crate::document::{Document, Effective};
use crate::files::Files;
use crate::path;
use crate::source::{Layer, Sources};
use crate::tree::{Content, Node, Table};

/// Files, parsed.
struct Parsed {
    /// Settings of each file alone, by its name.
    files: BTreeMap<String, Table>,
    /// All of them over the shipped base; none where it is not they that are in force.
    effective: Option<Table>,
}

impl Files {
    /// Paths of settings that the files before made and these do not: keys that were taken out of a file, or whose file is gone, unless their
    /// effective value is still the same, and lists that got shorter.
    #[must_use]
    pub fn removed_since(&self, before: &Files) -> Vec<String> {
        let (before, now) = (Parsed::of(before), Parsed::of(self));
        let mut gone = BTreeSet::new();
        for (file, said) in &before.files {
            let mut keys = Vec::new();
            let says = now.files.get(file);
            find_gone(said, says, &mut keys, &mut |keys| {
                if file == AGENT_TOML {
                    gone.insert(format!("{AGENT_TOML}: {}", shortest(keys, says)));
                } else if let (Some(was), Some(is)) = (&before.effective, &now.effective)
                    && value(was, keys) != value(is, keys)
                {
                    gone.insert(shortest(keys, Some(is)));
                }
            });
        }
        if let (Some(was), Some(is)) = (&before.effective, &now.effective) {
            find_shorter(was, is, "", &mut gone);
        }
        gone.into_iter().collect()
    }
}

/// The file that is merged with no other.
const AGENT_TOML: &str = "agent.toml";

impl Parsed {
    fn of(files: &Files) -> Parsed {
        let (mut sources, log) = (Sources::default(), Diagnostics::default());
        let agent_toml =
            files.agent_toml().map(|agent_toml| (AGENT_TOML.to_owned(), agent_toml.parse(&mut sources, &log).1));
        let mut read: BTreeMap<String, Table> = agent_toml.into_iter().collect();
        let mut layers = Vec::new();
        for document in files.documents().layers {
            let Document { file, layer, .. } = &document;
            let name = layer.filter(|layer| *layer != Layer::Base).map(|_| file.clone());
            let table = document.parse(&mut sources, &log).1;
            layers.push(table.clone());
            name.into_iter().for_each(|name| drop(read.insert(name, table.clone())));
        }
        Parsed { files: read, effective: files.is_merged().then(|| Effective::merge(layers).merged) }
    }
}

/// Calls for each value of one table that another has not. `keys` is where the tables are.
fn find_gone<'a>(said: &'a Table, says: Option<&Table>, keys: &mut Vec<&'a str>, gone: &mut impl FnMut(&[&'a str])) {
    for (key, entry) in said {
        keys.push(key);
        let now = says.and_then(|says| says.get(key)).map(|entry| &entry.node);
        match (entry.node.as_table(), now) {
            (Some(table), now) => find_gone(table, now.and_then(Node::as_table), keys, gone),
            (None, None) => gone(keys),
            (None, Some(_)) => {}
        }
        keys.pop();
    }
}

/// The path of the first of these keys that a table lacks, else of the last.
fn shortest(keys: &[&str], table: Option<&Table>) -> String {
    let has = |count: &usize| table.is_some_and(|table| node(table, &keys[..*count]).is_some());
    let count = (1..keys.len()).find(|count| !has(count)).unwrap_or(keys.len());
    keys[..count].iter().fold(String::new(), |path, key| path::join(&path, key))
}

fn node<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Node> {
    let (first, rest) = keys.split_first()?;
    table.get(*first)?.node.get(rest.iter().copied())
}

/// The value at some keys, without its place.
fn value(table: &Table, keys: &[&str]) -> Option<Json> {
    node(table, keys).map(Node::to_json)
}

fn find_shorter(was: &Table, is: &Table, at: &str, gone: &mut BTreeSet<String>) {
    for (key, before) in was {
        let Some(now) = is.get(key) else { continue };
        match (&before.node.content, &now.node.content) {
            (Content::Table(before), Content::Table(now)) => find_shorter(before, now, &path::join(at, key), gone),
            (Content::Array(before), Content::Array(now)) if now.len() < before.len() => {
                gone.insert(path::join(at, key));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
