//! Refusals: a status, a word for programs and a sentence for people, always as `application/problem+json`.

use std::fmt::Display;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tilth_protocol::{ErrorCode, Failure};

use crate::db::DbError;
use crate::domain::configs::ConfigError;

/// Why a request is not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    failure: Failure,
    /// When to come again.
    retry_after: Option<Duration>,
    /// The connection ends after this answer.
    closes: bool,
}

/// The disk is behind; it catches up in far less.
const BUSY: Duration = Duration::from_secs(2);

/// The most bytes of a sentence. It may quote what is wrong.
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

    /// Ends the connection with it, so that whoever goes on has to make another one.
    pub(super) fn and_close(self) -> ApiError {
        ApiError { closes: true, ..self }
    }

    /// The hub's own trouble: told in full in the log, and to nobody else.
    pub(super) fn internal(error: impl Display) -> ApiError {
        tracing::error!(%error, "request failed");
        ApiError::new(ErrorCode::Internal, "the hub has a problem of its own; its log says which")
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> ApiError {
        match error {
            DbError::Busy => ApiError::too_many(BUSY, error.to_string()),
            DbError::TooCostly => {
                tracing::warn!("a request was given up: it takes too long");
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

/// A refusal in the form of RFC 9457, with the two keys that agents read.
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
            // Whole seconds, and never so early that it is refused again.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, (seconds as u64).into());
        }
        if self.closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
