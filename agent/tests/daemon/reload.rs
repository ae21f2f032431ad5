//! Files in `config.d` change under a running agent.

use std::fs;

use crate::bundles::of_hub;
use crate::room::{FARM, Room};

#[test]
fn a_good_file_applies_and_a_bad_one_keeps_the_running_one_and_says_why() {
    let room = Room::new("reload", FARM);
    let mut board = room.plug_in();
    let agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 28.0);
    room.wait_for_value("room/level", 28.0);
    let first = room.status()["config"].clone();
    assert!(first["rejected"].is_null(), "{first}");

    let lower = FARM.replace("above = 30", "above = 25").replace("for = '1m'", "for = '0s'");
    room.write("config.d/farm.toml", &lower);
    let applied = room.wait_for("in force", &["status"], |rows| rows[0]["config"]["hash"] != first["hash"]);
    board.level(10, 28.5);
    agent.wait_for_told(1);

    room.write("config.d/farm.toml", &lower.replace("above = 25", "abov = 25"));
    let refused = room.wait_for("refused", &["status"], |rows| !rows[0]["config"]["rejected"].is_null());
    let config = &refused[0]["config"];
    assert_eq!(config["hash"], applied[0]["config"]["hash"]);
    let problems = config["rejected"]["problems"].to_string();
    assert!(problems.contains("abov"), "{problems}");
    let people = room.ask(&["status"]).out;
    let line = "configuration rejected at 00:00 UTC (2 errors); still running configuration ";
    assert!(people.contains(line), "{people}");
    board.level(20, 29.0);
    room.wait_for_value("room/level", 29.0);
    assert_eq!(room.rows(&["alerts"]).len(), 1, "the running rules go on");

    room.write("config.d/farm.toml", &lower);
    room.wait_for("as it was", &["status"], |rows| rows[0]["config"]["rejected"].is_null());
    agent.wait_for_log(" is still running: the rejected files are corrected\n");
    assert_eq!(room.status()["config"]["hash"], applied[0]["config"]["hash"]);
}

/// A folder that is moved away and another one put in its place, as some tools do to change all files at once.
#[test]
fn a_folder_that_takes_the_place_of_config_d_is_watched_like_it() {
    let room = Room::new("reload-folder", FARM);
    let mut board = room.plug_in();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 28.0);
    room.wait_for_value("room/level", 28.0);
    for (round, limit) in ["25", "26", "27"].into_iter().enumerate() {
        let before = room.status()["config"]["hash"].clone();
        std::fs::rename(room.path("config.d"), room.path(&format!("old-{round}"))).unwrap();
        std::fs::create_dir(room.path("config.d")).unwrap();
        room.wait_for("refused", &["status"], |rows| !rows[0]["config"]["rejected"].is_null());
        room.write("config.d/farm.toml", &FARM.replace("above = 30", &format!("above = {limit}")));
        room.wait_for("in force", &["status"], |rows| {
            rows[0]["config"]["rejected"].is_null() && rows[0]["config"]["hash"] != before
        });
    }
}

#[test]
fn a_change_before_the_first_reading_holds() {
    let room = Room::new("reload-early", FARM);
    let mut board = room.plug_in();
    let agent = room.start("input");
    let first = room.status()["config"].clone();
    let lower = FARM.replace("above = 30", "above = 25").replace("for = '1m'", "for = '0s'");
    room.write("config.d/farm.toml", &lower);
    room.wait_for("in force", &["status"], |rows| rows[0]["config"]["hash"] != first["hash"]);
    room.wait_for_bus("up");
    board.level(10, 28.5);
    agent.wait_for_told(1);
}

/// Guards against: a file that vanished, which is no error, and half a farm that is no longer monitored.
#[test]
fn what_is_gone_is_said_at_a_change_and_at_a_start() {
    let room = Room::new("reload-gone", FARM);
    let nursery = "[sensors.'nursery/level']\nquantity = 'count'\nresolution = 0.1\ninput = 'line:gateway/nursery'\n\
        [notifications.office]\nkind = 'webhook'\nurl = 'http://127.0.0.1:1'\nsecret = 'secret:office'\n";
    room.write("config.d/nursery.toml", nursery);
    let all = "3 sensors in 2 zones, 4 rules";
    let fewer = "2 sensors in 1 zone, 3 rules (before: 3 in 2, 4); gone: zone nursery, channel office";
    let shows = |said: &str| {
        let shown = room.ask(&["status"]).out;
        let line = shown.lines().find(|line| line.starts_with("config ")).expect("a line").to_owned();
        assert!(line.ends_with(&format!(": {said}")), "{line}");
    };
    let agent = room.start("input");
    shows(all);
    std::fs::remove_file(room.path("config.d/nursery.toml")).unwrap();
    room.wait_for("fewer", &["status"], |rows| rows[0]["config"]["gone"]["zones"][0] == "nursery");
    shows(fewer);
    let log = agent.log();
    assert!(log.contains(&format!("is running: {all}\n")) && log.contains(&format!("is running: {fewer}\n")), "{log}");

    room.write("config.d/nursery.toml", nursery);
    room.wait_for("all", &["status"], |rows| rows[0]["config"]["has"]["sensors"] == 3);
    shows("3 sensors in 2 zones, 4 rules (before: 2 in 1, 3)");
    room.wait_for_file("data/config.good", |kept| kept.contains("[sensors.'nursery/level']"));
    drop(agent);
    std::fs::remove_file(room.path("config.d/nursery.toml")).unwrap();
    let agent = room.start("input");
    shows(fewer);
    assert!(agent.log().contains(&format!("is running: {fewer}\n")), "{}", agent.log());
    room.wait_for_file("data/config.good", |kept| !kept.contains("nursery"));
    drop(agent);
    let _agent = room.start("input");
    shows("2 sensors in 1 zone, 3 rules");
}

/// Guards against: a mended address or name of the device that is said to be in force, and is not.
#[test]
fn what_is_read_at_the_start_only_is_said_to_wait_for_the_next_one() {
    let (room, _) = of_hub("reload-later", FARM);
    let agent = room.start("input");
    let (hash, site) = (room.status()["config"]["hash"].clone(), fs::read_to_string(room.path("agent.toml")).unwrap());
    let later = |keys: &[&str]| {
        room.wait_for("it is said", &["status"], |rows| rows[0]["config"]["restart_keys"] == serde_json::json!(keys));
        assert_eq!(room.status()["config"]["hash"], hash, "nothing else is running");
    };
    let other = site.replace("'pi-7'", "'pi-8'").replace("127.0.0.1:1", "127.0.0.1:2");
    let said = "agent.toml: device.id, hub.url changed; restart the agent to apply\n";
    for note in ["", "# a note\n"] {
        room.write("agent.toml", &format!("{other}{note}"));
        later(&["device.id", "hub.url"]);
    }
    let shown = room.ask(&["status"]).out;
    assert!(shown.contains(said), "{shown}");
    room.write("agent.toml", &site.replace("client = 'acme'", "client = 'farm'"));
    later(&["device.client"]);
    room.write("agent.toml", &site);
    later(&[]);
    let log = agent.log();
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.contains("agent.toml: device.client changed; restart the agent to apply\n"), "{log}");
    assert_eq!(log.matches(" is running: ").count(), 1, "{log}");
    room.write("agent.toml", site.split_once("[hub]").unwrap().0);
    room.wait_for("no hub", &["status"], |rows| rows[0]["config"]["restart_keys"][0] == "hub");

    // A port is taken up at once, with what is not.
    let board = room.path("usb-board");
    room.write("agent.toml", &other.replace(board.to_str().unwrap(), "/dev/no-such"));
    room.wait_for("another port", &["status"], |rows| {
        rows[0]["buses"][0]["port"] == "/dev/no-such" && rows[0]["config"]["restart_keys"][0] == "device.id"
    });
    assert_ne!(room.status()["config"]["hash"], hash);
}
