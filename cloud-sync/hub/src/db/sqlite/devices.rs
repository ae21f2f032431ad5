//! Tenants and their devices.

use rusqlite::{Connection, OptionalExtension, Row};
use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_protocol::Epoch;

use super::DbError;
use super::rows::{DeviceId, StreamId, TenantId, Word};
use crate::db::context::TenantContext;
use crate::db::records::Device;

const SELECT: &str = "SELECT id, name, created, last_heard, stream, shown_version, rows, others FROM devices";

fn read(row: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        id: row.get("id")?,
        name: row.get("name")?,
        created: WallTime(row.get("created")?),
        last_heard: row.get::<_, Option<i64>>("last_heard")?.map(WallTime),
        stream: row.get("stream")?,
        shown_version: row.get("shown_version")?,
        rows: row.get("rows")?,
        others: row.get("others")?,
    })
}

/// Adds a tenant; nothing where there is one of that name.
pub(super) fn add_tenant(connection: &Connection, name: &Id, now: WallTime) -> Result<Option<TenantId>, DbError> {
    let added = connection.execute(
        "INSERT INTO tenants (name, created) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (name.as_str(), now.0),
    )?;
    Ok((added == 1).then(|| TenantId::last(connection)))
}

/// The row of a tenant.
pub(super) fn tenant(connection: &Connection, name: &str) -> Result<Option<TenantId>, DbError> {
    Ok(connection.query_row("SELECT id FROM tenants WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}

/// All tenants by name: row, name, when it was added, and how many devices it has.
pub(super) fn tenants(connection: &Connection) -> Result<Vec<(TenantId, Id, WallTime, u64)>, DbError> {
    let mut select = connection.prepare(
        "SELECT id, name, created, (SELECT count(*) FROM devices WHERE tenant = tenants.id) FROM tenants ORDER BY name",
    )?;
    let tenants = select
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, Word<Id>>(1)?.0, WallTime(row.get(2)?), row.get(3)?)))?;
    Ok(tenants.collect::<Result<_, _>>()?)
}

/// Adds a device; nothing where the tenant has one of that name.
pub(super) fn add(
    connection: &Connection,
    tenant: TenantId,
    name: &Id,
    now: WallTime,
) -> Result<Option<DeviceId>, DbError> {
    let added = connection.execute(
        "INSERT INTO devices (tenant, name, created) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        (tenant, name.as_str(), now.0),
    )?;
    Ok((added == 1).then(|| DeviceId::last(connection)))
}

/// A device by its row.
pub(super) fn get(connection: &Connection, id: DeviceId) -> Result<Device, DbError> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    Ok(select.query_row([id], read)?)
}

/// A tenant's device by its name.
pub(super) fn find(connection: &Connection, tenant: &TenantContext, name: &str) -> Result<Device, DbError> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE tenant = ?1 AND name = ?2"))?;
    let found = select.query_row((tenant.id(), name), read).optional()?;
    found.ok_or_else(|| DbError::NoDevice { client: tenant.client().clone(), device: name.to_owned() })
}

/// The devices of one tenant, by name.
pub(super) fn of_tenant(connection: &Connection, tenant: TenantId) -> Result<Vec<Device>, DbError> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE tenant = ?1 ORDER BY name"))?;
    let devices = select.query_map([tenant], read)?;
    Ok(devices.collect::<Result<_, _>>()?)
}

/// Notes that a device spoke, in which stream, and how many rows and others more were taken from it.
pub(super) fn heard(
    connection: &Connection,
    id: DeviceId,
    stream: Option<StreamId>,
    (rows, others): (u64, u64),
    now: WallTime,
) -> Result<(), DbError> {
    let mut update = connection.prepare_cached(
        "UPDATE devices SET last_heard = ?2, stream = coalesce(?3, stream), rows = rows + ?4, others = others + ?5
         WHERE id = ?1",
    )?;
    update.execute((id, now.0, stream, rows, others))?;
    Ok(())
}

/// The epoch of a device that knew more than this database, where it did.
pub(super) fn epoch(connection: &Connection, id: DeviceId) -> Result<Option<Epoch>, DbError> {
    let mut select = connection.prepare_cached("SELECT epoch FROM devices WHERE id = ?1")?;
    let text: Option<String> = select.query_row([id], |row| row.get(0))?;
    let damaged = |text: &str| DbError::Damaged(format!("the epoch of a device is {text:?}"));
    text.map(|text| text.parse().map_err(|_| damaged(&text))).transpose()
}

/// Whether a backup was put back, and the device has not been heard since in the epoch that began with it. `is_in_epoch` says that it
/// is heard in it now.
pub(super) fn is_restored(connection: &Connection, id: DeviceId, is_in_epoch: bool) -> Result<bool, DbError> {
    let mut select = connection.prepare_cached("SELECT restored FROM devices WHERE id = ?1")?;
    let is_restored: bool = select.query_row([id], |row| row.get(0))?;
    if is_restored && is_in_epoch {
        connection.execute("UPDATE devices SET restored = 0 WHERE id = ?1", [id])?;
    }
    Ok(is_restored && !is_in_epoch)
}

/// Begins another epoch for one device.
pub(super) fn set_epoch(connection: &Connection, id: DeviceId, epoch: Epoch) -> Result<(), DbError> {
    connection.execute("UPDATE devices SET epoch = ?2 WHERE id = ?1", (id, epoch.to_string()))?;
    Ok(())
}

/// Notes the version of a configuration that a device says it has.
pub(super) fn shown(connection: &Connection, id: DeviceId, version: u64) -> Result<(), DbError> {
    connection.execute("UPDATE devices SET shown_version = max(shown_version, ?2) WHERE id = ?1", (id, version))?;
    Ok(())
}
