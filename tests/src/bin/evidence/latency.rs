//! How soon an alert is seen: from the byte that a board writes to the line `firing`, beside a floor on the same kind of line.
//!
//! The agent that ships runs on the machine's clock with its store on the disk. A board on a pseudo-terminal writes a line with
//! one value each 10 ms, and each 21st value raises an alarm, so that alarms move over all sensors and each is a new edge: the
//! sensor's next value resolves it.
//!
//! The alert is seen where `tilth-agent tail --json` sees it: on a connection to the control socket. That is the first place at
//! which anybody outside the process can see it. The channel `log` hears of it later: its line passes the queue of notices and
//! the thread of the journal, while the connection is written to by the runtime's thread itself.
//!
//! The floor is a thread of this program that blocks on a pseudo-terminal and answers each alarm at once on a Unix socket with
//! a line of the same length: what the machine alone takes for the way there and back. It runs before and after the agent,
//! never beside it, so that neither disturbs the other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tilth_tests::live::board::serial_line;
use tilth_tests::live::farm::Farm;
use tilth_tests::random::Random;

use crate::{Length, Outcome, outcome};

/// 99 of 100 alerts are seen within this, in ms, and within so many times the floor's 99 of 100.
const GOAL_MS: f64 = 1.0;
const GOAL_FLOORS: f64 = 2.0;

/// Between two lines: 100 a second.
const BETWEEN: Duration = Duration::from_millis(10);

/// One line in so many raises an alarm. It shares no factor with the numbers of sensors, so that alarms reach every sensor.
const LINES_PER_ALARM: usize = 21;

/// How long the last alerts may take to be seen, before they count as missed.
const LAST_ALERTS: Duration = Duration::from_secs(2);

const QUIET_VOLTS: f64 = 12.0;
const ALARM_VOLTS: f64 = 30.0;

/// The rules of each sensor beside the shipped `sensor-silent`, the only shipped rule for a voltage. The first one raises the
/// alarms; the others watch.
const RULES: [&str; 5] = [
    "above = 20, clear = 18",
    "above = 45, clear = 44",
    "below = 2, clear = 3",
    "outside = [1, 48], clear = [2, 47]",
    "stuck_for = '6h'",
];

/// A farm to measure.
struct Size {
    sensors: usize,
    /// How many of [`RULES`] each sensor has.
    own_rules: usize,
}

const SIZES: [Size; 2] = [Size { sensors: 100, own_rules: 1 }, Size { sensors: 1000, own_rules: RULES.len() }];

impl Size {
    /// `sensor-silent` included.
    const fn rules(&self) -> usize {
        self.sensors * (self.own_rules + 1)
    }
}

pub(crate) fn measure(length: Length) -> Outcome {
    let counts = match length {
        Length::Full => Counts { quiet_lines: 1000, alarms: 600, floor_alarms: 150 },
        Length::Short => Counts { quiet_lines: 200, alarms: 51, floor_alarms: 12 },
    };
    let (mut short, mut figures, mut alarms) = (Vec::new(), Vec::new(), 0);
    for size in &SIZES {
        let measured = measure_size(size, &counts);
        let name = format!("{} sensors with {} rules", size.sensors, size.rules());
        alarms += measured.agent.seen();
        match measured.figures() {
            Some(shown) => figures.push(format!("{name}: {shown}")),
            None => short.push(format!("{name}: no alert was seen")),
        }
        let missed = measured.unseen().into_iter().chain(measured.missed_goals(length));
        short.extend(missed.map(|what| format!("{name}: {what}")));
    }
    let figures = figures.join("; ");
    let goals = format!("goal: p99 {GOAL_MS:.0} ms and {GOAL_FLOORS:.0} times the floor");
    outcome(format!("{figures}; {alarms} alarms ({goals})"), &short)
}

/// How much is written.
struct Counts {
    /// Lines without an alarm, to tell what an alarm adds.
    quiet_lines: usize,
    alarms: usize,
    /// Of the floor, before the agent runs and again after it.
    floor_alarms: usize,
}

struct Measured {
    agent: Latencies,
    floor: Latencies,
}

impl Measured {
    /// For the last line; none where there is nothing to show.
    fn figures(&self) -> Option<String> {
        let [p50, p99] = [self.agent.percentile(50)?, self.agent.percentile(99)?];
        let [floor_p50, floor_p99] = [self.floor.percentile(50)?, self.floor.percentile(99)?];
        let floors = p99 / floor_p99;
        Some(format!(
            "p50 {p50:.2} and p99 {p99:.2} ms, floor {floor_p50:.2} and {floor_p99:.2} ms, p99 {floors:.1} times the floor"
        ))
    }

    /// Alarms of which no line came.
    fn unseen(&self) -> Vec<String> {
        let of = |whose, latencies: &Latencies| {
            (latencies.unseen > 0).then(|| format!("{} alarms were not seen {whose}", latencies.unseen))
        };
        [of("at the agent", &self.agent), of("at the floor", &self.floor)].into_iter().flatten().collect()
    }

    fn missed_goals(&self, length: Length) -> Vec<String> {
        let (Some(p99), Some(floor_p99)) = (self.agent.judged_p99(length), self.floor.percentile(99)) else {
            return Vec::new();
        };
        let (most, most_floors) = (length.at_most(GOAL_MS), length.at_most(GOAL_FLOORS));
        let floors = p99 / floor_p99;
        let late = (p99 > most).then(|| format!("p99 {p99:.2} ms is more than {most:.0} ms"));
        let far = (floors > most_floors)
            .then(|| format!("p99 {p99:.2} ms is {floors:.1} times the floor, more than {most_floors:.0}"));
        [late, far].into_iter().flatten().collect()
    }
}

fn measure_size(size: &Size, counts: &Counts) -> Measured {
    let mut floor = measure_floor(size, counts.floor_alarms);
    let (agent, spent) = measure_agent(size, counts);
    floor.add(measure_floor(size, counts.floor_alarms));
    println!("{} sensors with {} rules:", size.sensors, size.rules());
    println!("  agent: {agent}");
    println!("  floor: {floor}");
    spent.print(agent.seen());
    Measured { agent, floor }
}

/// Parts of a short run, of which the best one counts: the p99 of some fifty alerts is the worst of them, which on a machine that
/// does other things too is seldom the agent's.
const PARTS: usize = 3;

/// Times from the byte to the line that was seen.
#[derive(Default)]
struct Latencies {
    /// In ms, in the order of the alarms.
    ms: Vec<f64>,
    /// Alarms of which no line was seen.
    unseen: usize,
}

impl Latencies {
    /// Pairs each alarm with the first line for its sensor that was seen after it and before the sensor's next alarm.
    fn of(alarms: &[(usize, Instant)], lines: &[(Instant, String)]) -> Latencies {
        let mut seen: BTreeMap<usize, Vec<Instant>> = BTreeMap::new();
        for (at, line) in lines {
            if let Some(sensor) = firing_sensor(line) {
                seen.entry(sensor).or_default().push(*at);
            }
        }
        let mut latencies = Latencies::default();
        for (position, (sensor, written)) in alarms.iter().enumerate() {
            let next = alarms[position + 1..].iter().find(|(other, _)| other == sensor).map(|(_, next)| *next);
            let is_of_alarm = |at: &&Instant| **at >= *written && next.is_none_or(|next| **at < next);
            match seen.get(sensor).and_then(|seen| seen.iter().find(is_of_alarm)) {
                Some(at) => latencies.ms.push((*at - *written).as_secs_f64() * 1e3),
                None => latencies.unseen += 1,
            }
        }
        latencies
    }

    fn add(&mut self, other: Latencies) {
        self.ms.extend(other.ms);
        self.unseen += other.unseen;
    }

    fn seen(&self) -> usize {
        self.ms.len()
    }

    /// The time, in ms, within which so many of 100 lines were seen; none where no line was.
    fn percentile(&self, percent: usize) -> Option<f64> {
        percentile(&self.ms, percent)
    }

    /// The p99, in ms, that is held against the goals.
    fn judged_p99(&self, length: Length) -> Option<f64> {
        match length {
            Length::Full => self.percentile(99),
            Length::Short => {
                let parts = self.ms.chunks(self.seen().div_ceil(PARTS).max(1));
                parts.filter_map(|part| percentile(part, 99)).min_by(f64::total_cmp)
            }
        }
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("at most", 100)] {
            write!(f, "{name} {:.3} ms, ", self.percentile(percent).unwrap_or(f64::NAN))?;
        }
        write!(f, "{} alarms seen and {} not", self.seen(), self.unseen)
    }
}

fn percentile(ms: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

/// The number of the sensor whose alert a line says is firing.
fn firing_sensor(line: &str) -> Option<usize> {
    let event: Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
    (event["event"] == "firing").then_some(())?;
    event["sensor"].as_str()?.rsplit_once('-')?.1.parse().ok()
}

fn measure_agent(size: &Size, counts: &Counts) -> (Latencies, Spent) {
    let mut farm = Farm::alone("latency", &config(size));
    farm.clock = "system";
    farm.start();
    let mut load = Load::new(size.sensors);
    // Every sensor has spoken, so that its alarm changes what was so before.
    for _ in 0..size.sensors {
        farm.say(load.line(QUIET_VOLTS));
    }
    let last = sensor_id(size.sensors - 1);
    farm.until("every sensor was read", |farm| {
        farm.ask(&["sensors", "--json"]).out.lines().any(|line| line.contains(&last) && line.contains("\"value\":1"))
    });
    let watching = watch(connect(&farm).expect("the agent lets somebody watch"));
    let started = Usage::of(&farm);
    load.pace(counts.quiet_lines, false, |line| farm.say(line));
    let quiet = Usage::of(&farm);
    let lines = counts.alarms * LINES_PER_ALARM;
    let alarms = load.pace(lines, true, |line| farm.say(line));
    thread::sleep(LAST_ALERTS);
    let ended = Usage::of(&farm);
    farm.stop();
    let seen = watching.join().expect("it reads to the end");
    let spent = Spent {
        quiet: quiet.since(&started, counts.quiet_lines as f64),
        loaded: ended.since(&quiet, 1.0),
        lines: lines as f64,
    };
    (Latencies::of(&alarms, &seen), spent)
}

/// A connection that watches, as `tail --json` does.
fn connect(farm: &Farm) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(farm.socket())?;
    // To a client of HTTP/1.0 the events are all of the body, and not cut into chunks.
    stream.write_all(b"GET /api/v1/events HTTP/1.0\r\nhost: agent\r\n\r\n")?;
    // The first event says that the connection watches from now on; it is read byte by byte, for what follows it is measured.
    let mut head = Vec::new();
    while !(head.ends_with(b"\n\n") && head.windows(9).any(|part| part == b"connected")) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(stream)
}

/// Notes each line with the time at which it was there, until the other side hangs up.
fn watch(stream: UnixStream) -> JoinHandle<Vec<(Instant, String)>> {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut seen = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(1..) => seen.push((Instant::now(), line)),
                Ok(0) | Err(_) => return seen,
            }
        }
    })
}

fn measure_floor(size: &Size, alarms: usize) -> Latencies {
    let (mut board, port, _path) = serial_line().expect("a pseudo-terminal");
    let (answers, seen_at) = UnixStream::pair().expect("a pair of sockets");
    let (answering, watching) = (thread::spawn(move || answer(port, answers)), watch(seen_at));
    let mut load = Load::new(size.sensors);
    let alarms =
        load.pace(alarms * LINES_PER_ALARM, true, |line| board.write_all(line.as_bytes()).expect("it takes it"));
    board.write_all(b"end\n").expect("it takes it");
    answering.join().expect("it ends").expect("the line and the socket work");
    Latencies::of(&alarms, &watching.join().expect("it reads to the end"))
}

/// Reads lines, and answers each alarm with a line as long as the agent's.
fn answer(port: fs::File, mut answers: UnixStream) -> io::Result<()> {
    let mut lines = BufReader::new(port).lines();
    while let Some(line) = lines.next().transpose()? {
        let Some((key, value)) = line.split_once('=') else { break };
        if value.parse::<f64>().is_ok_and(|value| value >= ALARM_VOLTS) {
            let text = format!("{:300}", "");
            let row = format!(
                "event: transition\ndata: {{\"event\":\"firing\",\"sensor\":\"battery-{}\",\"text\":\"{text}\"}}\n\n",
                &key[1..]
            );
            answers.write_all(row.as_bytes())?;
        }
    }
    Ok(())
}

/// What a board writes: a line for one sensor after the other.
struct Load {
    sensors: usize,
    next: usize,
    random: Random,
}

impl Load {
    fn new(sensors: usize) -> Load {
        Load { sensors, next: 0, random: Random::new(21) }
    }

    fn line(&mut self, volts: f64) -> String {
        let sensor = self.next % self.sensors;
        self.next += 1;
        format!("{}={:.2}\n", key(sensor), volts + 0.3 * (1.0 + self.random.around_zero()))
    }

    /// Writes lines at their pace; returns the sensors of the alarms, each with the time just before it was written.
    fn pace(&mut self, lines: usize, with_alarms: bool, mut say: impl FnMut(&str)) -> Vec<(usize, Instant)> {
        let began = Instant::now();
        let mut alarms = Vec::new();
        for number in 1..=lines {
            let is_alarm = with_alarms && number % LINES_PER_ALARM == 0;
            let sensor = self.next % self.sensors;
            let line = self.line(if is_alarm { ALARM_VOLTS } else { QUIET_VOLTS });
            thread::sleep((began + BETWEEN * number as u32).saturating_duration_since(Instant::now()));
            let written = Instant::now();
            say(&line);
            if is_alarm {
                alarms.push((sensor, written));
            }
        }
        alarms
    }
}

fn config(size: &Size) -> String {
    let interval = size.sensors / 100;
    let mut toml = "[rules]\n".to_owned();
    for (number, condition) in RULES[..size.own_rules].iter().enumerate() {
        let _ = writeln!(toml, "rule-{number} = {{ sensor = 'zone/*', {condition}, for = '0s', cooldown = '0s' }}");
    }
    for sensor in 0..size.sensors {
        let (id, key) = (sensor_id(sensor), key(sensor));
        let _ = writeln!(
            toml,
            "[sensors.'{id}']\nquantity = 'voltage'\ninput = 'line:gateway/{key}'\ninterval = '{interval}s'"
        );
    }
    toml
}

fn sensor_id(number: usize) -> String {
    format!("zone/battery-{number}")
}

fn key(sensor: usize) -> String {
    format!("b{sensor}")
}

/// What the agent's process has used so far.
struct Usage {
    /// By the thread's name: ns on a processor, and ns waiting for one.
    threads: BTreeMap<String, [f64; 2]>,
    /// Bytes given to the system to write.
    written: f64,
}

impl Usage {
    fn of(farm: &Farm) -> Usage {
        let process = format!("/proc/{}", farm.process());
        let mut threads: BTreeMap<String, [f64; 2]> = BTreeMap::new();
        for task in fs::read_dir(format!("{process}/task")).expect("it runs").flatten() {
            // A thread may end meanwhile.
            let Ok(name) = fs::read_to_string(task.path().join("comm")) else { continue };
            let Ok(times) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let of_name = threads.entry(name.trim().to_owned()).or_default();
            for (sum, time) in of_name.iter_mut().zip(times.split_whitespace()) {
                *sum += time.parse().unwrap_or(0.0);
            }
        }
        let io = fs::read_to_string(format!("{process}/io")).expect("it runs");
        let written = io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok());
        Usage { threads, written: written.expect("Linux counts it") }
    }

    /// What was used since then, for each of so many lines.
    fn since(&self, before: &Usage, lines: f64) -> Usage {
        let used = |(name, times): (&String, &[f64; 2])| {
            let earlier = before.threads.get(name).copied().unwrap_or_default();
            (name.clone(), [0, 1].map(|place| (times[place] - earlier[place]) / lines))
        };
        Usage { threads: self.threads.iter().map(used).collect(), written: (self.written - before.written) / lines }
    }
}

/// What the agent used: it tells which of its threads is slow.
struct Spent {
    /// For each line while no alarm was raised.
    quiet: Usage,
    /// In all while alarms were raised.
    loaded: Usage,
    lines: f64,
}

impl Spent {
    /// What an alarm adds, with the end of its alert, to lines that raise none.
    fn print(&self, alarms: usize) {
        let each = |loaded: f64, quiet: f64| (loaded - quiet * self.lines) / alarms.max(1) as f64;
        println!("  an alarm and its end add, to {LINES_PER_ALARM} lines without an alarm:");
        for (name, times) in &self.loaded.threads {
            let quiet = self.quiet.threads.get(name).copied().unwrap_or_default();
            let [busy, waits] = [0, 1].map(|place| each(times[place], quiet[place]) / 1e6);
            if times[0] > 0.0 {
                let quiet_us = quiet[0] / 1e3;
                println!(
                    "    thread {name}: {busy:.3} ms busy, {waits:.3} ms waiting for a processor ({quiet_us:.0} us busy a quiet line)"
                );
            }
        }
        println!("    {:.0} bytes written", each(self.loaded.written, self.quiet.written));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_sensors_and_rules_as_it_says() {
        for size in &SIZES {
            let plan = tilth_tests::engine::plan(&config(size));
            assert_eq!(plan.sensors().len(), size.sensors);
            // Each sensor's own fault is no rule of the farm.
            let rules = plan.rules().filter(|rule| rule.key.rule.as_str() != "sensor-fault").count();
            assert_eq!(rules, size.rules());
        }
    }

    #[test]
    fn each_alarm_is_paired_with_its_own_line() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let line = |sensor, event| format!("data: {{\"event\":\"{event}\",\"sensor\":\"zone/battery-{sensor}\"}}\n");
        let alarms = [(7, at(0)), (8, at(10)), (7, at(20)), (7, at(40))];
        let lines = [
            (at(3), line(7, "firing")),
            (at(12), line(7, "resolved")),
            (at(15), line(8, "firing")),
            (at(41), line(7, "firing")),
            (at(42), "data: {\"event\":\"missed\",\"lines\":3}\n".to_owned()),
        ];
        let latencies = Latencies::of(&alarms, &lines);
        assert_eq!(latencies.unseen, 1, "the alarm at 20 ms has no line of its own");
        assert_eq!(latencies.ms, [3.0, 5.0, 1.0]);
        assert_eq!([1, 50, 99, 100].map(|percent| latencies.percentile(percent)), [1.0, 3.0, 5.0, 5.0].map(Some));
        assert_eq!(latencies.judged_p99(Length::Full), Some(5.0));
        assert_eq!(latencies.judged_p99(Length::Short), Some(1.0));
        assert_eq!(Latencies::default().judged_p99(Length::Short), None);
    }
}
