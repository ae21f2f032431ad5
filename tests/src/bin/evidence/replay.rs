//! A year of 20 sensors at 1 minute with 50 rules, through the program that ships.
//!
//! Beside it the floor: a throwaway loop that does nothing but what any such program must.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use jiff::Timestamp;
use tilth_tests::agent;
use tilth_tests::random::Random;

use crate::process::{self, Spent};
use crate::{Length, Outcome, outcome};

/// A year on one core of the development machine, in seconds.
const GOAL_S: f64 = 2.0;

const MINUTES_A_YEAR: u64 = 365 * 24 * 60;
/// 2025-01-01T00:00:00Z, in seconds since 1970: a year that is over.
const START_S: i64 = 1_735_689_600;

const ZONES: u64 = 4;
const SENSORS: u64 = ZONES * QUANTITIES.len() as u64;

/// Each zone's sensors: middle, how far a day swings it, and noise, in hundredths of the unit.
const QUANTITIES: [(&str, f64, f64, f64); 5] = [
    ("temperature", 2200.0, 350.0, 20.0),
    ("humidity", 6500.0, -1200.0, 80.0),
    ("ph", 600.0, 15.0, 4.0),
    ("ec", 200.0, 12.0, 3.0),
    ("co2", 70_000.0, -25_000.0, 900.0),
];

/// Rules as they are written: the 13 that are shipped, 9 for each zone, and one for all.
const RULES: u64 = 13 + 9 * ZONES + 1;

/// A year may take this much more memory than a month, in KB: what the allocator happens to keep.
const GROWTH_KB: u64 = 2048;

/// A slice on which the unoptimised program must say the same.
const SLICE_MINUTES: u64 = 3 * 24 * 60;

const RUNS: usize = 5;

pub(crate) fn measure(length: Length) -> Outcome {
    let minutes = match length {
        Length::Full => MINUTES_A_YEAR,
        Length::Short => MINUTES_A_YEAR / 12,
    };
    let bench = Bench::new();
    let (year, rows) = bench.recording("year.csv", minutes);
    let (month, _) = bench.recording("month.csv", minutes / 12);
    let megabytes = fs::metadata(&year).map_or(0.0, |file| file.len() as f64 / 1e6);
    let bound = bench.bound_rules();
    println!("{rows} rows of {SENSORS} sensors, {megabytes:.0} MB; {RULES} rules, {bound} once bound to their sensors");

    let mut runs: Vec<Spent> = (0..RUNS).map(|_| bench.replay(&year)).collect();
    for run in &runs {
        println!("  {:.2} s, {:.2} s of CPU time, {} KB at most", run.wall_s, run.cpu_s, run.peak_kb);
    }
    runs.sort_by(|one, other| one.wall_s.total_cmp(&other.wall_s));
    let median = &runs[RUNS / 2];
    let of_month = bench.replay(&month);
    println!("  a twelfth of it: {:.2} s, {} KB at most", of_month.wall_s, of_month.peak_kb);
    let mut floors: Vec<f64> = (0..RUNS).map(|_| floor(&year, bound / SENSORS)).collect();
    floors.sort_by(f64::total_cmp);
    let floor_s = floors[RUNS / 2];
    println!("  the floor: {floor_s:.2} s");
    let slice = bench.recording("slice.csv", SLICE_MINUTES).0;
    let same = bench.debug_and_release_agree(&slice);

    let mut short = Vec::new();
    let mut hold = |holds: bool, what: String| {
        if !holds {
            short.push(what);
        }
    };
    let goal_s = GOAL_S * minutes as f64 / MINUTES_A_YEAR as f64;
    // A run of a tenth of a second says more of what else the machine did than of the program: there the best one counts.
    let judged = match length {
        Length::Full => median,
        Length::Short => &runs[0],
    };
    let most_s = length.at_most(goal_s);
    hold(judged.wall_s <= most_s, format!("{:.2} s are more than {most_s:.2} s", judged.wall_s));
    for run in runs.iter().chain([&of_month]) {
        hold(run.run.code == Some(0), format!("the replay failed: {}", run.run.err));
    }
    let summary = median.run.summary();
    let (counted, fired) = (summary.readings, summary.alerts);
    hold(counted == rows && rows > 0, format!("{counted} readings of {rows} rows"));
    hold(fired > 0, "no alert fired".to_owned());
    let grew_kb = median.peak_kb.saturating_sub(of_month.peak_kb);
    hold(grew_kb <= GROWTH_KB, format!("{grew_kb} KB more than for a twelfth of the recording"));
    hold(same.is_ok(), same.clone().err().unwrap_or_default());

    let rate = rows as f64 / median.wall_s;
    let figures = format!(
        "{rows} readings in {:.2} s (goal {goal_s:.2}), {:.2} s of CPU time, {:.2} million readings/s, {fired} alerts, {} KB at \
         most, {:.1} times the floor of {floor_s:.2} s, {} transitions alike in debug and release",
        median.wall_s,
        median.cpu_s,
        rate / 1e6,
        median.peak_kb,
        median.wall_s / floor_s,
        same.unwrap_or(0),
    );
    outcome(figures, &short)
}

/// A farm's configuration and recordings on disk, and the program that ships.
struct Bench {
    folder: PathBuf,
    program: PathBuf,
}

impl Bench {
    fn new() -> Bench {
        let built_into = agent::profile_folder();
        let program = built_into.join("tilth-agent");
        assert!(program.is_file(), "there is no {}: start with tests/evidence", program.display());
        let folder = built_into.parent().expect("a profile's folder is in the target folder").join("evidence/replay");
        fs::create_dir_all(folder.join("config.d")).expect("the target folder can be written");
        fs::write(folder.join("config.d/farm.toml"), config()).expect("the target folder can be written");
        Bench { folder, program }
    }

    /// Writes a recording of so many minutes; returns it with the number of its rows.
    fn recording(&self, name: &str, minutes: u64) -> (PathBuf, u64) {
        let path = self.folder.join(name);
        let file = File::create(&path).expect("the target folder can be written");
        write_recording(BufWriter::with_capacity(1 << 20, file), minutes).expect("there is room on the disk");
        (path, minutes * SENSORS)
    }

    fn replay(&self, recording: &Path) -> Spent {
        process::run(self.call(&self.program, recording).stdout(Stdio::null()))
    }

    fn call(&self, program: &Path, recording: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("replay").arg("--config").arg(&self.folder).arg("--input").arg(recording).arg("--json");
        command
    }

    /// Rules bound to sensors, as the program counts them.
    fn bound_rules(&self) -> u64 {
        let check = Command::new(&self.program).arg("check").arg("--config").arg(&self.folder).arg("--json").output();
        let said = String::from_utf8(check.expect("the program can be run").stdout).expect("it says text");
        let summary = said.lines().last().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let rules = summary.and_then(|summary| summary["rules"].as_u64());
        rules.unwrap_or_else(|| panic!("the configuration is refused: {said}"))
    }

    /// How many lines both builds say; an error where they are not the same.
    fn debug_and_release_agree(&self, slice: &Path) -> Result<usize, String> {
        let target = agent::profile_folder();
        let debug = agent::build(&target.parent().expect("it is in the target folder").join("debug"));
        let [debug, release] = [&debug, &self.program].map(|program| {
            let said = self.call(program, slice).arg("--digest").output().expect("the program can be run");
            said.stdout
        });
        let lines = release.split(|byte| *byte == b'\n').count() - 1;
        match debug == release {
            true if lines > 1 => Ok(lines),
            true => Err("nothing to compare debug and release by".to_owned()),
            false => Err("debug and release say different things".to_owned()),
        }
    }
}

fn config() -> String {
    let mut toml = "agent.timezone = \"Europe/Amsterdam\"\n".to_owned();
    let mut rules = "[rules]\nunmoved = { sensor = \"*/temperature\", stuck_for = \"6h\" }\n".to_owned();
    for zone in 1..=ZONES {
        for (quantity, ..) in QUANTITIES {
            let _ =
                writeln!(toml, "[sensors.\"tower-{zone}/{quantity}\"]\nquantity = \"{quantity}\"\ninterval = \"1m\"");
        }
        for (name, quantity, condition) in [
            ("warm", "temperature", "above = 26.5, clear = 26, for = \"10m\""),
            ("cool", "temperature", "below = 17.5, clear = 18, for = \"10m\""),
            ("rises", "temperature", "rate_above = 1"),
            ("damp", "humidity", "above = 80, clear = 76, for = \"20m\""),
            ("sour", "ph", "outside = [5.75, 6.25], clear = [5.8, 6.2], for = \"5m\""),
            ("strong", "ec", "outside = [1.8, 2.2], clear = [1.85, 2.15], for = \"5m\", keep_firing_for = \"10m\""),
            ("starved", "co2", "below = 420, clear = 450, for = \"15m\", during = \"day\""),
            ("gush", "co2", "rate_above = 90"),
            ("lost", "ph", "missing_for = \"30m\""),
        ] {
            let sensor = format!("tower-{zone}/{quantity}");
            let _ = writeln!(rules, "{name}-{zone} = {{ sensor = \"{sensor}\", {condition} }}");
        }
    }
    toml + &rules
}

/// Days and nights with noise; now and then a day that is warmer or colder than most, so that some alerts fire.
fn write_recording(mut file: impl Write, minutes: u64) -> io::Result<()> {
    let random = &mut Random::new(2025);
    file.write_all(b"time,sensor,value\n")?;
    let mut day = [1.0; SENSORS as usize];
    let mut lines = String::new();
    for minute in 0..minutes {
        if minute % 1440 == 0 {
            day = std::array::from_fn(|_| 1.0 + 0.35 * random.around_zero());
        }
        let at = Timestamp::from_second(START_S + minute as i64 * 60).expect("it is in this century");
        let stamp = at.to_string();
        let swing = (minute as f64 / 1440.0 * std::f64::consts::TAU - 2.0).sin();
        lines.clear();
        for zone in 1..=ZONES {
            for (place, (quantity, middle, amplitude, noise)) in QUANTITIES.iter().enumerate() {
                let sensor = (zone as usize - 1) * QUANTITIES.len() + place;
                let value = middle + amplitude * day[sensor] * swing + noise * random.around_zero();
                let hundredths = value.round() as u64;
                let (whole, rest) = (hundredths / 100, hundredths % 100);
                let _ = writeln!(lines, "{stamp},tower-{zone}/{quantity},{whole}.{rest:02}");
            }
        }
        file.write_all(lines.as_bytes())?;
    }
    file.flush()
}

/// The least that any program would do: read the file, split its lines, parse stamp and number, and compare the number with
/// as many limits as there are rules for a sensor.
fn floor(recording: &Path, limits: u64) -> f64 {
    let limits: Vec<f64> = (1..=limits).map(|limit| 1e6 * limit as f64).collect();
    let start = Instant::now();
    let mut file = BufReader::with_capacity(1 << 16, File::open(recording).expect("it has just been written"));
    let mut line = Vec::new();
    file.read_until(b'\n', &mut line).expect("the disk can be read");
    line.clear();
    let (mut latest, mut above) = (0, 0_u64);
    while file.read_until(b'\n', &mut line).expect("the disk can be read") > 0 {
        let mut fields = line.trim_ascii_end().split(|byte| *byte == b',');
        let stamp = fields.next().map_or(0, stamp_s);
        let value = fields.nth(1).and_then(|field| std::str::from_utf8(field).ok()?.parse::<f64>().ok());
        let value = value.unwrap_or(f64::NAN);
        latest = latest.max(stamp);
        above += limits.iter().filter(|limit| value > **limit).count() as u64;
        line.clear();
    }
    let spent = start.elapsed().as_secs_f64();
    // So that no part of it is left out by the compiler.
    black_box((latest, above));
    spent
}

/// Seconds since 1970 of `2025-01-01T00:00:00Z`; days by Howard Hinnant's `days_from_civil`.
fn stamp_s(text: &[u8]) -> i64 {
    let number =
        |from: usize, to: usize| text[from..to].iter().fold(0, |number, byte| number * 10 + i64::from(byte - b'0'));
    let (month, day) = (number(5, 7), number(8, 10));
    let year = number(0, 4) - i64::from(month <= 2);
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day - 719_469;
    days * 86_400 + number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_reads_stamps_right() {
        for (text, seconds) in [("2025-01-01T00:00:00Z", START_S), ("2024-02-29T23:59:59Z", 1_709_251_199)] {
            assert_eq!(stamp_s(text.as_bytes()), seconds, "{text}");
        }
    }

    #[test]
    fn there_are_as_many_rules_as_it_says() {
        let plan = tilth_tests::engine::plan(&config());
        let mut names: Vec<&str> = plan.rules().map(|rule| rule.key.rule.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        // Shipped rules without a sensor of their quantity are rules too: water, oxygen and light; the sensor's own fault
        // is none.
        assert_eq!(names.len() as u64 + 3 - 1, RULES, "{names:?}");
        assert_eq!(plan.sensors().len() as u64, SENSORS);
    }
}
