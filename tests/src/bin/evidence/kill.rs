//! Kills under load: agent and hub are ended -9 again and again, with full disks and with databases that are cut, deleted,
//! zeroed, flipped or swapped for an older one in between.
//!
//! A farm on the event-time clock has one alert that somebody has acknowledged, and one that fires in every round; a webhook of its
//! own notes each page. Each round says many rows at once, ends the agent in the middle of them (in each third round the hub as
//! well), and does one thing to the disk. At the end four things must hold, and with `--sabotage` each of them is broken once:
//!
//! - the hub has every event of each stream and lane, once, or is told why it is missing;
//! - the id of a page never means two alerts;
//! - an acknowledged alert does not page before its time;
//! - what was lost with a database is said.

pub(crate) mod damage;
mod judge;
mod pages;

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde_json::Value;
use tilth_tests::agent::Folder;
use tilth_tests::live::disk::Disk;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::Hub;
use tilth_tests::random::Random;

use crate::{Length, Outcome, Run};
use damage::{Damage, Held};
use judge::Findings;
use pages::{Acknowledged, Receiver};

/// 2026-03-01T00:00:00Z.
const BEGIN_MS: i64 = 1_772_323_200_000;

/// Between two rows.
const STEP_MS: i64 = 10_000;

/// Rows of a quiet stretch of a round, and of the one in which the agent is killed.
const QUIET_ROWS: i64 = 30;
const HOT_ROWS: i64 = 60;

/// The agent is killed at most so long after the last row was written.
const MOST_AFTER_US: u64 = 40_000;

/// Room on the disk: enough to go on for hundreds of rounds, little enough to be filled at once.
const DISK: &str = "24m";

/// Looks, 50 ms apart, at whether a loss is said: the hub hears of it with the next batch.
const LOOKS: usize = 400;

/// The hub notes when it heard a stream at most so often.
const NOTED_EVERY_MS: i64 = 60_000;

/// Stretches of rows that go into what a full disk has allocated.
const MOST_UNTIL_FULL: usize = 200;

/// An acknowledgement's length: longer than all rounds, in the time of the rows.
const ACKNOWLEDGED_FOR: &str = "30d";
const ACKNOWLEDGED_MS: i64 = 30 * 86_400_000;

/// How often each thing was done.
#[derive(Debug, Default)]
struct Tally {
    agents: usize,
    hubs: usize,
    full: usize,
    damaged: usize,
    losses: usize,
    acknowledged: usize,
}

/// The farm, its hub and its receiver, through all rounds.
struct Story {
    farm: Farm,
    hub: Hub,
    receiver: Receiver,
    disk: Option<Disk>,
    random: Random,
    now_ms: i64,
    /// When the last round began, by the machine's clock.
    began_ms: i64,
    /// What is acknowledged now, as far as the agent can know.
    acknowledged: Vec<Acknowledged>,
    /// An older database, to be swapped in.
    older: Option<Folder>,
    findings: Findings,
    tally: Tally,
    sabotage: bool,
}

pub(crate) fn measure(run: Run) -> Outcome {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = std::env::var("TILTH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    println!("    seed {seed} (TILTH_SEED={seed} takes it again)");
    let kills = match (run.length, run.sabotage) {
        (Length::Full, false) => 300,
        (Length::Short, false) => 20,
        // As far as the damage that the saboteur hides.
        (_, true) => 7,
    };
    let (findings, tally) = walk(kills, Random::new(seed), run.sabotage).map_err(|error| format!("{error:#}"))?;
    let figures = format!(
        "{} kills of the agent, {} of the hub, {} with a full disk, {} with a damaged, lost or older database, {} losses of \
         committed rows, {} events of {} streams, {} pages, {} acknowledgements",
        tally.agents,
        tally.hubs,
        tally.full,
        tally.damaged,
        tally.losses,
        findings.events,
        findings.streams,
        findings.pages,
        tally.acknowledged,
    );
    if run.sabotage {
        return findings.noticed_all(&figures);
    }
    let did =
        [tally.agents, tally.hubs, tally.damaged, tally.losses, findings.events, findings.pages, tally.acknowledged];
    if did.contains(&0) || (tally.full == 0 && rustix::process::geteuid().is_root()) {
        return Err(format!("not enough was exercised: {figures}"));
    }
    findings.none(figures)
}

fn walk(kills: usize, random: Random, sabotage: bool) -> anyhow::Result<(Findings, Tally)> {
    let folder = Folder::new("kill-hub");
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve();
    let farm = Farm::of_hub("kill", "", &hub);
    let receiver = Receiver::start(&farm)?;
    farm.folder.write("etc/config.d/farm.toml", config(receiver.port));
    let disk = Disk::in_memory(&farm.data(), DISK, "evidence kill with full disks");
    let mut story = Story {
        farm,
        hub,
        receiver,
        disk,
        random,
        now_ms: BEGIN_MS,
        began_ms: jiff::Timestamp::now().as_millisecond(),
        acknowledged: Vec::new(),
        older: None,
        findings: Findings::default(),
        tally: Tally::default(),
        sabotage,
    };
    story.farm.start();
    for kill in 0..kills {
        let plan = Damage::ALL;
        // Each once, in an order by chance; between them ordinary kills.
        let damage = if kill < plan.len() { plan[kill] } else { plan[story.random.below(plan.len() as u64) as usize] };
        let began = Instant::now();
        story.round(kill, damage).with_context(|| format!("kill {}, {damage:?}", kill + 1))?;
        println!("    kill {} {damage:?}: {:.1} s", kill + 1, began.elapsed().as_secs_f64());
    }
    story.end()?;
    Ok((story.findings, story.tally))
}

/// Whether a line of the log says that history is missing: the agent by itself, or since the hub knows of more.
fn is_of_loss(line: &str) -> bool {
    let of = ["tilth-agent: store: ", "tilth-agent: sync: "];
    let is_consequence = line.contains(": a new stream begins: ");
    of.iter().any(|of| line.starts_with(of))
        && line.contains("history ")
        && line.contains(" missing")
        && !is_consequence
}

/// The instants that a sentence names, as the log (`2026-03-01 06:30:00 UTC`, perhaps without seconds) and programs write them.
fn dates_in(text: &str) -> Vec<i64> {
    let at = |start: usize| {
        let (minute, second) = (text.get(start..start + 16)?, text.get(start + 16..start + 19));
        let second = second.filter(|second| second.starts_with(':')).unwrap_or(":00");
        let time: jiff::civil::DateTime = format!("{minute}{second}").parse().ok()?;
        time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp().as_millisecond())
    };
    (0..text.len()).filter_map(at).collect()
}

/// Two sensors; `damp` is acknowledged, `hot` fires in every round.
fn config(port: u16) -> String {
    let sensor = |name: &str, quantity: &str| {
        format!(
            "[sensors.'room/{name}']\nquantity = '{quantity}'\ninput = 'line:gateway/{name}'\nstamp = 'source'\n\
             interval = '10s'\nmax_rate = 1000\n"
        )
    };
    let rule = |name: &str, sensor: &str, above: u32| {
        format!("[rules.{name}]\nsensor = 'room/{sensor}'\nabove = {above}\ncooldown = '0s'\nseverity = 'warning'\n")
    };
    let off = |name: &str| format!("[rules.{name}]\nenabled = false\n");
    [
        sensor("temp", "temperature"),
        sensor("hum", "humidity"),
        rule("hot", "temp", 30),
        rule("damp", "hum", 80),
        off("temperature-high"),
        off("humidity-high"),
        off("sensor-silent"),
        format!(
            "[notifications.office]\nkind = 'webhook'\nurl = 'http://127.0.0.1:{port}/'\nsecret = 'secret:office'\n\
             max_per_hour = 3600\n[escalation.default]\nwarning = {{ wait = '15m', channels = ['office'] }}\n"
        ),
    ]
    .concat()
}

impl Story {
    /// Rows at once; nothing is waited for.
    fn say(&mut self, rows: i64, temp: f64) {
        let mut lines = String::new();
        for _ in 0..rows {
            self.now_ms += STEP_MS;
            let _ = writeln!(lines, "time={} temp={temp} hum=85", self.now_ms);
        }
        self.farm.say(lines);
    }

    fn until_decided(&mut self) {
        let now_ms = self.now_ms;
        self.farm.until_decided(&["room/temp", "room/hum"], now_ms);
        // The store hears in order: the second answer comes after what was decided is committed, where that can be.
        self.farm.until("the store answers", |farm| farm.status().is_some());
        self.farm.until("the store answers again", |farm| farm.status().is_some());
    }

    fn round(&mut self, kill: usize, damage: Damage) -> anyhow::Result<()> {
        // The hub has heard the device since the round before began, and notes that at most once a minute.
        let began_ms = std::mem::replace(&mut self.began_ms, jiff::Timestamp::now().as_millisecond()) - NOTED_EVERY_MS;
        // The alert of the round before ended by then at the latest, and such an event is noted.
        let noted = (self.now_ms - QUIET_ROWS * STEP_MS, began_ms / 1000 * 1000);
        self.say(QUIET_ROWS, 21.0);
        self.until_decided();
        self.acknowledge()?;
        if damage.fills() {
            let Some(disk) = &self.disk else { return Ok(()) };
            disk.fill();
            // What was allocated before is used up first.
            for _ in 0..MOST_UNTIL_FULL {
                self.say(QUIET_ROWS, 33.0);
                self.say(QUIET_ROWS, 21.0);
                self.until_decided();
                if trouble(&self.farm).is_some() {
                    break;
                }
            }
            self.farm.until("it says that the disk is full", |farm| trouble(farm).is_some());
            self.tally.full += 1;
        }
        // What is done under the running agent may be said at once.
        let log = self.farm.log().len();
        if damage.is_under_way() {
            damage.does(&self.farm.data(), self.older.as_ref())?;
        }
        self.say(HOT_ROWS, 33.0);
        std::thread::sleep(Duration::from_micros(self.random.below(MOST_AFTER_US)));
        self.farm.kill();
        self.tally.agents += 1;
        if kill % 3 == 1 {
            self.hub.stop();
            self.tally.hubs += 1;
        }
        let lost = self.damage(damage)?;
        if !self.hub.is_up() {
            self.hub.serve();
        }
        let before = (log, self.earlier_streams());
        self.farm.start();
        self.say(QUIET_ROWS, 21.0);
        self.until_decided();
        if lost {
            self.is_said(damage, before, noted);
        }
        if damage.fills()
            && let Some(disk) = &self.disk
        {
            // The agent records again within half a minute, or at the next start.
            disk.free();
        }
        Ok(())
    }

    /// Somebody takes on what is open and not acknowledged; not while no acknowledgement can be written.
    fn acknowledge(&mut self) -> anyhow::Result<()> {
        if trouble(&self.farm).is_some() {
            return Ok(());
        }
        let rows = self.farm.ask(&["alerts", "--json"]).out;
        for row in rows.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let (Some(alert), true) = (row["alert"].as_u64(), row["rule"] == "damp" && row["state"] == "firing") else {
                continue;
            };
            let done = self.farm.ask(&["ack", &alert.to_string(), "--for", ACKNOWLEDGED_FOR, "--by", "robin"]);
            ensure!(done.code == Some(0), "ack {alert}: {}", done.err);
            self.until_decided();
            self.acknowledged.push(Acknowledged {
                alert,
                from_ms: self.now_ms,
                until_ms: self.now_ms + ACKNOWLEDGED_MS,
            });
            self.tally.acknowledged += 1;
        }
        Ok(())
    }

    /// Does it to the files of an agent that does not run, and says whether that cost committed rows.
    fn damage(&mut self, damage: Damage) -> anyhow::Result<bool> {
        let data = self.farm.data();
        let before = Held::of(&data);
        if self.older.is_none() && before.is_some() {
            self.older = Some(damage::copy_of(&data)?);
        }
        if !damage.is_under_way() {
            damage.does(&data, self.older.as_ref())?;
        }
        if damage == Damage::None || damage == Damage::Full {
            return Ok(false);
        }
        self.tally.damaged += 1;
        let lost = damage.is_under_way() || Held::of(&data) != before;
        if lost {
            self.tally.losses += 1;
            // The person who acknowledged it is no longer known.
            self.receiver.no_longer(&mut self.acknowledged, self.now_ms);
        }
        Ok(lost)
    }

    /// The log since it was so long must say that history is missing, and it or the hub, which knew these streams of the device to have
    /// ended, until when there was some: not before what was noted or heard by then. With the whole folder gone only the hub can say it.
    fn is_said(&mut self, damage: Damage, (log, streams): (usize, Vec<String>), (noted_ms, heard_ms): (i64, i64)) {
        // What the saboteur does: it closes its eyes to what is said.
        let is_hidden = self.sabotage && damage == Damage::DatabaseZeroed;
        let mut sentence = None;
        for _ in 0..if is_hidden { 1 } else { LOOKS } {
            let said = self.farm.log().split_off(log);
            sentence = said.lines().find(|line| is_of_loss(line) && !is_hidden).map(str::to_owned);
            let dates = sentence.as_deref().map(dates_in).unwrap_or_default();
            let is_dated =
                dates.iter().any(|at| *at >= noted_ms) || self.ended_streams(&streams).iter().any(|at| *at >= heard_ms);
            if !is_hidden && is_dated && (sentence.is_some() || damage.takes_all()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let how = match sentence {
            Some(sentence) => format!("what is said has no date from {noted_ms} on: {sentence}"),
            None => "nothing says so".to_owned(),
        };
        self.findings.unsaid.push(format!("{damage:?} lost committed rows and {how}"));
    }

    /// When the hub heard each stream last that is not among those that had ended before.
    fn ended_streams(&self, before: &[String]) -> Vec<i64> {
        let is_new = |stream: &&Value| !before.iter().any(|name| stream["stream"] == *name);
        let heard = |stream: &Value| stream["last_heard"].as_str().map(dates_in).unwrap_or_default();
        self.earlier().iter().filter(is_new).flat_map(heard).collect()
    }

    /// Names of the streams of the device that the hub says have ended.
    fn earlier_streams(&self) -> Vec<String> {
        self.earlier().iter().filter_map(|stream| stream["stream"].as_str().map(str::to_owned)).collect()
    }

    /// What the hub says of the streams that have ended, the newest ones.
    fn earlier(&self) -> Vec<Value> {
        let health = self.hub.get("/api/health");
        health["devices"][0]["earlier_streams"].as_array().cloned().unwrap_or_default()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.say(QUIET_ROWS, 21.0);
        self.until_decided();
        self.farm.until("everything is at the hub", |farm| {
            let Some(status) = farm.status() else { return false };
            ["windows", "events", "diagnostics"].iter().all(|lane| status["store"]["lanes"][lane]["waiting"] == 0)
        });
        self.farm.stop();
        self.hub.stop();
        self.receiver.no_longer(&mut self.acknowledged, self.now_ms);
        let database = self.hub.folder.join("hub.db");
        if self.sabotage {
            judge::drop_an_event(&database)?;
            self.receiver.forge();
        }
        judge::events(&database, &mut self.findings)?;
        self.receiver.judge(&mut self.findings);
        Ok(())
    }
}

fn trouble(farm: &Farm) -> Option<String> {
    farm.status()?["store"]["trouble"].as_str().map(str::to_owned)
}
