//! Files in `config.d` change under a running agent.

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
    assert!(first["refused"].is_null(), "{first}");

    let lower = FARM.replace("above = 30", "above = 25").replace("for = '1m'", "for = '0s'");
    room.write("config.d/farm.toml", &lower);
    let applied = room.wait_for("in force", &["status"], |rows| rows[0]["config"]["hash"] != first["hash"]);
    board.level(10, 28.5);
    agent.wait_for_told(1);

    room.write("config.d/farm.toml", &lower.replace("above = 25", "abov = 25"));
    let refused = room.wait_for("refused", &["status"], |rows| !rows[0]["config"]["refused"].is_null());
    let config = &refused[0]["config"];
    assert_eq!(config["hash"], applied[0]["config"]["hash"]);
    let problems = config["refused"]["problems"].to_string();
    assert!(problems.contains("abov"), "{problems}");
    let people = room.ask(&["status"]).out;
    assert!(people.contains("what lies there now was refused at 2026-01-01T00:00:10Z:"), "{people}");
    board.level(20, 29.0);
    room.wait_for_value("room/level", 29.0);
    assert_eq!(room.rows(&["alerts"]).len(), 1, "the running rules go on");

    room.write("config.d/farm.toml", &lower);
    room.wait_for("as it was", &["status"], |rows| rows[0]["config"]["refused"].is_null());
    assert_eq!(room.status()["config"]["hash"], applied[0]["config"]["hash"]);
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
