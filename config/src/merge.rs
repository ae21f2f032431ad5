//! Layers over layers by RFC 7396: tables are merged key by key, everything else is replaced, null deletes.

use serde_json::Value as Json;

use crate::redact::KeyContext;
use crate::source::Sources;
use crate::tree::{self, Content, Entry, Node, Table};

/// Meaning of a null in a patch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    /// Deletes its key, as RFC 7396 says.
    Delete,
    /// Stays, in a patch made of patches, to delete when that is applied.
    Keep,
}

/// Applies a patch to a value. What it writes keeps its own origin.
pub(crate) fn apply(target: &mut Node, patch: &Node) {
    merge(target, patch, Nulls::Delete);
}

/// Applies a patch to a table.
pub(crate) fn apply_table(target: &mut Table, patch: &Table) {
    merge_table(target, patch, Nulls::Delete);
}

/// Makes one patch of two, which does what the first and then the second would do.
pub(crate) fn compose(first: &mut Node, second: &Node) {
    merge(first, second, Nulls::Keep);
}

/// `MergePatch(Target, Patch)` of RFC 7396, by the code that merges the layers of a configuration.
#[must_use]
pub fn merge_json(target: &Json, patch: &Json) -> Json {
    let mut sources = Sources::default();
    let source = sources.add_empty("");
    let mut merged = tree::from_json(source, target, KeyContext::Anything);
    apply(&mut merged, &tree::from_json(source, patch, KeyContext::Anything));
    merged.to_json()
}

fn merge(target: &mut Node, patch: &Node, nulls: Nulls) {
    (target.place, target.hidden) = (patch.place, patch.hidden);
    match (&mut target.content, &patch.content) {
        (Content::Table(table), Content::Table(patch)) => merge_table(table, patch, nulls),
        (content, Content::Table(patch)) => {
            let mut table = Table::new();
            merge_table(&mut table, patch, nulls);
            *content = Content::Table(table);
        }
        (content, other) => *content = other.clone(),
    }
}

fn merge_table(table: &mut Table, patch: &Table, nulls: Nulls) {
    for (key, entry) in patch {
        if entry.node.content == Content::Null && nulls == Nulls::Delete {
            table.remove(key);
        } else if let Some(known) = table.get_mut(key) {
            known.key = entry.key;
            merge(&mut known.node, &entry.node, nulls);
        } else {
            let mut node = Node::null(entry.node.place);
            merge(&mut node, &entry.node, nulls);
            table.insert(key.clone(), Entry { key: entry.key, node });
        }
    }
}

#[cfg(test)]
mod tests;
