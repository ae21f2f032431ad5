//! Reading back: readings that a checkpoint lacks.

use std::collections::HashMap;

use tilth_core::id::SensorId;
use tilth_core::time::Uptime;
use tilth_core::value::Value;

use super::StoreReader;
use super::error::StoreError;
use super::names::series_by_number;
use super::raw_block::{self, Point};
use super::row::{Series, int};
use crate::resume::{KeptReading, Number};

/// Newest time of each sensor so far: sorted by [`Arrivals::place`], readings are in an order in which they may have come.
#[derive(Debug, Default)]
pub(super) struct Arrivals(HashMap<SensorId, (u32, Uptime)>);

impl Arrivals {
    /// Boot and time at which a reading comes: its own, or right after what came before it where it is late.
    pub(super) fn place(&mut self, sensor: &SensorId, place: (u32, Uptime)) -> (u32, Uptime) {
        let newest = self.0.entry(sensor.clone()).or_insert(place);
        *newest = place.max(*newest);
        *newest
    }
}

impl StoreReader {
    /// The readings of blocks after the one that a checkpoint ends with, in an order in which the engine can be fed: each
    /// sensor's in order of arrival, sensors by time. Between sensors the order of arrival within a block interval is not
    /// kept.
    pub(crate) fn readings_after(&self, position: u64) -> Result<Vec<KeptReading>, StoreError> {
        let series = series_by_number(&self.0)?;
        let mut statement = self.0.prepare_cached("SELECT boot, block FROM raw WHERE id > ? ORDER BY id")?;
        let mut rows = statement.query([int(position)])?;
        let mut readings = Vec::new();
        let mut arrivals = Arrivals::default();
        while let Some(row) = rows.next()? {
            let boot = row.get("boot")?;
            // A block that is damaged has none.
            let block = raw_block::decode(row.get_ref("block")?.as_blob().unwrap_or_default()).unwrap_or_default();
            for column in block.columns {
                let Some(Series { sensor, resolution, .. }) = series.get(&column.series) else { continue };
                for Point { at, steps, quality, raw } in column.points {
                    let place = arrivals.place(sensor, (boot, at));
                    // The calibration changed nothing where there is no number from before it.
                    let value = raw.unwrap_or_else(|| Value { steps, resolution: *resolution }.to_f64());
                    let reading = KeptReading { boot, sensor: sensor.clone(), at, value: Number(value), quality };
                    readings.push((place, reading));
                }
            }
        }
        readings.sort_by_key(|(place, _)| *place);
        Ok(readings.into_iter().map(|(_, reading)| reading).collect())
    }
}
