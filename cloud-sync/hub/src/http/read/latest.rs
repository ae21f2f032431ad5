//! `GET /api/data/latest`: the newest value of each sensor.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tilth_core::quantity::Quantity;
use utoipa::{IntoParams, ToSchema};

use super::rows;
use crate::db::LatestQuery;
use crate::http::error::ApiError;
use crate::http::extract::{Params, Reader, query};
use crate::http::openapi::{CommonErrors, Failure, KeyErrors};
use crate::http::{self, ApiState};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    device: Option<String>,
    after: Option<String>,
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LatestPage)]
struct Page {
    readings: Vec<Reading>,
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Reading {
    device: String,
    sensor: String,
    #[schema(value_type = String)]
    quantity: Quantity,
    unit: &'static str,
    value: f64,
    quality: String,
    #[schema(value_type = Option<String>)]
    at: Json,
    #[schema(value_type = String)]
    received: Json,
}

#[utoipa::path(
    get,
    path = "/api/data/latest",
    operation_id = "getLatest",
    params(Parameters),
    responses(
        (status = 200, description = "The newest value of each sensor", body = Page),
        (status = 404, description = "There is no such device", body = Failure, content_type = "application/problem+json"),
        CommonErrors,
        KeyErrors,
    ),
    security(("read_key" = []))
)]
pub(super) async fn get(
    State(state): State<Arc<ApiState>>,
    reader: Reader,
    Params(parameters): Params<Parameters>,
) -> Result<Response, ApiError> {
    let Parameters { device, after, limit } = parameters;
    let limit = query::limit(limit)?;
    let after = query::after(after.as_deref(), position)?.unwrap_or_default();
    let mut values = state.db.latest(&reader.tenant, LatestQuery { device, after, limit: limit + 1 }).await?;
    let next = query::page(&mut values, limit, |last| format!("{}:{}", last.device, last.sensor));
    let readings = values.into_iter().map(|value| Reading {
        device: value.device,
        sensor: value.sensor,
        quantity: value.quantity,
        unit: value.quantity.unit(),
        value: value.value,
        quality: value.quality,
        at: rows::time(value.at),
        received: rows::time(Some(value.received)),
    });
    http::json(&Page { readings: readings.collect(), next })
}

/// Names of the device and the sensor that a page begins after.
fn position(text: &str) -> Option<(String, String)> {
    let (device, sensor) = text.split_once(':')?;
    Some((device.to_owned(), sensor.to_owned()))
}
