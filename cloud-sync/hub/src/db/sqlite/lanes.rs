//! Ranges of sequences that are accounted for, and how far each lane is confirmed.

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;
use tilth_protocol::{GapKind, Lane, WITHHELD};

use super::rows::{self, StreamId};
use super::{DbError, quarantine};
use crate::db::records::LaneState;
use crate::domain::ingest::ranges::{self, Content, SeqRange};

/// The known ranges that overlap a range, rising, at most `limit`. For a gap only their bounds are read: their content does not
/// matter.
pub(super) fn overlapping(
    connection: &Connection,
    (stream, lane): (StreamId, Lane),
    SeqRange { first, last, content }: &SeqRange,
    limit: usize,
) -> Result<Vec<SeqRange>, DbError> {
    let is_gap = matches!(content, Content::Gap(..));
    let columns = if is_gap { "" } else { ", kind, reason, marks, mark_version" };
    // Ranges do not overlap, so those that end at or after `first` rise in `first` too.
    let mut select = connection.prepare_cached(&format!(
        "SELECT first, last{columns} FROM runs WHERE stream = ?1 AND lane = ?2 AND last >= ?3 ORDER BY last LIMIT ?4"
    ))?;
    let mut found = select.query((stream, lane.name(), first, limit))?;
    let mut ranges = Vec::new();
    while let Some(row) = found.next()? {
        let of_any = || Ok(Content::Gap(GapKind::Lost, String::new()));
        let content = if is_gap { of_any() } else { rows::content(row) }?;
        let range = SeqRange { first: row.get(0)?, last: row.get(1)?, content };
        if range.first > *last {
            break;
        }
        ranges.push(range);
    }
    Ok(ranges)
}

/// Adds new ranges, and confirms the sequences up to the first missing one.
pub(super) fn add(
    connection: &Connection,
    stream: StreamId,
    lane: Lane,
    new: &[SeqRange],
    now: WallTime,
) -> Result<(), DbError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO runs (stream, lane, first, last, kind, reason, marks, mark_version, received)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    // Rows that could not be read before and can be now.
    let mut replace = connection.prepare_cached(
        "DELETE FROM runs WHERE stream = ?1 AND lane = ?2 AND last BETWEEN ?3 AND ?4 AND kind = 'unread'",
    )?;
    let LaneState { confirmed: before, mut lost, .. } = state(connection, stream, lane)?;
    for range in new {
        if let Content::Rows(_) = range.content
            && replace.execute((stream, lane.name(), range.first, range.last))? > 0
        {
            quarantine::take_out(connection, stream, lane, (range.first, range.last))?;
        }
        let (kind, reason, fingerprints, version) = rows::content_columns(&range.content);
        insert.execute((stream, lane.name(), range.first, range.last, kind, reason, fingerprints, version, now.0))?;
        if matches!(range.content, Content::Gap(GapKind::Lost, _)) {
            lost += range.last - range.first + 1;
        }
    }
    let mut upto = before;
    let mut select = connection
        .prepare_cached("SELECT first, last FROM runs WHERE stream = ?1 AND lane = ?2 AND last > ?3 ORDER BY last")?;
    let mut beyond = select.query((stream, lane.name(), before))?;
    while let Some(row) = beyond.next()? {
        let next = ranges::confirm(upto, [(row.get(0)?, row.get(1)?)]);
        if next == upto {
            break;
        }
        upto = next;
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO lanes (stream, lane, confirmed, lost) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET confirmed = excluded.confirmed, lost = excluded.lost",
    )?;
    upsert.execute((stream, lane.name(), upto, lost))?;
    Ok(())
}

/// Number of sequences at the beginning of a stream that its device withholds.
pub(super) fn withheld(connection: &Connection, stream: StreamId) -> Result<u64, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT last - first + 1
         FROM (SELECT first, last, reason FROM runs WHERE stream = ?1 AND lane = ?2 ORDER BY last LIMIT 1) WHERE reason = ?3",
    )?;
    let mut withheld = 0;
    for lane in Lane::ALL {
        let first = select.query_row((stream, lane.name(), WITHHELD), |row| row.get::<_, u64>(0));
        withheld += first.optional()?.unwrap_or(0);
    }
    Ok(withheld)
}

/// State of a lane; the default for one that has no rows.
pub(super) fn state(connection: &Connection, stream: StreamId, lane: Lane) -> Result<LaneState, DbError> {
    let mut select =
        connection.prepare_cached("SELECT confirmed, lost, forgotten FROM lanes WHERE stream = ?1 AND lane = ?2")?;
    let tally = select
        .query_row((stream, lane.name()), |row| {
            Ok(LaneState { confirmed: row.get(0)?, lost: row.get(1)?, forgotten: row.get(2)? })
        })
        .optional()?;
    Ok(tally.unwrap_or_default())
}
