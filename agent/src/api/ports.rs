//! Handler that leaves a serial port to another program: for as long as the answer, a stream without an end, is read.

use std::convert::Infallible;
use std::future::pending;
use std::path::Path;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, StreamExt};
use tracing::info;

use super::caller::MayChange;
use super::handlers::{Api, Body};
use super::problem::Problem;
use super::rows::ReleasePort;

/// Closes a port; sends `released` once it is closed. The agent opens it again when the connection ends, however that comes about.
pub(super) async fn release(
    State(api): Api,
    _: MayChange,
    body: Body<ReleasePort>,
) -> Result<impl IntoResponse, Problem> {
    let Json(ReleasePort { port }) = body?;
    let permit = api.limits.watch()?;
    api.limits.change(Instant::now())?;
    let failed = |error| Problem::new(StatusCode::CONFLICT, format!("{port}: {error}"));
    let released = api.ports.release(Path::new(&port)).await.map_err(failed)?;
    info!("{port} is left to another program until its connection ends");
    let event = Event::default().event("released").data(port);
    let held = stream::once(async move {
        let _held = (released, permit);
        pending().await
    });
    Ok(Sse::new(stream::iter([event]).chain(held).map(Ok::<Event, Infallible>)))
}
