//! Reading back by sensor and span: windows, and readings.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;
use tilth_core::id::SensorId;
use tilth_core::time::{Span, Stamp, Uptime, WallTime};
use tilth_core::windows::{self, Grain};

use super::Reader;
use super::boot::boots;
use super::commit::BEHIND;
use super::error::StoreError;
use super::names::series_by_number;
use super::read::{Recorded, points};
use super::row::{Series, table};
use super::window_block;

/// A span of one boot, both ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BootSpan {
    /// The boot.
    pub(crate) boot: u32,
    /// From this uptime.
    pub(crate) from: Uptime,
    /// Up to this one.
    pub(crate) to: Uptime,
}

/// A window as it was kept, of the highest revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordedWindow {
    /// When it began; the time of day as it is known by now.
    pub(crate) start: Stamp,
    /// Of what and at which resolution.
    pub(crate) series: Series,
    /// What was seen.
    pub(crate) row: windows::Row,
}

impl Reader {
    /// The windows of a sensor that began in a span, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn windows_of(
        &self,
        sensor: &SensorId,
        grain: Grain,
        span: BootSpan,
    ) -> Result<Vec<RecordedWindow>, StoreError> {
        let series = series_of(&self.0, sensor)?;
        let zero = boots(&self.0)?.into_iter().find(|boot| boot.number == span.boot).and_then(|boot| boot.wall_at_zero);
        let table = table(grain);
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT start, block FROM {table} WHERE boot = ? AND start BETWEEN ? AND ? ORDER BY start, seq"
        ))?;
        let mut rows = statement.query((span.boot, span.from.0, span.to.0))?;
        let mut newest = BTreeMap::<(Uptime, u32), windows::Row>::new();
        while let Some(row) = rows.next()? {
            let start = Uptime(row.get("start")?);
            let entries = window_block::decode(start, row.get_ref("block")?.as_blob().unwrap_or_default());
            for entry in entries.unwrap_or_default().iter().filter(|entry| series.contains_key(&entry.series)) {
                // A later one of the same revision came from a restart: it is the whole, too.
                newest.insert((start, entry.series), entry.row);
            }
        }
        let recorded = newest.into_iter().filter_map(|((uptime, number), row)| {
            let wall = zero.map(|zero| WallTime(zero.0.saturating_add(uptime.0)));
            let start = Stamp { boot: span.boot, uptime, wall };
            Some(RecordedWindow { start, series: series.get(&number)?.clone(), row })
        });
        Ok(recorded.collect())
    }

    /// The readings of a sensor in a span, by time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn readings_of(&self, sensor: &SensorId, span: BootSpan) -> Result<Vec<Recorded>, StoreError> {
        let series = series_of(&self.0, sensor)?;
        let BootSpan { boot, from, to } = span;
        let first = first_block_at(&self.0, boot, from - BEHIND)?;
        let mut statement = self.0.prepare_cached(
            "SELECT boot, block FROM raw
                WHERE id >= ?1 AND id < ?2 AND late = 0 AND boot = ?3 AND last >= ?4 AND first <= ?5
             UNION ALL
             SELECT boot, block FROM raw WHERE late = 1 AND boot = ?3 AND last >= ?4 AND first <= ?5",
        )?;
        let end = first_block_at(&self.0, boot, to + BEHIND + Span(1))?;
        let mut rows = statement.query((first, end, boot, from.0, to.0))?;
        let mut readings = Vec::new();
        while let Some(row) = rows.next()? {
            let points = points(row, &series, |number| series.contains_key(&number))?;
            let inside = points.into_iter().filter(|(_, point)| (from..=to).contains(&point.at));
            readings.extend(inside.map(|(series, point)| Recorded::new(series, boot, &point)));
        }
        readings.sort_by_key(|reading| reading.at);
        Ok(readings)
    }
}

fn series_of(connection: &Connection, sensor: &SensorId) -> Result<HashMap<u32, Series>, StoreError> {
    let all = series_by_number(connection)?;
    Ok(all.into_iter().filter(|(_, series)| series.sensor == *sensor).collect())
}

/// The first raw block that was committed at an instant or later, by halving: blocks rise in (boot, instant).
fn first_block_at(connection: &Connection, boot: u32, at: Uptime) -> Result<i64, StoreError> {
    let (mut low, mut high): (i64, i64) = connection
        .prepare_cached("SELECT coalesce((SELECT min(id) FROM raw), 0), coalesce((SELECT max(id) FROM raw), -1) + 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut probe = connection.prepare_cached("SELECT id, boot, at FROM raw WHERE id >= ? ORDER BY id LIMIT 1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let (id, place): (i64, (u32, i64)) =
            probe.query_row([middle], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        if place < (boot, at.0) {
            low = id + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
