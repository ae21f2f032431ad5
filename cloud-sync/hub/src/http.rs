//! HTTP interface: one router for devices and readers, whose routes are registered with their description.

mod device;
mod error;
pub(crate) mod extract;
mod openapi;
mod read;
pub(crate) mod server;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tilth_config::bundle::SigningKey;
use tilth_core::time::WallTime;
use tilth_protocol::ErrorCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::error::ApiError;
use self::extract::caller::Peer;
use self::extract::limits::Limits;
pub(crate) use self::openapi::{DescribedRoute, described_routes};
use crate::db::{Database, DeviceId};
use crate::domain::ingest::quota::Quota;

/// State that all handlers share.
pub(crate) struct ApiState {
    db: Database,
    key: Arc<SigningKey>,
    limits: Arc<Limits>,
    quota: Quota,
    /// Last request of each device to this process. The database has it to the minute.
    last_heard: Mutex<HashMap<DeviceId, WallTime>>,
}

impl ApiState {
    /// `known` has the hashes of valid keys.
    pub(crate) fn new(db: Database, key: SigningKey, known: HashSet<Vec<u8>>, quota: Quota) -> ApiState {
        let (key, limits) = (Arc::new(key), Arc::new(Limits::new(known)));
        ApiState { db, key, limits, quota, last_heard: Mutex::default() }
    }

    /// Last request of a device; none before its first one to this process.
    pub(crate) fn last_heard(&self, device: DeviceId) -> Option<WallTime> {
        self.last_heard.lock().unwrap_or_else(PoisonError::into_inner).get(&device).copied()
    }

    fn note_heard(&self, device: DeviceId, now: WallTime) {
        self.last_heard.lock().unwrap_or_else(PoisonError::into_inner).insert(device, now);
    }

    pub(crate) fn database(&self) -> &Database {
        &self.db
    }

    /// The database, to be stopped.
    pub(crate) fn into_database(self) -> Database {
        self.db
    }
}

/// The router of all routes.
pub(crate) fn router(state: Arc<ApiState>) -> Router {
    Router::from(api())
        .route_layer(middleware::from_fn(log))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
}

/// Every route with its description.
fn api() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::with_openapi(openapi::without_routes())
        .merge(device::routes())
        .merge(read::routes())
        .routes(routes!(openapi::get))
}

/// Logs each request with its answer.
async fn log(path: MatchedPath, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (method, peer) = (request.method().clone(), request.extensions().get::<Peer>().map(|peer| peer.address));
    let response = next.run(request).await;
    let (path, status, took) = (path.as_str(), response.status().as_u16(), begun.elapsed());
    tracing::debug!(?peer, %method, path, status, ?took, "request");
    response
}

async fn not_found(request: Request) -> ApiError {
    let message = format!("{} {}: no such route", request.method(), request.uri().path());
    ApiError::new(ErrorCode::NotFound, message)
}

async fn method_not_allowed(path: MatchedPath, request: Request) -> Response {
    let allowed = openapi::allowed_methods(path.as_str());
    let message = format!("{} {}: expected {allowed}", request.method(), request.uri().path());
    let mut response = ApiError::new(ErrorCode::MethodNotAllowed, message).into_response();
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// A JSON answer that no cache keeps.
fn json(answer: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(answer).map_err(ApiError::internal)?;
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((HEADERS, body).into_response())
}
