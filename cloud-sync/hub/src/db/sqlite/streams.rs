//! Streams of a device.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;
use tilth_protocol::Stream;

use super::DbError;
use super::merge::Scope;
use super::rows::{DeviceId, StreamId};
use crate::domain::ingest::stream::NOTED_EVERY;

/// Id of a device's stream.
pub(super) fn find(connection: &Connection, device: DeviceId, name: Stream) -> Result<Option<StreamId>, DbError> {
    let mut select = connection.prepare_cached("SELECT id FROM streams WHERE device = ?1 AND name = ?2")?;
    Ok(select.query_row((device, name.to_string()), |row| row.get(0)).optional()?)
}

/// Number of streams that a device began from one time to another.
pub(super) fn begun(connection: &Connection, device: DeviceId, from: WallTime, to: WallTime) -> Result<u64, DbError> {
    let mut select =
        connection.prepare_cached("SELECT count(*) FROM streams WHERE device = ?1 AND created BETWEEN ?2 AND ?3")?;
    Ok(select.query_row((device, from.0, to.0), |row| row.get(0))?)
}

/// Last contact of a stream.
pub(super) fn last_heard(connection: &Connection, id: StreamId) -> Result<WallTime, DbError> {
    let mut select = connection.prepare_cached("SELECT last_heard FROM streams WHERE id = ?1")?;
    Ok(WallTime(select.query_row([id], |row| row.get(0))?))
}

/// Last contact of the newest stream before the current one.
pub(super) fn last_heard_beside(
    connection: &Connection,
    device: DeviceId,
    current: Option<StreamId>,
) -> Result<Option<WallTime>, DbError> {
    let mut select = connection
        .prepare_cached("SELECT last_heard FROM streams WHERE device = ?1 AND id IS NOT ?2 ORDER BY id DESC LIMIT 1")?;
    Ok(select.query_row((device, current), |row| row.get(0).map(WallTime)).optional()?)
}

/// Streams whose alerts can be open: the current ones, and those that were replaced after a time.
pub(super) fn with_open_alerts(
    connection: &Connection,
    Scope { tenant, device }: Scope,
    replaced_after: i64,
) -> Result<Vec<StreamId>, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT stream FROM devices CROSS JOIN device_state ON device_state.device = devices.id
         WHERE tenant = ?1 AND (?2 IS NULL OR devices.id = ?2) AND stream IS NOT NULL
         UNION ALL SELECT streams.id FROM devices CROSS JOIN streams ON streams.device = devices.id AND streams.replaced > ?3
         WHERE tenant = ?1 AND (?2 IS NULL OR devices.id = ?2)",
    )?;
    let streams = select.query_map((tenant, device, replaced_after), |row| row.get(0))?;
    // An older stream can be the current one again.
    let streams: BTreeSet<StreamId> = streams.collect::<Result<_, _>>()?;
    Ok(streams.into_iter().collect())
}

/// Adds a stream, which replaces the newest.
pub(super) fn add(connection: &Connection, device: DeviceId, name: Stream, now: WallTime) -> Result<StreamId, DbError> {
    let mut update = connection.prepare_cached(
        "UPDATE streams SET replaced = ?2 WHERE id = (SELECT max(id) FROM streams WHERE device = ?1)",
    )?;
    update.execute((device, now.0))?;
    let mut insert =
        connection.prepare_cached("INSERT INTO streams (device, name, created, last_heard) VALUES (?1, ?2, ?3, ?3)")?;
    insert.execute((device, name.to_string(), now.0))?;
    Ok(StreamId::last(connection))
}

/// Notes a contact, at most once a minute.
pub(super) fn heard(connection: &Connection, id: StreamId, now: WallTime) -> Result<(), DbError> {
    let mut update =
        connection.prepare_cached("UPDATE streams SET last_heard = ?2 WHERE id = ?1 AND abs(?2 - last_heard) >= ?3")?;
    update.execute((id, now.0, NOTED_EVERY.0))?;
    Ok(())
}
