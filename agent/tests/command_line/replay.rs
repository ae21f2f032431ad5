//! `replay`.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;

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
    assert_eq!(json.err, include_str!("golden/replay.summary.txt"));
    assert_eq!(json.code, Some(0));
    let text = replay(&farm, "day.csv", &[]);
    assert_eq!(text.out, include_str!("golden/replay.txt"));
    assert_eq!((text.err, text.code), (json.err, json.code));
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
    let ran = replay(&farm, "bad.csv", &["--json"]);
    assert_eq!((&ran.out, ran.code), (&transitions(&farm, "day.csv"), Some(0)));
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
    let ran = replay(&farm, "late.csv", &["--json"]);
    assert_eq!((&ran.out, ran.code), (&transitions(&farm, "day.csv"), Some(0)));
    ran.tells("readings  155 of 2 sensors");
    ran.tells("of these  2 late for their sensor, 2 stamped before the clock, 2 not believed");
}

#[test]
fn an_earlier_stamp_of_another_sensor_is_behind_and_not_late() {
    let farm = farm("behind").with("a.csv", "time,sensor,value\n100000,tower-1/ph,6\n40000,tower-1/air,20\n");
    let ran = replay(&farm, "a.csv", &[]);
    ran.tells("readings  2 of 2 sensors, 1970-01-01T00:00:40Z to 1970-01-01T00:01:40Z (1m)");
    ran.tells("of these  0 late for their sensor, 1 stamped before the clock");
}

#[test]
fn names_that_do_not_meet_are_listed() {
    let strange: String = (0..25).map(|at| format!("{},pond-{at},1\n", stamp(96))).collect();
    let config =
        format!("{CONFIG}\n[sensors.\"tower-2/air\"]\nquantity = \"temperature\"\ninput = \"line:gateway/b\"\n");
    let farm = Farm::empty("names").with("config.d/tower.toml", config).with("day.csv", long() + &strange);
    let ran = replay(&farm, "day.csv", &["--json"]);
    assert_eq!(ran.code, Some(0));
    ran.tells("unknown   25 readings of 25 sensors that the configuration does not name: pond-0, pond-1, pond-2");
    assert!(ran.err.contains("pond-19 and 5 more\n") && !ran.err.contains("pond-20"));
    ran.tells("absent    1 sensor of the configuration without readings: tower-2/air");
}

#[test]
fn missing_values_are_counted() {
    let farm = farm("missing").with("a.csv", "time,sensor,value\n1,tower-1/ph,\n2,tower-1/ph,NaN\n3,tower-1/ph,6\n");
    let ran = replay(&farm, "a.csv", &["--digest"]);
    ran.tells("readings  1 of 1 sensor,");
    ran.tells("beside    2 missing values, 0 bad");
    assert_eq!(ran.objects().pop().map(|digest| digest["missing"].clone()), Some(2.into()));
}

#[test]
fn one_stamp_far_ahead_is_pointed_at() {
    let text = long().replace("2026-03-01T06:07:00Z,tower-1/air", "2026-05-01T06:07:00Z,tower-1/air");
    let farm = farm("ahead").with("day.csv", text);
    let ran = replay(&farm, "day.csv", &[]);
    assert_eq!(ran.code, Some(0));
    ran.tells(
        "hint      line 17 is stamped 2026-05-01T06:07:00Z, and 136 of 152 readings come after it with earlier stamps",
    );
    assert!(!replay(&farm, "day.csv", &[]).out.is_empty());
}

#[test]
fn a_recording_without_rows_is_no_failure() {
    let farm = farm("no-rows").with("a.csv", "time,sensor,value\n");
    let ran = replay(&farm, "a.csv", &["--report", "a.html"]);
    assert_eq!((ran.out.as_str(), ran.code), ("", Some(0)));
    ran.tells("readings  none");
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
    ran.tells("readings  152 of 2 sensors");
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
    let farm = farm("page").with("<day>.csv", text).with("day.html", "an older page");
    let ran = replay(&farm, "<day>.csv", &["--report", "day.html"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let page = farm.read("day.html");
    for part in [
        "Replay of &#60;day&#62;.csv",
        "<td>acid-out</td><td class=\"number\">1</td>",
        "<td>pH 6.85 in tower-1, limit 6.8</td>",
        "<td class=\"time\">2026-03-01T06:45:00Z</td>",
        "<td class=\"time\">still fires</td>",
        "<td>tower-1/ph</td><td>range 1, stale 1</td><td>stale</td>",
        "<td>&#60;script&#62;alert(1)&#60;/script&#62;</td>",
        "rubbish &#38; &#60;b&#62;",
        "</html>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    for foreign in ["<script", "<b>", "http", "src=", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(farm.files(), ["<day>.csv", "config.d", "day.html"]);
}

/// A room that is too cold every other minute, for more lines than a pipe holds.
fn flapping() -> String {
    let line = |minute: i64| format!("{},tower-1/air,{}\n", minute * 60_000, if minute % 2 == 0 { 5 } else { 20 });
    "time,sensor,value\n".to_owned() + &(0..5000).map(line).collect::<String>()
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let farm = farm("closed").with("day.csv", flapping());
    for more in [&["--json"][..], &[]] {
        let mut command = farm.command(&[&["replay", "--config", ".", "--input", "day.csv"], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut first).expect("a first line");
        assert!(first.contains("1970-01-01T00:00:00Z"));
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
    assert!(!help.out.contains("restart-every") && !help.out.contains("digest"));
}
