//! Configurations: put by a person, fetched by a device.

use std::path::Path;

use serde_json::json;
use tilth_config::bundle::{BundleOrder, SignedTime, TrustedKey, verify};
use tilth_config::{Purpose, load_documents};
use tilth_core::id::Id;

use crate::client::{Reply, Request};
use crate::served::{Made, Served, stderr, stdout};

const PH: &str = "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"\nresolution = 0.01\n";

fn ids() -> (Id, Id) {
    (Id::new("acme").unwrap(), Id::new("pi-7").unwrap())
}

fn put(path: &Path) -> [&str; 7] {
    ["config", "put", path.to_str().unwrap(), "--client", "acme", "--device", "pi-7"]
}

fn trusted(made: &Made) -> TrustedKey {
    TrustedKey::parse(&std::fs::read_to_string(made.data().join("hub.pub")).unwrap()).unwrap()
}

fn fetch(served: &Served, key: &str, since: u64, hash: Option<&str>) -> Reply {
    let target = format!("/api/config/bundle?client_id=acme&since_version={since}");
    let tag = hash.map(|hash| format!("\"{hash}\""));
    let request = Request::get(&target, key);
    match &tag {
        Some(tag) => request.header("if-none-match", tag).send(served.address),
        None => request.send(served.address),
    }
}

#[test]
fn a_device_fetches_what_was_put_and_can_prove_it() {
    let made = Made::new();
    made.tenant("acme");
    let device = made.device("acme", "pi-7");
    let key = trusted(&made);
    made.folder.write("farm/config.d/10-sensors.toml", PH);
    let rules =
        made.folder.write("farm/config.d/20-rules.toml", "[rules.ph-high]\nsensor = \"tower-1/ph\"\nabove = 6.8\n");
    let farm = made.folder.path().join("farm");
    let served = made.serve();
    assert_eq!(fetch(&served, &device, 0, None).status, 404, "no configuration yet");

    let first = served.made.json(&put(&farm));
    assert_eq!((&first["version"], &first["changed"]), (&json!(1), &json!(true)));
    let (client, id) = ids();
    let reply = fetch(&served, &device, 0, None);
    assert_eq!(reply.status, 200);
    let bundle = verify(&reply.body, &key, &client, &id).unwrap();
    let hash = bundle.hash.to_string();
    assert_eq!(reply.header("etag"), Some(format!("\"{hash}\"").as_str()));
    assert_eq!((bundle.version, &first["hash"]), (1, &json!(hash)));
    assert_eq!(bundle.content["rules"]["ph-high"]["above"], json!(6.8));
    assert!(load_documents(bundle.documents(), Purpose::Replay).plan.is_some());

    // A device is not sent the bundle that it has again; another content under its version it is.
    let unchanged = fetch(&served, &device, 1, Some(&hash));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(fetch(&served, &device, 1, None).status, 200);
    let same = served.made.json(&put(&farm));
    assert_eq!((&same["version"], &same["changed"]), (&json!(1), &json!(false)));

    std::fs::write(&rules, "[rules.ph-high]\nsensor = \"tower-1/ph\"\nabove = 6.9\n").unwrap();
    assert_eq!(served.made.json(&put(&farm))["version"], 2);
    let answer = served.batch(&device, &crate::served::batch("acme", "pi-7", "tower-1/ph", 1)).ok();
    assert_eq!(answer["config_version"], 2, "the answer to a batch says that there is something new");
    let newer = verify(&fetch(&served, &device, 1, Some(&hash)).body, &key, &client, &id).unwrap();
    assert_eq!(newer.against(Some((1, bundle.hash))), BundleOrder::Newer);

    // For every version that a device has seen, the next one is higher.
    let renewed = verify(&fetch(&served, &device, 40, None).body, &key, &client, &id).unwrap();
    assert_eq!((renewed.version, renewed.hash), (41, newer.hash));
    let (status, _, message) = fetch(&served, &device, u64::MAX, None).refused();
    assert_eq!(status, 400, "{message}");
    let answer = served.batch(&device, &crate::served::batch("acme", "pi-7", "tower-1/ph", 1)).ok();
    assert_eq!(answer["config_version"], 41);
    assert_eq!(fetch(&served, &device, 41, Some(&newer.hash.to_string())).status, 304);
    let answer = served.batch(&device, &crate::served::batch("acme", "pi-7", "tower-1/ph", 1)).ok();
    assert_eq!(answer.get("config_version"), None, "it has shown that it has it");

    let shown = served.made.json(&["config", "show", "--client", "acme", "--device", "pi-7"]);
    assert_eq!((&shown["version"], &shown["shown_version"]), (&json!(41), &json!(41)));
    assert_eq!(shown["content"]["rules"]["ph-high"]["above"], json!(6.9));
}

#[test]
fn what_a_device_runs_refused_or_has_yet_to_fetch_is_listed() {
    let made = Made::new();
    made.tenant("acme");
    let device = made.device("acme", "pi-7");
    let sensors = made.folder.write("farm/sensors.toml", PH);
    let farm = made.folder.path().join("farm");
    let served = made.serve();
    let list = || stdout(&served.made.run(&["device", "list"]));
    let tell = |seq: i64, said: serde_json::Value| {
        let at = json!({"boot": 1, "uptime": seq * 1000, "wall": crate::served::MIDNIGHT + seq * 1000});
        let rows = json!([{"seq": seq, "at": at, "kind": "bundle", "body": said}]);
        let batch = json!({
            "version": 1, "client": "acme", "device": "pi-7", "stream": format!("{:032x}", 1), "epoch": null,
            "lanes": {"events": {"first": seq, "last": seq, "rows": rows}}, "live": [],
        });
        served.batch(&device, &batch).ok()
    };
    let said = |version: u64, outcome: &str, reason: Option<&str>| json!({"version": version, "hash": "0".repeat(64), "outcome": outcome, "reason": reason});
    assert!(list().contains(", no configuration, 1 of 1 keys valid"), "{}", list());
    served.made.json(&put(&farm));
    assert!(list().contains(", configuration 1 is pending, "), "{}", list());
    tell(1, said(1, "refused", Some("there is no bus gateway")));
    assert!(list().contains(", runs by its own files, configuration 1 was rejected, "), "{}", list());
    tell(2, said(1, "applied", None));
    assert!(list().contains(", configuration 1 runs, "), "{}", list());
    assert_eq!(list().lines().count(), 1);

    std::fs::write(&sensors, format!("{PH}range = [0, 14]\n")).unwrap();
    served.made.json(&put(&farm));
    assert!(list().contains(", configuration 1 runs, 2 is pending, "), "{}", list());
    tell(3, said(2, "refused", Some("it does not compile: there is no bus gateway")));
    let listed = list();
    assert!(listed.contains(", configuration 1 runs, 2 was rejected, "), "{listed}");
    let why = "  configuration 2 was rejected by the device at 2025-11-21T00:00:03Z: it does not compile: there is no bus gateway";
    assert_eq!(listed.lines().nth(1), Some(why));
    let row = served.made.json(&["device", "list"]);
    assert_eq!((&row["config_version"], &row["running_version"]), (&json!(2), &json!(1)));
    assert_eq!((&row["refused"]["version"], &row["waiting_version"]), (&json!(2), &json!(null)));

    // The next one is another matter. A device that states a version has it: it runs once the device says so.
    std::fs::write(&sensors, PH.replace("0.01", "0.1")).unwrap();
    served.made.json(&put(&farm));
    assert!(list().contains(", configuration 1 runs, 2 was rejected, 3 is pending, "), "{}", list());
    fetch(&served, &device, 3, None);
    let listed = list();
    let expected = ", configuration 1 runs, 2 was rejected, 3 is on the device, not reported yet, ";
    assert!(listed.contains(expected), "{listed}");
    let row = served.made.json(&["device", "list"]);
    assert_eq!((&row["running_version"], &row["unreported_version"]), (&json!(1), &json!(3)));
    assert_eq!(row["waiting_version"], json!(null));
    tell(4, said(3, "applied", None));
    assert!(list().contains(", configuration 3 runs, ") && list().lines().count() == 1, "{}", list());
}

#[test]
fn a_bad_configuration_is_shown_with_its_places_and_not_kept() {
    let made = Made::new();
    made.tenant("acme");
    made.device("acme", "pi-7");
    let sensors = made.folder.write("bad/10-sensors.toml", PH);
    made.folder.write("bad/20-rules.toml", "[rules.ph-high]\nsensor = \"tower-1/ph\"\nabov = 6.8\nabove = \"high\"\n");
    let done = made.run(&put(sensors.parent().unwrap()));
    assert_eq!(done.status.code(), Some(2), "{}", stderr(&done));
    assert_eq!(stdout(&done), "");
    let said = stderr(&done);
    assert!(said.contains("20-rules.toml:3:1: error: rules.ph-high.abov: unknown key"), "{said}");
    assert!(said.contains("20-rules.toml:4:"), "{said}");
    let json = made.folder.write("bad.json", "{\"rules\": ");
    let done = made.run(&put(&json));
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("bad.json: error: not JSON: EOF"), "{}", stderr(&done));
    // A sensor without an input is nothing that a device could run.
    let blind = made.folder.write("blind.toml", "[sensors.\"tower-1/ph\"]\nquantity = \"ph\"\n");
    let done = made.run(&put(&blind));
    assert_eq!(done.status.code(), Some(2), "{}", stderr(&done));
    let done = made.run(&["config", "show", "--client", "acme", "--device", "pi-7"]);
    assert_eq!(done.status.code(), Some(1), "nothing was kept");
    for path in ["missing", "hub"] {
        let done = made.run(&put(&made.folder.path().join(path)));
        assert_eq!(done.status.code(), Some(1), "{path}: {}", stderr(&done));
    }
}

#[test]
fn what_a_new_configuration_would_lose_is_named_and_wants_force() {
    let made = Made::new();
    made.tenant("acme");
    made.device("acme", "pi-7");
    let tower = made.folder.write("farm/config.d/tower.toml", PH);
    let nursery = PH.replace("tower-1/ph", "nursery/ph").replace("gateway/ph", "gateway/seedlings");
    made.folder.write("farm/config.d/nursery.toml", &nursery);
    let people = "[notifications.phone]\nkind = \"ntfy\"\nurl = \"https://ntfy.sh\"\ntopic = \"farm\"\n\
        [escalation.default]\nwarning = { wait = \"10m\", channels = [\"log\", \"phone\"] }\n\
        critical = { wait = \"15m\", channels = [\"log\", \"phone\"] }\nurgent = { wait = \"15m\", channels = [\"log\", \"phone\"] }\n";
    made.folder.write("farm/config.d/people.toml", people);
    let farm = made.folder.path().join("farm");
    let first = made.run(&put(&farm));
    assert!(first.status.success(), "{}", stderr(&first));
    let said = stdout(&first);
    assert!(said.starts_with("acme/pi-7: configuration 1 has 2 sensors in 2 zones, "), "{said}");

    // One file of the farm is all of a configuration.
    let lost = made.run(&put(&tower));
    assert_eq!((lost.status.code(), stdout(&lost).as_str()), (Some(1), ""));
    let why = stderr(&lost);
    assert!(why.contains("acme/pi-7: configuration 2 has 1 sensor in 1 zone, "), "{why}");
    assert!(why.contains(" rules (before: 2 in 2, "), "{why}");
    assert!(why.contains("; gone: zone nursery, channel phone. "), "{why}");
    assert!(why.contains("Nothing was stored; use --force to store it"), "{why}");
    let shown = ["config", "show", "--client", "acme", "--device", "pi-7"];
    assert_eq!(made.json(&shown)["version"], 1);

    let forced = made.json(&[&put(&tower)[..], &["--force"]].concat());
    assert_eq!((&forced["version"], &forced["changed"]), (&json!(2), &json!(true)));
    let gone = json!({"zones": ["nursery"], "sensors": [], "rules": [], "channels": ["phone"]});
    assert_eq!((&forced["gone"], &forced["has"]["sensors"]), (&gone, &json!(1)));

    // More than before, or other rules alone, need no force.
    let more = made.run(&put(&farm));
    assert!(more.status.success() && !stdout(&more).contains("gone"), "{}{}", stdout(&more), stderr(&more));
    assert!(stdout(&more).contains("(before: 1 in 1, "), "{}", stdout(&more));
    made.folder.write("farm/config.d/rules.toml", "[rules.ph-high]\nabove = 6.9\n");
    let rules = made.run(&put(&farm));
    assert!(stdout(&rules).contains(" rules\n"), "{}{}", stdout(&rules), stderr(&rules));
}

#[test]
fn a_document_may_be_one_file_in_toml_or_json() {
    let made = Made::new();
    made.tenant("acme");
    made.device("acme", "pi-7");
    let toml = made.folder.write("farm.toml", PH);
    let json = made.folder.write(
        "farm.json",
        r#"{"sensors": {"tower-1/ph": {"resolution": 0.01, "input": "line:gateway/ph", "quantity": "ph"}}}"#,
    );
    let first = made.json(&put(&toml));
    let same = made.json(&put(&json));
    assert_eq!(
        (&same["changed"], &same["hash"]),
        (&json!(false), &first["hash"]),
        "the same content, otherwise written"
    );
    // On site the bus is of another kind, which the hub can know where it is given agent.toml.
    made.folder.write("site/config.d/a.toml", PH);
    let site =
        "device = { id = \"pi-7\", client = \"acme\" }\n[bus.gateway]\nkind = \"modbus\"\nport = \"/dev/null\"\n";
    made.folder.write("site/agent.toml", site);
    let done = made.run(&put(&made.folder.path().join("site")));
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("the bus gateway is of kind modbus"), "{}", stderr(&done));
}

#[test]
fn the_time_is_signed_for_one_question() {
    let served = Made::new().serve();
    let key = trusted(&served.made);
    let (client, device) = ids();
    let target = "/api/v1/time?nonce=0123456789abcdef&client_id=acme&device_id=pi-7";
    let ask = |target: &str| Request { key: None, ..Request::get(target, "") }.send(served.address);
    let signed: SignedTime = serde_json::from_value(ask(target).ok()).unwrap();
    let now = signed.verify("0123456789abcdef", &client, &device, &key).unwrap();
    let here = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!((here - now.0).abs() < 10_000, "{now}");
    for target in [
        "/api/v1/time",
        "/api/v1/time?nonce=short&client_id=acme&device_id=pi-7",
        "/api/v1/time?nonce=0123456789abcdef&client_id=ACME&device_id=pi-7",
        "/api/v1/time?nonce=0123456789abcdef&client_id=acme&device_id=pi-7&more=1",
    ] {
        assert_eq!(ask(target).refused().0, 400, "{target}");
    }
    let refused = (0..100).map(|_| ask(target)).find(|reply| reply.status == 429).expect("a limit");
    assert!(refused.header("retry-after").is_some());
}

/// A farm without its `agent.toml`: which ports its lines have is no concern of the hub's, now or at the next put.
#[test]
fn a_farm_of_several_lines_is_put_again_and_again_without_force() {
    let made = Made::new();
    made.tenant("acme");
    made.device("acme", "pi-7");
    let sensor = |name: &str, input: &str| format!("[sensors.'{name}']\nquantity = 'ph'\ninput = '{input}'\n");
    let farm = |limit: &str| {
        let sensors =
            [("a/ph", "line:one/ph"), ("b/ph", "line:two/ph"), ("c/ph", "line:three/ph"), ("d/ph", "line:one/ph-2")];
        let sensors: String = sensors.map(|(name, input)| sensor(name, input)).concat();
        format!(
            "{sensors}[zones.e.sensors.'e/ph']\nquantity = 'ph'\ninput = 'line:four/ph'\n[rules.ph-high]\nabove = {limit}\nclear = 6.2\n"
        )
    };
    let folder = made.folder.path().join("farm");
    let put = |content: &str, site: Option<&str>, expected: i64| {
        made.folder.write("farm/config.d/farm.toml", content);
        let _ = std::fs::remove_file(folder.join("agent.toml"));
        site.map(|site| made.folder.write("farm/agent.toml", site));
        let done = made.run(&[&put(&folder)[..], &["--json"]].concat());
        assert!(done.status.success(), "{}{}", stdout(&done), stderr(&done));
        let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(said["version"], expected, "{said}");
        stderr(&done)
    };
    assert_eq!(put(&farm("6.5"), None, 1), "");
    assert_eq!(put(&farm("6.6"), None, 2), "");
    // With the machine's own file, on which two buses have what it takes, and without it again.
    let bus = |names: &[&str]| -> String {
        names.iter().map(|name| format!("[bus.{name}]\nkind = 'line'\nport = '/dev/{name}'\n")).collect()
    };
    let of = |device: &str, buses: &str| format!("[device]\nid = '{device}'\nclient = 'acme'\n{buses}");
    let site = of("pi-7", &bus(&["one", "two", "three", "four"]));
    assert_eq!(put(&farm("6.7"), Some(&site), 3), "");
    assert_eq!(put(&farm("6.8"), None, 4), "");
    // A folder that was copied with the file of another device: that one says nothing of this one's lines.
    let other = put(&farm("6.9"), Some(&of("pi-8", "")), 5);
    assert_eq!(other.lines().count(), 1, "{other}");
    assert!(other.contains("agent.toml: warning: of acme/pi-8, but the configuration is for acme/pi-7"), "{other}");
    assert_eq!(put(&farm("7.0"), None, 6), "");

    // The machine's own file still counts.
    made.folder.write("farm/agent.toml", &of("pi-7", &bus(&["one"])));
    let refused = made.run(&put_of(&folder));
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("agent.toml names no bus two"), "{}", stderr(&refused));
}

fn put_of(folder: &Path) -> [&str; 7] {
    put(folder)
}

/// A board that only switches, as a relay board does, is named by outputs alone.
#[test]
fn a_board_without_sensors_is_put_without_agent_toml() {
    let made = Made::new();
    made.tenant("acme");
    made.device("acme", "pi-7");
    let actuator =
        |table: &str, relay: u8| format!("[{table}]\noutput = 'board:relays/relay-{relay}'\nmax_on = '3s'\n");
    let farm = [
        "[sensors.'a/ph']\nquantity = 'ph'\ninput = 'line:one/ph'\n",
        &[&actuator("actuators.fan", 0), "zone = 'a'\n"].concat(),
        &actuator("zones.a.actuators.pump", 1),
    ];
    let done = made.run(&put(&made.folder.write("x.toml", &farm.concat())));
    assert!(done.status.success(), "{}{}", stdout(&done), stderr(&done));
}

/// What a device would refuse is refused the first time as ever after.
#[test]
fn what_is_refused_without_agent_toml_is_refused_each_time() {
    let made = Made::new();
    made.tenant("acme");
    made.device("acme", "pi-7");
    for (text, expected) in [
        ("[sensors.'a/ph']\nquantity = 'ph'\n", "no input, so nothing will arrive"),
        ("[sensors.'a/ph']\nquantity = 'ph'\ninput = 'w1:28-0316a2794aff'\n", "does not read inputs of kind w1"),
        ("[sensors.'a/ph']\nquantity = 'ph'\ninput = 'modbus:one/1/2'\n", "does not read inputs of kind modbus"),
        ("[secrets.ntfy]\nhosts = ['ntfy.example']\n", "secrets belongs in agent.toml"),
    ] {
        let file = made.folder.write("x.toml", text);
        for _ in 0..2 {
            let done = made.run(&put(&file));
            assert_eq!(done.status.code(), Some(2), "{text}");
            let said = stderr(&done);
            assert!(said.contains(expected) && !said.contains("/dev/null") && !said.contains("already"), "{said}");
        }
    }
}

/// What lies in a folder and is not read is named: half a farm is worse than none.
#[test]
fn what_is_not_read_of_a_folder_is_named() {
    let made = Made::new();
    made.tenant("acme");
    made.device("acme", "pi-7");
    for file in ["10.toml~", "10.toml.bak", "#10.toml#", "old.TOML", ".10.toml.swp", "notes.txt", "zones/a.toml"] {
        made.folder.write(&format!("farm/config.d/{file}"), "not = [read");
    }
    made.folder.write("farm/config.d/10.toml", PH);
    made.folder.write("farm/secrets/ntfy", "x");
    let done = made.run(&put(&made.folder.path().join("farm")));
    assert!(done.status.success(), "{}", stderr(&done));
    let said = stderr(&done);
    let named: Vec<&str> = said.lines().filter_map(|line| line.split_once(": warning: this ")?.0.into()).collect();
    let expected = ["#10.toml#", "10.toml.bak", "10.toml~", "old.TOML", "zones"];
    assert_eq!(named, expected.map(|name| format!("config.d/{name}")), "{said}");
}
