//! The databases that a device has sent from.

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;
use tilth_protocol::Stream;

use super::StoreError;
use super::rows::{DeviceId, StreamId};

pub(crate) fn find(connection: &Connection, device: DeviceId, name: Stream) -> Result<Option<StreamId>, StoreError> {
    let mut select = connection.prepare_cached("SELECT id FROM streams WHERE device = ?1 AND name = ?2")?;
    Ok(select.query_row((device, name.to_string()), |row| row.get(0)).optional()?)
}

/// How many streams a device began from one time of day to another.
pub(crate) fn begun(
    connection: &Connection,
    device: DeviceId,
    from: WallTime,
    to: WallTime,
) -> Result<u64, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT count(*) FROM streams WHERE device = ?1 AND created BETWEEN ?2 AND ?3")?;
    Ok(select.query_row((device, from.0, to.0), |row| row.get(0))?)
}

pub(crate) fn last_heard(connection: &Connection, id: StreamId) -> Result<WallTime, StoreError> {
    let mut select = connection.prepare_cached("SELECT last_heard FROM streams WHERE id = ?1")?;
    Ok(WallTime(select.query_row([id], |row| row.get(0))?))
}

/// A stream's name.
pub(crate) fn name(connection: &Connection, id: StreamId) -> Result<String, StoreError> {
    let mut select = connection.prepare_cached("SELECT name FROM streams WHERE id = ?1")?;
    Ok(select.query_row([id], |row| row.get(0))?)
}

/// A stream that another one of the same device took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Earlier {
    pub(crate) name: String,
    pub(crate) began: WallTime,
    pub(crate) last_heard: WallTime,
}

/// The streams of a device beside the current one, the newest first; at most `limit`.
pub(crate) fn earlier(
    connection: &Connection,
    device: DeviceId,
    current: Option<StreamId>,
    limit: usize,
) -> Result<Vec<Earlier>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT name, created, last_heard FROM streams WHERE device = ?1 AND id IS NOT ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let streams = select.query_map((device, current, limit), |row| {
        Ok(Earlier { name: row.get(0)?, began: WallTime(row.get(1)?), last_heard: WallTime(row.get(2)?) })
    })?;
    Ok(streams.collect::<Result<_, _>>()?)
}

pub(crate) fn add(
    connection: &Connection,
    device: DeviceId,
    name: Stream,
    now: WallTime,
) -> Result<StreamId, StoreError> {
    let mut insert =
        connection.prepare_cached("INSERT INTO streams (device, name, created, last_heard) VALUES (?1, ?2, ?3, ?3)")?;
    insert.execute((device, name.to_string(), now.0))?;
    Ok(StreamId::last(connection))
}

pub(crate) fn heard(connection: &Connection, id: StreamId, now: WallTime) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE streams SET last_heard = ?2 WHERE id = ?1")?.execute((id, now.0))?;
    Ok(())
}
