//! The databases that a device has sent from.

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;
use tilth_protocol::Stream;

use super::DbError;
use super::rows::{DeviceId, StreamId};

/// The row of a device's stream, where the device ever used it.
pub(super) fn find(connection: &Connection, device: DeviceId, name: Stream) -> Result<Option<StreamId>, DbError> {
    let mut select = connection.prepare_cached("SELECT id FROM streams WHERE device = ?1 AND name = ?2")?;
    Ok(select.query_row((device, name.to_string()), |row| row.get(0)).optional()?)
}

/// How many streams a device began from one time of day to another.
pub(super) fn begun(connection: &Connection, device: DeviceId, from: WallTime, to: WallTime) -> Result<u64, DbError> {
    let mut select =
        connection.prepare_cached("SELECT count(*) FROM streams WHERE device = ?1 AND created BETWEEN ?2 AND ?3")?;
    Ok(select.query_row((device, from.0, to.0), |row| row.get(0))?)
}

/// When the stream was heard last.
pub(super) fn last_heard(connection: &Connection, id: StreamId) -> Result<WallTime, DbError> {
    let mut select = connection.prepare_cached("SELECT last_heard FROM streams WHERE id = ?1")?;
    Ok(WallTime(select.query_row([id], |row| row.get(0))?))
}

/// When the newest stream of a device beside the current one was heard last.
pub(super) fn last_heard_beside(
    connection: &Connection,
    device: DeviceId,
    current: Option<StreamId>,
) -> Result<Option<WallTime>, DbError> {
    let mut select = connection
        .prepare_cached("SELECT last_heard FROM streams WHERE device = ?1 AND id IS NOT ?2 ORDER BY id DESC LIMIT 1")?;
    Ok(select.query_row((device, current), |row| row.get(0).map(WallTime)).optional()?)
}

/// A new stream of a device.
pub(super) fn add(connection: &Connection, device: DeviceId, name: Stream, now: WallTime) -> Result<StreamId, DbError> {
    let mut insert =
        connection.prepare_cached("INSERT INTO streams (device, name, created, last_heard) VALUES (?1, ?2, ?3, ?3)")?;
    insert.execute((device, name.to_string(), now.0))?;
    Ok(StreamId::last(connection))
}

/// Notes that a stream spoke.
pub(super) fn heard(connection: &Connection, id: StreamId, now: WallTime) -> Result<(), DbError> {
    connection.prepare_cached("UPDATE streams SET last_heard = ?2 WHERE id = ?1")?.execute((id, now.0))?;
    Ok(())
}
