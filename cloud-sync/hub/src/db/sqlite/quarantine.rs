//! Rejected rows, the newest of each device; all are counted in `devices`.

use rusqlite::{Connection, Row};
use tilth_core::time::WallTime;
use tilth_protocol::Lane;

use super::DbError;
use super::rows::{DeviceId, StreamId, TenantId};
use crate::db::records::QuarantinedRow;

/// Maximum number of stored rows per device.
const KEPT: usize = 100;

/// Maximum size of a stored row, in bytes. A window has some 300, an alert some 1,000.
const MAX_TEXT: usize = 4 << 10;

/// Maximum number of rows of a device that are listed.
pub(super) const SHOWN: usize = 10;

/// A row that is rejected for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuarantineEntry {
    pub(super) lane: Lane,
    pub(super) seq: u64,
    pub(super) reason: String,
    pub(super) text: String,
}

/// Stores the newest of some rejected rows, and deletes those over [`KEPT`].
pub(super) fn put(
    connection: &Connection,
    (device, stream): (DeviceId, StreamId),
    rows: &[QuarantineEntry],
    now: WallTime,
) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO quarantine (device, stream, lane, seq, reason, text, received) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO NOTHING",
    )?;
    for QuarantineEntry { lane, seq, reason, text } in &rows[rows.len().saturating_sub(KEPT)..] {
        let text = &text[..text.floor_char_boundary(MAX_TEXT)];
        insert.execute((device, stream, lane.name(), seq, reason, text, now.0))?;
    }
    let mut delete = connection.prepare_cached(
        "DELETE FROM quarantine WHERE device = ?1 AND id <= coalesce(
             (SELECT id FROM quarantine WHERE device = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2), 0)",
    )?;
    delete.execute((device, KEPT))?;
    Ok(())
}

/// Deletes rows that could be read when they came again.
pub(super) fn take_out(
    connection: &Connection,
    stream: StreamId,
    lane: Lane,
    (first, last): (u64, u64),
) -> Result<(), DbError> {
    let mut delete = connection
        .prepare_cached("DELETE FROM quarantine WHERE stream = ?1 AND lane = ?2 AND seq BETWEEN ?3 AND ?4")?;
    delete.execute((stream, lane.name(), first, last))?;
    Ok(())
}

/// Deletes rows of a tenant that were received before a time. Returns how many.
pub(super) fn prune(connection: &Connection, tenant: TenantId, before: i64, most: usize) -> Result<usize, DbError> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM quarantine WHERE id IN (
             SELECT quarantine.id FROM devices CROSS JOIN quarantine ON quarantine.device = devices.id
             WHERE tenant = ?1 AND received < ?2 LIMIT ?3)",
    )?;
    Ok(delete.execute((tenant, before, most))?)
}

/// Rejected rows of a device, newest first.
pub(super) fn newest(connection: &Connection, device: DeviceId) -> Result<Vec<QuarantinedRow>, DbError> {
    let mut select = connection.prepare_cached(
        "SELECT lane, seq, reason, text, received FROM quarantine WHERE device = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let rows = select.query_map((device, SHOWN), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<QuarantinedRow> {
    Ok(QuarantinedRow {
        lane: row.get("lane")?,
        seq: row.get("seq")?,
        reason: row.get("reason")?,
        text: row.get("text")?,
        received: WallTime(row.get("received")?),
    })
}
