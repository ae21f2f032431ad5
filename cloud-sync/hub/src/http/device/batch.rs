//! `POST /api/v1/sync/batch`: rows from a device, confirmed in the transaction that stores them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use tilth_protocol::{
    CONFIRMED_HEADER, Confirmed, ConfirmedError, ErrorCode, Lane, Lanes, MAX_BATCH_BOOTS, MAX_BATCH_ROWS,
};

use crate::clock;
use crate::db::DeviceContext;
use crate::domain::access;
use crate::domain::ingest::received::{ParsedBatch, RawBatch};
use crate::domain::ingest::{BatchOutcome, BatchRejection, ClientState};
use crate::http::error::ApiError;
use crate::http::extract::{Device, body};
use crate::http::openapi::{CommonErrors, Failure, KeyErrors};
use crate::http::{self, ApiState};

/// Wait after too many new streams: those of the day before expire meanwhile.
const NEXT_STREAM: Duration = Duration::from_secs(900);

#[utoipa::path(
    post,
    path = "/api/v1/sync/batch",
    operation_id = "postBatch",
    params(("X-Tilth-Confirmed" = Option<String>, Header, description = "Sequences that were confirmed to the device", example = "events=2")),
    request_body(content = Object, description = "A batch, see /usr/share/doc/tilth-hub/sync-protocol.md on the hub", example = json!({
        "version": 1, "client": "acme", "device": "pi-7", "stream": "0123456789abcdef0123456789abcdef", "epoch": null, "lanes": {}
    })),
    responses(
        (status = 200, description = "Confirmations and rejected rows", body = Object),
        (status = 409, description = "A known sequence with other content, or two agents that use one key", body = Failure, content_type = "application/problem+json"),
        CommonErrors,
        KeyErrors,
    ),
    security(("device_key" = []))
)]
pub(super) async fn post(
    State(state): State<Arc<ApiState>>,
    device: Device,
    request: Request,
) -> Result<Response, ApiError> {
    let client = client_state(request.headers())?;
    let raw: RawBatch = body::json(request, "a batch").await?;
    let rows = check(&raw, &device.context)?;
    let received = raw.parse();
    check_boots(&received)?;
    state.limits.take_rows(device.context.id(), rows)?;
    match state.db.store_batch(&device.context, (received, client), state.quota, clock::now()).await? {
        BatchOutcome::Stored { answer, .. } => http::json(&answer),
        BatchOutcome::Rejected(rejection) => Err(error_of(&rejection)),
    }
}

/// Confirmations that the device states, and the epoch for it if its database was set back.
fn client_state(headers: &HeaderMap) -> Result<ClientState, ApiError> {
    let confirmed = match headers.get(CONFIRMED_HEADER) {
        None => Confirmed::default(),
        Some(value) => {
            let read = value.to_str().ok().and_then(|text| text.parse().ok());
            read.ok_or_else(|| ApiError::bad_request(format!("{CONFIRMED_HEADER}: {ConfirmedError}")))?
        }
    };
    Ok(ClientState { confirmed, next_epoch: access::draw_epoch().map_err(ApiError::internal)? })
}

/// Checks ranges, names and limits. Returns the number of rows, gaps and live values.
fn check(RawBatch { batch, .. }: &RawBatch, device: &DeviceContext) -> Result<usize, ApiError> {
    batch.check_ranges().map_err(|error| ApiError::bad_request(error.to_string()))?;
    let (client, name) = (device.tenant().client(), device.name());
    if batch.client != *client || batch.device != *name {
        let message = format!("this key is of {client}/{name}");
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    let Lanes { events, windows, diagnostics } = &batch.lanes;
    let mut rows = batch.live.len();
    for (lane, extent) in [(Lane::Events, events), (Lane::Windows, windows), (Lane::Diagnostics, diagnostics)] {
        let Some(extent) = extent else { continue };
        if i64::try_from(extent.last).is_err() {
            let message = format!("{lane}: sequence {}: expected at most 2^63 - 1", extent.last);
            return Err(ApiError::bad_request(message));
        }
        rows += extent.rows.len() + extent.gaps.len();
    }
    if rows > MAX_BATCH_ROWS {
        let message =
            format!("{rows} rows: expected at most {MAX_BATCH_ROWS} over all lanes, gaps and live values among them");
        return Err(ApiError::new(ErrorCode::TooLarge, message));
    }
    Ok(rows)
}

fn check_boots(received: &ParsedBatch) -> Result<(), ApiError> {
    let boots = received.batch.stamps().map(|at| at.boot).collect::<BTreeSet<_>>().len();
    if boots > MAX_BATCH_BOOTS {
        let message = format!("{boots} boots: expected at most {MAX_BATCH_BOOTS} in one batch");
        return Err(ApiError::new(ErrorCode::TooLarge, message));
    }
    Ok(())
}

fn error_of(rejection: &BatchRejection) -> ApiError {
    let message = rejection.to_string();
    match rejection {
        BatchRejection::Content { .. } | BatchRejection::TwoStreams => {
            ApiError::new(ErrorCode::StreamConflict, message)
        }
        BatchRejection::TooManyStreams | BatchRejection::TooManyOthers => ApiError::too_many(NEXT_STREAM, message),
        BatchRejection::TooManyRanges { .. } => ApiError::new(ErrorCode::TooLarge, message),
    }
}
