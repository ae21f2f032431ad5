//! ntfy: a message to a topic. Pure, up to the request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use tilth_core::plan::Severity;

use crate::http::Request;
use crate::message::Message;
use crate::secret::Secret;
use crate::text::Text;

/// Longest name of a sequence that ntfy accepts, in characters.
const MAX_SEQUENCE: usize = 64;

/// Longest body, in bytes. ntfy makes a longer one an attachment, which phones do not show.
const MAX_BODY: usize = 4000;

pub(crate) fn request(url: &str, topic: &str, token: Option<&Secret>, message: &Message) -> Request {
    let text = Text::of(message);
    let mut headers = HeaderMap::new();
    headers.insert("title", header(&text.title));
    headers.insert("priority", HeaderValue::from_static(priority(text.severity)));
    headers.insert("tags", HeaderValue::from_static(tags(text.severity)));
    if let Ok(id) = HeaderValue::from_str(&message.id()) {
        // A server that knows sequences (2.16) shows a repeated message in place of the first.
        if id.len() <= MAX_SEQUENCE {
            headers.insert("x-sequence-id", id.clone());
        }
        headers.insert(HeaderName::from_static("x-tilth-notification"), id);
    }
    if let Some(mut value) = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let mut body = text.body;
    body.truncate(body.floor_char_boundary(MAX_BODY));
    Request { url: format!("{url}/{topic}"), headers, body: body.into_bytes() }
}

/// From 1 to 5: the highest rings until somebody looks.
const fn priority(severity: Option<Severity>) -> &'static str {
    match severity {
        None => "2",
        Some(Severity::Preventive) => "3",
        Some(Severity::Warning) => "4",
        Some(Severity::Critical | Severity::Urgent) => "5",
    }
}

/// What phones show as a sign before the title.
const fn tags(severity: Option<Severity>) -> &'static str {
    match severity {
        None => "white_check_mark,resolved",
        Some(Severity::Preventive) => "eyes",
        Some(Severity::Warning) => "warning",
        Some(Severity::Critical) => "rotating_light",
        Some(Severity::Urgent) => "rotating_light,sos",
    }
}

/// A header holds ASCII; anything else goes as RFC 2047 writes it, which ntfy reads.
fn header(text: &str) -> HeaderValue {
    let plain = text.chars().all(|c| c.is_ascii() && !c.is_ascii_control()) && !text.contains("=?");
    let value = if plain { text.to_owned() } else { format!("=?UTF-8?B?{}?=", STANDARD.encode(text)) };
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("Tilth"))
}

#[cfg(test)]
mod tests {
    use tilth_core::escalate::Cause;

    use super::*;
    use crate::notification::Notification;
    use crate::notification::samples::page;
    use crate::text::tests::messages;

    /// ntfy refuses a message whose sequence has a name of more than 64 characters, and such a refusal is final.
    #[test]
    fn a_sequence_that_ntfy_would_refuse_is_left_out() {
        let sequence = |id: String| {
            let message =
                messages(vec![Notification { id, ..page(1, 1, Severity::Urgent, Cause::Fired) }], 10).remove(0);
            let request = request("http://x", "farm", None, &message);
            assert_eq!(request.headers["x-tilth-notification"], message.id());
            request.headers.get("x-sequence-id").is_some()
        };
        assert!(sequence("a".repeat(64)));
        assert!(!sequence("a".repeat(65)));
    }
}
