//! The API as any program meets it: who may open the socket, and what it does with nonsense.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::room::{FARM, Ran, Room};

/// The longest body of a request.
const MOST: usize = 64 * 1024;

/// A connection without the program.
fn connect(room: &Room) -> UnixStream {
    let stream = UnixStream::connect(room.path("agent.sock")).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: agent\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: agent\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Status, media type and body of an answer. Answers that have no end are read to their first event.
fn answer(stream: &UnixStream) -> (u16, String, String) {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    };
    let status = line().split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let head: Vec<String> = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty())).collect();
    let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("");
    if header("content-type") == "text/event-stream" {
        let data = std::iter::repeat_with(line).find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        return (status, "text/event-stream".to_owned(), data.expect("an event"));
    }
    let mut body = vec![0; header("content-length").parse().expect("a length")];
    reader.read_exact(&mut body).expect("a body");
    (status, header("content-type").to_owned(), String::from_utf8(body).expect("UTF-8"))
}

/// The only row of an answer.
fn row(stream: &UnixStream) -> Value {
    let (status, _, body) = answer(stream);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).expect("JSON")["rows"][0].clone()
}

/// Why there is none.
fn problem(stream: &UnixStream) -> (u16, String) {
    let (status, media_type, body) = answer(stream);
    assert_eq!(media_type, "application/problem+json", "{body}");
    let problem: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(problem["status"], status, "{body}");
    (status, problem["detail"].as_str().expect("a sentence").to_owned())
}

#[test]
fn nonsense_is_answered_and_does_no_harm() {
    let room = Room::new("nonsense", FARM);
    let _agent = room.start("input");
    let mode = std::fs::metadata(room.path("agent.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);

    let mut stream = connect(&room);
    for (asked, status, said) in [
        (get("/api/v1/money"), 404, "there is no /api/v1/money here; expected /api/v1/status, "),
        (get("/api/v2/status"), 404, "the request is for version 2 of the API, and this agent (tilth-agent "),
        (get("/api/v1/sensors"), 503, "no reading yet"),
        (post("/api/v1/notes", "{\"text\":\"x\",\"by\":\"anna\"}"), 503, "no reading yet"),
        (post("/api/v1/notes", "{\"text\":\" \",\"by\":\"anna\"}"), 400, "an empty note"),
        (post("/api/v1/sensors", "{}"), 405, "POST /api/v1/sensors: expected a method that the header Allow names"),
        (
            post("/api/v1/alerts/1/acknowledge", "{\"for_s\":-0.005,\"by\":\"anna\"}"),
            400,
            "-5ms is no time to wait; expected more than nothing and at most 30d",
        ),
    ] {
        stream.write_all(asked.as_bytes()).unwrap();
        let (found, text) = problem(&stream);
        assert!(found == status && text.starts_with(said), "{asked}: {found} {text}");
    }
    let too_long = post("/api/v1/notes", &"x".repeat(MOST + 1));
    stream.write_all(too_long.as_bytes()).unwrap();
    assert_eq!(problem(&stream), (413, "a request is longer than 65536 bytes".to_owned()));
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());

    let mut long_head = connect(&room);
    // The bound is checked between two reads; without it hyper would take 400 KiB.
    let padded = get("/api/v1/status").replace("agent", &"x".repeat(3 * MOST));
    // The agent hangs up on what it does not read.
    let _ = long_head.write_all(padded.as_bytes());
    let mut status = [0; 12];
    long_head.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 431", "a head longer than the bound");

    let mut no_http = connect(&room);
    no_http.write_all(b"hello\n\n").unwrap();
    let mut answered = String::new();
    no_http.read_to_string(&mut answered).unwrap();
    assert!(answered.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answered}");
    assert_eq!(room.ask(&["status"]).code, Some(0));
}

/// Each change is an event, and those of alerts must not be dropped for them.
#[test]
fn a_flood_of_notes_is_refused_and_not_answered_as_done() {
    let room = Room::new("notes", FARM);
    let _agent = room.start("system");
    let mut stream = connect(&room);
    let mut refused = 0;
    for _ in 0..400 {
        stream.write_all(post("/api/v1/notes", "{\"text\":\"x\",\"by\":\"anna\"}").as_bytes()).unwrap();
        let (status, _, body) = answer(&stream);
        let is_refused = body.contains("more than 300 changes within a minute");
        assert_eq!(status, if is_refused { 429 } else { 200 }, "{body}");
        refused += usize::from(is_refused);
    }
    assert!((1..=100).contains(&refused), "{refused}");
    assert_eq!(room.ask(&["status"]).code, Some(0));
}

#[test]
fn there_is_an_end_to_how_many_ask_at_once() {
    let room = Room::new("crowd", FARM);
    let _agent = room.start("input");
    let mut held: Vec<UnixStream> = (0..32).map(|_| connect(&room)).collect();
    // One more makes room: who has asked nothing for longest is hung up on.
    let mut next = connect(&room);
    next.write_all(get("/api/v1/status").as_bytes()).unwrap();
    assert_eq!(row(&next)["device"], "pi-7");
    assert_eq!(held.remove(0).read(&mut [0; 64]).unwrap(), 0, "the first one is hung up on");
    held[0].write_all(get("/api/v1/status").as_bytes()).unwrap();
    assert_eq!(row(&held[0])["device"], "pi-7", "the second one is not");
}

#[test]
fn a_person_gets_through_whatever_others_hold_open() {
    let room = Room::new("held-open", FARM);
    let _agent = room.start("input");
    let ask = |request: &str, times: usize| {
        let mut stream = connect(&room);
        stream.set_nonblocking(true).unwrap();
        for _ in 0..times {
            let _ = stream.write(request.as_bytes());
        }
        stream
    };
    let (status, watch) = (get("/api/v1/status"), get("/api/v1/events"));
    let long = post("/api/v1/notes", &"x".repeat(MOST));
    for (kind, request, times) in [
        ("silent", "", 0),
        ("half a head", "GET /api/v1/st", 1),
        ("half a body", &long[..1000], 1),
        ("never reading", &status, 2_000),
        ("watching", &watch, 1),
        ("asked once", &status, 1),
        ("nonsense", "hello\n\n", 1),
    ] {
        let held: Vec<UnixStream> = (0..64).map(|_| ask(request, times)).collect();
        for _ in 0..3 {
            let ran = room.ask(&["status"]);
            assert_eq!(ran.code, Some(0), "{kind}: {}", ran.err);
        }
        drop(held);
    }
    let watching: Vec<UnixStream> = (0..25).map(|_| ask(&watch, 1)).collect();
    for stream in &watching {
        stream.set_nonblocking(false).unwrap();
    }
    let answers: Vec<(u16, String, String)> = watching.iter().map(answer).collect();
    let refused: Vec<&str> = answers.iter().filter(|answer| answer.0 != 200).map(|answer| answer.2.as_str()).collect();
    assert_eq!(refused, [r#"{"title":"Service Unavailable","status":503,"detail":"24 others watch already"}"#]);
}

#[test]
fn a_watcher_that_reads_nothing_delays_nobody() {
    let room = Room::new("stuck", &FARM.replace("for = '1m'", "for = '0s'"));
    let mut board = room.plug_in();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    let mut stuck = connect(&room);
    stuck.write_all(get("/api/v1/events").as_bytes()).unwrap();
    let (_, media_type, connected) = answer(&stuck);
    assert_eq!(media_type, "text/event-stream");
    assert!(connected.contains("\"event\":\"connected\""), "{connected}");
    // More than the socket and the queue of lines hold.
    for n in 0..1500 {
        board.level(n * 20, 20.0);
        board.level(n * 20 + 10, 31.0);
    }
    board.level(100_000, 25.5);
    room.wait_for_value("room/level", 25.5);
    let data = BufReader::new(&stuck).lines().map_while(Result::ok).filter_map(|line| {
        let data = line.strip_prefix("data: ")?;
        Some(serde_json::from_str::<Value>(data).expect("JSON"))
    });
    let missed = data.into_iter().find(|data| data["event"] == "missed");
    assert!(missed.is_some_and(|missed| missed["lines"].as_u64() > Some(0)));
}

#[test]
fn notes_are_kept_and_an_agent_that_is_not_there_is_said() {
    let room = Room::new("note", FARM);
    let unanswered = room.ask(&["status"]);
    assert_eq!(unanswered.code, Some(1));
    // Without an option that names the agent, it may be one with a folder of its own.
    for (arguments, hint) in [
        (&["alerts"][..], "; if it runs with --data DIR, give the same --data DIR here"),
        (&["ack", "1", "--data", "nowhere"], "; there is no folder of that name: is --data right?"),
        (&["status", "--data", "."], ""),
    ] {
        let ran = Ran::of(&mut room.command(arguments));
        assert_eq!(ran.code, Some(1));
        let said = format!(
            "is it running? (systemctl status tilth-agent){hint}
"
        );
        assert!(ran.err.starts_with("tilth-agent: no agent listens at ") && ran.err.ends_with(&said), "{}", ran.err);
    }
    assert_eq!(
        unanswered.err,
        "tilth-agent: no agent listens at agent.sock: is it running? (systemctl status tilth-agent)\n"
    );
    let mut board = room.plug_in();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 20.0);
    room.wait_for_value("room/level", 20.0);
    let events = |status: &Value| status["store"]["lanes"]["events"]["committed"].as_u64().unwrap();
    let before = events(&room.status());
    assert_eq!(room.ask(&["note", "refilled the tank"]).out, "noted\n");
    room.wait_for("the note is kept", &["status"], |rows| events(&rows[0]) > before);
    let usage = room.ask(&["ack", "1", "--for", "soon"]);
    assert_eq!(usage.code, Some(2));
    assert!(usage.err.contains("expected a time such as 1h or 90m, at most 30d"), "{}", usage.err);
    let usage = room.ask(&["ack", "room/level"]);
    assert_eq!(usage.code, Some(2));
    let said =
        "invalid value 'room/level' for '<ALERT>': expected the alert's number, as `tilth-agent alerts` shows it";
    assert!(usage.err.contains(said), "{}", usage.err);
}

/// No machine of these tests has an I2C bus: the circuits themselves are those of the tests of the bus.
#[test]
fn a_step_of_a_calibration_that_no_circuit_can_take_says_why() {
    let circuit = "[sensors.'tank/ph']\nquantity = 'ph'\ninput = 'i2c:main/ezo_ph@0x63/ph'\n";
    let room = Room::new("calibrate", &format!("{FARM}{circuit}"));
    let (bus, site) = (room.path("i2c-9"), fs::read_to_string(room.path("agent.toml")).unwrap());
    room.write("agent.toml", &format!("{site}[bus.main]\nkind = 'i2c'\nport = '{}'\n", bus.display()));
    let mut board = room.plug_in();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 20.0);
    room.wait_for_value("room/level", 20.0);
    let is_down = |rows: &[Value]| {
        rows[0]["buses"].as_array().unwrap().iter().any(|bus| bus["bus"] == "main" && bus["state"] == "down")
    };
    room.wait_for("the bus is down", &["status"], is_down);
    for (arguments, code, said) in [
        (&["tank/ph", "mid", "7.00"][..], 1, "tilth-agent: tank/ph: its bus main is down: "),
        (
            &["room/level", "query"],
            1,
            "tilth-agent: room/level is not read from an EZO circuit: bus gateway is no I2C bus; ",
        ),
        (&["tank/ph2", "query"], 1, "tilth-agent: there is no sensor tank/ph2; did you mean tank/ph? sensors: "),
        (&["tank/ph", "middle", "7"], 2, "error: invalid value 'middle' for '<STEP>'"),
        (&["tank/ph", "mid", "seven"], 2, "error: invalid value 'seven' for '[VALUE]'"),
    ] {
        let ran = room.ask(&[&["calibrate"], arguments].concat());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.err.starts_with(said) && ran.out.is_empty(), "expected {said}, got {ran:?}");
    }
}

/// Guards against: a new card whose pump doses a second day's total on the same day, with nothing that says so.
#[test]
fn a_first_start_with_an_actuator_that_doses_says_that_the_totals_before_are_unknown() {
    let room = Room::new("first-doses", FARM);
    let (bus, site) = (room.path("pump-board"), fs::read_to_string(room.path("agent.toml")).unwrap());
    room.write("agent.toml", &format!("{site}[bus.pumps]\nkind = 'board'\nport = '{}'\n", bus.display()));
    let said = |room: &Room| room.status()["store"]["missing"].clone();
    let pump = "[actuators.acid-pump]\nzone = 'room'\noutput = 'board:pumps/relay-1'\nmax_on = '3s'\n\
                dose_per_hour = '10s'\ndose_per_day = '60s'\n";
    room.write("config.d/pump.toml", pump);
    let _board = room.plug_in();
    let agent = room.start("system");
    room.wait_for_bus("up");
    let first = said(&room);
    let expected = "the data folder is new: what acid-pump dosed within the last day is not known and counts as 0";
    assert!(first[0].as_str().is_some_and(|first| first.starts_with(expected)), "expected {expected}, got {first}");
    room.wait_for("the start is kept", &["status"], |rows| {
        rows[0]["store"]["lanes"]["events"]["committed"].as_u64() > Some(0)
    });
    drop(agent);
    let _agent = room.start("system");
    room.wait_for_bus("up");
    assert_eq!(said(&room), serde_json::json!([]), "the second start knows what was dosed");
}
