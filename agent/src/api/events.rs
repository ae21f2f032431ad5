//! What happens, as server-sent events: `connected` first, then a `transition` for each, and `missed` where a watcher was too
//! slow.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use super::problem::Problem;
use super::rows::{Connected, Missed};
use super::state::{ApiState, MAX_WATCHERS};
use super::views;

/// Parameters of the events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    /// Transitions as people read them, instead of JSON.
    #[serde(default)]
    text: bool,
}

/// Sends what happens until either side ends.
pub(super) async fn watch(
    State(api): State<Arc<ApiState>>,
    form: Result<Query<Form>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Query(Form { text }) = form?;
    let place = Arc::clone(&api.watchers).try_acquire_owned();
    let place = place.map_err(|_| Problem::unavailable(format!("{MAX_WATCHERS} others watch already")))?;
    let live = api.live.subscribe();
    let connected = json(
        "connected",
        &Connected {
            at: views::wall(api.clock.now().1),
            event: "connected".to_owned(),
            device: api.device.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
    );
    let transitions = stream::unfold((live, place), move |(mut live, place)| async move {
        let event = match live.recv().await {
            Ok(line) => Event::default().event("transition").data(if text { &line.text } else { &line.json }),
            Err(RecvError::Lagged(lines)) => json("missed", &Missed { event: "missed".to_owned(), lines }),
            Err(RecvError::Closed) => return None,
        };
        Some((event, (live, place)))
    });
    Ok(Sse::new(stream::iter([connected]).chain(transitions).map(Ok::<Event, Infallible>)))
}

fn json(name: &str, data: &impl Serialize) -> Event {
    // Plain data always has a JSON form.
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}
