//! The routes of the API, and what answers each. Every answer has one form, [`Answer`]; every error is a [`Problem`].

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::caller::Caller;
use super::events;
use super::problem::Problem;
use super::rows::{Acknowledge, AlertRow, Answer, Note, RetryRow, SensorRow, Silence, SilenceRow, StatusRow};
use super::state::ApiState;
use super::views;

/// Version of the API, part of each path. Raised when an older client or an older agent would misunderstand.
const VERSION: u32 = 1;

/// Paths of the API, for the answer to a path that does not exist.
const PATHS: &str = "/api/v1/status, sensors, alerts, alerts/{alert}/acknowledge, silences, silences/{silence}, notes, configuration/retry or events";

/// The routes, the same whatever the request came over.
pub(super) fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/sensors", get(sensors))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/alerts/{alert}/acknowledge", post(acknowledge))
        .route("/api/v1/silences", get(silences).post(silence))
        .route("/api/v1/silences/{silence}", delete(end_silence))
        .route("/api/v1/notes", post(note))
        .route("/api/v1/configuration/retry", post(retry))
        .route("/api/v1/events", get(events::watch))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(state)
}

type Api = State<Arc<ApiState>>;
type Answered<T> = Result<Json<Answer<T>>, Problem>;
type Body<T> = Result<Json<T>, JsonRejection>;
type Number<T> = Result<Path<T>, PathRejection>;

/// Parameters of the list of alerts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Pending ones too.
    #[serde(default)]
    all: bool,
}

async fn status(State(api): Api) -> Answered<StatusRow> {
    let row = api.status().await;
    Ok(api.answer(vec![row]))
}

async fn sensors(State(api): Api) -> Answered<SensorRow> {
    let rows = api.look(views::sensors).await?;
    Ok(api.answer(rows))
}

async fn alerts(State(api): Api, which: Result<Query<Which>, QueryRejection>) -> Answered<AlertRow> {
    let Query(Which { all }) = which?;
    let rows = api.look(move |engine, context, clock| views::alerts(engine, context, clock, all)).await?;
    Ok(api.answer(rows))
}

async fn silences(State(api): Api) -> Answered<SilenceRow> {
    let rows = api.look(|engine, _, clock| views::silences(engine, clock)).await?;
    Ok(api.answer(rows))
}

async fn acknowledge(
    State(api): Api,
    caller: Caller,
    alert: Number<u64>,
    body: Body<Acknowledge>,
) -> Answered<AlertRow> {
    caller.may_change()?;
    let (Path(alert), Json(body)) = (alert?, body?);
    let row = api.acknowledge(alert, &body).await?;
    Ok(api.answer(vec![row]))
}

async fn silence(State(api): Api, caller: Caller, body: Body<Silence>) -> Answered<SilenceRow> {
    caller.may_change()?;
    let Json(body) = body?;
    let row = api.silence(body).await?;
    Ok(api.answer(vec![row]))
}

async fn end_silence(State(api): Api, caller: Caller, silence: Number<u32>) -> Answered<SilenceRow> {
    caller.may_change()?;
    let Path(silence) = silence?;
    let row = api.end_silence(silence).await?;
    Ok(api.answer(vec![row]))
}

async fn note(State(api): Api, caller: Caller, body: Body<Note>) -> Answered<()> {
    caller.may_change()?;
    let Json(body) = body?;
    api.note(&body).await?;
    Ok(api.answer(Vec::new()))
}

async fn retry(State(api): Api, caller: Caller) -> Answered<RetryRow> {
    caller.may_change()?;
    let row = api.retry().await?;
    Ok(api.answer(vec![row]))
}

/// A path of another version of the API is answered with what to do about it.
async fn no_such_path(request: Request) -> Problem {
    let path = request.uri().path();
    let version = path.strip_prefix("/api/v").and_then(|rest| rest.split('/').next()?.parse::<u32>().ok());
    let here = env!("CARGO_PKG_VERSION");
    Problem::not_found(match version.filter(|version| *version != VERSION) {
        Some(version) => format!(
            "the request is for version {version} of the API, and this agent (tilth-agent {here}) serves version {VERSION}: \
             use the tilth-agent that the service runs, or restart the service after an update (systemctl restart tilth-agent)"
        ),
        None => format!("there is no {path} here; expected {PATHS}"),
    })
}

/// The header Allow names the methods that there are.
async fn no_such_method(request: Request) -> Problem {
    let detail =
        format!("{} {}: expected a method that the header Allow names", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

#[cfg(test)]
mod tests;
