//! `GET /api/config/bundle`: a device's configuration, signed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tilth_config::bundle::MAX_VERSION;
use tilth_protocol::ErrorCode;
use utoipa::IntoParams;

use crate::clock;
use crate::domain::configs::{HeldConfig, Reply};
use crate::http::ApiState;
use crate::http::error::ApiError;
use crate::http::extract::{Device, Params};
use crate::http::openapi::{CommonErrors, Failure, KeyErrors};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    #[param(example = "acme")]
    client_id: String,
    /// 0 for a device that has none.
    #[param(example = 0)]
    since_version: u64,
}

#[utoipa::path(
    get,
    path = "/api/config/bundle",
    operation_id = "getBundle",
    params(Parameters, ("If-None-Match" = Option<String>, Header, description = "Hash of the device's content")),
    responses(
        (status = 200, description = "The signed bundle", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "The device has this version and content"),
        (status = 404, description = "The device has no configuration yet", body = Failure, content_type = "application/problem+json"),
        CommonErrors,
        KeyErrors,
    ),
    security(("device_key" = []))
)]
pub(super) async fn get(
    State(state): State<Arc<ApiState>>,
    device: Device,
    Params(Parameters { client_id, since_version }): Params<Parameters>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let device = &device.context;
    let (client, name) = (device.tenant().client(), device.name());
    if client_id != client.as_str() {
        return Err(ApiError::new(ErrorCode::Forbidden, format!("this key is of {client}/{name}")));
    }
    if since_version > MAX_VERSION {
        return Err(ApiError::bad_request(format!("since_version={since_version}: expected at most {MAX_VERSION}")));
    }
    let hash = headers.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let shown = HeldConfig { version: since_version, hash: hash.map(|tag| tag.trim().trim_matches('"').to_owned()) };
    let found = state.db.bundle_for(device, shown, Arc::clone(&state.key), clock::now()).await?;
    let Some((reply, bundle)) = found else {
        return Err(ApiError::new(ErrorCode::NotFound, format!("device {name} has no configuration yet")));
    };
    let tag = HeaderValue::try_from(format!("\"{}\"", bundle.hash)).map_err(ApiError::internal)?;
    Ok(match reply {
        Reply::Unchanged => (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response(),
        Reply::Send | Reply::Renew => {
            let of_bytes = HeaderValue::from_static("application/octet-stream");
            ([(header::CONTENT_TYPE, of_bytes), (header::ETAG, tag)], bundle.bytes).into_response()
        }
    })
}
