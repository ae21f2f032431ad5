//! Retention: deletes expired rows by the time that the hub received them, in bounded steps between batches.

use std::collections::BTreeMap;

use rusqlite::Connection;
use tilth_core::time::WallTime;

use super::rows::{BootId, DeviceId, SensorRow, StreamId, TenantId};
use super::workers::Owner;
use super::{Database, DbError, devices, quarantine};

/// Maximum number of rows per step: some milliseconds, for which batches wait.
const STEP: usize = 2_000;

impl Database {
    /// Deletes some expired rows. Returns whether there may be more.
    pub(crate) async fn prune(&self, now: WallTime) -> Result<bool, DbError> {
        self.write(Owner::Hub, move |connection| Ok(step(connection, STEP, now)? == STEP)).await
    }
}

/// Deletes at most `most` expired rows. Returns how many.
pub(super) fn step(connection: &Connection, most: usize, now: WallTime) -> Result<usize, DbError> {
    let (mut deleted, mut tenant) = (0, TenantId::BEFORE_ALL);
    while let Some((id, retention)) = devices::retention_after(connection, tenant)? {
        tenant = id;
        for (keep, delete) in [
            (retention.windows, windows as fn(&Connection, TenantId, i64, usize) -> Result<usize, DbError>),
            (retention.events, events),
            (retention.batches, batches),
        ] {
            if let Some(before) = keep.due_before(now)
                && deleted < most
            {
                deleted += delete(connection, id, before.0, most - deleted)?;
            }
        }
    }
    Ok(deleted)
}

/// Deletes windows that were received before a time. Returns how many.
fn windows(connection: &Connection, tenant: TenantId, before: i64, most: usize) -> Result<usize, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT sensor, grain, boot, start, device FROM windows INDEXED BY windows_by_received
         CROSS JOIN sensors ON sensors.id = windows.sensor
         WHERE windows.tenant = ?1 AND received < ?2 ORDER BY received LIMIT ?3",
    )?;
    let due = select.query_map((tenant, before, most), |row| {
        let key = (row.get("sensor")?, row.get("grain")?, row.get("boot")?, row.get("start")?);
        Ok((key, row.get("device")?))
    })?;
    let due: Vec<((SensorRow, String, BootId, i64), DeviceId)> = due.collect::<Result<_, _>>()?;
    let mut counts = BTreeMap::new();
    for (key, device) in &due {
        for table in ["windows", "undated_windows"] {
            let sql = format!("DELETE FROM {table} WHERE sensor = ?1 AND grain = ?2 AND boot = ?3 AND start = ?4");
            connection.prepare_cached(&sql)?.execute((key.0, &key.1, key.2, key.3))?;
        }
        *counts.entry(*device).or_insert(0) += 1;
    }
    release_quota(connection, counts)?;
    Ok(due.len())
}

/// Deletes events that were received before a time, except the last reports of each device about its configuration.
pub(super) fn events(connection: &Connection, tenant: TenantId, before: i64, most: usize) -> Result<usize, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT events.id, events.device FROM devices
         CROSS JOIN events INDEXED BY events_by_received ON events.device = devices.id AND received < ?2
         WHERE tenant = ?1 AND NOT (kind = 'bundle' AND events.id IN (
             coalesce((SELECT id FROM events AS last WHERE last.device = devices.id AND last.kind = 'bundle'
                 ORDER BY last.stream DESC, last.seq DESC LIMIT 1), 0),
             coalesce((SELECT id FROM events AS taken WHERE taken.device = devices.id AND taken.kind = 'bundle'
                 AND taken.body ->> 'outcome' <> 'refused' ORDER BY taken.stream DESC, taken.seq DESC LIMIT 1), 0)
         )) LIMIT ?3",
    )?;
    let due = select.query_map((tenant, before, most), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let due: Vec<(i64, DeviceId)> = due.collect::<Result<_, _>>()?;
    let mut delete = connection.prepare_cached("DELETE FROM events WHERE id = ?1")?;
    let mut counts = BTreeMap::new();
    for (id, device) in &due {
        delete.execute([id])?;
        *counts.entry(*device).or_insert(0) += 1;
    }
    release_quota(connection, counts)?;
    Ok(due.len())
}

fn release_quota(connection: &Connection, rows: BTreeMap<DeviceId, i64>) -> Result<(), DbError> {
    rows.into_iter().try_for_each(|(device, rows)| devices::count(connection, device, -rows, 0))
}

/// Deletes ranges that were received before a time, at the beginning of each lane. Their sequences stay confirmed.
pub(super) fn batches(connection: &Connection, tenant: TenantId, before: i64, most: usize) -> Result<usize, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT lanes.stream, lane, confirmed, streams.device FROM devices
         CROSS JOIN streams ON streams.device = devices.id CROSS JOIN lanes ON lanes.stream = streams.id
         WHERE tenant = ?1 AND (
             SELECT received FROM runs WHERE runs.stream = lanes.stream AND runs.lane = lanes.lane ORDER BY last LIMIT 1
         ) < ?2",
    )?;
    let lanes = select.query_map((tenant, before), |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))?;
    let lanes: Vec<((StreamId, String, u64), DeviceId)> = lanes.collect::<Result<_, _>>()?;
    let mut deleted = quarantine::prune(connection, tenant, before, most)?;
    for (lane, device) in lanes {
        if deleted == most {
            break;
        }
        let (runs, gaps) = runs(connection, &lane, before, most - deleted)?;
        devices::count(connection, device, 0, -gaps)?;
        deleted += runs;
    }
    Ok(deleted)
}

/// Deletes confirmed ranges at the beginning of a lane. Returns their number, and the number of gaps among them.
fn runs(
    connection: &Connection,
    (stream, lane, confirmed): &(StreamId, String, u64),
    before: i64,
    most: usize,
) -> Result<(usize, i64), DbError> {
    let mut select = connection.prepare_cached(
        "SELECT last, received, kind <> 'rows' FROM runs WHERE stream = ?1 AND lane = ?2 AND last <= ?3
         ORDER BY last LIMIT ?4",
    )?;
    let mut rows = select.query((stream, lane, confirmed, most))?;
    let (mut upto, mut count, mut gaps) = (0_u64, 0, 0);
    while let Some(row) = rows.next()?
        && row.get::<_, i64>(1)? < before
    {
        upto = row.get(0)?;
        count += 1;
        gaps += i64::from(row.get::<_, bool>(2)?);
    }
    if count > 0 {
        let mut delete =
            connection.prepare_cached("DELETE FROM runs WHERE stream = ?1 AND lane = ?2 AND last <= ?3")?;
        delete.execute((stream, lane, upto))?;
        let mut update =
            connection.prepare_cached("UPDATE lanes SET forgotten = ?3 WHERE stream = ?1 AND lane = ?2")?;
        update.execute((stream, lane, upto))?;
    }
    Ok((count, gaps))
}

#[cfg(test)]
mod tests;
