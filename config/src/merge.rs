//! Layers over layers by RFC 7396: tables are merged key by key, everything else is replaced, null deletes.

use serde_json::Value as Json;

use crate::redact::KeyContext;
use crate::source::Sources;
use crate::tree::{self, Content, Entry, Node, Table};

/// What a null in a patch does.
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

/// What RFC 7396 calls `MergePatch(Target, Patch)`, by the same code that merges the layers of a configuration.
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
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7396, appendix A, and a few more of its kind.
    #[test]
    fn the_cases_of_the_standard() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!({"n": 18_446_744_073_709_551_615_u64}), json!({"f": 0.1, "i": -3}), {
                json!({"n": 18_446_744_073_709_551_615_f64, "f": 0.1, "i": -3})
            }),
        ] {
            assert_eq!(merge_json(&target, &patch), expected, "{patch} over {target}");
        }
    }

    #[test]
    fn a_composed_patch_still_deletes() {
        let mut sources = Sources::default();
        let source = sources.add_empty("");
        let node = |json| tree::from_json(source, &json, KeyContext::Top);
        let mut patch = node(json!({"a": {"b": 1}}));
        compose(&mut patch, &node(json!({"a": {"b": null, "c": 2}})));
        let mut target = node(json!({"a": {"b": 0}}));
        apply(&mut target, &patch);
        assert_eq!(target.to_json(), json!({"a": {"c": 2}}));
    }
}
