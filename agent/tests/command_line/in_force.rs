//! `check` and `explain` on a device of a hub: what is in force there.

use std::fs;

use serde_json::{Value, json};
use tilth_config::bundle::{Draft, SigningKey, seal};
use tilth_core::id::Id;
use tilth_core::time::WallTime;

use crate::farm::{Farm, Ran};

const SITE: &str = "[device]\nid = 'pi-7'\nclient = 'acme'\n[bus.gateway]\nkind = 'line'\nport = '/dev/null'\n\
                    [hub]\nurl = 'http://127.0.0.1:1'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'\n";
const LOCAL: &str = "[sensors.'room/level']\nquantity = 'count'\ninput = 'line:gateway/level'\n\
                     [rules.level-high]\nsensor = 'room/level'\nabove = 30\n";

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// A device of a hub that has sent nothing yet.
fn device(name: &str) -> Farm {
    Farm::empty(name).with("agent.toml", SITE).with("hub.pub", key().trusted().to_string())
}

/// With a last good bundle.
fn with_bundle(name: &str) -> Farm {
    let sensor = json!({ "quantity": "count", "resolution": 0.1, "input": "line:gateway/level" });
    let rule = json!({ "sensor": "room/hubs", "above": 50 });
    let content: Value = json!({ "sensors": { "room/hubs": sensor }, "rules": { "level-high": rule } });
    let (client, device_id) = (Id::new("acme").expect("an id"), Id::new("pi-7").expect("an id"));
    let issued = WallTime(1_770_000_000_000);
    let draft = Draft { version: 7, client: &client, device: &device_id, issued, content: &content };
    device(name).with("data/bundle.good", seal(&draft, &key()))
}

fn check(farm: &Farm) -> Ran {
    farm.run(&["check", "--config", ".", "--data", "data"])
}

#[track_caller]
fn says(ran: &Ran, code: i32, lines: &[&str]) {
    assert_eq!((ran.code, ran.err.as_str()), (Some(code), ""), "{}", ran.out);
    for line in lines {
        assert!(ran.out.lines().any(|said| said.starts_with(line)), "no {line:?} in\n{}", ran.out);
    }
}

#[test]
fn what_is_wrong_in_ignored_files_is_said_and_no_failure() {
    let farm = with_bundle("check-ignored").with("config.d/a.toml", LOCAL.replace("above", "abov"));
    let ran = check(&farm);
    let error = "config.d/a.toml:6:1: error: rules.level-high.abov: unknown key; did you mean \"above\"?";
    let rules = "the hub configures this device (bundle 7 in data); ignored: config.d/a.toml";
    says(&ran, 0, &[&format!("ignored: {error}"), rules, "1 sensor in 1 zone, "]);
    assert!(!ran.out.lines().any(|line| line.starts_with(error)), "{}", ran.out);

    let json = farm.run(&["check", "--config", ".", "--data", "data", "--json"]);
    let objects = json.objects();
    let abov = objects.iter().find(|object| object["path"] == "rules.level-high.abov").expect("the finding");
    assert_eq!((&abov["ignored"], &abov["level"]), (&json!(true), &json!("error")));
    let summary = objects.last().expect("a summary");
    assert_eq!((&summary["errors"], &summary["bundle"]), (&json!(0), &json!(7)));
}

/// Guards against: a bus that is renamed on site, and a farm that stands without its configuration at the next start.
#[test]
fn a_bundle_that_agent_toml_no_longer_fits_is_an_error() {
    let farm = with_bundle("check-bundle-bus").with("agent.toml", SITE.replace("bus.gateway", "bus.tank"));
    let farm = farm.with("config.d/a.toml", LOCAL.replace("line:gateway", "line:tank"));
    let ran = check(&farm);
    says(
        &ran,
        2,
        &[
            "bundle 7: error: sensors.\"room/hubs\".input: agent.toml names no bus gateway; expected [bus.gateway] there",
            "data/bundle.good: warning: the hub's last good bundle cannot be used: version 7 has errors",
        ],
    );
    let wrong = farm.with("agent.toml", SITE.replace("[bus.gateway]\nkind", "[bus.gateway]\nknid"));
    says(&check(&wrong), 2, &["agent.toml:"]);
}

#[test]
fn why_the_last_good_bundle_is_not_in_force_is_said() {
    let farm = with_bundle("check-bundle-lost").with("config.d/a.toml", LOCAL);
    let good = fs::read(farm.path("data/bundle.good")).expect("the bundle");
    let farm = farm.with("data/bundle.good", &good[..100]);
    let start = "data/bundle.good: warning: the hub's last good bundle ";
    says(&check(&farm), 0, &[&format!("{start}is damaged: ")]);
    let explained = farm.run(&["explain", "--config", ".", "--data", "data", "rules.level-high.above"]);
    assert_eq!(explained.code, Some(0));
    explained.tells(&format!("{start}is damaged: "));

    let broken = farm.with("config.d/a.toml", LOCAL.replace("above", "abov"));
    let ran = check(&broken);
    says(&ran, 2, &["config.d/a.toml:6:1: error: rules.level-high.abov", &format!("{start}is damaged: ")]);
    assert!(ran.out.contains("; config.d cannot be used: no sensor is watched until it is corrected"), "{}", ran.out);

    let farm = broken.with("config.d/a.toml", LOCAL);
    let farm = farm.with("data/bundle.good", &good).with("hub.pub", "no key");
    says(&check(&farm), 0, &[&format!("{start}cannot be used: ./hub.pub: ")]);
    assert_eq!(fs::read(farm.path("data/bundle.good")).expect("it is left alone"), good);
}

#[test]
fn a_new_device_may_wait_for_its_hub() {
    let farm = device("check-new");
    says(&check(&farm), 0, &["config.d: warning: no configuration yet; the agent waits for the hub's first bundle"]);
    let without = farm.with("agent.toml", "[device]\nid = 'pi-7'\n");
    says(&check(&without), 2, &["config.d: error: no .toml file in ./config.d"]);
}

#[test]
fn what_the_hub_says_is_explained_where_it_rules() {
    let farm = with_bundle("explain-bundle").with("config.d/a.toml", LOCAL);
    let ran = farm.run(&["explain", "--config", ".", "--data", "data", "rules.level-high.above"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "rules.level-high.above = 50  bundle 7 (client version 7)\n"));
    ran.tells("tilth-agent: the hub configures this device (bundle 7 in data); ignored: config.d/a.toml");
    let elsewhere = farm.run(&["explain", "--config", ".", "--data", "nowhere", "rules.level-high.above"]);
    assert_eq!((elsewhere.code, elsewhere.err.as_str()), (Some(0), ""));
    assert!(elsewhere.out.starts_with("rules.level-high.above = 30  config.d/a.toml:6"), "{}", elsewhere.out);
}
