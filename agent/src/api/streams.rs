//! Handlers whose answers have no end, server-sent events: what happens, and a serial port that is left to another program meanwhile.

use std::convert::Infallible;
use std::future::pending;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tracing::info;

use super::caller::MayChange;
use super::handlers::{Api, Body, Parameters};
use super::problem::Problem;
use super::rows::ReleasePort;
use super::views;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Lines for people instead of JSON.
    #[serde(default)]
    text: bool,
}

/// Sends `connected` first, then a `transition` for each, and `missed` where a watcher was too slow, until either side ends.
pub(super) async fn watch(State(api): Api, parameters: Parameters<EventsQuery>) -> Result<impl IntoResponse, Problem> {
    let Query(EventsQuery { text }) = parameters?;
    let permit = api.limits.watch()?;
    let live = api.live.subscribe();
    let (device, version) = (&api.device, env!("CARGO_PKG_VERSION"));
    let at = views::wall(api.clock.now().1);
    let connected = json!({ "at": at, "event": "connected", "device": device, "version": version });
    let said = format!("connected to {device} (tilth-agent {version})");
    let connected = Event::default().event("connected").data(if text { said } else { connected.to_string() });
    let transitions = stream::unfold((live, permit), move |(mut live, permit)| async move {
        let event = match live.recv().await {
            Ok(line) => Event::default().event("transition").data(if text { &line.text } else { &line.json }),
            Err(RecvError::Lagged(lines)) => {
                let missed = json!({ "event": "missed", "lines": lines });
                let said = format!("... {lines} lines were left out: too slow to read them");
                Event::default().event("missed").data(if text { said } else { missed.to_string() })
            }
            Err(RecvError::Closed) => return None,
        };
        Some((event, (live, permit)))
    });
    Ok(events(connected, transitions))
}

/// Closes a port; sends `released` once it is closed. The agent opens it again when the connection ends, however that comes about.
pub(super) async fn release(
    State(api): Api,
    _: MayChange,
    body: Body<ReleasePort>,
) -> Result<impl IntoResponse, Problem> {
    let Json(ReleasePort { port }) = body?;
    let permit = api.limits.watch()?;
    api.limits.change(Instant::now())?;
    let failed = |error| Problem::conflict(format!("{port}: {error}"));
    let released = api.ports.release(&port).await.map_err(failed)?;
    info!("{port} is left to another program until its connection ends");
    let held = stream::once(async move {
        let _held = (released, permit);
        pending().await
    });
    Ok(events(Event::default().event("released").data(port), held))
}

fn events(
    first: Event,
    rest: impl Stream<Item = Event> + Send + 'static,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::iter([first]).chain(rest).map(Ok))
}
