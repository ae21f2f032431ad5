//! The newest value of each sensor.

use rusqlite::Connection;
use tilth_core::quantity::Quantity;
use tilth_core::time::WallTime;
use tilth_protocol::Live;

use super::merge::Scope;
use super::rows::{BootId, DeviceId, Parsed, SensorRow, StreamId, TenantId};
use super::{Database, DbError};
use crate::db::context::TenantContext;
use crate::db::records::{StoredValue, wall};

/// Query for the newest values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LatestQuery {
    /// Name of a device; none for all of the tenant.
    pub(crate) device: Option<String>,
    /// Only values after this device and sensor.
    pub(crate) after: (String, String),
    pub(crate) limit: usize,
}

impl Database {
    /// The newest value of each sensor of a tenant, by names of device and sensor.
    pub(crate) async fn latest(&self, tenant: &TenantContext, query: LatestQuery) -> Result<Vec<StoredValue>, DbError> {
        let LatestQuery { device, after, limit } = query;
        let context = tenant.clone();
        let job = move |connection: &Connection| {
            let Scope { tenant, device } = Scope::named(connection, &context, device.as_deref())?;
            newest(connection, tenant, device, (&after.0, &after.1), limit)
        };
        self.read(tenant, job).await
    }
}

/// Stores a value unless the same stream sent a newer one, by boot and uptime.
pub(super) fn put(
    connection: &Connection,
    sensor: SensorRow,
    (stream, boot): (StreamId, BootId),
    live: &Live,
    now: WallTime,
) -> Result<(), DbError> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO live (sensor, stream, boot, boot_number, uptime, quantity, value, quality, received)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET stream = excluded.stream, boot = excluded.boot, boot_number = excluded.boot_number,
             uptime = excluded.uptime, quantity = excluded.quantity, value = excluded.value,
             quality = excluded.quality, received = excluded.received
         WHERE excluded.stream <> stream
             OR (excluded.boot_number, excluded.uptime) >= (boot_number, uptime)",
    )?;
    let (number, uptime) = (live.at.boot, live.at.uptime.0);
    let (quantity, quality) = (live.quantity.name(), live.quality.name());
    upsert.execute((sensor, stream, boot, number, uptime, quantity, live.value, quality, now.0))?;
    Ok(())
}

/// A page of the newest values of a tenant or device, by device and sensor.
pub(super) fn newest(
    connection: &Connection,
    tenant: TenantId,
    device: Option<DeviceId>,
    (after_device, after_sensor): (&str, &str),
    limit: usize,
) -> Result<Vec<StoredValue>, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT devices.name AS device, sensors.name AS sensor, quantity, value, quality, offset, uptime, received
         FROM live JOIN sensors ON sensors.id = live.sensor JOIN devices ON devices.id = sensors.device
         JOIN boots ON boots.id = live.boot
         WHERE tenant = ?1 AND (?2 IS NULL OR devices.id = ?2) AND (devices.name, sensors.name) > (?3, ?4)
         ORDER BY devices.name, sensors.name LIMIT ?5",
    )?;
    let values = select.query_map((tenant, device, after_device, after_sensor, limit), |row| {
        Ok(StoredValue {
            device: row.get("device")?,
            sensor: row.get("sensor")?,
            quantity: row.get::<_, Parsed<Quantity>>("quantity")?.0,
            value: row.get("value")?,
            quality: row.get("quality")?,
            at: wall(row.get("offset")?, row.get("uptime")?),
            received: WallTime(row.get("received")?),
        })
    })?;
    Ok(values.collect::<Result<_, _>>()?)
}
