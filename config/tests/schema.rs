//! The schema for editors, held against documents: what is shipped and shown is valid, and what is wrong is found.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::{Validator, draft202012};
use serde_json::{Value as Json, json};
use tilth_config::schema;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn validator(schema: &Json) -> Validator {
    draft202012::meta::validate(schema).expect("a schema");
    draft202012::new(schema).expect("a schema that can be used")
}

/// Places where a document is wrong, and why; empty where it is valid.
fn wrong(validator: &Validator, document: &Json) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn toml(text: &str, name: &str) -> Json {
    let table: toml::Table = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::to_value(table).expect("JSON")
}

/// TOML blocks of all pages, with where they stand.
fn blocks() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("docs")).expect("the pages") {
        let path = entry.expect("a page").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = fs::read_to_string(&path).expect("text");
        for (number, block) in page.split("```toml\n").skip(1).enumerate() {
            let block = block.split("\n```").next().unwrap_or(block);
            found.push((format!("{}, block {}", path.display(), number + 1), block.to_owned()));
        }
    }
    found
}

#[test]
fn what_is_shipped_is_valid() {
    let config = validator(&schema::of_config());
    let files: Vec<PathBuf> =
        fs::read_dir(root().join("config/base")).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let name = file.display().to_string();
        assert_eq!(wrong(&config, &toml(&fs::read_to_string(&file).unwrap(), &name)), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_the_pages_show_is_valid() {
    let (config, agent_toml) = (validator(&schema::of_config()), validator(&schema::of_agent_toml()));
    let (mut of_agent_toml, mut of_config) = (0, 0);
    for (name, text) in blocks() {
        let document = toml(&text, &name);
        let is_agent_toml = ["device", "hub", "bus", "secrets"].iter().any(|key| document.get(key).is_some());
        let errors = match is_agent_toml {
            true => {
                wrong(&agent_toml, &document).into_iter().filter(|error| !error.contains("is a required")).collect()
            }
            false => wrong(&config, &document),
        };
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        *(if is_agent_toml { &mut of_agent_toml } else { &mut of_config }) += 1;
    }
    assert!(of_agent_toml >= 3 && of_config >= 10, "{of_agent_toml} and {of_config}");
}

#[test]
fn what_is_wrong_in_a_farm_is_found() {
    let config = validator(&schema::of_config());
    for (text, expected) in [
        ("[sensors.'tower-1/ph']\nquantiy = 'ph'", "/sensors/tower-1~1ph"),
        ("[sensors.'tower-1/ph']\nquantity = 'pH'", "/sensors/tower-1~1ph/quantity"),
        ("[sensors.tower]\nquantity = 'ph'", "/sensors"),
        ("[sensors.'a/b']\ninterval = 5", "/sensors/a~1b/interval"),
        ("[sensors.'a/b']\ninterval = '0s'", "/sensors/a~1b/interval"),
        ("[sensors.'a/b']\ninterval = '5 months'", "/sensors/a~1b/interval"),
        ("[sensors.'a/b']\nresolution = 0", "/sensors/a~1b/resolution"),
        ("[sensors.'a/b']\nrange = [1]", "/sensors/a~1b/range"),
        ("[sensors.'a/b']\ninput = 'serial:x/y'", "/sensors/a~1b/input"),
        ("[sensors.'a/b']\nstamp = 'sender'", "/sensors/a~1b/stamp"),
        ("[rules.a]\nabove = '6.8'", "/rules/a/above"),
        ("[rules.a]\nseverity = 'urgnet'", "/rules/a/severity"),
        ("[rules.a]\nby = 0", "/rules/a/by"),
        ("[rules.a]\nfor = '-5m'", "/rules/a/for"),
        ("[rules.a]\nexpr = 'a > b'", "/rules/a"),
        ("[zones.a.rules.b]\nabov = 1", "/zones/a/rules/b"),
        ("[schedules.s]\ndays = ['sunday']", "/schedules/s/days/0"),
        ("[schedules.s]\nfrom = '6'", "/schedules/s/from"),
        ("[escalation.default]\nfatal = {}", "/escalation/default"),
        ("[escalation.default.urgent]\nwait = 5", "/escalation/default/urgent/wait"),
        ("[notifications.p]\nkind = 'sms'", "/notifications/p/kind"),
        ("[notifications.p]\nkind = 'log'\nurl = 'https://a.example'", "/notifications/p"),
        ("[notifications.p]\nkind = 'ntfy'\nmax_per_hour = 0", "/notifications/p/max_per_hour"),
        ("[notifications.p]\nkind = 'ntfy'\ntoken = 'tk_1'", "/notifications/p/token"),
        ("[agent.quantities.pH]\nrange = [3, 9]", "/agent/quantities"),
        ("[agent.bus_down]\nduring = 'day'", "/agent/bus_down"),
        ("[device]\nid = 'pi'", ""),
    ] {
        let errors = wrong(&config, &toml(text, text));
        assert!(errors.iter().any(|error| error.split(": ").next() == Some(expected)), "{text}\n{errors:?}");
    }
}

#[test]
fn what_is_wrong_in_agent_toml_is_found() {
    let agent_toml = validator(&schema::of_agent_toml());
    for (text, expected) in [
        ("[device]\nclock = 'gps'\nid = 'pi'", "/device/clock"),
        ("[device]\nclient = 'acme'", "/device"),
        ("[hub]\nurl = 'hub.example'\nsigning_key = 'a'\nkey_file = 'b'", "/hub/url"),
        ("[bus.a]\nport = '/dev/ttyUSB0'", "/bus/a"),
        ("[bus.a]\nkind = 'can'", "/bus/a/kind"),
        ("[bus.a]\nkind = 'line'", "/bus/a"),
        ("[bus.a]\nkind = 'line'\nport = 'p'\nbaud = 100", "/bus/a/baud"),
        ("[bus.a]\nkind = 'line'\nport = 'p'\nparity = 'odd'", "/bus/a"),
        ("[bus.a]\nkind = 'modbus'\nport = 'p'\nstop_bits = 3", "/bus/a/stop_bits"),
        ("[secrets.ntfy]\nhosts = ['https://ntfy.example']", "/secrets/ntfy/hosts/0"),
        ("[rules.a]\nabove = 1", ""),
    ] {
        let errors = wrong(&agent_toml, &toml(text, text));
        assert!(errors.iter().any(|error| error.split(": ").next() == Some(expected)), "{text}\n{errors:?}");
    }
}

#[test]
fn a_namespace_has_a_schema_of_its_own_and_an_editor_is_told_what_a_key_says() {
    let rules = schema::of_namespace("rules").expect("a namespace");
    let validator = validator(&rules);
    assert_eq!(wrong(&validator, &json!({ "ph-high": { "above": 6.8 } })), Vec::<String>::new());
    assert_eq!(wrong(&validator, &json!({ "ph-high": { "abov": 6.8 } })).len(), 1);
    let cooldown = &rules["$defs"]["rules.NAME"]["properties"]["cooldown"];
    assert_eq!(cooldown["default"], "15m");
    assert_eq!(cooldown["description"], "time after the end of an alert in which it does not fire again");
    let above = &rules["$defs"]["rules.NAME"]["properties"]["above"]["description"];
    assert_eq!(above, "the value is above this (unit of the quantity); default: another condition");
    assert!(schema::of_namespace("rule").is_none());
    for name in schema::namespaces() {
        assert!(schema::of_namespace(name).is_some(), "{name}");
    }
}
