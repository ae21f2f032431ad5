//! `POST /api/v1/sync/batch`: rows from a device, confirmed in the transaction that stores them.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use rusqlite::Connection;
use tilth_core::time::WallTime;
use tilth_protocol::{
    Batch, CONFIRMED_HEADER, Confirmed, ConfirmedError, ErrorCode, Extent, Lane, MAX_BATCH_BOOTS, MAX_BATCH_ROWS,
};

use super::access::DeviceCaller;
use super::refusal::Refusal;
use super::{Hub, body};
use crate::clock;
use crate::db::sqlite::ingest::{self as sync, ClientState, Refused, Taken};
use crate::db::sqlite::{Owner, StoreError, alerts, audit, streams};
use crate::domain::access as keys;
use crate::domain::ingest::quota::{MAX_OTHERS, MAX_STREAMS, MAX_TOUCHED, Quota};

/// The hub's own alert about a device whose key, or whose store, is there twice.
const TWO_AGENTS: (&str, &str) = ("stream-conflict", "two agents use this key");

/// The rule of the hub's own alert about a device that has more than its quota.
const OVER_QUOTA: &str = "device-quota";

/// The rule of the hub's own alert about a database that was set back.
const SET_BACK: &str = "database-set-back";

/// After too many new streams. Some more may begin with each hour, as those of the day before pass.
const NEXT_STREAM: Duration = Duration::from_secs(900);

pub(super) async fn take(hub: &Hub, caller: DeviceCaller, request: Request) -> Result<Response, Refusal> {
    let client = client_state(request.headers())?;
    let batch: Batch = body::json(request, "a batch").await?;
    let rows = check(&batch, &caller)?;
    hub.limits.rows(caller.id, rows)?;
    let now = clock::now();
    let (owner, quota) = (Owner::Tenant(caller.tenant), hub.quota);
    let job = move |connection: &Connection| store(connection, &caller, (&batch, &client), quota, now);
    match hub.store.write(owner, job).await? {
        Taken::Stored { answer, .. } => super::json(&answer),
        Taken::Refused(refused) => Err(refusal(&refused)),
    }
}

/// What the device was confirmed, and the epoch that it gets if that is more than is here.
fn client_state(headers: &HeaderMap) -> Result<ClientState, Refusal> {
    let confirmed = match headers.get(CONFIRMED_HEADER) {
        None => Confirmed::default(),
        Some(value) => {
            let read = value.to_str().ok().and_then(|text| text.parse().ok());
            read.ok_or_else(|| Refusal::bad_request(format!("{CONFIRMED_HEADER}: {ConfirmedError}")))?
        }
    };
    Ok(ClientState { confirmed, next_epoch: keys::draw_epoch().map_err(Refusal::internal)? })
}

/// What the types do not say. Returns how many rows, gaps and live values there are.
fn check(batch: &Batch, caller: &DeviceCaller) -> Result<usize, Refusal> {
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
        let message =
            format!("{rows} rows: expected at most {MAX_BATCH_ROWS} over all lanes, gaps and live values among them");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    let boots = batch.stamps().map(|at| at.boot).collect::<BTreeSet<_>>().len();
    if boots > MAX_BATCH_BOOTS {
        let message = format!("{boots} boots: expected at most {MAX_BATCH_BOOTS} in one batch");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    Ok(rows)
}

/// The lanes, with the last sequence and the number of rows and gaps of each.
fn spans(batch: &Batch) -> Vec<(Lane, u64, usize)> {
    fn span<R>(lane: Lane, extent: Option<&Extent<R>>) -> Option<(Lane, u64, usize)> {
        extent.map(|extent| (lane, extent.last, extent.rows.len() + extent.gaps.len()))
    }
    let lanes = &batch.lanes;
    let events = span(Lane::Events, lanes.events.as_ref());
    let windows = span(Lane::Windows, lanes.windows.as_ref());
    let diagnostics = span(Lane::Diagnostics, lanes.diagnostics.as_ref());
    events.into_iter().chain(windows).chain(diagnostics).collect()
}

fn store(
    connection: &Connection,
    caller: &DeviceCaller,
    (batch, client_state): (&Batch, &ClientState),
    quota: Quota,
    now: WallTime,
) -> Result<Taken, StoreError> {
    let taken = sync::take(connection, caller.id, (batch, client_state), quota, now)?;
    let (client, device) = (&caller.client, &caller.name);
    let what = match &taken {
        Taken::Stored { behind: Some(behind), .. } => {
            let message = format!(
                "this database is older than what the device was confirmed ({behind}): was a copy put back? The device sends again what it still has"
            );
            if !alerts::say(connection, caller.id, SET_BACK, &message, now)? {
                return Ok(taken);
            }
            tracing::warn!(client, device, "{message}");
            format!("device {device}: new epoch: {message}")
        }
        Taken::Stored { over_quota: Some(limit), .. } => {
            if !alerts::say(connection, caller.id, OVER_QUOTA, limit, now)? {
                return Ok(taken);
            }
            tracing::warn!(client, device, "{limit}");
            format!("device {device}: {limit}")
        }
        Taken::Stored { is_new_stream: false, .. } => return Ok(taken),
        Taken::Stored { .. } => {
            let current = streams::find(connection, caller.id, batch.stream)?;
            if let Some(before) = streams::earlier(connection, caller.id, current, 1)?.first() {
                let at = before.last_heard;
                tracing::warn!(client, device, "new stream {}: the one before was last heard at {at}", batch.stream);
            }
            format!("device {device} began the stream {}", batch.stream)
        }
        Taken::Refused(refused) => {
            let (rule, message) = match refused {
                Refused::Content { .. } | Refused::TwoStreams => TWO_AGENTS,
                Refused::TooManyStreams | Refused::TooManyOthers | Refused::TooManyRuns { .. } => {
                    (OVER_QUOTA, "too many streams, boots or gaps")
                }
            };
            // Once an hour: whoever is refused all day fills no disk.
            if !alerts::say(connection, caller.id, rule, message, now)? {
                return Ok(taken);
            }
            tracing::warn!(client, device, stream = %batch.stream, "{message}");
            format!("device {device}, stream {}: {}", batch.stream, words(refused))
        }
    };
    let origin = caller.peer.to_string();
    let entry =
        audit::Entry { at: now, who: &caller.key_id, origin: &origin, tenant: Some(caller.tenant), what: &what };
    audit::record(connection, &entry)?;
    Ok(taken)
}

fn refusal(refused: &Refused) -> Refusal {
    match refused {
        Refused::Content { .. } | Refused::TwoStreams => Refusal::new(ErrorCode::StreamConflict, words(refused)),
        Refused::TooManyStreams | Refused::TooManyOthers => Refusal::too_many(NEXT_STREAM, words(refused)),
        Refused::TooManyRuns { .. } => Refusal::new(ErrorCode::TooLarge, words(refused)),
    }
}

fn words(refused: &Refused) -> String {
    let what = match refused {
        Refused::Content { lane, seq } => format!("{lane}: sequence {seq} is known with other content"),
        Refused::TwoStreams => "another stream of this device is alive".to_owned(),
        Refused::TooManyStreams => return format!("a device may begin at most {MAX_STREAMS} streams within a day"),
        Refused::TooManyOthers => {
            return format!("quota: this hub keeps at most {MAX_OTHERS} gaps, boots and refused rows of a device");
        }
        Refused::TooManyRuns { lane } => {
            return format!("{lane}: the batch touches more than {MAX_TOUCHED} known ranges: send fewer sequences");
        }
    };
    format!("{what}; two agents use this key, or one store is there twice: go on under a new stream")
}
