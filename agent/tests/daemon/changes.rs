//! An alert fires in the moment in which a configuration takes effect, or is open while it changes: whom it reaches.

use std::fs;

use crate::receiver::Receiver;
use crate::room::{Agent, Board, FARM, Room};

/// A room at 28, which the usual limit of 30 leaves alone.
fn quiet(name: &str, farm: &str) -> (Room, Board, Agent) {
    let room = Room::new(name, farm);
    let mut board = room.plug_in();
    let agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 28.0);
    room.wait_for_value("room/level", 28.0);
    (room, board, agent)
}

/// The farm with a limit that 28 is above, and what else is new.
fn lower(more: &str) -> String {
    FARM.replace("above = 30", "above = 25").replace("for = '1m'", "for = '0s'") + more
}

fn channel(name: &str, url: &str) -> String {
    format!("[notifications.{name}]\nkind = 'ntfy'\nurl = '{url}'\ntopic = 'farm'\n")
}

fn told_by(channels: &str) -> String {
    format!("[escalation.default.warning]\nchannels = [{channels}]\n")
}

/// Guards against: the first alert of a new configuration that reaches none of its channels.
#[test]
fn an_alert_of_the_moment_reaches_a_channel_that_came_with_it() {
    let phone = Receiver::start();
    let (room, _board, agent) = quiet("changes-new", FARM);
    let added = channel("phone", &phone.url) + &told_by("'phone', 'log'");
    room.write("config.d/farm.toml", &lower(&added));
    agent.wait_for_told(1);
    assert!(phone.wait_for(1)[0].header("x-tilth-notification").starts_with("pi-7-1-1-"), "{:?}", phone.heard());
    assert_eq!(phone.titles(), ["Warning: level 28.0 in room, limit 25"]);
}

#[test]
fn an_alert_of_the_moment_goes_to_the_new_address_with_the_new_secret() {
    let (before, now) = (Receiver::start(), Receiver::start());
    let policy = told_by("'phone'");
    let at = |url: &str, token: &str| channel("phone", url) + &format!("token = 'secret:{token}'\n") + &policy;
    let farm = format!("{FARM}{}", at(&before.url, "old"));
    let room = Room::new("changes-address", &farm);
    fs::create_dir(room.path("secrets")).unwrap();
    for (name, secret) in [("old", "tk_old"), ("new", "tk_new")] {
        room.write_secret(name, secret);
    }
    let mut board = room.plug_in();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 28.0);
    room.wait_for_value("room/level", 28.0);
    room.write("config.d/farm.toml", &lower(&at(&now.url, "new")));
    assert_eq!(now.wait_for(1)[0].header("authorization"), "Bearer tk_new");
    assert!(before.heard().is_empty(), "{:?}", before.heard());
}

/// The same place under another name: what waits there is not lost with the name.
#[test]
fn a_channel_under_another_name_tells_what_waited_and_that_it_is_over() {
    let phone = Receiver::start();
    let named = |name: &str| channel(name, &phone.url) + &told_by(&format!("'{name}'"));
    let (room, mut board, _agent) = quiet("changes-renamed", &(FARM.to_owned() + &named("phone")));
    phone.answer("503 Service Unavailable");
    board.level(10, 31.0);
    board.level(70, 31.5);
    phone.wait_for(1);
    phone.answer("200 OK");
    room.write("config.d/farm.toml", &(FARM.to_owned() + &named("mobile")));
    let heard = phone.wait_for(2);
    assert!(heard[1].header("title").ends_with("Warning: level 31.0 in room, limit 30"), "{heard:#?}");
    board.level(80, 20.0);
    let heard = phone.wait_for(3);
    assert!(heard[2].header("title").starts_with("Resolved: "), "{heard:#?}");
}

#[test]
fn an_alert_that_waits_to_fire_tells_by_the_policy_of_then() {
    let phone = Receiver::start();
    let (room, mut board, agent) = quiet("changes-policy", FARM);
    board.level(10, 31.0);
    room.wait_for("pending", &["alerts", "--all"], |rows| rows.iter().any(|row| row["state"] == "pending"));
    let before = room.status()["config"]["hash"].clone();
    room.write("config.d/farm.toml", &(FARM.to_owned() + &channel("phone", &phone.url) + &told_by("'phone'")));
    room.wait_for("in force", &["status"], |rows| rows[0]["config"]["hash"] != before);
    board.level(70, 31.5);
    phone.wait_for(1);
    assert_eq!(agent.told(), Vec::<String>::new(), "the log is none of it any more");
}

#[test]
fn a_start_with_another_configuration_tells_by_its_channels() {
    let phone = Receiver::start();
    let (room, mut board, mut agent) = quiet("changes-start", FARM);
    agent.terminate();
    room.write("config.d/farm.toml", &lower(&(channel("phone", &phone.url) + &told_by("'phone'"))));
    let _agent = room.start("input");
    room.wait_for_bus("up");
    board.level(10, 28.0);
    let title = phone.wait_for(1)[0].header("title").to_owned();
    assert!(title.ends_with("Warning: level 28.0 in room, limit 25"), "{title}");
}
