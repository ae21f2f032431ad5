//! Paging settings, and silences of devices.

use rusqlite::{Connection, OptionalExtension, Row};
use tilth_core::id::Id;
use tilth_core::time::{Span, WallTime};

use super::rows::{DeviceId, Parsed, TenantId};
use super::workers::Owner;
use super::{Database, DbError};
use crate::db::context::{Actor, DeviceContext, TenantContext};
use crate::db::records::{MonitoredDevice, MonitoredTenant, Paging};
use crate::domain::silence::{Contact, DEFAULT_LIMIT, Silence, SilenceStep};

/// Maximum number of stored silences per device.
const MAX_KEPT: i64 = 100;

/// Time over which pages of a device are counted.
const RECENT: Span = Span::from_mins(60);

/// Devices with a valid key that sent a request once, of tenants that are paged, each with its newest silence.
const MONITORED: &str =
    "SELECT tenants.id AS tenant, tenants.name AS client, channel, devices.id AS device, devices.name AS name, last_heard,
        coalesce(device_paging.silent_after, paging.silent_after, ?1) AS silent_after,
        (SELECT count(*) FROM silences AS recent WHERE recent.device = devices.id AND recent.noticed > ?2) AS recent,
        silences.id AS silence, since, paged, over, over_told
     FROM paging JOIN tenants ON tenants.id = paging.tenant JOIN devices ON devices.tenant = tenants.id
     JOIN device_state ON device_state.device = devices.id
     LEFT JOIN device_paging ON device_paging.device = devices.id
     LEFT JOIN silences ON silences.id = (SELECT max(id) FROM silences WHERE device = devices.id)
     WHERE channel IS NOT NULL AND last_heard IS NOT NULL
        AND EXISTS (SELECT 1 FROM keys WHERE keys.device = devices.id AND revoked IS NULL)
     ORDER BY tenants.name, devices.name";

impl Database {
    /// Tenants that are paged, each with its devices.
    pub(crate) async fn monitored(&self, now: WallTime) -> Result<Vec<MonitoredTenant>, DbError> {
        self.read(Owner::Hub, move |connection| monitored(connection, now)).await
    }

    /// Adds a silence. Returns its number.
    pub(crate) async fn begin_silence(
        &self,
        device: &DeviceContext,
        since: WallTime,
        now: WallTime,
    ) -> Result<u64, DbError> {
        let device = device.id();
        self.write(Owner::Hub, move |connection| begin(connection, device, since, now)).await
    }

    /// Notes a step of a silence of this device; a step that was noted stays.
    pub(crate) async fn note_silence(
        &self,
        device: &DeviceContext,
        number: u64,
        step: SilenceStep,
        now: WallTime,
    ) -> Result<(), DbError> {
        let device = device.id();
        self.write(Owner::Hub, move |connection| note(connection, (device, number), step, now)).await
    }
}

fn monitored(connection: &Connection, now: WallTime) -> Result<Vec<MonitoredTenant>, DbError> {
    let mut select = connection.prepare_cached(MONITORED)?;
    let mut rows = select.query((DEFAULT_LIMIT.0, now.0 - RECENT.0))?;
    let mut tenants: Vec<MonitoredTenant> = Vec::new();
    while let Some(row) = rows.next()? {
        let client = row.get::<_, Parsed<Id>>("client")?.0;
        if tenants.last().is_none_or(|last| last.client != client) {
            let (client, channel) = (client.clone(), row.get("channel")?);
            tenants.push(MonitoredTenant { client, channel, devices: Vec::new() });
        }
        let device = device(row, &client)?;
        if let Some(tenant) = tenants.last_mut() {
            tenant.devices.push(device);
        }
    }
    Ok(tenants)
}

/// A row of [`MONITORED`], of the tenant with this name.
fn device(row: &Row<'_>, client: &Id) -> rusqlite::Result<MonitoredDevice> {
    let actor = Actor { who: "tilth-hub".to_owned(), origin: "local".to_owned() };
    let tenant = TenantContext::open(row.get("tenant")?, client.clone(), actor);
    let silence = row.get::<_, Option<u64>>("silence")?.map(|number| {
        Ok::<_, rusqlite::Error>(Silence {
            number,
            since: WallTime(row.get("since")?),
            ended: row.get::<_, Option<i64>>("over")?.map(WallTime),
            is_paged: row.get::<_, Option<i64>>("paged")?.is_some(),
            is_end_paged: row.get::<_, Option<i64>>("over_told")?.is_some(),
        })
    });
    Ok(MonitoredDevice {
        context: DeviceContext::of(tenant, row.get("device")?, row.get::<_, Parsed<Id>>("name")?.0),
        contact: Contact {
            last_heard: WallTime(row.get("last_heard")?),
            limit: Span(row.get("silent_after")?),
            recent_pages: row.get("recent")?,
            silence: silence.transpose()?,
        },
    })
}

fn begin(connection: &Connection, device: DeviceId, since: WallTime, now: WallTime) -> Result<u64, DbError> {
    connection
        .execute("INSERT INTO silences (device, since, noticed) VALUES (?1, ?2, ?3)", (device, since.0, now.0))?;
    let number = connection.last_insert_rowid();
    connection.execute(
        "DELETE FROM silences WHERE device = ?1 AND id <= (
            SELECT id FROM silences WHERE device = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (device, MAX_KEPT),
    )?;
    Ok(number.unsigned_abs())
}

fn note(
    connection: &Connection,
    (device, number): (DeviceId, u64),
    step: SilenceStep,
    now: WallTime,
) -> Result<(), DbError> {
    let sql = match step {
        SilenceStep::Paged => "UPDATE silences SET paged = coalesce(paged, ?3) WHERE id = ?2 AND device = ?1",
        SilenceStep::Ended => "UPDATE silences SET over = coalesce(over, ?3) WHERE id = ?2 AND device = ?1",
        SilenceStep::EndPaged => {
            "UPDATE silences SET over_told = coalesce(over_told, ?3) WHERE id = ?2 AND device = ?1"
        }
    };
    connection.prepare_cached(sql)?.execute((device, number, now.0))?;
    Ok(())
}

/// Paging settings of a tenant.
pub(super) fn of_tenant(connection: &Connection, tenant: TenantId) -> Result<Paging, DbError> {
    let found = connection.query_row("SELECT channel, silent_after FROM paging WHERE tenant = ?1", [tenant], |row| {
        Ok(Paging { channel: row.get(0)?, silent_after: row.get::<_, Option<i64>>(1)?.map(Span) })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Sets the paging settings of a tenant.
pub(super) fn set(connection: &Connection, tenant: TenantId, paging: &Paging) -> Result<(), DbError> {
    let silent_after = paging.silent_after.map(|limit| limit.0);
    connection.execute(
        "INSERT INTO paging (tenant, channel, silent_after) VALUES (?1, ?2, ?3)
         ON CONFLICT (tenant) DO UPDATE SET channel = excluded.channel, silent_after = excluded.silent_after",
        (tenant, &paging.channel, silent_after),
    )?;
    Ok(())
}

/// Sets the silence limit of one device.
pub(super) fn set_limit(connection: &Connection, device: DeviceId, limit: Span) -> Result<(), DbError> {
    connection.execute(
        "INSERT INTO device_paging (device, silent_after) VALUES (?1, ?2)
         ON CONFLICT (device) DO UPDATE SET silent_after = excluded.silent_after",
        (device, limit.0),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
