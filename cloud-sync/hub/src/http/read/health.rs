//! `GET /api/health`: health of the hub and the tenant's devices; without a key, whether the hub serves.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};
use tilth_protocol::Lane;

use super::rows;
use crate::clock;
use crate::db::{DeviceHealth, TenantContext};
use crate::http::error::ApiError;
use crate::http::extract::{NoParameters, Params, Reader};
use crate::http::openapi::{CommonErrors, KeyErrors};
use crate::http::{self, ApiState};

/// Timeout of the query without a key.
const TIMEOUT: Duration = Duration::from_secs(3);

#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "getHealth",
    responses(
        (status = 200, description = "Without a key, that the hub serves; with one, the health of the hub and the tenant's devices", body = Object),
        (status = 503, description = "The database does not answer, or the disk is full", body = Object),
        CommonErrors,
        KeyErrors,
    ),
    security((), ("read_key" = []))
)]
pub(super) async fn get(
    State(state): State<Arc<ApiState>>,
    reader: Option<Reader>,
    Params(NoParameters {}): Params<NoParameters>,
) -> Result<Response, ApiError> {
    match reader {
        Some(reader) => of_tenant(&state, &reader.tenant).await,
        None => of_hub(&state).await,
    }
}

async fn of_tenant(state: &ApiState, tenant: &TenantContext) -> Result<Response, ApiError> {
    let (epoch, devices) = state.db.health(tenant).await?;
    http::json(&json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "now": rows::time(Some(clock::now())),
        "epoch": epoch,
        "client_id": tenant.client(),
        "devices": devices.iter().map(of_device).collect::<Vec<_>>(),
    }))
}

/// Health check of a load balancer: the hub can read its database and has disk space. Reveals nothing of a tenant.
async fn of_hub(state: &ApiState) -> Result<Response, ApiError> {
    match tokio::time::timeout(TIMEOUT, state.db.epoch()).await {
        Ok(Ok(_)) if !state.db.has_room().await => Ok(unavailable("the disk is full")),
        Ok(Ok(_)) => http::json(&json!({"status": "ok"})),
        Ok(Err(error)) => Ok(unavailable(&error.to_string())),
        Err(_) => Ok(unavailable("the database does not answer in time")),
    }
}

fn unavailable(why: &str) -> Response {
    tracing::error!(why, "health check failed");
    let body = json!({"status": "unavailable"}).to_string();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn of_device(health: &DeviceHealth) -> Json {
    let DeviceHealth { device, stream, earlier, lanes, bundle, report, quarantine } = health;
    let mut confirmed = Map::new();
    for lane in Lane::ALL.into_iter().filter(|_| stream.is_some()) {
        let tally = lanes.get(&lane).copied().unwrap_or_default();
        confirmed.insert(lane.name().into(), json!({"confirmed": tally.confirmed, "lost": tally.lost}));
    }
    // The device's last report about a bundle, also a rejection with its reason.
    let said = report.as_ref().map(|event| {
        let body = rows::body(&event.body, event.boot, event.offset);
        json!({"at": rows::time(event.at()), "body": body})
    });
    // Shows that a database was lost on site, even if the site does not know.
    let earlier = earlier.iter().map(|stream| {
        let (began, last_heard) = (rows::time(Some(stream.began)), rows::time(Some(stream.last_heard)));
        json!({"stream": stream.name, "began": began, "last_heard": last_heard})
    });
    let quarantine = quarantine.iter().map(|row| {
        json!({"lane": row.lane, "seq": row.seq, "received": rows::time(Some(row.received)), "reason": row.reason})
    });
    json!({
        "device": device.name,
        "last_heard": rows::time(device.last_heard),
        "stream": stream,
        "earlier_streams": earlier.collect::<Vec<_>>(),
        "lanes": confirmed,
        "quarantined": {"rows": device.quarantined, "newest": quarantine.collect::<Vec<_>>()},
        "unknown_keys": device.unknown_keys,
        "config": {"version": bundle, "shown": device.shown_version, "said": said},
    })
}
