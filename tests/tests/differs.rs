//! Two sensors held against each other: real pairs that agree until something happens at one of them, and a live line.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;
use jiff::tz::TimeZone;
use tilth_tests::agent::{self, Farm, NEW_YEAR_MS, program};
use tilth_tests::greenhouse::convert;
use tilth_tests::live::farm::Farm as Live;
use tilth_tests::live::tail::Tail;

/// Two motes in one room; limits at which the published event is the only disagreement.
const ROOM: &str = "
    [sensors.'room/temperature']
    quantity = 'temperature'
    max_rate = 1e6
    [sensors.'room/temperature-b']
    quantity = 'temperature'
    max_rate = 1e6
    [sensors.'room/humidity']
    quantity = 'humidity'
    max_rate = 1e6
    [sensors.'room/humidity-b']
    quantity = 'humidity'
    max_rate = 1e6
    [rules.warmer]
    sensor = '*/temperature'
    differs_from = '*/temperature-b'
    by = 2
    cooldown = '0s'
    [rules.damper]
    sensor = '*/humidity'
    differs_from = '*/humidity-b'
    by = 6
    cooldown = '0s'
    ";

fn unpacked(file: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// The indoor pair as rows, five seconds apart; both motes of a reading at one instant, in an order that changes.
fn motes(recording: &str) -> (String, usize) {
    let mut rows: BTreeMap<i64, Vec<(String, &str)>> = BTreeMap::new();
    let mut events = 0;
    for line in recording.lines().skip(1) {
        let [reading, mote, _, humidity, temperature, event] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let suffix = match mote {
            "1" => "",
            "2" => "-b",
            _ => continue,
        };
        events += usize::from(event == "1");
        let row = rows.entry(reading.parse().unwrap()).or_default();
        row.push((format!("room/temperature{suffix}"), temperature));
        row.push((format!("room/humidity{suffix}"), humidity));
    }
    let mut csv = "time,sensor,value\n".to_owned();
    for (reading, mut row) in rows {
        if reading % 2 == 0 {
            row.reverse();
        }
        for (sensor, value) in row {
            writeln!(csv, "{},{sensor},{value}", NEW_YEAR_MS + reading * 5000).unwrap();
        }
    }
    (csv, events)
}

#[test]
fn two_motes_differ_only_while_something_happens_at_one_of_them() {
    let Some(file) = tilth_tests::data("motes/single-hop.csv.gz", "differs, motes", 1) else { return };
    let (csv, events) = motes(&unpacked(&file));
    assert_eq!(events, 117);
    let farm = Farm::new("differs-motes", ROOM);
    let reading = |at: &str| (at.parse::<jiff::Timestamp>().unwrap().as_millisecond() - NEW_YEAR_MS) / 5000;
    let transitions = farm.transitions(&csv);
    let of = |event: &str| transitions.iter().filter(|one| one.event == event).collect::<Vec<_>>();
    for rule in ["warmer", "damper"] {
        assert!(of("firing").iter().any(|one| one.rule.as_deref() == Some(rule)), "{rule}");
    }
    for one in transitions.iter().filter(|one| one.rule.is_some()) {
        let at = reading(one.at.as_deref().unwrap());
        assert!((2344..=2461).contains(&at), "{one:?} at reading {at}");
    }
    assert_eq!(of("firing").len(), of("resolved").len());
    let same = farm.replay_each_way(&csv, &[&[], &["--restart-every", "1"], &["--restart-every", "7"]]);
    assert!(same.contains("warmer"), "{same}");
}

/// The two sensors hang in one compartment and differ by up to 8 C for a moment; a drift lasts.
#[test]
fn a_healthy_pair_in_a_greenhouse_stays_quiet_for_a_month() {
    let set = "greenhouse/dual-pair-one-month-every-5-minutes.csv.gz";
    let Some(file) = tilth_tests::data(set, "differs, greenhouse", 1) else { return };
    let month = convert(&unpacked(&file), "kas-4", &TimeZone::get("Europe/Amsterdam").unwrap());
    let of =
        |quantity| month.series.iter().filter(move |series| series.quantity == Some(quantity)).map(|series| &series.id);
    let (one, other) = (of("temperature").next().unwrap(), of("temperature").nth(1).unwrap());
    let rule = |by: f64, lasts: &str| {
        let rule = format!("[rules.drift]\nsensor = '{one}'\ndiffers_from = '{other}'\nby = {by}\nfor = '{lasts}'\n");
        let farm = Farm::new("differs-greenhouse", &format!("{}{rule}", month.sensors("5m")));
        let transitions = farm.transitions(&month.csv);
        transitions.iter().filter(|one| one.event == "firing" && one.rule.as_deref() == Some("drift")).count()
    };
    assert_eq!(rule(2.0, "3h"), 0, "a drift");
    assert!(rule(5.0, "0s") > 0, "they do differ for a moment");
}

/// Both values of a line change at once, and what one is beside the old one of the other was never the case.
#[test]
fn the_values_of_a_line_are_compared_together() {
    let config = "
        [sensors.'room/a']
        quantity = 'count'
        input = 'line:gateway/a'
        max_rate = 1e6
        [sensors.'room/b']
        quantity = 'count'
        input = 'line:gateway/b'
        max_rate = 1e6
        [rules.apart]
        sensor = 'room/a'
        differs_from = 'room/b'
        by = 2
        ";
    let mut farm = Live::alone("differs-live", config);
    farm.clock = "system";
    let recording = farm.folder.path().join("recording");
    farm.options = ["--record", recording.to_str().unwrap()].map(str::to_owned).to_vec();
    farm.start();
    let tail = Tail::of(&mut farm, "tail");
    for round in 0..100 {
        let value = f64::from(round % 7) * 10.0;
        let line = if round % 2 == 0 { format!("a={value} b={value}\n") } else { format!("b={value} a={value}\n") };
        farm.say(line);
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    farm.say("a=20 b=23\n");
    farm.until("it fires", |_| tail.text().contains("\"firing\""));
    farm.say("a=20 b=21\n");
    farm.until("it is over", |_| tail.text().contains("\"resolved\""));
    farm.stop();
    let said = tail.transitions();
    let of = |event: &str| said.iter().filter(|line| line.contains(&format!("\"event\":\"{event}\""))).count();
    assert_eq!((of("firing"), of("resolved")), (1, 1), "{said:#?}");
    let usual = "\"message\":\"room/a 20 differs from room/b 23, limit 2\"";
    assert!(
        said[0].contains("\"value\":20,") && said[0].contains("\"limit\":2,") && said[0].contains(usual),
        "{}",
        said[0]
    );
    assert!(said.iter().any(|line| line.contains("room/a 20 agrees again with room/b 21, limit 2")), "{said:#?}");
    let mut call = Command::new(program());
    call.args(["replay", "--json", "--input"]).arg(&recording);
    let replayed = agent::run(call, &[]);
    assert_eq!(replayed.out.lines().collect::<Vec<_>>(), said, "{}", replayed.err);
}
