//! Evidence that no dose passes its limit: random histories of the interlock on paper, and the real agent with the firmware on a
//! pseudo-terminal, ended -9 again and again around its bookings.
//!
//! What flowed is measured at the board's relays, not asked of the agent. Two dosers are asked for more than they may, by people, by rules and
//! both at once, and every few kills another configuration is drawn: limits of an hour, a day or both, other pauses, exclusion or none.
//! After each start what the agent says was dosed must be no less than what flowed, and at the end no dose may have passed a limit that
//! was in force when it began. With a disk that is frozen or full a third one is on, and must go off at once. A dose that cannot be
//! booked is refused and said, and so is each one after the database was lost.
//!
//! The saboteur makes the disk forget one booking: it puts the data folder back as it was before.

mod flow;
mod setup;

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde::Deserialize;
use tilth_tests::agent::{Folder, Run as Ran, profile_folder, program};
use tilth_tests::live::Running;
use tilth_tests::live::disk::Disk;
use tilth_tests::live::farm::Farm;
use tilth_tests::random::Random;
use tilth_tests::workspace;

use crate::kill::damage::{Damage, copy_of};
use crate::{Length, Outcome, Run, outcome};
use flow::Board;
use setup::{Asker, DOSE_S, Doser, FEED, FORGOTTEN_S, LONGEST_S, PROBE, Period, Setup, USUAL, judge};

/// Board and agent run so many times as fast as the machine.
const TIME_SCALE: u32 = 20;

/// Longer than a dose takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kills for each one that is wanted between booking and switching, after which there are no more: a run ends with every seed.
const MOST_KILLS: usize = 8;

/// Longest wait for a kill after the store began to write, in microseconds: at first, and as it is learnt from the kills.
const AIM: u64 = 3000;
const AIMS: std::ops::RangeInclusive<u64> = 100..=50_000;

/// Of so many kills, two are at a doser whose limit is reached.
const USED_UP: usize = 16;

/// Kills after which another configuration is drawn.
const REDRAWN: usize = 4;

/// Doses after which a limit that is not reached is no limit.
const MOST_DOSES: usize = 200;

/// When the agent is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At any time after it was asked.
    Any,
    /// Soon after the store began to write.
    Booking,
    /// While the relay is on.
    On,
}

/// A row of `actuators --json`.
#[derive(Debug, Deserialize)]
struct Row {
    actuator: String,
    state: String,
    hour_s: f64,
    dose_per_hour_s: Option<f64>,
    day_s: f64,
    dose_per_day_s: Option<f64>,
    must_rest_s: Option<f64>,
    doses_unknown: bool,
}

/// How often each thing was done.
#[derive(Debug, Default)]
struct Tally {
    /// Kills before the dose was booked, and between the booking and the switching.
    before: usize,
    between: usize,
    /// Kills after the relay was switched on.
    after: usize,
    /// Kills while the limit allowed no dose.
    used_up: usize,
    /// Of these, kills in a dose that a rule asked for. And kills while both dosers were asked for.
    by_rules: usize,
    both: usize,
    /// Times at which something that was on went off with a disk that took nothing.
    off: usize,
    /// Doses that were refused, and said, because they could not be booked or those of before were unknown.
    refused: usize,
}

impl Tally {
    fn kills(&self) -> usize {
        self.before + self.between + self.after + self.used_up + self.both
    }
}

pub(crate) fn measure(run: Run) -> Outcome {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = std::env::var("TILTH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    println!("    seed {seed} (TILTH_SEED={seed} takes it again)");
    let (histories_wanted, kills, limits_s) = match (run.length, run.sabotage) {
        (_, true) => (0, 0, [12, 6]),
        (Length::Full, false) => (10_000, 100, [480, 420]),
        (Length::Short, false) => (1000, 6, [60, 30]),
    };
    let mut rig = Rig::new(Random::new(seed), limits_s).map_err(|error| format!("{error:#}"))?;
    if run.sabotage {
        rig.forget_a_booking().and_then(|()| rig.use_up()).map_err(|error| format!("{error:#}"))?;
        return rig.end("one booking skipped");
    }
    let said = histories(histories_wanted).map_err(|error| format!("{error:#}"))?;
    rig.walk(kills).map_err(|error| format!("{error:#}"))?;
    let wanted = if matches!(run.length, Length::Full) { kills } else { 1 };
    if rig.tally.between < wanted
        || rig.tally.after == 0
        || rig.tally.by_rules == 0
        || rig.tally.both == 0
        || (rig.tally.off == 0 && rustix::process::geteuid().is_root())
    {
        return Err(format!("not enough was exercised: {:?}", rig.tally));
    }
    rig.end(&said)
}

/// Runs random histories of the interlock, by the property test of the core, and answers with its counts.
fn histories(wanted: u32) -> anyhow::Result<String> {
    let folder = profile_folder();
    let profile = folder.file_name().and_then(|name| name.to_str()).context("a profile's folder")?;
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--quiet", "--locked", "--package", "tilth-core", "--lib", "--profile"])
        .arg(if profile == "debug" { "dev" } else { profile })
        .args(["--", "--nocapture", "--exact", "engine::tests::doses::no_history_passes_a_limit"])
        .env("TILTH_HISTORIES", wanted.to_string())
        .current_dir(workspace())
        .output()?;
    let run = Ran::of(output);
    ensure!(run.code == Some(0), "random histories of the interlock: {}{}", run.out, run.err);
    let counts = run.out.lines().find(|line| line.starts_with(&format!("{wanted} histories")));
    counts.map(str::to_owned).with_context(|| format!("no count of histories:\n{}", run.out))
}

/// The farm, its board and its disk.
struct Rig {
    farm: Farm,
    board: Board,
    /// The configurations so far, each with the board time from which it is in force.
    setups: Vec<(i64, Setup)>,
    /// Most seconds of a doser within an hour and a day that a configuration allows.
    limits_s: [i64; 2],
    disk: Option<Disk>,
    random: Random,
    /// Longest wait for the next kill between booking and switching, in microseconds.
    aim: u64,
    findings: Vec<String>,
    tally: Tally,
}

impl Rig {
    /// With limits of at most so many seconds within an hour and a day.
    fn new(random: Random, limits_s: [i64; 2]) -> anyhow::Result<Rig> {
        let folder = Folder::new("dosing");
        let setup = Setup::plain(limits_s);
        folder.write("etc/config.d/dosing.toml", setup.config());
        folder.write("etc/agent.toml", "[device]\nid = 'pi'\n[bus.doser]\nkind = 'board'\nport = 'board'\n");
        let board = Board::start(&folder.path().join("board"), TIME_SCALE)?;
        let mut farm = Farm::found(folder);
        farm.pull_out();
        farm.clock = "x20";
        let disk = Disk::ext4(&farm.data(), "evidence dosing with frozen and full disks");
        let mut rig = Rig {
            farm,
            board,
            setups: vec![(0, setup)],
            limits_s,
            disk,
            random,
            aim: AIM,
            findings: Vec::new(),
            tally: Tally::default(),
        };
        rig.start();
        Ok(rig)
    }

    fn start(&mut self) {
        self.farm.launch();
        self.farm.until("the board is there", |farm| {
            farm.status().is_some_and(|status| status["buses"][0]["state"] == "up")
        });
    }

    fn walk(&mut self, between: usize) -> anyhow::Result<()> {
        self.off_never_waits()?;
        for round in 0..MOST_KILLS * between {
            if self.tally.between >= between {
                break;
            }
            if round % REDRAWN == REDRAWN - 1 {
                let asker = [Asker::Rule, Asker::Both, Asker::Person, Asker::Rule][round / REDRAWN % 4];
                let setup = Setup::drawn(&mut self.random, self.limits_s, asker);
                self.set_up(setup)?;
            }
            let [mut doser, other] = [round, round + 1].map(|number| self.dosers()[number % 2]);
            if round % USED_UP > 1 && !self.may_dose(doser) {
                doser = other;
            }
            let moment = [Moment::Booking, Moment::Any, Moment::Booking, Moment::On][round / 2 % 4];
            self.round(doser, moment)?;
            ensure!(self.findings.len() < 5, "given up: {}", self.findings.join("; "));
        }
        self.use_up()?;
        self.lose_the_database()
    }

    fn dosers(&self) -> [Doser; 2] {
        self.setup().dosers
    }

    /// The configuration in force.
    fn setup(&self) -> Setup {
        self.setups.last().map_or_else(|| Setup::plain(self.limits_s), |(_, setup)| *setup)
    }

    /// Puts another configuration into force, while the agent is killed.
    fn set_up(&mut self, setup: Setup) -> anyhow::Result<()> {
        self.farm.kill();
        self.farm.folder.write("etc/config.d/dosing.toml", setup.config());
        self.setups.push((self.board.now_ms(), setup));
        self.start();
        for doser in setup.dosers {
            let row = self.row(doser.name).context("a doser is missing")?;
            let in_force = [row.dose_per_hour_s, row.dose_per_day_s];
            ensure!(in_force == doser.limits_s(), "{}: limits of {in_force:?} are in force", doser.name);
        }
        Ok(())
    }

    /// Asks for a dose, by whom the configuration in force says.
    fn ask_for(&mut self, doser: Doser) -> anyhow::Result<Vec<Running>> {
        let asked = match self.setup().asker {
            Asker::Person => vec![doser],
            Asker::Both => self.dosers().to_vec(),
            Asker::Rule => {
                self.board.show(PROBE, doser.asks_at);
                Vec::new()
            }
        };
        asked.iter().map(|doser| Ok(Running::start(&mut self.actuate(doser.name, DOSE_S))?)).collect()
    }

    /// Waits until no rule asks any more.
    fn end_asking(&mut self) {
        self.board.show(PROBE, USUAL);
        self.farm.until("no rule asks for a dose", |farm| !farm.ask(&["alerts", "--json"]).out.contains("-asks\""));
    }

    /// Whether the limit of a doser allows a dose.
    fn may_dose(&mut self, doser: Doser) -> bool {
        doser.may_dose(&self.ready(doser.name))
    }

    /// Asks for a dose, and kills the agent about then.
    fn round(&mut self, doser: Doser, moment: Moment) -> anyhow::Result<()> {
        let asker = self.setup().asker;
        for doser in self.dosers() {
            self.ready(doser.name);
        }
        let before = self.ready(doser.name);
        let doses = self.board.flow().doses(doser.relay);
        let may_dose = doser.may_dose(&before);
        let written = self.log_state();
        let asked = self.ask_for(doser)?;
        match moment {
            Moment::Any => self.wait_up_to(40_000),
            Moment::Booking => {
                self.look_until(may_dose, |rig| rig.log_state() != written);
                self.wait_up_to(self.aim);
            }
            Moment::On => {
                self.look_until(may_dose, |rig| rig.board.flow().doses(doser.relay) > doses);
                self.wait_up_to(80_000);
            }
        }
        self.farm.kill();
        drop(asked);
        self.wait_up_to(100_000);
        self.start();
        if asker == Asker::Rule {
            self.end_asking();
        }
        self.dosers().into_iter().for_each(|doser| self.compare(doser, moment));
        if asker == Asker::Both {
            // Whether it is booked and does not flow depends on the other one as well.
            self.tally.both += 1;
            return Ok(());
        }
        self.tally.by_rules += usize::from(asker == Asker::Rule);
        // Everything that was under way has come to an end now.
        let after = self.ready(doser.name);
        let is_booked = after.day_s > before.day_s + DOSE_S / 2.0;
        let flowed = self.board.flow().doses(doser.relay) > doses;
        if let (Moment::Booking, true) = (moment, may_dose) {
            self.learn(is_booked, flowed);
        }
        match (is_booked, flowed) {
            (false, true) => self.findings.push(format!("{} was switched on without a booking", doser.name)),
            (true, true) => self.tally.after += 1,
            (true, false) => self.tally.between += 1,
            (false, false) if may_dose => self.tally.before += 1,
            (false, false) => self.tally.used_up += 1,
        }
        Ok(())
    }

    /// How long after the first write a dose is booked and not switched yet depends on disk and machine: a kill that was late makes the
    /// next ones earlier, and one that was early later.
    fn learn(&mut self, is_booked: bool, flowed: bool) {
        let aim = match (is_booked, flowed) {
            (_, true) => self.aim / 2,
            (false, false) => self.aim * 2,
            (true, false) => self.aim,
        };
        self.aim = aim.clamp(*AIMS.start(), *AIMS.end());
    }

    /// What the agent says was dosed is no less than what flowed.
    fn compare(&mut self, doser: Doser, moment: Moment) {
        let (flow, until) = (self.board.flow(), self.board.now_ms());
        let Some(row) = self.row(doser.name) else { return };
        for period in [Period::Hour, Period::Day] {
            let flowed_s = flow.between_ms(doser.relay, until - period.millis(), until) as f64 / 1000.0;
            let said_s = row.used_s(period);
            if said_s + 0.001 < flowed_s {
                let name = doser.name;
                self.findings.push(format!(
                    "killed at {moment:?}: {flowed_s} s of {name} flowed within {period} and {said_s} s are known"
                ));
            }
        }
    }

    /// Asks for doses until the limits refuse them.
    fn use_up(&mut self) -> anyhow::Result<()> {
        for (doser, dose_s) in self.dosers().into_iter().flat_map(|doser| [(doser, LONGEST_S), (doser, DOSE_S)]) {
            let mut asked = 0;
            loop {
                self.ready(doser.name);
                let ran = Ran::of(self.actuate(doser.name, dose_s).output()?);
                if ran.err.contains("is used up") {
                    break;
                }
                asked += 1;
                ensure!(asked < MOST_DOSES, "{} has no limit: {}{}", doser.name, ran.out, ran.err);
            }
        }
        Ok(())
    }

    /// What is on goes off at once while the disk takes nothing: by a hold where it is frozen, by a command where it is full. And a dose
    /// that cannot be booked is not given, and said.
    fn off_never_waits(&mut self) -> anyhow::Result<()> {
        let Some(disk) = self.disk.take() else { return Ok(()) };
        self.feed()?;
        let frozen = disk.freeze();
        let mut held = Running::start(&mut self.command(&["hold", "tank", "--by", "robin"]))?;
        self.goes_off()?;
        drop(frozen);
        held.0.wait()?;
        self.end_hold()?;
        self.feed()?;
        disk.fill();
        let mut switched = Running::start(&mut self.command(&["actuate", FEED.0, "off", "--by", "robin"]))?;
        self.goes_off()?;
        switched.0.wait()?;
        self.is_refused("could not be kept on the disk")?;
        disk.free();
        self.disk = Some(disk);
        Ok(())
    }

    /// Switches on what must go off.
    fn feed(&mut self) -> anyhow::Result<()> {
        let (feed, relay, asked_s) = FEED;
        self.ready(feed);
        let on = Ran::of(self.actuate(feed, asked_s).output()?);
        ensure!(on.code == Some(0), "{feed}: {}", on.err);
        self.look_until(true, |rig| rig.board.flow().is_on(relay));
        Ok(())
    }

    /// Waits until it is off, and looks whether that was before its own timer.
    fn goes_off(&mut self) -> anyhow::Result<()> {
        let (feed, relay, asked_s) = FEED;
        self.look_until(true, |rig| !rig.board.flow().is_on(relay));
        let flowed_ms = self.board.flow().last_ms(relay).context("the relay stays on")?;
        if flowed_ms < (asked_s * 1000.0) as i64 {
            self.tally.off += 1;
        } else {
            self.findings.push(format!("{feed} went off by its own timer, after {flowed_ms} ms"));
        }
        Ok(())
    }

    /// A dose is refused for this reason, does not flow, and an alert says so. What a disk has allocated is used up before it is full.
    fn is_refused(&mut self, why: &str) -> anyhow::Result<()> {
        let (feed, relay, _) = FEED;
        for _ in 0..MOST_DOSES {
            self.ready(feed);
            let doses = self.board.flow().doses(relay);
            let ran = Ran::of(self.actuate(feed, DOSE_S).output()?);
            if ran.code == Some(0) {
                continue;
            }
            ensure!(ran.err.contains(why), "expected {why:?}, got {}", ran.err);
            self.farm.until("an alert says that dosing is stopped", |farm| {
                farm.ask(&["alerts", "--json"]).out.contains("\"rule\":\"dosing-stopped\"")
            });
            ensure!(self.board.flow().doses(relay) == doses, "{feed} flowed all the same");
            self.tally.refused += 1;
            return Ok(());
        }
        anyhow::bail!("no dose is refused: expected {why:?}")
    }

    /// Without its database it is unknown what was dosed: nothing is dosed until a person says so.
    fn lose_the_database(&mut self) -> anyhow::Result<()> {
        self.farm.kill();
        Damage::DatabaseDeleted.does(&self.farm.data(), None)?;
        self.start();
        self.is_refused("history is missing")?;
        self.end_hold()?;
        ensure!(self.row(FEED.0).is_some_and(|row| !row.doses_unknown), "the zone stays held");
        Ok(())
    }

    fn end_hold(&self) -> anyhow::Result<()> {
        let ended = self.farm.ask(&["hold", "tank", "--end", "--by", "robin"]);
        ensure!(ended.code == Some(0), "the hold does not end: {}", ended.err);
        Ok(())
    }

    /// What the saboteur does: a dose that flowed is in no database.
    fn forget_a_booking(&mut self) -> anyhow::Result<()> {
        let doser = self.dosers()[0];
        self.ready(doser.name);
        self.farm.kill();
        let before = copy_of(&self.farm.data())?;
        self.start();
        self.ready(doser.name);
        let ran = Ran::of(self.actuate(doser.name, FORGOTTEN_S).output()?);
        ensure!(ran.code == Some(0), "{}", ran.err);
        self.ready(doser.name);
        ensure!(self.board.flow().doses(doser.relay) == 1, "expected one dose to flow");
        self.farm.kill();
        Damage::Older.does(&self.farm.data(), Some(&before))?;
        self.start();
        self.compare(doser, Moment::Any);
        Ok(())
    }

    /// The verdict over everything that flowed.
    fn end(mut self, said: &str) -> Outcome {
        let (too_much, most) = judge(&self.board.flow(), &self.setups, self.board.now_ms());
        self.findings.extend(too_much);
        let Tally { before, between, after, used_up, by_rules, both, off, refused } = self.tally;
        let figures = format!(
            "{said}; {} kills of the agent with {} configurations: {before} before the booking, {between} between booking and switching, \
             {after} after it, {used_up} with the limit reached, {by_rules} of these in doses of rules; {both} with both dosers asked for; \
             at most {}; {off} times off at once with a frozen or full disk; \
             {refused} doses refused and said, with a full disk and without the database",
            self.tally.kills(),
            self.setups.len(),
            most.join(", and ")
        );
        outcome(figures, &self.findings)
    }

    /// Waits until an actuator is off and has rested.
    fn ready(&mut self, name: &str) -> Row {
        let is_ready = |row: &Row| row.state == "off" && row.must_rest_s.is_none();
        let mut found = None;
        self.farm.until(&format!("{name} is off and has rested"), |farm| {
            found = row(farm, name).filter(is_ready);
            found.is_some()
        });
        found.expect("it was found")
    }

    fn row(&self, name: &str) -> Option<Row> {
        row(&self.farm, name)
    }

    fn actuate(&self, name: &str, on_s: f64) -> Command {
        self.command(&["actuate", name, "on", "--for", &format!("{on_s}s"), "--by", "robin"])
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(words).arg("--socket").arg(self.farm.socket()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Changes with each write to the log of the database.
    fn log_state(&self) -> Option<(u64, SystemTime)> {
        let file = fs::metadata(self.farm.data().join("tilth.db-wal")).ok()?;
        Some((file.len(), file.modified().ok()?))
    }

    fn wait_up_to(&mut self, micros: u64) {
        sleep(Duration::from_micros(self.random.below(micros)));
    }

    /// Looks often until something is so, if it is `expected`; what comes of it is judged later.
    fn look_until(&self, expected: bool, is_so: impl Fn(&Rig) -> bool) {
        let began = Instant::now();
        while expected && !is_so(self) && began.elapsed() < PATIENCE {
            sleep(Duration::from_micros(50));
        }
    }
}

impl Doser {
    fn may_dose(&self, row: &Row) -> bool {
        self.limits().all(|limit| limit.most_ms as f64 / 1000.0 - row.used_s(limit.period) >= DOSE_S)
    }
}

impl Row {
    fn used_s(&self, period: Period) -> f64 {
        match period {
            Period::Hour => self.hour_s,
            Period::Day => self.day_s,
        }
    }
}

fn row(farm: &Farm, name: &str) -> Option<Row> {
    let said = farm.ask(&["actuators", "--json"]).out;
    let mut rows = said.lines().filter_map(|line| serde_json::from_str::<Row>(line).ok());
    rows.find(|row| row.actuator == name)
}
