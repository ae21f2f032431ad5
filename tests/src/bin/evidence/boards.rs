//! The images of boards that ship, in the emulator, at the real agent: what a board's sensors show reaches the store, and its relays are
//! off in time through failures of agent, line and board.
//!
//! Board and agent run on clocks of one rate, and when a relay was on is read from the board's pins by the board's own clock, so that a busy
//! machine lengthens nothing. A line between the two hears every frame, and is cut, disturbed and spoken on. At the end every reading that
//! the board ever sent must have been taken once, with the value that its sensor was made to show, and stand in its minute at a hub.
//!
//! The saboteur makes a relay's contact stick: once closed it does not open.

mod bench;
mod board;
mod heard;
mod line;
mod relays;
mod sensors;
mod siren;
mod store;

use std::iter;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tilth_tests::live::emulator::{MEGA_2560, Model, PICO, UNO};
use tilth_tests::random::Random;

use crate::{Length, Outcome, Run, outcome};
use bench::{Bench, Limits};
use line::{Side, State};
use relays::LIMITS;
use sensors::{HANG, PANIC, Restart, WIDE};
use store::{Absence, INTERVAL_MS};

/// How much of each thing is done with a board.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Board and agent run so many times as fast as the machine.
    speed: u32,
    /// How often the sensors show other values.
    values: usize,
    /// Kinds of failures of sensors.
    failures: usize,
    hangs: usize,
    panics: usize,
    /// Frames in each direction just behind noise.
    frames: usize,
    noise_ms: i64,
    /// Gusts of commands in a storm.
    gusts: u32,
    link_timeout_ms: u32,
    /// Time before the agent is killed, in which its store may hold what it has not committed.
    before_ms: i64,
    /// How long the agent stays away, each time.
    absences_ms: &'static [i64],
    /// How long a siren is held.
    siren_ms: i64,
}

const SHORT: Extent = Extent {
    speed: 2,
    values: 2,
    failures: 2,
    hangs: 1,
    panics: 1,
    frames: 1,
    noise_ms: 10_000,
    gusts: 8,
    link_timeout_ms: 3_000,
    before_ms: 5_000,
    absences_ms: &[32_000],
    siren_ms: 5_000,
};

const FULL: Extent = Extent {
    speed: 1,
    values: 6,
    failures: usize::MAX,
    hangs: 3,
    panics: 3,
    frames: 5,
    noise_ms: 60_000,
    gusts: 60,
    link_timeout_ms: 10_000,
    before_ms: 35_000,
    absences_ms: &[180_000, 180_000],
    // A minute more than the relays of pumps are on at most.
    siren_ms: 660_000,
};

/// What happens to a board on a bench of its own, and how much of it.
#[derive(Clone, Copy)]
struct Part {
    model: &'static Model,
    extent: Extent,
    play: fn(&mut Story) -> anyhow::Result<()>,
    /// What is wired to its relays.
    actuators: fn(&Model) -> String,
}

/// Neither a siren, nor absences of the Pico, nor the Mega: they take longer than a short run may.
const SHORT_PARTS: &[Part] = &[trials(&UNO, SHORT), absences(&UNO, SHORT), trials(&PICO, SHORT)];

/// The longest first, so that none runs alone at the end.
const FULL_PARTS: &[Part] = &[
    // The board holds half an hour, for most of which its emulator waits: so it can be faster than the machine.
    absences(&PICO, Extent { speed: 2, absences_ms: &[180_000, 1_800_000], ..FULL }),
    absences(&MEGA_2560, Extent { absences_ms: &[180_000, 600_000], ..FULL }),
    siren(&PICO),
    siren(&MEGA_2560),
    siren(&UNO),
    absences(&UNO, FULL),
    trials(&PICO, FULL),
    trials(&MEGA_2560, FULL),
    trials(&UNO, FULL),
];

const SABOTAGED_PARTS: &[Part] = &[sabotaged(&UNO), sabotaged(&MEGA_2560), sabotaged(&PICO)];

const fn trials(model: &'static Model, extent: Extent) -> Part {
    Part { model, extent, play: Story::trials, actuators: bench::actuators }
}

const fn absences(model: &'static Model, extent: Extent) -> Part {
    Part { model, extent, play: Story::absences, actuators: bench::actuators }
}

/// At the speed of the machine: an agent must be able to restart within the board's link timeout, by the machine's clock.
const fn siren(model: &'static Model) -> Part {
    Part { model, extent: FULL, play: Story::siren, actuators: siren::actuators }
}

const fn sabotaged(model: &'static Model) -> Part {
    Part { model, extent: SHORT, play: Story::sabotaged, actuators: bench::actuators }
}

/// Interval of all channels but in an absence, in milliseconds: the board holds what is not yet stored of them.
const INTERVAL: u32 = 3_000;

/// The agent reads a board again within this once it is back.
const BACK_S: f64 = 5.0;

pub(crate) fn measure(run: Run) -> Outcome {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = std::env::var("TILTH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    println!("    seed {seed} (TILTH_SEED={seed} takes it again)");
    // As many at once as two cores run in time, with an agent and a hub each; a saboteur shows itself in any time.
    let (parts, at_once) = match run {
        Run { sabotage: true, .. } => (SABOTAGED_PARTS, SABOTAGED_PARTS.len()),
        Run { length: Length::Short, .. } => (SHORT_PARTS, 3),
        Run { length: Length::Full, .. } => (FULL_PARTS, 4),
    };
    let waiting = Mutex::new(parts.iter());
    let next = || waiting.lock().ok()?.next();
    let work =
        || iter::from_fn(next).map(|part| PartResult::of(part, run.length, Random::new(seed))).collect::<Vec<_>>();
    let results: Vec<PartResult> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    let figures =
        [&UNO, &MEGA_2560, &PICO].into_iter().filter(|model| results.iter().any(|result| result.image == model.image));
    let figures: Vec<String> = figures.map(|model| figures_of(model, &results)).collect();
    let findings: Vec<String> = results.iter().flat_map(|result| result.findings.clone()).collect();
    outcome(figures.join("; "), &findings)
}

/// What was done with a board, in all its parts.
fn figures_of(model: &Model, results: &[PartResult]) -> String {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for (what, count) in results.iter().filter(|result| result.image == model.image).flat_map(|result| &result.counts) {
        match counts.iter_mut().find(|(known, _)| known == what) {
            Some((_, sum)) => *sum += count,
            None => counts.push((what, *count)),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    format!("{}: {}", model.image, counts.join(", "))
}

/// What became of a part.
struct PartResult {
    image: &'static str,
    counts: Vec<(String, u64)>,
    findings: Vec<String>,
}

impl PartResult {
    fn of(part: &Part, length: Length, random: Random) -> PartResult {
        let model = part.model;
        let failed = |error: anyhow::Error| format!("{}: {error:#}", model.image);
        let (counts, findings) = match Story::begin(part, length, random) {
            Err(error) => (Vec::new(), vec![failed(error)]),
            Ok(mut story) => {
                let played = (part.play)(&mut story);
                let mut findings = std::mem::take(&mut story.bench.findings);
                findings.extend(played.err().map(failed));
                let none = story.counts.iter().filter(|(_, count)| *count == 0);
                findings.extend(none.map(|(what, _)| format!("{}: no {what}", model.image)));
                (story.counts, findings)
            }
        };
        PartResult { image: model.image, counts, findings }
    }
}

/// What happens to one board.
struct Story {
    bench: Bench,
    length: Length,
    extent: Extent,
    /// How often each thing was done.
    counts: Vec<(String, u64)>,
}

impl Story {
    /// A board whose sensors show something, and the agent that reads it.
    fn begin(part: &Part, length: Length, random: Random) -> anyhow::Result<Story> {
        let Part { model, extent, actuators, .. } = *part;
        let mut bench = Bench::set_up(model, extent.speed, &actuators(model), random)?;
        let channels: Vec<u8> = bench.sensors.iter().map(|sensor| sensor.channel).collect();
        bench.measure(&channels, INTERVAL)?;
        bench.show_other_values(WIDE)?;
        bench.start_agent()?;
        bench.lag_ms = 0;
        Ok(Story { bench, length, extent, counts: Vec::new() })
    }

    fn sabotaged(&mut self) -> anyhow::Result<()> {
        self.bench.limit(LIMITS)?;
        let relay = self.bench.model.relays[0];
        self.bench.board.control(&json!({ "stuck": relay }))?;
        self.bench.agent_cannot_extend()?;
        self.count("relay that sticks", 1);
        Ok(())
    }

    /// Everything but a long absence and a siren.
    fn trials(&mut self) -> anyhow::Result<()> {
        self.bench.limit(LIMITS)?;
        self.sensors()?;
        self.relays()?;
        self.noise()?;
        self.restarts(&HANG, self.extent.hangs)?;
        self.restarts(&PANIC, self.extent.panics)?;
        self.link()?;
        self.judge_store(&[])
    }

    fn judge_store(&mut self, away: &[Absence]) -> anyhow::Result<()> {
        self.say(&format!("the board was at most {} ms behind the machine's clock", self.bench.lag_ms));
        self.bench.never_together()?;
        let tally = self.bench.judge_store(away)?;
        self.count("readings, each once and with its value", tally.readings as u64);
        self.count("windows of a minute at the hub", tally.windows as u64);
        if !away.is_empty() {
            self.count("windows full in an absence", tally.full as u64);
        }
        Ok(())
    }

    fn sensors(&mut self) -> anyhow::Result<()> {
        let mut values = self.bench.until_shown()?;
        for _ in 1..self.extent.values {
            self.bench.show_other_values(WIDE)?;
            values += self.bench.until_shown()?;
        }
        self.count("values shown", values as u64);
        let failures: Vec<_> = sensors::failures().into_iter().take(self.extent.failures).collect();
        failures.iter().try_for_each(|failure| self.bench.suffer(failure))?;
        self.count("failures of sensors", failures.len() as u64);
        Ok(())
    }

    fn relays(&mut self) -> anyhow::Result<()> {
        self.bench.agent_cannot_extend()?;
        let refused = self.bench.commands_cannot_extend()?;
        self.count("commands to a relay that is on", refused as u64);
        let expired = self.bench.expired()?;
        self.count("expired commands", expired as u64);
        let excluded = self.bench.exclusion()?;
        self.count("commands against an exclusion", excluded as u64);
        let storm = self.bench.storm(self.extent.gusts)?;
        self.count("commands in a storm", storm.into());
        Ok(())
    }

    fn noise(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.extent.frames {
            self.bench.next_frame_is_used()?;
        }
        self.count("frames used behind noise", 2 * self.extent.frames as u64);
        self.bench.noise(self.extent.noise_ms)?;
        self.count("bytes of noise to the board", self.bench.line.noisy(Side::Board));
        self.count("bytes of noise to the agent", self.bench.line.noisy(Side::Agent));
        Ok(())
    }

    /// Restarts of the board by itself, so many times.
    fn restarts(&mut self, restart: &Restart, times: usize) -> anyhow::Result<()> {
        for _ in 0..times {
            let (lasted, heard_at) = self.bench.suffer_restart(restart)?;
            self.say(&format!(
                "{:?}: reset after {lasted} ms, the agent heard {heard_at} ms after the start",
                restart.cause
            ));
            if f64::from(heard_at) > self.length.at_most(BACK_S * 1_000.0) {
                self.bench.find(format!("the agent was heard {heard_at} ms after the board's start"));
            }
        }
        self.count(restart.counted, times as u64);
        Ok(())
    }

    fn link(&mut self) -> anyhow::Result<()> {
        let limits = Limits { max_on: 60_000, link_timeout: self.extent.link_timeout_ms };
        for how in [State::HungUp, State::Cut] {
            let (on_ms, back) = self.bench.lose_link(how, limits)?;
            let back_s = back.as_secs_f64();
            self.say(&format!("{how:?}: relay off after {on_ms} ms, read again {back_s:.1} s after the line was back"));
            if back > Duration::from_secs_f64(self.length.at_most(BACK_S)) {
                self.bench.find(format!("the board was read again {back:?} after the line was back ({how:?})"));
            }
        }
        self.count("links lost", 2);
        Ok(())
    }

    /// The agent is killed while a relay is on, and stays away.
    fn absences(&mut self) -> anyhow::Result<()> {
        let limits = Limits { max_on: 60_000, link_timeout: self.extent.link_timeout_ms };
        let four = self.bench.model.held();
        let mut away = Vec::new();
        for (absence, ms) in self.extent.absences_ms.iter().enumerate() {
            self.bench.measure(&four, INTERVAL_MS)?;
            // The newest reading is at most one interval old.
            let set = self.bench.newest_stamp()? + i64::from(INTERVAL_MS);
            self.bench.pass(self.extent.before_ms)?;
            let from = self.bench.newest_stamp()?;
            // One is ended by the lost link, the next one by its own time.
            let for_s = if absence % 2 == 0 { 60 } else { 4 };
            let (killed_at, on_ms) = self.bench.kill_agent(for_s, limits)?;
            self.say(&format!("agent killed: relay off after {on_ms} ms"));
            away.push(Absence { set, from, to: self.bench.be_away_until(killed_at + ms)? });
        }
        let last = away.last().map_or(0, |away| away.to);
        self.bench.until_closed(last)?;
        self.count("kills of the agent", away.len() as u64);
        self.count("s without the agent", self.extent.absences_ms.iter().sum::<i64>().unsigned_abs() / 1_000);
        self.judge_store(&away)
    }

    /// A siren that is normally energised, on the relay that the image has for it.
    fn siren(&mut self) -> anyhow::Result<()> {
        let held_ms = self.bench.hold_siren(self.extent.siren_ms)?;
        self.count("s that a siren was held", held_ms.unsigned_abs() / 1_000);
        let away_ms = self.bench.restart_agent_under_siren()?;
        self.say(&format!("the agent was away for {away_ms} ms, the siren stayed quiet"));
        for fall in siren::FALLS {
            let (fell_ms, back_ms) = self.bench.siren_falls(*fall)?;
            self.say(&format!("{fall:?}: the siren sounded after {fell_ms} ms, and was quiet {back_ms} ms later"));
        }
        self.count("sirens that sounded without the agent", siren::FALLS.len() as u64);
        Ok(())
    }

    fn count(&mut self, what: &str, count: u64) {
        self.say(&format!("{count} {what}"));
        self.counts.push((what.to_owned(), count));
    }

    fn say(&self, what: &str) {
        println!("    {}: {what}", self.bench.model.image);
    }
}
