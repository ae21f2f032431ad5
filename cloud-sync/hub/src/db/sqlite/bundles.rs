//! Signed configurations, as the bytes that were signed.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use tilth_config::bundle::{self, SigningKey};
use tilth_core::time::WallTime;

use super::rows::DeviceId;
use super::{Database, DbError, audit, devices};
use crate::db::context::DeviceContext;
use crate::domain::configs::{self, ConfigError, HeldConfig, Reply, SignedBundle};

/// Maximum number of stored bundles per device.
const MOST: u32 = 32;

/// Answer to a device; none without a configuration.
type Answer = Option<(Reply, SignedBundle)>;

impl Database {
    /// The configuration of a device, after noting the version that it states. Signed again if the device stated a version that this
    /// hub did not issue. None without a configuration. Writes only if something changes.
    pub(crate) async fn bundle_for(
        &self,
        device: &DeviceContext,
        shown: HeldConfig,
        key: Arc<SigningKey>,
        now: WallTime,
    ) -> Result<Answer, DbError> {
        let (id, of_look) = (device.id(), shown.clone());
        if let Some(found) = self.read(device.tenant(), move |connection| look(connection, id, &of_look)).await? {
            return Ok(found);
        }
        let context = device.clone();
        self.write(device.tenant(), move |connection| answer(connection, &context, &shown, &key, now)).await
    }
}

/// The answer, if nothing has to be written for it.
fn look(connection: &Connection, id: DeviceId, shown: &HeldConfig) -> Result<Option<Answer>, DbError> {
    let device = devices::get(connection, id)?;
    if shown.version > device.shown_version {
        return Ok(None);
    }
    let Some(newest) = newest(connection, id)? else { return Ok(Some(None)) };
    Ok(match configs::reply((newest.version, &newest.hash), device.shown_version, shown) {
        Reply::Renew => None,
        reply => Some(Some((reply, newest))),
    })
}

/// Notes the stated version, and signs again if required.
fn answer(
    connection: &Connection,
    context: &DeviceContext,
    shown: &HeldConfig,
    key: &SigningKey,
    now: WallTime,
) -> Result<Answer, DbError> {
    let id = context.id();
    let issued = version(connection, id)?.unwrap_or(0);
    configs::check_shown(shown.version, devices::get(connection, id)?.shown_version, issued)?;
    devices::shown(connection, id, shown.version)?;
    if let Some(found) = look(connection, id, shown)? {
        return Ok(found);
    }
    let Some(newest) = newest(connection, id)? else { return Ok(None) };
    let (client, name) = (context.tenant().client(), context.name());
    let content = bundle::verify(&newest.bytes, key.trusted(), client, name).map_err(ConfigError::from)?.content;
    let version = configs::next_version(newest.version, devices::get(connection, id)?.shown_version)?;
    let renewed = configs::sign(key, (client, name), version, &content, now)?;
    add(connection, id, &renewed)?;
    let what = format!("configuration {version} of device {name}: the device stated {}", shown.version);
    audit::record(connection, context.tenant(), &what, now)?;
    Ok(Some((Reply::Renew, renewed)))
}

/// Stores a bundle, and deletes the oldest over [`MOST`].
pub(super) fn add(connection: &Connection, device: DeviceId, bundle: &SignedBundle) -> Result<(), DbError> {
    let SignedBundle { version, issued, hash, bytes } = bundle;
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

/// The newest bundle of a device.
pub(super) fn newest(connection: &Connection, device: DeviceId) -> Result<Option<SignedBundle>, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT version, issued, hash, bytes FROM bundles WHERE device = ?1 ORDER BY version DESC LIMIT 1",
    )?;
    let bundle = select.query_row([device], |row| {
        Ok(SignedBundle { version: row.get(0)?, issued: WallTime(row.get(1)?), hash: row.get(2)?, bytes: row.get(3)? })
    });
    Ok(bundle.optional()?)
}

/// Version of the newest bundle of a device.
pub(super) fn version(connection: &Connection, device: DeviceId) -> Result<Option<u64>, DbError> {
    let mut select = connection.prepare_cached("SELECT max(version) FROM bundles WHERE device = ?1")?;
    Ok(select.query_row([device], |row| row.get(0))?)
}

#[cfg(test)]
mod tests;
