//! Health of a tenant's devices, in a fixed number of statements.

use std::cmp::Reverse;
use std::collections::HashMap;

use rusqlite::{Connection, Row};
use tilth_core::time::WallTime;
use tilth_protocol::{Epoch, Lane};

use super::rows::{DeviceId, StreamId, TenantId};
use super::{Database, DbError, devices, events, quarantine};
use crate::db::context::TenantContext;
use crate::db::records::{Device, DeviceHealth, EarlierStream, LaneState};

/// Maximum number of earlier streams that are listed. A device begins a stream when its database is lost, restored or moved.
const EARLIER_STREAMS: usize = 20;

impl Database {
    /// Epoch of the hub, and the devices of a tenant by name.
    pub(crate) async fn health(&self, tenant: &TenantContext) -> Result<(Epoch, Vec<DeviceHealth>), DbError> {
        let id = tenant.id();
        let job = move |connection: &Connection| Ok((super::epoch(connection)?, of_tenant(connection, id)?));
        self.read(tenant, job).await
    }
}

/// Health of each device of a tenant.
pub(super) fn of_tenant(connection: &Connection, tenant: TenantId) -> Result<Vec<DeviceHealth>, DbError> {
    let mut lanes = by_device(connection, LANES, [tenant], |row| {
        let lane: String = row.get("lane")?;
        let tally =
            LaneState { confirmed: row.get("confirmed")?, lost: row.get("lost")?, forgotten: row.get("forgotten")? };
        Ok(Lane::ALL.into_iter().find(|known| known.name() == lane).map(|lane| (lane, tally)))
    })?;
    let mut earlier = by_device(connection, EARLIER, (tenant, EARLIER_STREAMS), |row| {
        let (began, last_heard) = (WallTime(row.get("created")?), WallTime(row.get("last_heard")?));
        Ok(Some((row.get::<_, StreamId>("id")?, EarlierStream { name: row.get("name")?, began, last_heard })))
    })?;
    let mut current = by_device(connection, CURRENT, [tenant], |row| {
        Ok(Some((row.get::<_, Option<String>>("stream")?, row.get::<_, Option<u64>>("bundle")?)))
    })?;
    let reports = format!("{} WHERE events.id IN ({REPORTS})", events::SELECT);
    let mut reports = by_device(connection, &reports, [tenant], |row| events::read(row).map(Some))?;
    let mut rejected = by_device(connection, QUARANTINE, (tenant, quarantine::SHOWN), |row| {
        Ok(Some((row.get::<_, i64>("id")?, quarantine::read(row)?)))
    })?;
    let of_device = |device: Device| {
        let (stream, bundle) = current.remove(&device.id).and_then(|mut rows| rows.pop()).unwrap_or_default();
        let mut earlier = earlier.remove(&device.id).unwrap_or_default();
        earlier.sort_by_key(|(id, _)| Reverse(*id));
        let mut rejected = rejected.remove(&device.id).unwrap_or_default();
        rejected.sort_by_key(|(id, _)| Reverse(*id));
        DeviceHealth {
            stream,
            earlier: earlier.into_iter().map(|(_, stream)| stream).collect(),
            lanes: lanes.remove(&device.id).unwrap_or_default().into_iter().collect(),
            bundle,
            quarantine: rejected.into_iter().map(|(_, row)| row).collect(),
            report: reports.remove(&device.id).and_then(|mut rows| rows.pop()),
            device,
        }
    };
    Ok(devices::of_tenant(connection, tenant)?.into_iter().map(of_device).collect())
}

/// The lanes of each device's current stream.
const LANES: &str = "SELECT devices.id AS device_id, lane, confirmed, lost, forgotten
    FROM devices CROSS JOIN device_state ON device_state.device = devices.id
    CROSS JOIN lanes ON lanes.stream = device_state.stream WHERE tenant = ?1";

/// Streams before the current one, the newest ?2 of each device.
const EARLIER: &str = "SELECT devices.id AS device_id, streams.id, streams.name, streams.created, streams.last_heard
    FROM devices CROSS JOIN device_state ON device_state.device = devices.id CROSS JOIN streams ON streams.id IN (
        SELECT id FROM streams AS other WHERE other.device = devices.id AND other.id IS NOT device_state.stream
        ORDER BY id DESC LIMIT ?2
    ) WHERE tenant = ?1";

/// Rejected rows, the newest ?2 of each device.
const QUARANTINE: &str = "SELECT devices.id AS device_id, quarantine.id, lane, seq, reason, text, received
    FROM devices CROSS JOIN quarantine ON quarantine.id IN (
        SELECT id FROM quarantine AS other WHERE other.device = devices.id ORDER BY id DESC LIMIT ?2
    ) WHERE tenant = ?1";

/// The name of each device's current stream, and the version of its newest bundle.
const CURRENT: &str =
    "SELECT devices.id AS device_id, (SELECT name FROM streams WHERE streams.id = device_state.stream) AS stream,
    (SELECT max(version) FROM bundles WHERE bundles.device = devices.id) AS bundle
    FROM devices CROSS JOIN device_state ON device_state.device = devices.id WHERE tenant = ?1";

/// The newest event of each device about a bundle, by the device's order: events may arrive in any order.
const REPORTS: &str = "SELECT (SELECT id FROM events AS newest WHERE newest.device = devices.id AND kind = 'bundle'
    ORDER BY newest.stream DESC, seq DESC LIMIT 1) FROM devices WHERE tenant = ?1";

/// Rows of a query, by their column `device_id`.
fn by_device<T, P: rusqlite::Params>(
    connection: &Connection,
    sql: &str,
    parameters: P,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
) -> Result<HashMap<DeviceId, Vec<T>>, DbError> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(parameters)?;
    let mut found: HashMap<DeviceId, Vec<T>> = HashMap::new();
    while let Some(row) = rows.next()? {
        found.entry(row.get("device_id")?).or_default().extend(read(row)?);
    }
    Ok(found)
}
