//! Modules at the top of a package that import each other in a circle: neither can be read, tested or moved without the other.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{modules_named, tokens};

/// Each circle once, as `src/: a -> b -> a`. `sources` are the files of a package by their path under `folder`.
pub(super) fn circles(folder: &str, sources: &[(String, String)]) -> Vec<String> {
    let imports = imports(sources);
    let mut found = BTreeSet::new();
    for module in imports.keys() {
        if let Some(way) = way_back(module, &imports) {
            found.insert(from_the_first(way));
        }
    }
    found.into_iter().map(|circle| format!("{folder}: {} -> {}", circle.join(" -> "), circle[0])).collect()
}

/// Of each module at the top, a file or a folder, the others that it names.
fn imports(sources: &[(String, String)]) -> BTreeMap<&str, BTreeSet<String>> {
    let top = |path: &str| path.split('/').next().unwrap_or_default().trim_end_matches(".rs").len();
    let is_root = |path: &str| ["lib.rs", "main.rs"].contains(&path);
    let modules =
        sources.iter().filter(|(path, _)| !is_root(path)).map(|(path, _)| (&path[..top(path)], BTreeSet::new()));
    let mut imports: BTreeMap<&str, BTreeSet<String>> = modules.collect();
    for (path, text) in sources.iter().filter(|(path, _)| !is_root(path)) {
        let module = &path[..top(path)];
        let named = modules_named(&tokens(text), path.split('/').count()).into_iter();
        let others: Vec<String> = named.filter(|name| name != module && imports.contains_key(name.as_str())).collect();
        imports.entry(module).or_default().extend(others);
    }
    imports
}

/// The shortest way from a module back to itself.
fn way_back<'a>(module: &'a str, imports: &'a BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![module]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in &ways {
            for next in &imports[way[way.len() - 1]] {
                if next == module {
                    return Some(way.clone());
                }
                if seen.insert(next.as_str()) {
                    longer.push(way.iter().copied().chain([next.as_str()]).collect());
                }
            }
        }
        ways = longer;
    }
    None
}

/// The same circle, begun at its first name, so that it is the same whichever module it was found from.
fn from_the_first(mut circle: Vec<&str>) -> Vec<&str> {
    let first = (0..circle.len()).min_by_key(|at| circle[*at]).unwrap_or_default();
    circle.rotate_left(first);
    circle
}

#[test]
fn a_circle_is_found_however_its_files_lie() {
    let of = |sources: &[(&str, &str)]| {
        let sources: Vec<_> = sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        circles("src/", &sources)
    };
    let none: [&str; 0] = [];
    assert_eq!(
        of(&[("lib.rs", "pub mod a; use crate::a;"), ("a.rs", "use crate::b;"), ("b.rs", "use crate::c;")]),
        none
    );
    assert_eq!(of(&[("a.rs", "use crate::a; use super::a;"), ("a/part.rs", "use crate::a; use super::b;")]), none);
    assert_eq!(of(&[("a.rs", "use crate::b;"), ("b.rs", "// crate::a\nconst A: &str = \"crate::a\";")]), none);
    assert_eq!(of(&[("b.rs", "use crate::a;"), ("a.rs", "use super::b;")]), ["src/: a -> b -> a"]);
    assert_eq!(
        of(&[
            ("plan.rs", "use crate::rules::Test;"),
            ("rules/rate.rs", "fn a() { crate::judge::rate() }"),
            ("judge.rs", "use crate::{id, plan::Sensor};"),
            ("id.rs", ""),
        ]),
        ["src/: judge -> plan -> rules -> judge"]
    );
    assert_eq!(of(&[("b/part.rs", "use super::super::a;"), ("a.rs", "use super::b;")]), ["src/: a -> b -> a"]);
    assert_eq!(of(&[("b/part.rs", "use super::a; use super::super::super::a;"), ("a.rs", "use super::b;")]), none);
    assert_eq!(
        of(&[("a.rs", "use crate::{b, c};"), ("b.rs", "use crate::a;"), ("c.rs", "use crate::a;")]).len(),
        2,
        "two circles through one module are two"
    );
}
