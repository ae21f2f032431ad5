//! Windows, each once for (sensor, grain, boot, start): the highest revision stays.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use tilth_core::time::WallTime;
use tilth_core::windows::Grain;
use tilth_protocol::WindowRow;

use super::StoreError;
use super::boots::Dated;
use super::rows::{self, BootId, DeviceId, FIGURES, SensorRow, StoredWindow};

/// Where a page of windows begins: at a boot and an uptime in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) boot: BootId,
    pub(crate) start: i64,
}

/// Which windows are wanted: those that begin from `from` on and before `to`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) sensor: SensorRow,
    pub(crate) grain: Grain,
    pub(crate) from: WallTime,
    pub(crate) to: WallTime,
    pub(crate) at: Option<Place>,
    pub(crate) limit: usize,
}

/// What a higher revision writes over.
pub(super) fn overwritten() -> String {
    let column = |column: &str| format!("{column} = excluded.{column}");
    FIGURES.split(", ").map(column).collect::<Vec<_>>().join(", ")
}

/// Keeps a window unless the hub has it in the same or a higher revision.
pub(crate) fn put(connection: &Connection, sensor: SensorRow, boot: BootId, row: &WindowRow) -> Result<(), StoreError> {
    let mut upsert = connection.prepare_cached(&format!(
        "INSERT INTO windows (sensor, grain, boot, start, {FIGURES})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT DO UPDATE SET {} WHERE excluded.revision > revision",
        overwritten()
    ))?;
    let key = [Value::from(sensor), row.grain.to_string().into(), boot.into(), row.start.uptime.0.into()];
    upsert.execute(params_from_iter(key.into_iter().chain(rows::figures(row))))?;
    Ok(())
}

/// Notes a window whose boot has no known clock, to be found when the boot turns out to be another one.
pub(crate) fn note_undated(
    connection: &Connection,
    sensor: SensorRow,
    boot: BootId,
    row: &WindowRow,
) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO undated_windows (boot, sensor, grain, start) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    insert.execute((boot, sensor, row.grain.to_string(), row.start.uptime.0))?;
    Ok(())
}

/// A new sensor of a device.
pub(crate) fn add_sensor(connection: &Connection, device: DeviceId, name: &str) -> Result<SensorRow, StoreError> {
    let mut insert = connection.prepare_cached("INSERT INTO sensors (device, name) VALUES (?1, ?2)")?;
    insert.execute((device, name))?;
    Ok(SensorRow::last(connection))
}

/// How many sensors a device has.
pub(crate) fn count_sensors(connection: &Connection, device: DeviceId) -> Result<u64, StoreError> {
    let mut select = connection.prepare_cached("SELECT count(*) FROM sensors WHERE device = ?1")?;
    Ok(select.query_row([device], |row| row.get(0))?)
}

/// The row of a device's sensor, where the device ever sent anything of it.
pub(crate) fn find_sensor(
    connection: &Connection,
    device: DeviceId,
    name: &str,
) -> Result<Option<SensorRow>, StoreError> {
    let mut select = connection.prepare_cached("SELECT id FROM sensors WHERE device = ?1 AND name = ?2")?;
    Ok(select.query_row((device, name), |row| row.get(0)).optional()?)
}

/// Windows in the order of time, and where the next page begins if there is one. `boots` are the device's, in their order.
pub(crate) fn range(
    connection: &Connection,
    boots: &[Dated],
    wanted: &Wanted,
) -> Result<(Vec<StoredWindow>, Option<Place>), StoreError> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT start, {FIGURES} FROM windows
         WHERE sensor = ?1 AND grain = ?2 AND boot = ?3 AND start >= ?4 AND start < ?5 ORDER BY start LIMIT ?6"
    ))?;
    let from = wanted.at.map_or(0, |at| boots.iter().position(|boot| boot.id == at.boot).unwrap_or(boots.len()));
    let mut found = Vec::new();
    for boot in &boots[from..] {
        let first = wanted.from.0.saturating_sub(boot.offset);
        let first = wanted.at.filter(|at| at.boot == boot.id).map_or(first, |at| first.max(at.start));
        let end = wanted.to.0.saturating_sub(boot.offset);
        // One more than fits tells where the next page begins.
        let room = wanted.limit + 1 - found.len();
        let mut rows = select.query((wanted.sensor, wanted.grain.to_string(), boot.id, first, end, room))?;
        while let Some(row) = rows.next()? {
            let window = rows::window(row, boot.number, boot.offset)?;
            if found.len() == wanted.limit {
                return Ok((found, Some(Place { boot: boot.id, start: window.start.0 })));
            }
            found.push(window);
        }
    }
    Ok((found, None))
}

/// As a reader is given it and gives it back.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.boot, self.start)
    }
}

impl Place {
    pub(crate) fn read(text: &str) -> Option<Place> {
        let (boot, start) = text.split_once('.')?;
        Some(Place { boot: boot.parse().ok()?, start: start.parse().ok()? })
    }
}
