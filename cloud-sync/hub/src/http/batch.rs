//! `POST /api/v1/sync/batch`: rows from a device, confirmed in the transaction that stores them.

use axum::extract::Request;
use axum::response::Response;
use rusqlite::Connection;
use tilth_core::time::WallTime;
use tilth_protocol::{Batch, ErrorCode, Lane, MAX_BATCH_ROWS};

use super::access::DeviceCaller;
use super::refusal::Refusal;
use super::{Hub, body};
use crate::clock;
use crate::store::{StoreError, alerts, audit};
use crate::sync::{self, Conflict, Taken};

/// The hub's own alert about a device whose key, or whose store, is there twice.
const TWO_AGENTS: (&str, &str) = ("stream-conflict", "two agents use this key");

pub(super) async fn take(hub: &Hub, caller: DeviceCaller, request: Request) -> Result<Response, Refusal> {
    let batch: Batch = body::json(request, "a batch").await?;
    check(&batch, &caller)?;
    let now = clock::now();
    match hub.store.write(move |connection| store(connection, &caller, &batch, now)).await? {
        Taken::Stored { answer, .. } => super::json(&answer),
        Taken::Refused(conflict) => Err(Refusal::new(ErrorCode::StreamConflict, words(&conflict))),
    }
}

/// What the types do not say.
fn check(batch: &Batch, caller: &DeviceCaller) -> Result<(), Refusal> {
    batch.check().map_err(|error| Refusal::bad_request(error.to_string()))?;
    if batch.client.as_str() != caller.client || batch.device.as_str() != caller.name {
        let message = format!("this key is of {}/{}", caller.client, caller.name);
        return Err(Refusal::new(ErrorCode::Forbidden, message));
    }
    let spans = spans(batch);
    if let Some((lane, last, _)) = spans.iter().find(|(_, last, _)| i64::try_from(*last).is_err()) {
        return Err(Refusal::bad_request(format!("{lane}: sequence {last}: expected at most 2^63 - 1")));
    }
    let rows = spans.iter().map(|(_, _, rows)| rows).sum::<usize>() + batch.live.len();
    if rows > MAX_BATCH_ROWS {
        let message = format!("{rows} rows: expected at most {MAX_BATCH_ROWS} over all lanes, live values among them");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    Ok(())
}

/// The lanes, with the last sequence and the number of rows of each.
fn spans(batch: &Batch) -> Vec<(Lane, u64, usize)> {
    let lanes = &batch.lanes;
    let events = lanes.events.as_ref().map(|extent| (Lane::Events, extent.last, extent.rows.len()));
    let windows = lanes.windows.as_ref().map(|extent| (Lane::Windows, extent.last, extent.rows.len()));
    let diagnostics = lanes.diagnostics.as_ref().map(|extent| (Lane::Diagnostics, extent.last, extent.rows.len()));
    events.into_iter().chain(windows).chain(diagnostics).collect()
}

fn store(connection: &Connection, caller: &DeviceCaller, batch: &Batch, now: WallTime) -> Result<Taken, StoreError> {
    let taken = sync::take(connection, caller.id, batch, now)?;
    let what = match &taken {
        Taken::Stored { is_new_stream: false, .. } => return Ok(taken),
        Taken::Stored { .. } => format!("device {} began the stream {}", caller.name, batch.stream),
        Taken::Refused(conflict) => {
            let (rule, message) = TWO_AGENTS;
            alerts::say(connection, caller.id, rule, message, now)?;
            tracing::warn!(client = caller.client, device = caller.name, stream = %batch.stream, "{message}");
            format!("device {}, stream {}: {}", caller.name, batch.stream, words(conflict))
        }
    };
    let origin = caller.peer.to_string();
    let entry =
        audit::Entry { at: now, who: &caller.key_id, origin: &origin, tenant: Some(caller.tenant), what: &what };
    audit::record(connection, &entry)?;
    Ok(taken)
}

fn words(conflict: &Conflict) -> String {
    let what = match conflict {
        Conflict::Content { lane, seq } => format!("{lane}: sequence {seq} is known with other content"),
        Conflict::TwoStreams => "another stream of this device is alive".to_owned(),
    };
    format!("{what}; two agents use this key, or one store is there twice: go on under a new stream")
}
