//! `replay`.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::farm::{Farm, Ran};

/// Two sensors under rules of their own, so that no change of the shipped ones changes what these tests see.
const CONFIG: &str = r#"
[sensors."tower-1/ph"]
quantity = "ph"
input = "line:gateway/ph"
resolution = 0.01
range = [0, 14]
max_rate = 20
stale_after = "10m"

[sensors."tower-1/air"]
quantity = "temperature"
input = "line:gateway/air"
resolution = 0.1
range = [-40, 80]
max_rate = 200
stale_after = "10m"

[rules.acid-out]
sensor = "tower-1/ph"
above = 6.8
clear = 6.5
for = "5m"
severity = "warning"
escalation = "shift"
message = "pH {value} in {zone}, limit {limit}"
advice = "Look at the acid canister."

[rules.too-cold]
sensor = "tower-1/air"
below = 12
for = "0s"
cooldown = "0s"
severity = "critical"
escalation = "shift"
message = "{value} {unit} at {sensor}"

[rules.gone]
sensor = "tower-1/ph"
missing_for = "30m"
severity = "preventive"
escalation = "shift"
message = "Nothing from {sensor} for {value}"

[escalation.shift]
preventive = { wait = "2h", channels = ["log"] }
warning = { wait = "20m", channels = ["log"] }
critical = { wait = "2h", channels = ["log"] }
urgent = { wait = "2h", channels = ["log"] }

[rules]
ph-high.enabled = false
ph-low.enabled = false
temperature-high.enabled = false
temperature-low.enabled = false
sensor-silent.enabled = false

[agent.sensor_fault]
for = "1m"
severity = "critical"
escalation = "shift"
message = "{sensor} says {value}"
advice = "Look at its cable."
"#;

fn farm(name: &str) -> Farm {
    Farm::empty(name).with("config.d/tower.toml", CONFIG)
}

fn stamp(minute: u32) -> String {
    format!("2026-03-01T{:02}:{:02}:00Z", 6 + minute / 60, minute % 60)
}

/// An hour and a half: pH is too high from 06:10 to 06:45, one value is out of range at 06:50, nothing comes from it after
/// 06:55; the room is cold at the end.
fn readings() -> Vec<(u32, &'static str, String)> {
    let mut readings = Vec::new();
    for minute in 0..=95 {
        let ph = match minute {
            10..45 => "6.849",
            50 => "99",
            _ => "6.2",
        };
        if minute <= 55 {
            readings.push((minute, "tower-1/ph", ph.to_owned()));
        }
        readings.push((minute, "tower-1/air", format!("{}", 20.0 - f64::from(minute) * 0.0875)));
    }
    readings
}

fn long() -> String {
    let line = |(minute, sensor, value): (u32, &str, String)| format!("{},{sensor},{value}\n", stamp(minute));
    "time,sensor,value\n".to_owned() + &readings().into_iter().map(line).collect::<String>()
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn replay(farm: &Farm, input: &str, more: &[&str]) -> Ran {
    farm.run(&[&["replay", "--config", ".", "--input", input], more].concat())
}

/// The summary on standard error.
#[track_caller]
fn summary(ran: &Ran) -> Value {
    let line = ran.err.lines().find(|line| line.starts_with('{')).expect("a summary");
    serde_json::from_str(line).expect("an object")
}

/// The transitions of a recording that must replay well.
#[track_caller]
fn transitions(farm: &Farm, input: &str) -> String {
    let ran = replay(farm, input, &["--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    ran.out
}

#[test]
fn a_recording_as_json_and_as_text() {
    let farm = farm("golden").with("day.csv", long());
    let json = replay(&farm, "day.csv", &["--json"]);
    assert_eq!(json.out, include_str!("golden/replay.jsonl"));
    assert_eq!(json.err, include_str!("golden/replay.summary.json"));
    assert_eq!(json.code, Some(0));
    let text = replay(&farm, "day.csv", &[]);
    assert_eq!(text.out, include_str!("golden/replay.txt"));
    assert_eq!(text.err, include_str!("golden/replay.summary.txt"));
    assert_eq!(text.code, json.code);
}

#[test]
fn the_keys_of_a_transition_have_their_order() {
    let farm = farm("keys").with("day.csv", long());
    let order = [
        "at",
        "event",
        "rule",
        "sensor",
        "value",
        "severity",
        "zone",
        "alert",
        "limit",
        "since",
        "reading_ts",
        "message",
        "advice",
        "reason",
        "until",
        "by",
        "cause",
        "page",
        "channels",
    ];
    for line in transitions(&farm, "day.csv").lines() {
        let places: Vec<usize> = order.iter().filter_map(|key| line.find(&format!("\"{key}\":"))).collect();
        assert!(places.len() >= 6 && places.is_sorted(), "{line}");
        let object: serde_json::Map<_, _> = serde_json::from_str(line).expect("an object");
        assert!(object.keys().all(|key| order.contains(&key.as_str())), "{line}");
    }
}

#[test]
fn restarts_and_repetition_change_nothing() {
    let farm = farm("restarts").with("day.csv", long());
    let whole = replay(&farm, "day.csv", &["--json", "--digest"]);
    assert!(whole.out.lines().count() > 10);
    let digest = whole.objects().pop().expect("a last line");
    let count = |key: &str| digest[key].as_u64().expect("a count");
    assert_eq!(count("readings"), 152);
    assert!(count("windows") > 150 && count("transitions") > 5 && count("notifications") > 3 && count("health") > 2);
    assert_eq!(replay(&farm, "day.csv", &["--json", "--digest"]), whole);
    for every in ["1", "7", "1000"] {
        assert_eq!(replay(&farm, "day.csv", &["--json", "--digest", "--restart-every", every]), whole, "{every}");
    }
}

#[test]
fn the_same_readings_in_other_forms_are_the_same_replay() {
    let mut wide = "note,tower-1/ph,time,tower-1/air\n".to_owned();
    for minute in 0..=95 {
        let cell = |sensor: &str| {
            let found = readings().into_iter().find(|(at, name, _)| (*at, *name) == (minute, sensor));
            found.map(|(_, _, value)| value).unwrap_or_default()
        };
        writeln!(wide, "x,{},{},{}", cell("tower-1/ph"), stamp(minute), cell("tower-1/air")).expect("a string");
    }
    let epoch = |line: &str| match line.split_once(',') {
        Some((time, rest)) if time.starts_with("20") => {
            let time: jiff::Timestamp = time.parse().expect("a time");
            format!("{},{rest}\n", time.as_millisecond())
        }
        _ => format!("{line}\n"),
    };
    let quoted = |line: &str| format!("\"{}\",more, \"of it\"\r\n", line.replace(',', "\" ,\""));
    let farm = farm("forms")
        .with("day.csv", long())
        .with("day.csv.gz", packed(&long()))
        .with("wide.csv", wide)
        .with("epoch.csv", long().lines().map(epoch).collect::<String>())
        .with("quoted.csv", "\u{feff}".to_owned() + &long().lines().map(quoted).collect::<String>());
    let expected = transitions(&farm, "day.csv");
    assert_eq!(expected, include_str!("golden/replay.jsonl"));
    for input in ["day.csv.gz", "wide.csv", "epoch.csv", "quoted.csv"] {
        assert_eq!(transitions(&farm, input), expected, "{input}");
    }
    for bytes in [long().into_bytes(), packed(&long())] {
        let ran = farm.run_on(&bytes, &["replay", "--config", ".", "--input", "-", "--json"]);
        assert_eq!((ran.out, ran.code), (expected.clone(), Some(0)));
    }
}

#[test]
fn bad_lines_are_counted_and_shown_and_change_nothing() {
    let mut bad =
        long().replace("2026-03-01T06:30:00Z,tower-1/ph,6.849\n", "2026-03-01T06:30:00Z,tower-1/ph,6.849\nrubbish\n\n");
    bad.push_str("2026-03-01T07:35:00Z,tower-1/air,1e999\n2026-03-01T07:35:00Z,tower-1/air\n\x1b[2J,,\n");
    let farm = farm("bad-lines").with("day.csv", long()).with("bad.csv", bad);
    assert_eq!(transitions(&farm, "bad.csv"), transitions(&farm, "day.csv"));
    let summary = summary(&replay(&farm, "bad.csv", &["--json"]));
    assert_eq!((&summary["bad_lines"], &summary["bad_cells"]), (&4.into(), &0.into()));
    assert_eq!(summary["bad"][1], json!({"reason": "value is infinite", "count": 1}));
    let ran = replay(&farm, "bad.csv", &[]);
    ran.tells("beside    0 missing values, 4 bad");
    ran.tells("bad       4 lines, 0 cells of other lines");
    ran.tells("2 times: expected RFC 3339 with an offset, or epoch milliseconds");
    ran.tells("1 time: value is infinite");
    ran.tells("line 63: expected RFC 3339 with an offset, or epoch milliseconds: rubbish");
    ran.tells("line 157: too few columns: 2026-03-01T07:35:00Z,tower-1/air");
    ran.tells(r"line 158: expected RFC 3339 with an offset, or epoch milliseconds: \u{1b}[2J,,");
    assert!(!ran.err.contains('\x1b'));
}

#[test]
fn late_and_repeated_readings_move_nothing() {
    let late = "2026-03-01T06:20:00Z,tower-1/ph,6.2\n2026-03-01T06:29:00Z,tower-1/ph,99\n";
    let again = "2026-03-01T06:30:00Z,tower-1/ph,6.849\n";
    let farm =
        farm("late").with("day.csv", long()).with("late.csv", long().replace(again, &[again, again, late].concat()));
    assert_eq!(transitions(&farm, "late.csv"), transitions(&farm, "day.csv"));
    let ran = replay(&farm, "late.csv", &[]);
    ran.tells("readings  155 of 2 sensors");
    ran.tells("of these  2 late for their sensor, 2 stamped before the clock, 2 not believed");
    ran.tells("2 readings not believed, the first of tower-1/ph at 2026-03-01 06:29:00 UTC");
}

#[test]
fn an_earlier_stamp_of_another_sensor_is_behind_and_not_late() {
    let farm =
        farm("behind").with("a.csv", "time,sensor,value\n1735689700000,tower-1/ph,6\n1735689640000,tower-1/air,20\n");
    let ran = replay(&farm, "a.csv", &[]);
    ran.tells("readings  2 of 2 sensors, 2025-01-01 00:00:40 UTC to 2025-01-01 00:01:40 UTC (1m)");
    ran.tells("of these  0 late for their sensor, 1 stamped before the clock");
}

#[test]
fn names_that_do_not_meet_are_listed() {
    let strange: String = (0..25).map(|at| format!("{},pond-{at},1\n", stamp(96))).collect();
    let config =
        format!("{CONFIG}\n[sensors.\"tower-2/air\"]\nquantity = \"temperature\"\ninput = \"line:gateway/b\"\n");
    let farm = Farm::empty("names").with("config.d/tower.toml", config).with("day.csv", long() + &strange);
    let ran = replay(&farm, "day.csv", &[]);
    assert_eq!(ran.code, Some(0));
    ran.tells("unknown   25 readings of 25 sensors that the configuration does not name: pond-0, pond-1, pond-2");
    assert!(ran.err.contains("pond-19 and 5 more\n") && !ran.err.contains("pond-20"));
    ran.tells("absent    1 sensor never heard in this recording: tower-2/air");
}

/// A rule for every sensor that is silent, as the shipped one; its alerts climb.
const SILENT: &str = r#"
[sensors."tower-2/air"]
quantity = "temperature"
[sensors."tower-2/ph"]
quantity = "ph"

[rules.silent]
sensor = "tower-2/*"
missing_for = "20m"
severity = "warning"
escalation = "shift"
message = "Nothing from {sensor} for {value}"
"#;

#[test]
fn alerts_of_sensors_that_were_never_heard_are_left_out_for_people() {
    let farm = Farm::empty("unheard")
        .with("config.d/tower.toml", CONFIG.to_owned() + SILENT)
        .with("day.csv", long())
        .with("later.csv", long() + "2026-03-01T07:35:00Z,tower-2/ph,6\n2026-03-01T07:36:00Z,tower-2/ph,6\n");
    let text = replay(&farm, "day.csv", &["--report", "day.html"]);
    let lines = include_str!("golden/replay.txt").lines().count();
    assert_eq!((text.code, text.out.lines().count()), (Some(0), lines), "{}", text.out);
    assert!(!text.out.contains("tower-2"), "{}", text.out);
    text.tells("absent    2 sensors never heard in this recording: tower-2/air, tower-2/ph; 2 alerts left out above");
    text.tells("fired     4 alerts, 5 notifications if nobody acknowledged");
    text.tells("open      2 alerts firing at the end");
    assert!(!text.err.contains("Never fired:"), "{}", text.err);
    let page = farm.read("day.html");
    assert!(page.contains("<li>tower-2/air <span class=\"quiet\">(1 left out)</span></li>"), "{page}");
    assert!(!page.contains("<td>silent</td>"), "{page}");

    let json = replay(&farm, "day.csv", &["--json"]);
    assert!(json.out.contains(r#""rule":"silent","sensor":"tower-2/air""#), "{}", json.out);
    let told = summary(&json);
    assert_eq!((&told["alerts"], &told["unheard_alerts"], &told["rules"]["silent"]), (&6.into(), &2.into(), &2.into()));
    assert_eq!(told["absent"][0], json!({"sensor": "tower-2/air", "alerts": 1}));

    let later = replay(&farm, "later.csv", &[]);
    assert_eq!(later.out, text.out, "an alert from before the first reading stays left out when it resolves");
    later.tells("late      1 sensor heard only after an alert: tower-2/ph; 1 alert left out above");
}

#[test]
fn a_recording_of_other_sensors_means_nothing() {
    let farm = farm("other-names")
        .with("a.csv", "time,sensor,value\n2026-03-01T06:00:00Z,Tower-1.pH,6\n2026-03-01T06:00:00Z,pond,6\n")
        .with("b.csv", "time,pond\n2026-03-01T06:00:00Z,6\n");
    let ran = replay(&farm, "a.csv", &[]);
    assert_eq!(ran.code, Some(1));
    ran.tells("Tower-1.pH: did you mean tower-1/ph?");
    ran.tells(
        "tilth-agent: a.csv: no reading is of a sensor that the configuration names: Tower-1.pH, pond; did you mean tower-1/ph?; \
         to say which is which: --map \"Tower-1.pH=tower-1/ph\"",
    );
    let json = replay(&farm, "a.csv", &["--json"]);
    assert_eq!(json.code, Some(1));
    assert_eq!(summary(&json)["unknown"][0], json!({"sensor": "Tower-1.pH", "readings": 1, "meant": "tower-1/ph"}));
    let ran = replay(&farm, "b.csv", &[]);
    assert_eq!(ran.code, Some(1));
    ran.tells("tilth-agent: b.csv: no reading is of a sensor that the configuration names: pond");
    assert!(!ran.err.contains("did you mean"), "{}", ran.err);
}

#[test]
fn what_a_spreadsheet_did_to_a_recording_is_said() {
    let line = |time: &str, value: &str| format!("time,sensor,value\n{time},tower-1/ph,{value}\n");
    let farm = farm("spreadsheet")
        .with("comma.csv", line("2026-03-01T06:00:00Z", "7,4"))
        .with("seconds.csv", line("1772344800", "7.4"))
        .with("german.csv", "time;sensor;value\n2026-03-01T06:00:00Z;tower-1/ph;7,4\n")
        .with("twice.csv", "time,tower-1/ph,tower-1/ph\n2026-03-01T06:00:00Z,6,7\n2026-03-01T06:01:00Z,6\n");
    for (input, code, says) in [
        (
            "comma.csv",
            1,
            "line 2: 4 cells where the header has 3; a decimal comma? write 7.4, or quote the cell: 2026-",
        ),
        ("comma.csv", 1, "tilth-agent: comma.csv: no readings"),
        ("seconds.csv", 0, "note      read with times in \"time\" in seconds since 1970"),
        ("german.csv", 0, "note      read with semicolons between the cells, decimal commas"),
        (
            "twice.csv",
            0,
            "line 1, column 3: sensor has another column before this one; this one is left out: tower-1/ph",
        ),
        ("twice.csv", 0, "bad       0 lines, 0 cells of other lines, 1 column"),
        ("twice.csv", 0, "beside    0 missing values, 1 bad, 1 short line"),
    ] {
        let ran = replay(&farm, input, &[]);
        assert_eq!(ran.code, Some(code), "{input}: {}", ran.err);
        ran.tells(says);
    }
}

#[test]
fn a_page_replaces_nothing_but_a_page() {
    let farm =
        farm("overwrite").with("day.csv", long()).with("agent.toml", "").with("empty.html", "").with("notes.txt", "x");
    std::os::unix::fs::symlink("day.csv", farm.path("link.html")).expect("a link");
    std::fs::hard_link(farm.path("config.d/tower.toml"), farm.path("tower.html")).expect("a link");
    for (page, says) in [
        ("day.csv", "that is the recording"),
        ("link.html", "that is the recording"),
        ("agent.toml", "that is the configuration's"),
        ("config.d/tower.toml", "that is the configuration's"),
        ("config.d/new.toml", "that is the configuration's"),
        ("tower.html", "that is the configuration's"),
        ("notes.txt", "there is a file already that is no page of a replay"),
        ("config.d", "that is no file"),
    ] {
        let ran = replay(&farm, "day.csv", &["--report", page]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{page}: {}", ran.err);
        ran.tells(&format!("tilth-agent: --report {page}: {says}"));
    }
    let stdin = std::fs::File::open(farm.path("day.csv")).expect("it is there");
    let mut command = farm.command(&["replay", "--config", ".", "--input", "-", "--report", "day.csv"]);
    assert_eq!(command.stdin(stdin).output().expect("the program starts").status.code(), Some(2));
    assert_eq!((farm.read("day.csv"), farm.read("config.d/tower.toml")), (long(), CONFIG.to_owned()));
    for _ in 0..2 {
        assert_eq!(replay(&farm, "day.csv", &["--report", "empty.html"]).code, Some(0));
    }
}

#[test]
fn the_page_has_the_farms_time() {
    let farm =
        farm("zone").with("config.d/zone.toml", "agent.timezone = \"Europe/Amsterdam\"\n").with("day.csv", long());
    assert_eq!(replay(&farm, "day.csv", &["--report", "a.html"]).code, Some(0));
    let page = farm.read("a.html");
    for part in [
        "<p>2026-03-01 07:00:00 to 2026-03-01 08:35:00 <span class=\"quiet\">(1h35m; times of Europe/Amsterdam)",
        "<td class=\"time\">2026-03-01 07:45:00</td>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn missing_values_are_counted() {
    let text = long().replace("06:01:00Z,tower-1/ph,6.2", "06:01:00Z,tower-1/ph,");
    let farm = farm("missing").with("a.csv", text.replace("06:02:00Z,tower-1/ph,6.2", "06:02:00Z,tower-1/ph,NaN"));
    let ran = replay(&farm, "a.csv", &["--digest"]);
    ran.tells("readings  150 of 2 sensors,");
    ran.tells("beside    2 missing values, 0 bad");
    let digest = ran.out.lines().last().expect("a last line");
    assert!(digest.contains(r#""missing":2,"#), "{digest}");
}

#[test]
fn one_stamp_far_ahead_is_not_played_and_pointed_at() {
    let text = long().replace("2026-03-01T06:07:00Z,tower-1/air", "2026-05-01T06:07:00Z,tower-1/air");
    let farm = farm("ahead").with("day.csv", text);
    let ran = replay(&farm, "day.csv", &[]);
    assert_eq!(ran.code, Some(0));
    ran.tells("refused   1 line with a time that cannot be true: not played");
    ran.tells("line 17 is stamped 2026-05-01 06:07:00 UTC: far ahead of the lines before and after it");
    ran.tells("of these  0 late for their sensor, 0 stamped before the clock");
    assert!(!ran.out.is_empty());
}

#[test]
fn a_recording_without_readings_is_a_failure() {
    let farm = farm("no-rows").with("a.csv", "time,sensor,value\n");
    let ran = replay(&farm, "a.csv", &["--report", "a.html"]);
    assert_eq!((ran.out.as_str(), ran.code), ("", Some(1)));
    ran.tells("readings  none");
    ran.tells("tilth-agent: a.csv: no readings");
    assert!(farm.read("a.html").contains("No readings."));
}

#[test]
fn a_gzip_that_breaks_off_is_replayed_so_far() {
    let text = long();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.flush().expect("memory takes it");
    let farm = farm("cut").with("day.csv", text).with("cut.csv.gz", encoder.get_ref());
    let ran = replay(&farm, "cut.csv.gz", &["--json", "--report", "cut.html"]);
    assert_eq!((&ran.out, ran.code), (&transitions(&farm, "day.csv"), Some(1)));
    assert_eq!(summary(&ran)["readings"], 152);
    ran.tells("tilth-agent: cut.csv.gz: cannot be read further, after 153 lines: ");
    assert!(farm.read("cut.html").contains("Not read to its end: cut.csv.gz: cannot be read further, after 153 lines"));
}

#[test]
fn what_cannot_begin_says_why() {
    let farm =
        farm("refused").with("no-header.csv", "a,b\n1,2\n").with("wrong/config.d/a.toml", "[rules.x]\nabov = 1\n");
    for (arguments, code, says) in [
        (&["replay", "--config", "nowhere", "--input", "x.csv"][..], 2, "nowhere: error: cannot be read"),
        (
            &["replay", "--config", "wrong", "--input", "x.csv"],
            2,
            "config.d/a.toml:2:1: error: rules.x.abov: unknown key",
        ),
        (
            &["replay", "--config", ".", "--input", "nowhere.csv"],
            1,
            "tilth-agent: nowhere.csv: cannot be opened: No such file",
        ),
        (
            &["replay", "--config", ".", "--input", "no-header.csv"],
            1,
            "tilth-agent: no-header.csv, line 1: found \"a,b\", expected",
        ),
        (
            &["replay", "--config", ".", "--input", "x.csv", "--report", "no/x.html"],
            1,
            "tilth-agent: no/x.html: cannot be written",
        ),
        (&["replay", "--config", "."], 2, "error: the following required arguments"),
        (&["replay", "--config", ".", "--input", "x", "--restart-every", "0"], 2, "error: invalid value '0'"),
        (&["reply"], 2, "error: unrecognized subcommand 'reply'"),
        (&[], 2, "Usage: tilth-agent <COMMAND>"),
    ] {
        let ran = farm.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{arguments:?}: {}", ran.err);
        ran.tells(says);
    }
}

#[test]
fn the_page_stands_alone_and_escapes_everything() {
    let text = long() + "2026-03-01T07:35:00Z,<script>alert(1)</script>,1\nrubbish & <b>\n";
    let farm = farm("page").with("<day>.csv", text);
    let ran = replay(&farm, "<day>.csv", &["--report", "day.html"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let page = farm.read("day.html");
    for part in [
        "Replay of &#60;day&#62;.csv",
        "<td>acid-out</td><td class=\"number\">1</td>",
        "<td>pH 6.85 in tower-1, limit 6.8</td>",
        "<td class=\"time\">2026-03-01 06:45:00 UTC</td>",
        "<td class=\"time\">still fires</td>",
        "<td>tower-1/ph</td><td>range 1, stale 1</td><td>stale</td>",
        "<td>&#60;script&#62;alert(1)&#60;/script&#62;</td>",
        "rubbish &#38; &#60;b&#62;",
        "</html>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(page.contains("times of UTC"), "{page}");
    for foreign in ["<script", "<b>", "http", "src=", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(farm.files(), ["<day>.csv", "config.d", "day.html"]);
}

/// 2025-01-01T00:00:00Z
const START_MS: i64 = 1_735_689_600_000;

/// A room that is too cold every other minute, for more lines than a pipe holds.
fn flapping() -> String {
    let line =
        |minute: i64| format!("{},tower-1/air,{}\n", START_MS + minute * 60_000, if minute % 2 == 0 { 5 } else { 20 });
    "time,sensor,value\n".to_owned() + &(0..5000).map(line).collect::<String>()
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let farm = farm("closed").with("day.csv", flapping());
    for (more, at) in [(&["--json"][..], "2025-01-01T00:00:00Z"), (&[], "2025-01-01 00:00:00 UTC")] {
        let mut command = farm.command(&[&["replay", "--config", ".", "--input", "day.csv"], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut first).expect("a first line");
        assert!(first.contains(at), "{first}");
        let mut err = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut err).expect("UTF-8");
        assert_eq!((child.wait().expect("it ends").code(), err.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_a_failure() {
    let farm = farm("full").with("day.csv", flapping());
    for arguments in [
        &["replay", "--config", ".", "--input", "day.csv"][..],
        &["check", "--config", "."],
        &["explain", "--config", ".", "rules"],
        &["--help"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let output = farm.command(arguments).stdout(full).output().expect("the program starts");
        let err = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(err.ends_with("tilth-agent: standard output: No space left on device (os error 28)\n"), "{err}");
    }
}

#[test]
fn hidden_options_stay_hidden() {
    let help = farm("help").run(&["replay", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("nothing is run beyond the end of the recording"));
    assert!(help.out.contains("lapsed") && help.out.contains("before its first reading"));
    assert!(!help.out.contains("restart-every") && !help.out.contains("digest"));
}

#[test]
fn repeats_in_a_long_gap_are_counted_and_not_all_printed() {
    let ten_years = "time,sensor,value\n2016-03-01T06:00:00Z,tower-1/air,5\n2026-03-01T06:00:00Z,tower-1/air,5\n";
    let month = "time,sensor,value\n2026-03-01T06:00:00Z,tower-1/air,5\n2026-04-01T06:00:00Z,tower-1/air,5\n";
    let month_and_more = month.replace("04-01T06:00:00Z", "04-01T06:00:01Z");
    let farm = farm("gap").with("years.csv", ten_years).with("month.csv", month).with("more.csv", month_and_more);
    for (input, is_long) in [("years.csv", true), ("month.csv", false), ("more.csv", true)] {
        let ran = replay(&farm, input, &["--json", "--digest"]);
        let again = replay(&farm, input, &["--json", "--digest", "--restart-every", "1"]);
        assert_eq!((ran.code, &ran.out), (Some(0), &again.out), "{input}");
        let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let pages: Vec<&Value> = lines.iter().filter(|line| line["event"] == "notify").collect();
        let left_out: u64 = pages.iter().filter_map(|page| page["repeats"].as_u64()).sum();
        let counted = lines.last().and_then(|digest| digest["notifications"].as_u64());
        assert_eq!(counted, Some(pages.len() as u64 + left_out), "{input}");
        let alert = lines.iter().find(|line| line["rule"] == "too-cold").expect("an alert")["alert"].clone();
        let repeated = |page: &&&Value| page["alert"] == alert && page["cause"] == "repeated";
        let repeated: Vec<&&Value> = pages.iter().filter(repeated).collect();
        assert_eq!(is_long, repeated.len() == 11, "{input}: {}", repeated.len());
        assert_eq!(is_long, left_out > 0, "{input}");
        if is_long {
            let last = repeated[10]["repeats"].as_u64().expect("a number");
            let page = |page: &Value| page["page"].as_str().and_then(|page| page.rsplit('.').next()?.parse().ok());
            let (before, after): (Option<u64>, Option<u64>) = (page(repeated[9]), page(repeated[10]));
            assert_eq!(before.map(|before| before + last + 1), after, "{input}");
            let people = replay(&farm, input, &[]);
            assert!(
                people.out.contains(&format!(": repeated) ({last} repeats before it left out)\n")),
                "{}",
                people.out
            );
        }
    }
}

#[test]
fn what_was_held_back_of_an_alert_is_printed_before_its_end() {
    let night = "[schedules.night]\nfrom = \"22:00\"\nto = \"06:00\"\n[rules.too-cold]\nduring = \"night\"\n\
                 [escalation.shift]\ncritical.wait = \"15m\"\nurgent.wait = \"15m\"\n";
    let rows = "time,sensor,value\n2026-03-01T23:00:00Z,tower-1/air,5\n2026-05-01T12:00:00Z,tower-1/air,5\n";
    let farm = farm("nights").with("config.d/zz.toml", night).with("a.csv", rows);
    let ran = replay(&farm, "a.csv", &["--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let of_first: Vec<&Value> = lines.iter().filter(|line| line["rule"] == "too-cold" && line["alert"] == 1).collect();
    let [.., held, end] = of_first[..] else { panic!("{}", ran.out) };
    assert_eq!((&held["event"], &end["event"]), (&json!("notify"), &json!("resolved")));
    assert!(held["repeats"].as_u64() > Some(0), "{held}");
    let repeated = of_first.iter().filter(|line| line["cause"] == "repeated").count();
    assert_eq!(repeated, 11);
}
