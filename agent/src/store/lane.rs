//! The state of each lane of the outbox.

use std::collections::BTreeMap;

use rusqlite::Connection;
use tilth_protocol::Lane;

use super::error::StoreError;
use super::row::{int, lane_id, lane_index, uint};

/// The state of a lane. Sequences begin with 1, so 0 is before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LaneState {
    /// The highest sequence that was committed.
    pub(crate) committed: u64,
    /// The highest sequence at and below which the hub has accounted for everything.
    pub(crate) confirmed: u64,
}

impl LaneState {
    /// Sequences that the hub has not confirmed.
    pub(crate) fn waiting(self) -> u64 {
        self.committed - self.confirmed
    }

    /// Takes the next sequences.
    pub(super) fn take(&mut self, count: usize) -> u64 {
        let first = self.committed + 1;
        self.committed += count as u64;
        first
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LaneStates([LaneState; 3]);

impl LaneStates {
    pub(crate) fn of(&self, lane: Lane) -> LaneState {
        self.0[lane_index(lane)]
    }

    pub(super) fn of_mut(&mut self, lane: Lane) -> &mut LaneState {
        &mut self.0[lane_index(lane)]
    }

    /// By the hub's own words.
    pub(crate) fn confirmed(&self) -> BTreeMap<Lane, u64> {
        Lane::ALL.into_iter().map(|lane| (lane, self.of(lane).confirmed)).collect()
    }

    pub(super) fn read(connection: &Connection) -> Result<LaneStates, StoreError> {
        let mut lanes = LaneStates::default();
        for lane in Lane::ALL {
            let newest = match lane {
                Lane::Events => "SELECT max(seq) FROM event",
                Lane::Windows => {
                    "SELECT max(last) FROM (SELECT last FROM (SELECT last FROM minute ORDER BY seq DESC LIMIT 1)
                    UNION ALL SELECT last FROM (SELECT last FROM quarter ORDER BY seq DESC LIMIT 1))"
                }
                Lane::Diagnostics => "SELECT max(seq) FROM diagnostic",
            };
            let row: Option<i64> = connection.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
            let gap: Option<i64> = connection
                .prepare_cached("SELECT last FROM gap WHERE lane = ? ORDER BY first DESC LIMIT 1")?
                .query_map([lane_id(lane)], |row| row.get(0))?
                .next()
                .transpose()?;
            let (next, confirmed): (i64, i64) = connection
                .prepare_cached("SELECT next, confirmed FROM lane WHERE id = ?")?
                .query_row([lane_id(lane)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let committed = [row, gap, Some(next - 1)].into_iter().flatten().max().map_or(0, uint);
            // What was not committed cannot be confirmed, even if the file says so.
            *lanes.of_mut(lane) = LaneState { committed, confirmed: uint(confirmed).min(committed) };
        }
        Ok(lanes)
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut update = connection.prepare_cached("UPDATE lane SET next = ?, confirmed = ? WHERE id = ?")?;
        for lane in Lane::ALL {
            let LaneState { committed, confirmed } = self.of(lane);
            update.execute((int(committed + 1), int(confirmed), lane_id(lane)))?;
        }
        Ok(())
    }
}
