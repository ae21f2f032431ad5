//! Taking in what a device sends: first what is new is decided, then it is stored, in one transaction.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::Connection;
use serde::Serialize;
use tilth_core::time::{Stamp, WallTime};
use tilth_protocol::{Answer, Batch, Event, Extent, Lane, RejectedRow, Sequenced, Stream, WindowRow};

use super::boots::{self, Known};
use super::quarantine::RefusedRow;
use super::rows::{DeviceId, SensorRow, StreamId, TenantId};
use super::{Database, DbError, alerts, audit, bundles, devices, events, lanes, latest, quarantine, streams, windows};
use crate::db::context::DeviceContext;
use crate::domain::ingest::clock::Word;
use crate::domain::ingest::quota::{self, Quota};
use crate::domain::ingest::ranges::{self, Content, MarksOf, Run};
use crate::domain::ingest::received::{Received, UnreadRow};
use crate::domain::ingest::stream::{self, Standing};
use crate::domain::ingest::{ClientState, Refused, Taken, behind, fingerprints, validate};

/// The most characters of a reason. It may quote what is wrong, and an answer is not to be larger than what it answers.
const MAX_REASON: usize = 200;

/// What is new in a batch, before anything is stored.
struct Decided {
    tenant: TenantId,
    stream: Option<StreamId>,
    batch: stream::Batch,
    /// Rows that were taken from the device before.
    rows: u64,
    /// By lane, where the batch has one.
    new: BTreeMap<Lane, Vec<Run>>,
}

impl Database {
    /// Takes in a checked batch of a device, and confirms what is stored with it.
    pub(crate) async fn take_batch(
        &self,
        device: &DeviceContext,
        (received, client): (Received, ClientState),
        quota: Quota,
        now: WallTime,
    ) -> Result<Taken, DbError> {
        let context = device.clone();
        let job = move |connection: &Connection| {
            let taken = take(connection, context.id(), (&received, &client), quota, now)?;
            note(connection, &context, received.batch.stream, &taken, now)?;
            Ok(taken)
        };
        self.write(device.tenant(), job).await
    }
}

/// Says what is out of the ordinary about a batch: in the log, the audit trail and an alert of the hub's own.
fn note(
    connection: &Connection,
    device: &DeviceContext,
    stream: Stream,
    taken: &Taken,
    now: WallTime,
) -> Result<(), DbError> {
    let (client, name) = (device.tenant().client(), device.name());
    let what = match taken.remark() {
        Some(remark) => {
            // Once an hour: whoever is refused all day fills no disk.
            if !alerts::say(connection, device.id(), remark.rule, &remark.message, now)? {
                return Ok(());
            }
            tracing::warn!(%client, device = %name, %stream, "{}", remark.message);
            format!("device {name}, stream {stream}: {}", remark.detail)
        }
        None if matches!(taken, Taken::Stored { is_new_stream: true, .. }) => {
            let current = streams::find(connection, device.id(), stream)?;
            if let Some(before) = streams::last_heard_beside(connection, device.id(), current)? {
                tracing::warn!(%client, device = %name, "new stream {stream}: the one before was last heard at {before}");
            }
            format!("device {name} began the stream {stream}")
        }
        None => return Ok(()),
    };
    audit::record(connection, device.tenant(), &what, now)
}

/// Takes in a checked batch of a device, without a word about it.
pub(super) fn take(
    connection: &Connection,
    device: DeviceId,
    (received, client): (&Received, &ClientState),
    quota: Quota,
    now: WallTime,
) -> Result<Taken, DbError> {
    let batch = &received.batch;
    let decided = match decide(connection, device, received, now)? {
        Ok(decided) => decided,
        Err(refused) => return Ok(Taken::Refused(refused)),
    };
    let is_new_stream = decided.stream.is_none();
    let stream = match decided.stream {
        Some(stream) => stream,
        None => streams::add(connection, device, batch.stream, now)?,
    };
    let is_current = decided.batch == stream::Batch::Current;
    let mut intake = Intake {
        connection,
        tenant: decided.tenant,
        device,
        stream,
        now,
        quota,
        taken_before: decided.rows,
        taken: 0,
        sensors: None,
        boots: BTreeMap::new(),
        rejected: Vec::new(),
        refused: Vec::new(),
        over_quota: None,
    };
    intake.clocks(batch)?;
    intake.events(Lane::Events, batch.lanes.events.as_ref(), &decided)?;
    intake.events(Lane::Diagnostics, batch.lanes.diagnostics.as_ref(), &decided)?;
    intake.windows(batch.lanes.windows.as_ref(), &decided)?;
    intake.unread(&received.unread, &decided);
    if is_current {
        intake.live(batch)?;
        streams::heard(connection, stream, now)?;
    }
    intake.count_undated()?;
    let taken = (intake.taken, intake.others(&decided));
    devices::count(connection, device, taken.0 as i64, taken.1 as i64)?;
    devices::count_refused(connection, device, intake.refused.len(), received.unknown_keys)?;
    quarantine::put(connection, (device, stream), &intake.refused, now)?;
    devices::heard(connection, device, is_current.then_some(stream), now)?;
    let confirmed = Lane::ALL.into_iter().map(|lane| Ok((lane, lanes::tally(connection, stream, lane)?.confirmed)));
    let confirmed: BTreeMap<Lane, u64> = confirmed.collect::<Result<_, DbError>>()?;
    let shown = devices::get(connection, device)?.shown_version;
    let config_version = bundles::version(connection, device)?.filter(|version| *version > shown);
    let mut epoch = match devices::epoch(connection, device)? {
        Some(epoch) => epoch,
        None => super::epoch(connection)?,
    };
    let is_in_epoch = batch.epoch == Some(epoch);
    let is_restored = devices::is_restored(connection, device, is_in_epoch)?;
    let behind = behind(&client.confirmed, &confirmed).filter(|_| !is_restored);
    // From another epoch it goes back as soon as it hears of this one.
    if behind.is_some() && is_in_epoch {
        epoch = client.next_epoch;
        devices::set_epoch(connection, device, epoch)?;
    }
    let answer = Answer { epoch, confirmed, rejected: intake.rejected, config_version, now };
    Ok(Taken::Stored { answer, is_new_stream, over_quota: intake.over_quota, behind })
}

fn decide(
    connection: &Connection,
    device: DeviceId,
    received: &Received,
    now: WallTime,
) -> Result<Result<Decided, Refused>, DbError> {
    let stream = streams::find(connection, device, received.batch.stream)?;
    if stream.is_none() {
        let from = WallTime(now.0.saturating_sub(quota::STREAMS_WITHIN.0));
        if streams::begun(connection, device, from, now)? >= quota::MAX_STREAMS {
            return Ok(Err(Refused::TooManyStreams));
        }
    }
    let mut new = BTreeMap::new();
    for (lane, brought) in fingerprints::runs(received) {
        let marks_of: MarksOf<'_> = &|version, span| fingerprints::of(&received.batch, lane, version, span);
        match news(connection, stream, lane, &brought, marks_of)? {
            Ok(runs) => new.insert(lane, runs),
            Err(refused) => return Ok(Err(refused)),
        };
    }
    let found = devices::get(connection, device)?;
    if found.others >= quota::MAX_OTHERS {
        return Ok(Err(Refused::TooManyOthers));
    }
    let standing = match (stream, found.stream) {
        (None, _) => Standing::New,
        (Some(stream), Some(current)) if stream != current => {
            Standing::Older { current_heard: streams::last_heard(connection, current)? }
        }
        (Some(_), _) => Standing::Current,
    };
    let brings_news = new.values().any(|runs| !runs.is_empty());
    Ok(match stream::judge(standing, brings_news, now) {
        stream::Batch::Refused => Err(Refused::TwoStreams),
        judged => Ok(Decided { tenant: found.tenant, stream, batch: judged, rows: found.rows, new }),
    })
}

/// The parts of what a lane brings that are not known yet.
fn news(
    connection: &Connection,
    stream: Option<StreamId>,
    lane: Lane,
    brought: &[Run],
    marks_of: MarksOf<'_>,
) -> Result<Result<Vec<Run>, Refused>, DbError> {
    let Some(stream) = stream else { return Ok(Ok(brought.to_vec())) };
    let tally = lanes::tally(connection, stream, lane)?;
    let (mut new, mut touched) = (Vec::new(), 0);
    for run in brought {
        // What is confirmed is accounted for: a gap there contradicts nothing, nor does a row of which no mark is left.
        let is_gap = matches!(run.content, Content::Gap(..));
        let Some(run) = run.beyond(if is_gap { tally.confirmed } else { tally.forgotten }) else { continue };
        let room = quota::MAX_TOUCHED + 1 - touched;
        let known = lanes::overlapping(connection, (stream, lane), &run, room)?;
        touched += known.len();
        if touched > quota::MAX_TOUCHED {
            return Ok(Err(Refused::TooManyRuns { lane }));
        }
        match ranges::news(std::slice::from_ref(&run), &known, marks_of) {
            Ok(runs) => new.extend(runs),
            Err(ranges::Conflict { seq }) => return Ok(Err(Refused::Content { lane, seq })),
        }
    }
    Ok(Ok(new))
}

impl Decided {
    /// Whether a sequence has not been there before.
    fn is_new(&self, lane: Lane, seq: u64) -> bool {
        let runs = self.new.get(&lane).map_or(&[][..], Vec::as_slice);
        let at = runs.partition_point(|run| run.last < seq);
        runs.get(at).is_some_and(|run| run.first <= seq && !matches!(run.content, Content::Gap(..)))
    }

    fn runs(&self, lane: Lane) -> &[Run] {
        self.new.get(&lane).map_or(&[], Vec::as_slice)
    }
}

/// One batch on its way into the store.
struct Intake<'a> {
    connection: &'a Connection,
    tenant: TenantId,
    device: DeviceId,
    stream: StreamId,
    now: WallTime,
    quota: Quota,
    /// Rows of the device before this batch.
    taken_before: u64,
    /// New rows of this batch.
    taken: u64,
    /// How many sensors the device has, once that was asked.
    sensors: Option<u64>,
    boots: BTreeMap<u32, Boot>,
    rejected: Vec<RejectedRow>,
    /// Those of them that have not been refused before.
    refused: Vec<RefusedRow>,
    over_quota: Option<String>,
}

/// A boot that a batch speaks of.
#[derive(Debug, Clone, Copy)]
struct Boot {
    known: Known,
    /// Rows of this batch that it was given without a known clock.
    added: u64,
}

impl Intake<'_> {
    /// What the batch says of its boots' clocks comes first, so that its rows find the boots they belong to.
    fn clocks(&mut self, batch: &Batch) -> Result<(), DbError> {
        let clocks = batch.lanes.events.iter().flat_map(|extent| &extent.rows).filter(|event| event.kind == "clock");
        let anchors = clocks.filter_map(|event| Some((event.at.boot, validate::clock(event).ok()?)));
        let stamps = stamps(batch)
            .filter_map(|at| Some((at.boot, Word::of_stamp(at.wall?.0.checked_sub(at.uptime.0)?, at.uptime.0))));
        // One word for each boot is enough: the one that outweighs the others.
        let mut words: BTreeMap<u32, Word> = BTreeMap::new();
        for (boot, word) in stamps.chain(anchors) {
            if word.outweighs(words.get(&boot)) {
                words.insert(boot, word);
            }
        }
        let mut room = boots::MAX_MOVED;
        for (number, word) in words {
            let known = boots::resolve(self.connection, self.device, self.stream, number)?;
            let known = boots::hear(self.connection, known, &word, &mut room)?;
            self.boots.insert(number, Boot { known, added: 0 });
        }
        Ok(())
    }

    fn boot(&mut self, number: u32) -> Result<&mut Boot, DbError> {
        match self.boots.entry(number) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(place) => {
                let known = boots::resolve(self.connection, self.device, self.stream, number)?;
                Ok(place.insert(Boot { known, added: 0 }))
            }
        }
    }

    /// What the batch leaves beside its rows.
    fn others(&self, decided: &Decided) -> u64 {
        let is_one = |run: &&Run| !matches!(run.content, Content::Rows(_));
        let runs = decided.new.values().flatten().filter(is_one).count();
        let boots = self.boots.values().filter(|boot| boot.known.is_new).count();
        (runs + boots + self.refused.len().div_ceil(10)) as u64
    }

    /// Notes how many rows the boots without a known clock were given.
    fn count_undated(&self) -> Result<(), DbError> {
        let undated = self.boots.values().filter(|boot| boot.known.undated.is_some() && boot.added > 0);
        undated.into_iter().try_for_each(|boot| boots::count(self.connection, boot.known.id, boot.added))
    }

    /// Whether a row is to be stored. One that cannot be is said, however often it comes.
    fn admits<R: Sequenced + Serialize>(
        &mut self,
        lane: Lane,
        row: &R,
        checked: Result<(), String>,
        is_new: bool,
    ) -> bool {
        if let Err(reason) = checked {
            self.refuse(lane, row, &reason, is_new);
            return false;
        }
        let most = if lane == Lane::Windows { self.quota.rows_of_windows() } else { self.quota.rows };
        if is_new && self.taken_before + self.taken >= most {
            self.refuse_over(lane, row, self.quota.too_many_rows());
            return false;
        }
        self.taken += u64::from(is_new);
        is_new
    }

    fn refuse<R: Sequenced + Serialize>(&mut self, lane: Lane, row: &R, reason: &str, is_new: bool) {
        let text = is_new.then(|| serde_json::to_string(row).unwrap_or_default());
        self.quarantine(lane, row.seq(), reason, text);
    }

    fn refuse_over<R: Sequenced + Serialize>(&mut self, lane: Lane, row: &R, limit: String) {
        self.refuse(lane, row, &limit, true);
        self.over_quota.get_or_insert(limit);
    }

    /// The one way of a row that is not stored: the device is told each time that it comes, and the first time its text is kept.
    fn quarantine(&mut self, lane: Lane, seq: u64, reason: &str, text: Option<String>) {
        let reason: String = reason.replace(char::is_control, " ").chars().take(MAX_REASON).collect();
        self.refused.extend(text.map(|text| RefusedRow { lane, seq, reason: reason.clone(), text }));
        self.rejected.push(RejectedRow { lane, seq, reason });
    }

    /// Rows that this version cannot read.
    fn unread(&mut self, rows: &[UnreadRow], decided: &Decided) {
        for UnreadRow { lane, seq, reason, text } in rows {
            let text = decided.is_new(*lane, *seq).then(|| text.clone());
            self.quarantine(*lane, *seq, reason, text);
        }
    }

    /// The row of a sensor; none where it would be one more than the device may have.
    fn sensor(&mut self, name: &str) -> Result<Option<SensorRow>, DbError> {
        if let Some(known) = windows::find_sensor(self.connection, self.device, name)? {
            return Ok(Some(known));
        }
        let count = match self.sensors {
            Some(count) => count,
            None => windows::count_sensors(self.connection, self.device)?,
        };
        if count >= self.quota.sensors {
            self.sensors = Some(count);
            return Ok(None);
        }
        self.sensors = Some(count + 1);
        windows::add_sensor(self.connection, self.device, name).map(Some)
    }

    fn events(&mut self, lane: Lane, extent: Option<&Extent<Event>>, decided: &Decided) -> Result<(), DbError> {
        let Some(extent) = extent else { return Ok(()) };
        for event in &extent.rows {
            if !self.admits(lane, event, validate::event(event), decided.is_new(lane, event.seq())) {
                continue;
            }
            let boot = self.boot(event.at.boot)?;
            boot.added += 1;
            let boot = boot.known.id;
            events::put(self.connection, (self.device, self.stream, lane), boot, event, self.now)?;
            if lane != Lane::Events || event.kind != "alert" {
                continue;
            }
            if let Ok(Some(transition)) = validate::transition(event) {
                alerts::put(self.connection, (self.device, self.stream, boot), event, &transition)?;
            }
        }
        lanes::add(self.connection, self.stream, lane, decided.runs(lane), self.now)
    }

    fn windows(&mut self, extent: Option<&Extent<WindowRow>>, decided: &Decided) -> Result<(), DbError> {
        let Some(extent) = extent else { return Ok(()) };
        let lane = Lane::Windows;
        for row in &extent.rows {
            if self.admits(lane, row, validate::window(row), decided.is_new(lane, row.seq)) {
                self.window(row)?;
            }
        }
        lanes::add(self.connection, self.stream, lane, decided.runs(lane), self.now)
    }

    fn window(&mut self, row: &WindowRow) -> Result<(), DbError> {
        let Some(sensor) = self.sensor(row.sensor.as_str())? else {
            self.taken -= 1;
            self.refuse_over(Lane::Windows, row, self.quota.too_many_sensors());
            return Ok(());
        };
        let connection = self.connection;
        let Boot { known, added } = self.boot(row.start.boot)?;
        let is_noted = known.undated.is_some_and(|rows| rows + *added < boots::MAX_MOVED);
        *added += 1;
        let boot = known.id;
        if is_noted {
            windows::note_undated(connection, sensor, boot, row)?;
        }
        windows::put(connection, self.tenant, (sensor, boot), row, self.now)
    }

    fn live(&mut self, batch: &Batch) -> Result<(), DbError> {
        for value in batch.live.iter().filter(|value| validate::live(value).is_ok()) {
            let Some(sensor) = self.sensor(value.sensor.as_str())? else {
                self.over_quota.get_or_insert_with(|| self.quota.too_many_sensors());
                continue;
            };
            let boot = self.boot(value.at.boot)?.known.id;
            latest::put(self.connection, sensor, (self.stream, boot), value, self.now)?;
        }
        Ok(())
    }
}

/// When everything in a batch was, where the stamp can be believed.
fn stamps(batch: &Batch) -> impl Iterator<Item = &Stamp> {
    let lanes = &batch.lanes;
    let events = lanes.events.iter().chain(&lanes.diagnostics).flat_map(|extent| &extent.rows);
    let events = events.filter(|event| validate::event(event).is_ok()).map(|event| &event.at);
    let windows = lanes.windows.iter().flat_map(|extent| &extent.rows);
    let windows = windows.filter(|row| validate::window(row).is_ok()).map(|row| &row.start);
    let live = batch.live.iter().filter(|value| validate::live(value).is_ok()).map(|value| &value.at);
    events.chain(windows).chain(live)
}

#[cfg(test)]
mod tests;
