//! Each check, shown something wrong.

use super::*;

const ROOT: &str = r#"
    [workspace.dependencies]
    tilth-agent = { path = "agent" }
    tilth-core = { path = "agent/core" }
    mqtt = { package = "rumqttc-v5-next", version = "0.34" }
    serde = "1"
"#;

/// A manifest of the package `name` in `folder` with `tables`: the problems found.
fn manifest(folder: &str, name: &str, tables: &str) -> String {
    let text = format!("package.name = \"{name}\"\nlints.workspace = true\n{tables}\n");
    check_manifest(&format!("{folder}/Cargo.toml"), &text, &parse("root", ROOT)).join("\n")
}

#[test]
fn manifests() {
    let core = |tables: &str| manifest("agent/core", "tilth-core", tables);
    let config = |tables: &str| manifest("config", "tilth-config", tables);
    let may_use = "but tilth-core may use only jiff, libm, serde, thiserror, and in its tests proptest, serde_json";
    let table: &[(String, String)] = &[
        (core("dependencies.serde.workspace = true"), String::new()),
        (core("dev-dependencies.proptest = \"1\""), String::new()),
        (core("dependencies.tokio = \"1\""), format!("agent/core/Cargo.toml: dependencies has tokio, {may_use}")),
        (core("dependencies.proptest = \"1\""), format!("agent/core/Cargo.toml: dependencies has proptest, {may_use}")),
        (
            core("[target.'cfg(unix)'.build-dependencies]\ncc = \"1\""),
            format!("agent/core/Cargo.toml: build-dependencies has cc, {may_use}"),
        ),
        (
            core("dependencies.serde = { package = \"sneaky\", version = \"1\" }"),
            format!("agent/core/Cargo.toml: dependencies has sneaky, {may_use}"),
        ),
        (config("dependencies.tilth-core.workspace = true"), String::new()),
        (
            config("dev-dependencies.tilth-agent.workspace = true"),
            "config/Cargo.toml: dev-dependencies has tilth-agent, but of ours tilth-config may import only tilth-core"
                .into(),
        ),
        (
            config("dependencies.extra = { path = \"../extra\" }"),
            "config/Cargo.toml: dependencies has extra, but of ours tilth-config may import only tilth-core".into(),
        ),
        (
            config("dependencies.mqtt.workspace = true"),
            "config/Cargo.toml: dependencies has rumqttc-v5-next, but tilth-config must not know \
             reqwest, rumqttc-v5-next, rusqlite, tokio, tokio-postgres"
                .into(),
        ),
        (
            manifest("cloud-sync/hub", "tilth-hub", "dependencies.tilth-agent.workspace = true"),
            "cloud-sync/hub/Cargo.toml: dependencies has tilth-agent, but of ours tilth-hub may import only \
             tilth-notify, tilth-protocol, tilth-config, tilth-core"
                .into(),
        ),
        (
            manifest("agent/web", "tilth-web", ""),
            "agent/web/Cargo.toml: the table of packages has no \"tilth-web\" in the folder \"agent/web\"".into(),
        ),
        (
            manifest("config", "tilth-core", ""),
            "config/Cargo.toml: the table of packages has no \"tilth-core\" in the folder \"config\"".into(),
        ),
        (manifest("firmware/boards/uno", "uno", "dependencies.tilth-wire.path = \"../../wire\""), String::new()),
        (
            manifest("firmware/boards/uno", "uno", "dependencies.tilth-core.path = \"../../../agent/core\""),
            "firmware/boards/uno/Cargo.toml: dependencies has tilth-core, but of ours uno may import only \
             tilth-avr, tilth-firmware, tilth-sensors, tilth-wire"
                .into(),
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_manifest_without_the_shared_lints() {
    let found = check_manifest("config/Cargo.toml", "package.name = \"tilth-config\"", &Table::new());
    assert_eq!(found, ["config/Cargo.toml: expected [lints] workspace = true, so that the shared lints hold here"]);
}

#[test]
fn members() {
    let folders: Vec<&str> = PACKAGES.iter().map(|package| package.folder).collect();
    let root = |folders: &[&str]| parse("root", &format!("workspace.members = {folders:?}"));
    assert_eq!(check_members(&root(&folders)), [""; 0]);
    assert_eq!(check_members(&root(&folders[1..])), ["Cargo.toml: expected the member \"agent/core\""]);
    let more = [&folders[..], &["agent/web"]].concat();
    assert_eq!(check_members(&root(&more)), ["Cargo.toml: member \"agent/web\" is not in the table of packages"]);
}

#[test]
fn steps() {
    let table: &[(&str, &[&str])] = &[
        ("use crate::calibrate::Calibration;", &[]),
        ("use crate::value::{Steps, Value};", &[]),
        ("/// See [`crate::alert`].\n// crate::alert\n/* crate::alert /* */ crate::alert */ fn a() {}", &[]),
        (r###"const A: &str = "crate::alert"; const B: &str = r#"" crate::alert"#; const C: char = '"';"###, &[]),
        ("pub(crate) fn alert<'a>(alert: &'a str) {}", &[]),
        ("mod tests { use super::alert; }", &[]),
        ("use crate::alert::Alert;", &["alert"]),
        ("use crate::{calibrate, alert::{self, rules}, value::{engine}, engine};", &["alert", "engine"]),
        ("use super::rules;", &["rules"]),
        ("fn a() { super::rules::b() } mod tests { use super::super::alert; }", &["rules", "alert"]),
        ("fn a<'a>(b: &'a str) -> crate::escalate::Step {}", &["escalate"]),
    ];
    for (source, expected) in table {
        let expected: Vec<String> = expected
            .iter()
            .map(|name| {
                format!("agent/core/src/judge.rs: names crate::{name}, but of the steps it may know only calibrate")
            })
            .collect();
        assert_eq!(check_step("agent/core/src/judge.rs", source), expected, "{source}");
    }
    assert_eq!(check_step("agent/core/src/engine.rs", "use crate::{calibrate, alert, escalate};"), [""; 0]);
    assert_eq!(check_step("agent/core/src/rules/rate.rs", "use crate::alert; use super::super::alert;").len(), 2);
    assert_eq!(
        check_step("agent/core/src/judge.rs", "use crate::Alert; use crate::*;"),
        ["Alert", "*"].map(|name| format!(
            "agent/core/src/judge.rs: names crate::{name}: name the module it comes from, so that its step is seen"
        ))
    );
}

#[test]
fn circles() {
    let found = "a/src/: x -> y -> x".to_owned();
    let expected = format!("{found}: expected no modules that import each other");
    assert_eq!(check_circles(&[found]), [expected]);
    assert_eq!(check_circles(&[]), [""; 0]);
    let files = ["a/src/bin/b/main.rs", "a/src/lib.rs", "a/src/main.rs", "a/src/x/y.rs", "a/tests/t/main.rs"];
    assert_eq!(crates(&files.map(str::to_owned)), ["a/src/bin/b/", "a/src/"]);
}

#[test]
fn names() {
    let wrong = |file: &str, name: &str| vec![format!("{file}: \"{name}\": expected a name that says what is inside")];
    assert_eq!(check_names("agent/src/bus.rs", "mod line; // helpers\nlet common = 1;"), [""; 0]);
    assert_eq!(check_names("agent/src/utils.rs", ""), wrong("agent/src/utils.rs", "utils"));
    assert_eq!(check_names("tests/tests/common/mod.rs", ""), wrong("tests/tests/common/mod.rs", "common"));
    assert_eq!(check_names("agent/src/bus.rs", "mod bus_manager {}"), wrong("agent/src/bus.rs", "bus_manager"));
}

#[test]
fn top_level() {
    let entries = ["agent", ".git", "target", "scripts", "README.md"].map(str::to_owned).to_vec();
    assert_eq!(check_top_level(entries, "/target\n"), ["scripts: not expected at the top level, which is fixed"]);
}
