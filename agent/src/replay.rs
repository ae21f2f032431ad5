//! `tilth-agent replay`: the real engine over recorded readings.
//!
//! ```text
//! file -- readings (a thread) -- feed --> player (engine, clock) --> effects --> lines, tally, digest
//!                                                                                   |
//!                                                   end: summary, page <------------+
//! ```
//!
//! A file that `run --record` wrote goes another way; see [`recorded`].
//!
//! In a gap of more than 31 days the lines leave out most repeats and say how many; see [`repeats`].

mod course;
mod digest;
mod feed;
mod outcome;
mod page;
mod player;
pub(crate) mod readings;
mod recorded;
mod repeats;
mod roster;
mod spacing;
mod stamps;
mod summary;
mod tally;

use std::io::{self, IsTerminal};
use std::num::NonZeroU64;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use tilth_config::Purpose;
use tilth_core::effect::Effect;
use tilth_core::id::SensorId;
use tilth_core::plan::Plan;
use tilth_core::sensor::Sensor;
use tilth_core::unit::Unit;

use crate::cli;
use crate::exit::Exit;
use crate::findings::{self, Counts};
use crate::output::{Output, counted, tell};
use crate::transition::{Line, Widths};
use course::Course;
use digest::Digest;
use feed::{Batch, Feed};
use outcome::Outcome;
use page::Destination;
use player::Player;
use readings::{Known, Row, Wanted};
use repeats::{Held, Repeats};
use roster::Roster;
use tally::Tally;

/// The entry at a place of a list, which grows up to there.
fn entry<T: Clone>(list: &mut Vec<T>, place: usize, empty: T) -> &mut T {
    if list.len() <= place {
        list.resize(place + 1, empty);
    }
    &mut list[place]
}

/// Replays a recording to its end, or to where it breaks.
pub(crate) fn run(wanted: &cli::Replay) -> anyhow::Result<Exit> {
    if recorded::is_recording(&wanted.input) {
        return recorded::run(wanted);
    }
    let loaded = tilth_config::load(&wanted.config.folder, Purpose::Replay);
    findings::shown(&loaded, io::stderr().is_terminal()).for_each(tell);
    if loaded.has_errors() {
        tell(format_args!("tilth-agent: the configuration has {}", Counts::of(&loaded)));
    }
    let Some(plan) = loaded.plan.map(Arc::new) else { return Ok(Exit::Refused) };
    if let Some(page) = &wanted.report
        && let Some(problem) = page::forbids(page, &wanted.input, &wanted.config.folder)
    {
        tell(format_args!("tilth-agent: --report {}: {problem}", page.display()));
        return Ok(Exit::Refused);
    }
    let page = wanted.report.as_deref().map(Destination::check).transpose()?;
    let unit = |id: &SensorId| loaded.feeds.get(id).and_then(|feed| feed.unit);
    let Some(of_file) = wishes(wanted, &plan, unit) else { return Ok(Exit::Refused) };
    let feed = Feed::open(&wanted.input, &of_file)?;
    let mut replay = Replay::new(wanted, plan);
    while let Some(batch) = feed.next() {
        replay.play(&batch)?;
        feed.give_back(batch);
        replay.account.output.progress(feed.progress())?;
    }
    let Replay { player, course, roster, mut account, notes, .. } = replay;
    if let Some(mut player) = player {
        player.end(&mut account)?;
    }
    if let Some(digest) = &account.digest {
        account.output.json(digest)?;
    }
    account.output.flush()?;

    let outcome = Outcome::new(&account.plan, course, roster, account.tally, feed.end(), notes);
    if wanted.json {
        tell(serde_json::to_string(&outcome).context("the summary")?);
    } else {
        tell(outcome.to_string().trim_end());
    }
    if let Some(page) = page {
        page.write(&wanted.input, &outcome)?;
    }
    let nothing = outcome.nothing();
    match (outcome.broken, nothing) {
        (Some(broken), _) => Err(broken.into()),
        (None, Some(nothing)) => anyhow::bail!("{}: {nothing}", readings::name(&wanted.input)),
        (None, None) => Ok(Exit::Done),
    }
}

/// What is wanted of the file; nothing after saying that `--map` names no sensor.
fn wishes(wanted: &cli::Replay, plan: &Plan, unit: impl Fn(&SensorId) -> Option<Unit>) -> Option<Wanted> {
    let known = |map: &&cli::Map| plan.sensor_ix(&map.sensor).is_none();
    if let Some(map) = wanted.map.iter().find(known) {
        let meant = roster::nearest(&map.sensor, plan.sensors().iter().map(|sensor| sensor.id.as_str()));
        let meant = meant.map_or_else(String::new, |id| format!("; did you mean {id}?"));
        tell(format_args!(
            "tilth-agent: --map \"{}={}\": the configuration has no such sensor{meant}",
            map.name, map.sensor
        ));
        return None;
    }
    let known =
        |sensor: &Sensor| Known { id: sensor.id.as_str().into(), quantity: sensor.quantity, unit: unit(&sensor.id) };
    Some(Wanted {
        zone: wanted.tz.clone(),
        farm_zone: plan.local().name().map(str::to_owned),
        maps: wanted.map.clone(),
        time_columns: wanted.time_column.clone(),
        name_columns: wanted.name_column.clone(),
        order: wanted.date_order,
        sensors: plan.sensors().iter().map(known).collect(),
    })
}

/// A replay under way.
struct Replay<'a> {
    wanted: &'a cli::Replay,
    /// None before the first row, whose stamp begins the time.
    player: Option<Player>,
    course: Course,
    roster: Roster,
    account: Account,
    /// What the reader of the summary should know of how the recording was read.
    notes: Vec<String>,
}

/// What is told of a replay, and what is counted.
struct Account {
    plan: Arc<Plan>,
    json: bool,
    widths: Widths,
    output: Output,
    repeats: Repeats,
    tally: Tally,
    digest: Option<Digest>,
}

impl<'a> Replay<'a> {
    fn new(wanted: &'a cli::Replay, plan: Arc<Plan>) -> Replay<'a> {
        let account = Account {
            json: wanted.json,
            widths: Widths::of(&plan),
            output: Output::with_progress(),
            repeats: Repeats::default(),
            tally: Tally::new(&plan),
            digest: wanted.digest.then(Digest::default),
            plan,
        };
        Replay {
            wanted,
            player: None,
            course: Course::default(),
            roster: Roster::default(),
            account,
            notes: Vec::new(),
        }
    }

    fn play(&mut self, batch: &Batch) -> anyhow::Result<()> {
        self.roster.extend(&batch.names, &self.account.plan);
        if self.player.is_none()
            && let Some((plan, notes)) = spacing::allow_usual_gaps(&self.account.plan, &batch.rows, &self.roster)
        {
            self.account.plan = plan;
            self.notes.extend(notes);
        }
        batch.rows.iter().try_for_each(|row| self.play_row(row))
    }

    /// A sensor that nobody watches still moves the clock.
    fn play_row(&mut self, row: &Row) -> anyhow::Result<()> {
        self.course.add(row);
        let sensor = row.sensor.and_then(|place| self.roster.count(place));
        let Replay { wanted, player, account, .. } = self;
        let player = player.get_or_insert_with(|| Player::new(&account.plan, row.at_ms, wanted.restart_every));
        account.repeats.enter(player.ahead(row.at_ms));
        player.wait_until(row.at_ms, account)?;
        account.repeats.leave().iter().try_for_each(|held| account.print_held(held))?;
        if let Some(sensor) = sensor {
            account.tally.hear(sensor);
            player.read(row, sensor, account)?;
        }
        player.restart_if_due();
        Ok(())
    }
}

impl Account {
    fn tell(&mut self, effect: &Effect) -> anyhow::Result<()> {
        if let Some(held) = self.repeats.before(effect) {
            self.print_held(&held)?;
        }
        let unheard = self.tally.is_unheard(effect);
        self.tally.add(effect);
        if let Some(digest) = &mut self.digest {
            digest.add(effect);
        }
        if self.repeats.hold(effect) {
            return Ok(());
        }
        match Line::of(effect, &self.plan) {
            Some(line) if self.json => self.output.json(&line),
            Some(line) if !unheard => self.output.line(line.aligned(&self.widths)),
            _ => Ok(()),
        }
    }

    /// A repeat that was held back, with how many before it are never printed.
    fn print_held(&mut self, held: &Held) -> anyhow::Result<()> {
        let Some(line) = Line::of(&held.effect, &self.plan) else { return Ok(()) };
        match held.left_out {
            repeats if self.json => self.output.json(&WithRepeats { line: &line, repeats: NonZeroU64::new(repeats) }),
            _ if self.tally.is_unheard(&held.effect) => Ok(()),
            0 => self.output.line(line.aligned(&self.widths)),
            repeats => {
                let left_out = counted(repeats, "repeat");
                self.output.line(format_args!("{} ({left_out} before it left out)", line.aligned(&self.widths)))
            }
        }
    }
}

/// The last repeat of a long gap.
#[derive(Serialize)]
struct WithRepeats<'a> {
    #[serde(flatten)]
    line: &'a Line<'a>,
    /// How many before it are left out; no key where none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<NonZeroU64>,
}
