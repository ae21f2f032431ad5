//! The boots of a device and what is known of their clocks.
//!
//! Boot numbers begin again when a device's store is made anew, so a number in another stream may mean another boot. Until
//! its clock is known a boot of a stream stands for itself; once it is, and agrees with that of a boot the device had
//! before under the same number, both are one.

use rusqlite::{Connection, OptionalExtension, Row};

use super::DbError;
use super::rows::{BootId, DeviceId, StreamId};
use crate::domain::ingest::clock::{self, Word};

/// A boot with a known clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dated {
    pub(super) id: BootId,
    pub(super) number: u32,
    /// Time of day at uptime zero.
    pub(super) offset: i64,
}

/// The most rows that move when two boots turn out to be one, over all boots of a batch. A clock becomes known within the
/// first batches of a boot; what has more rows by then stays a boot of its own.
pub(super) const MAX_MOVED: u64 = 5_000;

/// A boot as one batch meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: BootId,
    /// Rows that it has without a known clock; none where the clock is known.
    pub(super) undated: Option<u64>,
    /// The boot is heard of for the first time.
    pub(super) is_new: bool,
}

/// Which boot a stream means by a number; a new one where it is heard of for the first time.
pub(super) fn resolve(
    connection: &Connection,
    device: DeviceId,
    stream: StreamId,
    number: u32,
) -> Result<Known, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT boots.id, offset, rows FROM stream_boots JOIN boots ON boots.id = stream_boots.boot
         WHERE stream = ?1 AND stream_boots.number = ?2",
    )?;
    let known = select.query_row((stream, number), |row| {
        let (offset, rows): (Option<i64>, u64) = (row.get("offset")?, row.get("rows")?);
        Ok(Known { id: row.get("id")?, undated: offset.is_none().then_some(rows), is_new: false })
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
    Ok(Known { id, undated: Some(0), is_new: true })
}

/// Takes in what a device says of a boot's clock. Returns the boot, which may be another one from now on. `room` is how many
/// rows may still move in this batch.
pub(super) fn hear(connection: &Connection, boot: Known, word: &Word, room: &mut u64) -> Result<Known, DbError> {
    let mut select =
        connection.prepare_cached("SELECT offset, is_anchored, said_at, source, error_ms FROM boots WHERE id = ?1")?;
    let known = select.query_row([boot.id], read_word)?;
    if !word.outweighs(known.as_ref()) {
        return Ok(boot);
    }
    let mut update = connection.prepare_cached(
        "UPDATE boots SET offset = ?2, is_anchored = ?3, said_at = ?4, source = ?5, error_ms = ?6 WHERE id = ?1",
    )?;
    update.execute((boot.id, word.offset, word.is_anchor, word.said_at, &word.source, word.error_ms))?;
    let dated = |id| Known { id, undated: None, is_new: boot.is_new };
    match boot.undated {
        Some(rows) if rows <= *room => {
            *room -= rows;
            Ok(dated(unite(connection, boot.id, word.offset, rows > 0)?))
        }
        _ => Ok(dated(boot.id)),
    }
}

/// Counts rows that a boot without a known clock was given.
pub(super) fn count(connection: &Connection, boot: BootId, rows: u64) -> Result<(), DbError> {
    connection.prepare_cached("UPDATE boots SET rows = rows + ?2 WHERE id = ?1")?.execute((boot, rows))?;
    Ok(())
}

fn read_word(row: &Row<'_>) -> rusqlite::Result<Option<Word>> {
    let Some(offset) = row.get("offset")? else { return Ok(None) };
    Ok(Some(Word {
        offset,
        is_anchor: row.get("is_anchored")?,
        said_at: row.get("said_at")?,
        source: row.get("source")?,
        error_ms: row.get("error_ms")?,
    }))
}

/// Makes one of two boots that turn out to be the same, and returns it.
fn unite(connection: &Connection, boot: BootId, offset: i64, has_rows: bool) -> Result<BootId, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT min(other.id) FROM boots AS this
         JOIN boots AS other ON other.device = this.device AND other.number = this.number
         WHERE this.id = ?1 AND other.offset BETWEEN ?2 AND ?3 AND other.id <> this.id",
    )?;
    let same = clock::same_boot(offset);
    let other: Option<BootId> = select.query_row((boot, same.start(), same.end()), |row| row.get(0))?;
    if let Some(other) = other {
        hand_over(connection, boot, other, has_rows)?;
    }
    if has_rows {
        connection.prepare_cached("DELETE FROM undated_windows WHERE boot = ?1")?.execute([boot])?;
    }
    Ok(other.unwrap_or(boot))
}

/// Gives what one boot has to another; of two rows for one window the higher revision stays.
fn hand_over(connection: &Connection, from: BootId, to: BootId, has_rows: bool) -> Result<(), DbError> {
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

/// The boots of a device whose clock is known, in the order of their beginning.
pub(super) fn dated(connection: &Connection, device: DeviceId) -> Result<Vec<Dated>, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT id, number, offset FROM boots WHERE device = ?1 AND offset IS NOT NULL ORDER BY offset, id",
    )?;
    let boots =
        select.query_map([device], |row| Ok(Dated { id: row.get(0)?, number: row.get(1)?, offset: row.get(2)? }))?;
    Ok(boots.collect::<Result<_, _>>()?)
}
