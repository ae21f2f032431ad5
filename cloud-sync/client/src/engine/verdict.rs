//! What an exchange means: one table from status, body and failure to what the engine does about it.

use std::collections::BTreeMap;

use serde::Deserialize;
use tilth_config::redact;
use tilth_core::time::Span;
use tilth_protocol::{Epoch, ErrorCode, Failure, Lane, RejectedRow};

use crate::transport::{Broken, Exchange, Reply};

/// The most of a strange answer that is repeated to people.
const QUOTED_CHARS: usize = 60;

/// The most characters of the hub's reason for a row that it cannot take.
const REASON_CHARS: usize = 200;

/// As much of a strange answer is looked at.
const MOST_READ: usize = 4096;

/// What the hub's exchange means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// The batch was taken.
    Taken(Taken),
    /// 401, 403: the key opens nothing here.
    Refused(String),
    /// 409 `stream-conflict`.
    Conflict(String),
    /// 413.
    TooLarge(String),
    /// 400, 422: the hub cannot read it.
    Unreadable(String),
    /// Anything that passes: wait and try again. The hub may say how long.
    Trouble {
        /// Why.
        why: String,
        /// How long the hub asks to wait.
        wait: Option<Span>,
    },
    /// The link did not carry it: wait, and try less at once.
    Slow(String),
    /// There is no way to the hub.
    Unreachable(String),
}

/// An answer to a batch, as far as this agent knows its words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taken {
    /// The hub's epoch.
    pub(super) epoch: Epoch,
    /// By lane, the highest sequence at and below which everything is accounted for.
    pub(super) confirmed: BTreeMap<Lane, u64>,
    /// Rows that cannot be stored.
    pub(super) poison: Vec<RejectedRow>,
    /// The version of the configuration that waits.
    pub(super) config_version: Option<u64>,
    /// How many confirmations and poison entries name lanes that this agent does not know.
    pub(super) unknown: u64,
}

/// What a hub may say. Wider than [`tilth_protocol::Answer`], so that a newer hub with more lanes is understood.
#[derive(Deserialize)]
struct RawAnswer {
    epoch: Epoch,
    confirmed: BTreeMap<String, u64>,
    #[serde(default)]
    poison: Vec<RawPoison>,
    #[serde(default)]
    config_version: Option<u64>,
}

#[derive(Deserialize)]
struct RawPoison {
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
        200 => taken(&reply.body),
        status => refusal(status, reply),
    }
}

/// What a failure of the transport means.
pub(super) fn broken(kind: Broken, why: String) -> Verdict {
    match kind {
        // What speaks no TLS may be a captive portal: gone once somebody has logged in.
        Broken::NoConnection | Broken::NoTls => Verdict::Unreachable(why),
        Broken::TimedOut | Broken::CutOff => Verdict::Slow(why),
        Broken::Untrusted | Broken::TooLong | Broken::Garbled => Verdict::Trouble { why, wait: None },
    }
}

/// What a status other than success means. Shared with the pull of configuration.
pub(super) fn refusal(status: u16, reply: &Reply) -> Verdict {
    let failure = serde_json::from_slice::<Failure>(&reply.body).ok();
    // Whatever answers may repeat what it was asked, and with which key.
    let shown = |text: &str| redact::text(text).into_owned();
    let is_conflict = failure.as_ref().is_some_and(|failure| failure.error == ErrorCode::StreamConflict);
    let why = match failure {
        Some(failure) => format!("the hub answered {status}: {}", shown(&failure.message)),
        None => format!("answered {status}, not in the hub's words: {}", quote(&reply.body)),
    };
    match status {
        401 | 403 => Verdict::Refused(why),
        409 if is_conflict => Verdict::Conflict(why),
        413 => Verdict::TooLarge(why),
        400 | 422 => Verdict::Unreadable(why),
        408 | 504 => Verdict::Slow(why),
        _ => Verdict::Trouble { why, wait: reply.retry_after },
    }
}

fn taken(body: &[u8]) -> Verdict {
    let raw: RawAnswer = match serde_json::from_slice(body) {
        Ok(raw) => raw,
        Err(_) => {
            let why = format!("answered 200, not in the hub's words: {}", quote(body));
            return Verdict::Trouble { why, wait: None };
        }
    };
    let lane = |name: &str| Lane::ALL.into_iter().find(|lane| lane.name() == name);
    let known = |entry: &RawPoison| lane(&entry.lane).is_some();
    let unknown = raw.confirmed.keys().filter(|name| lane(name).is_none()).count()
        + raw.poison.iter().filter(|entry| !known(entry)).count();
    Verdict::Taken(Taken {
        epoch: raw.epoch,
        confirmed: raw.confirmed.iter().filter_map(|(name, &seq)| Some((lane(name)?, seq))).collect(),
        poison: raw
            .poison
            .into_iter()
            .filter_map(|entry| {
                Some(RejectedRow { lane: lane(&entry.lane)?, seq: entry.seq, reason: plain(&entry.reason) })
            })
            .collect(),
        config_version: raw.config_version,
        unknown: unknown as u64,
    })
}

/// A reason of the hub on one line, as it goes into the log: whoever answers in its place writes no lines of his own there.
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
mod tests {
    use super::*;
    use crate::transport::TransportError;

    const ANSWER: &str = r#"{"epoch":"00000000000000000000000000000001","confirmed":{"events":3,"raw":9},
        "poison":[{"lane":"raw","seq":1,"reason":"r"},{"lane":"windows","seq":7,"reason":"NaN"}],"config_version":4,"now":5}"#;

    fn failure(code: ErrorCode) -> String {
        serde_json::to_string(&Failure { error: code, message: "m".to_owned() }).unwrap()
    }

    #[test]
    fn a_reason_stays_on_its_line() {
        let answer = ANSWER.replace("NaN", &format!("\\u001b[2J\\nforged{}", "x".repeat(900)));
        let reply = Reply { status: 200, body: answer.clone().into_bytes(), ..Reply::default() };
        let verdict = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 });
        let Verdict::Taken(taken) = verdict else { panic!("{answer}") };
        let reason = &taken.poison[0].reason;
        assert!(reason.starts_with(" [2J forged") && reason.chars().count() == REASON_CHARS, "{reason:?}");
    }

    #[test]
    fn every_answer_has_a_meaning() {
        let word = |verdict: &Verdict| match verdict {
            Verdict::Taken(_) => "taken",
            Verdict::Refused(_) => "refused",
            Verdict::Conflict(_) => "conflict",
            Verdict::TooLarge(_) => "too large",
            Verdict::Unreadable(_) => "unreadable",
            Verdict::Trouble { .. } => "trouble",
            Verdict::Slow(_) => "slow",
            Verdict::Unreachable(_) => "unreachable",
        };
        for (status, body, expected) in [
            (200, ANSWER.to_owned(), "taken"),
            (200, ANSWER[..60].to_owned(), "trouble"),
            (200, String::new(), "trouble"),
            (200, "<html>Log in to FarmNet</html>".to_owned(), "trouble"),
            (200, "[]".to_owned(), "trouble"),
            (200, ANSWER.replace(":3", ":\"3\""), "trouble"),
            (200, ANSWER.replace(":3", ":-3"), "trouble"),
            (200, ANSWER.replace("0001", "xyz1"), "trouble"),
            (204, String::new(), "trouble"),
            (302, String::new(), "trouble"),
            (400, failure(ErrorCode::BadRequest), "unreadable"),
            (422, "lanes: missing field".to_owned(), "unreadable"),
            (401, failure(ErrorCode::UnknownKey), "refused"),
            (403, String::new(), "refused"),
            (404, failure(ErrorCode::NotFound), "trouble"),
            (408, String::new(), "slow"),
            (409, failure(ErrorCode::StreamConflict), "conflict"),
            (409, failure(ErrorCode::Internal), "trouble"),
            (409, "<html>".to_owned(), "trouble"),
            (413, String::new(), "too large"),
            (429, failure(ErrorCode::TooMany), "trouble"),
            (500, failure(ErrorCode::Internal), "trouble"),
            (503, "busy".to_owned(), "trouble"),
            (700, String::new(), "trouble"),
        ] {
            let reply = Reply { status, body: body.clone().into_bytes(), ..Reply::default() };
            let verdict = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 });
            assert_eq!(word(&verdict), expected, "{status} {body}");
        }
        for (kind, expected) in [
            (Broken::NoConnection, "unreachable"),
            (Broken::Untrusted, "trouble"),
            (Broken::NoTls, "unreachable"),
            (Broken::TimedOut, "slow"),
            (Broken::CutOff, "slow"),
            (Broken::TooLong, "trouble"),
            (Broken::Garbled, "trouble"),
        ] {
            let error = TransportError { peer: "https://hub:443".to_owned(), kind, detail: "d".to_owned() };
            assert_eq!(error.retry_helps(), kind != Broken::Untrusted);
            let verdict = judge(&Exchange { outcome: Err(error), sent: 0, received: 0 });
            assert_eq!(word(&verdict), expected, "{kind:?}");
        }
    }

    #[test]
    fn lanes_that_are_not_known_are_counted_and_left_out() {
        let reply = Reply { status: 200, body: ANSWER.into(), ..Reply::default() };
        let Verdict::Taken(taken) = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 }) else {
            panic!("expected an answer");
        };
        assert_eq!(taken.confirmed, BTreeMap::from([(Lane::Events, 3)]));
        assert_eq!(taken.poison, [RejectedRow { lane: Lane::Windows, seq: 7, reason: "NaN".to_owned() }]);
        assert_eq!((taken.unknown, taken.config_version), (2, Some(4)));
    }

    #[test]
    fn a_key_that_is_sent_back_is_not_repeated() {
        let key = format!("dev_ak_0123456789ab_{}", "5e".repeat(32));
        for body in [format!("X-Device-Key: {key}"), failure(ErrorCode::UnknownKey).replace("key", &key)] {
            for status in [200, 401, 500] {
                let reply = Reply { status, body: body.clone().into_bytes(), ..Reply::default() };
                let verdict = format!("{:?}", judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 }));
                assert!(!verdict.contains("5e5e"), "{verdict}");
            }
        }
    }

    #[test]
    fn people_are_told_of_a_captive_portal() {
        let reply = Reply { status: 200, body: b" \r\n<!DOCTYPE html>".to_vec(), ..Reply::default() };
        let Verdict::Trouble { why, .. } = judge(&Exchange { outcome: Ok(reply), sent: 0, received: 0 }) else {
            panic!("expected trouble");
        };
        assert!(why.contains("captive portal"), "{why}");
    }
}
