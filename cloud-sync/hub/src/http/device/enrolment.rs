//! `POST /api/v1/enrolment`: a one-time code for the key of a device. `GET /api/v1/enrolment/ca`: the CA certificate that a code names.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use tilth_protocol::{CodeId, EnrolmentAnswer, EnrolmentCa, EnrolmentRequest, ErrorCode};
use utoipa::IntoParams;

use crate::clock;
use crate::domain::enrolment::CodeRejection;
use crate::http::error::ApiError;
use crate::http::extract::{Anyone, Params, body};
use crate::http::openapi::{CommonErrors, Failure};
use crate::http::{self, ApiState};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// Public id of an enrolment code.
    #[param(value_type = String, pattern = "^[0-9A-HJKMNP-TV-Z]{7}$", example = "0123456")]
    code: CodeId,
}

#[utoipa::path(
    get,
    path = "/api/v1/enrolment/ca",
    operation_id = "getEnrolmentCa",
    params(Parameters),
    responses(
        (status = 200, description = "The CA certificate of the hub, for comparison with the hash in the code", body = Object),
        (status = 404, description = "No such code, or one that names no CA certificate", body = Failure, content_type = "application/problem+json"),
        CommonErrors,
    )
)]
/// Unauthenticated on purpose: the certificate is public, and the device cannot verify the hub before it has it.
pub(super) async fn get_ca(
    State(state): State<Arc<ApiState>>,
    _: Anyone,
    Params(Parameters { code }): Params<Parameters>,
) -> Result<Response, ApiError> {
    match state.db.enrolment_ca(code).await? {
        Some(ca) => http::json(&EnrolmentCa { ca }),
        None => Err(unknown()),
    }
}

#[utoipa::path(
    post,
    path = "/api/v1/enrolment",
    operation_id = "postEnrolment",
    request_body(content = Object, description = "A code and the hash of a key, see /usr/share/doc/tilth-hub/sync-protocol.md on the hub", example = json!({
        "code": "0123456", "secret": "0123456789ABCDEF", "key_id": "0123456789ab",
        "key_hash": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    })),
    responses(
        (status = 200, description = "Names of tenant and device, and the key that signs configurations", body = Object),
        (status = 404, description = "No such code, or another secret", body = Failure, content_type = "application/problem+json"),
        (status = 409, description = "Another device was enrolled with the code", body = Failure, content_type = "application/problem+json"),
        (status = 410, description = "The code expired, or was revoked", body = Failure, content_type = "application/problem+json"),
        CommonErrors,
    )
)]
pub(super) async fn post(
    State(state): State<Arc<ApiState>>,
    Anyone { address }: Anyone,
    request: Request,
) -> Result<Response, ApiError> {
    let request: EnrolmentRequest = body::json(request, "an enrolment request").await?;
    state.limits.take_attempt(&request.code)?;
    let (code, key) = (request.code.clone(), request.key_id);
    match state.db.exchange_code(request, address, clock::now()).await? {
        None => {
            tracing::warn!(%code, %address, "unknown enrolment code, or another secret");
            Err(unknown())
        }
        Some(Err(rejection)) => {
            tracing::warn!(%code, %address, "enrolment code rejected: {rejection}");
            Err(error_of(rejection))
        }
        Some(Ok(device)) => {
            let (client_id, device_id) = (device.tenant().client().clone(), device.name().clone());
            tracing::info!(%code, %address, %key, "{client_id}/{device_id} enrolled");
            http::json(&EnrolmentAnswer { client_id, device_id, signing_key: state.key.trusted().to_string() })
        }
    }
}

/// The same for an unknown code and for one with another secret.
fn unknown() -> ApiError {
    ApiError::new(ErrorCode::UnknownCode, "unknown enrolment code; `tilth-hub device enroll` makes one")
}

fn error_of(rejection: CodeRejection) -> ApiError {
    ApiError::new(rejection.code(), rejection.to_string())
}
