//! Stores a batch: finds out what is new, then stores it, in one transaction.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::Connection;
use serde::Serialize;
use tilth_core::time::{Stamp, WallTime};
use tilth_protocol::{Answer, Batch, Epoch, Event, Extent, Lane, RejectedRow, Sequenced, Stream, WindowRow};

use super::boots::{self, KnownBoot};
use super::quarantine::QuarantineEntry;
use super::rows::{DeviceId, SensorRow, StreamId, TenantId};
use super::{Database, DbError, alerts, audit, bundles, devices, events, lanes, latest, quarantine, streams, windows};
use crate::db::context::DeviceContext;
use crate::domain::ingest::clock::ClockObservation;
use crate::domain::ingest::quota::{self, Quota};
use crate::domain::ingest::ranges::{self, Content, FingerprintsOf, SeqRange};
use crate::domain::ingest::received::{ParsedBatch, UnreadableRow};
use crate::domain::ingest::stream::{self, StreamState};
use crate::domain::ingest::{BatchOutcome, BatchRejection, ClientState, fingerprints, missing_confirmed, validate};

/// Maximum length of a reason, in characters, so that an answer is not larger than its batch.
const MAX_REASON: usize = 200;

/// What to store of a batch.
struct BatchPlan {
    tenant: TenantId,
    stream: Option<StreamId>,
    verdict: stream::Verdict,
    /// Number of stored rows of the device.
    rows: u64,
    /// New ranges by lane.
    new: BTreeMap<Lane, Vec<SeqRange>>,
}

impl Database {
    /// Stores a checked batch of a device, and confirms it.
    pub(crate) async fn store_batch(
        &self,
        device: &DeviceContext,
        (received, client): (ParsedBatch, ClientState),
        quota: Quota,
        now: WallTime,
    ) -> Result<BatchOutcome, DbError> {
        let context = device.clone();
        let job = move |connection: &Connection| {
            let outcome = store(connection, context.id(), (&received, &client), quota, now)?;
            note(connection, &context, received.batch.stream, &outcome, now)?;
            Ok(outcome)
        };
        self.write(device.tenant(), job).await
    }
}

/// Reports a batch that needs attention: in the log, the audit trail and an alert of the hub.
fn note(
    connection: &Connection,
    device: &DeviceContext,
    stream: Stream,
    outcome: &BatchOutcome,
    now: WallTime,
) -> Result<(), DbError> {
    let (client, name) = (device.tenant().client(), device.name());
    let what = match outcome.own_alert() {
        Some(alert) => {
            // Once an hour, so that a device that is rejected all day does not fill the disk.
            if !alerts::raise(connection, device.id(), alert.rule, &alert.message, now)? {
                return Ok(());
            }
            tracing::warn!(%client, device = %name, %stream, "{}", alert.message);
            format!("device {name}, stream {stream}: {}", alert.detail)
        }
        None if matches!(outcome, BatchOutcome::Stored { is_new_stream: true, .. }) => {
            let current = streams::find(connection, device.id(), stream)?;
            if let Some(before) = streams::last_heard_beside(connection, device.id(), current)? {
                tracing::warn!(%client, device = %name, "device began stream {stream}; its previous stream was last heard at {before}");
            }
            format!("device {name} began stream {stream}")
        }
        None => return Ok(()),
    };
    audit::record(connection, device.tenant(), &what, now)
}

/// Stores a checked batch of a device, without a report.
pub(super) fn store(
    connection: &Connection,
    device: DeviceId,
    (received, client): (&ParsedBatch, &ClientState),
    quota: Quota,
    now: WallTime,
) -> Result<BatchOutcome, DbError> {
    let batch = &received.batch;
    let plan = match plan_batch(connection, device, received, now)? {
        Ok(plan) => plan,
        Err(rejection) => return Ok(BatchOutcome::Rejected(rejection)),
    };
    let is_new_stream = plan.stream.is_none();
    let stream = match plan.stream {
        Some(stream) => stream,
        None => streams::add(connection, device, batch.stream, now)?,
    };
    let is_current = plan.verdict == stream::Verdict::Current;
    let mut writer = BatchWriter {
        connection,
        tenant: plan.tenant,
        device,
        stream,
        now,
        quota,
        stored_before: plan.rows,
        stored: 0,
        sensors: None,
        boots: BTreeMap::new(),
        rejected: Vec::new(),
        quarantine: Vec::new(),
        over_quota: None,
    };
    writer.clocks(batch)?;
    writer.events(Lane::Events, batch.lanes.events.as_ref(), &plan)?;
    writer.events(Lane::Diagnostics, batch.lanes.diagnostics.as_ref(), &plan)?;
    writer.windows(batch.lanes.windows.as_ref(), &plan)?;
    writer.unreadable(&received.unreadable, &plan);
    if is_current {
        writer.live(batch)?;
        streams::heard(connection, stream, now)?;
    }
    writer.count_undated()?;
    devices::count(connection, device, writer.stored as i64, writer.others(&plan) as i64)?;
    devices::count_rejected(connection, device, writer.quarantine.len(), received.unknown_keys)?;
    quarantine::put(connection, (device, stream), &writer.quarantine, now)?;
    devices::heard(connection, device, is_current.then_some(stream), now)?;
    let confirmed = Lane::ALL.into_iter().map(|lane| Ok((lane, lanes::state(connection, stream, lane)?.confirmed)));
    let confirmed: BTreeMap<Lane, u64> = confirmed.collect::<Result<_, DbError>>()?;
    let shown = devices::get(connection, device)?.shown_version;
    let config_version = bundles::version(connection, device)?.filter(|version| *version > shown);
    let missing = missing_confirmed(&client.confirmed, &confirmed);
    let (epoch, behind) = epoch_of(connection, device, batch.epoch, missing, client.next_epoch)?;
    let answer = Answer { epoch, confirmed, rejected: writer.rejected, config_version, now };
    Ok(BatchOutcome::Stored { answer, is_new_stream, over_quota: writer.over_quota, behind })
}

/// Epoch of a device from now on, and what of its rows is `missing` here although they were confirmed. A device of the present epoch
/// that shows this gets the next one.
fn epoch_of(
    connection: &Connection,
    device: DeviceId,
    stated: Option<Epoch>,
    missing: Option<String>,
    next: Epoch,
) -> Result<(Epoch, Option<String>), DbError> {
    let epoch = match devices::epoch(connection, device)? {
        Some(epoch) => epoch,
        None => super::epoch(connection)?,
    };
    let is_in_epoch = stated == Some(epoch);
    let is_restored = devices::is_restored(connection, device, is_in_epoch)?;
    let behind = missing.filter(|_| !is_restored);
    // A device of another epoch rewinds by itself when it gets this one.
    if behind.is_none() || !is_in_epoch {
        return Ok((epoch, behind));
    }
    devices::set_epoch(connection, device, next)?;
    Ok((next, behind))
}

fn plan_batch(
    connection: &Connection,
    device: DeviceId,
    received: &ParsedBatch,
    now: WallTime,
) -> Result<Result<BatchPlan, BatchRejection>, DbError> {
    let stream = streams::find(connection, device, received.batch.stream)?;
    if stream.is_none() {
        let from = WallTime(now.0.saturating_sub(quota::STREAMS_WITHIN.0));
        if streams::begun(connection, device, from, now)? >= quota::MAX_STREAMS {
            return Ok(Err(BatchRejection::TooManyStreams));
        }
    }
    let mut new = BTreeMap::new();
    for (lane, brought) in fingerprints::ranges(received) {
        let fingerprints_of: FingerprintsOf<'_> =
            &|version, span| fingerprints::of(&received.batch, lane, version, span);
        match new_ranges(connection, stream, lane, &brought, fingerprints_of)? {
            Ok(ranges) => new.insert(lane, ranges),
            Err(rejection) => return Ok(Err(rejection)),
        };
    }
    let found = devices::get(connection, device)?;
    if found.others >= quota::MAX_OTHERS {
        return Ok(Err(BatchRejection::TooManyOthers));
    }
    let state = match (stream, found.stream) {
        (None, _) => StreamState::New,
        (Some(stream), Some(current)) if stream != current => {
            StreamState::Older { current_heard: streams::last_heard(connection, current)? }
        }
        (Some(_), _) => StreamState::Current,
    };
    let brings_news = new.values().any(|ranges| !ranges.is_empty());
    Ok(match stream::judge(state, brings_news, now) {
        stream::Verdict::Conflict => Err(BatchRejection::TwoStreams),
        verdict => Ok(BatchPlan { tenant: found.tenant, stream, verdict, rows: found.rows, new }),
    })
}

/// The new parts of a lane's ranges.
fn new_ranges(
    connection: &Connection,
    stream: Option<StreamId>,
    lane: Lane,
    brought: &[SeqRange],
    fingerprints_of: FingerprintsOf<'_>,
) -> Result<Result<Vec<SeqRange>, BatchRejection>, DbError> {
    let Some(stream) = stream else { return Ok(Ok(brought.to_vec())) };
    let state = lanes::state(connection, stream, lane)?;
    let (mut new, mut touched) = (Vec::new(), 0);
    for range in brought {
        // A confirmed sequence is complete: a gap there contradicts nothing, nor does a row whose fingerprint was deleted.
        let is_gap = matches!(range.content, Content::Gap(..));
        let Some(run) = range.beyond(if is_gap { state.confirmed } else { state.forgotten }) else { continue };
        let room = quota::MAX_TOUCHED + 1 - touched;
        let known = lanes::overlapping(connection, (stream, lane), &run, room)?;
        touched += known.len();
        if touched > quota::MAX_TOUCHED {
            return Ok(Err(BatchRejection::TooManyRanges { lane }));
        }
        match ranges::new_ranges(std::slice::from_ref(&run), &known, fingerprints_of) {
            Ok(ranges) => new.extend(ranges),
            Err(ranges::Conflict { seq }) => return Ok(Err(BatchRejection::Content { lane, seq })),
        }
    }
    Ok(Ok(new))
}

impl BatchPlan {
    /// True for the sequence of a new row.
    fn is_new(&self, lane: Lane, seq: u64) -> bool {
        let ranges = self.new.get(&lane).map_or(&[][..], Vec::as_slice);
        let at = ranges.partition_point(|range| range.last < seq);
        ranges.get(at).is_some_and(|range| range.first <= seq && !matches!(range.content, Content::Gap(..)))
    }

    fn ranges(&self, lane: Lane) -> &[SeqRange] {
        self.new.get(&lane).map_or(&[], Vec::as_slice)
    }
}

/// Writes one batch.
struct BatchWriter<'a> {
    connection: &'a Connection,
    tenant: TenantId,
    device: DeviceId,
    stream: StreamId,
    now: WallTime,
    quota: Quota,
    /// Rows of the device before this batch.
    stored_before: u64,
    /// New rows of this batch.
    stored: u64,
    /// Number of sensors of the device, once it was queried.
    sensors: Option<u64>,
    boots: BTreeMap<u32, Boot>,
    rejected: Vec<RejectedRow>,
    /// Rows that are rejected for the first time.
    quarantine: Vec<QuarantineEntry>,
    over_quota: Option<String>,
}

/// A boot of the batch.
#[derive(Debug, Clone, Copy)]
struct Boot {
    known: KnownBoot,
    /// Rows of this batch, while the clock is unknown.
    added: u64,
}

impl BatchWriter<'_> {
    /// Applies clock observations first, so that rows find the boots that they belong to.
    fn clocks(&mut self, batch: &Batch) -> Result<(), DbError> {
        let clocks = batch.lanes.events.iter().flat_map(|extent| &extent.rows).filter(|event| event.kind == "clock");
        let anchors = clocks.filter_map(|event| Some((event.at.boot, validate::clock(event).ok()?)));
        let stamps = stamps(batch).filter_map(|at| {
            Some((at.boot, ClockObservation::of_stamp(at.wall?.0.checked_sub(at.uptime.0)?, at.uptime.0)))
        });
        // One observation per boot is enough: the one that outweighs the others.
        let mut observations: BTreeMap<u32, ClockObservation> = BTreeMap::new();
        for (boot, observation) in stamps.chain(anchors) {
            if observation.outweighs(observations.get(&boot)) {
                observations.insert(boot, observation);
            }
        }
        let mut room = boots::MAX_MOVED;
        for (number, observation) in observations {
            let known = boots::resolve(self.connection, self.device, self.stream, number)?;
            let known = boots::observe_clock(self.connection, known, &observation, &mut room)?;
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

    /// What counts against [`quota::MAX_OTHERS`].
    fn others(&self, plan: &BatchPlan) -> u64 {
        let is_one = |range: &&SeqRange| !matches!(range.content, Content::Rows(_));
        let ranges = plan.new.values().flatten().filter(is_one).count();
        let boots = self.boots.values().filter(|boot| boot.known.is_new).count();
        (ranges + boots + self.quarantine.len().div_ceil(10)) as u64
    }

    /// Counts the new rows of boots with an unknown clock.
    fn count_undated(&self) -> Result<(), DbError> {
        let undated = self.boots.values().filter(|boot| boot.known.undated.is_some() && boot.added > 0);
        undated.into_iter().try_for_each(|boot| boots::count(self.connection, boot.known.id, boot.added))
    }

    /// Decides whether to store a row. A rejected row is named each time it comes.
    fn accepts<R: Sequenced + Serialize>(
        &mut self,
        lane: Lane,
        row: &R,
        checked: Result<(), String>,
        is_new: bool,
    ) -> bool {
        if let Err(reason) = checked {
            self.reject(lane, row, &reason, is_new);
            return false;
        }
        let most = if lane == Lane::Windows { self.quota.rows_of_windows() } else { self.quota.rows };
        if is_new && self.stored_before + self.stored >= most {
            self.reject_over_quota(lane, row, self.quota.too_many_rows());
            return false;
        }
        self.stored += u64::from(is_new);
        is_new
    }

    fn reject<R: Sequenced + Serialize>(&mut self, lane: Lane, row: &R, reason: &str, is_new: bool) {
        let text = is_new.then(|| serde_json::to_string(row).unwrap_or_default());
        self.push_rejected(lane, row.seq(), reason, text);
    }

    fn reject_over_quota<R: Sequenced + Serialize>(&mut self, lane: Lane, row: &R, limit: String) {
        self.reject(lane, row, &limit, true);
        self.over_quota.get_or_insert(limit);
    }

    /// Names a rejected row to the device, and keeps its text if it comes for the first time.
    fn push_rejected(&mut self, lane: Lane, seq: u64, reason: &str, text: Option<String>) {
        let reason: String = reason.replace(char::is_control, " ").chars().take(MAX_REASON).collect();
        self.quarantine.extend(text.map(|text| QuarantineEntry { lane, seq, reason: reason.clone(), text }));
        self.rejected.push(RejectedRow { lane, seq, reason });
    }

    /// Rejects the rows that cannot be read.
    fn unreadable(&mut self, rows: &[UnreadableRow], plan: &BatchPlan) {
        for UnreadableRow { lane, seq, reason, text } in rows {
            let text = plan.is_new(*lane, *seq).then(|| text.clone());
            self.push_rejected(*lane, *seq, reason, text);
        }
    }

    /// Id of a sensor, which is added if it is new; none over the quota.
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

    fn events(&mut self, lane: Lane, extent: Option<&Extent<Event>>, plan: &BatchPlan) -> Result<(), DbError> {
        let Some(extent) = extent else { return Ok(()) };
        for event in &extent.rows {
            if !self.accepts(lane, event, validate::event(event), plan.is_new(lane, event.seq())) {
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
        lanes::add(self.connection, self.stream, lane, plan.ranges(lane), self.now)
    }

    fn windows(&mut self, extent: Option<&Extent<WindowRow>>, plan: &BatchPlan) -> Result<(), DbError> {
        let Some(extent) = extent else { return Ok(()) };
        let lane = Lane::Windows;
        for row in &extent.rows {
            if self.accepts(lane, row, validate::window(row), plan.is_new(lane, row.seq)) {
                self.window(row)?;
            }
        }
        lanes::add(self.connection, self.stream, lane, plan.ranges(lane), self.now)
    }

    fn window(&mut self, row: &WindowRow) -> Result<(), DbError> {
        let Some(sensor) = self.sensor(row.sensor.as_str())? else {
            self.stored -= 1;
            self.reject_over_quota(Lane::Windows, row, self.quota.too_many_sensors());
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

/// Stamps of the valid rows and live values of a batch.
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
