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
    let line = "what lies there now was refused at 2026-01-01T00:00:10Z; what was in force before watches on:\n";
    assert!(people.contains(line), "{people}");
    board.level(20, 29.0);
    room.wait_for_value("room/level", 29.0);
    assert_eq!(room.rows(&["alerts"]).len(), 1, "the running rules go on");

    room.write("config.d/farm.toml", &lower);
    room.wait_for("as it was", &["status"], |rows| rows[0]["config"]["refused"].is_null());
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
        room.wait_for("refused", &["status"], |rows| !rows[0]["config"]["refused"].is_null());
        room.write("config.d/farm.toml", &FARM.replace("above = 30", &format!("above = {limit}")));
        room.wait_for("in force", &["status"], |rows| {
            rows[0]["config"]["refused"].is_null() && rows[0]["config"]["hash"] != before
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
