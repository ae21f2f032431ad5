//! The hub's answers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tilth_core::time::WallTime;

use crate::batch::Lane;
use crate::random_id::Epoch;

/// The answer to a batch that was stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Epoch of the hub's database. Confirmations of another epoch mean nothing in this one.
    pub epoch: Epoch,
    /// For each lane of the stream, the highest sequence up to which every sequence is accounted for.
    pub confirmed: BTreeMap<Lane, u64>,
    /// Rows that the hub cannot store. The device quarantines them.
    #[serde(rename = "poison", default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedRow>,
    /// Version of a configuration that the device has yet to fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<u64>,
    /// The hub's time of day.
    pub now: WallTime,
}

/// A row that the hub rejected, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedRow {
    /// Lane of the row.
    pub lane: Lane,
    /// Sequence of the row in its lane.
    pub seq: u64,
    /// What is wrong with the row, and what was expected.
    pub reason: String,
}

/// The part of an error's body that agents read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Error code, for programs.
    pub error: ErrorCode,
    /// What was expected, for people.
    pub message: String,
}

/// Error codes, each with its HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// 400: the request is malformed.
    BadRequest,
    /// 401: no key, an unknown key, or a revoked one.
    UnknownKey,
    /// 403: the key is for another device, tenant or route.
    Forbidden,
    /// 404: no such resource for this key.
    NotFound,
    /// 405: the route has other methods; `Allow` names them.
    MethodNotAllowed,
    /// 409: a known sequence with other content, or two agents with one key.
    StreamConflict,
    /// 404: no such enrolment code, or another secret.
    UnknownCode,
    /// 409: another device was enrolled with the code.
    UsedCode,
    /// 410: the enrolment code is too old.
    ExpiredCode,
    /// 410: the enrolment code was revoked, or the key that it was exchanged for.
    RevokedCode,
    /// 413: more than a batch may hold.
    TooLarge,
    /// 429: too many requests; `Retry-After` says when to retry.
    TooMany,
    /// 500: internal error of the hub.
    Internal,
}

impl ErrorCode {
    /// HTTP status of the error.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            ErrorCode::BadRequest => 400,
            ErrorCode::UnknownKey => 401,
            ErrorCode::Forbidden => 403,
            ErrorCode::NotFound | ErrorCode::UnknownCode => 404,
            ErrorCode::MethodNotAllowed => 405,
            ErrorCode::StreamConflict | ErrorCode::UsedCode => 409,
            ErrorCode::ExpiredCode | ErrorCode::RevokedCode => 410,
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
