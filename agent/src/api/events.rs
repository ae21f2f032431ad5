//! Server-sent events: `connected` first, then a `transition` for each, and `missed` where a watcher was too slow.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::problem::Problem;
use super::state::ApiState;
use super::views;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Lines for people instead of JSON.
    #[serde(default)]
    text: bool,
}

/// Sends what happens until either side ends.
pub(super) async fn watch(
    State(api): State<Arc<ApiState>>,
    parameters: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
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
    Ok(Sse::new(stream::iter([connected]).chain(transitions).map(Ok::<Event, Infallible>)))
}
