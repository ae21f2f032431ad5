//! `GET /api/events`: events in the order of storing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::{IntoParams, ToSchema};

use super::rows;
use crate::db::EventQuery;
use crate::domain::cursor::{Cursors, Listing};
use crate::http::error::ApiError;
use crate::http::extract::{Params, Reader, query};
use crate::http::openapi::{CommonErrors, Failure, KeyErrors};
use crate::http::{self, ApiState};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    device: Option<String>,
    kind: Option<String>,
    /// `next` of the previous page; absent or 0 for the first page
    #[param(example = "0")]
    after: Option<String>,
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

/// One page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPage)]
struct Page {
    #[schema(value_type = Vec<Object>)]
    events: Vec<Json>,
    /// Cursor of the next page; a number that stays valid over a restart and a restore of the hub. None after the last page.
    next: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/events",
    operation_id = "getEvents",
    params(Parameters),
    responses(
        (status = 200, description = "Events in the order of storing", body = Page),
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
    let Parameters { device, kind, after, limit } = parameters;
    let limit = query::limit(limit)?;
    let cursors = Cursors::new(&state.key, reader.tenant.client(), Listing::Events);
    let after = query::after(after.as_deref(), |text| cursors.id(text.parse().ok()?))?.unwrap_or_default();
    let query = EventQuery { device, kind, after, limit: limit + 1 };
    let mut found = state.db.events(&reader.tenant, query).await?;
    let next = query::page(&mut found, limit, |last| cursors.after(last.id).to_string());
    let events = found.iter().map(|event| {
        json!({
            "device": event.device,
            "lane": event.lane,
            "seq": event.seq,
            "kind": event.kind,
            "at": rows::time(event.at()),
            "received": rows::time(Some(event.received)),
            "body": rows::body(&event.body, event.boot, event.offset),
        })
    });
    http::json(&Page { events: events.collect(), next })
}
