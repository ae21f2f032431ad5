//! Boots of a device and their clocks.
//!
//! A new database of a device counts its boots from 1 again, so a number in another stream may mean another boot. A boot of a new
//! stream is separate until its clock is known. If the clock then agrees with that of an earlier boot with the number, they are
//! merged.

use rusqlite::{Connection, OptionalExtension, Row};

use super::DbError;
use super::rows::{BootId, DeviceId, StreamId};
use crate::domain::ingest::clock::{self, ClockObservation};

/// A boot with a known clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DatedBoot {
    pub(super) id: BootId,
    pub(super) number: u32,
    /// Time of day at uptime 0, in ms.
    pub(super) offset: i64,
}

/// Maximum number of rows that one batch moves by merging boots. A clock becomes known within the first batches of a boot; a boot
/// with more rows by then stays separate.
pub(super) const MAX_MOVED: u64 = 5_000;

/// A boot of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownBoot {
    pub(super) id: BootId,
    /// Number of its rows while the clock is unknown; none once it is known.
    pub(super) undated: Option<u64>,
    /// The boot was added by this batch.
    pub(super) is_new: bool,
}

/// The boot of a number in a stream, which is added if it is new.
pub(super) fn resolve(
    connection: &Connection,
    device: DeviceId,
    stream: StreamId,
    number: u32,
) -> Result<KnownBoot, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT boots.id, offset, rows FROM stream_boots JOIN boots ON boots.id = stream_boots.boot
         WHERE stream = ?1 AND stream_boots.number = ?2",
    )?;
    let known = select.query_row((stream, number), |row| {
        let (offset, rows): (Option<i64>, u64) = (row.get("offset")?, row.get("rows")?);
        Ok(KnownBoot { id: row.get("id")?, undated: offset.is_none().then_some(rows), is_new: false })
    });
    if let Some(known) = known.optional()? {
        return Ok(known);
    }
    let mut insert = connection.prepare_cached("INSERT INTO boots (device, number) VALUES (?1, ?2)")?;
    insert.execute((device, number))?;
    let id = BootId::last(connection);
    let mut insert =
        connection.prepare_cached("INSERT INTO stream_boots (stream, number, boot) VALUES (?1, ?2, ?3)")?;
    insert.execute((stream, number, id))?;
    Ok(KnownBoot { id, undated: Some(0), is_new: true })
}

/// Applies a clock observation. Returns the boot, which may be merged into another one. `room` is the number of rows that this batch
/// may still move.
pub(super) fn observe_clock(
    connection: &Connection,
    boot: KnownBoot,
    observation: &ClockObservation,
    room: &mut u64,
) -> Result<KnownBoot, DbError> {
    let mut select =
        connection.prepare_cached("SELECT offset, is_anchored, said_at, source, error_ms FROM boots WHERE id = ?1")?;
    let known = select.query_row([boot.id], read_observation)?;
    if !observation.outweighs(known.as_ref()) {
        return Ok(boot);
    }
    let mut update = connection.prepare_cached(
        "UPDATE boots SET offset = ?2, is_anchored = ?3, said_at = ?4, source = ?5, error_ms = ?6 WHERE id = ?1",
    )?;
    update.execute((
        boot.id,
        observation.offset,
        observation.is_anchor,
        observation.said_at,
        &observation.source,
        observation.error_ms,
    ))?;
    let dated = |id| KnownBoot { id, undated: None, is_new: boot.is_new };
    match boot.undated {
        Some(rows) if rows <= *room => {
            *room -= rows;
            Ok(dated(merge(connection, boot.id, observation.offset, rows > 0)?))
        }
        _ => Ok(dated(boot.id)),
    }
}

/// Counts rows of a boot whose clock is unknown.
pub(super) fn count(connection: &Connection, boot: BootId, rows: u64) -> Result<(), DbError> {
    connection.prepare_cached("UPDATE boots SET rows = rows + ?2 WHERE id = ?1")?.execute((boot, rows))?;
    Ok(())
}

fn read_observation(row: &Row<'_>) -> rusqlite::Result<Option<ClockObservation>> {
    let Some(offset) = row.get("offset")? else { return Ok(None) };
    Ok(Some(ClockObservation {
        offset,
        is_anchor: row.get("is_anchored")?,
        said_at: row.get("said_at")?,
        source: row.get("source")?,
        error_ms: row.get("error_ms")?,
    }))
}

/// Merges a boot into an earlier one that is the same. Returns the remaining one.
fn merge(connection: &Connection, boot: BootId, offset: i64, has_rows: bool) -> Result<BootId, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT min(other.id) FROM boots AS this
         JOIN boots AS other ON other.device = this.device AND other.number = this.number
         WHERE this.id = ?1 AND other.offset BETWEEN ?2 AND ?3 AND other.id <> this.id",
    )?;
    let same = clock::same_boot(offset);
    let other: Option<BootId> = select.query_row((boot, same.start(), same.end()), |row| row.get(0))?;
    if let Some(other) = other {
        move_rows(connection, boot, other, has_rows)?;
    }
    if has_rows {
        connection.prepare_cached("DELETE FROM undated_windows WHERE boot = ?1")?.execute([boot])?;
    }
    Ok(other.unwrap_or(boot))
}

/// Moves the rows of one boot to another; of two rows for one window the higher revision stays.
fn move_rows(connection: &Connection, from: BootId, to: BootId, has_rows: bool) -> Result<(), DbError> {
    let figures = super::rows::FIGURES;
    if has_rows {
        connection.execute(
            &format!(
                "INSERT INTO windows (sensor, grain, boot, start, tenant, received, {figures})
                 SELECT moved.sensor, moved.grain, ?2, moved.start, tenant, received, {figures}
                 FROM undated_windows AS moved CROSS JOIN windows ON windows.sensor = moved.sensor
                     AND windows.grain = moved.grain AND windows.boot = moved.boot AND windows.start = moved.start
                 WHERE moved.boot = ?1
                 ON CONFLICT DO UPDATE SET {} WHERE excluded.revision > revision",
                super::windows::overwritten()
            ),
            (from, to),
        )?;
        connection.execute(
            "DELETE FROM windows WHERE (sensor, grain, boot, start) IN (
                 SELECT sensor, grain, boot, start FROM undated_windows WHERE boot = ?1
             )",
            [from],
        )?;
    }
    for table in ["events", "alerts", "live", "stream_boots"] {
        connection.prepare_cached(&format!("UPDATE {table} SET boot = ?2 WHERE boot = ?1"))?.execute((from, to))?;
    }
    connection.prepare_cached("DELETE FROM boots WHERE id = ?1")?.execute([from])?;
    Ok(())
}

/// Boots of a device with a known clock, in the order of their beginning.
pub(super) fn dated(connection: &Connection, device: DeviceId) -> Result<Vec<DatedBoot>, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT id, number, offset FROM boots WHERE device = ?1 AND offset IS NOT NULL ORDER BY offset, id",
    )?;
    let boots = select
        .query_map([device], |row| Ok(DatedBoot { id: row.get(0)?, number: row.get(1)?, offset: row.get(2)? }))?;
    Ok(boots.collect::<Result<_, _>>()?)
}
