//! `GET /api/data`: windows of one sensor over a span of time.

use axum::http::Uri;
use axum::response::Response;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tilth_core::quantity::Quantity;
use tilth_core::time::{Span, WallTime};
use tilth_core::windows::Grain;
use tilth_protocol::ErrorCode;

use super::access::ReaderCaller;
use super::refusal::Refusal;
use super::shown::{self, Window};
use super::{Hub, params};
use crate::clock;
use crate::db::sqlite::rows::{DeviceId, SensorRow, TenantId};
use crate::db::sqlite::windows::{self, Wanted};
use crate::db::sqlite::{Owner, boots, devices};

/// What is shown where no beginning is said.
const USUAL: Span = Span::from_mins(24 * 60);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    sensor: String,
    /// Needed where several devices have the sensor.
    device: Option<String>,
    from: Option<String>,
    to: Option<String>,
    grain: Option<String>,
    /// Also as it was sent.
    exact: Option<bool>,
    after: Option<String>,
    limit: Option<usize>,
}

/// One page.
#[derive(Debug, Serialize)]
struct Page {
    device: String,
    sensor: String,
    /// None where there is no window that says it.
    quantity: Option<Quantity>,
    unit: Option<&'static str>,
    grain: Grain,
    from: String,
    to: String,
    windows: Vec<Window>,
    next: Option<String>,
}

/// The parameters, understood.
struct Question {
    sensor: String,
    device: Option<String>,
    from: WallTime,
    to: WallTime,
    grain: Grain,
    after: Option<String>,
    limit: usize,
}

pub(super) async fn get(hub: &Hub, caller: ReaderCaller, uri: &Uri) -> Result<Response, Refusal> {
    let parameters: Parameters = params::read(uri)?;
    let is_exact = parameters.exact.unwrap_or(false);
    let question = understand(parameters, clock::now())?;
    let answer = hub
        .store
        .read(Owner::Tenant(caller.tenant), move |connection| find(connection, caller.tenant, &question, is_exact));
    super::json(&answer.await?)
}

fn understand(parameters: Parameters, now: WallTime) -> Result<Question, Refusal> {
    let Parameters { sensor, device, from, to, grain, exact: _, after, limit } = parameters;
    let to = to.map_or(Ok(now), |to| params::time("to", &to))?;
    let from = from.map_or(Ok(WallTime(to.0.saturating_sub(USUAL.0))), |from| params::time("from", &from))?;
    let grain = match grain.as_deref() {
        None => Grain::Minute,
        Some(word) => shown::grain(word)
            .ok_or_else(|| Refusal::bad_request(format!("grain={word}: expected minute or quarter")))?,
    };
    Ok(Question { sensor, device, from, to, grain, after, limit: params::limit(limit, 1000)? })
}

fn find(connection: &Connection, tenant: TenantId, question: &Question, is_exact: bool) -> Result<Page, Refusal> {
    let (device, name, sensor) = sensor_of(connection, tenant, question)?;
    let boots = boots::dated(connection, device)?;
    let at =
        question.after.as_deref().map(|after| windows::Place::read(after).ok_or_else(|| params::not_a_page(after)));
    let Question { from, to, grain, limit, .. } = *question;
    let wanted = Wanted { sensor, grain, from, to, at: at.transpose()?, limit };
    let (found, next) = windows::range(connection, &boots, &wanted)?;
    let quantity = found.last().map(|window| window.quantity);
    Ok(Page {
        device: name,
        sensor: question.sensor.clone(),
        quantity,
        unit: quantity.map(Quantity::unit),
        grain,
        from: from.to_string(),
        to: to.to_string(),
        windows: found.iter().map(|window| Window::of(window, is_exact)).collect(),
        next: next.map(|next| next.to_string()),
    })
}

/// The sensor that is meant, and whose it is.
fn sensor_of(
    connection: &Connection,
    tenant: TenantId,
    question: &Question,
) -> Result<(DeviceId, String, SensorRow), Refusal> {
    let device = device_of(connection, tenant, question.device.as_deref())?;
    let devices = devices::of_tenant(connection, tenant)?;
    let mut found = Vec::new();
    for candidate in devices.into_iter().filter(|candidate| device.is_none_or(|device| device == candidate.id)) {
        if let Some(sensor) = windows::find_sensor(connection, candidate.id, &question.sensor)? {
            found.push((candidate.id, candidate.name, sensor));
        }
    }
    let sensor = &question.sensor;
    match found.len() {
        0 => Err(Refusal::new(ErrorCode::NotFound, format!("there is no sensor {sensor}"))),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<&str> = found.iter().map(|(_, name, _)| name.as_str()).collect();
            let message =
                format!("several devices have a sensor {sensor}: expected device={}", names.join(" or device="));
            Err(Refusal::bad_request(message))
        }
    }
}

/// The device of that name, where one is named. One of another tenant is not there.
pub(super) fn device_of(
    connection: &Connection,
    tenant: TenantId,
    name: Option<&str>,
) -> Result<Option<DeviceId>, Refusal> {
    let Some(name) = name else { return Ok(None) };
    match devices::find(connection, tenant, name)? {
        Some(device) => Ok(Some(device.id)),
        None => Err(Refusal::new(ErrorCode::NotFound, format!("there is no device {name}"))),
    }
}
