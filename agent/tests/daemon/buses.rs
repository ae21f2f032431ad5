//! Serial lines that are missing, noisy, pulled out and plugged in again, as `status` tells of them and as people are told.

use std::cell::RefCell;

use crate::room::{FARM, Room};

#[test]
fn a_port_that_is_missing_vanishes_and_comes_back_is_told_of_in_status() {
    let room = Room::new("port", FARM);
    let agent = room.start("input");
    room.wait_for_bus("down");
    let bus = room.status()["buses"][0].clone();
    assert_eq!((&bus["bus"], &bus["opened"]), (&"gateway".into(), &0.into()));
    let reason = bus["reason"].as_str().unwrap();
    assert!(reason.ends_with("usb-board: there is no such port; is the adapter plugged in?"), "{reason}");

    let mut board = room.plug_in();
    room.wait_for_bus("up");
    board.say("\n\u{0}\u{1}\nhello\n");
    board.say(&format!("{}\n", "x".repeat(3000)).repeat(3));
    board.level(0, 20.0);
    room.wait_for_value("room/level", 20.0);
    let bus = room.status()["buses"][0].clone();
    assert_eq!((&bus["used"], &bus["messages"]), (&1.into(), &6.into()));
    assert_eq!(bus["ignored"], serde_json::json!({ "not_text": 1, "unknown": 4 }));
    assert_eq!(bus["last_ignored"]["reason"], "unknown");
    let people = room.ask(&["status"]).out;
    assert!(people.contains("6 lines, 1 used, 1 not text, 4 not understood"), "{people}");

    room.pull_out(board);
    room.wait_for_bus("down");
    let mut board = room.plug_in();
    room.wait_for_bus("up");
    board.level(10, 21.0);
    room.wait_for_value("room/level", 21.0);
    assert_eq!(room.status()["buses"][0]["opened"], 2);
    assert_eq!(agent.told(), Vec::<String>::new(), "time stood still meanwhile");
}

#[test]
fn a_field_that_no_line_has_is_named() {
    let slip = "
        [sensors.'room/depth']
        quantity = 'count'
        resolution = 0.1
        input = 'line:gateway/levle'
    ";
    let room = Room::new("slip", &format!("{FARM}{slip}"));
    let mut board = room.plug_in();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    assert_eq!(room.status()["buses"][0]["not_received"], serde_json::json!([]), "nothing was read yet");
    board.level(0, 20.0);
    room.wait_for_value("room/level", 20.0);
    let bus = room.status()["buses"][0].clone();
    assert_eq!((&bus["not_received"], &bus["unclaimed"]), (&serde_json::json!(["levle"]), &serde_json::json!([])));
    let people = room.ask(&["status"]).out;
    assert!(people.contains("  wanted and not seen: levle\n"), "{people}");
    room.write("config.d/farm.toml", &format!("{FARM}{}", slip.replace("levle", "level")));
    let board = RefCell::new(board);
    room.wait_for("the slip is mended", &["status"], |rows| {
        board.borrow_mut().level(10, 21.0);
        rows[0]["buses"][0]["not_received"] == serde_json::json!([])
    });
}

#[test]
fn a_line_that_is_down_pages_once_and_its_sensors_stay_quiet() {
    // A minute is a second.
    let farm = FARM.replace("stamp = 'source'", "")
        + "
        [rules.level-missing]
        sensor = 'room/level'
        missing_for = '3m'
        severity = 'critical'
        message = 'no level for {value}'
    ";
    let room = Room::new("bus-down", &farm);
    let mut board = room.plug_in();
    let agent = room.start("x60");
    room.wait_for_bus("up");
    board.say("{\"level\":20}\n");
    room.wait_for_value("room/level", 20.0);
    room.wait_for_value("bus/gateway", 1.0);
    room.pull_out(board);
    let alerts = room.wait_for("both fire", &["alerts"], |rows| rows.len() == 2);
    let of = |rule: &str| alerts.iter().find(|alert| alert["rule"] == rule).unwrap();
    let bus = of("bus-down");
    assert_eq!((&bus["sensor"], &bus["severity"]), (&"bus/gateway".into(), &"critical".into()));
    assert_eq!(bus["message"], "bus gateway is down: nothing on it is watched or switched");
    assert_eq!((&bus["inhibited"], &bus["pages"]), (&false.into(), &1.into()));
    let level = of("level-missing");
    assert_eq!((&level["state"], &level["inhibited"], &level["pages"]), (&"firing".into(), &true.into(), &0.into()));

    let mut board = room.plug_in();
    room.wait_for_bus("up");
    board.say("{\"level\":21}\n");
    room.wait_for("both are over", &["alerts"], <[_]>::is_empty);
    let told: Vec<String> = agent.wait_for_told(2);
    let bus = bus["alert"].as_u64().unwrap();
    let of_bus: Vec<&String> = told.iter().filter(|line| line.contains("bus gateway is ")).collect();
    assert_eq!(of_bus.len(), 2, "{told:#?}");
    assert!(of_bus[0].starts_with(&format!("notify pi-7-{bus}-1-")), "{told:#?}");
    assert!(of_bus[0].contains(": Critical: bus gateway is down: "), "{told:#?}");
    assert!(of_bus[1].starts_with(&format!("notify pi-7-{bus}-resolved-")), "{told:#?}");
    assert!(of_bus[1].contains(": Resolved: bus gateway is back ("), "{told:#?}");
}

#[test]
fn a_port_that_is_missing_from_the_start_pages_too_and_once_over_a_kill() {
    let room = Room::new("never-there", &FARM.replace("stamp = 'source'", ""));
    let mut agent = room.start("x60");
    let told = agent.wait_for_told(1);
    assert!(told[0].contains("bus gateway is down"), "{told:?}");
    // Two diagnostics: the bus went down, and the page was sent.
    let diagnostics = |rows: &[serde_json::Value]| rows[0]["store"]["lanes"]["diagnostics"]["committed"].as_u64();
    room.wait_for("both are kept", &["status"], |rows| diagnostics(rows) >= Some(2));
    agent.kill();

    let agent = room.start("x60");
    room.wait_for_bus("down");
    assert_eq!(room.rows(&["alerts"])[0]["rule"], "bus-down");
    let _board = room.plug_in();
    room.wait_for("it is over", &["alerts"], <[_]>::is_empty);
    let told = agent.wait_for_told(1);
    assert!(told.len() == 1 && told[0].contains("-resolved-"), "it was told before: {told:?}");
}

/// Guards against: a page for each sensor of a board that hangs, where the board is the cause.
#[test]
fn a_board_that_goes_quiet_with_its_port_open_pages_once() {
    // A minute is a second.
    let farm = FARM.replace("stamp = 'source'", "interval = '10s'")
        + "
        [rules.sensor-silent]
        enabled = true
        missing_for = '3m'
    ";
    let farm = farm.replace("[rules.sensor-silent]\nenabled = false\n", "");
    let room = Room::new("bus-silent", &farm);
    let mut board = room.plug_in();
    let agent = room.start("x60");
    room.wait_for_bus("up");
    board.say("{\"level\":20,\"door\":0}\n");
    room.wait_for_value("room/level", 20.0);
    let told = agent.wait_for_told(1);
    assert!(told[0].contains("Critical: bus gateway silent for 1 min: its sensors are not watched ("), "{told:?}");
    let alerts = room.wait_for("all of it fires", &["alerts"], |rows| rows.len() == 3);
    for alert in &alerts {
        let is_bus = alert["rule"] == "bus-silent";
        assert_eq!((&alert["inhibited"], &alert["pages"]), (&(!is_bus).into(), &u64::from(is_bus).into()), "{alert}");
    }
    assert_eq!(agent.told().len(), 1, "{:?}", agent.told());
    // Unreadable lines are no sign of life.
    board.say("garbage\n");
    for _ in 0..10 {
        board.say("{\"level\":21,\"door\":0}\n");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let told = agent.wait_for_told(2);
    assert!(told[1].contains(": Resolved: bus/gateway reporting again after "), "{told:?}");
    room.wait_for("all is over", &["alerts"], |rows| rows.iter().all(|row| row["rule"] == "bus-silent"));
    let of_sensors = |line: &&String| line.contains("room/");
    assert_eq!(agent.told().iter().filter(of_sensors).count(), 0, "{:?}", agent.told());
}

/// Guards against: "has the board power?" of one that prints a line a second.
#[test]
fn a_board_whose_lines_have_no_value_is_not_called_silent() {
    // A minute is a second.
    let room = Room::new("bus-unread", &FARM.replace("stamp = 'source'", "interval = '10s'"));
    let mut board = room.plug_in();
    let agent = room.start("x60");
    room.wait_for_bus("up");
    let board = RefCell::new(&mut board);
    let is_unread = |rows: &[serde_json::Value]| {
        board.borrow_mut().say("621316,21.5,57\n");
        rows.iter().any(|row| row["message"] == "bus gateway: lines come, and none has a value for a sensor")
    };
    let alerts = room.wait_for("it is said", &["alerts"], is_unread);
    let why = alerts[0]["why"].as_str().unwrap();
    let (count, rest) = why.split_once(' ').unwrap();
    assert!(count.parse::<u64>().unwrap() > 0, "{why}");
    let expected =
        "columns without a header, the last: 621316,21.5,57; set columns = [..] in [bus.gateway], or reset the board";
    assert_eq!(rest, expected);
    let told = agent.wait_for_told(1);
    assert!(told[0].contains("Critical: bus gateway: lines come, and none has a value for a sensor ("), "{told:?}");
    assert!(told[0].contains(expected), "{told:?}");
    // Names that no sensor wants.
    let has_names = |rows: &[serde_json::Value]| {
        board.borrow_mut().say("levle=21.5 dor=1\n");
        rows[0]["why"] == "they have dor, levle; wanted and not seen: door, level"
    };
    room.wait_for("the names are said", &["alerts"], has_names);
    board.borrow_mut().say("level=21.5 door=0\n");
    room.wait_for("it is over", &["alerts"], |rows| rows.iter().all(|row| row["rule"] != "bus-silent"));
}

/// Guards against: "check power and cable" of a board that speaks, when the name is one that it never prints.
#[test]
fn a_sensor_whose_name_no_line_has_says_so_when_it_is_paged_as_silent() {
    let slip = "
        [sensors.'room/depth']
        quantity = 'count'
        input = 'line:gateway/levle'
        [rules.depth-missing]
        sensor = 'room/depth'
        missing_for = '2m'
        severity = 'warning'
    ";
    let room = Room::new("slip-paged", &format!("{FARM}{slip}"));
    let mut board = room.plug_in();
    let agent = room.start("input");
    room.wait_for_bus("up");
    for at in [0, 60, 130] {
        let ms = (1_767_225_600 + at) * 1000_i64;
        board.say(&format!("{{\"time\":{ms},\"level\":{at},\"door\":0,\"pump\":1}}\n"));
        room.wait_for_value("room/level", f64::from(i32::try_from(at).unwrap()));
    }
    let why = "no line of gateway has \"levle\"; it has pump";
    agent.wait_for_log("room/depth silent");
    let told = agent.told();
    assert!(told.iter().any(|told| told.contains("room/depth silent") && told.contains(why)), "{told:?}");
    let rows = room.wait_for("it fires", &["alerts"], |rows| rows.iter().any(|row| row["rule"] == "depth-missing"));
    let alert = rows.iter().find(|row| row["rule"] == "depth-missing").unwrap();
    assert_eq!((&alert["rule"], &alert["why"]), (&"depth-missing".into(), &why.into()));
}
