//! The merge of layers against published cases and its own laws.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value as Json};
use tilth_config::merge_json;

/// Folder of data from elsewhere; on a clone without it this test is skipped aloud.
fn shared_data() -> PathBuf {
    let folder = env::var_os("TILTH_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)
}

#[test]
fn the_published_cases() {
    let path = shared_data().join("config/json_merge_patch_tests.json");
    let Ok(text) = fs::read_to_string(&path) else {
        let skipped = format!("skipped: the_published_cases (3 cases): no shared data at {}", path.display());
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{skipped}");
        // Not by println, which a test that passes keeps to itself.
        let _ = writeln!(io::stderr().lock(), "\n{skipped}");
        return;
    };
    let cases: Vec<Json> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        assert_eq!(merge_json(&case["doc"], &case["patch"]), case["expected"], "{}", case["comment"]);
    }
}

fn json(with_null: bool) -> impl Strategy<Value = Json> {
    let null = if with_null { Just(Json::Null).boxed() } else { Just(Json::from(0)).boxed() };
    let leaf = prop_oneof![
        null,
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e9..1e9).prop_map(Json::from),
        "[a-c]{0,2}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// RFC 7396 section 2, transcribed.
fn by_the_letter(target: &Json, patch: &Json) -> Json {
    let Json::Object(patch) = patch else { return patch.clone() };
    let mut merged = target.as_object().cloned().unwrap_or_else(Map::new);
    for (name, value) in patch {
        if value.is_null() {
            merged.remove(name);
        } else {
            let before = merged.get(name).cloned().unwrap_or(Json::Null);
            merged.insert(name.clone(), by_the_letter(&before, value));
        }
    }
    Json::Object(merged)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_merge_of_the_standard(target in json(true), patch in json(true)) {
        prop_assert_eq!(merge_json(&target, &patch), by_the_letter(&target, &patch));
    }

    #[test]
    fn an_empty_patch_changes_no_object(target in json(true)) {
        let target = serde_json::json!({ "a": target });
        prop_assert_eq!(&merge_json(&target, &Json::Object(Map::new())), &target);
    }

    #[test]
    fn once_is_as_good_as_twice(target in json(true), patch in json(true)) {
        let once = merge_json(&target, &patch);
        prop_assert_eq!(&merge_json(&once, &patch), &once);
    }

    #[test]
    fn a_patch_without_null_holds_afterwards(target in json(true), patch in json(false)) {
        prop_assert_eq!(merge_json(&merge_json(&target, &patch), &patch), merge_json(&target, &patch));
        prop_assert!(contains(&merge_json(&target, &patch), &patch));
    }
}

fn contains(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::Object(whole), Json::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        _ => whole == part,
    }
}
