//! Webhook: events as JSON, signed so that the receiver can check sender and time. Pure, up to the request.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use ring::hmac;
use serde::Serialize;
use serde_json::value::RawValue;
use tilth_core::id::Id;
use tilth_core::rules::DisplayValue;
use tilth_core::time::{Stamp, WallTime};

use crate::http::Request;
use crate::message::{Item, Message};
use crate::notification::{Kind, Notification};
use crate::secret::Secret;

/// What is posted: the same as one event, or several in a digest.
#[derive(Serialize)]
struct Body<'a> {
    /// Id, the same at every attempt: a receiver drops what it has.
    notification: String,
    repeat: bool,
    /// Milliseconds since 1970, as in the header; null while the clock is not trusted. Signed with the rest.
    sent_at: Option<i64>,
    /// Earlier notifications that were given up.
    undelivered: u32,
    events: Vec<Event<'a>>,
}

/// An alert's event, with the keys of every place that events are sent to.
#[derive(Serialize)]
struct Event<'a> {
    notification: &'a str,
    repeat: bool,
    event: &'static str,
    alert: Option<u64>,
    zone: &'a str,
    rule: &'a str,
    sensor: &'a str,
    state: &'static str,
    severity: &'static str,
    /// Why people are told now, or why the alert is over.
    reason: &'static str,
    value: Option<Box<RawValue>>,
    limit: Option<Box<RawValue>>,
    unit: &'a str,
    at: Option<String>,
    since: Option<String>,
    reading_ts: Option<i64>,
    message: &'a str,
    advice: Option<&'a str>,
    /// Why the sensor's input fails, or how its bus is.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    undelivered_pages: u32,
    /// Channels that gave this notification up, so that it comes here.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of: Option<&'a [Id]>,
}

pub(crate) fn request(url: &str, secret: &Secret, message: &Message, now: Option<WallTime>) -> Request {
    let body = Body {
        notification: message.id(),
        repeat: message.items.iter().any(|item| item.repeat),
        sent_at: now.map(|WallTime(ms)| ms),
        undelivered: message.undelivered,
        events: message.items.iter().map(event).collect(),
    };
    let body = serde_json::to_vec(&body).expect("texts and numbers make JSON");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    insert("x-tilth-signature", &format!("sha256={}", signature(secret, &body)));
    if let Some(WallTime(ms)) = now {
        insert("x-tilth-timestamp", &ms.to_string());
    }
    insert("x-tilth-notification", &message.id());
    insert("idempotency-key", &message.id());
    Request { url: url.to_owned(), headers, body }
}

/// The HMAC-SHA256 of a body, in hexadecimal.
fn signature(secret: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hex::encode(hmac::sign(&key, body))
}

fn event(item: &Item) -> Event<'_> {
    let Notification { id, kind, details, unit, why, instead, .. } = &*item.notification;
    let (event, state, reason) = match kind {
        Kind::Page(cause) => ("notify", "firing", cause.name()),
        Kind::Resolved(reason) => ("resolved", "resolved", reason.name()),
        Kind::Test => ("test", "test", "test"),
    };
    Event {
        notification: id,
        repeat: item.repeat,
        event,
        alert: details.alert.map(|alert| alert.0),
        zone: details.key.zone.as_str(),
        rule: details.key.rule.as_str(),
        sensor: details.key.sensor.as_str(),
        state,
        severity: details.severity.name(),
        reason,
        value: details.value.as_ref().and_then(number),
        limit: details.limit.as_ref().and_then(number),
        unit,
        at: wall(&details.at),
        since: wall(&details.since),
        reading_ts: details.reading_at.and_then(|stamp| stamp.wall).map(|WallTime(ms)| ms),
        message: &details.message,
        advice: details.advice.as_deref(),
        why: why.as_deref(),
        undelivered_pages: item.earlier,
        instead_of: instead.as_ref().map(|instead| instead.of.as_slice()),
    }
}

fn wall(stamp: &Stamp) -> Option<String> {
    stamp.wall.map(|wall| wall.to_string())
}

fn number(figure: &DisplayValue) -> Option<Box<RawValue>> {
    RawValue::from_string(figure.digits()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        let body = b"what do ya want for nothing?";
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(&Secret::of("Jefe"), body), expected);
    }
}
