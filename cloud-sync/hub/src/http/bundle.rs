//! `GET /api/config/bundle`: a device's configuration, signed.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rusqlite::Connection;
use serde::Deserialize;
use tilth_config::bundle::MAX_VERSION;
use tilth_protocol::ErrorCode;

use super::access::DeviceCaller;
use super::refusal::Refusal;
use super::{Hub, params};
use crate::clock;
use crate::db::sqlite::{Owner, audit};
use crate::domain::configs::{self as issue, Found, IssueError, Reply, Shown};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    client_id: String,
    /// 0 for a device that has none.
    since_version: u64,
}

pub(super) async fn get(hub: &Arc<Hub>, caller: DeviceCaller, request: Parts) -> Result<Response, Refusal> {
    let Parameters { client_id, since_version } = params::read(&request.uri)?;
    if client_id != caller.client {
        return Err(Refusal::new(ErrorCode::Forbidden, format!("this key is of {}/{}", caller.client, caller.name)));
    }
    if since_version > MAX_VERSION {
        return Err(Refusal::bad_request(format!("since_version={since_version}: expected at most {MAX_VERSION}")));
    }
    let shown_hash = request.headers.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let shown_hash = shown_hash.map(|tag| tag.trim().trim_matches('"').to_owned());
    let shown = Arc::new((since_version, shown_hash));
    let (device, owner) = (caller.name.clone(), Owner::Tenant(caller.tenant));
    let (id, of_look) = (caller.id, Arc::clone(&shown));
    let looked = hub.store.read(owner, move |connection| issue::look(connection, id, shown_of(&of_look))).await?;
    let found = match looked {
        Some(found) => found,
        None => {
            let of_job = Arc::clone(hub);
            hub.store.write(owner, move |connection| note(connection, &of_job, &caller, shown_of(&shown))).await?
        }
    };
    let Some((reply, bundle)) = found else {
        return Err(Refusal::new(ErrorCode::NotFound, format!("there is no configuration for {device} yet")));
    };
    let tag = HeaderValue::try_from(format!("\"{}\"", bundle.hash)).map_err(Refusal::internal)?;
    Ok(match reply {
        Reply::Unchanged => (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response(),
        Reply::Send | Reply::Renew => {
            let of_bytes = HeaderValue::from_static("application/octet-stream");
            ([(header::CONTENT_TYPE, of_bytes), (header::ETAG, tag)], bundle.bytes).into_response()
        }
    })
}

fn shown_of((version, hash): &(u64, Option<String>)) -> Shown<'_> {
    Shown { version: *version, hash: hash.as_deref() }
}

/// Notes what the device has shown, and signs anew where that is called for.
fn note(connection: &Connection, hub: &Hub, caller: &DeviceCaller, shown: Shown<'_>) -> Result<Found, IssueError> {
    let now = clock::now();
    let found = issue::answer(connection, &hub.key, caller.id, shown, now)?;
    if let Some((Reply::Renew, bundle)) = &found {
        let DeviceCaller { name, peer, .. } = caller;
        let what = format!("configuration {} of device {name}: it had shown {}", bundle.version, shown.version);
        let (who, origin, tenant) = (&caller.key_id, peer.to_string(), Some(caller.tenant));
        audit::record(connection, &audit::Entry { at: now, who, origin: &origin, tenant, what: &what })?;
    }
    Ok(found)
}
