//! What the hub has not confirmed, and what it says of it.
//!
//! ```text
//!          confirmed                        committed
//! 1 .......... | -- backlog, oldest first --> |
//!                          <-- newest first -- |
//! ```
//!
//! A lane's sequences are contiguous: each is a row, or in a gap that says why not, or was confirmed. [`StoreReader::events`] and
//! [`StoreReader::windows`] give any range of a lane as an extent in which everything is accounted for, so the sender may send the newest
//! windows before the backlog, and keeps book of both.
//!
//! The hub confirms a prefix and nothing else, so the store keeps one number a lane. What the hub took beyond it is known
//! only to the sender, in memory: it may pass over those ranges when the backlog reaches them, and after a restart it sends
//! them again, which the hub ignores. A confirmation is written with the next commit; losing one costs sending again.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior};
use tilth_core::time::Uptime;
use tilth_protocol::{Epoch, Event, Extent, GapKind, Lane, RejectedRow, Stream, WITHHELD, WindowRow};

use super::error::StoreError;
use super::extent::{ExtentBuilder, Limit};
use super::gaps;
use super::lane::{LaneState, LaneStates};
use super::names::series_by_number;
use super::row::{self, WindowStart, int, uint};
use super::window_block;
use super::{Store, StoreReader};

impl StoreReader {
    /// A part of the lane events or diagnostics: a range, from its first sequence on as far as the limit goes. Nothing where
    /// the range is empty. To be read within one transaction.
    pub(crate) fn events(
        &self,
        lane: Lane,
        wanted: RangeInclusive<u64>,
        limit: Limit,
    ) -> Result<Option<Extent<Event>>, StoreError> {
        let table = if lane == Lane::Diagnostics { "diagnostic" } else { "event" };
        let connection = &self.0;
        let range = committed(connection, lane, &wanted)?;
        let gaps = gaps::within(connection, lane, &range)?;
        let mut extent = ExtentBuilder::new(range.clone(), limit, gaps);
        let mut statement = connection.prepare_cached(&format!(
            "SELECT seq, boot, uptime, wall, kind, body FROM {table} WHERE seq BETWEEN ? AND ? ORDER BY seq"
        ))?;
        let mut rows = statement.query((int(*range.start()), int(*range.end())))?;
        while let Some(row) = rows.next()? {
            if !extent.offer(row::event(row)?, Instant::now()) {
                break;
            }
        }
        Ok(extent.finish())
    }

    /// The same of the lane windows. A block that is damaged leaves a gap.
    pub(crate) fn windows(
        &self,
        wanted: RangeInclusive<u64>,
        limit: Limit,
    ) -> Result<Option<Extent<WindowRow>>, StoreError> {
        let connection = &self.0;
        let range = committed(connection, Lane::Windows, &wanted)?;
        let gaps = gaps::within(connection, Lane::Windows, &range)?;
        let series = series_by_number(connection)?;
        let mut extent = ExtentBuilder::new(range.clone(), limit, gaps);
        let mut statement = connection.prepare_cached(
            "SELECT 0 AS grain, seq, boot, start, wall_at_zero, block FROM minute
                WHERE seq >= (SELECT coalesce(max(seq), 0) FROM minute WHERE seq <= ?1) AND seq <= ?2
             UNION ALL
             SELECT 1, seq, boot, start, wall_at_zero, block FROM quarter
                WHERE seq >= (SELECT coalesce(max(seq), 0) FROM quarter WHERE seq <= ?1) AND seq <= ?2
             ORDER BY seq",
        )?;
        let mut rows = statement.query((int(*range.start()), int(*range.end())))?;
        'blocks: while let Some(row) = rows.next()? {
            let start = window_start(row)?;
            let first = uint(row.get("seq")?);
            let entries = window_block::decode(start.start, row.get_ref("block")?.as_blob().unwrap_or_default());
            for (seq, entry) in (first..).zip(&entries.unwrap_or_default()) {
                if let Some(series) = series.get(&entry.series)
                    && !extent.offer(row::window(seq, series, &start, entry), Instant::now())
                {
                    break 'blocks;
                }
            }
        }
        Ok(extent.finish())
    }
}

/// What of a range was committed; nothing comes before the first sequence.
fn committed(
    connection: &Connection,
    lane: Lane,
    range: &RangeInclusive<u64>,
) -> Result<RangeInclusive<u64>, StoreError> {
    let committed = LaneStates::read(connection)?.of(lane).committed;
    Ok(*range.start().max(&1)..=committed.min(*range.end()))
}

/// `grain, boot, start, wall_at_zero`
pub(super) fn window_start(row: &rusqlite::Row) -> Result<WindowStart, StoreError> {
    use tilth_core::windows::Grain;
    let grain = if row.get::<_, i64>("grain")? == 0 { Grain::Minute } else { Grain::Quarter };
    let (boot, start) = (row.get("boot")?, Uptime(row.get("start")?));
    Ok(WindowStart { grain, boot, start, wall_at_zero: row.get("wall_at_zero")? })
}

impl Store {
    /// The database that the sequences belong to.
    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }

    /// The hub's epoch that was last heard of.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    pub(crate) fn lanes(&self) -> LaneStates {
        self.lanes
    }

    /// The hub has accounted for everything up to a sequence. It moves only forward, and only over what was committed. It
    /// is written with the next commit, or by [`Store::flush`]. Returns whether it moved: one that is old, repeated or beyond what was
    /// committed changes nothing.
    pub(crate) fn confirm(&mut self, lane: Lane, seq: u64) -> bool {
        let state = self.lanes.of_mut(lane);
        if seq <= state.confirmed || seq > state.committed {
            return false;
        }
        state.confirmed = seq;
        self.confirmed_unwritten = true;
        true
    }

    /// Writes confirmations that no commit has written yet.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if self.confirmed_unwritten {
            let (lanes, transaction) = (self.lanes, self.reader.0.transaction()?);
            lanes.write(&transaction)?;
            transaction.commit()?;
            self.confirmed_unwritten = false;
        }
        Ok(())
    }

    /// The hub's database is another one now, and may have less than was confirmed: goes back to what it has. What is
    /// still held is sent again, the rest is stated as lost. The epoch that is known already changes nothing, nor does an error.
    pub(crate) fn rewind(&mut self, epoch: Epoch, confirmed: &BTreeMap<Lane, u64>) -> Result<(), StoreError> {
        if self.epoch == Some(epoch) {
            return Ok(());
        }
        let mut lanes = self.lanes;
        for lane in Lane::ALL {
            let LaneState { committed, confirmed: had } = lanes.of(lane);
            let has = confirmed.get(&lane).copied().unwrap_or(0);
            // A hub that claims more than there is knows another database; nothing is given up on its word.
            lanes.of_mut(lane).confirmed = if has > committed { had } else { has };
        }
        let transaction = self.reader.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        lanes.write(&transaction)?;
        transaction.execute("UPDATE meta SET epoch = ?", [epoch.0.to_be_bytes()])?;
        transaction.commit()?;
        (self.lanes, self.epoch, self.confirmed_unwritten) = (lanes, Some(epoch), false);
        Ok(())
    }

    /// Sets rows aside that the hub cannot store, all in one transaction. They stay here, and their sequences say so from now on.
    /// Rows that are confirmed, were never committed, or are in a gap already are left alone. An error changes nothing.
    pub(crate) fn quarantine(&mut self, rows: &[RejectedRow]) -> Result<(), StoreError> {
        let lanes = self.lanes;
        let transaction = self.reader.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for RejectedRow { lane, seq, reason } in rows {
            let LaneState { committed, confirmed } = lanes.of(*lane);
            let is_waiting = *seq > confirmed && *seq <= committed;
            if is_waiting && gaps::within(&transaction, *lane, &(*seq..=*seq))?.is_empty() {
                gaps::add(&transaction, *lane, *seq..=*seq, GapKind::Quarantined, reason)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Goes on under a new stream with the same sequences. What was confirmed under the old one is stated as one gap; the
    /// rest is sent again. An error changes nothing.
    pub(crate) fn new_stream(&mut self, reason: &str) -> Result<Stream, StoreError> {
        let reason = format!("confirmed under the stream {} before: {reason}", self.stream);
        self.begin_stream(|state| state.confirmed, &reason)
    }

    /// Goes on under a new stream for another client or hub: all that was committed so far is stated as one gap, and stays here. An error
    /// changes nothing.
    pub(crate) fn withhold(&mut self) -> Result<Stream, StoreError> {
        self.begin_stream(|state| state.committed, WITHHELD)
    }

    /// Begins a stream that has a gap up to a sequence of each lane.
    fn begin_stream(&mut self, gap_to: fn(LaneState) -> u64, reason: &str) -> Result<Stream, StoreError> {
        let mut lanes = self.lanes;
        let transaction = self.reader.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for lane in Lane::ALL {
            let last = gap_to(lanes.of(lane));
            lanes.of_mut(lane).confirmed = 0;
            if last > 0 {
                gaps::drop_up_to(&transaction, lane, last)?;
                gaps::add(&transaction, lane, 1..=last, GapKind::Replaced, reason)?;
            }
        }
        lanes.write(&transaction)?;
        transaction.execute("UPDATE meta SET stream = randomblob(16)", [])?;
        let stream = super::open::stream(&transaction)?;
        transaction.commit()?;
        (self.lanes, self.stream, self.confirmed_unwritten) = (lanes, stream, false);
        Ok(stream)
    }
}
