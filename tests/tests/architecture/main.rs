//! The shape of the workspace: who may import whom, what tilth-core may use, the order of its steps, names and their homes, first words of doc
//! comments, the top level, the map in `docs/architecture.md`, pages that messages name.
//!
//! The tables below say what is allowed; `docs/architecture.md` says why. A change here is a decision: it wants a dated
//! page in `docs/decisions/`. Every check takes text, so that `shown_something_wrong` can show it a wrong one.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod circles;
mod comments;
mod homes;
mod map;
mod pages;
mod shown_something_wrong;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use circles::circles;
use source::{names_of_root, tokens};

/// What a package may take from outside the workspace.
enum Outside {
    Anything,
    Only { dependencies: &'static [&'static str], dev_dependencies: &'static [&'static str] },
    AnythingBut(&'static [&'static str]),
}

struct Package {
    folder: &'static str,
    name: &'static str,
    may_import: &'static [&'static str],
    outside: Outside,
}

/// All packages, each with all it may import: for its code, its tests and its build script alike.
const PACKAGES: &[Package] = &[
    Package {
        folder: "agent/core",
        name: "tilth-core",
        may_import: &[],
        outside: Outside::Only {
            dependencies: &["jiff", "libm", "serde", "thiserror"],
            dev_dependencies: &["proptest", "serde_json"],
        },
    },
    Package {
        folder: "config",
        name: "tilth-config",
        may_import: &["tilth-core"],
        outside: Outside::AnythingBut(&["reqwest", "rumqttc-v5-next", "rusqlite", "tokio", "tokio-postgres"]),
    },
    Package {
        folder: "cloud-sync/protocol",
        name: "tilth-protocol",
        may_import: &["tilth-core"],
        outside: Outside::AnythingBut(&["axum", "reqwest", "rumqttc-v5-next", "rusqlite", "tokio", "tokio-postgres"]),
    },
    Package {
        folder: "cloud-sync/client",
        name: "tilth-sync",
        may_import: &["tilth-protocol", "tilth-config", "tilth-core"],
        outside: Outside::AnythingBut(&["gpiocdev", "linux-embedded-hal", "rusqlite", "tokio-modbus", "tokio-serial"]),
    },
    Package {
        folder: "agent/notify",
        name: "tilth-notify",
        may_import: &["tilth-config", "tilth-core"],
        outside: Outside::AnythingBut(&["axum", "rumqttc-v5-next", "rusqlite", "tokio-postgres", "tokio-serial"]),
    },
    Package {
        folder: "cloud-sync/hub",
        name: "tilth-hub",
        may_import: &["tilth-notify", "tilth-protocol", "tilth-config", "tilth-core"],
        outside: Outside::Anything,
    },
    Package {
        folder: "agent",
        name: "tilth-agent",
        may_import: &["tilth-notify", "tilth-sync", "tilth-protocol", "tilth-config", "tilth-core", "tilth-wire"],
        outside: Outside::Anything,
    },
    Package { folder: "firmware/wire", name: "tilth-wire", may_import: &[], outside: Outside::Anything },
    Package {
        folder: "firmware/sensors",
        name: "tilth-sensors",
        may_import: &[],
        outside: Outside::AnythingBut(&["linux-embedded-hal"]),
    },
    Package {
        folder: "firmware",
        name: "tilth-firmware",
        may_import: &["tilth-sensors", "tilth-wire"],
        outside: Outside::Anything,
    },
    Package {
        folder: "tests",
        name: "tilth-tests",
        may_import: &[
            "tilth-agent",
            "tilth-config",
            "tilth-core",
            "tilth-firmware",
            "tilth-hub",
            "tilth-notify",
            "tilth-protocol",
            "tilth-sync",
            "tilth-wire",
        ],
        outside: Outside::Anything,
    },
];

/// Each folder in here is one board: outside the workspace, under a name of its own.
const BOARDS: &str = "firmware/boards/";
const BOARDS_MAY_IMPORT: &[&str] = &["tilth-avr", "tilth-firmware", "tilth-sensors", "tilth-wire"];

/// The way of a reading through `agent/core/src`, one file (or folder) each. A step names only the ones before it;
/// `engine`, at the end, may name all. A new step gets its line at its place.
const STEPS: &[&str] = &["calibrate", "judge", "windows", "rules", "alert", "escalate", "engine"];
const STEPS_FOLDER: &str = "agent/core/src/";

/// Names that say nothing about what is inside; also as a part, as in `bus_manager`.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "managers", "util", "utils"];

/// What may stand at the top level beside names that begin with a dot.
const TOP_LEVEL: &[&str] = &[
    "agent",
    "cloud-sync",
    "config",
    "cross",
    "docs",
    "firmware",
    "systemd",
    "tests",
    "Cargo.lock",
    "Cargo.toml",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
];

// --- the workspace as it stands

#[test]
fn every_package_imports_only_what_its_line_of_the_table_allows() {
    let root = parse("Cargo.toml", &read("Cargo.toml"));
    let mut problems = check_members(&root);
    for file in files().iter().filter(|file| file.ends_with("/Cargo.toml")) {
        problems.extend(check_manifest(file, &read(file), &root));
    }
    none(&problems);
}

#[test]
fn a_step_of_the_core_names_only_the_steps_before_it() {
    let files = files();
    let mut problems = Vec::new();
    for step in STEPS {
        if !files.iter().any(|file| step_of(file) == Some(step)) {
            problems.push(format!("{STEPS_FOLDER}{step}.rs: missing, but it is in the list of steps"));
        }
    }
    for file in files.iter().filter(|file| step_of(file).is_some()) {
        problems.extend(check_step(file, &read(file)));
    }
    none(&problems);
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let files = files();
    let mut found = Vec::new();
    for folder in crates(&files) {
        let of_folder = |file: &String| Some((file.strip_prefix(folder)?.to_owned(), read(file)));
        let sources = files.iter().filter(|file| file.ends_with(".rs")).filter_map(of_folder);
        let sources: Vec<_> = sources.filter(|(path, _)| !path.starts_with("bin/")).collect();
        found.extend(circles(folder, &sources));
    }
    none(&check_circles(&found));
}

#[test]
fn no_file_or_module_has_an_empty_name() {
    let mut problems = Vec::new();
    for file in files().iter().filter(|file| file.ends_with(".rs")) {
        problems.extend(check_names(file, &read(file)));
    }
    none(&problems);
}

#[test]
fn the_top_level_is_the_fixed_one() {
    let entries =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    none(&check_top_level(entries, &read(".gitignore")));
}

// --- checks

fn check_members(root: &Table) -> Vec<String> {
    let members = root["workspace"]["members"].as_array().unwrap();
    let members: Vec<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    let unknown = members.iter().filter(|member| PACKAGES.iter().all(|package| package.folder != **member));
    let absent = PACKAGES.iter().filter(|package| !members.contains(&package.folder));
    unknown
        .map(|folder| format!("Cargo.toml: member \"{folder}\" is not in the table of packages"))
        .chain(absent.map(|package| format!("Cargo.toml: expected the member \"{}\"", package.folder)))
        .collect()
}

fn check_manifest(file: &str, text: &str, root: &Table) -> Vec<String> {
    let manifest = parse(file, text);
    let folder = file.trim_end_matches("/Cargo.toml");
    let name =
        manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str).unwrap_or_default();
    let is_board = folder.strip_prefix(BOARDS).is_some_and(|board| !board.contains('/'));
    let (may_import, outside) = if is_board {
        (BOARDS_MAY_IMPORT, &Outside::Anything)
    } else if let Some(package) = PACKAGES.iter().find(|package| package.folder == folder && package.name == name) {
        (package.may_import, &package.outside)
    } else {
        return vec![format!("{file}: the table of packages has no \"{name}\" in the folder \"{folder}\"")];
    };

    let mut problems = Vec::new();
    let inherits_lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    if !is_board && inherits_lints != Some(true) {
        problems.push(format!("{file}: expected [lints] workspace = true, so that the shared lints hold here"));
    }
    for dependency in dependencies(&manifest, root) {
        let Dependency { kind, package, by_path } = &dependency;
        let package = package.as_str();
        if *by_path || PACKAGES.iter().any(|known| known.name == package) {
            if !may_import.contains(&package) {
                let allowed = one_of(may_import);
                problems.push(format!("{file}: {kind} has {package}, but of ours {name} may import only {allowed}"));
            }
            continue;
        }
        match outside {
            Outside::Anything => {}
            Outside::Only { dependencies, dev_dependencies } => {
                let is_dev = *kind == "dev-dependencies";
                if !(dependencies.contains(&package) || is_dev && dev_dependencies.contains(&package)) {
                    let allowed = one_of(dependencies);
                    let dev = one_of(dev_dependencies);
                    problems.push(format!(
                        "{file}: {kind} has {package}, but {name} may use only {allowed}, and in its tests {dev}"
                    ));
                }
            }
            Outside::AnythingBut(unknown) => {
                if unknown.contains(&package) {
                    problems
                        .push(format!("{file}: {kind} has {package}, but {name} must not know {}", one_of(unknown)));
                }
            }
        }
    }
    problems
}

struct Dependency {
    kind: &'static str,
    /// The name in the registry, which `package = ".."` may hide behind another.
    package: String,
    by_path: bool,
}

/// All dependencies of all kinds, those for one target only among them.
fn dependencies(manifest: &Table, root: &Table) -> Vec<Dependency> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables =
        std::iter::once(manifest).chain(targets.into_iter().flat_map(Table::values).filter_map(Value::as_table));
    let mut found = Vec::new();
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, stated) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let inherited = stated.get("workspace").and_then(Value::as_bool) == Some(true);
                let stated = if inherited { &root["workspace"]["dependencies"][key] } else { stated };
                let package = stated.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
                found.push(Dependency { kind, package, by_path: stated.get("path").is_some() });
            }
        }
    }
    found
}

fn check_step(file: &str, source: &str) -> Vec<String> {
    let step = step_of(file).unwrap();
    let place = STEPS.iter().position(|known| *known == step).unwrap();
    let before = &STEPS[..place];
    let mut problems = Vec::new();
    let supers = file.trim_start_matches(STEPS_FOLDER).split('/').count();
    for name in names_of_root(&tokens(source), supers) {
        if STEPS[place + 1..].contains(&name.as_str()) {
            problems.push(format!("{file}: names crate::{name}, but of the steps it may know only {}", one_of(before)));
        } else if !name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_') {
            // What lib.rs re-exports could come from any step.
            problems
                .push(format!("{file}: names crate::{name}: name the module it comes from, so that its step is seen"));
        }
    }
    problems
}

fn check_circles(found: &[String]) -> Vec<String> {
    found.iter().map(|circle| format!("{circle}: expected no modules that import each other")).collect()
}

fn check_names(file: &str, source: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").split('/').map(str::to_owned);
    let tokens = tokens(source);
    let modules = tokens.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1].clone());
    let empty = |name: &String| name.split(['_', '-']).any(|part| EMPTY_NAMES.contains(&part));
    let mut problems: Vec<String> = path
        .chain(modules)
        .filter(empty)
        .map(|name| format!("{file}: \"{name}\": expected a name that says what is inside"))
        .collect();
    problems.dedup();
    problems
}

/// Entries that git is told to ignore at the top level are allowed.
fn check_top_level(entries: Vec<String>, gitignore: &str) -> Vec<String> {
    let ignored: Vec<&str> = gitignore.lines().filter_map(|line| line.trim().strip_prefix('/')).collect();
    let fits = |entry: &String| {
        entry.starts_with('.') || TOP_LEVEL.contains(&entry.as_str()) || ignored.contains(&entry.as_str())
    };
    let mut strange: Vec<String> = entries.into_iter().filter(|entry| !fits(entry)).collect();
    strange.sort();
    strange.iter().map(|entry| format!("{entry}: not expected at the top level, which is fixed")).collect()
}

/// The step that a file belongs to: `alert.rs`, or anything in the folder `alert/`.
fn step_of(file: &str) -> Option<&'static str> {
    let first = file.strip_prefix(STEPS_FOLDER)?.split('/').next()?;
    let name = first.trim_end_matches(".rs");
    STEPS.iter().find(|step| **step == name).copied()
}

// --- files

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn parse(file: &str, text: &str) -> Table {
    text.parse().unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All files of ours by their path from the root, sorted; neither build output nor anything hidden.
fn files() -> Vec<String> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if name == "target" || name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// The folders of all crates: `src` of each package, and of each of its programs in `src/bin`.
fn crates(files: &[String]) -> Vec<&str> {
    let of_root = |file: &str| file.strip_suffix("lib.rs").or_else(|| file.strip_suffix("main.rs")).map(str::len);
    let folders = files.iter().filter_map(|file| Some(&file[..of_root(file)?]));
    let is_source = |folder: &&str| folder.ends_with("/src/") || folder.contains("/src/bin/");
    let mut folders: Vec<&str> = folders.filter(is_source).collect();
    folders.dedup();
    folders
}

fn one_of(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
