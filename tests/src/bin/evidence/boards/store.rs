//! What the agent stored of a board's readings, against what the board said: each once, with its value, in its minute.
//!
//! The recording of the agent has every reading that its engine took, with its time; the hub has every window that its store holds.

use std::fs;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use tilth_wire::{Reading, Sample};

use super::bench::Bench;
use super::heard::Start;
use super::sensors::{NEAR, Sensor};

/// A reading may be placed this much before or after its own time, in milliseconds.
const JITTER_MS: i64 = 1_000;

/// A late reading is in its window at the hub once its minute was closed again: a minute later, and the way there.
const SETTLED_MS: i64 = 150_000;

/// A board that is this much behind the machine's clock looks to the agent as if it had restarted.
const MOST_LAG_MS: i64 = 4_000;

const MINUTE_MS: i64 = 60_000;

/// Readings of a sensor that may be on their way, or not in the recording yet.
const ON_THE_WAY: usize = 2;

/// Interval of four channels in an absence, in milliseconds.
pub(super) const INTERVAL_MS: u32 = 10_000;

/// A time without the agent, in which four channels measured every [`INTERVAL_MS`]; in milliseconds of the agent's uptime.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absence {
    /// When the last channel was set to that.
    pub(super) set: i64,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// A reading as the engine took it.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// Uptime of the agent, in milliseconds.
    stamp: i64,
    /// None for a fault.
    value: Option<f64>,
}

/// A line of the recording, as far as it is looked at here.
#[derive(Deserialize)]
struct Line {
    input: Value,
}

/// A window of a minute at the hub.
struct Window {
    /// Uptime of the agent at which it begins, in milliseconds.
    start: i64,
    readings: usize,
}

/// What was compared.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Readings of the board that the agent has, each once and with its value.
    pub(super) readings: usize,
    /// Windows of a minute at the hub that hold just these.
    pub(super) windows: usize,
    /// Of these, minutes of four channels in an absence of the agent, which are full from when the channels were set.
    pub(super) full: usize,
}

impl Bench {
    /// Uptime of the agent at its newest reading, in milliseconds.
    pub(super) fn newest_stamp(&self) -> anyhow::Result<i64> {
        let sensor = &self.sensors[0];
        let taken = self.taken(sensor)?;
        taken.last().map(|taken| taken.stamp).with_context(|| format!("no reading of {}", sensor.id))
    }

    /// The agent stays away until a time of the board while values change, and is back: it stores what the board held. Uptime of the agent when it was back.
    pub(super) fn be_away_until(&mut self, end: i64) -> anyhow::Result<i64> {
        while self.now_ms()? < end {
            self.show_other_values(NEAR)?;
            let left = end - self.now_ms()?;
            self.pass(left.min(9_000))?;
        }
        let last = self.start(|start| start.readings.keys().last().copied())?.context("no reading")?;
        self.start_agent()?;
        self.until("the agent has stored what the board held", |bench| {
            bench.start(|start| start.stored.is_some_and(|stored| stored >= last)).unwrap_or_default()
        })?;
        self.newest_stamp()
    }

    /// Waits until the hub has the minute in which a time of the agent lies.
    pub(super) fn until_closed(&mut self, stamp: i64) -> anyhow::Result<()> {
        let sensor = self.sensors[0].id.clone();
        self.until("the minute is at the hub", |bench| {
            let windows = bench.windows(&sensor);
            windows.len() > 1 && windows.last().is_some_and(|window| window.start + MINUTE_MS > stamp)
        })
    }

    /// Compares everything.
    pub(super) fn judge_store(&mut self, away: &[Absence]) -> anyhow::Result<Tally> {
        let lag = self.lag_ms;
        ensure!(
            lag <= MOST_LAG_MS,
            "the machine is too slow: the board was {lag} ms late; run this with nothing beside it"
        );
        let found = self.line.heard(|heard| heard.findings.clone());
        found.into_iter().for_each(|finding| self.find(finding));
        let missing: usize = self.line.heard(|heard| heard.starts.iter().map(Start::missing).sum());
        let lost = self.bus()["board"]["lost"].as_u64();
        if missing > 0 || lost != Some(0) {
            self.find(format!("{missing} readings of the board are missing on the line, and the agent lost {lost:?}"));
        }
        self.until("the recording has the board's readings", |bench| {
            let behind = |sensor| Some(bench.said(sensor).len().saturating_sub(bench.taken(sensor).ok()?.len()));
            bench.sensors.iter().all(|sensor| behind(sensor).is_some_and(|behind| behind <= ON_THE_WAY))
        })?;
        let mut tally = Tally::default();
        for sensor in self.sensors.clone() {
            tally.readings += self.judge_readings(&sensor)?;
        }
        self.judge_windows(away, &mut tally)?;
        Ok(tally)
    }

    /// The windows of all sensors at the hub, once late readings are in them.
    fn judge_windows(&mut self, away: &[Absence], tally: &mut Tally) -> anyhow::Result<()> {
        let end = self.now_ms()? + SETTLED_MS;
        loop {
            let (mut found, mut of_all) = (Vec::new(), (0, 0));
            for sensor in &self.sensors {
                let (windows, full) = self.compare_windows(sensor, away, &mut found)?;
                of_all = (of_all.0 + windows, of_all.1 + full);
            }
            if found.is_empty() || self.now_ms()? > end {
                (tally.windows, tally.full) = of_all;
                found.into_iter().for_each(|finding| self.find(finding));
                return Ok(());
            }
            self.pass(2_000)?;
        }
    }

    /// The readings of a sensor that the engine took, each once, must be those of the board. How many there are.
    fn judge_readings(&mut self, sensor: &Sensor) -> anyhow::Result<usize> {
        let id = &sensor.id;
        let taken = self.taken(sensor)?;
        let said = self.said(sensor);
        if taken.len() > said.len() || taken.len() + ON_THE_WAY < said.len() {
            let (said, taken) = (said.len(), taken.len());
            self.find(format!("{id}: {said} readings of the board, and the agent took {taken}"));
        }
        let mut both = said.iter().zip(&taken);
        let differs = both.find_map(|(said, taken)| Some((*said, self.differs(sensor, said, taken)?)));
        if let Some((said, what)) = differs {
            self.find(format!("{id}: reading {} of the board is {:?}, and {what}", said.seq, said.sample));
        }
        Ok(taken.len())
    }

    /// The readings of a sensor, as the board said them.
    fn said(&self, sensor: &Sensor) -> Vec<Reading> {
        self.line.heard(|heard| {
            let all = heard.starts.iter().flat_map(|start| start.readings.values());
            all.filter(|reading| reading.channel == sensor.channel).copied().collect()
        })
    }

    /// How a reading that was taken differs from what was said, and from all that the sensor was made to show.
    fn differs(&self, sensor: &Sensor, said: &Reading, taken: &Taken) -> Option<String> {
        let value = match (said.sample, taken.value) {
            (Sample::Fault(_), None) if self.failed.contains(&sensor.id) => return None,
            (Sample::Fault(_), None) => return Some("a fault that was not set".to_owned()),
            // The recording has numbers before calibration, and in the sensor's unit.
            (Sample::Value(said), Some(value)) if (f64::from(said) * sensor.board_unit - value).abs() < 1e-6 => value,
            _ => return Some(format!("the agent took {taken:?}")),
        };
        let shown = self.shown.get(&sensor.id)?;
        let value = value * sensor.step.unwrap_or(1.0);
        let is_counted = sensor.id.ends_with("/pulses") && shown.iter().any(|most| (0.0..=*most).contains(&value));
        let is_shown = shown.iter().any(|shown| (shown - value).abs() <= sensor.tolerance);
        (!is_shown && !is_counted).then(|| format!("the agent took {value}, which the sensor never showed"))
    }

    /// Compares the windows of a sensor at the hub with its readings. The one that was committed when the agent was killed, and not yet confirmed to
    /// the board, is taken twice. How many there are, and how many of them are full without the agent.
    fn compare_windows(
        &self,
        sensor: &Sensor,
        away: &[Absence],
        found: &mut Vec<String>,
    ) -> anyhow::Result<(usize, usize)> {
        // A fault without a number is in no window.
        let taken: Vec<Taken> = self.taken(sensor)?.into_iter().filter(|taken| taken.value.is_some()).collect();
        let within = |from: i64, to: i64| taken.iter().filter(|taken| (from..to).contains(&taken.stamp)).count();
        let (id, windows) = (&sensor.id, self.windows(&sensor.id));
        let mut full = 0;
        for (place, Window { start, readings }) in windows.iter().enumerate() {
            let (start, end) = (*start, start + MINUTE_MS);
            let expected = within(start, end);
            let most = expected + usize::from(away.iter().any(|away| (start - MINUTE_MS..end).contains(&away.from)));
            // What came after the end of its minute is in the window once the next one is closed.
            let least = expected.saturating_sub(usize::from(place + 1 == windows.len()));
            if !(least..=most).contains(readings) {
                found.push(format!("{id}: {readings} readings in the minute at {start}, expected {expected}"));
            }
            let set = away.iter().filter(|away| away.from < end && start < away.to).map(|away| away.set).max();
            if let Some(set) = set.filter(|_| self.model.held().contains(&sensor.channel)) {
                // Each channel that is set begins its measurement anew: before the last one is, a slow sensor has no reading.
                let from = start.max(set);
                let due = (end - from) / i64::from(INTERVAL_MS);
                full += usize::from(due > 0);
                if (within(from - JITTER_MS, end + JITTER_MS) as i64) < due {
                    found.push(format!("{id}: {readings} readings in the minute at {start}, without the agent"));
                }
            }
        }
        if windows.array_windows().any(|[one, next]| next.start != one.start + MINUTE_MS) {
            found.push(format!("{id}: a minute is missing at the hub"));
        }
        Ok((windows.len(), full))
    }

    fn windows(&self, sensor: &str) -> Vec<Window> {
        let path = format!("/api/data?sensor={sensor}&exact=true&from=0&to=4102444800000");
        let window = |row: &Value| {
            let count = |name: &str| row[name].as_u64().unwrap_or_default() as usize;
            Some(Window { start: row["uptime"].as_i64()?, readings: count("count") + count("bad") })
        };
        self.hub.list(&path, "windows").iter().filter_map(window).collect()
    }

    /// The readings of a sensor in the recording. Of a run of the agent that was killed those count that the board need not send again.
    fn taken(&self, sensor: &Sensor) -> anyhow::Result<Vec<Taken>> {
        let text = fs::read_to_string(self.farm.folder.path().join("record"))?;
        let mut all: Vec<Taken> = Vec::new();
        let mut kept = self.kept.iter();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            if !line.input["begin"].is_null() && !all.is_empty() {
                let kept = kept.next().and_then(|kept| kept.get(&sensor.channel)).copied().unwrap_or_default();
                all.truncate(kept);
            }
            let reading = &line.input["reading"];
            if reading["sensor"] == sensor.id.as_str() {
                let stamp = reading["stamp"].as_i64().context("a stamp")?;
                let value = reading["value"].as_f64().filter(|_| reading["quality"] == "good");
                all.push(Taken { stamp, value });
            }
        }
        Ok(all)
    }
}
