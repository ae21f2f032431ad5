//! Sequences without a row, and why.

use std::ops::RangeInclusive;

use rusqlite::Connection;
use tilth_protocol::{Gap, GapKind, Lane};

use super::error::StoreError;
use super::row::{self, gap_kind_id, int, lane_id};

/// Records a gap; one that goes on where another of its kind ends makes that longer.
pub(super) fn add(
    connection: &Connection,
    lane: Lane,
    range: RangeInclusive<u64>,
    kind: GapKind,
    reason: &str,
) -> Result<(), StoreError> {
    let (first, last) = (int(*range.start()), int(*range.end()));
    let longer = connection
        .prepare_cached(
            "UPDATE gap SET last = ?1 WHERE id = (
                SELECT id FROM gap WHERE lane = ?2 AND first < ?3 ORDER BY first DESC LIMIT 1
             ) AND last = ?3 - 1 AND kind = ?4 AND reason = ?5",
        )?
        .execute((last, lane_id(lane), first, gap_kind_id(kind), reason))?;
    if longer == 0 {
        connection
            .prepare_cached("INSERT INTO gap (lane, first, last, kind, reason) VALUES (?, ?, ?, ?, ?)")?
            .execute((lane_id(lane), first, last, gap_kind_id(kind), reason))?;
    }
    Ok(())
}

/// The gaps that reach into a range, cut to it, by sequence.
pub(super) fn within(connection: &Connection, lane: Lane, range: &RangeInclusive<u64>) -> Result<Vec<Gap>, StoreError> {
    let sql = "SELECT first, last, kind, reason FROM gap WHERE lane = ?1 AND first <= ?3 AND last >= ?2 ORDER BY first";
    let cut = |gap: Gap| Gap { first: gap.first.max(*range.start()), last: gap.last.min(*range.end()), ..gap };
    let within = (lane_id(lane), int(*range.start()), int(*range.end()));
    row::all(connection, sql, within, |row| row::gap(row).map(cut))
}

/// Drops what is recorded up to a sequence, itself included.
pub(super) fn drop_up_to(connection: &Connection, lane: Lane, seq: u64) -> Result<(), StoreError> {
    connection.execute("DELETE FROM gap WHERE lane = ? AND last <= ?", (lane_id(lane), int(seq)))?;
    connection.execute("UPDATE gap SET first = ?2 + 1 WHERE lane = ?1 AND first <= ?2", (lane_id(lane), int(seq)))?;
    Ok(())
}
