//! Events that are given up: repeats of an alert that is over become one counted row; those of an open alert always stay.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;
use serde_json::json;
use tilth_core::time::Uptime;
use tilth_protocol::{GapKind, Lane};

use super::deletion::{BootInstant, STEP_ROWS};
use super::error::StoreError;
use super::gaps;
use super::lane::LaneStates;
use super::row::{self, int, uint};

/// Events that are looked at to become digests, in one step.
const COLLAPSE_ROWS: usize = 256;

/// Events about alerts that are in memory at once, less than a megabyte: there may be hundreds of thousands.
const LOOKED_AT: i64 = 4096;

pub(super) struct AlertEvent {
    seq: i64,
    about: String,
    alert: Option<i64>,
    ends: bool,
    at: BootInstant,
}

/// The first events about alerts that are over, but digests.
fn closed_alerts(connection: &Connection) -> Result<Vec<AlertEvent>, StoreError> {
    let sql = "SELECT seq, about, alert, ends, boot, uptime FROM event
         WHERE seq > ? AND about IS NOT NULL AND kind <> 'digest' ORDER BY seq LIMIT ?";
    let mut after = 0;
    loop {
        let events: Vec<AlertEvent> = row::all(connection, sql, (after, LOOKED_AT), |row| {
            let at = (row.get(4)?, row.get(5)?);
            Ok(AlertEvent { seq: row.get(0)?, about: row.get(1)?, alert: row.get(2)?, ends: row.get(3)?, at })
        })?;
        let Some(last) = events.last() else { return Ok(events) };
        after = last.seq;
        let closed = closed_of(events);
        if !closed.is_empty() {
            return Ok(closed);
        }
    }
}

/// The events whose alert is over with one of them.
fn closed_of(events: Vec<AlertEvent>) -> Vec<AlertEvent> {
    let ended: HashSet<(String, Option<i64>)> =
        events.iter().filter(|event| event.ends).map(|event| (event.about.clone(), event.alert)).collect();
    let mut last_end = HashMap::<String, i64>::new();
    for event in events.iter().filter(|event| event.ends) {
        last_end.insert(event.about.clone(), event.seq);
    }
    let is_over = |event: &AlertEvent| match event.alert {
        Some(_) => ended.contains(&(event.about.clone(), event.alert)),
        // Before it fires an alert has no number; what is before the last end of its like is over too.
        None => last_end.get(&event.about).is_some_and(|end| event.seq < *end),
    };
    events.into_iter().filter(is_over).take(COLLAPSE_ROWS).collect()
}

/// Alerts that are over and of which there is more than one event, by their key.
pub(super) fn repeats(connection: &Connection) -> Result<BTreeMap<String, Vec<AlertEvent>>, StoreError> {
    let mut by_key = BTreeMap::<String, Vec<AlertEvent>>::new();
    for event in closed_alerts(connection)? {
        by_key.entry(event.about.clone()).or_default().push(event);
    }
    by_key.retain(|_, events| events.len() > 1);
    Ok(by_key)
}

/// Puts a counted row in the place of repeats.
pub(super) fn collapse(connection: &Connection, lanes: &mut LaneStates) -> Result<(), StoreError> {
    for (key, events) in repeats(connection)? {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { continue };
        let alerts: HashSet<i64> = events.iter().filter_map(|event| event.alert).collect();
        let body = json!({
            "about": key,
            "events": events.len(),
            "alerts": alerts.len(),
            "from": { "boot": first.at.0, "uptime": Uptime(first.at.1) },
            "to": { "boot": last.at.0, "uptime": Uptime(last.at.1) },
        });
        let seq = lanes.of_mut(Lane::Events).take(1);
        connection
            .prepare_cached(
                "INSERT INTO event (seq, boot, uptime, kind, about, ends, body) VALUES (?, ?, ?, 'digest', ?, 1, ?)",
            )?
            .execute((int(seq), last.at.0, last.at.1, &key, body.to_string()))?;
        let reason = format!("repeats of one alert, counted in {seq}");
        drop_events(connection, *lanes, events.iter().map(|event| event.seq), GapKind::Replaced, &reason)?;
    }
    Ok(())
}

/// Sequences of events that may be lost: of no alert that is open.
pub(super) fn closed_events(connection: &Connection, count: usize) -> Result<Vec<i64>, StoreError> {
    let over: HashSet<i64> = closed_alerts(connection)?.into_iter().map(|event| event.seq).collect();
    let mut statement =
        connection.prepare_cached("SELECT seq, about IS NULL OR kind = 'digest' FROM event ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut closed = Vec::new();
    while let Some(row) = rows.next()?.filter(|_| closed.len() < count) {
        let seq = row.get(0)?;
        if row.get(1)? || over.contains(&seq) {
            closed.push(seq);
        }
    }
    Ok(closed)
}

pub(super) fn lose_events(connection: &Connection, lanes: LaneStates, why: &str) -> Result<(), StoreError> {
    let events = closed_events(connection, STEP_ROWS as usize)?;
    drop_events(connection, lanes, events, GapKind::Lost, &format!("no room: {why}"))
}

/// Deletes events; those that the hub does not have leave a gap.
fn drop_events(
    connection: &Connection,
    lanes: LaneStates,
    events: impl IntoIterator<Item = i64>,
    kind: GapKind,
    reason: &str,
) -> Result<(), StoreError> {
    for seq in events {
        connection.prepare_cached("DELETE FROM event WHERE seq = ?")?.execute([seq])?;
        let seq = uint(seq);
        if seq > lanes.of(Lane::Events).confirmed && gaps::within(connection, Lane::Events, &(seq..=seq))?.is_empty() {
            gaps::add(connection, Lane::Events, seq..=seq, kind, reason)?;
        }
    }
    Ok(())
}
