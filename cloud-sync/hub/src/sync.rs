//! Taking in what a device sends: first everything is decided, then it is stored, in one transaction.

pub(crate) mod account;
pub(crate) mod clock;
mod marks;
mod poison;
mod stream;

use std::collections::BTreeMap;

use rusqlite::Connection;
use tilth_core::time::{Stamp, WallTime};
use tilth_protocol::{Answer, Batch, Event, Extent, Lane, Poison, Sequenced, WindowRow};

use self::account::{Content, Run};
use self::clock::Word;
use self::stream::Standing;
use crate::store::rows::{BootId, DeviceId, StreamId};
use crate::store::{self, StoreError, alerts, boots, bundles, devices, events, lanes, live, streams, windows};

/// The most characters of a reason. It may quote what is wrong, and an answer is not to be larger than what it answers.
const MAX_REASON: usize = 200;

/// Why a batch is refused. Nothing of it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// A sequence is known with other content.
    Content { lane: Lane, seq: u64 },
    /// Another stream of the device is alive.
    TwoStreams,
}

/// What a batch comes to.
#[derive(Debug)]
pub(crate) enum Taken {
    Stored { answer: Answer, is_new_stream: bool },
    Refused(Conflict),
}

/// What is new in a batch, before anything is stored.
struct Decided {
    stream: Option<StreamId>,
    batch: stream::Batch,
    /// By lane, where the batch has one.
    new: BTreeMap<Lane, Vec<Run>>,
}

/// Takes in a checked batch of a device.
pub(crate) fn take(
    connection: &Connection,
    device: DeviceId,
    batch: &Batch,
    now: WallTime,
) -> Result<Taken, StoreError> {
    let decided = match decide(connection, device, batch, now)? {
        Ok(decided) => decided,
        Err(conflict) => return Ok(Taken::Refused(conflict)),
    };
    let is_new_stream = decided.stream.is_none();
    let stream = match decided.stream {
        Some(stream) => stream,
        None => streams::add(connection, device, batch.stream, now)?,
    };
    let is_current = decided.batch == stream::Batch::Current;
    let mut intake = Intake { connection, device, stream, now, boots: BTreeMap::new(), poison: Vec::new() };
    intake.clocks(batch)?;
    intake.events(Lane::Events, batch.lanes.events.as_ref(), &decided)?;
    intake.events(Lane::Diagnostics, batch.lanes.diagnostics.as_ref(), &decided)?;
    intake.windows(batch.lanes.windows.as_ref(), &decided)?;
    if is_current {
        intake.live(batch)?;
        streams::heard(connection, stream, now)?;
    }
    devices::heard(connection, device, is_current.then_some(stream), now)?;
    let confirmed = Lane::ALL.into_iter().map(|lane| Ok((lane, lanes::tally(connection, stream, lane)?.confirmed)));
    let confirmed = confirmed.collect::<Result<_, StoreError>>()?;
    let shown = devices::get(connection, device)?.shown_version;
    let config_version = bundles::version(connection, device)?.filter(|version| *version > shown);
    let epoch = store::epoch(connection)?;
    let answer = Answer { epoch, confirmed, poison: intake.poison, config_version, now };
    Ok(Taken::Stored { answer, is_new_stream })
}

fn decide(
    connection: &Connection,
    device: DeviceId,
    batch: &Batch,
    now: WallTime,
) -> Result<Result<Decided, Conflict>, StoreError> {
    let stream = streams::find(connection, device, batch.stream)?;
    let mut new = BTreeMap::new();
    for (lane, span, brought) in marks::runs(batch) {
        let known = match stream {
            Some(stream) => lanes::overlapping(connection, stream, lane, span)?,
            None => Vec::new(),
        };
        match account::news(&brought, &known) {
            Ok(runs) => new.insert(lane, runs),
            Err(account::Conflict { seq }) => return Ok(Err(Conflict::Content { lane, seq })),
        };
    }
    let current = devices::get(connection, device)?.stream;
    let standing = match (stream, current) {
        (None, _) => Standing::New,
        (Some(stream), Some(current)) if stream != current => {
            Standing::Older { current_heard: streams::last_heard(connection, current)? }
        }
        (Some(_), _) => Standing::Current,
    };
    let brings_news = new.values().any(|runs| !runs.is_empty());
    Ok(match stream::judge(standing, brings_news, now) {
        stream::Batch::Refused => Err(Conflict::TwoStreams),
        judged => Ok(Decided { stream, batch: judged, new }),
    })
}

impl Decided {
    /// Whether a sequence has not been there before.
    fn is_new(&self, lane: Lane, seq: u64) -> bool {
        let runs = self.new.get(&lane).map_or(&[][..], Vec::as_slice);
        let at = runs.partition_point(|run| run.last < seq);
        runs.get(at).is_some_and(|run| run.first <= seq && matches!(run.content, Content::Rows(_)))
    }

    fn runs(&self, lane: Lane) -> &[Run] {
        self.new.get(&lane).map_or(&[], Vec::as_slice)
    }
}

/// One batch on its way into the store.
struct Intake<'a> {
    connection: &'a Connection,
    device: DeviceId,
    stream: StreamId,
    now: WallTime,
    boots: BTreeMap<u32, BootId>,
    poison: Vec<Poison>,
}

impl Intake<'_> {
    /// What the batch says of its boots' clocks comes first, so that its rows find the boots they belong to.
    fn clocks(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let clocks = batch.lanes.events.iter().flat_map(|extent| &extent.rows).filter(|event| event.kind == "clock");
        let anchors = clocks.filter_map(|event| Some((event.at.boot, poison::clock(event).ok()?)));
        let stamps = stamps(batch)
            .filter_map(|at| Some((at.boot, Word::of_stamp(at.wall?.0.checked_sub(at.uptime.0)?, at.uptime.0))));
        // One word for each boot is enough: the one that outweighs the others.
        let mut words: BTreeMap<u32, Word> = BTreeMap::new();
        for (boot, word) in stamps.chain(anchors) {
            if word.outweighs(words.get(&boot)) {
                words.insert(boot, word);
            }
        }
        for (number, word) in words {
            let boot = boots::resolve(self.connection, self.device, self.stream, number)?;
            let boot = boots::hear(self.connection, boot, &word)?;
            self.boots.insert(number, boot);
        }
        Ok(())
    }

    fn boot(&mut self, number: u32) -> Result<BootId, StoreError> {
        if let Some(boot) = self.boots.get(&number) {
            return Ok(*boot);
        }
        let boot = boots::resolve(self.connection, self.device, self.stream, number)?;
        self.boots.insert(number, boot);
        Ok(boot)
    }

    /// Whether a row is to be stored. One that cannot be is said, however often it comes.
    fn admits(&mut self, lane: Lane, seq: u64, checked: Result<(), String>, is_new: bool) -> bool {
        match checked {
            Ok(()) => is_new,
            Err(reason) => {
                let reason = reason.chars().take(MAX_REASON).collect();
                self.poison.push(Poison { lane, seq, reason });
                false
            }
        }
    }

    fn events(&mut self, lane: Lane, extent: Option<&Extent<Event>>, decided: &Decided) -> Result<(), StoreError> {
        let Some(extent) = extent else { return Ok(()) };
        for event in &extent.rows {
            if !self.admits(lane, event.seq(), poison::event(event), decided.is_new(lane, event.seq())) {
                continue;
            }
            let boot = self.boot(event.at.boot)?;
            events::put(self.connection, (self.device, self.stream, lane), boot, event, self.now)?;
            if lane != Lane::Events || event.kind != "alert" {
                continue;
            }
            if let Ok(Some(transition)) = poison::transition(event) {
                alerts::put(self.connection, (self.device, self.stream, boot), event, &transition)?;
            }
        }
        lanes::add(self.connection, self.stream, lane, decided.runs(lane))
    }

    fn windows(&mut self, extent: Option<&Extent<WindowRow>>, decided: &Decided) -> Result<(), StoreError> {
        let Some(extent) = extent else { return Ok(()) };
        let lane = Lane::Windows;
        for row in &extent.rows {
            if self.admits(lane, row.seq, poison::window(row), decided.is_new(lane, row.seq)) {
                let boot = self.boot(row.start.boot)?;
                let sensor = windows::sensor(self.connection, self.device, row.sensor.as_str())?;
                windows::put(self.connection, sensor, boot, row)?;
            }
        }
        lanes::add(self.connection, self.stream, lane, decided.runs(lane))
    }

    fn live(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for value in batch.live.iter().filter(|value| poison::live(value).is_ok()) {
            let boot = self.boot(value.at.boot)?;
            let sensor = windows::sensor(self.connection, self.device, value.sensor.as_str())?;
            live::put(self.connection, sensor, (self.stream, boot), value, self.now)?;
        }
        Ok(())
    }
}

/// When everything in a batch was, where the stamp can be believed.
fn stamps(batch: &Batch) -> impl Iterator<Item = &Stamp> {
    let lanes = &batch.lanes;
    let events = lanes.events.iter().chain(&lanes.diagnostics).flat_map(|extent| &extent.rows);
    let events = events.filter(|event| poison::event(event).is_ok()).map(|event| &event.at);
    let windows = lanes.windows.iter().flat_map(|extent| &extent.rows);
    let windows = windows.filter(|row| poison::window(row).is_ok()).map(|row| &row.start);
    let live = batch.live.iter().filter(|value| poison::live(value).is_ok()).map(|value| &value.at);
    events.chain(windows).chain(live)
}

#[cfg(test)]
mod tests;
