//! Error answers: status, code for programs and message for people, as `application/problem+json`.

use std::fmt::Display;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tilth_protocol::{ErrorCode, Failure};

use crate::db::DbError;
use crate::domain::configs::ConfigError;

/// Error of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    failure: Failure,
    /// Value of `Retry-After`.
    retry_after: Option<Duration>,
    /// The connection is closed after the answer.
    closes: bool,
}

/// Wait after a full queue, which is far more than it needs.
const BUSY: Duration = Duration::from_secs(2);

/// Maximum length of a message, in bytes. A message may quote the request.
const MAX_MESSAGE: usize = 500;

impl ApiError {
    pub(super) fn new(error: ErrorCode, message: impl Into<String>) -> ApiError {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        ApiError { failure: Failure { error, message }, retry_after: None, closes: false }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::BadRequest, message)
    }

    pub(super) fn too_many(wait: Duration, message: impl Into<String>) -> ApiError {
        ApiError { retry_after: Some(wait), ..ApiError::new(ErrorCode::TooMany, message) }
    }

    /// Closes the connection after the answer.
    pub(super) fn and_close(self) -> ApiError {
        ApiError { closes: true, ..self }
    }

    /// An internal error, whose cause is only in the log.
    pub(super) fn internal(error: impl Display) -> ApiError {
        tracing::error!(%error, "request failed");
        ApiError::new(ErrorCode::Internal, "internal error of the hub; see its log")
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> ApiError {
        match error {
            DbError::Busy => ApiError::too_many(BUSY, error.to_string()),
            DbError::TooCostly => {
                tracing::warn!("request aborted: it takes too long");
                ApiError::new(ErrorCode::TooLarge, error.to_string())
            }
            DbError::NoDevice { device, .. } => {
                ApiError::new(ErrorCode::NotFound, format!("there is no device {device}"))
            }
            DbError::NoSensor(_) => ApiError::new(ErrorCode::NotFound, error.to_string()),
            DbError::AmbiguousSensor { .. }
            | DbError::Configuration(ConfigError::NoVersion | ConfigError::Ahead { .. }) => {
                ApiError::bad_request(error.to_string())
            }
            DbError::Configuration(ConfigError::Stored(_) | ConfigError::TooLarge(_))
            | DbError::Unusable(_)
            | DbError::Stopping
            | DbError::Sql(_)
            | DbError::Damaged(_) => ApiError::internal(error),
        }
    }
}

/// Body of an error: RFC 9457, and the two keys that agents read.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.failure.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let Failure { message, .. } = &self.failure;
        let title = status.canonical_reason().unwrap_or_default();
        let problem = Problem { failure: &self.failure, title, status: status.as_u16(), detail: message };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up, so that the retry is not rejected again.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, (seconds as u64).into());
        }
        if self.closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
