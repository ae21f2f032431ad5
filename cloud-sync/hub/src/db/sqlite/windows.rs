//! Windows, each once for (sensor, grain, boot, start): the highest revision stays.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use tilth_core::time::WallTime;
use tilth_core::windows::Grain;
use tilth_protocol::WindowRow;

use super::boots::{self, DatedBoot};
use super::rows::{self, BootId, DeviceId, FIGURES, SensorRow, StoredWindow, TenantId};
use super::{Database, DbError, devices};
use crate::db::context::TenantContext;
use crate::db::records::{WindowPage, WindowPosition};

/// Windows of one sensor that begin from `from` on and before `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WindowQuery {
    pub(crate) sensor: String,
    /// Name of the device; required where several of the tenant have the sensor.
    pub(crate) device: Option<String>,
    pub(crate) grain: Grain,
    pub(crate) from: WallTime,
    pub(crate) to: WallTime,
    /// Beginning of the page; none for the first.
    pub(crate) at: Option<WindowPosition>,
    pub(crate) limit: usize,
}

impl Database {
    /// Windows of a sensor over a span of time, in its order.
    pub(crate) async fn windows(&self, tenant: &TenantContext, query: WindowQuery) -> Result<WindowPage, DbError> {
        let context = tenant.clone();
        self.read(tenant, move |connection| page(connection, &context, &query)).await
    }
}

/// One page of a sensor's windows.
pub(super) fn page(
    connection: &Connection,
    tenant: &TenantContext,
    query: &WindowQuery,
) -> Result<WindowPage, DbError> {
    let (device, name, sensor) = sensor_of(connection, tenant, query)?;
    let (windows, next) = range(connection, &boots::dated(connection, device)?, sensor, query)?;
    Ok(WindowPage { device: name, windows, next })
}

/// The sensor of a query and its device.
fn sensor_of(
    connection: &Connection,
    tenant: &TenantContext,
    query: &WindowQuery,
) -> Result<(DeviceId, String, SensorRow), DbError> {
    if let Some(device) = &query.device {
        devices::find(connection, tenant, device)?;
    }
    let mut select = connection.prepare_cached(
        "SELECT devices.id, devices.name, sensors.id FROM devices CROSS JOIN sensors ON sensors.device = devices.id
         WHERE tenant = ?1 AND (?2 IS NULL OR devices.name = ?2) AND sensors.name = ?3 ORDER BY devices.name",
    )?;
    let found = select
        .query_map((tenant.id(), &query.device, &query.sensor), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut found: Vec<(DeviceId, String, SensorRow)> = found.collect::<Result<_, _>>()?;
    match found.len() {
        0 => Err(DbError::NoSensor(query.sensor.clone())),
        1 => Ok(found.remove(0)),
        _ => {
            let devices = found.into_iter().map(|(_, name, _)| name).collect();
            Err(DbError::AmbiguousSensor { sensor: query.sensor.clone(), devices })
        }
    }
}

/// Assignments that overwrite a window by a higher revision.
pub(super) fn overwritten() -> String {
    let column = |column: &str| format!("{column} = excluded.{column}");
    FIGURES.split(", ").map(column).collect::<Vec<_>>().join(", ")
}

/// Stores a window unless it is there in the same or a higher revision.
pub(super) fn put(
    connection: &Connection,
    tenant: TenantId,
    (sensor, boot): (SensorRow, BootId),
    row: &WindowRow,
    now: WallTime,
) -> Result<(), DbError> {
    let mut upsert = connection.prepare_cached(&format!(
        "INSERT INTO windows (sensor, grain, boot, start, tenant, received, {FIGURES})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT DO UPDATE SET {} WHERE excluded.revision > revision",
        overwritten()
    ))?;
    let key = [Value::from(sensor), row.grain.to_string().into(), boot.into(), row.start.uptime.0.into()];
    let key = key.into_iter().chain([tenant.into(), now.0.into()]);
    upsert.execute(params_from_iter(key.chain(rows::figures(row))))?;
    Ok(())
}

/// Notes a window of a boot with an unknown clock, to find it if the boot is merged into another.
pub(super) fn note_undated(
    connection: &Connection,
    sensor: SensorRow,
    boot: BootId,
    row: &WindowRow,
) -> Result<(), DbError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO undated_windows (boot, sensor, grain, start) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    insert.execute((boot, sensor, row.grain.to_string(), row.start.uptime.0))?;
    Ok(())
}

/// Adds a sensor.
pub(super) fn add_sensor(connection: &Connection, device: DeviceId, name: &str) -> Result<SensorRow, DbError> {
    let mut insert = connection.prepare_cached("INSERT INTO sensors (device, name) VALUES (?1, ?2)")?;
    insert.execute((device, name))?;
    Ok(SensorRow::last(connection))
}

/// Number of sensors of a device.
pub(super) fn count_sensors(connection: &Connection, device: DeviceId) -> Result<u64, DbError> {
    let mut select = connection.prepare_cached("SELECT count(*) FROM sensors WHERE device = ?1")?;
    Ok(select.query_row([device], |row| row.get(0))?)
}

/// Id of a device's sensor.
pub(super) fn find_sensor(connection: &Connection, device: DeviceId, name: &str) -> Result<Option<SensorRow>, DbError> {
    let mut select = connection.prepare_cached("SELECT id FROM sensors WHERE device = ?1 AND name = ?2")?;
    Ok(select.query_row((device, name), |row| row.get(0)).optional()?)
}

/// A page of windows in the order of time, and the beginning of the next. `boots` are the dated boots of the device, in order.
pub(super) fn range(
    connection: &Connection,
    boots: &[DatedBoot],
    sensor: SensorRow,
    query: &WindowQuery,
) -> Result<(Vec<StoredWindow>, Option<WindowPosition>), DbError> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT start, {FIGURES} FROM windows
         WHERE sensor = ?1 AND grain = ?2 AND boot = ?3 AND start >= ?4 AND start < ?5 ORDER BY start LIMIT ?6"
    ))?;
    let from = query.at.map_or(0, |at| boots.iter().position(|boot| boot.id == at.boot).unwrap_or(boots.len()));
    let mut found = Vec::new();
    for boot in &boots[from..] {
        let first = query.from.0.saturating_sub(boot.offset);
        let first = query.at.filter(|at| at.boot == boot.id).map_or(first, |at| first.max(at.start));
        let end = query.to.0.saturating_sub(boot.offset);
        // One more than the page has tells where the next begins.
        let room = query.limit + 1 - found.len();
        let mut rows = select.query((sensor, query.grain.to_string(), boot.id, first, end, room))?;
        while let Some(row) = rows.next()? {
            let window = rows::window(row, boot.number, boot.offset)?;
            if found.len() == query.limit {
                return Ok((found, Some(WindowPosition { boot: boot.id, start: window.start.0 })));
            }
            found.push(window);
        }
    }
    Ok((found, None))
}
