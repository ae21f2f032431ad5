//! Reading back by sensor and span: windows, and readings.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use rusqlite::Connection;
use tilth_core::id::SensorId;
use tilth_core::time::{Span, Stamp, Uptime, WallTime};
use tilth_core::windows::{self, Grain};

use super::Reader;
use super::boot::boots;
use super::commit::BEHIND;
use super::error::StoreError;
use super::names::series_by_number;
use super::read::{StoredReading, points};
use super::row::{Series, table};
use super::window_block;

/// A span of one boot, both ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BootSpan {
    pub(crate) boot: u32,
    pub(crate) from: Uptime,
    /// Up to this one.
    pub(crate) to: Uptime,
}

/// How much one answer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadLimit {
    /// Rows at most, and as many as the last block brings beyond them.
    pub(crate) rows: usize,
    /// No block is read after this instant, but for the first.
    pub(crate) until: Instant,
}

impl ReadLimit {
    fn is_reached(&self, rows: usize) -> bool {
        rows > 0 && (rows >= self.rows || self.until <= Instant::now())
    }
}

/// The rows of a span, whole up to where they were cut.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part<R> {
    /// Oldest first.
    pub(crate) rows: Vec<R>,
    /// Rows from this instant on were not read; none where the span is whole.
    pub(crate) cut_at: Option<Uptime>,
}

/// A window as it was kept, of the highest revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordedWindow {
    /// When it began; the time of day as it is known by now.
    pub(crate) start: Stamp,
    /// Sensor, quantity and resolution.
    pub(crate) series: Series,
    pub(crate) row: windows::Row,
}

impl Reader {
    /// The windows of a sensor that began in a span. To be read within one transaction.
    pub(crate) fn windows_of(
        &self,
        sensor: &SensorId,
        grain: Grain,
        span: BootSpan,
        most: ReadLimit,
    ) -> Result<Part<RecordedWindow>, StoreError> {
        let series = series_of(&self.0, sensor)?;
        let zero = boots(&self.0)?.into_iter().find(|boot| boot.number == span.boot).and_then(|boot| boot.wall_at_zero);
        let table = table(grain);
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT start, block FROM {table} WHERE boot = ? AND start BETWEEN ? AND ? ORDER BY start, seq"
        ))?;
        let mut rows = statement.query((span.boot, span.from.0, span.to.0))?;
        let mut newest = BTreeMap::<(Uptime, u32), windows::Row>::new();
        let mut cut_at = None;
        while let Some(row) = rows.next()? {
            let start = Uptime(row.get("start")?);
            // Never between two revisions of a window.
            if newest.last_key_value().is_some_and(|(newest, _)| newest.0 < start) && most.is_reached(newest.len()) {
                cut_at = Some(start);
                break;
            }
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
        Ok(Part { rows: recorded.collect(), cut_at })
    }

    /// The readings of a sensor in a span. To be read within one transaction.
    pub(crate) fn readings_of(
        &self,
        sensor: &SensorId,
        span: BootSpan,
        most: ReadLimit,
    ) -> Result<Part<StoredReading>, StoreError> {
        let series = series_of(&self.0, sensor)?;
        let BootSpan { boot, from, to } = span;
        let first = first_block_at(&self.0, boot, from - BEHIND)?;
        // Those that came late first: the others come by time.
        let mut statement = self.0.prepare_cached(
            "SELECT boot, block, ?4 AS whole_until FROM raw
                WHERE late = 1 AND boot = ?3 AND last >= ?4 AND first <= ?5
             UNION ALL
             SELECT boot, block, at - ?6 FROM raw
                WHERE id >= ?1 AND id < ?2 AND late = 0 AND boot = ?3 AND last >= ?4 AND first <= ?5",
        )?;
        let end = first_block_at(&self.0, boot, to + BEHIND + Span(1))?;
        let mut rows = statement.query((first, end, boot, from.0, to.0, BEHIND.0))?;
        let (mut readings, mut cut_at) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let whole_until = from.max(Uptime(row.get("whole_until")?));
            if most.is_reached(readings.len()) && whole_until > from {
                cut_at = Some(whole_until);
                break;
            }
            let points = points(row, &series, |number| series.contains_key(&number))?;
            let inside = points.into_iter().filter(|(_, point)| (from..=to).contains(&point.at));
            readings.extend(inside.map(|(series, point)| StoredReading::new(series, boot, &point)));
        }
        readings.retain(|reading| cut_at.is_none_or(|cut_at| reading.at < cut_at));
        readings.sort_by_key(|reading| reading.at);
        Ok(Part { rows: readings, cut_at })
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
