//! Tenants and their devices.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row};
use tilth_core::id::Id;
use tilth_core::time::{Span, WallTime};
use tilth_protocol::Epoch;

use super::DbError;
use super::rows::{DeviceId, Parsed, StreamId, TenantId};
use crate::db::context::TenantContext;
use crate::db::records::Device;
use crate::domain::ingest::stream::NOTED_EVERY;
use crate::domain::retention::{Keep, Retention};

const SELECT: &str =
    "SELECT id, tenant, name, created, last_heard, stream, shown_version, rows, others, quarantined, unknown_keys
    FROM devices CROSS JOIN device_state ON device_state.device = devices.id";

fn read(row: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        id: row.get("id")?,
        tenant: row.get("tenant")?,
        name: row.get::<_, Parsed<Id>>("name")?.0,
        created: WallTime(row.get("created")?),
        last_heard: row.get::<_, Option<i64>>("last_heard")?.map(WallTime),
        stream: row.get("stream")?,
        shown_version: row.get("shown_version")?,
        rows: row.get("rows")?,
        others: row.get("others")?,
        quarantined: row.get("quarantined")?,
        unknown_keys: row.get("unknown_keys")?,
    })
}

/// Adds a tenant; none where there is one of that name.
pub(super) fn add_tenant(connection: &Connection, name: &Id, now: WallTime) -> Result<Option<TenantId>, DbError> {
    let added = connection.execute(
        "INSERT INTO tenants (name, created) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (name.as_str(), now.0),
    )?;
    Ok((added == 1).then(|| TenantId::last(connection)))
}

/// Id of a tenant.
pub(super) fn tenant(connection: &Connection, name: &str) -> Result<Option<TenantId>, DbError> {
    Ok(connection.query_row("SELECT id FROM tenants WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}

/// All tenants, by name.
pub(super) fn tenants(connection: &Connection) -> Result<Vec<(TenantId, Id)>, DbError> {
    let mut select = connection.prepare_cached("SELECT id, name FROM tenants ORDER BY name")?;
    let tenants = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, Parsed<Id>>(1)?.0)))?;
    Ok(tenants.collect::<Result<_, _>>()?)
}

/// When a tenant was added, and how many devices it has.
pub(super) fn summary(connection: &Connection, tenant: TenantId) -> Result<(WallTime, u64), DbError> {
    let mut select = connection.prepare_cached(
        "SELECT created, (SELECT count(*) FROM devices WHERE tenant = tenants.id) FROM tenants WHERE id = ?1",
    )?;
    Ok(select.query_row([tenant], |row| Ok((WallTime(row.get(0)?), row.get(1)?)))?)
}

/// Retention of a tenant.
pub(super) fn retention(connection: &Connection, tenant: TenantId) -> Result<Retention, DbError> {
    let mut select =
        connection.prepare_cached("SELECT keep_windows, keep_events, keep_batches FROM tenants WHERE id = ?1")?;
    Ok(select.query_row([tenant], read_retention)?)
}

/// The tenant with the next higher id, and its retention.
pub(super) fn retention_after(
    connection: &Connection,
    tenant: TenantId,
) -> Result<Option<(TenantId, Retention)>, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT id, keep_windows, keep_events, keep_batches FROM tenants WHERE id > ?1 ORDER BY id LIMIT 1",
    )?;
    Ok(select.query_row([tenant], |row| Ok((row.get("id")?, read_retention(row)?))).optional()?)
}

fn read_retention(row: &Row<'_>) -> rusqlite::Result<Retention> {
    let keep = |span: Option<i64>| span.map_or(Keep::Forever, |span| Keep::For(Span(span)));
    Ok(Retention {
        windows: keep(row.get("keep_windows")?),
        events: keep(row.get("keep_events")?),
        batches: keep(row.get("keep_batches")?),
    })
}

/// Sets the retention of a tenant.
pub(super) fn set_retention(connection: &Connection, tenant: TenantId, retention: &Retention) -> Result<(), DbError> {
    let span = |keep: Keep| match keep {
        Keep::Forever => None,
        Keep::For(span) => Some(span.0),
    };
    let Retention { windows, events, batches } = *retention;
    connection.execute(
        "UPDATE tenants SET keep_windows = ?2, keep_events = ?3, keep_batches = ?4 WHERE id = ?1",
        (tenant, span(windows), span(events), span(batches)),
    )?;
    Ok(())
}

/// Adds a device; none where the tenant has one of that name.
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
    if added == 0 {
        return Ok(None);
    }
    let id = DeviceId::last(connection);
    connection.execute("INSERT INTO device_state (device) VALUES (?1)", [id])?;
    Ok(Some(id))
}

/// The first of `pi-1`, `pi-2` .. that no device of the tenant has.
pub(super) fn free_name(connection: &Connection, tenant: TenantId) -> Result<Id, DbError> {
    let taken: HashSet<String> =
        of_tenant(connection, tenant)?.into_iter().map(|device| device.name.to_string()).collect();
    let mut names = (1_u32..).map(|number| format!("pi-{number}")).filter(|name| !taken.contains(name));
    let name = names.next().and_then(|name| Id::new(&name).ok());
    name.ok_or_else(|| DbError::Unusable("no name is free; expected --device".to_owned()))
}

/// A device by its id.
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

/// Notes a contact of a device, and its current stream where one is named; at most once a minute unless the stream changes.
pub(super) fn heard(
    connection: &Connection,
    id: DeviceId,
    stream: Option<StreamId>,
    now: WallTime,
) -> Result<(), DbError> {
    let mut update = connection.prepare_cached(
        "UPDATE device_state SET last_heard = ?2, stream = coalesce(?3, stream)
         WHERE device = ?1 AND (last_heard IS NULL OR abs(?2 - last_heard) >= ?4 OR stream IS NOT coalesce(?3, stream))",
    )?;
    update.execute((id, now.0, stream, NOTED_EVERY.0))?;
    Ok(())
}

/// Adds to the counters of a device; negative for deleted rows.
pub(super) fn count(connection: &Connection, id: DeviceId, rows: i64, others: i64) -> Result<(), DbError> {
    if (rows, others) == (0, 0) {
        return Ok(());
    }
    let mut update = connection
        .prepare_cached("UPDATE devices SET rows = max(rows + ?2, 0), others = max(others + ?3, 0) WHERE id = ?1")?;
    update.execute((id, rows, others))?;
    Ok(())
}

/// Counts rows that were rejected for the first time, and unknown keys.
pub(super) fn count_rejected(
    connection: &Connection,
    id: DeviceId,
    quarantined: usize,
    unknown_keys: u64,
) -> Result<(), DbError> {
    if (quarantined, unknown_keys) == (0, 0) {
        return Ok(());
    }
    let mut update = connection.prepare_cached(
        "UPDATE devices SET quarantined = quarantined + ?2, unknown_keys = unknown_keys + ?3 WHERE id = ?1",
    )?;
    update.execute((id, quarantined, unknown_keys))?;
    Ok(())
}

/// Epoch of a device alone, after it showed that this database was set back.
pub(super) fn epoch(connection: &Connection, id: DeviceId) -> Result<Option<Epoch>, DbError> {
    let mut select = connection.prepare_cached("SELECT epoch FROM devices WHERE id = ?1")?;
    let text: Option<String> = select.query_row([id], |row| row.get(0))?;
    let damaged = |text: &str| DbError::Damaged(format!("the epoch of a device is {text:?}"));
    text.map(|text| text.parse().map_err(|_| damaged(&text))).transpose()
}

/// Whether a backup was restored and the device has not yet sent a batch in the epoch since. `is_in_epoch` is true for a batch in it.
pub(super) fn is_restored(connection: &Connection, id: DeviceId, is_in_epoch: bool) -> Result<bool, DbError> {
    let mut select = connection.prepare_cached("SELECT restored FROM devices WHERE id = ?1")?;
    let is_restored: bool = select.query_row([id], |row| row.get(0))?;
    if is_restored && is_in_epoch {
        connection.execute("UPDATE devices SET restored = 0 WHERE id = ?1", [id])?;
    }
    Ok(is_restored && !is_in_epoch)
}

/// Begins a new epoch for one device.
pub(super) fn set_epoch(connection: &Connection, id: DeviceId, epoch: Epoch) -> Result<(), DbError> {
    connection.execute("UPDATE devices SET epoch = ?2 WHERE id = ?1", (id, epoch.to_string()))?;
    Ok(())
}

/// Notes the version of a configuration that a device states.
pub(super) fn shown(connection: &Connection, id: DeviceId, version: u64) -> Result<(), DbError> {
    connection.execute(
        "UPDATE device_state SET shown_version = ?2 WHERE device = ?1 AND shown_version < ?2",
        (id, version),
    )?;
    Ok(())
}
