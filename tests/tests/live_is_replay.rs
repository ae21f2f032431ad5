//! What runs the farm is what replays it: a month of a real greenhouse over a serial line gives the transitions that a replay
//! of the same rows gives, and so does what `run --record` wrote, through people, a new configuration and restarts.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;
use jiff::tz::TimeZone;
use serde_json::Value;
use tilth_tests::agent::{Folder, program};
use tilth_tests::greenhouse::{Recording, convert};
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::Hub;
use tilth_tests::live::tail::Tail;

const DUAL_PAIR: &str = "greenhouse/dual-pair-one-month-every-5-minutes.csv.gz";

/// Met often in this greenhouse, and their holds end between readings.
const NARROWER: &str = "
    [rules.humidity-low]
    below = 60
    clear = 65
    for = '12m'
    [rules.temperature-high]
    above = 26
    clear = 25
    for = '7m'
    [rules.falling-fast]
    sensor = 'kas-4/*temperature*'
    rate_below = -0.15
    for = '5m'
    severity = 'critical'
    ";

fn month() -> Option<Recording> {
    let file = tilth_tests::data(DUAL_PAIR, "greenhouse, live", 1)?;
    let mut export = String::new();
    GzDecoder::new(File::open(file).unwrap()).read_to_string(&mut export).unwrap();
    Some(convert(&export, "kas-4", &TimeZone::get("Europe/Amsterdam").unwrap()))
}

/// The summary and the transitions of a replay.
fn replay(arguments: &[&str], input: &Path) -> (Value, String) {
    let output = Command::new(program()).args(["replay", "--json"]).args(arguments).arg("--input").arg(input).output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let summary = said.lines().rfind(|line| line.starts_with('{')).and_then(|line| serde_json::from_str(line).ok());
    (summary.unwrap_or_default(), String::from_utf8(output.stdout).unwrap())
}

#[track_caller]
fn same(live: &[String], replayed: &str) {
    for (line, (live, replayed)) in live.iter().zip(replayed.lines()).enumerate() {
        assert_eq!(live, replayed, "transition {}", line + 1);
    }
    assert_eq!(live.len(), replayed.lines().count());
}

#[test]
fn a_month_over_a_serial_line_gives_what_a_replay_of_it_gives() {
    let Some(month) = month() else { return };
    let mut farm = Farm::alone("live-greenhouse", &month.sensors("5m"));
    let mut inputs = String::from(NARROWER);
    for series in month.series.iter().filter(|series| series.quantity.is_some()) {
        writeln!(inputs, "[sensors.'{0}']\ninput = 'line:gateway/{0}'\nstamp = 'source'", series.id).unwrap();
    }
    farm.folder.write("etc/config.d/inputs.toml", inputs);
    farm.start();
    let tail = Tail::of(&mut farm, "tail");
    let lines: Vec<&str> = month.csv.lines().collect();
    let (header, rows) = lines.split_first().unwrap();
    farm.say(format!("{header}\n"));
    for stride in rows.chunks(50) {
        farm.say(stride.join("\n") + "\n");
        let last = stride.last().unwrap().split(',').next().unwrap();
        // The client that watches does not fall behind.
        farm.until("the rows are decided", |farm| farm.ask(&["sensors", "--json"]).out.contains(last));
    }
    let csv = farm.folder.write("month.csv", &month.csv);
    let etc = farm.folder.path().join("etc");
    let (_, replayed) = replay(&["--config", etc.to_str().unwrap()], &csv);
    let expected = replayed.lines().count();
    farm.until("everything is seen", |_| tail.transitions().len() >= expected);
    same(&tail.transitions(), &replayed);
    assert!(expected > 500, "{expected}");
    let readings = farm.status().unwrap()["readings"].clone();
    assert_eq!(readings["dropped"], 0, "{readings}");
}

const BEGIN_MS: i64 = 1_772_323_200_000;

fn room(limit: u32) -> String {
    format!(
        "
        [sensors.'room/temp']
        quantity = 'temperature'
        input = 'line:gateway/temp'
        stamp = 'source'
        interval = '10s'
        max_rate = 100
        [sensors.'room/hum']
        quantity = 'humidity'
        input = 'line:gateway/hum'
        stamp = 'source'
        interval = '10s'
        max_rate = 100
        [rules.hot]
        sensor = 'room/temp'
        above = {limit}
        for = '2m'
        severity = 'warning'
        [rules.damp]
        sensor = 'room/hum'
        above = 80
        for = '1m'
        cooldown = '5m'
        "
    )
}

/// A room whose time is that of its readings.
struct Story {
    farm: Farm,
    now_ms: i64,
}

impl Story {
    /// Readings of so many minutes; waits until the last is decided.
    fn minutes(&mut self, minutes: i64, temp: f64, hum: f64) {
        let mut lines = String::new();
        for _ in 0..minutes * 6 {
            self.now_ms += 10_000;
            writeln!(lines, "time={} temp={temp} hum={hum}", self.now_ms).unwrap();
        }
        self.farm.say(lines);
        self.farm.until_decided(&["room/temp", "room/hum"], self.now_ms);
    }

    fn call(&self, arguments: &[&str]) {
        let run = self.farm.ask(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.err);
    }

    /// Waits until everything that was decided so far is in the recording and was seen.
    fn settle(&mut self, tail: &Tail, begins: usize) {
        let recording = self.farm.folder.path().join("recording");
        let stamp = format!("\"stamp\":{}", self.now_ms);
        self.farm.until("the recording has it", |_| {
            let recorded = fs::read_to_string(&recording).unwrap();
            recorded.contains(&stamp) && recorded.matches("{\"begin\":").count() == begins
        });
        let mut before = usize::MAX;
        self.farm.until("it is seen", |farm| {
            // The answer comes after what was decided before it, and so does the next.
            assert!(farm.status().is_some());
            let now = tail.text().len();
            std::mem::replace(&mut before, now) == now
        });
    }

    fn number_of(&self, rule: &str) -> String {
        let alerts = self.farm.ask(&["alerts", "--json"]).out;
        let rows = alerts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut numbers = rows.filter(|row| row["rule"] == rule).map(|row| row["alert"].to_string());
        numbers.next().unwrap_or_else(|| panic!("{rule} is not raised: {alerts}"))
    }
}

#[test]
fn a_recording_gives_what_happened_through_people_a_new_configuration_and_restarts() {
    let folder = Folder::new("record-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let mut farm = Farm::of_hub("record", &room(30), &hub);
    let recording = farm.folder.path().join("recording");
    farm.options = ["--record", recording.to_str().unwrap()].map(str::to_owned).to_vec();
    farm.start();
    let mut story = Story { farm, now_ms: BEGIN_MS };

    // An alert fires, is acknowledged, and pages again when its acknowledgement runs out.
    let first = Tail::of(&mut story.farm, "tail-1");
    story.minutes(5, 21.0, 60.0);
    story.minutes(8, 31.5, 60.0);
    story.call(&["ack", &story.number_of("hot"), "--for", "20m", "--by", "robin"]);
    story.minutes(15, 32.0, 60.0);
    story.call(&["silence", "--rule", "damp", "--for", "10m", "--by", "kim"]);
    story.minutes(12, 32.0, 85.0);
    // The hub's configuration has another limit.
    hub.configure(&story.farm.folder.write("put.toml", room(50)));
    story.farm.until("the bundle", |_| hub.said_of_bundle()["outcome"] == "applied");
    story.minutes(5, 32.0, 85.0);
    story.settle(&first, 1);
    story.farm.stop();

    // Started again while one alert is open and another acknowledged.
    story.farm.start();
    let second = Tail::of(&mut story.farm, "tail-2");
    story.minutes(3, 52.0, 85.0);
    story.call(&["ack", &story.number_of("damp"), "--for", "5m", "--by", "robin"]);
    story.minutes(1, 52.0, 85.0);
    story.settle(&second, 2);
    story.farm.kill();

    // Killed while it was acknowledged; that runs out.
    story.farm.start();
    let third = Tail::of(&mut story.farm, "tail-3");
    story.minutes(10, 52.0, 85.0);
    story.minutes(10, 21.0, 60.0);
    story.settle(&third, 3);
    story.farm.stop();

    let live = [first.transitions(), second.transitions(), third.transitions()].concat();
    let (summary, replayed) = replay(&[], &recording);
    same(&live, &replayed);
    for what in ["firing", "escalated", "acknowledged", "resolved", "notify"] {
        let event = format!("\"event\":\"{what}\"");
        assert!(live.iter().any(|line| line.contains(&event)), "no {what} in {live:#?}");
    }
    assert!(live.iter().any(|line| line.contains("\"limit\":50")), "the new limit was in force: {live:#?}");
    assert_eq!((summary["starts"].as_u64(), summary["bad_lines"].as_u64()), (Some(3), Some(0)), "{summary}");
    let recorded = fs::read_to_string(&recording).unwrap();
    assert!(!recorded.contains(&hub.device_key), "a secret is in the recording");

    // Half a line, as a kill leaves it, costs that line and no more.
    let torn = story.farm.folder.write("torn", recorded.replacen('\n', "\n{\"at\":17723232\n", 1));
    let (summary, again) = replay(&[], &torn);
    assert_eq!((summary["bad_lines"].as_u64(), again == replayed), (Some(1), true), "{summary}");
}
