//! Which sequences of a stream's lanes are accounted for.

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;
use tilth_protocol::{GapKind, Lane};

use super::rows::{self, StreamId};
use super::{DbError, quarantine};
use crate::db::records::Tally;
use crate::domain::ingest::ranges::{self, Content, Run};

/// The known runs that share a sequence with a run, rising; at most `limit`. For a gap their rows and reasons are not read: there it
/// does not matter what they hold.
pub(super) fn overlapping(
    connection: &Connection,
    (stream, lane): (StreamId, Lane),
    Run { first, last, content }: &Run,
    limit: usize,
) -> Result<Vec<Run>, DbError> {
    let is_gap = matches!(content, Content::Gap(..));
    let columns = if is_gap { "" } else { ", kind, reason, marks, mark_version" };
    // Runs do not overlap, so those that end at or after `first` rise in `first` too.
    let mut select = connection.prepare_cached(&format!(
        "SELECT first, last{columns} FROM runs WHERE stream = ?1 AND lane = ?2 AND last >= ?3 ORDER BY last LIMIT ?4"
    ))?;
    let mut found = select.query((stream, lane.name(), first, limit))?;
    let mut runs = Vec::new();
    while let Some(row) = found.next()? {
        let run = match is_gap {
            true => Run { first: row.get(0)?, last: row.get(1)?, content: Content::Gap(GapKind::Lost, String::new()) },
            false => rows::run(row)?,
        };
        if run.first > *last {
            break;
        }
        runs.push(run);
    }
    Ok(runs)
}

/// Keeps new runs and confirms what they complete.
pub(super) fn add(
    connection: &Connection,
    stream: StreamId,
    lane: Lane,
    new: &[Run],
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
    let Tally { confirmed: before, mut lost, .. } = tally(connection, stream, lane)?;
    for run in new {
        if let Content::Rows(_) = run.content
            && replace.execute((stream, lane.name(), run.first, run.last))? > 0
        {
            quarantine::take_out(connection, stream, lane, (run.first, run.last))?;
        }
        let (kind, reason, marks, version) = rows::run_columns(&run.content);
        insert.execute((stream, lane.name(), run.first, run.last, kind, reason, marks, version, now.0))?;
        if matches!(run.content, Content::Gap(GapKind::Lost, _)) {
            lost += run.last - run.first + 1;
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

/// What a lane comes to; nothing where it brought nothing yet.
pub(super) fn tally(connection: &Connection, stream: StreamId, lane: Lane) -> Result<Tally, DbError> {
    let mut select =
        connection.prepare_cached("SELECT confirmed, lost, forgotten FROM lanes WHERE stream = ?1 AND lane = ?2")?;
    let tally = select
        .query_row((stream, lane.name()), |row| {
            Ok(Tally { confirmed: row.get(0)?, lost: row.get(1)?, forgotten: row.get(2)? })
        })
        .optional()?;
    Ok(tally.unwrap_or_default())
}
