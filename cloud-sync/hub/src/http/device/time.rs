//! `GET /api/v1/time`: the signed time of day.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tilth_config::bundle::{SignedTime, is_nonce};
use tilth_core::id::Id;
use utoipa::IntoParams;

use crate::clock;
use crate::http::error::ApiError;
use crate::http::extract::{Anyone, Params};
use crate::http::openapi::CommonErrors;
use crate::http::{self, ApiState};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    #[param(pattern = "^[A-Za-z0-9_-]{16,64}$", example = "0123456789abcdef")]
    nonce: String,
    #[param(value_type = String, example = "acme")]
    client_id: Id,
    #[param(value_type = String, example = "pi-7")]
    device_id: Id,
}

#[utoipa::path(
    get,
    path = "/api/v1/time",
    operation_id = "getTime",
    params(Parameters),
    responses((status = 200, description = "The time of day, signed", body = Object), CommonErrors)
)]
/// Unauthenticated on purpose: the time is public, and the answer does not reveal whether a device exists.
pub(super) async fn get(
    State(state): State<Arc<ApiState>>,
    _: Anyone,
    Params(Parameters { nonce, client_id, device_id }): Params<Parameters>,
) -> Result<Response, ApiError> {
    if !is_nonce(&nonce) {
        return Err(ApiError::bad_request("nonce: expected 16 to 64 letters, digits, - and _"));
    }
    http::json(&SignedTime::sign(&nonce, &client_id, &device_id, clock::now(), &state.key))
}
