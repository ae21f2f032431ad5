//! The hub as it is spoken to: one table of routes, each with who may call it; who calls is settled before anything else.

mod device;
mod error;
pub(crate) mod extract;
mod last_heard;
mod openapi;
mod read;
pub(crate) mod routes;
pub(crate) mod server;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use serde::Serialize;
use tilth_config::bundle::SigningKey;
use tilth_protocol::{ErrorCode, KEY_HEADER};

use self::device::{batch, bundle, time};
use self::error::ApiError;
use self::extract::caller::{self, Limits};
use self::last_heard::LastHeard;
use self::read::{alerts, data, events, health, latest};
use self::routes::{Anyone, Call, Device, Method, ROUTES, Reader, Route};
use self::server::progress::Watch;
use crate::db::Database;
use crate::domain::ingest::quota::Quota;

/// What every request may need.
#[derive(Debug)]
pub(crate) struct ApiState {
    db: Database,
    key: Arc<SigningKey>,
    limits: Limits,
    quota: Quota,
    last_heard: LastHeard,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
struct Peer {
    /// Of the client, as far as a trusted proxy says.
    address: IpAddr,
    /// Of its connection.
    watch: Arc<Watch>,
}

impl ApiState {
    pub(crate) fn new(db: Database, key: SigningKey, known: HashSet<Vec<u8>>, quota: Quota) -> ApiState {
        ApiState { db, key: Arc::new(key), limits: Limits::new(known), quota, last_heard: LastHeard::default() }
    }

    /// When devices were last heard.
    pub(crate) fn last_heard(&self) -> &LastHeard {
        &self.last_heard
    }

    pub(crate) fn database(&self) -> &Database {
        &self.db
    }

    /// Gives the database back, to be stopped.
    pub(crate) fn into_database(self) -> Database {
        self.db
    }
}

/// The router that the table makes.
pub(crate) fn router(state: &Arc<ApiState>) -> Router {
    let nowhere = |request: Request| async move {
        let message = format!("{} {}: there is no such thing here", request.method(), request.uri().path());
        ApiError::new(ErrorCode::NotFound, message).into_response()
    };
    let mut router = Router::new();
    for route in ROUTES {
        let filter = match route.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
        };
        let state = Arc::clone(state);
        let handler = move |request: Request| answer(Arc::clone(&state), route, request);
        router = router.route(route.path, on(filter, handler));
    }
    router.fallback(nowhere).method_not_allowed_fallback(wrong_method)
}

/// There is such a thing, and it is asked for by another method.
async fn wrong_method(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let allowed = ROUTES.iter().filter(|route| route.path == path).map(|route| route.method.allowed());
    let allowed = allowed.collect::<Vec<_>>().join(", ");
    let message = format!("{method} {path}: expected {allowed}");
    let mut response = ApiError::new(ErrorCode::MethodNotAllowed, message).into_response();
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

async fn answer(state: Arc<ApiState>, route: &'static Route, request: Request) -> Response {
    let begun = Instant::now();
    // The connection notes where it comes from; without that it is nobody's.
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let method = request.method().clone();
    let response = match call(&state, route, &peer, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    tracing::debug!(peer = %peer.address, %method, path = route.path, status, ?took, "request");
    response
}

/// Settles who calls, then does what is asked.
async fn call(state: &Arc<ApiState>, route: &Route, peer: &Peer, request: Request) -> Result<Response, ApiError> {
    match route.call {
        Call::Device(what) => {
            let (owner, _turn) = caller::device(state, peer, request.headers()).await?;
            match what {
                Device::Batch => batch::take(state, &owner, request).await,
                Device::Bundle => bundle::get(state, &owner, request.into_parts().0).await,
            }
        }
        Call::Reader(what) => {
            let (owner, _turn) = caller::reader(state, peer, request.headers()).await?;
            match what {
                Reader::Latest => latest::get(state, &owner, request.uri()).await,
                Reader::Data => data::get(state, &owner, request.uri()).await,
                Reader::Events => events::get(state, &owner, request.uri()).await,
                Reader::Alerts => alerts::get(state, &owner, request.uri()).await,
            }
        }
        Call::Anyone(what) => match what {
            Anyone::Time => {
                caller::anyone(state, peer.address)?;
                time::get(state, request.uri())
            }
            Anyone::OpenApi => {
                caller::anyone(state, peer.address)?;
                openapi::get(request.uri())
            }
            Anyone::Health if request.headers().contains_key(KEY_HEADER) => {
                let (owner, _turn) = caller::reader(state, peer, request.headers()).await?;
                health::get(state, &owner, request.uri()).await
            }
            Anyone::Health => {
                caller::probe(state, peer.address)?;
                health::without_key(state, request.uri()).await
            }
        },
    }
}

/// A JSON answer. What is read now may be other in a moment, and belongs to whoever asked.
fn json(answer: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(answer).map_err(ApiError::internal)?;
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((HEADERS, body).into_response())
}
