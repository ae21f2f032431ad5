//! A hub whose database is an older copy of itself, put back by hand: the devices know more than it does. It notices, says so,
//! and gets again what they still have.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::path::Path;

use tilth_tests::agent::Folder;
use tilth_tests::live::hub::Hub;
use tilth_tests::live::room::{Room, windows};

/// The files of the database.
const FILES: [&str; 3] = ["hub.db", "hub.db-wal", "hub.db-shm"];

fn copy(from: &Path, to: &Path) {
    for file in FILES {
        let _ = fs::remove_file(to.join(file));
        if from.join(file).exists() {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

/// Minutes go by, and all of them are at the hub.
#[track_caller]
fn minutes(room: &mut Room, hub: &Hub, minutes: i64) {
    room.minutes(minutes, 21.0);
    let closed = room.closed_minutes();
    room.until("every minute is at the hub", || windows(hub).len() >= closed);
    assert_eq!(windows(hub).len(), closed);
}

#[test]
fn what_devices_still_have_comes_again_and_the_hub_says_why() {
    let folder = Folder::new("set-back-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut room = Room::of_hub("set-back", &hub);
    room.farm.start();
    minutes(&mut room, &hub, 3);
    hub.stop();
    let old = folder.path().join("old");
    fs::create_dir_all(&old).unwrap();
    copy(&hub.folder, &old);

    // Twice: the second time the device comes with an epoch of its own, which the copy does not know.
    for round in 0..2 {
        hub.serve();
        minutes(&mut room, &hub, 4);
        room.farm.until("all is confirmed", |farm| {
            let waiting = farm.status().map(|status| status["sync"]["waiting"].clone()).unwrap_or_default();
            waiting.as_object().is_some_and(|lanes| lanes.values().all(|waiting| *waiting == 0))
        });
        hub.stop();
        copy(&old, &hub.folder);
        hub.serve();
        minutes(&mut room, &hub, 2);
        let why = "the hub's database was set back: more was confirmed to the device";
        let listed = hub.call(&["device", "list"]);
        assert!(listed.contains(why), "round {round}: {listed}");
        let said = hub.alerts();
        assert!(said.iter().any(|alert| alert["rule"] == "database-set-back"), "{said:?}");
        assert!(fs::read_to_string(hub.folder.join("log")).unwrap().contains(why));
        let sync = room.farm.status().unwrap()["sync"].clone();
        assert_eq!(sync["why"], serde_json::Value::Null, "{sync}");
        hub.stop();
    }

    // The same by the hub's own means: made while it serves, put back while it does not.
    hub.serve();
    let file = folder.path().join("hub.backup");
    hub.call(&["backup", file.to_str().unwrap()]);
    minutes(&mut room, &hub, 3);
    hub.stop();
    hub.call(&["restore", file.to_str().unwrap()]);
    hub.serve();
    minutes(&mut room, &hub, 2);
    let sync = room.farm.status().unwrap()["sync"].clone();
    assert_eq!(sync["why"], serde_json::Value::Null, "{sync}");
}
