//! Routes of the API, and the handlers that only read. Every answer is an [`Answer`], every error a [`Problem`].

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::problem::Problem;
use super::rows::{AlertRow, Answer, SensorRow, SilenceRow, StatusRow};
use super::state::ApiState;
use super::{actuators, calibrations, changes, history, streams, views};

/// Version of the API, part of each path. Raised when an older client or an older agent would misunderstand.
const VERSION: u32 = 1;

/// Paths of the API, for the answer to a path that does not exist.
const PATHS: &str = "/api/v1/status, sensors, history, alerts, alerts/past, alerts/{alert}/acknowledge, silences, silences/{silence}, actuators, actuators/past, actuators/{actuator}/switch, holds, \
    holds/{zone}, channels/{channel}/test, calibrations, notes, stored, stored/rows, configuration/retry, ports/release or events";

/// The routes, the same over the socket and TCP.
pub(super) fn router(state: Arc<ApiState>) -> Router {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/sensors", get(sensors))
        .route("/api/v1/history", get(history::windows))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/alerts/past", get(history::alerts))
        .route("/api/v1/alerts/{alert}/acknowledge", post(changes::acknowledge))
        .route("/api/v1/silences", get(silences).post(changes::silence))
        .route("/api/v1/silences/{silence}", delete(changes::end_silence))
        .route("/api/v1/actuators", get(actuators::actuators))
        .route("/api/v1/actuators/past", get(history::actuations))
        .route("/api/v1/actuators/{actuator}/switch", post(actuators::actuate))
        .route("/api/v1/holds", get(actuators::holds).post(actuators::hold))
        .route("/api/v1/holds/{zone}", delete(actuators::end_hold))
        .route("/api/v1/channels/{channel}/test", post(changes::test))
        .route("/api/v1/calibrations", post(calibrations::calibrate))
        .route("/api/v1/notes", get(history::notes).post(changes::note))
        .route("/api/v1/stored", get(history::stored))
        .route("/api/v1/stored/rows", get(history::stored_rows))
        .route("/api/v1/configuration/retry", post(changes::retry))
        .route("/api/v1/ports/release", post(streams::release))
        .route("/api/v1/events", get(streams::watch))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(state)
}

pub(super) type Api = State<Arc<ApiState>>;
pub(super) type Answered<T> = Result<Json<Answer<T>>, Problem>;
pub(super) type Body<T> = Result<Json<T>, JsonRejection>;
/// A number or name in the path.
pub(super) type InPath<T> = Result<Path<T>, PathRejection>;
pub(super) type Parameters<T> = Result<Query<T>, QueryRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertsQuery {
    /// Pending alerts too.
    #[serde(default)]
    all: bool,
}

async fn status(State(api): Api) -> Answered<StatusRow> {
    api.answer(vec![api.status().await])
}

async fn sensors(State(api): Api) -> Answered<SensorRow> {
    api.answer(api.query(views::sensors).await?)
}

async fn alerts(State(api): Api, parameters: Parameters<AlertsQuery>) -> Answered<AlertRow> {
    let Query(AlertsQuery { all }) = parameters?;
    api.answer(api.query(move |engine, context, clock| views::alerts(engine, context, clock, all)).await?)
}

async fn silences(State(api): Api) -> Answered<SilenceRow> {
    api.answer(api.query(|engine, _, clock| views::silences(engine, clock)).await?)
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
