//! Tenants and their devices.

use rusqlite::{Connection, OptionalExtension, Row};
use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_protocol::Epoch;

use super::StoreError;
use super::rows::{DeviceId, StreamId, TenantId};

/// A device and what was last heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) tenant: TenantId,
    pub(crate) client: String,
    pub(crate) name: String,
    pub(crate) created: WallTime,
    pub(crate) last_heard: Option<WallTime>,
    pub(crate) stream: Option<StreamId>,
    /// The highest version of a configuration that it said it has.
    pub(crate) shown_version: u64,
    /// Windows and events that the hub has taken from it, ever.
    pub(crate) rows: u64,
    /// What takes room beside them: gaps, boots, and one for each ten rows that were refused.
    pub(crate) others: u64,
}

const SELECT: &str =
    "SELECT devices.id, tenant, tenants.name AS client, devices.name, devices.created, last_heard, stream,
    shown_version, rows, others FROM devices JOIN tenants ON tenants.id = devices.tenant";

fn read(row: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        id: row.get("id")?,
        tenant: row.get("tenant")?,
        client: row.get("client")?,
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
pub(crate) fn add_tenant(connection: &Connection, name: &Id, now: WallTime) -> Result<Option<TenantId>, StoreError> {
    let added = connection.execute(
        "INSERT INTO tenants (name, created) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (name.as_str(), now.0),
    )?;
    Ok((added == 1).then(|| TenantId::last(connection)))
}

pub(crate) fn tenant(connection: &Connection, name: &str) -> Result<Option<TenantId>, StoreError> {
    Ok(connection.query_row("SELECT id FROM tenants WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}

/// All tenants by name, with how many devices each has.
pub(crate) fn tenants(connection: &Connection) -> Result<Vec<(String, WallTime, u64)>, StoreError> {
    let mut select = connection.prepare(
        "SELECT name, created, (SELECT count(*) FROM devices WHERE tenant = tenants.id) FROM tenants ORDER BY name",
    )?;
    let tenants = select.query_map([], |row| Ok((row.get(0)?, WallTime(row.get(1)?), row.get(2)?)))?;
    Ok(tenants.collect::<Result<_, _>>()?)
}

/// Adds a device; nothing where the tenant has one of that name.
pub(crate) fn add(
    connection: &Connection,
    tenant: TenantId,
    name: &Id,
    now: WallTime,
) -> Result<Option<DeviceId>, StoreError> {
    let added = connection.execute(
        "INSERT INTO devices (tenant, name, created) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        (tenant, name.as_str(), now.0),
    )?;
    Ok((added == 1).then(|| DeviceId::last(connection)))
}

pub(crate) fn get(connection: &Connection, id: DeviceId) -> Result<Device, StoreError> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE devices.id = ?1"))?;
    Ok(select.query_row([id], read)?)
}

pub(crate) fn find(connection: &Connection, tenant: TenantId, name: &str) -> Result<Option<Device>, StoreError> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE tenant = ?1 AND devices.name = ?2"))?;
    Ok(select.query_row((tenant, name), read).optional()?)
}

/// The devices of one tenant, by name.
pub(crate) fn of_tenant(connection: &Connection, tenant: TenantId) -> Result<Vec<Device>, StoreError> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE tenant = ?1 ORDER BY devices.name"))?;
    let devices = select.query_map([tenant], read)?;
    Ok(devices.collect::<Result<_, _>>()?)
}

/// The devices of all tenants, by name.
pub(crate) fn all(connection: &Connection) -> Result<Vec<Device>, StoreError> {
    let mut select = connection.prepare_cached(&format!("{SELECT} ORDER BY client, devices.name"))?;
    let devices = select.query_map([], read)?;
    Ok(devices.collect::<Result<_, _>>()?)
}

/// Notes that a device spoke, in which stream, and how many rows and others more were taken from it.
pub(crate) fn heard(
    connection: &Connection,
    id: DeviceId,
    stream: Option<StreamId>,
    (rows, others): (u64, u64),
    now: WallTime,
) -> Result<(), StoreError> {
    let mut update = connection.prepare_cached(
        "UPDATE devices SET last_heard = ?2, stream = coalesce(?3, stream), rows = rows + ?4, others = others + ?5
         WHERE id = ?1",
    )?;
    update.execute((id, now.0, stream, rows, others))?;
    Ok(())
}

/// The epoch of a device that knew more than this database, where it did.
pub(crate) fn epoch(connection: &Connection, id: DeviceId) -> Result<Option<Epoch>, StoreError> {
    let mut select = connection.prepare_cached("SELECT epoch FROM devices WHERE id = ?1")?;
    let text: Option<String> = select.query_row([id], |row| row.get(0))?;
    let damaged = |text: &str| StoreError::Damaged(format!("the epoch of a device is {text:?}"));
    text.map(|text| text.parse().map_err(|_| damaged(&text))).transpose()
}

/// Whether a backup was put back, and the device has not been heard since in the epoch that began with it. `is_in_epoch` says that it
/// is heard in it now.
pub(crate) fn is_restored(connection: &Connection, id: DeviceId, is_in_epoch: bool) -> Result<bool, StoreError> {
    let mut select = connection.prepare_cached("SELECT restored FROM devices WHERE id = ?1")?;
    let is_restored: bool = select.query_row([id], |row| row.get(0))?;
    if is_restored && is_in_epoch {
        connection.execute("UPDATE devices SET restored = 0 WHERE id = ?1", [id])?;
    }
    Ok(is_restored && !is_in_epoch)
}

/// Begins another epoch for one device.
pub(crate) fn set_epoch(connection: &Connection, id: DeviceId, epoch: Epoch) -> Result<(), StoreError> {
    connection.execute("UPDATE devices SET epoch = ?2 WHERE id = ?1", (id, epoch.to_string()))?;
    Ok(())
}

/// Notes the version of a configuration that a device says it has.
pub(crate) fn shown(connection: &Connection, id: DeviceId, version: u64) -> Result<(), StoreError> {
    connection.execute("UPDATE devices SET shown_version = max(shown_version, ?2) WHERE id = ?1", (id, version))?;
    Ok(())
}
