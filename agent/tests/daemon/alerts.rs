//! From a line on the wire to a page, and what people do about it, over a kill -9.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::room::{Agent, Board, FARM, Room};

/// A room whose level is too high for so long that an alert fires.
fn firing(name: &str) -> (Room, Board, Agent) {
    let room = Room::new(name, FARM);
    let mut board = room.plug_in();
    let agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 20.5);
    board.level(10, 31.0);
    board.level(70, 31.5);
    agent.wait_for_told(1);
    room.wait_for_value("room/level", 31.5);
    (room, board, agent)
}

#[test]
fn what_comes_in_is_seen_and_pages() {
    let (room, _board, agent) = firing("pages");
    let sensors = room.rows(&["sensors"]);
    assert_eq!(sensors[1]["sensor"], "room/door");
    let level = &sensors[2];
    assert_eq!((&level["quality"], &level["unit"]), (&Value::from("good"), &Value::from("")));
    assert_eq!((&level["at"], &level["age_s"]), (&Value::from("2026-01-01T00:01:10Z"), &Value::from(0.0)));
    let alerts = room.rows(&["alerts"]);
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0];
    for (name, value) in [
        ("alert", Value::from(1)),
        ("zone", "room".into()),
        ("rule", "level-high".into()),
        ("state", "firing".into()),
        ("severity", "warning".into()),
        ("value", 31.5.into()),
        ("limit", 30.into()),
        ("since", "2026-01-01T00:00:10Z".into()),
        ("for_s", 60.0.into()),
        ("silenced", false.into()),
        ("inhibited", false.into()),
        ("pages", 1.into()),
        ("message", "level 31.5 in room, limit 30".into()),
    ] {
        assert_eq!(alert[name], value, "{name}");
    }
    let people = room.ask(&["alerts"]);
    assert_eq!(
        people.out,
        "ALERT  SEVERITY  STATE   SINCE      FOR  RULE        SENSOR      MESSAGE\n\
         1      warning   firing  00:00 UTC  1m   level-high  room/level  level 31.5 in room, limit 30\n"
    );
    let told = agent.told();
    assert!(told[0].starts_with("notify pi-7-1-1-"), "{told:?}");
}

#[test]
fn an_acknowledgement_stops_paging_until_it_expires() {
    let (room, mut board, agent) = firing("ack");
    let ran = room.ask(&["ack", "1", "--for", "30m"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            Some(0),
            "alert 1 (level-high on room/level: level 31.5 in room, limit 30) is acknowledged until \
             00:31 UTC; nobody is paged before\n"
        )
    );
    let none = room.ask(&["ack", "99"]);
    assert_eq!((none.code, none.err.as_str()), (Some(1), "tilth-agent: no alert 99 is open; alert 1 is\n"));
    // Unacknowledged it would have escalated after ten minutes.
    board.level(1800, 32.0);
    room.wait_for_value("room/level", 32.0);
    assert_eq!(agent.told().len(), 1, "{:?}", agent.told());
    let alert = &room.rows(&["alerts"])[0];
    assert_eq!((&alert["state"], &alert["until"]), (&"acknowledged".into(), &"2026-01-01T00:31:10Z".into()));
    assert_eq!((&alert["by"], &alert["left_s"]), (&"anna".into(), &70.0.into()));
    let people = room.ask(&["alerts"]).out;
    assert!(people.contains(" (acknowledged by anna until 00:31 UTC)\n"), "{people}");
    board.level(1900, 32.5);
    let told = agent.wait_for_told(2);
    assert!(told[1].starts_with("notify pi-7-1-2-"), "{told:?}");
    assert_eq!(room.rows(&["alerts"])[0]["by"], Value::Null, "nobody any more");
    board.level(1910, 20.0);
    let told = agent.wait_for_told(3);
    assert!(told[2].starts_with("notify pi-7-1-resolved-"), "{told:?}");
    assert_eq!(room.ask(&["alerts"]).out, "no alert is open\n");
}

/// Guards against: an alert of last night that is open and is left out of the last hour.
#[test]
fn an_alert_that_fired_before_the_past_that_is_asked_for_and_is_open_is_shown() {
    let (room, mut board, _agent) = firing("past-open");
    assert_eq!(room.ask(&["ack", "1", "--for", "3h"]).code, Some(0));
    board.level(7200, 31.5);
    board.level(7260, 31.5);
    let since = ["alerts", "--since", "30m"];
    let rows = room.wait_for("the hours have passed", &["sensors"], |rows| rows[2]["at"] == "2026-01-01T02:01:00Z");
    assert_eq!(rows[2]["value"], 31.5);
    let alerts = room.rows(&since);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let row = &alerts[0];
    assert_eq!((&row["alert"], &row["is_over"], &row["by"]), (&1.into(), &false.into(), &"anna".into()));
    assert_eq!((&row["since"], &row["fired"]), (&"2026-01-01T00:00:10Z".into(), &Value::Null));
    assert!(room.ask(&since).out.contains("open"), "{:?}", room.ask(&since));
}

#[test]
fn who_looks_back_after_a_kill_sees_values_alerts_and_notes() {
    let (room, mut board, mut agent) = firing("past");
    assert_eq!(room.ask(&["ack", "1", "--for", "1h"]).code, Some(0));
    assert_eq!(room.ask(&["note", "opened the vents"]).code, Some(0));
    board.level(130, 20.5);
    board.level(200, 20.5);
    room.wait_for("it is over", &["alerts", "--since", "1h"], |rows| rows.iter().all(|row| row["is_over"] == true));
    agent.kill();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    board.level(500, 21.0);
    room.wait_for_value("room/level", 21.0);
    let alerts = room.rows(&["alerts", "--since", "1h"]);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((&alerts[0]["alert"], &alerts[0]["by"]), (&1.into(), &"anna".into()));
    assert_eq!(
        (&alerts[0]["fired"], &alerts[0]["resolved"]),
        (&"2026-01-01T00:01:10Z".into(), &"2026-01-01T00:02:10Z".into())
    );
    let windows = room.rows(&["history", "room/level", "--since", "2026-01-01", "--until", "2026-01-01T00:02"]);
    assert_eq!(
        windows.iter().map(|row| &row["at"]).collect::<Vec<_>>(),
        ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]
    );
    assert_eq!(
        (&windows[0]["lowest"], &windows[0]["highest"], &windows[0]["count"]),
        (&20.5.into(), &31.0.into(), &2.into())
    );
    let chart = room.ask(&["history", "room/level", "--since", "1h"]).out;
    assert!(chart.starts_with("room/level, 2026-01-01 00:00 UTC to ") && chart.contains("\n     20.5 "), "{chart}");
    let table = room.ask(&["history", "room/level", "--since", "1h", "--table"]).out;
    assert!(table.contains("\n2026-01-01 00:01 UTC  31.5    31.50  31.5     1\n"), "{table}");
    let notes = room.ask(&["notes"]).out;
    assert!(notes.starts_with("AT  ") && notes.ends_with("anna  opened the vents\n"), "{notes}");
    for (arguments, said) in [
        (["history", "room/levl", "--since", "1h"], "room/levl has no history; did you mean room/level?"),
        (["history", "room/level", "--since", "soon"], "\"soon\": expected a time ago, such as 24h or 7d"),
        (
            ["history", "room/level", "--since", "2027-01-01"],
            "since is not before until; expected a period of the past",
        ),
    ] {
        let refused = room.ask(&arguments);
        assert!(refused.code == Some(1) && refused.err.contains(said), "{refused:?}");
    }
}

#[test]
fn a_silence_is_counted_shown_and_ended() {
    let (room, mut board, agent) = firing("silence");
    let ran = room.ask(&["silence", "--rule", "level-high", "--for", "2h", "--by", "berta"]);
    assert_eq!(
        ran.out,
        "silence 1: rule level-high, until 02:01 UTC; end it with: tilth-agent silence --socket agent.sock --end 1\n",
        "{ran:?}"
    );
    let none = room.ask(&["silence", "--zone", "greenhouse", "--for", "2h"]);
    assert_eq!(none.err, "tilth-agent: no rule watches zone greenhouse; zones with rules: bus, room\n");
    board.level(1800, 32.0);
    room.wait_for_value("room/level", 32.0);
    assert_eq!(agent.told().len(), 1, "silenced: {:?}", agent.told());
    let alert = &room.rows(&["alerts"])[0];
    assert_eq!((&alert["state"], &alert["silenced"]), (&"firing".into(), &true.into()));
    let silence = &room.rows(&["silence"])[0];
    assert_eq!((&silence["silence"], &silence["by"], &silence["zone"]), (&1.into(), &"berta".into(), &Value::Null));
    let status = room.ask(&["status"]).out;
    assert!(status.contains("silence 1: rule level-high until 02:01 UTC, by berta\n"), "{status}");
    assert_eq!(room.ask(&["silence", "--end", "1"]).out, "silence 1 of berta is ended: rule level-high\n");
    assert_eq!(room.ask(&["silence", "--end", "1"]).err, "tilth-agent: there is no silence 1\n");
    agent.wait_for_told(2);
    assert_eq!(room.ask(&["silence"]).out, "nothing is silenced\n");
}

#[test]
fn the_whole_farm_is_silenced_only_by_saying_so() {
    let (room, mut board, agent) = firing("everything");
    let vague = room.ask(&["silence", "--for", "20d"]);
    assert_eq!(
        (vague.code, vague.out.as_str(), vague.err.as_str()),
        (
            Some(2),
            "",
            "tilth-agent: which alerts? Expected --rule RULE, --sensor SENSOR or --zone ZONE, or --everything to silence the \
             whole farm\n"
        )
    );
    for wrong in [&["silence", "--everything"][..], &["silence", "--everything", "--zone", "room", "--for", "1h"]] {
        assert_eq!(room.ask(wrong).code, Some(2), "{wrong:?}");
    }
    assert_eq!(room.ask(&["silence"]).out, "nothing is silenced\n");
    let ran = room.ask(&["silence", "--everything", "--for", "2h"]);
    assert_eq!(
        ran.out,
        "silence 1: everything, until 02:01 UTC; end it with: tilth-agent silence --socket agent.sock --end 1\n",
        "{ran:?}"
    );
    let status = room.ask(&["status"]).out;
    assert!(status.contains("silence 1: everything until 02:01 UTC, by anna\n"), "{status}");
    let silences = &room.status()["silences"];
    assert_eq!((&silences[0]["by"], &silences[0]["rule"]), (&"anna".into(), &Value::Null));
    board.level(1800, 32.0);
    room.wait_for_value("room/level", 32.0);
    assert_eq!(agent.told().len(), 1, "silenced: {:?}", agent.told());
}

#[test]
fn a_kill_keeps_the_acknowledgement_and_repeats_no_page() {
    let (room, mut board, mut agent) = firing("kill");
    let events = |rows: &[Value]| rows[0]["store"]["lanes"]["events"]["committed"].as_u64().unwrap_or(0);
    let before = events(&[room.status()]);
    assert_eq!(room.ask(&["ack", "1", "--for", "1h"]).code, Some(0));
    room.wait_for("the acknowledgement is kept", &["status"], |rows| events(rows) > before);
    agent.kill();
    let refused = room.ask(&["alerts"]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(
        refused.err,
        "tilth-agent: no agent listens at agent.sock: is it running? (systemctl status tilth-agent)\n"
    );
    let again = room.start("input");
    room.wait_for_bus("up");
    board.level(100, 33.0);
    room.wait_for_value("room/level", 33.0);
    let alerts = room.rows(&["alerts"]);
    assert_eq!((&alerts[0]["alert"], &alerts[0]["state"]), (&1.into(), &"acknowledged".into()));
    assert_eq!((&alerts[0]["until"], &alerts[0]["by"]), (&"2026-01-01T01:01:10Z".into(), &"anna".into()));
    assert_eq!(again.told(), Vec::<String>::new());
    board.level(4000, 33.5);
    let told = again.wait_for_told(1);
    assert!(told[0].starts_with("notify pi-7-1-2-"), "the acknowledgement is over: {told:?}");
}

#[test]
fn a_rule_that_is_gone_at_the_start_is_told_to_those_who_were_paged() {
    let (room, mut board, mut agent) = firing("rule-gone");
    agent.terminate();
    let (without, _) = FARM.split_once("[rules.level-high]").unwrap();
    room.write("config.d/farm.toml", without);
    let again = room.start("input");
    room.wait_for_bus("up");
    board.level(80, 31.5);
    let told = again.wait_for_told(1);
    assert!(told[0].starts_with("notify pi-7-1-resolved-"), "{told:?}");
}

#[test]
fn who_watches_sees_each_transition() {
    let room = Room::new("tail", FARM);
    let mut board = room.plug_in();
    let _agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 20.5);
    room.wait_for_value("room/level", 20.5);
    let watch = |arguments: &[&str]| {
        let mut child = room.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        (child, lines, first)
    };
    let (mut json, mut objects, first) = watch(&["tail", "--json", "--socket", "agent.sock"]);
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["event"], &first["device"]), (&"connected".into(), &"pi-7".into()));
    let (mut text, mut lines, first) = watch(&["tail", "--socket", "agent.sock"]);
    assert!(first.starts_with("connected to pi-7 (tilth-agent "), "{first}");
    board.level(10, 31.0);
    board.level(70, 31.5);
    let mut events = Vec::new();
    for _ in 0..3 {
        let line: Value = serde_json::from_str(&objects.next().unwrap().unwrap()).unwrap();
        events.push(line["event"].as_str().unwrap().to_owned());
        assert_eq!(line["sensor"], "room/level");
    }
    assert_eq!(events, ["pending", "firing", "notify"]);
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "2026-01-01 00:00:10 UTC   pending       warning     level-high    room/level   level 31.0 in room, limit 30"
    );
    for child in [&mut json, &mut text] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_channel_that_does_not_work_is_told_of_in_status() {
    let farm = format!(
        "{FARM}
        [notifications.phone]
        kind = 'ntfy'
        url = 'http://127.0.0.1:1'
        topic = 'farm'
        [escalation.default.warning]
        channels = ['phone', 'log']
        "
    );
    let room = Room::new("channel", &farm);
    let mut board = room.plug_in();
    let agent = room.start("input");
    room.wait_for_bus("up");
    board.level(0, 31.0);
    board.level(60, 31.5);
    agent.wait_for_told(1);
    let status = room.wait_for("it failed", &["status"], |rows| {
        let channels = rows[0]["notify"]["channels"].as_array().cloned().unwrap_or_default();
        channels.iter().any(|channel| !channel["last_failure"].is_null())
    });
    let channels = status[0]["notify"]["channels"].as_array().cloned().unwrap_or_default();
    let phone = channels.iter().find(|channel| channel["channel"] == "phone").unwrap();
    assert_eq!(phone["waiting"], 1);
    assert!(phone["last_failure"]["notification"].as_str().unwrap().starts_with("pi-7-1-1-"), "{phone}");
    assert_eq!(
        (&phone["last_failure"]["recovered"], &phone["last_failure"]["at"]),
        (&false.into(), &"2026-01-01T00:01:00Z".into())
    );
    let people = room.ask(&["status"]).out;
    let line = "phone (http://127.0.0.1:1): 1 notification waiting; fails since 00:01 UTC: ";
    assert!(people.contains(line), "{people}");
}

/// Guards against: a farm that has been watched for weeks, and an alert that reaches nobody.
#[test]
fn a_secret_that_cannot_be_read_is_told_of_before_any_alert() {
    let farm = format!(
        "{FARM}
        [notifications.office]
        kind = 'webhook'
        url = 'http://127.0.0.1:1'
        secret = 'secret:ofice'
        "
    );
    let room = Room::new("no-secret", &farm);
    let agent = room.start("system");
    let lack = "secret: there is no ./secrets/ofice";
    room.wait_for("what it lacks", &["status"], |rows| {
        let channels = rows[0]["notify"]["channels"].as_array().cloned().unwrap_or_default();
        channels.iter().any(|channel| channel["channel"] == "office" && channel["unavailable"] == lack)
    });
    let people = room.ask(&["status"]).out;
    assert!(
        people.contains(&format!("office (http://127.0.0.1:1): nothing waiting; unavailable: {lack}\n")),
        "{people}"
    );
    let said = format!("tilth-agent: channel office unavailable: {lack}; alerts go to the other channels\n");
    agent.wait_for_log(&said);
}

#[test]
fn plain_http_needs_no_certificates_on_the_machine() {
    let ntfy = TcpListener::bind("127.0.0.1:0").unwrap();
    let farm = format!(
        "{FARM}
        [notifications.house]
        kind = 'ntfy'
        url = 'http://{}'
        topic = 'farm'
        [notifications.phone]
        kind = 'ntfy'
        url = 'https://127.0.0.1:1'
        topic = 'farm'
        [escalation.default.warning]
        channels = ['house', 'phone', 'log']
        ",
        ntfy.local_addr().unwrap()
    );
    let (sender, request) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(ntfy.accept().unwrap().0).read_line(&mut line).unwrap();
        sender.send(line)
    });
    let room = Room::new("no-certificates", &farm);
    let mut board = room.plug_in();
    let mut agent = room.start_command("input");
    agent.env("SSL_CERT_FILE", room.path("none.pem")).env("SSL_CERT_DIR", room.path("none"));
    let mut agent = agent.stderr(Stdio::null()).spawn().unwrap();
    room.wait_for_bus("up");
    board.level(0, 31.0);
    board.level(60, 31.5);
    let request = request.recv_timeout(Duration::from_secs(30)).expect("a request");
    assert_eq!(request, "POST /farm HTTP/1.1\r\n");
    room.wait_for("what the other lacks", &["status"], |rows| {
        let channels = rows[0]["notify"]["channels"].as_array().cloned().unwrap_or_default();
        let phone = channels.iter().find(|channel| channel["channel"] == "phone");
        phone
            .is_some_and(|phone| phone["last_failure"]["reason"].to_string().contains("No CA certificates were loaded"))
    });
    agent.kill().unwrap();
    agent.wait().unwrap();
}

/// Guards against: "it has ended already", or the row of an older silence, where there is no room for another.
#[test]
fn a_silence_too_many_says_why_it_is_refused() {
    let (room, _board, _agent) = firing("silences");
    let silence = || room.ask(&["silence", "--rule", "level-high", "--for", "2h", "--by", "berta"]);
    for number in 1..=256 {
        let ran = silence();
        assert!(ran.out.starts_with(&format!("silence {number}: ")), "{ran:?}");
    }
    let ran = silence();
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("there are 256 silences, as many as there may be; end one first"), "{ran:?}");
    assert_eq!(room.ask(&["silence", "--end", "7"]).code, Some(0));
    assert!(silence().out.starts_with("silence 257: "));
}
