//! Signed configurations, as the bytes that were signed.

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;

use super::StoreError;
use super::rows::DeviceId;

/// The newest bundle of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredBundle {
    pub(crate) version: u64,
    pub(crate) issued: WallTime,
    /// Of its content, in hex.
    pub(crate) hash: String,
    pub(crate) bytes: Vec<u8>,
}

/// So many of a device are kept, the newest: each time that it shows a higher version makes one.
const MOST: u32 = 32;

pub(crate) fn add(connection: &Connection, device: DeviceId, bundle: &StoredBundle) -> Result<(), StoreError> {
    let StoredBundle { version, issued, hash, bytes } = bundle;
    connection.execute(
        "INSERT INTO bundles (device, version, issued, hash, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
        (device, version, issued.0, hash, bytes),
    )?;
    connection.execute(
        "DELETE FROM bundles WHERE device = ?1 AND version <= (
            SELECT version FROM bundles WHERE device = ?1 ORDER BY version DESC LIMIT 1 OFFSET ?2)",
        (device, MOST),
    )?;
    Ok(())
}

pub(crate) fn newest(connection: &Connection, device: DeviceId) -> Result<Option<StoredBundle>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT version, issued, hash, bytes FROM bundles WHERE device = ?1 ORDER BY version DESC LIMIT 1",
    )?;
    let bundle = select.query_row([device], |row| {
        Ok(StoredBundle { version: row.get(0)?, issued: WallTime(row.get(1)?), hash: row.get(2)?, bytes: row.get(3)? })
    });
    Ok(bundle.optional()?)
}

/// The version of a device's newest bundle.
pub(crate) fn version(connection: &Connection, device: DeviceId) -> Result<Option<u64>, StoreError> {
    let mut select = connection.prepare_cached("SELECT max(version) FROM bundles WHERE device = ?1")?;
    Ok(select.query_row([device], |row| row.get(0))?)
}
