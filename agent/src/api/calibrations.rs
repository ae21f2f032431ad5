//! Handler of calibrations: a step of a sensor's circuit, through the task of its bus.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde_json::json;
use tilth_config::nearest;
use tilth_core::engine::Engine;
use tilth_core::id::{Id, SensorId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::caller::MayChange;
use super::changes::{LONG_PATIENCE, MAX_NAMED, name};
use super::handlers::{Answered, Api, Body};
use super::problem::Problem;
use super::rows::{Calibrate, CalibrationRow};
use super::state::ApiState;
use crate::decide::DecideRequest;
use crate::output::listed;
use crate::sense::i2c::{Calibrated, CalibrationRequest, CalibrationStep};

/// Has the circuit of a sensor take a step of its calibration, or asks what it keeps; answers with what it keeps then. A step is an event,
/// whether it succeeds or not.
pub(super) async fn calibrate(State(api): Api, _: MayChange, body: Body<Calibrate>) -> Answered<CalibrationRow> {
    let Json(Calibrate { sensor, step, value, by }) = body?;
    let (by, wanted) = (name(&by)?, sensor.clone());
    let bus = api.query(move |engine, _, _| bus_of(engine, &wanted)).await??;
    let requests = requests_of(&api, &bus, &sensor)?;
    api.limits.change(Instant::now())?;
    let done = ask(requests, &sensor, step, value).await;
    if step != CalibrationStep::Query {
        let (kept, failed) = (done.as_ref().ok(), done.as_ref().err());
        let (points, slope) = (kept.and_then(|kept| kept.points), kept.and_then(|kept| kept.slope));
        let body = json!({
            "sensor": sensor, "step": step, "value": value, "by": by,
            "points": points, "slope_percent": slope, "failed": failed,
        });
        let _ = api.to_decide.send(DecideRequest::StoreEvent("calibration", body)).await;
    }
    let Calibrated { points, slope } = done.map_err(|why| Problem::conflict(format!("{sensor}: {why}")))?;
    api.answer(vec![CalibrationRow { sensor, step, value, points, slope_percent: slope }])
}

/// Asks the task of a bus. Its answer takes seconds, more on a bus with slow chips.
async fn ask(
    requests: mpsc::Sender<CalibrationRequest>,
    sensor: &SensorId,
    step: CalibrationStep,
    value: Option<f64>,
) -> Result<Calibrated, String> {
    let (answer, answered) = oneshot::channel();
    let request = CalibrationRequest { sensor: sensor.clone(), step, value, answer };
    requests.try_send(request).map_err(|_| "its bus has another step to do; try again".to_owned())?;
    match timeout(LONG_PATIENCE, answered).await {
        Ok(Ok(said)) => said,
        Ok(Err(_)) => Err("its bus went down meanwhile; the step query says what the circuit keeps".to_owned()),
        Err(_) => Err(format!(
            "no answer in {} s; tilth-agent status says how its bus is, and the step query what the circuit keeps",
            LONG_PATIENCE.as_secs()
        )),
    }
}

/// The bus of a sensor.
fn bus_of(engine: &Engine, sensor: &SensorId) -> Result<Id, Problem> {
    let plan = engine.plan();
    let Some(ix) = plan.sensor_ix(sensor.as_str()) else {
        let known: Vec<&str> = plan.sensors().iter().map(|known| known.id.as_str()).collect();
        let near = nearest(sensor.as_str(), known.iter().copied());
        let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
        let all = listed(known, MAX_NAMED);
        return Err(Problem::not_found(format!("there is no sensor {sensor}; {near}sensors: {all}")));
    };
    plan.sensor(ix).bus.clone().ok_or_else(|| no_circuit(sensor, "it is on no bus"))
}

/// The way to the task of a bus.
fn requests_of(api: &ApiState, bus: &Id, sensor: &SensorId) -> Result<mpsc::Sender<CalibrationRequest>, Problem> {
    let posted = api.health.posted();
    let found = posted.buses.iter().find(|known| known.id == *bus);
    let found = found.and_then(|found| Some((found.calibrations.clone()?, found.health.get())));
    let (requests, health) = found.ok_or_else(|| no_circuit(sensor, &format!("bus {bus} is no I2C bus")))?;
    match health.state.reason() {
        Some(why) => Err(Problem::conflict(format!("{sensor}: its bus {bus} is down: {why}"))),
        None => Ok(requests),
    }
}

fn no_circuit(sensor: &SensorId, why: &str) -> Problem {
    let elsewhere = "give other sensors calibration = { points = .. } in the configuration";
    Problem::conflict(format!("{sensor} is not read from an EZO circuit: {why}; {elsewhere}"))
}
