//! `check`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use serde_json::json;

use crate::farm::Farm;

const SENSOR: &str = "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"\n";
const BUS: &str = "[device]\nid = \"pi-7\"\n[bus.gateway]\nkind = \"line\"\nport = \"/dev/null\"\n";

#[test]
fn a_good_configuration_is_counted() {
    let farm = Farm::empty("check-good").with("config.d/a.toml", SENSOR).with("agent.toml", BUS);
    let ran = farm.run(&["check", "--config", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(
        ran.out.starts_with("1 sensor in 1 zone, ") && ran.out.ends_with(" bound to them: 0 errors, 0 warnings\n"),
        "{}",
        ran.out
    );
    let summary = farm.run(&["check", "--config", ".", "--json"]).objects();
    assert_eq!(summary.len(), 1);
    assert_eq!(
        (&summary[0]["sensors"], &summary[0]["zones"], &summary[0]["errors"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert!(summary[0]["rules"].as_u64().is_some_and(|rules| rules > 0));
}

#[test]
fn warnings_alone_are_no_failure() {
    let farm = Farm::empty("check-warning").with("config.d/a.toml", SENSOR);
    let ran = farm.run(&["check", "--config", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.starts_with("config.d/a.toml:3:9: warning: "), "{}", ran.out);
    assert!(ran.out.ends_with(": 0 errors, 1 warning\n"), "{}", ran.out);
}

/// Guards against: a technician who is told that all is well and drives home from an agent that does not start.
#[test]
fn what_run_refuses_is_an_error_where_there_is_an_agent_toml() {
    let device = "[device]\nid = \"pi-7\"\n";
    let other_bus = BUS.replace("bus.gateway", "bus.tank");
    let no_input = "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\n";
    let of_the_future = SENSOR.replace("line:gateway/ph", "derived:vpd(a/temp, a/rh)");
    for (site, farm, expected) in [
        (
            other_bus.as_str(),
            SENSOR,
            "config.d/a.toml:3:9: error: sensors.\"tower-1/ph\".input: agent.toml names no bus",
        ),
        (device, SENSOR, "config.d/a.toml:3:9: error: sensors.\"tower-1/ph\".input: agent.toml names no bus"),
        (BUS, no_input, "config.d/a.toml:1:10: error: sensors.\"tower-1/ph\": no input, so nothing will arrive"),
        (BUS, &of_the_future, "config.d/a.toml:3:9: error: sensors.\"tower-1/ph\".input: this version does not read"),
        ("", "", "agent.toml:1:1: error: device: the table device is missing"),
    ] {
        let farm = Farm::empty("check-as-run").with("config.d/a.toml", farm).with("agent.toml", site);
        let check = farm.run(&["check", "--config", "."]);
        assert_eq!((check.code, check.err.as_str()), (Some(2), ""), "{}", check.out);
        assert!(check.out.starts_with(expected), "no {expected:?} in\n{}", check.out);
        let run = farm.run(&["run", "--config", ".", "--data", "data"]);
        assert_eq!(run.code, Some(2), "{}", run.err);
        let errors =
            |text: &str| text.lines().filter(|line| line.contains(": error: ")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(errors(&check.out), errors(&run.err));
    }
}

#[test]
fn errors_in_several_files_are_all_said() {
    let farm = Farm::empty("check-errors")
        .with("config.d/a.toml", SENSOR.to_owned() + "intervall = \"10s\"\n")
        .with("config.d/b.toml", "[rules.ph-high]\nabove = 6.8\nclear = 7.0\n")
        .with("config.d/c.toml", "[rules.ph-hgh\nabove = 1\n")
        .with("config.d/d.toml", "[rules.mine]\nsensor = \"tower-1/ph\"\nabove = 6.8\nseverity = \"warnng\"\n");
    let ran = farm.run(&["check", "--config", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(2), ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    for start in [
        "config.d/a.toml:4:1: error: sensors.\"tower-1/ph\".intervall: unknown key; did you mean \"interval\"?",
        "config.d/b.toml:3:9: error: rules.ph-high.clear: ",
        "config.d/c.toml:1:14: error: not TOML: ",
        "config.d/d.toml:4:12: error: rules.mine.severity: ",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(start)), "no {start:?} in\n{}", ran.out);
    }
    assert_eq!(lines.last(), Some(&"4 errors, 0 warnings"));

    let json = farm.run(&["check", "--config", ".", "--json"]);
    assert_eq!((json.code, json.err.as_str()), (Some(2), ""));
    let objects = json.objects();
    let (summary, findings) = objects.split_last().expect("a summary");
    assert_eq!(
        *summary,
        json!({"sensors": null, "zones": null, "rules": null, "errors": 4, "bundle": null, "ignored": [], "warnings": 0})
    );
    let place = |finding: &serde_json::Value| format!("{}:{}:{}", finding["file"], finding["line"], finding["column"]);
    let places: Vec<String> = findings.iter().map(place).collect();
    assert_eq!(
        places,
        ["\"config.d/a.toml\":4:1", "\"config.d/b.toml\":3:9", "\"config.d/c.toml\":1:14", "\"config.d/d.toml\":4:12"]
    );
    assert!(findings.iter().all(|finding| finding["level"] == "error"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let ran = Farm::empty("check-nowhere").run(&["check", "--config", "nowhere"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.out,
        "nowhere: error: cannot be read: No such file or directory (os error 2); sudo tilth-agent init writes the first \
         configuration\n1 error, 0 warnings\n"
    );
}

const HUB: &str = "[device]
id = 'pi-7'
client = 'acme'
[bus.gateway]
kind = 'line'
port = '/dev/null'
[hub]
url = 'https://hub.example'
ca = 'hub.pem'
signing_key = 'hub.pub'
key_file = 'device.key'
";
const OFFICE: &str = "[notifications.office]
kind = 'webhook'
url = 'https://office.example'
secret = 'secret:office'
[notifications.phone]
kind = 'ntfy'
url = 'https://ntfy.example'
topic = 'farm'
token = 'secret:phone'
[escalation.default]
urgent = { wait = '15m', channels = ['office', 'phone'] }
";
const KEY: &str = "dev_ak_010101010101_0202020202020202020202020202020202020202020202020202020202020202";
const PUBLIC: &str = "ed25519 ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
const PEM: &str = include_str!("../../../cloud-sync/client/src/transport/https/ca.pem");

/// A farm of which nothing is wrong that check can see.
fn whole(name: &str) -> Farm {
    let farm = Farm::empty(name).with("agent.toml", HUB).with("config.d/a.toml", SENSOR.to_owned() + OFFICE);
    let farm = farm.with("hub.pub", PUBLIC).with("hub.pem", PEM).with("device.key", KEY);
    let farm = farm.with("secrets/office", "x").with("secrets/phone", "tk_1\n");
    for file in ["device.key", "secrets/office", "secrets/phone"] {
        open_to(&farm, file, 0o600);
    }
    farm
}

fn open_to(farm: &Farm, file: &str, mode: u32) {
    fs::set_permissions(farm.path(file), fs::Permissions::from_mode(mode)).expect("its mode");
}

/// Guards against: a page that reaches nobody and a hub that gets no data, found out at the first alert.
#[test]
fn what_stops_pages_or_the_hub_is_said_where_it_is_named() {
    type Spoil = fn(&Farm);
    let cases: [(Spoil, &str); 12] = [
        (
            |farm| fs::remove_file(farm.path("secrets/office")).expect("it"),
            "config.d/a.toml:7:10: warning: notifications.office.secret: there is no ./secrets/office; expected the secret",
        ),
        (
            |farm| open_to(farm, "secrets/phone", 0o644),
            "config.d/a.toml:12:9: warning: notifications.phone.token: ./secrets/phone has mode 0644, so others can read \
             it; expected 0600",
        ),
        (
            |farm| fs::write(farm.path("secrets/phone"), "").expect("it"),
            "config.d/a.toml:12:9: warning: notifications.phone.token: ./secrets/phone is empty; expected the secret",
        ),
        (
            |farm| fs::remove_file(farm.path("device.key")).expect("it"),
            "agent.toml:11:12: warning: hub.key_file: there is no ./device.key; expected the device's own key there",
        ),
        (
            |farm| fs::write(farm.path("device.key"), "garbage").expect("it"),
            "agent.toml:11:12: warning: hub.key_file: ./device.key holds something else; expected dev_ak_ or",
        ),
        (
            |farm| open_to(farm, "device.key", 0o644),
            "agent.toml:11:12: warning: hub.key_file: ./device.key: others may read it (mode 0644); expected mode 0600",
        ),
        (
            |farm| fs::remove_file(farm.path("hub.pub")).expect("it"),
            "agent.toml:10:15: warning: hub.signing_key: there is no ./hub.pub; expected the hub's public key there",
        ),
        (
            |farm| fs::write(farm.path("hub.pub"), "garbage").expect("it"),
            "agent.toml:10:15: warning: hub.signing_key: ./hub.pub holds something else; expected one line: ed25519 and",
        ),
        (
            |farm| fs::remove_file(farm.path("hub.pem")).expect("it"),
            "agent.toml:9:6: warning: hub.ca: there is no ./hub.pem; expected a PEM file there",
        ),
        (
            |farm| fs::write(farm.path("hub.pem"), "garbage").expect("it"),
            "agent.toml:9:6: warning: hub.ca: ./hub.pem: holds no certificate; expected a PEM file with",
        ),
        (
            |farm| fs::write(farm.path("agent.toml"), HUB.replace("/dev/null", "/dev/tty-of-nobody")).expect("it"),
            "agent.toml:6:8: warning: bus.gateway.port: there is no /dev/tty-of-nobody; expected the device file of its",
        ),
        (
            |farm| fs::write(farm.path("agent.toml"), HUB.replace("/dev/null", "hub.pub")).expect("it"),
            "agent.toml:6:8: warning: bus.gateway.port: hub.pub: it is a file and no serial port; expected the device",
        ),
    ];
    for (spoil, expected) in cases {
        let farm = whole("check-machine");
        let ran = farm.run(&["check", "--config", "."]);
        assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 1), "{}", ran.out);
        spoil(&farm);
        let ran = farm.run(&["check", "--config", "."]);
        assert_eq!((ran.code, ran.err.as_str(), ran.out.lines().count()), (Some(0), "", 2), "{}", ran.out);
        assert!(ran.out.starts_with(expected), "no {expected:?} in\n{}", ran.out);
        assert!(ran.out.ends_with(": 0 errors, 1 warning\n"), "{}", ran.out);
    }
}

#[test]
fn secrets_of_zones_are_looked_for_and_nothing_without_an_agent_toml() {
    let zone = "[zones.tower-1.notifications.office]\nkind = 'webhook'\nurl = 'https://office.example'\n\
                secret = 'secret:gone'\n";
    let farm = whole("check-machine-zone").with("config.d/b.toml", zone);
    let json = farm.run(&["check", "--config", ".", "--json"]).objects();
    assert_eq!(json.len(), 2, "{json:?}");
    assert_eq!(
        (&json[0]["path"], &json[0]["file"], &json[0]["line"], &json[0]["level"]),
        (&json!("zones.tower-1.notifications.office.secret"), &json!("config.d/b.toml"), &json!(4), &json!("warning"))
    );
    fs::remove_file(farm.path("agent.toml")).expect("it");
    let ran = farm.run(&["check", "--config", "."]);
    assert!(!ran.out.contains("secrets/gone"), "{}", ran.out);
}

/// The files of the page are what the program takes; only the ports that are not here are said.
#[test]
fn the_files_of_the_page_about_an_uno_pass() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/uno-pump-siren-sms.md");
    let page = fs::read_to_string(page).expect("the page");
    let files =
        page.split("```toml\n# ").skip(1).filter_map(|block| block.split("\n```").next()?.split_once(", whole\n"));
    let mut farm = Farm::empty("check-uno-page").with("secrets/sim", "1234\n");
    fs::set_permissions(farm.path("secrets/sim"), fs::Permissions::from_mode(0o600)).expect("its mode");
    for (file, text) in files {
        farm = farm.with(file, text);
    }
    let ran = farm.run(&["check", "--config", "."]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    let mut lines: Vec<&str> = ran.out.lines().collect();
    let summary = lines.pop().expect("a summary").replace("2 warnings", "0 warnings");
    assert!(page.contains(&format!("\n{summary}\n")), "the page has not: {summary}");
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("there is no /dev/serial/by-id/")), "{lines:?}");
}

/// Guards against: a person outside of the group whom `check` tells of mistakes that are none, or that there is no configuration.
#[test]
fn what_the_caller_may_not_read_is_named_with_who_may() {
    let hub = "[hub]\nurl = \"https://hub.example\"\nsigning_key = \"hub.pub\"\nkey_file = \"device.key\"\n";
    let site = BUS.replace("id = \"pi-7\"", "id = \"pi-7\"\nclient = \"acme\"") + hub;
    let farm = Farm::empty("check-denied")
        .with("etc/config.d/a.toml", SENSOR)
        .with("etc/agent.toml", site)
        .with("etc/device.key", "x")
        .with("data/x", "");
    let mode = |path: &str, mode: u32| fs::set_permissions(farm.path(path), fs::Permissions::from_mode(mode)).unwrap();
    let check = || {
        let mut command = farm.command(&["check", "--config", "etc", "--data", "data"]);
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let may = "sudo tilth-agent check looks at it; what the group tilth may read you may read after sudo usermod -aG tilth $USER and a new login";
    for (path, expected) in [
        ("etc/device.key", "warning: hub.key_file: etc/device.key: you may not read it; "),
        ("data", "warning: the hub's last good bundle was not looked at: data: you may not read it; "),
        ("etc/config.d/a.toml", "config.d/a.toml: error: was not looked at: you may not read it; "),
        ("etc/config.d", "config.d: error: was not looked at: you may not read it; "),
        ("etc", "etc: error: was not looked at: you may not read it; "),
    ] {
        let before = fs::metadata(farm.path(path)).unwrap().permissions().mode();
        mode(path, 0o000);
        let said = check();
        mode(path, before);
        assert!(said.contains(&format!("{expected}{may}\n")), "{path}: {said}");
        assert!(!said.contains("no configuration yet"), "{path}: {said}");
    }
}

#[test]
fn a_device_without_a_configuration_is_told_what_writes_one() {
    let farm = Farm::empty("check-none");
    let init = "sudo tilth-agent init writes the first configuration\n";
    assert!(
        farm.run(&["check", "--config", "absent"])
            .out
            .starts_with(&format!("absent: error: cannot be read: No such file or directory (os error 2); {init}"))
    );
    assert!(farm.run(&["check", "--config", "."]).out.contains(&format!("no .toml file in ./config.d; {init}")));
}
