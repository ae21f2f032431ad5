//! Boards at the real agent: the firmware's own program on pseudo-terminals and TCP, with everything that may happen to a cable.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod kills;
mod settings;
mod swapped;

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tilth_tests::agent::Folder;
use tilth_tests::live::Running;
use tilth_tests::live::farm::Farm;

/// Channels of the host board: 2 is a temperature, 4 a thermometer in water, 6 a contact.
const FARM: &str = "
[sensors.'room/temp']
quantity = 'temperature'
input = 'board:one/2'
max_rate = 1000
[sensors.'other/temp']
quantity = 'temperature'
input = 'board:two/2'
max_rate = 1000
[rules.sensor-silent]
enabled = false
[rules.temperature-high]
enabled = false
";

/// A running `tilth-board`; dropped, it is pulled out.
struct HostBoard {
    _process: Running,
    commands: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    line: String,
}

impl HostBoard {
    /// On a line, with its clock ten times as fast as the machine's, as the agent's is.
    fn start(line: &str, settings: &Path) -> HostBoard {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tilth-board"));
        command.args([line, "--time-scale", "10", "--settings", settings.to_str().unwrap()]);
        let mut process = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let commands = process.0.stdin.take().unwrap();
        let mut events = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let ready: Value = serde_json::from_str(&events.next().unwrap().unwrap()).unwrap();
        HostBoard { _process: process, commands, events, line: ready["line"].as_str().unwrap().to_owned() }
    }

    /// The next relay that is switched, and whether it is on.
    fn switched(&mut self) -> (u64, bool) {
        let event: Value = serde_json::from_str(&self.events.next().unwrap().unwrap()).unwrap();
        (event["relay"].as_u64().unwrap(), event["on"].as_bool().unwrap())
    }

    fn command(&mut self, line: &str) {
        writeln!(self.commands, "{line}").unwrap();
    }
}

/// A farm whose buses `one` and `two` are boards at two ports, each with further keys.
fn farm(name: &str, ports: [(&str, &str); 2]) -> Farm {
    let folder = Folder::new(name);
    folder.write("etc/config.d/farm.toml", FARM);
    let mut farm = Farm::found(folder);
    farm.clock = "x10";
    write_buses(&farm, ports);
    farm
}

fn write_buses(farm: &Farm, ports: [(&str, &str); 2]) {
    let [(one, of_one), (two, of_two)] = ports;
    let site = format!(
        "[device]\nid = 'pi'\n[bus.one]\nkind = 'board'\nport = '{one}'\n{of_one}\n[bus.two]\nkind = 'board'\nport = '{two}'\n{of_two}\n"
    );
    farm.folder.write("etc/agent.toml", site);
}

fn path(farm: &Farm, name: &str) -> PathBuf {
    farm.folder.path().join(name)
}

fn text(farm: &Farm, name: &str) -> String {
    path(farm, name).to_str().unwrap().to_owned()
}

fn bus(farm: &Farm, name: &str) -> Value {
    let status = farm.status().unwrap_or_default();
    status["buses"].as_array().into_iter().flatten().find(|bus| bus["bus"] == name).cloned().unwrap_or_default()
}

fn sensor(farm: &Farm, name: &str) -> Value {
    let rows = farm.ask(&["sensors", "--json"]).out;
    let mut rows = rows.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    rows.find(|row| row["sensor"] == name).unwrap_or_default()
}

#[track_caller]
fn until_shown(farm: &mut Farm, name: &str, value: f64) {
    farm.until(&format!("{name} shows {value}"), |farm| sensor(farm, name)["value"].as_f64() == Some(value));
}

#[track_caller]
fn until_up(farm: &mut Farm, name: &str) {
    farm.until(&format!("{name} is up"), |farm| bus(farm, name)["state"] == "up");
}

#[test]
fn readings_of_a_board_reach_the_store_and_the_board_may_forget_them() {
    let mut farm = farm("board-store", [("board-one", ""), ("board-two", "")]);
    let _one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    farm.launch();
    until_up(&mut farm, "one");
    until_shown(&mut farm, "room/temp", 21.5);
    // Blocks of readings are committed every 30 s.
    farm.until("the board may forget what is stored", |farm| {
        let board = &bus(farm, "one")["board"];
        board["readings"].as_u64() > Some(30) && board["held"].as_u64() < board["readings"].as_u64()
    });
    let board = bus(&farm, "one")["board"].clone();
    assert_eq!((&board["lost"], &board["restarts"], &board["kind"]), (&0.into(), &0.into(), &"host program".into()));
    assert_eq!(board["id"].as_str().unwrap().len(), 16);
    let people = farm.shown();
    assert!(people.contains(board["id"].as_str().unwrap()) && people.contains("frames"), "{people}");
    assert!(bus(&farm, "two")["reason"].as_str().unwrap().contains("there is no such port"), "{}", bus(&farm, "two"));
}

#[test]
fn a_fault_of_a_channel_is_named_and_over_with_the_next_value() {
    let mut farm = farm("board-fault", [("board-one", ""), ("board-two", "")]);
    let mut one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    farm.launch();
    until_shown(&mut farm, "room/temp", 21.5);
    one.command("fault 2 checksum");
    farm.until("the fault is shown", |farm| bus(farm, "one")["faults"][0]["sensor"] == "room/temp");
    assert_eq!(bus(&farm, "one")["faults"][0]["why"], "the checksum of the sensor's answer is wrong");
    assert!(farm.log().contains("the checksum of the sensor's answer is wrong"), "{}", farm.log());
    one.command("value 2 23000");
    until_shown(&mut farm, "room/temp", 23.0);
    assert_eq!(bus(&farm, "one")["faults"].as_array().unwrap().len(), 0);
}

#[test]
fn a_board_is_found_by_the_id_that_is_stated_over_tcp_as_well() {
    let mut farm = farm("board-tcp", [("board-one", ""), ("board-two", "")]);
    let wired = |number: &str| HostBoard::start("tcp:127.0.0.1:0", Path::new(number));
    let (mut one, mut two) = (wired(&text(&farm, "one")), wired(&text(&farm, "two")));
    one.command("value 2 11000");
    two.command("value 2 22000");
    write_buses(&farm, [(&one.line, "board = '00000000000000A1'"), (&two.line, "board = '00000000000000b2'")]);
    farm.launch();
    until_shown(&mut farm, "room/temp", 11.0);
    until_shown(&mut farm, "other/temp", 22.0);
    assert_eq!(
        bus(&farm, "one")["board"]["id"],
        "00000000000000a1",
        "expected a board without an id to get the stated one"
    );
    farm.stop();
    write_buses(&farm, [(&two.line, "board = '00000000000000A1'"), (&one.line, "board = '00000000000000b2'")]);
    one.command("value 2 12000");
    two.command("value 2 23000");
    farm.launch();
    until_shown(&mut farm, "room/temp", 12.0);
    until_shown(&mut farm, "other/temp", 23.0);
}

#[test]
fn a_board_that_is_pulled_out_reset_or_cut_off_is_back_by_itself_without_a_gap() {
    let mut farm = farm("board-back", [("board-one", ""), ("board-two", "")]);
    let mut one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    farm.launch();
    until_shown(&mut farm, "room/temp", 21.5);
    one.command("cut");
    farm.until("the silence is said", |farm| bus(farm, "one")["state"] == "down");
    assert!(bus(&farm, "one")["reason"].as_str().unwrap().contains("said nothing for 5 s"));
    one.command("value 2 22000");
    one.command("join");
    until_shown(&mut farm, "room/temp", 22.0);
    assert_eq!((&bus(&farm, "one")["board"]["lost"], &bus(&farm, "one")["board"]["restarts"]), (&0.into(), &0.into()));

    one.command("reset watchdog");
    farm.until("the restart is seen", |farm| bus(farm, "one")["board"]["restarts"] == 1);
    assert!(farm.log().contains("the board restarted: watchdog"), "{}", farm.log());
    one.command("value 2 23000");
    until_shown(&mut farm, "room/temp", 23.0);

    drop(one);
    farm.until("it is missed", |farm| bus(farm, "one")["state"] == "down");
    let _ = fs::remove_file(path(&farm, "board-one"));
    let mut one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    one.command("value 2 24000");
    until_shown(&mut farm, "room/temp", 24.0);
    assert_eq!(bus(&farm, "one")["failures"], 0);
}

fn past_of_pump(farm: &Farm) -> Vec<Value> {
    let said = farm.ask(&["actuators", "pump", "--since", "1h", "--json"]).out;
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_pump_on_a_relay_runs_for_its_time_and_a_siren_that_rests_energised_falls_with_the_agent() {
    let mut farm = farm("board-relay", [("board-one", ""), ("board-two", "")]);
    let actuators = "
        [actuators.pump]
        zone = 'room'
        output = 'board:one/relay-0'
        max_on = '20s'
        dose_per_hour = '60s'
        [actuators.siren]
        zone = 'room'
        output = 'board:one/relay-2'
        normally_energised = true
        [notifications.siren]
        kind = 'siren'
        actuator = 'siren'
    ";
    farm.folder.write("etc/config.d/actuators.toml", actuators);
    let mut one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    farm.launch();
    assert_eq!(one.switched(), (2, true), "expected the siren's relay to rest energised");
    // A relay stays off for its minimum off-time after the board's start, and an order before that is refused.
    farm.until("the pump may run", |farm| bus(farm, "one")["board"]["readings"].as_u64() > Some(30));
    let asked = farm.ask(&["actuate", "pump", "on", "--for", "5s", "--by", "anna"]);
    assert_eq!(asked.code, Some(0), "{}", asked.err);
    assert_eq!([one.switched(), one.switched()], [(0, true), (0, false)]);
    let refused = farm.ask(&["actuate", "pump", "on", "--for", "90s", "--by", "ben"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let are_over = |farm: &Farm| past_of_pump(farm).iter().filter(|row| row["outcome"] != "on").count() == 2;
    farm.until("dose and refusal are kept", are_over);
    farm.kill();
    assert_eq!(one.switched(), (2, false), "expected the siren to sound");
    farm.launch();
    assert_eq!(one.switched(), (2, true));
    let past = past_of_pump(&farm);
    let [dose, refused] = past.as_slice() else { panic!("{past:?}") };
    assert_eq!((&dose["outcome"], &dose["by"], &dose["for_s"]), (&"off".into(), &"anna".into(), &5.0.into()));
    assert_eq!((&dose["reason"], &dose["hour_s"], &dose["day_s"]), (&"time-over".into(), &5.0.into(), &5.0.into()));
    assert!(dose["on_s"].as_f64().is_some_and(|on| (4.0..8.0).contains(&on)), "{past:?}");
    let refusal = ["outcome", "reason", "by"].map(|key| refused[key].as_str());
    assert_eq!(refusal, [Some("refused"), Some("max-on"), Some("ben")]);
    let table = farm.ask(&["actuators", "pump"]).out;
    assert!(table.contains("pump off: its time is over"), "{table}");
    let misspelt = farm.ask(&["actuators", "pumpp"]);
    assert!(
        misspelt.code == Some(1) && misspelt.err.contains("there is no actuator pumpp; actuators: pump"),
        "{misspelt:?}"
    );
}

#[test]
fn a_board_of_another_version_is_named_as_the_older_or_newer_side() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp://{}", listener.local_addr().unwrap());
    let mut farm = farm("board-version", [(&port, ""), ("board-two", "")]);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A Hello of version 2, whose further bytes are of no account: body, checksum and stuffing.
            let body = [0, 2, 7];
            let checksum = tilth_wire::crc16(&body).to_le_bytes();
            let frame = [1, 5, 2, 7, checksum[0], checksum[1], 0];
            let _ = stream.and_then(|mut stream| {
                stream.write_all(&[0xFF, 0x55, 0])?;
                stream.write_all(&frame)
            });
        }
    });
    farm.launch();
    farm.until("the versions are named", |farm| {
        let reason = bus(farm, "one")["reason"].clone();
        reason.as_str().is_some_and(|reason| {
            reason.contains("the board speaks protocol version 2 and the agent version 1; the agent is the older one")
        })
    });
}

#[test]
fn a_port_is_left_to_another_program_as_long_as_its_connection_lasts() {
    let mut farm = farm("board-released", [("board-one", ""), ("board-two", "")]);
    let _one = HostBoard::start(&text(&farm, "board-one"), &path(&farm, "one"));
    farm.launch();
    until_up(&mut farm, "one");
    let body = format!(r#"{{"port":"{}"}}"#, text(&farm, "board-one"));
    let mut connection = UnixStream::connect(farm.socket()).unwrap();
    let head = "POST /api/v1/ports/release HTTP/1.1\r\nhost: agent\r\ncontent-type: application/json";
    write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = BufReader::new(&connection).lines().map_while(Result::ok);
    assert!(answer.any(|line| line == "event: released"), "expected the port to be released");
    farm.until("the bus says that its port is released", |farm| {
        bus(farm, "one")["reason"].as_str().is_some_and(|reason| reason.contains("left to `tilth-agent flash`"))
    });
    drop(answer);
    drop(connection);
    until_up(&mut farm, "one");
}
