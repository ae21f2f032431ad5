//! Broken configurations, each a folder under `broken/` with all that is said of it in `expected.txt`.
//!
//! `TILTH_UPDATE_GOLDEN=1 cargo test -p tilth-config --test broken` writes the files again; read the difference before it is
//! kept.

use std::fs;
use std::path::{Path, PathBuf};

use tilth_config::{Loaded, Purpose, load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the cases");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("a case").path()).collect();
    cases.sort();
    cases
}

fn said(loaded: &Loaded) -> String {
    loaded.diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

#[test]
fn each_says_all_that_is_wrong() {
    let mut different = Vec::new();
    for case in cases() {
        let expected = case.join("expected.txt");
        let found = said(&load(&case, Purpose::Check));
        if std::env::var_os("TILTH_UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            different.push(format!("{}:\n{found}", case.display()));
        }
    }
    assert!(different.is_empty(), "not as in expected.txt:\n{}", different.join("\n"));
}

#[test]
fn there_are_at_least_twelve_and_none_makes_a_plan_unless_only_warned_of() {
    assert!(cases().len() >= 12);
    for case in cases() {
        let loaded = load(&case, Purpose::Check);
        assert!(!loaded.diagnostics.is_empty(), "{}", case.display());
        assert_eq!(loaded.plan.is_none(), loaded.has_errors(), "{}", case.display());
    }
}

/// A terminal shows the line, so every place must be in its text.
#[test]
fn every_place_is_in_its_text() {
    for case in cases() {
        let loaded = load(&case, Purpose::Check);
        for diagnostic in &loaded.diagnostics {
            let Some(position) = &diagnostic.position else { continue };
            let text = loaded.sources.text(&diagnostic.file).unwrap();
            assert!(text.get(position.span.clone()).is_some(), "{diagnostic}");
            let line = text.split('\n').nth(position.line - 1).unwrap();
            assert!(position.column <= line.chars().count() + 1, "{diagnostic}");
        }
    }
}
