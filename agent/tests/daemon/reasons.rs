//! Why a sensor has no value that is believed, and how buses are: as `sensors`, `alerts`, `status` and pages say it.

use std::cell::RefCell;

use serde_json::Value;

use crate::room::{FARM, Room};

/// The row of a sensor.
fn row<'a>(rows: &'a [Value], sensor: &str) -> &'a Value {
    rows.iter().find(|row| row["sensor"] == sensor).unwrap_or(&Value::Null)
}

/// A minute is a second: sensors of every ten seconds, silent after three minutes.
fn farm(more: &str) -> String {
    let farm = FARM.replace("stamp = 'source'", "interval = '10s'");
    farm.replace("[rules.sensor-silent]\nenabled = false\n", "[rules.sensor-silent]\nmissing_for = '3m'\n") + more
}

/// Guards against: "check power and cable" for a slip of the keyboard.
#[test]
fn a_misspelt_name_is_told_as_one_and_not_as_a_broken_cable() {
    let slip = "
        [sensors.'room/humidity']
        quantity = 'humidity'
        interval = '10s'
        input = 'line:gateway/Humidty'
    ";
    let room = Room::new("misspelt", &farm(slip));
    let board = RefCell::new(room.plug_in());
    let agent = room.start("x60");
    let says = |line: &str| board.borrow_mut().say(line);
    let why = "no line of gateway has \"Humidty\"; it has Humidity";
    room.wait_for("sensors says why", &["sensors"], |rows| {
        says("level=20 door=0 Humidity=55\n");
        row(rows, "room/humidity")["why"] == why
    });
    let people = room.ask(&["sensors"]).out;
    assert!(people.contains(&format!("nothing yet  -    {why}\n")), "{people}");
    let alerts = room.wait_for("its silence fires", &["alerts"], |rows| {
        says("level=20 door=0 Humidity=55\n");
        row(rows, "room/humidity")["pages"] == 1
    });
    let alert = row(&alerts, "room/humidity");
    assert_eq!((&alert["rule"], &alert["why"]), (&"sensor-silent".into(), &why.into()));
    let told = agent.wait_for_told(1);
    assert!(told[0].contains(why) && !told[0].contains("cable"), "{told:?}");
    agent.wait_for_log(&format!("tilth-agent: room/humidity: {why}\n"));

    room.write("config.d/farm.toml", &farm(&slip.replace("Humidty", "Humidity")));
    room.wait_for("it is mended", &["sensors"], |rows| {
        says("level=20 door=0 Humidity=55\n");
        row(rows, "room/humidity")["value"] == 55.0
    });
    assert_eq!(row(&room.rows(&["sensors"]), "room/humidity")["why"], Value::Null);
}

/// Guards against: "look at the probe" for a raw number of its converter.
#[test]
fn a_value_that_cannot_be_says_where_it_should_be() {
    let soil = "
        [sensors.'room/soil']
        quantity = 'soil_moisture'
        resolution = 0.1
        range = [0, 100]
        interval = '10s'
        input = 'line:gateway/soil'
    ";
    let room = Room::new("implausible", &farm(soil));
    let board = RefCell::new(room.plug_in());
    let agent = room.start("x60");
    let why = "412.0 % is outside 0 to 100";
    let alerts = room.wait_for("its fault fires", &["alerts"], |rows| {
        board.borrow_mut().say("level=20 door=0 soil=412\n");
        row(rows, "room/soil")["pages"] == 1
    });
    assert_eq!(row(&alerts, "room/soil")["why"], why);
    assert_eq!(row(&room.rows(&["sensors"]), "room/soil")["why"], why);
    let told = agent.wait_for_told(1);
    assert!(told[0].contains(why), "{told:?}");
}

#[test]
fn a_bus_is_up_down_or_silent() {
    let room = Room::new("bus-states", &farm(""));
    let _agent = room.start("x60");
    let state = |word: &'static str| move |rows: &[Value]| row(rows, "bus/gateway")["state"] == word;
    let rows = room.wait_for("it is down", &["sensors"], state("down"));
    let reason = row(&rows, "bus/gateway")["why"].as_str().unwrap();
    assert!(reason.contains("there is no such port"), "{reason}");
    assert_eq!(row(&rows, "room/level")["why"], "bus gateway is down");
    let mut board = room.plug_in();
    room.wait_for("it is up", &["sensors"], state("up"));
    board.say("{\"level\":20,\"door\":0}\n");
    room.wait_for_value("room/level", 20.0);
    let status = room.ask(&["status"]).out;
    assert!(status.contains("1 line, 1 used; the last "), "{status}");
    assert!(room.status()["buses"][0]["last_message_s"].as_f64() >= Some(0.0));
    let rows = room.wait_for("it is silent", &["sensors"], state("silent"));
    assert!(row(&rows, "bus/gateway")["why"].as_str().unwrap().starts_with("no value from it for "), "{rows:?}");
    let people = room.ask(&["sensors"]).out;
    let of_bus = people.lines().find(|line| line.starts_with("bus/gateway")).unwrap();
    assert!(of_bus.contains("silent") && !of_bus.contains("good"), "{people}");
}
