//! Alerts of devices, and alerts of the hub about devices.

use rusqlite::{Connection, OptionalExtension, Row};
use tilth_core::time::{Span, WallTime};
use tilth_protocol::Event;

use super::merge::{self, Scope, Search};
use super::rows::{BootId, DeviceId, StreamId};
use super::{Database, DbError, events, streams};
use crate::db::context::TenantContext;
use crate::db::records::{HubAlert, StoredAlert};
use crate::domain::ingest::validate::Transition;

/// Query for alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlertQuery {
    /// Name of a device; none for all of the tenant.
    pub(crate) device: Option<String>,
    /// Only open alerts.
    pub(crate) is_open: bool,
    /// Only alerts with a higher id; 0 also returns the hub's own.
    pub(crate) after: i64,
    /// Maximum number of alerts of devices, and of the hub.
    pub(crate) limit: usize,
}

impl Database {
    /// Alerts of a tenant's devices, oldest first, and with the first page the hub's own, newest first.
    pub(crate) async fn alerts(
        &self,
        tenant: &TenantContext,
        query: AlertQuery,
        now: WallTime,
    ) -> Result<(Vec<StoredAlert>, Vec<HubAlert>), DbError> {
        let AlertQuery { device, is_open, after, limit } = query;
        let context = tenant.clone();
        let job = move |connection: &Connection| {
            let scope = Scope::named(connection, &context, device.as_deref())?;
            let of_devices = of_devices(connection, scope, is_open, (after, limit), now)?;
            let own = if after == 0 { of_hub(connection, scope, is_open, limit, now)? } else { Vec::new() };
            Ok((of_devices, own))
        };
        self.read(tenant, job).await
    }
}

/// An alert of the hub is resolved when it was not raised for this long.
const OVER_AFTER: Span = Span::from_mins(60);

/// A new stream states its open alerts in its first events. An alert that it has not stated after this long is forgotten.
const FORGOTTEN_AFTER: Span = Span::from_mins(24 * 60);

/// Stores a transition unless a newer one of the alert is known.
pub(super) fn put(
    connection: &Connection,
    (device, stream, boot): (DeviceId, StreamId, BootId),
    event: &Event,
    transition: &Transition,
) -> Result<(), DbError> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO alerts (device, stream, number, seq, zone, rule, sensor, state, boot, uptime, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (device, stream, number) DO UPDATE SET seq = excluded.seq, zone = excluded.zone,
             rule = excluded.rule, sensor = excluded.sensor, state = excluded.state, boot = excluded.boot,
             uptime = excluded.uptime, body = excluded.body
         WHERE excluded.seq > seq",
    )?;
    let Transition { number, zone, rule, sensor, state } = transition;
    let key = (zone.as_str(), rule.as_str(), sensor.as_str());
    let body = events::text(&event.body);
    let uptime = event.at.uptime.0;
    upsert.execute((device, stream, number, event.seq, key.0, key.1, key.2, state, boot, uptime, body))?;
    Ok(())
}

/// Columns of an alert, and those that tell whether it is open.
const SELECT: &str =
    "SELECT alerts.id, devices.name AS device, alerts.number, state, boots.number AS boot, offset, uptime,
        body, state <> 'resolved' AS is_unresolved, alerts.stream IS device_state.stream AS is_of_current_stream, replaced,
        EXISTS (
            SELECT 1 FROM alerts AS newer WHERE newer.device = alerts.device AND newer.zone = alerts.zone
            AND newer.rule = alerts.rule AND newer.sensor = alerts.sensor AND newer.stream > alerts.stream
        ) AS is_stated_anew
    FROM alerts JOIN devices ON devices.id = alerts.device JOIN device_state ON device_state.device = alerts.device
    JOIN streams ON streams.id = alerts.stream JOIN boots ON boots.id = alerts.boot WHERE alerts.id = ?1";

/// A page of alerts, oldest first. An unresolved alert is open while its stream is the current one, and then until a newer stream
/// states an alert for the same zone, rule and sensor, or has had a day to do so. So open alerts are searched in few streams.
pub(super) fn of_devices(
    connection: &Connection,
    scope: Scope,
    is_open: bool,
    page: (i64, usize),
    now: WallTime,
) -> Result<Vec<StoredAlert>, DbError> {
    let forgotten = now.0.saturating_sub(FORGOTTEN_AFTER.0);
    let read = |row: &Row<'_>| Ok(Some(read(row, forgotten)?).filter(|alert| alert.is_open || !is_open));
    if is_open {
        let ids = "SELECT id FROM alerts WHERE stream = ?1 AND state <> 'resolved' AND id > ?2 ORDER BY id";
        let streams = streams::with_open_alerts(connection, scope, forgotten)?;
        merge::rows(connection, &streams, Search { ids, kind: None, row: SELECT }, page, read)
    } else {
        let ids = "SELECT id FROM alerts WHERE device = ?1 AND id > ?2 ORDER BY id";
        merge::rows(connection, &scope.devices(connection)?, Search { ids, kind: None, row: SELECT }, page, read)
    }
}

/// Reads an alert, which is forgotten if its stream was replaced before `forgotten`.
fn read(row: &Row<'_>, forgotten: i64) -> rusqlite::Result<StoredAlert> {
    let replaced: Option<i64> = row.get("replaced")?;
    let is_waited_for = replaced.is_some_and(|replaced| forgotten < replaced) && !row.get("is_stated_anew")?;
    Ok(StoredAlert {
        id: row.get("id")?,
        device: row.get("device")?,
        number: row.get("number")?,
        state: row.get("state")?,
        is_open: row.get("is_unresolved")? && (row.get("is_of_current_stream")? || is_waited_for),
        boot: row.get("boot")?,
        offset: row.get("offset")?,
        uptime: row.get("uptime")?,
        body: row.get("body")?,
    })
}

/// Raises an alert of the hub about a device. Returns whether it is new: not raised within the hour.
pub(super) fn raise(
    connection: &Connection,
    device: DeviceId,
    rule: &str,
    message: &str,
    now: WallTime,
) -> Result<bool, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM hub_alerts WHERE device = ?1 AND rule = ?2 AND last >= ?3 ORDER BY last DESC LIMIT 1",
    )?;
    let open: Option<i64> = select.query_row((device, rule, now.0 - OVER_AFTER.0), |row| row.get(0)).optional()?;
    match open {
        Some(id) => connection.execute(
            "UPDATE hub_alerts SET last = ?2, times = times + 1, message = ?3 WHERE id = ?1",
            (id, now.0, message),
        )?,
        None => connection.execute(
            "INSERT INTO hub_alerts (device, rule, since, last, times, message) VALUES (?1, ?2, ?3, ?3, 1, ?4)",
            (device, rule, now.0, message),
        )?,
    };
    Ok(open.is_none())
}

/// Alerts of the hub about a tenant's devices, newest first.
pub(super) fn of_hub(
    connection: &Connection,
    Scope { tenant, device }: Scope,
    is_open: bool,
    limit: usize,
    now: WallTime,
) -> Result<Vec<HubAlert>, DbError> {
    let over = now.0 - OVER_AFTER.0;
    let mut select = connection.prepare_cached(
        "SELECT devices.name AS device, rule, since, last, times, message FROM hub_alerts
         JOIN devices ON devices.id = hub_alerts.device
         WHERE tenant = ?1 AND (?2 IS NULL OR devices.id = ?2) AND last >= ?3 ORDER BY last DESC LIMIT ?4",
    )?;
    let from = if is_open { over } else { i64::MIN };
    let alerts = select.query_map((tenant, device, from, limit), |row| {
        let last = row.get("last")?;
        Ok(HubAlert {
            device: row.get("device")?,
            rule: row.get("rule")?,
            since: WallTime(row.get("since")?),
            last: WallTime(last),
            times: row.get("times")?,
            message: row.get("message")?,
            is_open: last >= over,
        })
    })?;
    Ok(alerts.collect::<Result<_, _>>()?)
}
