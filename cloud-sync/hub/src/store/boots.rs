//! The boots of a device and what is known of their clocks.
//!
//! Boot numbers begin again when a device's store is made anew, so a number in another stream may mean another boot. Until
//! its clock is known a boot of a stream stands for itself; once it is, and agrees with that of a boot the device had
//! before under the same number, both are one.

use rusqlite::{Connection, OptionalExtension, Row};
use tilth_core::time::WallTime;

use super::StoreError;
use super::rows::{BootId, DeviceId, StreamId};
use crate::sync::clock::{self, Word};

/// A boot with a known clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dated {
    pub(crate) id: BootId,
    pub(crate) number: u32,
    /// Time of day at uptime zero.
    pub(crate) offset: i64,
}

/// Which boot a stream means by a number; a new one where it is heard of for the first time.
pub(crate) fn resolve(
    connection: &Connection,
    device: DeviceId,
    stream: StreamId,
    number: u32,
) -> Result<BootId, StoreError> {
    let mut select = connection.prepare_cached("SELECT boot FROM stream_boots WHERE stream = ?1 AND number = ?2")?;
    let known: Option<BootId> = select.query_row((stream, number), |row| row.get(0)).optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    connection.execute("INSERT INTO boots (device, number) VALUES (?1, ?2)", (device, number))?;
    let boot = BootId::last(connection);
    connection
        .execute("INSERT INTO stream_boots (stream, number, boot) VALUES (?1, ?2, ?3)", (stream, number, boot))?;
    Ok(boot)
}

/// Takes in what a device says of a boot's clock. Returns the boot, which may be another one from now on.
pub(crate) fn hear(connection: &Connection, boot: BootId, word: &Word) -> Result<BootId, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT offset, is_anchored, said_at, source, error_ms FROM boots WHERE id = ?1")?;
    let known = select.query_row([boot], read_word)?;
    if !word.outweighs(known.as_ref()) {
        return Ok(boot);
    }
    let mut update = connection.prepare_cached(
        "UPDATE boots SET offset = ?2, is_anchored = ?3, said_at = ?4, source = ?5, error_ms = ?6 WHERE id = ?1",
    )?;
    update.execute((boot, word.offset, word.is_anchor, word.said_at, &word.source, word.error_ms))?;
    match known {
        Some(_) => Ok(boot),
        None => unite(connection, boot, word.offset),
    }
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
fn unite(connection: &Connection, boot: BootId, offset: i64) -> Result<BootId, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT other.id, other.offset FROM boots AS this
         JOIN boots AS other ON other.device = this.device AND other.number = this.number AND other.id <> this.id
         WHERE this.id = ?1 AND other.offset IS NOT NULL ORDER BY other.id",
    )?;
    let mut others = select.query([boot])?;
    while let Some(row) = others.next()? {
        let (other, known): (BootId, i64) = (row.get(0)?, row.get(1)?);
        if clock::is_same_boot(known, offset) {
            hand_over(connection, boot, other)?;
            return Ok(other);
        }
    }
    Ok(boot)
}

/// Gives what one boot has to another; of two rows for one window the higher revision stays.
fn hand_over(connection: &Connection, from: BootId, to: BootId) -> Result<(), StoreError> {
    const SENSORS: &str = "sensor IN (SELECT id FROM sensors WHERE device = (SELECT device FROM boots WHERE id = ?1))";
    let figures = super::rows::FIGURES;
    connection.execute(
        &format!(
            "INSERT INTO windows (sensor, grain, boot, start, {figures})
             SELECT sensor, grain, ?2, start, {figures} FROM windows
             WHERE {SENSORS} AND grain IN ('minute', 'quarter') AND boot = ?1
             ON CONFLICT DO UPDATE SET {} WHERE excluded.revision > revision",
            super::windows::overwritten()
        ),
        (from, to),
    )?;
    connection.execute(
        &format!("DELETE FROM windows WHERE {SENSORS} AND grain IN ('minute', 'quarter') AND boot = ?1"),
        [from],
    )?;
    for table in ["events", "alerts", "live", "stream_boots"] {
        connection.execute(&format!("UPDATE {table} SET boot = ?2 WHERE boot = ?1"), (from, to))?;
    }
    connection.execute("DELETE FROM boots WHERE id = ?1", [from])?;
    Ok(())
}

/// The boots of a device whose clock is known, in the order of their beginning.
pub(crate) fn dated(connection: &Connection, device: DeviceId) -> Result<Vec<Dated>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT id, number, offset FROM boots WHERE device = ?1 AND offset IS NOT NULL ORDER BY offset, id",
    )?;
    let boots =
        select.query_map([device], |row| Ok(Dated { id: row.get(0)?, number: row.get(1)?, offset: row.get(2)? }))?;
    Ok(boots.collect::<Result<_, _>>()?)
}

/// The time of day at an uptime of a boot, where its clock is known.
pub(crate) fn wall(offset: Option<i64>, uptime: i64) -> Option<WallTime> {
    offset.map(|offset| WallTime(offset.saturating_add(uptime)))
}
