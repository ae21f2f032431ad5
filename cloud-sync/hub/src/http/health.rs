//! `GET /api/health`: how the hub and the tenant's devices are; without a key, whether the hub serves.

use std::time::Duration;

use axum::http::Uri;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tilth_protocol::Lane;

use super::access::ReaderCaller;
use super::refusal::Refusal;
use super::{Hub, params, shown};
use crate::clock;
use crate::db::sqlite::devices::Device;
use crate::db::sqlite::{self as store, Owner, StoreError, bundles, devices, events, lanes, streams};

/// A database that takes longer for one row is in trouble.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {}

pub(super) async fn get(hub: &Hub, caller: ReaderCaller, uri: &Uri) -> Result<Response, Refusal> {
    let Parameters {} = params::read(uri)?;
    let found = hub.store.read(Owner::Tenant(caller.tenant), move |connection| {
        let devices = devices::of_tenant(connection, caller.tenant)?;
        let devices = devices.iter().map(|device| of_device(connection, device)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, StoreError>(json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "now": shown::time(Some(clock::now())),
            "epoch": store::epoch(connection)?,
            "client_id": caller.client,
            "devices": devices,
        }))
    });
    super::json(&found.await?)
}

/// For a load balancer: whether the hub answers, can read its database, and has room for more. Nothing of any tenant.
pub(super) async fn without_key(hub: &Hub, uri: &Uri) -> Result<Response, Refusal> {
    let Parameters {} = params::read(uri)?;
    let epoch = tokio::time::timeout(PATIENCE, hub.store.read(Owner::Hub, store::epoch));
    match epoch.await {
        Ok(Ok(_)) if !hub.store.has_room() => Ok(unwell("the disk is full")),
        Ok(Ok(_)) => super::json(&json!({"status": "ok"})),
        Ok(Err(error)) => Ok(unwell(&error.to_string())),
        Err(_) => Ok(unwell("the database does not answer in time")),
    }
}

fn unwell(why: &str) -> Response {
    tracing::error!(why, "the hub is not well");
    let body = json!({"status": "unavailable"}).to_string();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Earlier streams of a device that are shown: a device begins one when its database is lost, restored or moved.
const EARLIER_STREAMS: usize = 20;

fn of_device(connection: &Connection, device: &Device) -> Result<Json, StoreError> {
    let mut confirmed = Map::new();
    for lane in Lane::ALL {
        let Some(stream) = device.stream else { break };
        let tally = lanes::tally(connection, stream, lane)?;
        confirmed.insert(lane.name().into(), json!({"confirmed": tally.confirmed, "lost": tally.lost}));
    }
    // What the device says it did with its bundles; a refusal and its reason too.
    let said = events::newest_of_bundle(connection, device.id)?.map(|event| {
        let body = shown::body(&event.body, event.boot, event.offset);
        json!({"at": shown::time(event.at()), "body": body})
    });
    // A database that was lost on site shows here, also when nothing on site remembers it.
    let earlier = streams::earlier(connection, device.id, device.stream, EARLIER_STREAMS)?.into_iter().map(|stream| {
        let streams::Earlier { name, began, last_heard } = stream;
        json!({"stream": name, "began": shown::time(Some(began)), "last_heard": shown::time(Some(last_heard))})
    });
    let earlier: Vec<Json> = earlier.collect();
    Ok(json!({
        "device": device.name,
        "last_heard": shown::time(device.last_heard),
        "stream": device.stream.map(|stream| streams::name(connection, stream)).transpose()?,
        "earlier_streams": earlier,
        "lanes": confirmed,
        "config": {
            "version": bundles::version(connection, device.id)?,
            "shown": device.shown_version,
            "said": said,
        },
    }))
}
