//! What a bus was found to carry, over a restart: a name that fitted two labels is not believed again.

use std::cell::RefCell;

use serde_json::Value;

use crate::room::{FARM, Room};

/// The row of a sensor.
fn row<'a>(rows: &'a [Value], sensor: &str) -> &'a Value {
    rows.iter().find(|row| row["sensor"] == sensor).unwrap_or(&Value::Null)
}

fn farm(input: &str) -> String {
    let sensor = format!("[sensors.'room/ph']\nquantity = 'ph'\nresolution = 0.01\ninput = 'line:gateway/{input}'\n");
    FARM.to_owned() + &sensor
}

/// Guards against: the pH of tank 1 is taken for that of both after each restart, until tank 2 is heard.
#[test]
fn a_name_that_fitted_two_labels_is_a_fault_from_the_first_line_after_a_restart() {
    let room = Room::new("labels-ambiguous", &farm("pH"));
    let board = RefCell::new(room.plug_in());
    let says = |line: &str| board.borrow_mut().say(line);
    let why = "\"pH\" fits \"Tank 1 pH\" and \"Tank 2 pH\"; name the whole label in its input";
    let mut agent = room.start("system");
    room.wait_for_bus("up");
    says("\nTank 1 pH: 6.10\n");
    room.wait_for_value("room/ph", 6.1);
    says("Tank 2 pH: 6.90\n");
    room.wait_for("it is at fault", &["sensors"], |rows| row(rows, "room/ph")["why"] == why);
    for is_killed in [false, true] {
        if is_killed {
            agent.kill();
        } else {
            agent.terminate();
        }
        agent = room.start("system");
        room.wait_for_bus("up");
        says("\nTank 1 pH: 6.11\n");
        let rows = room.wait_for("the line is read", &["sensors"], |rows| {
            row(rows, "room/ph")["why"] == why || row(rows, "room/ph")["value"] == 6.11
        });
        assert_eq!(row(&rows, "room/ph")["why"], why, "after a restart, killed: {is_killed}");
    }

    room.write("config.d/farm.toml", &farm("Tank 1 pH"));
    room.wait_for("the name is the whole label", &["sensors"], |rows| {
        says("Tank 1 pH: 6.12\n");
        row(rows, "room/ph")["value"] == 6.12
    });
    agent.terminate();
    room.write("config.d/farm.toml", &farm("pH"));
    let _again = room.start("system");
    room.wait_for_bus("up");
    says("\nTank 1 pH: 6.13\n");
    room.wait_for_value("room/ph", 6.13);
}

/// Guards against: the water is taken for the air after a restart, because it happens to speak first.
#[test]
fn a_short_form_still_means_its_label_after_a_restart() {
    for (name, first, other) in [("one", "Tank 1 pH", "Tank 2 pH"), ("whole", "pH", "Tank 2 pH")] {
        let room = Room::new(&format!("labels-{name}"), &farm("pH"));
        let board = RefCell::new(room.plug_in());
        let says = |line: &str| board.borrow_mut().say(line);
        let mut agent = room.start("system");
        room.wait_for_bus("up");
        says(&format!("\n{first}: 6.10\n"));
        room.wait_for_value("room/ph", 6.1);
        agent.terminate();
        let _again = room.start("system");
        room.wait_for_bus("up");
        says(&format!("\n{other}: 6.90\nlevel=20\n"));
        room.wait_for_value("room/level", 20.0);
        let rows = room.rows(&["sensors"]);
        assert_ne!(row(&rows, "room/ph")["value"], 6.9, "{first}, then {other}");
    }
}
