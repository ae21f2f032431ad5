//! A serial line with everything that can be wrong with one: counted, named in `status`, with no restart and in bounded
//! memory, and what comes after it is decided.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};
use tilth_tests::live::board::Board;
use tilth_tests::live::farm::Farm;

/// 2026-03-01T00:00:00Z.
const BEGIN_MS: i64 = 1_772_323_200_000;

const FARM: &str = "
[sensors.'room/temp']
quantity = 'temperature'
input = 'line:gateway/temp'
stamp = 'source'
max_rate = 1000
[rules.sensor-silent]
enabled = false
[rules.temperature-high]
enabled = false
[rules.hot]
sensor = 'room/temp'
above = 30
severity = 'warning'
message = 'hot {value}'
";

/// Most that memory may grow by for any input: less than a tenth of what is sent, more than an allocator's play.
const PLAY: u64 = 4 << 20;

fn bus(farm: &Farm) -> Value {
    farm.status().map(|status| status["buses"][0].clone()).unwrap_or_default()
}

fn reading(second: i64, temp: f64) -> String {
    format!("time={} temp={temp}\n", BEGIN_MS + second * 1000)
}

#[track_caller]
fn until_temp(farm: &mut Farm, temp: f64) {
    farm.until("the reading is decided", |farm| {
        let rows = farm.ask(&["sensors", "--json"]).out;
        let row = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        row.into_iter().any(|row| row["sensor"] == "room/temp" && row["value"].as_f64() == Some(temp))
    });
}

/// A farm that has read the end of a line with which it begins.
fn started(name: &str) -> Farm {
    let mut farm = Farm::alone(name, FARM);
    farm.start();
    farm.until("it reads", |farm| bus(farm)["bytes"] == 1);
    farm
}

/// Says bytes, and waits until all of them were read.
#[track_caller]
fn say(farm: &mut Farm, bytes: &[u8]) {
    let before = bus(farm)["bytes"].as_u64().unwrap();
    farm.say(bytes);
    farm.until("all is read", |farm| bus(farm)["bytes"].as_u64() == Some(before + bytes.len() as u64));
}

#[test]
fn what_is_no_line_of_readings_is_counted_by_its_reason_and_the_rest_is_used() {
    let mut farm = started("noise");
    say(&mut farm, reading(0, 20.0).as_bytes());
    let cases: [(&[u8], &str, u64); 14] = [
        (b"\0\0\0\0\n", "not_text", 1),
        (b"temp=2\x001\n", "not_text", 1),
        (b"temp=\xff\xfe21\n\xc3\n", "not_text", 2),
        (b"\x07\x1b\x02\n", "not_text", 1),
        (b"hello world\n\x1b[2J\x1b[31mready\x1b[0m\n", "unknown", 2),
        (b"{\"temp\":\n{\"temp\":21}}\n", "not_json", 2),
        (b"1,2,3\n", "no_header", 1),
        (b"temp=0x10\n", "not_a_number", 1),
        (b"temp=1,5\n", "not_a_number", 1),
        (b"temp=twenty\n", "not_a_number", 1),
        (b"time=yesterday temp=20\n", "bad_time", 1),
        (b"\r\r\r\n\n\n", "", 0),
        (b"some=1 other=2\n", "", 0),
        (b"emp=3\remp=4\r", "", 0),
    ];
    let mut expected = std::collections::BTreeMap::<String, u64>::new();
    for (bytes, reason, count) in cases {
        say(&mut farm, bytes);
        if count > 0 {
            *expected.entry(reason.to_owned()).or_default() += count;
            assert_eq!(bus(&farm)["last_ignored"]["reason"], reason, "{}", bytes.escape_ascii());
        }
        assert_eq!(bus(&farm)["ignored"], json!(expected), "{}", bytes.escape_ascii());
    }
    assert_eq!(bus(&farm)["unclaimed"], json!(["emp", "other", "some"]));
    let people = farm.shown();
    for words in [
        "5 not text",
        "2 not understood",
        "2 broken JSON",
        "1 columns without a header",
        "3 a wanted field is no number",
        "1 its time cannot be read",
        "last not used (its time cannot be read): time=yesterday temp=20",
        "names that no sensor wants: emp, other, some",
        "usb-board",
    ] {
        assert!(people.contains(words), "{words}\n{people}");
    }
    assert!(!people.contains(|c: char| c.is_control() && c != '\n'), "{people:?}");

    // Numbers that are none are missing values; colours and a lone CR are how some boards print.
    let missing = |farm: &Farm| farm.status().and_then(|status| status["readings"]["missing"].as_u64());
    say(&mut farm, b"temp=1e999\ntemp=nan\ntemp=-inf\n{\"temp\":nan}\n");
    farm.until("they are missing values", |farm| missing(farm) == Some(4));
    say(&mut farm, format!("\x1b[32m{}\x1b[0m\r", reading(10, 21.5).trim()).as_bytes());
    until_temp(&mut farm, 21.5);
    assert_eq!(bus(&farm)["ignored"], json!(expected));
    assert_eq!(bus(&farm)["failures"], 0);
}

#[test]
fn forty_megabytes_of_noise_at_full_speed_cost_no_memory_and_no_restart() {
    let mut farm = started("flood");
    let process = farm.process();
    let mut second = 0;
    let mut readings = |farm: &mut Farm, count: i64| {
        let mut lines = String::new();
        for _ in 0..count {
            second += 10;
            lines.push_str(&reading(second, 20.0));
        }
        say(farm, lines.as_bytes());
    };
    let long = [b"temp=", vec![b'9'; 100_000].as_slice(), b"\n"].concat();
    let zeros = vec![0; 100_000];
    // Broken UTF-8 in lines of a hundred bytes.
    let broken = [vec![0xf0; 99], vec![b'\n']].concat().repeat(1000);
    let mut round = |farm: &mut Farm, round: usize| {
        say(farm, &long.repeat(20));
        // No end of a line at all, until one comes.
        (0..20).for_each(|_| say(farm, &zeros));
        say(farm, b"\n");
        say(farm, &broken.repeat(10));
        let mut names = String::new();
        for name in 0..10_000 {
            writeln!(names, "field-{round}-{name}={name}").unwrap();
        }
        say(farm, names.as_bytes());
        readings(farm, 1000);
    };
    round(&mut farm, 0);
    let before = farm.memory();
    for number in 1..8 {
        round(&mut farm, number);
    }
    let (after, now) = (farm.memory(), bus(&farm));
    assert!(now["bytes"].as_u64().unwrap() > 40_000_000, "{now:#}");
    assert!(after < before + PLAY, "{before} bytes before, {after} after");
    assert_eq!(now["ignored"], json!({ "too_long": 8 * 21, "not_text": 8 * 10_000 }));
    assert_eq!(now["messages"], 8 * (21 + 10_000 + 10_000 + 1000));
    assert_eq!(now["used"], 8 * 1000);
    assert_eq!(now["unclaimed"].as_array().unwrap().len(), 16, "enough to find a slip of the keyboard");
    assert_eq!((&now["opened"], &now["failures"]), (&1.into(), &0.into()));
    say(&mut farm, reading(1_000_000, 31.5).as_bytes());
    farm.until("people are told", |farm| farm.log().contains(": Warning: hot 31.50"));
    let decided = farm.status().unwrap()["readings"]["decided"].clone();
    assert!(decided.as_u64() > Some(8000), "{decided}");
    assert_eq!(farm.process(), process);
    assert!(farm.log().lines().count() < 20, "it says too much:\n{}", farm.log());
}

/// With anything else in place of the port, the line is found again without a restart once it is a port.
#[test]
fn a_port_that_is_something_else_vanishes_and_returns_as_another_is_named_and_read_again() {
    let mut farm = Farm::alone("port", FARM);
    let link: PathBuf = farm.folder.path().join("usb-board");
    farm.pull_out();
    fs::write(&link, "no port").unwrap();
    farm.launch();
    let until_down = |farm: &mut Farm, why: &str| {
        farm.until(why, |farm| bus(farm)["reason"].as_str().is_some_and(|reason| reason.contains(why)));
        assert_eq!(bus(farm)["state"], "down");
        let people = farm.shown();
        assert!(people.contains("bus gateway") && people.contains(why) && people.contains("usb-board"), "{people}");
    };
    until_down(&mut farm, "it is a file and no serial port");
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    until_down(&mut farm, "it is a folder and no serial port");
    fs::remove_dir(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    until_down(&mut farm, "there is no such port; is the adapter plugged in?");
    fs::remove_file(&link).unwrap();
    symlink("/dev/null", &link).unwrap();
    until_down(&mut farm, "it is no serial port");
    fs::remove_file(&link).unwrap();
    farm.plug_in();
    farm.until("it is up", |farm| bus(farm)["state"] == "up");
    // A program that opens a line may hear the end of one first.
    farm.say("p=99\n");
    farm.say(reading(0, 20.0));
    until_temp(&mut farm, 20.0);
    assert_eq!(bus(&farm)["ignored"], json!({ "partial": 1 }));
    assert!(farm.shown().contains("1 half a line after opening"), "{}", farm.shown());

    // Pulled out in the middle of a line, and back under another number.
    farm.say("time=1 te");
    farm.pull_out();
    until_down(&mut farm, "usb-board");
    let taken = Board::plug_in(&farm.folder.path().join("other-board"));
    farm.plug_in();
    farm.until("it is up", |farm| bus(farm)["state"] == "up");
    farm.say(format!("mp=7\n{}", reading(10, 21.0)));
    until_temp(&mut farm, 21.0);
    assert_eq!((&bus(&farm)["ignored"], &bus(&farm)["opened"]), (&json!({ "partial": 2 }), &2.into()));

    // The link leads elsewhere, and the old line says nothing and does not end.
    fs::remove_file(&link).unwrap();
    fs::rename(farm.folder.path().join("other-board"), &link).unwrap();
    let _silent = farm.board.replace(taken);
    farm.until("the other one is read", |farm| bus(farm)["opened"] == 3 && bus(farm)["state"] == "up");
    farm.say(format!("\n{}", reading(20, 22.0)));
    until_temp(&mut farm, 22.0);
    assert_eq!(bus(&farm)["failures"], 0);
}
