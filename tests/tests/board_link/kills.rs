//! Kills of the agent between the store's commit and the board's knowledge of it: each reading is stored once.

use rusqlite::Connection;

use super::*;

/// The other channels of the host board, so that each of its readings is one of a sensor.
const OTHERS: &str = "
[sensors.'room/a']
quantity = 'count'
input = 'board:one/0'
[sensors.'room/b']
quantity = 'count'
input = 'board:one/1'
[sensors.'room/humidity']
quantity = 'humidity'
input = 'board:one/3'
[sensors.'room/water']
quantity = 'water_temperature'
input = 'board:one/4'
[sensors.'room/pulses']
quantity = 'count'
input = 'board:one/5'
[sensors.'room/door']
quantity = 'contact'
input = 'board:one/6'
";

const READINGS: &str = "SELECT (SELECT sum(readings) FROM raw) - (SELECT count(*) FROM diagnostic WHERE kind = 'bus')";

/// Readings of the board in the store, and the sequence number of its next one. The others are the states of buses, one for each change.
fn stored(farm: &Farm) -> (u64, u64) {
    let database = Connection::open(farm.data().join("tilth.db")).unwrap();
    let readings = database.query_row(READINGS, [], |row| row.get(0)).unwrap();
    let position: String = database.query_row("SELECT position FROM board", [], |row| row.get(0)).unwrap();
    let position: Value = serde_json::from_str(&position).unwrap();
    (readings, position["next"].as_u64().unwrap())
}

/// Bytes of the database's log, to which each commit adds.
fn log_length(farm: &Farm) -> u64 {
    fs::metadata(farm.data().join("tilth.db-wal")).map_or(0, |log| log.len())
}

#[test]
fn readings_that_are_stored_in_the_moment_of_a_kill_are_not_stored_again() {
    let mut farm = farm("board-kills", [("board-one", ""), ("board-two", "")]);
    farm.folder.write("etc/config.d/others.toml", OTHERS);
    let mut one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    for _ in 0..3 {
        farm.launch();
        farm.until("readings come", |farm| bus(farm, "one")["board"]["readings"].as_u64() > Some(14));
        // The board does not hear that they are stored.
        one.command("cut");
        let before = log_length(&farm);
        farm.until("readings are stored", |farm| log_length(farm) > before);
        farm.kill();
        one.command("join");
    }
    farm.launch();
    farm.until("the board may forget them", |farm| {
        let board = &bus(farm, "one")["board"];
        board["held"].as_u64() < board["readings"].as_u64()
    });
    let board = bus(&farm, "one")["board"].clone();
    assert_eq!((&board["lost"], &board["restarts"]), (&0.into(), &0.into()));
    farm.stop();
    let (readings, next) = stored(&farm);
    assert_eq!(readings, next, "expected each reading of the board once in the store");
    assert!(next > 60, "{next}");
}
