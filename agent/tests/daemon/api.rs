//! The socket itself: who may open it, and what it does with nonsense.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::room::{FARM, Ran, Room};

/// A connection without the program.
fn connect(room: &Room) -> UnixStream {
    let stream = UnixStream::connect(room.path("agent.sock")).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

fn answer(stream: &UnixStream) -> Value {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

#[test]
fn nonsense_is_answered_and_does_no_harm() {
    let room = Room::new("nonsense", FARM);
    let _agent = room.start("input");
    let mode = std::fs::metadata(room.path("agent.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);

    let mut stream = connect(&room);
    for (asked, said) in [
        ("hello", "no request: "),
        ("{}", "no request: missing field `v`"),
        ("{\"v\":1,\"ask\":\"money\"}", "no request: unknown variant `money`"),
        ("{\"v\":2,\"ask\":\"status\"}", "version 2 of requests is not known here"),
        ("{\"v\":1,\"ask\":\"sensors\"}", "nothing is decided yet"),
        ("{\"v\":1,\"ask\":\"note\",\"text\":\" \",\"by\":\"anna\"}", "an empty note"),
        (
            "{\"v\":1,\"ask\":\"acknowledge\",\"alert\":1,\"span\":-5,\"by\":\"anna\"}",
            "-5ms is no time to wait; expected more than nothing and at most 30d",
        ),
    ] {
        stream.write_all(format!("{asked}\n").as_bytes()).unwrap();
        let failed = answer(&stream)["failed"].as_str().unwrap().to_owned();
        assert!(failed.starts_with(said), "{asked}: {failed}");
    }
    stream.write_all(&vec![b'x'; 64 * 1024 + 1]).unwrap();
    assert_eq!(answer(&stream)["failed"], "a request is longer than 65536 bytes");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
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
        stream.write_all(b"{\"v\":1,\"ask\":\"note\",\"text\":\"x\",\"by\":\"anna\"}\n").unwrap();
        let answer = answer(&stream).to_string();
        refused += usize::from(answer.contains("more than 300 changes within a minute"));
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
    next.write_all(b"{\"v\":1,\"ask\":\"status\"}\n").unwrap();
    assert!(answer(&next)["row"].is_object());
    assert_eq!(held.remove(0).read(&mut [0; 64]).unwrap(), 0, "the first one is hung up on");
    held[0].write_all(b"{\"v\":1,\"ask\":\"status\"}\n").unwrap();
    assert!(answer(&held[0])["row"].is_object(), "the second one is not");
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
    let status = "{\"v\":1,\"ask\":\"status\"}\n";
    let watch = "{\"v\":1,\"ask\":\"tail\",\"text\":false}\n";
    for (kind, request, times) in [
        ("silent", "", 0),
        ("half a request", "{\"v\":1", 1),
        ("never reading", status, 2_000),
        ("watching", watch, 1),
        ("asked once", status, 1),
        ("nonsense", "hello\n", 1),
    ] {
        let held: Vec<UnixStream> = (0..64).map(|_| ask(request, times)).collect();
        for _ in 0..3 {
            let ran = room.ask(&["status"]);
            assert_eq!(ran.code, Some(0), "{kind}: {}", ran.err);
        }
        drop(held);
    }
    let watching: Vec<UnixStream> = (0..25).map(|_| ask(watch, 1)).collect();
    for stream in &watching {
        stream.set_nonblocking(false).unwrap();
    }
    let refused: Vec<Value> = watching.iter().map(answer).filter(|answer| !answer["failed"].is_null()).collect();
    assert_eq!(refused, [serde_json::json!({"failed": "24 others watch already"})]);
}

#[test]
fn a_watcher_that_reads_nothing_delays_nobody() {
    let room = Room::new("stuck", &FARM.replace("for = '1m'", "for = '0s'"));
    let mut board = room.plug_in();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    let mut stuck = connect(&room);
    stuck.write_all(b"{\"v\":1,\"ask\":\"tail\",\"text\":false}\n").unwrap();
    assert_eq!(answer(&stuck)["row"]["event"], "connected");
    // More than the socket and the queue of lines hold.
    for n in 0..1500 {
        board.level(n * 20, 20.0);
        board.level(n * 20 + 10, 31.0);
    }
    board.level(100_000, 25.5);
    room.wait_for_value("room/level", 25.5);
    let lines = BufReader::new(&stuck).lines().map_while(Result::ok);
    let missed = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap()).find(|line| !line["missed"].is_null());
    assert!(missed.is_some_and(|line| line["missed"].as_u64() > Some(0)));
}

#[test]
fn notes_are_kept_and_an_agent_that_is_not_there_is_said() {
    let room = Room::new("note", FARM);
    let nobody = room.ask(&["status"]);
    assert_eq!(nobody.code, Some(1));
    // Where nobody says which agent, it may be one with a folder of its own.
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
        nobody.err,
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
