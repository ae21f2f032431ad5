//! `tilth-agent replay`: the real engine over recorded readings.
//!
//! ```text
//! file -- readings (a thread) -- feed --> player (engine, clock) --> effects --> lines, tally, digest
//!                                                                                   |
//!                                                   end: summary, page <------------+
//! ```

mod course;
mod digest;
mod feed;
mod outcome;
mod page;
mod player;
mod readings;
mod roster;
mod summary;
mod tally;

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tilth_config::Purpose;
use tilth_core::effect::Effect;
use tilth_core::plan::Plan;

use crate::cli;
use crate::exit::Exit;
use crate::findings::{self, Counts};
use crate::output::{Output, tell};
use crate::transition::{Line, Widths};
use course::Course;
use digest::Digest;
use feed::{Batch, Feed};
use outcome::Outcome;
use page::Destination;
use player::Player;
use readings::Row;
use roster::Roster;
use summary::Summary;
use tally::Tally;

/// Replays a recording to its end, or to where it breaks.
pub(crate) fn run(wanted: &cli::Replay) -> anyhow::Result<Exit> {
    let Some(plan) = read_plan(&wanted.config) else { return Ok(Exit::Refused) };
    let page = wanted.report.as_deref().map(Destination::check).transpose()?;
    let feed = Feed::open(&wanted.input)?;
    let mut replay = Replay::new(wanted, plan);
    while let Some(batch) = feed.next() {
        replay.play(&batch)?;
        feed.give_back(batch);
        replay.output.progress(feed.progress())?;
    }
    if let Some(digest) = &replay.digest {
        replay.output.json(digest)?;
    }
    replay.output.flush()?;

    let outcome = Outcome::new(replay.course, replay.roster, replay.tally, feed.end());
    tell(Summary(&outcome).to_string().trim_end());
    if let Some(page) = page {
        page.write(&wanted.input, &outcome)?;
    }
    match outcome.broken {
        Some(broken) => Err(broken.into()),
        None => Ok(Exit::Done),
    }
}

/// The plan of a configuration, after saying what is wrong with that.
fn read_plan(config: &cli::Config) -> Option<Arc<Plan>> {
    let loaded = tilth_config::load(&config.folder, Purpose::Replay);
    findings::shown(&loaded, io::stderr().is_terminal()).for_each(tell);
    if loaded.has_errors() {
        tell(format_args!("tilth-agent: the configuration has {}", Counts::of(&loaded)));
    }
    loaded.plan.map(Arc::new)
}

/// A replay under way.
struct Replay<'a> {
    wanted: &'a cli::Replay,
    plan: Arc<Plan>,
    widths: Widths,
    output: Output,
    /// None before the first row, whose stamp begins the time.
    player: Option<Player>,
    course: Course,
    roster: Roster,
    tally: Tally,
    digest: Option<Digest>,
}

impl<'a> Replay<'a> {
    fn new(wanted: &'a cli::Replay, plan: Arc<Plan>) -> Replay<'a> {
        Replay {
            wanted,
            widths: Widths::of(&plan),
            output: Output::with_progress(),
            player: None,
            course: Course::default(),
            roster: Roster::default(),
            tally: Tally::new(&plan),
            digest: wanted.digest.then(Digest::default),
            plan,
        }
    }

    fn play(&mut self, batch: &Batch) -> anyhow::Result<()> {
        self.roster.extend(&batch.names, &self.plan);
        batch.rows.iter().try_for_each(|row| self.play_row(row))
    }

    fn play_row(&mut self, row: &Row) -> anyhow::Result<()> {
        self.course.add(row);
        let sensor = self.roster.count(row.sensor);
        let Replay { wanted, plan, widths, output, player, tally, digest, .. } = self;
        let player = player.get_or_insert_with(|| Player::new(plan, row.at_ms, wanted.restart_every));
        player.play(row.at_ms, sensor, row.value, &mut |effect: &Effect| {
            tally.add(effect);
            if let Some(digest) = digest {
                digest.add(effect);
            }
            match Line::of(effect, plan) {
                Some(line) if wanted.json => output.json(&line),
                Some(line) => output.line(line.aligned(widths)),
                None => Ok(()),
            }
        })
    }
}
