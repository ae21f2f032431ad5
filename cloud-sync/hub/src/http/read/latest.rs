//! `GET /api/data/latest`: the newest value of each sensor.

use axum::http::Uri;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tilth_core::quantity::Quantity;
use utoipa::{IntoParams, ToSchema};

use super::rows;
use crate::db::{LiveQuery, TenantContext};
use crate::http::error::ApiError;
use crate::http::extract::query;
use crate::http::openapi::{Failure, KeyRefused, Refused};
use crate::http::{self, ApiState};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Parameters {
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
        (status = 404, description = "There is no such device", body = Failure),
        Refused,
        KeyRefused,
    ),
    security(("read_key" = []))
)]
pub(in crate::http) async fn get(state: &ApiState, tenant: &TenantContext, uri: &Uri) -> Result<Response, ApiError> {
    let Parameters { device, after, limit } = query::read(uri)?;
    let limit = query::limit(limit, 1000)?;
    let after = match &after {
        None => (String::new(), String::new()),
        Some(after) => {
            let (device, sensor) = after.split_once(':').ok_or_else(|| query::not_a_page(after))?;
            (device.to_owned(), sensor.to_owned())
        }
    };
    let mut values = state.db.latest(tenant, LiveQuery { device, after, limit: limit + 1 }).await?;
    let has_more = values.len() > limit;
    values.truncate(limit);
    let next = values.last().filter(|_| has_more).map(|last| format!("{}:{}", last.device, last.sensor));
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
