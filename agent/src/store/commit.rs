//! One transaction: readings, windows, events, diagnostics, what the site knows and what the engine remembers.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Map, Value, json};
use tilth_core::effect::Reason;
use tilth_core::reading::Reading;
use tilth_core::site::SiteState;
use tilth_core::time::{Span, Stamp, Uptime};
use tilth_core::windows::Closed;
use tilth_protocol::{GapKind, Lane};

use super::Store;
use super::board_positions;
use super::boot;
use super::buffer::{Cause, Losses, Lost, Sizes};
use super::checkpoint::{self, LastCheckpoint};
use super::error::StoreError;
use super::gaps;
use super::lane::LaneStates;
use super::losses::{self, Loss};
use super::names::{CalibratedPlan, Names, PlanNumbers};
use super::raw_block::{self, Column, Point, RawBlock};
use super::row::{WindowStart, int, table};
use super::window_block;
use super::window_rows::{self, WindowBlocks};
use crate::checkpoint::Checkpoint;
use crate::clock::Anchor;
use crate::sense::store_ack::AckRequest;

/// A reading this far behind its block's commit is kept in a block of late ones, so that a span of time can be found by the
/// order of blocks. More than the longest block interval.
pub(super) const BEHIND: Span = Span::from_mins(2);

/// What is to be stored, all of it or nothing. The effects of one or more inputs of the engine, in order.
///
/// A commit with windows or events must bring the checkpoint that was taken after them: a restart continues from the last
/// checkpoint and would make them a second time.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    /// The instant, on the clock that the engine runs on.
    pub(crate) now: Uptime,
    /// What the sensors of readings and windows are counted in.
    pub(crate) calibrated: Arc<CalibratedPlan>,
    /// Judged readings, in order of arrival.
    pub(crate) readings: Vec<Reading>,
    /// Acknowledgements of readings that a board holds: sent once this commit, and with it all before it, is on the disk.
    pub(crate) acks: Vec<AckRequest>,
    /// Windows that closed, in order.
    pub(crate) windows: Vec<Closed>,
    /// What happened, for the lane events.
    pub(crate) events: Vec<NewEvent>,
    /// What the device says of itself, for the lane diagnostics.
    pub(crate) diagnostics: Vec<NewEvent>,
    /// What is remembered after all of this.
    pub(crate) checkpoint: Option<Arc<Checkpoint>>,
    /// Numbers of alerts up to this one are reserved with the checkpoint.
    pub(crate) alerts_through: Option<u64>,
    /// What people did on site, when it changed.
    pub(crate) site: Option<SiteState>,
    /// The time of day at the boot's uptime zero, when that was learnt.
    pub(crate) anchor: Option<Anchor>,
}

/// Something that happened, before it has a sequence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewEvent {
    pub(crate) at: Stamp,
    /// `alert`, `clock`, `note` ...
    pub(crate) kind: String,
    pub(crate) body: Map<String, Value>,
    pub(crate) alert: Option<AlertRef>,
}

/// Which alert an event is about; old repeats of one are counted together when room is short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlertRef {
    /// Zone, rule and sensor of the alert.
    pub(crate) key: String,
    /// Number of the alert, once it has fired.
    pub(crate) number: Option<u64>,
    /// Why it is over, if it is with this event.
    pub(crate) ends: Option<Reason>,
}

impl Commit {
    /// A commit without rows.
    pub(crate) fn new(now: Uptime, calibrated: Arc<CalibratedPlan>) -> Commit {
        Commit {
            now,
            calibrated,
            readings: Vec::new(),
            acks: Vec::new(),
            windows: Vec::new(),
            events: Vec::new(),
            diagnostics: Vec::new(),
            checkpoint: None,
            alerts_through: None,
            site: None,
            anchor: None,
        }
    }

    /// Whether it brings more than readings, which a restart feeds to the engine again.
    pub(crate) fn needs_checkpoint(&self) -> bool {
        !self.windows.is_empty()
            || !self.events.is_empty()
            || !self.diagnostics.is_empty()
            || self.site.is_some()
            || self.anchor.is_some()
    }

    pub(crate) fn has_readings(&self) -> bool {
        !self.readings.is_empty() || !self.acks.is_empty()
    }
}

impl Store {
    /// Stores one commit, or nothing of it.
    #[cfg(test)]
    pub(crate) fn commit(&mut self, commit: &Commit) -> Result<LaneStates, StoreError> {
        self.commit_all(std::slice::from_ref(commit), &Losses::default())
    }

    /// Stores commits in one transaction, all or nothing, with a record of what was dropped before. Returns the state of the lanes.
    pub(crate) fn commit_all(&mut self, commits: &[Commit], lost: &Losses) -> Result<LaneStates, StoreError> {
        self.bring_up_to_date()?;
        self.reload_if_needed()?;
        let alerts_through =
            commits.iter().rev().find_map(|commit| commit.alerts_through).unwrap_or(self.boot.alerts_through);
        // Until the commit is through, what is in memory may be ahead of what is on the disk.
        self.needs_reload = true;
        let mut lanes = self.lanes;
        let transaction = self.reader.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.boot_unwritten {
            boot::write(&transaction, &self.boot)?;
        }
        let mut writing =
            Writing { connection: &transaction, names: &mut self.names, lanes: &mut lanes, boot: self.boot.number };
        for commit in commits {
            if let Some(anchor) = &commit.anchor {
                writing.anchor(anchor)?;
            }
        }
        writing.lost(commits, lost)?;
        let remembered = commits.iter().rposition(|commit| commit.checkpoint.is_some()).map_or(0, |last| last + 1);
        let (in_checkpoint, after) = commits.split_at(remembered);
        writing.readings(in_checkpoint)?;
        let last_checkpoint = writing.memory(commits, self.last_checkpoint.take())?;
        writing.readings(after)?;
        writing.windows(commits)?;
        for commit in commits {
            writing.events(Lane::Events, &commit.events)?;
            writing.events(Lane::Diagnostics, &commit.diagnostics)?;
        }
        board_positions::write(&transaction, commits)?;
        if self.confirmed_unwritten {
            lanes.write(&transaction)?;
        }
        if alerts_through != self.boot.alerts_through {
            boot::reserve(&transaction, alerts_through)?;
        }
        transaction.commit()?;
        self.boot.alerts_through = alerts_through;
        self.lanes = lanes;
        self.last_checkpoint = last_checkpoint;
        self.confirmed_unwritten = false;
        self.boot_unwritten = false;
        self.needs_reload = false;
        Ok(lanes)
    }
}

/// A transaction being filled.
struct Writing<'a> {
    connection: &'a Connection,
    names: &'a mut Names,
    lanes: &'a mut LaneStates,
    /// Boot of all rows whose boot was not counted when they were made.
    boot: u32,
}

impl Writing<'_> {
    fn anchor(&self, anchor: &Anchor) -> Result<(), StoreError> {
        let sql = "UPDATE boot SET wall_at_zero = ?, source = ?, error = ? WHERE id = ?";
        let (source, error) = (anchor.trust.name(), anchor.error.unwrap_or(Span::ZERO));
        self.connection.prepare_cached(sql)?.execute((anchor.offset_ms, source, error.0, self.boot))?;
        Ok(())
    }

    /// What was dropped takes sequences of its own, so that the hub hears of it; readings have none and are only counted. It is
    /// an event, too, and in the table of losses.
    fn lost(&mut self, commits: &[Commit], losses: &Losses) -> Result<(), StoreError> {
        let Some(now) = commits.last().map(|commit| commit.now) else { return Ok(()) };
        for (&cause, lost) in losses {
            let reason = format!("dropped: {cause}");
            let Sizes { events, windows, diagnostics, .. } = lost.rows;
            for (lane, count) in [(Lane::Events, events), (Lane::Windows, windows), (Lane::Diagnostics, diagnostics)] {
                if count > 0 {
                    let first = self.lanes.of_mut(lane).take(count);
                    let range = first..=self.lanes.of(lane).committed;
                    gaps::add(self.connection, lane, range, GapKind::Lost, &reason)?;
                }
            }
            for (what, count) in lost.counts() {
                let span = (lost.from.unwrap_or(now), lost.to.unwrap_or(now));
                losses::add(self.connection, &Loss { what, reason: cause, count, boot: self.boot, span })?;
            }
            self.record_drop_event(now, cause, lost)?;
        }
        Ok(())
    }

    fn record_drop_event(&mut self, now: Uptime, cause: Cause, lost: &Lost) -> Result<(), StoreError> {
        let mut body = Map::new();
        for (what, count) in lost.counts() {
            body.insert(what.to_owned(), count.into());
        }
        body.insert("reason".to_owned(), cause.into());
        body.insert("from".to_owned(), json!(lost.from));
        body.insert("to".to_owned(), json!(lost.to));
        let at = Stamp { boot: self.boot, uptime: now, wall: None };
        self.events(Lane::Events, &[NewEvent { at, kind: "lost".to_owned(), body, alert: None }])
    }

    /// One block of all readings under one plan, and one of those that came late.
    fn readings(&mut self, commits: &[Commit]) -> Result<(), StoreError> {
        for group in commits.chunk_by(|one, next| Arc::ptr_eq(&one.calibrated, &next.calibrated)) {
            if group.iter().all(|commit| commit.readings.is_empty()) {
                continue;
            }
            let numbers = self.names.numbers(self.connection, &group[0].calibrated)?;
            let now = group.last().map_or(Uptime(0), |commit| commit.now);
            let readings = || group.iter().flat_map(|commit| &commit.readings);
            self.raw_block(&numbers, now, false, readings().filter(|reading| reading.at >= now - BEHIND))?;
            self.raw_block(&numbers, now, true, readings().filter(|reading| reading.at < now - BEHIND))?;
        }
        Ok(())
    }

    fn raw_block<'r>(
        &self,
        numbers: &PlanNumbers,
        now: Uptime,
        late: bool,
        readings: impl Iterator<Item = &'r Reading>,
    ) -> Result<(), StoreError> {
        let mut points: Vec<Vec<Point>> = vec![Vec::new(); numbers.sensors.len()];
        let (mut first, mut last, mut count) = (Uptime(i64::MAX), Uptime(i64::MIN), 0u32);
        for Reading { sensor, at, steps, quality, raw, .. } in readings {
            let is_calibrated = numbers.sensors[sensor.0 as usize].calibration != raw_block::IDENTITY;
            let raw = is_calibrated.then_some(*raw);
            points[sensor.0 as usize].push(Point { at: *at, steps: *steps, quality: *quality, raw });
            (first, last, count) = (first.min(*at), last.max(*at), count + 1);
        }
        if count == 0 {
            return Ok(());
        }
        let columns = numbers.sensors.iter().zip(points).filter(|(_, points)| !points.is_empty());
        let mut columns: Vec<Column> = columns
            .map(|(numbers, points)| Column { series: numbers.series, calibration: numbers.calibration, points })
            .collect();
        columns.sort_by_key(|column| column.series);
        let block = raw_block::encode(&RawBlock { plan: numbers.plan, columns });
        self.connection
            .prepare_cached(
                "INSERT INTO raw (id, boot, at, first, last, late, readings, block)
                 VALUES ((SELECT id + 1 FROM newest_raw), ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute((self.boot, now.0, first.0, last.0, late, count, block))?;
        Ok(())
    }

    fn windows(&mut self, commits: &[Commit]) -> Result<(), StoreError> {
        let mut blocks = WindowBlocks::new();
        for commit in commits.iter().filter(|commit| !commit.windows.is_empty()) {
            let numbers = self.names.numbers(self.connection, &commit.calibrated)?;
            for closed in &commit.windows {
                let series = numbers.sensors[closed.sensor.0 as usize].series;
                window_rows::add(&mut blocks, self.connection, self.boot, series, closed)?;
            }
        }
        for (start, entries) in blocks {
            let WindowStart { grain, boot, start, wall_at_zero } = start;
            let lane = self.lanes.of_mut(Lane::Windows);
            let first = lane.take(entries.len());
            let block = window_block::encode(start, &entries);
            let table = table(grain);
            self.connection
                .prepare_cached(&format!(
                    "INSERT INTO {table} (seq, last, boot, start, wall_at_zero, block) VALUES (?, ?, ?, ?, ?, ?)"
                ))?
                .execute((int(first), int(lane.committed), boot, start.0, wall_at_zero, block))?;
        }
        Ok(())
    }

    fn events(&mut self, lane: Lane, events: &[NewEvent]) -> Result<(), StoreError> {
        for event in events {
            let seq = int(self.lanes.of_mut(lane).take(1));
            let (Stamp { boot, uptime, wall }, kind) = (boot::counted(event.at, self.boot), event.kind.as_str());
            let wall = wall.map(|wall| wall.0);
            let body = serde_json::to_string(&event.body).map_err(|error| StoreError::Unexpected(error.to_string()))?;
            if lane == Lane::Diagnostics {
                self.connection
                    .prepare_cached(
                        "INSERT INTO diagnostic (seq, boot, uptime, wall, kind, body) VALUES (?, ?, ?, ?, ?, ?)",
                    )?
                    .execute((seq, boot, uptime.0, wall, kind, body))?;
                continue;
            }
            let about = event.alert.as_ref();
            let number = about.and_then(|alert| alert.number).map(int);
            let ends = about.is_some_and(|alert| alert.ends.is_some());
            self.connection
                .prepare_cached(
                    "INSERT INTO event (seq, boot, uptime, wall, kind, about, alert, ends, body)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute((seq, boot, uptime.0, wall, kind, about.map(|alert| &alert.key), number, ends, body))?;
        }
        Ok(())
    }

    /// The newest checkpoint and site state of all; the checkpoint holds every reading that is written by now. Returns the checkpoint
    /// that the file has then.
    fn memory(&self, commits: &[Commit], last: Option<LastCheckpoint>) -> Result<Option<LastCheckpoint>, StoreError> {
        if let Some(site) = commits.iter().rev().find_map(|commit| commit.site.as_ref()) {
            checkpoint::write_site(self.connection, site)?;
        }
        // One of a boot that was not counted yet lacks what the file holds of before: decide takes that over, then makes another one.
        let mut checkpoints = commits.iter().rev().filter_map(|commit| commit.checkpoint.as_ref());
        match checkpoints.find(|checkpoint| checkpoint.engine.boot() > 0) {
            Some(checkpoint) => checkpoint::write(self.connection, checkpoint, last).map(Some),
            None => Ok(last),
        }
    }
}
