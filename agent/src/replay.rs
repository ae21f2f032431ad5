//! `tilth-agent replay`: the real engine over recorded readings.
//!
//! ```text
//! file -- readings, timestamps (a thread) -- rows --> player (engine, clock) --> effects --> lines, totals, digest
//!                                                                                   |
//!                                                   end: summary, page <------------+
//! ```
//!
//! A file that `run --record` wrote goes another way; see [`recorded`]. With `--store` the rows are those that an agent stored; see [`stored`].
//!
//! In a gap of more than 31 days the lines leave out most repeats and say how many; see [`repeats`].

mod digest;
mod intervals;
mod outcome;
mod page;
mod player;
mod reader_thread;
pub(crate) mod readings;
mod recorded;
mod recorded_names;
mod repeats;
mod stored;
mod summary;
mod time_order;
mod timestamps;
mod totals;

use std::io::{self, IsTerminal};
use std::num::NonZeroU64;
use std::sync::Arc;

use anyhow::Context;
use tilth_config::Purpose;
use tilth_core::effect::Effect;
use tilth_core::id::SensorId;
use tilth_core::plan::Plan;
use tilth_core::sensor::Sensor;
use tilth_core::unit::Unit;

use crate::cli;
use crate::console::{Console, tell};
use crate::exit::Exit;
use crate::findings::{self, Counts};
use crate::transition::{TransitionRecord, Widths};
use digest::Digest;
use outcome::Outcome;
use page::Destination;
use player::Player;
use reader_thread::{Batch, ReaderThread};
use readings::{KnownSensor, ReadOptions, Row};
use recorded_names::RecordedNames;
use repeats::{Deferred, Repeats};
use stored::StoredReadings;
use time_order::TimeOrder;
use totals::Totals;

/// The entry at an index of a list, which grows up to there.
fn entry<T: Clone>(list: &mut Vec<T>, index: usize, empty: T) -> &mut T {
    if list.len() <= index {
        list.resize(index + 1, empty);
    }
    &mut list[index]
}

/// Replays a recording to its end, or to where it breaks.
pub(crate) fn run(args: &cli::Replay) -> anyhow::Result<Exit> {
    let input = args.input();
    if args.store.is_none() && recorded::is_recording(input) {
        return recorded::run(args);
    }
    let loaded = tilth_config::load(&args.config.folder, Purpose::Replay);
    findings::shown(&loaded, io::stderr().is_terminal()).for_each(tell);
    if loaded.has_errors() {
        tell(format_args!("tilth-agent: the configuration has {}", Counts::of(&loaded)));
    }
    let Some(mut plan) = loaded.plan.map(Arc::new) else { return Ok(Exit::Refused) };
    if let Some(page) = &args.report
        && let Some(problem) = page::forbids(page, input, &args.config.folder)
    {
        tell(format_args!("tilth-agent: --report {}: {problem}", page.display()));
        return Ok(Exit::Refused);
    }
    let page = args.report.as_deref().map(Destination::check).transpose()?;
    let unit = |id: &SensorId| loaded.input_settings.get(id).and_then(|settings| settings.unit);
    let Some(of_file) = read_options(args, &plan, unit) else { return Ok(Exit::Refused) };
    let reader = match args.store {
        Some(_) => ReaderThread::of_store(readings::name(input), StoredReadings::open(args, plan.local())?),
        None => ReaderThread::open(input, &of_file)?,
    };
    let is_changed = reader.is_calibrated && Arc::make_mut(&mut plan).ignore_calibrations();
    let note = "stored values are calibrated already: calibrations of the configuration are not applied";
    let notes = is_changed.then(|| note.to_owned()).into_iter().collect();
    let printer = Printer {
        json: args.json,
        widths: Widths::of(&plan),
        console: Console::with_progress(),
        repeats: Repeats::default(),
        totals: Totals::new(&plan),
        digest: args.digest.then(Digest::default),
        plan,
    };
    let (time_order, names) = (TimeOrder::default(), RecordedNames::default());
    let mut replay = Replay { args, player: None, time_order, names, printer, notes };
    while let Some(batch) = reader.next() {
        replay.play(&batch)?;
        replay.printer.console.progress(&reader.progress)?;
    }
    let Replay { player, time_order, names, mut printer, notes, .. } = replay;
    if let Some(mut player) = player {
        player.end(&mut printer)?;
    }
    if let Some(digest) = &printer.digest {
        printer.console.json(digest)?;
    }
    printer.console.flush()?;

    let outcome = Outcome::new(&printer.plan, time_order, names, printer.totals, reader.end(), notes);
    if args.json {
        tell(serde_json::to_string(&outcome).context("the summary")?);
    } else {
        tell(outcome.to_string().trim_end());
    }
    if let Some(page) = page {
        page.write(input, &outcome)?;
    }
    let nothing = outcome.nothing();
    match (outcome.broken, nothing) {
        (Some(broken), _) => Err(broken.into()),
        (None, Some(nothing)) => anyhow::bail!("{}: {nothing}", readings::name(input)),
        (None, None) => Ok(Exit::Done),
    }
}

/// How the file is to be read; nothing after saying that `--map` names no sensor.
fn read_options(args: &cli::Replay, plan: &Plan, unit: impl Fn(&SensorId) -> Option<Unit>) -> Option<ReadOptions> {
    let known = |map: &&cli::Map| plan.sensor_ix(&map.sensor).is_none();
    if let Some(map) = args.reading.map.iter().find(known) {
        let meant = recorded_names::nearest(&map.sensor, plan.sensors().iter().map(|sensor| sensor.id.as_str()));
        let meant = meant.map_or_else(String::new, |id| format!("; did you mean {id}?"));
        tell(format_args!(
            "tilth-agent: --map \"{}={}\": the configuration has no such sensor{meant}",
            map.name, map.sensor
        ));
        return None;
    }
    let known = |sensor: &Sensor| KnownSensor {
        id: sensor.id.as_str().into(),
        quantity: sensor.quantity,
        unit: unit(&sensor.id),
    };
    Some(ReadOptions {
        args: args.reading.clone(),
        farm_zone: plan.local().name().map(str::to_owned),
        sensors: plan.sensors().iter().map(known).collect(),
    })
}

struct Replay<'a> {
    args: &'a cli::Replay,
    /// None before the first row, whose timestamp begins the time.
    player: Option<Player>,
    time_order: TimeOrder,
    names: RecordedNames,
    printer: Printer,
    /// What the reader of the summary should know of how the recording was read.
    notes: Vec<String>,
}

/// What is printed of a replay, and what is counted.
struct Printer {
    plan: Arc<Plan>,
    json: bool,
    widths: Widths,
    console: Console,
    repeats: Repeats,
    totals: Totals,
    digest: Option<Digest>,
}

impl Replay<'_> {
    fn play(&mut self, batch: &Batch) -> anyhow::Result<()> {
        self.names.extend(&batch.names, &self.printer.plan);
        if self.player.is_none()
            && let Some((plan, notes)) = intervals::allow_usual_gaps(&self.printer.plan, &batch.rows, &self.names)
        {
            self.printer.plan = plan;
            self.notes.extend(notes);
        }
        batch.rows.iter().try_for_each(|row| self.play_row(row))
    }

    /// Plays a row. A sensor that the configuration does not have still moves the clock.
    fn play_row(&mut self, row: &Row) -> anyhow::Result<()> {
        self.time_order.add(row);
        let sensor = row.sensor.and_then(|index| self.names.count(index));
        let Replay { args, player, printer, .. } = self;
        let player = player.get_or_insert_with(|| Player::new(&printer.plan, row.at_ms, args.restart_every));
        printer.repeats.enter(player.ahead(row.at_ms));
        player.wait_until(row.at_ms, printer)?;
        printer.repeats.leave().iter().try_for_each(|deferred| printer.print_deferred(deferred))?;
        if let Some(sensor) = sensor {
            printer.totals.sensors[sensor.0 as usize].heard = true;
            player.read(row, sensor, printer)?;
        }
        player.restart_if_due();
        Ok(())
    }
}

impl Printer {
    fn print(&mut self, effect: &Effect) -> anyhow::Result<()> {
        let (deferred, is_printed) = self.repeats.filter(effect);
        deferred.iter().try_for_each(|deferred| self.print_deferred(deferred))?;
        let unheard = self.totals.is_unheard(effect);
        self.totals.add(effect);
        if let Some(digest) = &mut self.digest {
            digest.add(effect);
        }
        match TransitionRecord::of(effect, &self.plan).filter(|_| is_printed) {
            Some(line) if self.json => self.console.json(&line),
            Some(line) if !unheard => self.console.line(line.aligned(&self.widths)),
            _ => Ok(()),
        }
    }

    /// A repeat that was deferred, with how many before it are never printed.
    fn print_deferred(&mut self, deferred: &Deferred) -> anyhow::Result<()> {
        let Some(mut line) = TransitionRecord::of(&deferred.effect, &self.plan) else { return Ok(()) };
        line.repeats = NonZeroU64::new(deferred.skipped);
        match self.totals.is_unheard(&deferred.effect) {
            _ if self.json => self.console.json(&line),
            true => Ok(()),
            false => self.console.line(line.aligned(&self.widths)),
        }
    }
}
