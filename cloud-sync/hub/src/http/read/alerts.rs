//! `GET /api/alerts`: alerts of devices, and alerts of the hub about devices.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::{IntoParams, ToSchema};

use super::rows;
use crate::clock;
use crate::db::{AlertQuery, HubAlert, StoredAlert};
use crate::domain::cursor::{Cursors, Listing};
use crate::http::error::ApiError;
use crate::http::extract::{Params, Reader, query};
use crate::http::openapi::{CommonErrors, Failure, KeyErrors};
use crate::http::{self, ApiState};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    #[param(inline)]
    state: Option<Wanted>,
    device: Option<String>,
    /// `next` of the previous page; absent or 0 for the first page
    #[param(example = "0")]
    after: Option<String>,
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

/// One page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertPage)]
struct Page {
    #[schema(value_type = Vec<Object>)]
    alerts: Vec<Json>,
    /// Cursor of the next page; a number that stays valid over a restart and a restore of the hub. None after the last page.
    next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Open,
    All,
}

#[utoipa::path(
    get,
    path = "/api/alerts",
    operation_id = "getAlerts",
    params(Parameters),
    responses(
        (status = 200, description = "Alerts, those of the hub first", body = Page),
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
    let Parameters { state: wanted, device, after, limit } = parameters;
    let is_open = wanted.unwrap_or(Wanted::Open) == Wanted::Open;
    let limit = query::limit(limit)?;
    let cursors = Cursors::new(&state.key, reader.tenant.client(), Listing::Alerts);
    let after = query::after(after.as_deref(), |text| cursors.id(text.parse().ok()?))?.unwrap_or_default();
    let query = AlertQuery { device, is_open, after, limit: limit + 1 };
    let (mut of_devices, mut own) = state.db.alerts(&reader.tenant, query, clock::now()).await?;
    own.truncate(limit);
    let next = query::page(&mut of_devices, limit, |last| cursors.after(last.id).to_string());
    let alerts: Vec<Json> = own.iter().map(of_hub).chain(of_devices.iter().map(of_device)).collect();
    http::json(&Page { alerts, next })
}

/// The newest transition, with the current state.
fn of_device(alert: &StoredAlert) -> Json {
    let mut shown: Map<String, Json> = rows::body(&alert.body, alert.boot, alert.offset);
    let state = match alert.state.as_str() {
        "resolved" => "resolved",
        _ if !alert.is_open => "forgotten",
        // Escalation is a transition; the state of the alert stays firing.
        "escalated" => "firing",
        state => state,
    };
    shown.insert("state".into(), state.into());
    shown.insert("open".into(), alert.is_open.into());
    shown.insert("device".into(), alert.device.as_str().into());
    shown.insert("alert".into(), alert.number.into());
    shown.insert("at".into(), rows::time(alert.at()));
    shown.insert("source".into(), "device".into());
    Json::Object(shown)
}

fn of_hub(alert: &HubAlert) -> Json {
    json!({
        "device": alert.device,
        "rule": alert.rule,
        "state": if alert.is_open { "firing" } else { "resolved" },
        "open": alert.is_open,
        "severity": "critical",
        "since": rows::time(Some(alert.since)),
        "at": rows::time(Some(alert.last)),
        "times": alert.times,
        "message": alert.message,
        "source": "hub",
    })
}
