//! Files that are written in pieces, emptied, moved aside or deleted while an alert is open.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::bundles::of_hub;
use crate::room::{Agent, Board, FARM, Room};

/// An alert fires and is acknowledged; its rule is in a file of its own.
fn acknowledged(name: &str) -> (Room, Board, Agent) {
    let (sensors, _) = halves();
    let room = Room::new(name, sensors);
    room.write("config.d/rules.toml", halves().1);
    let mut board = room.plug_in();
    let agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 31.0);
    board.level(70, 31.5);
    agent.wait_for_told(1);
    assert_eq!(room.ask(&["ack", "1", "--for", "2h"]).code, Some(0));
    (room, board, agent)
}

/// Sensors and the shipped rule that is off; the rule of the alert.
fn halves() -> (&'static str, &'static str) {
    FARM.split_at(FARM.find("[rules.level-high]").expect("the rule"))
}

/// The alert is as it was, and no message was sent.
#[track_caller]
fn goes_on(room: &Room, board: &mut Board, agent: &Agent, at: i64) {
    board.level(at, 32.0);
    room.wait_for_value("room/level", 32.0);
    let alert = room.rows(&["alerts"]).remove(0);
    assert_eq!((&alert["alert"], &alert["state"], &alert["by"]), (&1.into(), &"acknowledged".into(), &"anna".into()));
    assert_eq!(agent.told().len(), 1, "{:?}", agent.told());
}

const A_SECOND: Duration = Duration::from_secs(1);

/// Guards against: "Resolved" at 31.5 with a limit of 30, and a new alert a moment later.
#[test]
fn a_file_that_is_emptied_for_a_moment_changes_nothing() {
    let (room, mut board, agent) = acknowledged("half-empty");
    let rules = halves().1;
    for (round, text) in
        ["", "\n", "# saved soon\n", &rules[..rules.len() / 2], "[rules.other]\nsensor = 'room/level'\nabove = 99\n"]
            .into_iter()
            .enumerate()
    {
        room.write("config.d/rules.toml", text);
        sleep(A_SECOND + A_SECOND / 2);
        room.write("config.d/rules.toml", rules);
        sleep(A_SECOND);
        goes_on(&room, &mut board, &agent, 100 + i64::try_from(round).unwrap());
    }
    agent.wait_for_log("it takes effect after 10 s without further changes\n");
}

#[test]
fn a_file_in_two_pieces_a_folder_moved_away_and_a_file_made_anew_change_nothing() {
    let (room, mut board, agent) = acknowledged("half-pieces");
    let (sensors, rules) = halves();
    let whole = format!("{sensors}{rules}");
    // Both in one file, of which the first half is written first.
    room.write("config.d/rules.toml", sensors);
    sleep(A_SECOND);
    room.write("config.d/rules.toml", &whole);
    sleep(A_SECOND);
    goes_on(&room, &mut board, &agent, 100);

    fs::rename(room.path("config.d"), room.path("aside")).unwrap();
    sleep(A_SECOND);
    fs::rename(room.path("aside"), room.path("config.d")).unwrap();
    sleep(A_SECOND);
    goes_on(&room, &mut board, &agent, 110);

    fs::remove_file(room.path("config.d/rules.toml")).unwrap();
    sleep(A_SECOND);
    room.write("rules.new", rules);
    fs::rename(room.path("rules.new"), room.path("config.d/rules.toml")).unwrap();
    sleep(A_SECOND);
    goes_on(&room, &mut board, &agent, 120);

    // Broken for a while, then without the rule, then as it was.
    room.write("config.d/rules.toml", "[rules.level-high\n");
    room.wait_for("refused", &["status"], |rows| !rows[0]["config"]["rejected"].is_null());
    room.write("config.d/rules.toml", "# later\n");
    sleep(A_SECOND);
    room.write("config.d/rules.toml", rules);
    room.wait_for("mended", &["status"], |rows| rows[0]["config"]["rejected"].is_null());
    goes_on(&room, &mut board, &agent, 130);
}

/// Guards against: a secret that goes wherever a bundle says, for the second in which `agent.toml` is half written.
#[test]
fn a_half_written_agent_toml_unbinds_no_secret_under_a_bundle() {
    let (room, _) = of_hub("half-site", FARM);
    let whole = fs::read_to_string(room.path("agent.toml")).unwrap();
    let bound = format!("{whole}[secrets.phone]\nhosts = ['ntfy.example']\n");
    room.write("agent.toml", &bound);
    let _board = room.plug_in();
    let agent = room.start("input");
    room.write("agent.toml", &whole);
    agent.wait_for_log(
        "removes the end of agent.toml, agent.toml: secrets; it takes effect after 10 s without further changes\n",
    );
    room.write("agent.toml", &bound);
    sleep(A_SECOND);
    assert_eq!(agent.log().matches("it takes effect after").count(), 1, "{}", agent.log());
}

/// A farm file that narrows what the program ships, and says how a probe reads.
const LIMITS: &str = "
[rules.temperature-high]
above = 20
clear = 19
for = '0s'
cooldown = '0s'
[sensors.'room/level'.calibration]
offset = 5.0
";

/// Guards against: "Resolved: .. limit 35 C" at 27 C, and a new alert once the file is back: the shipped rule is still there, and
/// so are all keys.
#[test]
fn a_file_that_overrides_a_shipped_rule_and_is_away_for_a_moment_changes_nothing() {
    let sensor = "[sensors.'room/level']\nquantity = 'temperature'\ninput = 'line:gateway/level'\nstamp = 'source'\n";
    let room = Room::new("half-override", &format!("{sensor}[rules.sensor-silent]\nenabled = false\n"));
    room.write("config.d/limits.toml", LIMITS);
    let mut board = room.plug_in();
    let agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 22.0);
    board.level(70, 22.5);
    agent.wait_for_told(1);
    assert_eq!(room.ask(&["ack", "1", "--for", "2h"]).code, Some(0));
    let mut at = 100;
    let mut check = |level: f64| {
        sleep(A_SECOND + A_SECOND / 2);
        at += 60;
        board.level(at, level);
        room.wait_for_value("room/level", level + 5.0);
        let alert = room.rows(&["alerts"]).remove(0);
        assert_eq!((&alert["alert"], &alert["state"]), (&1.into(), &"acknowledged".into()));
        assert_eq!(agent.told().len(), 1, "{:?}", agent.told());
    };
    // Aside and back; deleted and written again; a name that is not read.
    for away in ["aside.toml", "config.d/limits.toml~"] {
        fs::rename(room.path("config.d/limits.toml"), room.path(away)).unwrap();
        check(22.0);
        fs::rename(room.path(away), room.path("config.d/limits.toml")).unwrap();
        check(22.5);
    }
    fs::remove_file(room.path("config.d/limits.toml")).unwrap();
    check(22.0);
    // In two pieces, of which the first is none of what the file was.
    for piece in ["# edited\n", "[rules.co2-high]\nabove = 1300\n", "# edited\n[rules.temperature-high]\nabove = 2"] {
        room.write("config.d/limits.toml", piece);
        check(22.5);
        room.write("config.d/limits.toml", &format!("# edited\n{LIMITS}"));
        check(22.0);
    }
    // A limit that is only another one takes effect at once.
    let before = room.status()["config"]["hash"].clone();
    room.write("config.d/limits.toml", &LIMITS.replace("above = 20", "above = 21"));
    room.wait_for("in force", &["status"], |rows| rows[0]["config"]["hash"] != before);
    check(22.5);
}

#[test]
fn a_rule_that_is_taken_out_is_said_and_one_that_comes_back_later_has_its_alert_again() {
    let (room, mut board, agent) = acknowledged("half-removed");
    room.write("config.d/rules.toml", "");
    agent.wait_for_log("the changed configuration removes ");
    let told = agent.wait_for_told(2);
    assert!(
        told[1].contains("Resolved: room/level no longer watched by level-high: removed from the configuration"),
        "{told:?}"
    );
    assert_eq!(room.ask(&["alerts"]).out, "no alert is open\n");
    let before = room.status()["config"]["hash"].clone();
    room.write("config.d/rules.toml", halves().1);
    room.wait_for("in force", &["status"], |rows| rows[0]["config"]["hash"] != before);
    board.level(100, 32.0);
    room.wait_for_value("room/level", 32.0);
    let alert = room.rows(&["alerts"]).remove(0);
    assert_eq!((&alert["alert"], &alert["state"], &alert["by"]), (&1.into(), &"acknowledged".into(), &"anna".into()));
    assert_eq!(agent.told().len(), 2, "{:?}", agent.told());
    board.level(110, 20.0);
    room.wait_for("over", &["alerts"], <[_]>::is_empty);
}

/// What only adds and changes is as fast as ever.
#[test]
fn a_change_that_takes_nothing_away_does_not_wait() {
    let (room, _board, agent) = acknowledged("half-fast");
    for limit in ["25", "26"] {
        let before = room.status()["config"]["hash"].clone();
        room.write("config.d/rules.toml", &halves().1.replace("above = 30", &format!("above = {limit}")));
        room.wait_for("in force", &["status"], |rows| rows[0]["config"]["hash"] != before);
    }
    assert!(!agent.log().contains("removes"), "{}", agent.log());
}
