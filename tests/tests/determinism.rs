//! The same input gives the same bytes: from run to run, however the input arrives, and across restarts at any reading.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tilth_tests::agent::{Farm, Transition};
use tilth_tests::random::Random;

/// What the recordings follow from; printed, so that another one that fails can be had again.
const SEED: u64 = 20_261_120;

/// Every kind of rule, and everything that sets a deadline.
const FARM: &str = r#"
agent.timezone = "Europe/Amsterdam"
schedules.night = { from = "22:00", to = "05:30" }
escalation.quick = { warning = { wait = "7m", channels = ["log"] }, critical = { wait = "3m", channels = ["log"] } }

[sensors."room/temperature"]
quantity = "temperature"
interval = "10m"
max_rate = 2
[sensors."room/humidity"]
quantity = "humidity"
stuck_for = "4h"
stale_after = "1h"
[sensors."tank/ph"]
quantity = "ph"
interval = "10m"
calibration = { points = [[0, 0.1], [7, 7.0], [14, 13.8]] }
[sensors."tank/ec"]
quantity = "ec"
[sensors."room/co2"]
quantity = "co2"
max_rate = 400
[sensors."room/light"]
quantity = "light"
interval = "10m"

[rules]
hot = { sensor = "room/temperature", above = 24, clear = 23.5, for = "25m", keep_firing_for = "15m", severity = "critical" }
cold-by-night = { sensor = "room/temperature", below = 21, clear = 21.2, for = "12m", during = "night" }
ph-off = { sensor = "tank/ph", outside = [5.7, 6.3], clear = [5.8, 6.2], cooldown = "2h", escalation = "quick" }
ec-between = { sensor = "tank/ec", above = 1.9, below = 2.1, for = "15m" }
rises = { quantity = "co2", rate_above = 8, clear = 3, keep_firing_for = "11m" }
falls = { quantity = "co2", rate_below = -8, clear = -3, for = "3m" }
silent = { sensor = "*/*", missing_for = "45m", escalation = "quick" }
unmoved = { sensor = "room/humidity", stuck_for = "2h" }
"#;

/// The sensors, each with its middle and how far it swings.
const SENSORS: [(&str, f64, f64); 6] = [
    ("room/temperature", 22.5, 2.5),
    ("room/humidity", 60.0, 12.0),
    ("tank/ph", 6.0, 0.4),
    ("tank/ec", 2.0, 0.3),
    ("room/co2", 800.0, 350.0),
    ("room/light", 20_000.0, 20_000.0),
];

const DAYS: i64 = 30;
const STEP_MS: i64 = 600_000;

/// A month with gaps, spikes, readings that come late, come twice, share a stamp, do not move, or are not there.
fn month(random: &mut Random) -> String {
    let mut rows: Vec<(i64, i64, String)> = Vec::new();
    let mut silent_until = [0; SENSORS.len()];
    let mut still_until = [0; SENSORS.len()];
    let start_ms = 1_793_000_000_000;
    for step in 0..DAYS * 144 {
        for (place, (sensor, middle, swing)) in SENSORS.iter().enumerate() {
            let at = start_ms + step * STEP_MS + random.below(60_000) as i64;
            if random.one_in(700) {
                silent_until[place] = at + random.below(12 * 3_600_000) as i64;
            }
            if random.one_in(500) {
                still_until[place] = at + random.below(8 * 3_600_000) as i64;
            }
            if at < silent_until[place] {
                continue;
            }
            let turn = (at % 86_400_000) as f64 / 86_400_000.0 * std::f64::consts::TAU;
            let moving = middle + swing * (0.8 * turn.sin() + 0.3 * random.around_zero());
            let value = match random.below(400) {
                0 => moving * 100.0,
                1..4 => moving + 2.0 * swing,
                4..6 => f64::NAN,
                _ if at < still_until[place] => *middle,
                _ => moving,
            };
            let arrives = if random.one_in(50) { at + random.below(3 * 3_600_000) as i64 } else { at };
            rows.push((arrives, at, format!("{sensor},{value:.3}")));
            if random.one_in(60) {
                rows.push((arrives, at, format!("{sensor},{:.3}", value + 0.1 * swing)));
            }
            if random.one_in(60) {
                rows.push((arrives + 5000, at, format!("{sensor},{value:.3}")));
            }
        }
    }
    rows.sort_by_key(|(arrives, ..)| *arrives);
    let mut recording = "time,sensor,value\n".to_owned();
    for (_, at, rest) in rows {
        writeln!(recording, "{at},{rest}").unwrap();
    }
    recording
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    println!("seed {SEED}");
    let recording = month(&mut Random::new(SEED));
    let farm = Farm::new("determinism", FARM);
    let restarts = ["1", "7", "1000"].map(|every| ["--restart-every", every]);
    let [one, seven, thousand] = &restarts;
    let said = farm.replay_each_way(&recording, &[&[], &[], &one[..], &seven[..], &thousand[..]]);
    assert_all_was_exercised(&said);

    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(recording.as_bytes()).unwrap();
    for (name, content) in [("recording.csv", recording.as_bytes()), ("recording.csv.gz", &packed.finish().unwrap())] {
        let file = farm.folder.write(name, content);
        let run = farm.replay_file(&file, &["--json", "--digest"]);
        assert!(run.code == Some(0) && run.out == said, "{name} gives other bytes than standard input");
    }
}

/// Two seeds give two months: what is compared is not empty or cut short.
#[test]
fn another_input_gives_other_bytes() {
    let farm = Farm::new("determinism", FARM);
    let [one, other] =
        [SEED, SEED + 1].map(|seed| farm.replay(month(&mut Random::new(seed)), &["--json", "--digest"]).out);
    assert_ne!(one, other);
}

#[track_caller]
fn assert_all_was_exercised(said: &str) {
    let (transitions, digest) = said.trim_end().rsplit_once('\n').unwrap();
    let mut rules: BTreeMap<String, u32> = BTreeMap::new();
    let mut events: BTreeMap<String, u32> = BTreeMap::new();
    for line in transitions.lines() {
        let transition: Transition = serde_json::from_str(line).unwrap();
        *events.entry(transition.event.clone()).or_default() += 1;
        if transition.event == "firing" {
            *rules.entry(transition.rule.unwrap()).or_default() += 1;
        }
    }
    println!("{rules:?}\n{events:?}\n{digest}");
    for rule in ["hot", "cold-by-night", "ph-off", "ec-between", "rises", "falls", "silent", "unmoved", "sensor-fault"]
    {
        assert!(rules.contains_key(rule), "{rule} never fired: {rules:?}");
    }
    for event in ["pending", "firing", "escalated", "resolved", "notify", "fault", "recovered"] {
        assert!(events.contains_key(event), "no {event}: {events:?}");
    }
    let counts: serde_json::Value = serde_json::from_str(digest).unwrap();
    for count in ["readings", "missing", "windows", "transitions", "notifications", "health"] {
        assert!(counts[count].as_u64().unwrap() > 10, "{count}: {digest}");
    }
}
