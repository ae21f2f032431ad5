//! The bench: a board in the emulator, the line to it, the real agent, and the hub that it tells what it stored.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tilth_tests::agent::{Folder, Run as Ran};
use tilth_tests::live::emulator::Model;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::Hub;
use tilth_tests::random::Random;
use tilth_wire::{ChannelKind, Refusal, SetChannel, SetRelay, Switch, ToBoard};

use super::board::Board;
use super::heard::Start;
use super::line::Line;
use super::sensors::{Sensor, sensors};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two questions to the agent.
const LOOK: Duration = Duration::from_millis(20);

/// A relay is off this much after its time is over, in milliseconds: a round of the board's loop, and a sensor that is measured.
pub(super) const SLACK_MS: i64 = 60;

/// First id of the commands of this bench; those of the agent are random.
const FIRST_COMMAND: u32 = 0x7E57_0000;

/// How far ahead a command of this bench expires, in milliseconds of board time.
pub(super) const EXPIRES: i64 = 5_000;

/// Limits of a relay, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_on: u32,
    pub(super) link_timeout: u32,
}

pub(super) struct Bench {
    pub(super) model: &'static Model,
    /// Board and agent run so many times as fast as the machine.
    pub(super) speed: u32,
    pub(super) random: Random,
    pub(super) board: Board,
    pub(super) line: Line,
    pub(super) farm: Farm,
    pub(super) hub: Hub,
    pub(super) sensors: Vec<Sensor>,
    /// What each sensor was made to show so far.
    pub(super) shown: BTreeMap<String, Vec<f64>>,
    /// Sensors that were made to fail.
    pub(super) failed: BTreeSet<String>,
    /// At each kill of the agent, by channel: how many readings it had stored, as it told the board.
    pub(super) kept: Vec<BTreeMap<u8, usize>>,
    /// What did not hold.
    pub(super) findings: Vec<String>,
    /// When the board was plugged in, by the machine's clock.
    began: Instant,
    /// How far the board was behind the machine's clock at most, in milliseconds.
    pub(super) lag_ms: i64,
    last_command: u32,
    _hub_folder: Folder,
}

impl Bench {
    /// A bench whose board is on, set as a technician sets it, and whose agent does not run yet.
    pub(super) fn set_up(model: &'static Model, speed: u32, actuators: &str, random: Random) -> anyhow::Result<Bench> {
        let (board, began) = (Board::start(model, speed)?, Instant::now());
        let line = Line::to(board.port)?;
        let hub_folder = Folder::new("boards-hub");
        let mut hub = Hub::new(&hub_folder.path().join("hub"));
        hub.serve();
        let (sensors, shown, failed) = (sensors(model), BTreeMap::new(), BTreeSet::new());
        let farm = farm(&sensors, actuators, speed, &line, &hub)?;
        let (findings, last_command, _hub_folder) = (Vec::new(), FIRST_COMMAND, hub_folder);
        let mut bench = Bench {
            model,
            speed,
            random,
            board,
            line,
            farm,
            hub,
            sensors,
            shown,
            failed,
            kept: Vec::new(),
            findings,
            began,
            lag_ms: 0,
            last_command,
            _hub_folder,
        };
        bench.note_first_values();
        bench.line.say(&ToBoard::Identify)?;
        bench.until("the board says who it is", |bench| bench.start(|_| ()).is_ok())?;
        Ok(bench)
    }

    /// Notes what does not hold.
    pub(super) fn find(&mut self, finding: impl Into<String>) {
        let finding = format!("{}: {}", self.model.image, finding.into());
        println!("    {finding}");
        self.findings.push(finding);
    }

    /// Starts the agent, and waits until it reads the board.
    pub(super) fn start_agent(&mut self) -> anyhow::Result<()> {
        self.farm.launch();
        self.until("the agent reads the board", |bench| bench.bus()["state"] == "up")
    }

    /// Kills the agent, as a power cut would.
    pub(super) fn kill(&mut self) {
        self.farm.kill();
        let kept = self.line.heard(|heard| {
            let mut kept = BTreeMap::new();
            for (number, start) in (1..).zip(&heard.starts) {
                let is_kept =
                    |seq: &u32| number < heard.starts.len() || start.stored.is_some_and(|stored| *seq <= stored);
                for (_, reading) in start.readings.iter().filter(|(seq, _)| is_kept(seq)) {
                    *kept.entry(reading.channel).or_default() += 1;
                }
            }
            kept
        });
        self.kept.push(kept);
    }

    /// Waits until something is so.
    pub(super) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Bench) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while !is_so(self) {
            let last = || format!("{:#}", self.bus());
            ensure!(began.elapsed() < PATIENCE, "{}: not within {PATIENCE:?}: {what}\n{}", self.model.image, last());
            sleep(LOOK);
        }
        Ok(())
    }

    /// Lets the board run for so long, by its own clock.
    pub(super) fn pass(&mut self, ms: i64) -> anyhow::Result<()> {
        let end = self.now_ms()? + ms;
        loop {
            let left = end - self.now_ms()?;
            if left <= 0 {
                return Ok(());
            }
            sleep(Duration::from_millis(left.unsigned_abs().div_ceil(self.speed.into()).min(200)));
        }
    }

    /// The board's time, in milliseconds. Notes how far it is behind the machine's clock, which the agent follows.
    pub(super) fn now_ms(&mut self) -> anyhow::Result<i64> {
        let now = self.board.now_ms()?;
        let lag = (self.began.elapsed() * self.speed).as_millis() as i64 - now;
        self.lag_ms = self.lag_ms.max(lag);
        Ok(now)
    }

    /// The board's bus in `status`.
    pub(super) fn bus(&self) -> Value {
        self.farm.status().unwrap_or_default()["buses"][0].clone()
    }

    /// A row of `actuators --json`.
    fn actuator(&self, name: &str) -> Value {
        let said = self.farm.ask(&["actuators", "--json"]).out;
        let mut rows = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        rows.find(|row| row["actuator"] == name).unwrap_or_default()
    }

    /// Asks the agent to switch an actuator on.
    pub(super) fn ask_on(&self, name: &str, for_s: u32) -> Ran {
        self.farm.ask(&["actuate", name, "on", "--for", &format!("{for_s}s"), "--by", "robin"])
    }

    /// Switches an actuator on by the agent, and waits until its relay is on; when that was.
    pub(super) fn switch_on(&mut self, name: &str, relay: u8, for_s: u32) -> anyhow::Result<i64> {
        let is_ready = |row: &Value| row["state"] == "off" && row["must_rest_s"].is_null();
        self.until(&format!("{name} is off and has rested"), |bench| is_ready(&bench.actuator(name)))?;
        // The board's own shortest time off.
        self.pass(1_100)?;
        let from = self.now_ms()?;
        let ran = self.ask_on(name, for_s);
        ensure!(ran.code == Some(0), "{name}: {}", ran.err);
        self.until(&format!("{name} is on"), |bench| bench.board.flow().since(relay, from).next().is_some())?;
        let begun = self.board.flow().since(relay, from).next();
        begun.map(|(begin, _)| begin).context("it went on")
    }

    /// Waits until a relay that went on at an instant is off; it must be so by `by`. When that was; none where it is still on.
    pub(super) fn off_by(&mut self, relay: u8, on_at: i64, by: i64, why: &str) -> anyhow::Result<Option<i64>> {
        loop {
            let end = self.board.flow().since(relay, on_at).next().and_then(|(_, end)| end);
            let now = self.now_ms()?;
            let is_late = end.unwrap_or(now) > by + SLACK_MS;
            if is_late {
                let until = end.map_or("is still on".to_owned(), |end| format!("went off {} ms late", end - by));
                self.find(format!("relay {relay} {until}: expected it off within {} ms ({why})", by - on_at));
            }
            if is_late || end.is_some() {
                return Ok(end);
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Gives the board a command past the agent, again and again until it is answered.
    pub(super) fn command(&mut self, message: impl Fn(u32) -> ToBoard) -> anyhow::Result<Result<bool, Refusal>> {
        let command = self.next_command();
        let mut answer = None;
        self.until("the board answers a command", |bench| {
            let sent = bench.line.say(&message(command)).is_ok();
            // Two rounds of the line at least.
            let _ = bench.pass(100);
            answer = bench.line.heard(|heard| heard.answers.get(&command).copied());
            answer.is_some() || !sent
        })?;
        answer.context("the line is gone")
    }

    /// An id for a command of this bench.
    pub(super) fn next_command(&mut self) -> u32 {
        self.last_command += 1;
        self.last_command
    }

    /// Board time since its last start, as it said it last.
    pub(super) fn said_at(&self) -> u32 {
        self.line.heard(|heard| heard.newest().map_or(0, |start| start.at))
    }

    /// A command to switch a relay, past the agent.
    pub(super) fn switch(&mut self, relay: u8, on_for: u32) -> anyhow::Result<Result<bool, Refusal>> {
        let expires = self.said_at().wrapping_add_signed(EXPIRES as i32);
        self.command(|command| ToBoard::Switch(Switch { command, relay, on_for, expires }))
    }

    /// Tightens the limits of both relays, which exclude each other; what is on goes off.
    pub(super) fn limit(&mut self, limits: Limits) -> anyhow::Result<()> {
        let Limits { max_on, link_timeout } = limits;
        // The agent sends those of its actuators, which are wider, whenever it greets the board.
        self.until("the board has the agent's limits", |bench| bench.bus()["board"]["unanswered"] == 0)?;
        for relay in 0..2 {
            let set =
                |command| SetRelay { command, relay, max_on, min_off: 1_000, link_timeout, excludes: 1 << (1 - relay) };
            let answer = self.command(|command| ToBoard::SetRelay(set(command)))?;
            ensure!(answer.is_ok(), "limits of relay {relay}: {answer:?}");
        }
        // Until it has rested.
        self.pass(1_100)
    }

    /// Makes channels measure at an interval, in milliseconds, set one after the other as a technician does; the others are off.
    pub(super) fn measure(&mut self, channels: &[u8], interval: u32) -> anyhow::Result<()> {
        for (channel, wired) in (0..).zip(self.model.kinds()) {
            // A round of measurements begins with the next heartbeat.
            self.next_heartbeat()?;
            let kind = if channels.contains(&channel) { wired } else { ChannelKind::Off };
            // One conversion, for a mean may begin before a value is shown and end after. Of pulses: of a sensor that does not bounce.
            let oversampling = u8::from(kind == ChannelKind::Pulse);
            let set = |command| SetChannel { command, channel, kind, interval, oversampling };
            let answer = self.command(|command| ToBoard::SetChannel(set(command)))?;
            ensure!(answer == Ok(false), "channel {channel}: {answer:?}");
        }
        Ok(())
    }

    /// Looks at the board's newest start.
    pub(super) fn start<T>(&self, look: impl FnOnce(&Start) -> T) -> anyhow::Result<T> {
        self.line.heard(|heard| heard.newest().map(look)).context("the board has said nothing")
    }

    /// Waits for the next Heartbeat of the board; its board time.
    pub(super) fn next_heartbeat(&mut self) -> anyhow::Result<u32> {
        let at = |bench: &Bench| bench.start(|start| start.heartbeat.map(|heartbeat| heartbeat.at));
        let before = at(self)?;
        self.until("a heartbeat of the board", |bench| at(bench).is_ok_and(|at| at != before))?;
        at(self)?.context("it came")
    }
}

/// The farm of a bench: its agent reads the board over the line, and tells the hub.
fn farm(sensors: &[Sensor], actuators: &str, speed: u32, line: &Line, hub: &Hub) -> anyhow::Result<Farm> {
    let folder = Folder::new("boards");
    let sensors: String = sensors.iter().map(Sensor::config).collect();
    folder.write("etc/config.d/bench.toml", sensors + actuators);
    let record = folder.path().join("record");
    let mut farm = Farm::found(folder);
    farm.pull_out();
    farm.clock = match speed {
        1 => "x1",
        2 => "x2",
        3 => "x3",
        4 => "x4",
        other => anyhow::bail!("no clock is {other} times as fast"),
    };
    farm.options = vec!["--record".to_owned(), record.display().to_string()];
    farm.trust(&hub.folder.join("hub.pub"));
    farm.give_key(&hub.device_key);
    let bus = format!("[bus.bench]\nkind = 'board'\nport = 'tcp://127.0.0.1:{}'\n", line.port);
    let hub_table = farm.hub_table(&format!("http://127.0.0.1:{}", hub.port));
    farm.folder.write("etc/agent.toml", format!("[device]\nid = 'pi-1'\nclient = 'acme'\n{bus}{hub_table}"));
    Ok(farm)
}

/// A pump on relay 0 and a fan on relay 1 that may not run together.
pub(super) fn actuators(_: &Model) -> String {
    "
[actuators.pump]
zone = 'bench'
output = 'board:bench/relay-0'
max_on = '60s'
[actuators.fan]
zone = 'bench'
output = 'board:bench/relay-1'
max_on = '60s'
excludes = ['pump']
[rules.sensor-silent]
enabled = false
"
    .to_owned()
}
