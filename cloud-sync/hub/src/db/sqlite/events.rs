//! What happened, as the devices told it.

use rusqlite::{Connection, OptionalExtension};
use tilth_core::time::WallTime;
use tilth_protocol::{Event, Lane};

use super::StoreError;
use super::boots;
use super::merged::{self, Search, Whose};
use super::rows::{BootId, DeviceId, StreamId};

/// An event as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredEvent {
    /// Where it stands among all events that the hub has.
    pub(crate) id: i64,
    pub(crate) device: String,
    pub(crate) lane: String,
    /// Its place in its lane of the device's stream.
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) boot: u32,
    /// Of its boot's clock.
    pub(crate) offset: Option<i64>,
    pub(crate) uptime: i64,
    pub(crate) body: String,
    pub(crate) received: WallTime,
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) whose: Whose,
    pub(crate) kind: Option<&'a str>,
    /// Those that came after this one.
    pub(crate) after: i64,
    pub(crate) limit: usize,
}

pub(crate) fn put(
    connection: &Connection,
    (device, stream, lane): (DeviceId, StreamId, Lane),
    boot: BootId,
    event: &Event,
    now: WallTime,
) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO events (device, stream, lane, seq, boot, uptime, kind, body, received)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let body = text(&event.body);
    let (lane, uptime) = (lane.name(), event.at.uptime.0);
    insert.execute((device, stream, lane, event.seq, boot, uptime, &event.kind, body, now.0))?;
    Ok(())
}

/// A body as it is kept.
pub(super) fn text(body: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::to_string(body).expect("its keys are text")
}

const SELECT: &str =
    "SELECT events.id, devices.name AS device, lane, seq, kind, boots.number AS boot, offset, uptime, body, received
    FROM events JOIN devices ON devices.id = events.device JOIN boots ON boots.id = events.boot";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredEvent> {
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

/// Events in the order in which the hub took them in.
pub(crate) fn after(connection: &Connection, wanted: &Wanted<'_>) -> Result<Vec<StoredEvent>, StoreError> {
    let Wanted { whose, kind, after, limit } = *wanted;
    let ids = match kind {
        None => "SELECT id FROM events WHERE device = ?1 AND id > ?2 ORDER BY id",
        Some(_) => "SELECT id FROM events WHERE device = ?1 AND kind = ?3 AND id > ?2 ORDER BY id",
    };
    let search = Search { ids, kind, row: &format!("{SELECT} WHERE events.id = ?1") };
    merged::rows(connection, whose, search, (after, limit), |row| read(row).map(Some))
}

/// The newest event by which a device said what it did with a bundle, by its own count: they may come in any order.
pub(crate) fn newest_of_bundle(connection: &Connection, device: DeviceId) -> Result<Option<StoredEvent>, StoreError> {
    let mut select = connection.prepare_cached(&format!(
        "{SELECT} WHERE events.device = ?1 AND kind = 'bundle' ORDER BY events.stream DESC, seq DESC LIMIT 1"
    ))?;
    Ok(select.query_row([device], read).optional()?)
}

/// The newest event by which a device said that it took a configuration.
pub(crate) fn newest_taken(connection: &Connection, device: DeviceId) -> Result<Option<StoredEvent>, StoreError> {
    let mut select = connection.prepare_cached(&format!(
        "{SELECT} WHERE events.device = ?1 AND kind = 'bundle' AND body ->> 'outcome' <> 'refused'
         ORDER BY events.stream DESC, seq DESC LIMIT 1"
    ))?;
    Ok(select.query_row([device], read).optional()?)
}

/// The wall time of an event.
impl StoredEvent {
    pub(crate) fn at(&self) -> Option<WallTime> {
        boots::wall(self.offset, self.uptime)
    }
}
