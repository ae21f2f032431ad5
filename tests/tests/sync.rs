//! Agent and hub, the real programs: what a serial line says arrives at the hub, once, through an outage; what the hub
//! configures arrives at the agent, if the right key signed it.
//!
//! The agent runs on the event-time clock: its time is that of the readings. Sync's waits run on the machine's.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tilth_tests::agent::{Folder, program, run};
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::Hub;
use tilth_tests::live::proxy::{Line, Proxy};
use tilth_tests::live::room::{Room, config, firing, windows};

#[test]
fn readings_and_alerts_reach_the_hub_once_through_an_outage_and_its_configuration_reaches_the_agent() {
    let folder = Folder::new("sync-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut room = Room::of_hub("sync-farm", &hub);
    room.farm.start();
    room.minutes(10, 21.0);
    room.minutes(10, 31.5);
    let closed = room.closed_minutes();
    room.until("windows", || windows(&hub).len() >= closed);
    room.until("the alert", || firing(&hub.alerts(), 30.0) == 1);

    room.until("the newest value", || {
        let latest = hub.get("/api/data/latest");
        let mut readings = latest["readings"].as_array().unwrap().iter();
        readings.any(|reading| reading["sensor"] == "room/temp" && reading["value"].as_f64() == Some(31.5))
    });

    // The hub is away, and comes back.
    hub.stop();
    room.minutes(40, 22.0);
    std::thread::sleep(Duration::from_secs(3));
    hub.serve();
    room.minutes(1, 22.0);
    let closed = room.closed_minutes();
    room.until("what was made meanwhile", || windows(&hub).len() >= closed);
    let windows = windows(&hub);
    assert_eq!(windows.len(), closed);
    assert!(windows.values().all(|count| *count == 6), "{windows:?}");
    room.until("the alert is over", || firing(&hub.alerts(), 30.0) == 0);
    assert_eq!(hub.alerts().len(), 1, "{:?}", hub.alerts());

    // The hub's configuration takes the place of the one on site.
    hub.configure(&folder.write("put/farm.toml", config(50)));
    room.until("the bundle", || hub.said_of_bundle()["outcome"] == "applied");
    assert_eq!(hub.said_of_bundle()["version"], 1);
    room.minutes(2, 45.0);
    room.minutes(2, 55.0);
    room.until("the alert of the new limit", || firing(&hub.alerts(), 50.0) == 1);
    assert_eq!(hub.alerts().len(), 2, "45 is no alert any more: {:?}", hub.alerts());
    assert!(room.farm.log().contains("ignored: config.d/farm.toml"), "{}", room.farm.log());
    let etc = room.farm.folder.path().join("etc");
    let mut check = Command::new(program());
    check.args(["check", "--config"]).arg(etc).arg("--data").arg(room.farm.data());
    let check = run(check, b"").out;
    assert!(check.contains("the hub configures this device") && check.contains("config.d/farm.toml"), "{check}");

    // Killed at any moment, it goes on by the last good bundle.
    room.farm.kill();
    hub.stop();
    fs::remove_file(room.farm.folder.path().join("log")).unwrap();
    room.farm.start();
    room.minutes(2, 45.0);
    hub.serve();
    room.until("45 is below the hub's limit", || firing(&hub.alerts(), 50.0) == 0);
    let log = room.farm.log();
    assert!(log.contains("the hub's bundle 1 is running"), "{log}");
    assert!(log.contains("ignored: config.d/farm.toml"), "{log}");
    assert!(!log.contains(&hub.device_key), "the key is in the log");
    assert!(room.farm.log().lines().count() < 60, "it says too much:\n{log}");
}

#[test]
fn a_bundle_of_another_hubs_key_is_refused_and_said() {
    let folder = Folder::new("sync-other-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    let other = Hub::new(&folder.path().join("other"));
    hub.serve();
    hub.configure(&folder.write("put/farm.toml", config(50)));
    let mut room = Room::of_hub("sync-other-farm", &hub);
    room.farm.trust(&other.folder.join("hub.pub"));
    room.farm.start();
    room.minutes(3, 35.0);
    room.until("the refusal", || hub.said_of_bundle()["outcome"] == "refused");
    let reason = hub.said_of_bundle()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("is signed by the key"), "{reason}");
    room.until("the alert of the limit on site", || firing(&hub.alerts(), 30.0) == 1);
    assert!(!room.farm.folder.path().join("data/bundle.good").exists());
    assert_eq!(room.farm.log().matches("rejected; still running configuration ").count(), 1, "{}", room.farm.log());
}

/// A refused key is an alert on the farm, like any other: it fires, and is over when the hub takes the device's word again.
#[test]
fn a_hub_that_refuses_the_key_is_an_alert_until_it_does_not() {
    let folder = Folder::new("sync-key-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut room = Room::of_hub("sync-key", &hub);
    let wrong = hub.device_key.replace(|c: char| c.is_ascii_digit(), "7");
    room.farm.give_key(&wrong);
    room.farm.start();
    room.minutes(1, 21.0);
    room.farm.until("the refusal", |farm| {
        farm.status().is_some_and(|status| status["sync"]["alerts"]["key-refused"].is_string())
    });
    let events = |farm: &Farm| {
        farm.status().map_or(0, |status| status["store"]["lanes"]["events"]["committed"].as_u64().unwrap_or(0))
    };
    let before = events(&room.farm);
    room.minutes(2, 21.0);
    room.farm.until("the page", |farm| farm.log().contains("the hub refuses this device"));
    // A page does not wait for the disk, and what is killed before it is stored never was.
    room.farm.until("alert and page are stored", |farm| events(farm) >= before + 2);
    let alerts = room.farm.ask(&["alerts", "--json"]).out;
    assert!(alerts.contains("\"rule\":\"hub-refuses\""), "{alerts}");
    assert!(!room.farm.log().contains(&wrong), "the key is in the log");

    room.farm.give_key(&hub.device_key.clone());
    room.farm.kill();
    room.farm.start();
    room.minutes(2, 21.0);
    room.farm.until("it is over", |farm| farm.ask(&["alerts"]).out.contains("no alert is open"));
    room.until("the hub heard of it", || {
        hub.alerts().iter().any(|alert| alert["rule"] == "hub-refuses" && alert["state"] == "resolved")
    });
}

/// A data folder that is put back from a copy has said other things under the same sequences: it goes on under a new stream,
/// in which what is open is stated again, and no window is there twice.
#[test]
fn a_restored_copy_begins_a_new_stream_and_states_what_is_open() {
    restore_a_copy("sync-copy", &Line::Passes);
}

/// The first answer of the hub comes late: the copy has given out as many numbers again as the hub has rows under them.
#[test]
fn a_restored_copy_begins_a_new_stream_however_much_it_has_made_meanwhile() {
    restore_a_copy("sync-late-copy", &Line::HoldsBack);
}

/// `line` lies before the hub from the restoring until the agent has stored more rows than the hub has.
#[track_caller]
fn restore_a_copy(name: &str, line: &Line) {
    let folder = Folder::new(&format!("{name}-hub"));
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let proxy = Proxy::to(hub.port);
    let mut room = Room::of_hub(name, &hub);
    room.farm.write_site(&room.farm.hub_table(&format!("http://127.0.0.1:{}", proxy.port)));
    room.farm.start();
    room.minutes(10, 35.0);
    let closed = room.closed_minutes();
    room.until("windows", || windows(&hub).len() >= closed);
    room.until("the alert", || firing(&hub.alerts(), 30.0) == 1);
    let (data, copy) = (room.farm.folder.path().join("data"), room.farm.folder.path().join("copy"));
    room.farm.kill();
    copy_files(&data, &copy);
    room.farm.start();
    room.minutes(5, 36.0);
    let closed = room.closed_minutes();
    room.until("more windows", || windows(&hub).len() >= closed);
    let stream = |hub: &Hub| hub.get("/api/health")["devices"][0]["stream"].clone();
    let before = stream(&hub);

    room.farm.kill();
    fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    proxy.set(line.clone());
    room.farm.start();
    room.minutes(10, 37.0);
    let stored = |farm: &Farm| {
        farm.status().map_or(0, |status| status["store"]["lanes"]["windows"]["committed"].as_u64().unwrap_or(0))
    };
    if *line == Line::HoldsBack {
        room.farm.until("more windows than the hub has", |farm| stored(farm) > closed as u64);
        proxy.set(Line::Passes);
    }
    room.until("another stream", || stream(&hub) != before);
    let last = room.closed_minutes();
    // What the copy did not have is at the hub from before; `windows` looks for what is there twice.
    // The minute in which the agent was killed never closed, and its readings are not in the copy.
    room.until("windows of the new stream", || windows(&hub).len() >= last - 1);
    assert!(!windows(&hub).contains_key("2026-03-01T00:14:00Z"));
    room.until("the alert, open in the new stream", || firing(&hub.alerts(), 30.0) == 1);
    room.until("the open alert, stated again", || {
        let events = hub.list("/api/events?kind=alert", "events");
        let again = events.iter().map(|event| &event["body"]).filter(|body| body["stated_again"] == true);
        again.filter(|body| body["rule"] == "hot").count() == 1
    });
    assert_eq!(firing(&hub.alerts(), 30.0), 1);
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A hub that takes every connection and never answers: no alert waits for it.
#[test]
fn a_hub_that_never_answers_delays_no_alert() {
    let folder = Folder::new("sync-mute-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    hub.port = mute.local_addr().unwrap().port();
    let mut room = Room::of_hub("sync-mute", &hub);
    room.farm.start();
    let (held, _) = mute.accept().unwrap();
    room.minutes(5, 21.0);
    room.minutes(3, 31.5);
    let log = room.farm.folder.path().join("log");
    room.until("the page", || fs::read_to_string(&log).unwrap().contains("hot"));
    held.set_nonblocking(true).unwrap();
    let asked = (&held).read_to_end(&mut Vec::new());
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::WouldBlock, "it still waits for an answer");
}
