//! Handler of calibrations: a step of a sensor's circuit, through the task of its bus.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
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
use crate::console::listed;
use crate::decide::DecideRequest;
use crate::sense::i2c::{CalibrationRequest, CalibrationStatus, CalibrationStep};

/// Has the circuit of a sensor take a step of its calibration, or asks what it keeps; answers with what it keeps then. A step is an event,
/// whether it succeeds or not.
pub(super) async fn calibrate(State(api): Api, _: MayChange, body: Body<Calibrate>) -> Answered<CalibrationRow> {
    let Json(Calibrate { sensor, step, value, by }) = body?;
    let (by, wanted) = (name(&by)?, sensor.clone());
    let bus = api.query(move |engine, _, _| bus_of(engine, &wanted)).await??;
    let requests = requests_of(&api, &bus, &sensor)?;
    api.limits.change(Instant::now())?;
    let wanted = Calibrate { sensor: sensor.clone(), step, value, by };
    let done = ask(requests, wanted, api.to_decide.clone()).await;
    let CalibrationStatus { points, slope } = done.map_err(|why| Problem::conflict(format!("{sensor}: {why}")))?;
    api.answer(vec![CalibrationRow { sensor, step, value, points, slope_percent: slope }])
}

/// Asks the task of a bus. Its answer takes seconds, more on a bus with slow chips. A step that has not begun when the person gives up does not
/// begin; one that has is waited for all the same, so that its event says how it ended.
async fn ask(
    requests: mpsc::Sender<CalibrationRequest>,
    wanted: Calibrate,
    to_decide: mpsc::Sender<DecideRequest>,
) -> Result<CalibrationStatus, String> {
    let ((begun, mut has_begun), (answer, answered)) = (oneshot::channel(), oneshot::channel());
    let Calibrate { sensor, step, value, .. } = &wanted;
    let request = CalibrationRequest { sensor: sensor.clone(), step: *step, value: *value, begun, answer };
    let sent = requests.try_send(request).map_err(|_| "its bus has another step to do; try again".to_owned());
    let ended = tokio::spawn(async move {
        let went_down = || "its bus went down meanwhile; the step query says what the circuit keeps".to_owned();
        let done = match sent {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(went_down())),
            Err(why) => Err(why),
        };
        if wanted.step != CalibrationStep::Query {
            let _ = to_decide.send(DecideRequest::StoreEvent("calibration", event(&wanted, &done))).await;
        }
        done
    });
    if let Ok(ended) = timeout(LONG_PATIENCE, ended).await {
        return ended.unwrap_or_else(|error| Err(error.to_string()));
    }
    has_begun.close();
    let what = match has_begun.try_recv() {
        Ok(()) => "though the step has begun",
        Err(_) => "so the step will not be taken",
    };
    Err(format!(
        "no answer in {} s, {what}; tilth-agent status says how its bus is, and the step query what the circuit keeps",
        LONG_PATIENCE.as_secs()
    ))
}

fn event(Calibrate { sensor, step, value, by }: &Calibrate, done: &Result<CalibrationStatus, String>) -> Value {
    let (kept, failed) = (done.as_ref().ok(), done.as_ref().err());
    let (points, slope) = (kept.and_then(|kept| kept.points), kept.and_then(|kept| kept.slope));
    json!({
        "sensor": sensor, "step": step, "value": value, "by": by,
        "points": points, "slope_percent": slope, "failed": failed,
    })
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

/// Queue of the task of a bus.
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

#[cfg(test)]
mod tests;
