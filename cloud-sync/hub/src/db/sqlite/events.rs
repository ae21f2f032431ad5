//! Events and diagnostics of devices.

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;
use tilth_protocol::{Event, Lane};

use super::merge::{self, Scope, Search};
use super::rows::{BootId, DeviceId, StreamId};
use super::{Database, DbError};
use crate::db::context::TenantContext;
use crate::db::records::StoredEvent;

/// Query for events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventQuery {
    /// Name of a device; none for all of the tenant.
    pub(crate) device: Option<String>,
    pub(crate) kind: Option<String>,
    /// Only events with a higher id.
    pub(crate) after: i64,
    pub(crate) limit: usize,
}

impl Database {
    /// Events of a tenant's devices, in the order of storing.
    pub(crate) async fn events(&self, tenant: &TenantContext, query: EventQuery) -> Result<Vec<StoredEvent>, DbError> {
        let context = tenant.clone();
        let job = move |connection: &Connection| {
            page(connection, Scope::named(connection, &context, query.device.as_deref())?, &query)
        };
        self.read(tenant, job).await
    }
}

pub(super) fn put(
    connection: &Connection,
    (device, stream, lane): (DeviceId, StreamId, Lane),
    boot: BootId,
    event: &Event,
    now: WallTime,
) -> Result<(), DbError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (device, stream, lane, seq, boot, uptime, kind, body, received)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let body = text(&event.body);
    let (lane, uptime) = (lane.name(), event.at.uptime.0);
    insert.execute((device, stream, lane, event.seq, boot, uptime, &event.kind, body, now.0))?;
    Ok(())
}

/// A body as it is stored.
pub(super) fn text(body: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::to_string(body).expect("its keys are text")
}

pub(super) const SELECT: &str =
    "SELECT events.id, devices.id AS device_id, devices.name AS device, lane, seq, kind, boots.number AS boot, offset, uptime, body, received
    FROM events JOIN devices ON devices.id = events.device JOIN boots ON boots.id = events.boot";

pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        id: row.get("id")?,
        device: row.get("device")?,
        lane: row.get("lane")?,
        seq: row.get("seq")?,
        kind: row.get("kind")?,
        boot: row.get("boot")?,
        offset: row.get("offset")?,
        uptime: row.get("uptime")?,
        body: row.get("body")?,
        received: WallTime(row.get("received")?),
    })
}

/// A page of events in the order of storing.
pub(super) fn page(connection: &Connection, scope: Scope, query: &EventQuery) -> Result<Vec<StoredEvent>, DbError> {
    let (kind, after, limit) = (query.kind.as_deref(), query.after, query.limit);
    let ids = match kind {
        None => "SELECT id FROM events WHERE device = ?1 AND id > ?2 ORDER BY id",
        Some(_) => "SELECT id FROM events WHERE device = ?1 AND kind = ?3 AND id > ?2 ORDER BY id",
    };
    let search = Search { ids, kind, row: &format!("{SELECT} WHERE events.id = ?1") };
    merge::rows(connection, &scope.devices(connection)?, search, (after, limit), |row| read(row).map(Some))
}

/// The newest event of a device about a bundle, by the device's order: events may arrive in any order.
pub(super) fn newest_of_bundle(connection: &Connection, device: DeviceId) -> Result<Option<StoredEvent>, DbError> {
    let mut select = connection.prepare_cached(&format!(
        "{SELECT} WHERE events.device = ?1 AND kind = 'bundle' ORDER BY events.stream DESC, seq DESC LIMIT 1"
    ))?;
    Ok(select.query_row([device], read).optional()?)
}

/// The newest event by which a device reported that a configuration is in force.
pub(super) fn newest_taken(connection: &Connection, device: DeviceId) -> Result<Option<StoredEvent>, DbError> {
    let mut select = connection.prepare_cached(&format!(
        "{SELECT} WHERE events.device = ?1 AND kind = 'bundle' AND body ->> 'outcome' <> 'refused'
         ORDER BY events.stream DESC, seq DESC LIMIT 1"
    ))?;
    Ok(select.query_row([device], read).optional()?)
}
