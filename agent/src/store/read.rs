//! Reading back: readings that a checkpoint lacks.

use std::collections::HashMap;

use tilth_core::id::SensorId;
use tilth_core::reading::Quality;
use tilth_core::time::Uptime;
use tilth_core::value::{Steps, Value};

use super::StoreReader;
use super::error::StoreError;
use super::names::series_by_number;
use super::raw_block::{self, Point};
use super::row::{Series, int};

/// A reading as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredReading {
    pub(crate) series: Series,
    /// The boot that its time is of.
    pub(crate) boot: u32,
    pub(crate) at: Uptime,
    pub(crate) steps: Steps,
    pub(crate) quality: Quality,
    /// The number before calibration; the value itself where the calibration changed nothing.
    pub(crate) raw: f64,
}

impl StoredReading {
    fn new(series: &Series, boot: u32, point: &Point) -> StoredReading {
        let value = Value { steps: point.steps, resolution: series.resolution };
        let raw = point.raw.unwrap_or_else(|| value.to_f64());
        StoredReading { series: series.clone(), boot, at: point.at, steps: point.steps, quality: point.quality, raw }
    }
}

impl StoreReader {
    /// The readings of blocks after the one that a checkpoint ends with, in an order in which the engine can be fed: each
    /// sensor's in order of arrival, sensors by time. Between sensors the order of arrival within a block interval is not
    /// kept.
    pub(crate) fn readings_after(&self, position: u64) -> Result<Vec<StoredReading>, StoreError> {
        let series = series_by_number(&self.0)?;
        let mut statement = self.0.prepare_cached("SELECT boot, block FROM raw WHERE id > ? ORDER BY id")?;
        let mut rows = statement.query([int(position)])?;
        let mut readings = Vec::new();
        // What came late is fed right after what came before it.
        let mut newest = HashMap::<SensorId, (u32, Uptime)>::new();
        while let Some(row) = rows.next()? {
            let boot = row.get("boot")?;
            for (series, point) in points(row, &series)? {
                let place = (boot, point.at);
                let newest = newest.entry(series.sensor.clone()).or_insert(place);
                *newest = place.max(*newest);
                readings.push((*newest, StoredReading::new(series, boot, &point)));
            }
        }
        readings.sort_by_key(|(place, _)| *place);
        Ok(readings.into_iter().map(|(_, reading)| reading).collect())
    }
}

/// The readings of a block, `boot, block`; none of one that is damaged.
fn points<'s>(row: &rusqlite::Row, series: &'s HashMap<u32, Series>) -> Result<Vec<(&'s Series, Point)>, StoreError> {
    let block = row.get_ref("block")?.as_blob().unwrap_or_default();
    let columns = raw_block::decode_some(block, |_| true).unwrap_or_default().columns;
    let known = columns.into_iter().filter_map(|column| Some((series.get(&column.series)?, column.points)));
    Ok(known.flat_map(|(series, points)| points.into_iter().map(move |point| (series, point))).collect())
}
