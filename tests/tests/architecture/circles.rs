//! Modules at the top of a package that import each other in a circle: neither can be read, tested or moved without the other.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{imports_of_root, names_of_root, tokens};

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

/// The other modules that each module at the top, a file or a folder, names, also by what the root re-exports of them.
fn imports(sources: &[(String, String)]) -> BTreeMap<&str, BTreeSet<String>> {
    let top = |path: &str| path.split('/').next().unwrap_or_default().trim_end_matches(".rs").len();
    let is_root = |path: &str| ["lib.rs", "main.rs"].contains(&path);
    let (roots, sources): (Vec<_>, Vec<_>) = sources.iter().partition(|(path, _)| is_root(path));
    let re_exports: Vec<(String, String)> =
        roots.into_iter().flat_map(|(_, text)| imports_of_root(&tokens(text))).collect();
    let modules = sources.iter().map(|(path, _)| (&path[..top(path)], BTreeSet::new()));
    let mut imports: BTreeMap<&str, BTreeSet<String>> = modules.collect();
    for (path, text) in sources {
        let module = &path[..top(path)];
        let named = names_of_root(&tokens(text), path.split('/').count()).into_iter().flat_map(|name| {
            let is_it = |found: &&(String, String)| name == "*" || found.0 == name && found.1 != name;
            let of_root = re_exports.iter().filter(is_it).map(|(_, module)| module.clone()).collect::<Vec<_>>();
            if imports.contains_key(name.as_str()) { vec![name] } else { of_root }
        });
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
    for text in [
        "fn a() { super::b::c() }",
        "fn a(x: i32) { if x > 0 { super::{c, b::d}; } }",
        "mod part { fn a() { super::super::b::c() } }",
        "mod part { mod deep {} use super::super::b; }",
        "mod part { struct A {} } fn a() { super::b::c() }",
    ] {
        assert_eq!(of(&[("a.rs", text), ("b.rs", "use crate::a;"), ("c.rs", "")]), ["src/: a -> b -> a"], "{text}");
    }
    for text in
        ["mod part { use super::b; }", "mod part { fn a() { super::b::c() } }", "mod part {} use super::super::b;"]
    {
        assert_eq!(of(&[("a.rs", text), ("b.rs", "use crate::a;")]), none, "{text}");
    }
    for root in [
        "mod a; mod b; pub use b::B;",
        "pub use crate::{a::A, b::{self, part::C, B}};",
        "use crate::b::{D as B, C};",
        "pub use self_made::X; pub(crate) use crate::{b::part::{B, C}};",
    ] {
        for text in ["use crate::B;", "fn a() { super::B::new() }", "use crate::{c, B};", "use crate::*;"] {
            let found = of(&[("lib.rs", root), ("a.rs", text), ("b.rs", "use crate::a;")]);
            assert_eq!(found, ["src/: a -> b -> a"], "{root} {text}");
        }
        assert_eq!(of(&[("lib.rs", root), ("a.rs", "use crate::E;"), ("b.rs", "use crate::a;")]), none, "{root}");
    }
    assert_eq!(of(&[("b/part.rs", "use super::super::a;"), ("a.rs", "use super::b;")]), ["src/: a -> b -> a"]);
    assert_eq!(of(&[("b/part.rs", "use super::a; use super::super::super::a;"), ("a.rs", "use super::b;")]), none);
    assert_eq!(
        of(&[("a.rs", "use crate::{b, c};"), ("b.rs", "use crate::a;"), ("c.rs", "use crate::a;")]).len(),
        2,
        "two circles through one module are two"
    );
}
