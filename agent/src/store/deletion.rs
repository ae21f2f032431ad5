//! Carries out what `retention` names: a few rows a call, from the front of a table, with a record of what the hub will
//! miss.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tilth_core::time::{Span, Uptime, WallTime};
use tilth_core::windows::Grain;
use tilth_protocol::{GapKind, Lane};

use super::Store;
use super::boot::boots;
use super::checkpoint;
use super::digest::{closed_events, collapse, lose_events, repeats};
use super::error::StoreError;
use super::gaps;
use super::lane::LaneStates;
use super::losses::{self, Loss};
use super::retention::{FOR_ROOM, Policy, RowKind, Step, Usage, next_step, shortage};
use super::row::{self, int, uint};
use super::schema::pragma;

/// Rows of one step: a few pages, so that a commit waits for milliseconds.
pub(super) const STEP_ROWS: i64 = 16;

/// A boot and milliseconds of its uptime: rows of a table rise by it.
pub(super) type BootInstant = (u32, i64);

struct Bounds {
    lanes: LaneStates,
    /// Rows before it are older than they are kept.
    cut: Option<BootInstant>,
    /// Raw readings before it have their windows at the hub.
    confirmed_raw: BootInstant,
    /// The last raw block that is in the checkpoint.
    position: i64,
    has_hub: bool,
}

impl Store {
    /// Deletes a few rows where room or age demands it, and says what. Call it again while it is not [`Step::Rest`]. `wall` is the
    /// time of day, if it is trusted; `free_bytes` what is free on the disk, if that is known. An error deletes nothing.
    pub(crate) fn delete_step(
        &mut self,
        policy: &Policy,
        wall: Option<WallTime>,
        free_bytes: Option<u64>,
    ) -> Result<Step, StoreError> {
        self.reload_if_needed()?;
        let mut lanes = self.lanes;
        let transaction = self.reader.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let bounds = bounds(&transaction, policy, lanes, wall, self.needs_migration)?;
        let usage = usage(&transaction, policy, &bounds, free_bytes)?;
        let step = next_step(policy, &usage);
        let reason = shortage(policy, &usage).unwrap_or("events reached their share of the room");
        if step == Step::Rest {
            return Ok(step);
        }
        let to_delete = rows_to_delete(&transaction, step, &bounds)?;
        // Rows that are older than they are to be kept are no loss.
        let is_new = match loss(&transaction, &to_delete, reason)?.filter(|_| !matches!(step, Step::Outdated(_))) {
            Some(loss) => losses::add(&transaction, &loss)?.then_some(loss.what),
            None => None,
        };
        match step {
            Step::Collapse => collapse(&transaction, &mut lanes)?,
            Step::Lose(RowKind::Events) => lose_events(&transaction, lanes, reason)?,
            _ => delete(&transaction, step, &to_delete, lanes, reason)?,
        }
        forget_gaps(&transaction, lanes)?;
        lanes.write(&transaction)?;
        transaction.commit()?;
        (self.lanes, self.confirmed_unwritten) = (lanes, false);
        self.started_deleting = is_new.map(|what| (what, reason));
        Ok(step)
    }
}

/// The oldest rows of a kind, with what the bounds are compared with.
#[derive(Debug, Clone, Copy)]
struct OldRow {
    rows: RowKind,
    key: i64,
    last: i64,
    at: BootInstant,
}

/// The rows that a step deletes, from the front of their table; of events any that are as old.
fn rows_to_delete(connection: &Connection, step: Step, bounds: &Bounds) -> Result<Vec<OldRow>, StoreError> {
    let Some(rows) = step.rows() else { return Ok(Vec::new()) };
    let oldest = match step {
        Step::ReplaceMinutes => replaceable_minutes(connection, STEP_ROWS)?,
        _ => oldest_rows(connection, rows, STEP_ROWS)?,
    };
    Ok(oldest.into_iter().take_while(|row| bounds.may_be_deleted(step, row)).collect())
}

/// Description of what is lost with these rows.
fn loss<'a>(connection: &Connection, to_delete: &[OldRow], reason: &'a str) -> Result<Option<Loss<'a>>, StoreError> {
    let (Some(first), Some(last)) = (to_delete.first(), to_delete.last()) else { return Ok(None) };
    let count = match last.rows {
        RowKind::Raw => {
            let sql = "SELECT total(readings) FROM raw WHERE id <= ?";
            connection.prepare_cached(sql)?.query_row([last.key], |row| row.get::<_, f64>(0))? as usize
        }
        _ => to_delete.iter().map(|row| usize::try_from(row.last - row.key + 1).unwrap_or(0)).sum(),
    };
    let from = if first.at.0 == last.at.0 { first.at.1 } else { last.at.1 };
    let span = (Uptime(from), Uptime(last.at.1));
    Ok(Some(Loss { what: last.rows.words(), reason, count, boot: last.at.0, span }))
}

impl Bounds {
    fn may_be_deleted(&self, step: Step, row: &OldRow) -> bool {
        match step {
            Step::Outdated(_) => self.is_outdated(row),
            Step::Confirmed(_) => self.is_confirmed(row),
            Step::Lose(RowKind::Raw) => row.key <= self.position,
            Step::ReplaceMinutes | Step::Lose(_) | Step::Collapse | Step::Rest => true,
        }
    }

    fn is_confirmed(&self, row: &OldRow) -> bool {
        let lane = match row.rows {
            RowKind::Raw => return row.at < self.confirmed_raw && row.key <= self.position,
            RowKind::Minutes | RowKind::Quarters => Lane::Windows,
            RowKind::Events => Lane::Events,
            RowKind::Diagnostics => Lane::Diagnostics,
        };
        uint(row.last) <= self.lanes.of(lane).confirmed
    }

    fn is_outdated(&self, row: &OldRow) -> bool {
        let is_for_nobody = row.rows == RowKind::Diagnostics && !self.has_hub;
        self.cut.is_some_and(|cut| row.at < cut) && (is_for_nobody || self.is_confirmed(row))
    }
}

fn bounds(
    connection: &Connection,
    policy: &Policy,
    lanes: LaneStates,
    wall: Option<WallTime>,
    needs_migration: bool,
) -> Result<Bounds, StoreError> {
    let confirmed = int(lanes.of(Lane::Windows).confirmed);
    let unconfirmed = |table: &str| -> Result<Option<BootInstant>, StoreError> {
        let sql = format!("SELECT boot, start FROM {table} WHERE seq > ? ORDER BY seq LIMIT 1");
        Ok(connection.prepare_cached(&sql)?.query_row([confirmed], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    };
    let first_unconfirmed = unconfirmed("minute")?.into_iter().chain(unconfirmed("quarter")?).min();
    let kept = Span(i64::from(policy.keep_days) * 86_400_000);
    let cut = match wall {
        None => None,
        Some(wall) => {
            // The last boot that is known to have begun before the cut; later ones without a time of day are kept.
            let zeros = boots(connection)?.into_iter().rev().filter_map(|(boot, zero)| Some((boot, zero?)));
            zeros.into_iter().map(|(boot, zero)| (boot, (wall - zero).0 - kept.0)).find(|(_, uptime)| *uptime >= 0)
        }
    };
    let position = checkpoint::position(connection, needs_migration)?;
    let confirmed_raw = first_unconfirmed.unwrap_or((u32::MAX, 0));
    Ok(Bounds { lanes, cut, confirmed_raw, position, has_hub: policy.has_hub })
}

fn usage(
    connection: &Connection,
    policy: &Policy,
    bounds: &Bounds,
    free_bytes: Option<u64>,
) -> Result<Usage, StoreError> {
    let (pages, spare) = (pragma(connection, "page_count")?, pragma(connection, "freelist_count")?);
    let size = pragma(connection, "page_size")?;
    let mut first_rows = Vec::new();
    for rows in RowKind::ALL {
        first_rows.extend(oldest_rows(connection, rows, 1)?);
    }
    let mut possible = Vec::new();
    for step in FOR_ROOM {
        let is_possible = match step {
            Step::ReplaceMinutes => !replaceable_minutes(connection, 1)?.is_empty(),
            // Events are read from the first on: only when it may come to them.
            Step::Lose(RowKind::Events) => {
                let is_next = possible.iter().all(|before| *before == Step::Lose(RowKind::Diagnostics));
                is_next && !closed_events(connection, 1)?.is_empty()
            }
            _ => first_rows.iter().any(|row| Some(row.rows) == step.rows() && bounds.may_be_deleted(step, row)),
        };
        if is_possible {
            possible.push(step);
        }
    }
    Ok(Usage {
        used_bytes: (pages - spare) * size,
        spare_bytes: spare * size,
        free_bytes,
        outdated: first_rows.iter().find(|row| bounds.is_outdated(row)).map(|row| row.rows),
        can_collapse: events_bytes(connection)? > policy.events_bytes && !repeats(connection)?.is_empty(),
        possible,
    })
}

/// From the length of the newest: summing all would read all, and so would both ends asked for at once.
fn events_bytes(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT (SELECT max(seq) FROM event) - (SELECT min(seq) FROM event) + 1, avg(length(body) + 60.0)
        FROM (SELECT body FROM event ORDER BY seq DESC LIMIT 64)";
    let (count, length): (Option<i64>, Option<f64>) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((count.unwrap_or(0) as f64 * length.unwrap_or(0.0)) as u64)
}

/// Table of a kind and three of its columns: key, last sequence of a row, and instant.
const fn columns(rows: RowKind) -> (&'static str, [&'static str; 3]) {
    match rows {
        RowKind::Raw => ("raw", ["id", "id", "at"]),
        RowKind::Minutes => ("minute", ["seq", "last", "start"]),
        RowKind::Quarters => ("quarter", ["seq", "last", "start"]),
        RowKind::Events => ("event", ["seq", "seq", "uptime"]),
        RowKind::Diagnostics => ("diagnostic", ["seq", "seq", "uptime"]),
    }
}

/// The first rows of a table.
fn oldest_rows(connection: &Connection, rows: RowKind, count: i64) -> Result<Vec<OldRow>, StoreError> {
    let (table, [key, last, at]) = columns(rows);
    let sql = format!("SELECT {key}, {last}, boot, {at} FROM {table} ORDER BY {key} LIMIT ?");
    row::all(connection, &sql, [count], |row| {
        Ok(OldRow { rows, key: row.get(0)?, last: row.get(1)?, at: (row.get(2)?, row.get(3)?) })
    })
}

/// Deletes rows from the front of their table. Windows and diagnostics that the hub does not have leave a gap.
fn delete(
    connection: &Connection,
    step: Step,
    to_delete: &[OldRow],
    lanes: LaneStates,
    reason: &str,
) -> Result<(), StoreError> {
    let Some(last) = to_delete.last() else { return Ok(()) };
    let (table, [key, ..]) = columns(last.rows);
    connection.prepare_cached(&format!("DELETE FROM {table} WHERE {key} <= ?"))?.execute([last.key])?;
    let (lane, kind, reason) = match step {
        Step::ReplaceMinutes => {
            let reason = format!("no room for minutes, their quarters of an hour are kept: {reason}");
            (Lane::Windows, GapKind::Replaced, reason)
        }
        Step::Lose(RowKind::Quarters) => (Lane::Windows, GapKind::Lost, format!("no room: {reason}")),
        Step::Lose(RowKind::Diagnostics) => (Lane::Diagnostics, GapKind::Lost, format!("no room: {reason}")),
        Step::Outdated(RowKind::Diagnostics) => (Lane::Diagnostics, GapKind::Lost, "older than it is kept".to_owned()),
        _ => return Ok(()),
    };
    for row in to_delete {
        let range = uint(row.key)..=uint(row.last);
        let is_missed = lane == Lane::Windows
            || (*range.end() > lanes.of(lane).confirmed && gaps::within(connection, lane, &range)?.is_empty());
        if is_missed {
            gaps::add(connection, lane, range, kind, &reason)?;
        }
    }
    Ok(())
}

/// The first minutes, as long as the quarter of an hour that holds each is kept.
fn replaceable_minutes(connection: &Connection, count: i64) -> Result<Vec<OldRow>, StoreError> {
    let mut covered = connection
        .prepare_cached("SELECT 1 FROM quarter WHERE boot = ?1 AND start <= ?2 AND start > ?2 - ?3 LIMIT 1")?;
    let mut minutes = Vec::new();
    for minute in oldest_rows(connection, RowKind::Minutes, count)? {
        let (boot, start) = minute.at;
        if !covered.exists((boot, start, Grain::Quarter.span().0))? {
            break;
        }
        minutes.push(minute);
    }
    Ok(minutes)
}

/// A gap is kept as long as the rows beside it: confirmed, and older than every row of its lane, it says nothing more.
fn forget_gaps(connection: &Connection, lanes: LaneStates) -> Result<(), StoreError> {
    for (lane, oldest) in [
        (
            Lane::Windows,
            "SELECT min(seq) FROM (SELECT min(seq) AS seq FROM minute UNION ALL SELECT min(seq) FROM quarter)",
        ),
        (Lane::Events, "SELECT min(seq) FROM event"),
        (Lane::Diagnostics, "SELECT min(seq) FROM diagnostic"),
    ] {
        let oldest: Option<i64> = connection.prepare_cached(oldest)?.query_row([], |row| row.get(0))?;
        let before = oldest.map_or(u64::MAX, |seq| uint(seq).saturating_sub(1));
        gaps::drop_up_to(connection, lane, before.min(lanes.of(lane).confirmed))?;
    }
    Ok(())
}
