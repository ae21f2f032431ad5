//! What the hub answers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tilth_core::time::WallTime;

use crate::batch::Lane;
use crate::name::Epoch;

/// The answer to a batch that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The life of the hub's database. In another one, what was confirmed before means nothing.
    pub epoch: Epoch,
    /// For each lane of this stream the highest sequence below and at which everything is accounted for.
    pub confirmed: BTreeMap<Lane, u64>,
    /// Rows that cannot be stored; set them aside and state them as quarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poison: Vec<Poison>,
    /// The version of the configuration that waits for the device, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<u64>,
    /// The hub's time of day.
    pub now: WallTime,
}

/// A row that the hub cannot store, ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poison {
    /// Lane of the row.
    pub lane: Lane,
    /// Sequence of the row in its lane.
    pub seq: u64,
    /// What is wrong with the row, and what was expected.
    pub reason: String,
}

/// The body of every answer that refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of refusal.
    pub error: ErrorCode,
    /// What was expected, in words.
    pub message: String,
}

/// Kinds of refusal, each with its HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// 400: the request cannot be understood.
    BadRequest,
    /// 401: no key, or one that is not known or was revoked.
    UnknownKey,
    /// 403: a key for something else.
    Forbidden,
    /// 404: there is no such thing, or not for this key.
    NotFound,
    /// 405: there is such a thing, and it is asked for otherwise; `Allow` says how.
    MethodNotAllowed,
    /// 409: a known sequence with other content, or two agents that use one key.
    StreamConflict,
    /// 413: more than a batch may hold.
    TooLarge,
    /// 429: too many requests; `Retry-After` says when to come again.
    TooMany,
    /// 500: the hub's own trouble.
    Internal,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            ErrorCode::BadRequest => 400,
            ErrorCode::UnknownKey => 401,
            ErrorCode::Forbidden => 403,
            ErrorCode::NotFound => 404,
            ErrorCode::MethodNotAllowed => 405,
            ErrorCode::StreamConflict => 409,
            ErrorCode::TooLarge => 413,
            ErrorCode::TooMany => 429,
            ErrorCode::Internal => 500,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.error.status(), self.message)
    }
}
