//! What an exchange means: one table from status, body and failure to what the engine does about it.

use std::collections::BTreeMap;

use serde::Deserialize;
use tilth_config::redact;
use tilth_core::time::Span;
use tilth_protocol::{Epoch, ErrorCode, Failure, Lane, RejectedRow};

use crate::transport::{Exchange, Reply, TransportErrorKind};

/// The most of a strange answer that is repeated to people.
const QUOTED_CHARS: usize = 60;

/// The most characters of the hub's reason for a row that it cannot take.
const REASON_CHARS: usize = 200;

/// As much of a strange answer is looked at.
const MOST_READ: usize = 4096;

/// What the hub's exchange means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// The batch was accepted.
    Accepted(Accepted),
    /// 401, 403: the hub rejects the device key.
    Rejected(String),
    /// 409 `stream-conflict`.
    Conflict(String),
    /// 413.
    TooLarge(String),
    /// 400, 422: the hub cannot read it.
    Unreadable(String),
    /// A failure that passes: wait and try again. The hub may say how long.
    BackOff {
        /// Why.
        why: String,
        /// How long the hub asks to wait.
        wait: Option<Span>,
    },
    /// The link did not carry it: wait, and try less at once.
    Slow(String),
    /// The hub cannot be reached.
    Unreachable(String),
}

/// An answer to a batch, as far as this agent knows its fields.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accepted {
    /// The hub's epoch.
    pub(super) epoch: Epoch,
    /// By lane, the highest sequence at and below which everything is accounted for.
    pub(super) confirmed: BTreeMap<Lane, u64>,
    /// Rows that cannot be stored.
    pub(super) rejected: Vec<RejectedRow>,
    /// The version of the configuration that waits.
    pub(super) config_version: Option<u64>,
    /// How many confirmations and rejected rows name lanes that this agent does not know.
    pub(super) unknown: u64,
}

/// What a hub may say. Wider than [`tilth_protocol::Answer`], so that a newer hub with more lanes is understood.
#[derive(Deserialize)]
struct RawAnswer {
    epoch: Epoch,
    confirmed: BTreeMap<String, u64>,
    #[serde(default, rename = "poison")]
    rejected: Vec<RawRejected>,
    #[serde(default)]
    config_version: Option<u64>,
}

#[derive(Deserialize)]
struct RawRejected {
    lane: String,
    seq: u64,
    reason: String,
}

/// Judges the exchange of a batch.
pub(super) fn judge(exchange: &Exchange) -> Verdict {
    let reply = match &exchange.outcome {
        Ok(reply) => reply,
        Err(error) => return broken(error.kind, error.to_string()),
    };
    match reply.status {
        200 => accepted(&reply.body),
        status => refusal(status, reply),
    }
}

/// What a failure of the transport means.
pub(super) fn broken(kind: TransportErrorKind, why: String) -> Verdict {
    match kind {
        // What speaks no TLS may be a captive portal: gone once somebody has logged in.
        TransportErrorKind::NoConnection | TransportErrorKind::NoTls => Verdict::Unreachable(why),
        TransportErrorKind::TimedOut | TransportErrorKind::CutOff => Verdict::Slow(why),
        TransportErrorKind::Untrusted | TransportErrorKind::TooLong | TransportErrorKind::Garbled => {
            Verdict::BackOff { why, wait: None }
        }
    }
}

/// What a status other than success means. Shared with the pull of configuration.
pub(super) fn refusal(status: u16, reply: &Reply) -> Verdict {
    let failure = serde_json::from_slice::<Failure>(&reply.body).ok();
    // A server may repeat in its answer what it was asked, and with which key.
    let shown = |text: &str| redact::text(text).into_owned();
    let is_conflict = failure.as_ref().is_some_and(|failure| failure.error == ErrorCode::StreamConflict);
    let why = match failure {
        Some(failure) => format!("the hub answered {status}: {}", shown(&failure.message)),
        None => format!("answered {status}, not a hub's answer: {}", quote(&reply.body)),
    };
    match status {
        401 | 403 => Verdict::Rejected(why),
        409 if is_conflict => Verdict::Conflict(why),
        413 => Verdict::TooLarge(why),
        400 | 422 => Verdict::Unreadable(why),
        408 | 504 => Verdict::Slow(why),
        _ => Verdict::BackOff { why, wait: reply.retry_after },
    }
}

fn accepted(body: &[u8]) -> Verdict {
    let raw: RawAnswer = match serde_json::from_slice(body) {
        Ok(raw) => raw,
        Err(_) => {
            let why = format!("answered 200, not a hub's answer: {}", quote(body));
            return Verdict::BackOff { why, wait: None };
        }
    };
    let lane = |name: &str| Lane::ALL.into_iter().find(|lane| lane.name() == name);
    let known = |entry: &RawRejected| lane(&entry.lane).is_some();
    let unknown = raw.confirmed.keys().filter(|name| lane(name).is_none()).count()
        + raw.rejected.iter().filter(|entry| !known(entry)).count();
    Verdict::Accepted(Accepted {
        epoch: raw.epoch,
        confirmed: raw.confirmed.iter().filter_map(|(name, &seq)| Some((lane(name)?, seq))).collect(),
        rejected: raw
            .rejected
            .into_iter()
            .filter_map(|entry| {
                Some(RejectedRow { lane: lane(&entry.lane)?, seq: entry.seq, reason: plain(&entry.reason) })
            })
            .collect(),
        config_version: raw.config_version,
        unknown: unknown as u64,
    })
}

/// A reason of the hub on one line, as it goes into the log: a server in place of the hub cannot add lines of its own there.
fn plain(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS).collect()
}

/// Whether a body is a page for people, as a captive portal gives it.
pub(super) fn is_page(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

fn quote(body: &[u8]) -> String {
    if body.is_empty() {
        return "nothing".to_owned();
    }
    if is_page(body) {
        return "a web page (a captive portal or proxy in between?)".to_owned();
    }
    let body = String::from_utf8_lossy(&body[..body.len().min(MOST_READ)]);
    let text: String = redact::text(&body).chars().take(QUOTED_CHARS).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests;
