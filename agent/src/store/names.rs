//! Short numbers for what blocks name again and again: series, calibrations and plans.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use rusqlite::Connection;
use tilth_core::calibrate::Calibration;
use tilth_core::plan::Plan;
use tilth_core::sensor::Sensor;
use tilth_core::site::SiteState;

use super::error::StoreError;
use super::raw_block::IDENTITY;
use super::row::{self, Series};

/// A plan with the calibration of each sensor: the sensors of a commit are indexes into it. Shared until plan or calibrations change.
#[derive(Debug)]
pub(crate) struct CalibratedPlan {
    pub(crate) plan: Arc<Plan>,
    /// Hash of its configuration.
    pub(crate) hash: String,
    /// In the plan's order of sensors.
    calibrations: Vec<Calibration>,
}

impl CalibratedPlan {
    /// A plan in force; a site's calibration takes the place of the configured one.
    pub(crate) fn new(plan: Arc<Plan>, hash: String, site: &SiteState) -> CalibratedPlan {
        let calibration = |sensor: &Sensor| site.calibrations.get(&sensor.id).unwrap_or(&sensor.calibration).clone();
        let calibrations = plan.sensors().iter().map(calibration).collect();
        CalibratedPlan { plan, hash, calibrations }
    }
}

/// The numbers of everything in a [`CalibratedPlan`].
#[derive(Debug)]
pub(super) struct PlanNumbers {
    pub(super) plan: u32,
    /// In the plan's order of sensors.
    pub(super) sensors: Vec<SensorNumbers>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct SensorNumbers {
    pub(super) series: u32,
    pub(super) calibration: u32,
}

/// All numbers given so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    series: HashMap<Series, u32>,
    calibrations: HashMap<String, u32>,
    plans: HashMap<String, u32>,
    last: Option<(Arc<CalibratedPlan>, Arc<PlanNumbers>)>,
}

impl Names {
    pub(super) fn load(connection: &Connection) -> Result<Names, StoreError> {
        let numbered = |sql| row::all(connection, sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
        let series = series_by_number(connection)?.into_iter().map(|(number, series)| (series, number)).collect();
        Ok(Names {
            series,
            calibrations: numbered("SELECT body, id FROM calibration")?,
            plans: numbered("SELECT hash, id FROM plan")?,
            last: None,
        })
    }

    /// The numbers of a plan; what has none yet gets one, written by this connection.
    pub(super) fn numbers(
        &mut self,
        connection: &Connection,
        calibrated: &Arc<CalibratedPlan>,
    ) -> Result<Arc<PlanNumbers>, StoreError> {
        if let Some((last, numbers)) = &self.last
            && Arc::ptr_eq(last, calibrated)
        {
            return Ok(Arc::clone(numbers));
        }
        let plan = number(&mut self.plans, calibrated.hash.clone(), |id, hash| {
            connection.execute("INSERT INTO plan (id, hash) VALUES (?, ?)", (id, hash))
        })?;
        let mut sensors = Vec::with_capacity(calibrated.plan.sensors().len());
        for (sensor, calibration) in calibrated.plan.sensors().iter().zip(&calibrated.calibrations) {
            let series = self.series(connection, sensor)?;
            sensors.push(SensorNumbers { series, calibration: self.calibration(connection, calibration)? });
        }
        let numbers = Arc::new(PlanNumbers { plan, sensors });
        self.last = Some((Arc::clone(calibrated), Arc::clone(&numbers)));
        Ok(numbers)
    }

    fn series(&mut self, connection: &Connection, sensor: &Sensor) -> Result<u32, StoreError> {
        let Sensor { id, quantity, resolution, .. } = sensor;
        let series = Series { sensor: id.clone(), quantity: *quantity, resolution: *resolution };
        number(&mut self.series, series, |number, series| {
            connection.execute(
                "INSERT INTO series (id, sensor, quantity, resolution) VALUES (?, ?, ?, ?)",
                (number, series.sensor.as_str(), series.quantity.name(), series.resolution.to_string()),
            )
        })
    }

    fn calibration(&mut self, connection: &Connection, calibration: &Calibration) -> Result<u32, StoreError> {
        if *calibration == Calibration::Identity {
            return Ok(IDENTITY);
        }
        let body = serde_json::to_string(calibration).map_err(|error| StoreError::Unexpected(error.to_string()))?;
        number(&mut self.calibrations, body, |id, body| {
            connection.execute("INSERT INTO calibration (id, body) VALUES (?, ?)", (id, body))
        })
    }
}

/// The name's number; a new one, one above the highest, is written first.
fn number<N: Eq + Hash>(
    known: &mut HashMap<N, u32>,
    name: N,
    write: impl FnOnce(u32, &N) -> rusqlite::Result<usize>,
) -> Result<u32, StoreError> {
    if let Some(number) = known.get(&name) {
        return Ok(*number);
    }
    let next = known.values().max().map_or(1, |last| last + 1);
    write(next, &name)?;
    known.insert(name, next);
    Ok(next)
}

pub(super) fn series_by_number(connection: &Connection) -> Result<HashMap<u32, Series>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, sensor, quantity, resolution FROM series")?;
    let mut rows = statement.query([])?;
    let mut all = HashMap::new();
    while let Some(found) = rows.next()? {
        all.insert(found.get("id")?, row::series(found)?);
    }
    Ok(all)
}
