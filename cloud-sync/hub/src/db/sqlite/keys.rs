//! Keys by their public id. What is kept of a key cannot be turned back into it.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;

use super::StoreError;
use super::rows::{DeviceId, TenantId};

/// A key as the hub knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredKey {
    /// SHA-256 of its whole text.
    pub(crate) hash: Vec<u8>,
    pub(crate) tenant: TenantId,
    pub(crate) client: String,
    /// The device, with its name; none for a tenant's read key.
    pub(crate) device: Option<(DeviceId, String)>,
    pub(crate) last_used: Option<WallTime>,
    pub(crate) is_revoked: bool,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) created: WallTime,
    pub(crate) last_used: Option<WallTime>,
    pub(crate) revoked: Option<WallTime>,
}

pub(crate) fn add(
    connection: &Connection,
    id: &str,
    hash: &[u8],
    (tenant, device): (TenantId, Option<DeviceId>),
    now: WallTime,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO keys (id, hash, tenant, device, created) VALUES (?1, ?2, ?3, ?4, ?5)",
        (id, hash, tenant, device, now.0),
    )?;
    Ok(())
}

pub(crate) fn find(connection: &Connection, id: &str) -> Result<Option<StoredKey>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT hash, keys.tenant, tenants.name AS client, device, devices.name AS device_name, last_used, revoked
         FROM keys JOIN tenants ON tenants.id = keys.tenant LEFT JOIN devices ON devices.id = keys.device
         WHERE keys.id = ?1",
    )?;
    let key = select.query_row([id], |row| {
        let device: Option<DeviceId> = row.get("device")?;
        Ok(StoredKey {
            hash: row.get("hash")?,
            tenant: row.get("tenant")?,
            client: row.get("client")?,
            device: device.map(|id| Ok::<_, rusqlite::Error>((id, row.get("device_name")?))).transpose()?,
            last_used: row.get::<_, Option<i64>>("last_used")?.map(WallTime),
            is_revoked: row.get::<_, Option<i64>>("revoked")?.is_some(),
        })
    });
    Ok(key.optional()?)
}

/// The hashes of keys that open something, at most `limit`.
pub(crate) fn known(connection: &Connection, limit: usize) -> Result<HashSet<Vec<u8>>, StoreError> {
    let mut select = connection.prepare("SELECT hash FROM keys WHERE revoked IS NULL LIMIT ?1")?;
    let hashes = select.query_map([limit], |row| row.get(0))?;
    Ok(hashes.collect::<Result<_, _>>()?)
}

/// Notes that a key was used.
pub(crate) fn used(connection: &Connection, id: &str, now: WallTime) -> Result<(), StoreError> {
    connection.execute("UPDATE keys SET last_used = ?2 WHERE id = ?1", (id, now.0))?;
    Ok(())
}

/// The first use of a device's key ends those that it had before. Returns how many.
pub(crate) fn end_older(connection: &Connection, id: &str, now: WallTime) -> Result<usize, StoreError> {
    Ok(connection.execute(
        "UPDATE keys SET revoked = ?2 WHERE revoked IS NULL AND id <> ?1
         AND device = (SELECT device FROM keys WHERE id = ?1)
         AND created < (SELECT created FROM keys WHERE id = ?1)",
        (id, now.0),
    )?)
}

/// Revokes all keys of a device. Returns how many.
pub(crate) fn revoke(connection: &Connection, device: DeviceId, now: WallTime) -> Result<usize, StoreError> {
    Ok(connection.execute("UPDATE keys SET revoked = ?2 WHERE device = ?1 AND revoked IS NULL", (device, now.0))?)
}

/// The keys of a device, oldest first.
pub(crate) fn of_device(connection: &Connection, device: DeviceId) -> Result<Vec<Listed>, StoreError> {
    let mut select = connection
        .prepare_cached("SELECT id, created, last_used, revoked FROM keys WHERE device = ?1 ORDER BY created, id")?;
    let keys = select.query_map([device], |row| {
        Ok(Listed {
            id: row.get(0)?,
            created: WallTime(row.get(1)?),
            last_used: row.get::<_, Option<i64>>(2)?.map(WallTime),
            revoked: row.get::<_, Option<i64>>(3)?.map(WallTime),
        })
    })?;
    Ok(keys.collect::<Result<_, _>>()?)
}
