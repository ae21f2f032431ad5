//! `GET /api/data`: windows of one sensor over a span of time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tilth_core::quantity::Quantity;
use tilth_core::time::{Span, WallTime};
use tilth_core::windows::Grain;
use utoipa::{IntoParams, ToSchema};

use super::rows::{self, Window};
use crate::clock;
use crate::db::{WindowPosition, WindowQuery};
use crate::domain::cursor::{Cursors, Listing};
use crate::http::error::ApiError;
use crate::http::extract::{Params, Reader, query};
use crate::http::openapi::{CommonErrors, Failure, KeyErrors};
use crate::http::{self, ApiState};

/// Span of time without `from`.
const DEFAULT_SPAN: Span = Span::from_mins(24 * 60);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    #[param(example = "tower-1/ph")]
    sensor: String,
    /// Required if several devices have the sensor.
    device: Option<String>,
    /// RFC 3339, or milliseconds since 1970.
    #[param(example = "2025-11-21T00:00:00Z")]
    from: Option<String>,
    to: Option<String>,
    #[param(pattern = "^(minute|quarter)$")]
    grain: Option<String>,
    /// Also returns the figures as they were sent.
    exact: Option<bool>,
    /// `next` of the previous page; absent or 0 for the first page
    #[param(example = "0")]
    after: Option<String>,
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

/// One page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WindowPage)]
struct Page {
    device: String,
    sensor: String,
    /// None for a page without windows.
    #[schema(value_type = Option<String>)]
    quantity: Option<Quantity>,
    unit: Option<&'static str>,
    #[schema(value_type = String)]
    grain: Grain,
    from: String,
    to: String,
    #[schema(value_type = Vec<Object>)]
    windows: Vec<Window>,
    /// Cursor of the next page; stays valid over a restart and a restore of the hub. None after the last page.
    next: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/data",
    operation_id = "getData",
    params(Parameters),
    responses(
        (status = 200, description = "Windows of one sensor, in the order of time", body = Page),
        (status = 404, description = "There is no such sensor or device", body = Failure, content_type = "application/problem+json"),
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
    let is_exact = parameters.exact.unwrap_or(false);
    let cursors = Cursors::new(&state.key, reader.tenant.client(), Listing::Windows);
    let query = query_of(parameters, &cursors, clock::now())?;
    let (sensor, grain, from, to) = (query.sensor.clone(), query.grain, query.from, query.to);
    let found = state.db.windows(&reader.tenant, query).await?;
    let quantity = found.windows.last().map(|window| window.quantity);
    http::json(&Page {
        device: found.device,
        sensor,
        quantity,
        unit: quantity.map(Quantity::unit),
        grain,
        from: from.to_string(),
        to: to.to_string(),
        windows: found.windows.iter().map(|window| Window::of(window, is_exact)).collect(),
        next: found.next.map(|next| next.write(&cursors)),
    })
}

fn query_of(parameters: Parameters, cursors: &Cursors, now: WallTime) -> Result<WindowQuery, ApiError> {
    let Parameters { sensor, device, from, to, grain, exact: _, after, limit } = parameters;
    let to = to.map_or(Ok(now), |to| query::time("to", &to))?;
    let from = from.map_or(Ok(WallTime(to.0.saturating_sub(DEFAULT_SPAN.0))), |from| query::time("from", &from))?;
    let grain = match grain.as_deref() {
        None => Grain::Minute,
        Some(word) => rows::grain(word)
            .ok_or_else(|| ApiError::bad_request(format!("grain={word}: expected minute or quarter")))?,
    };
    let at = query::after(after.as_deref(), |text| WindowPosition::read(text, cursors))?;
    Ok(WindowQuery { sensor, device, grain, from, to, at, limit: query::limit(limit)? })
}
