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
