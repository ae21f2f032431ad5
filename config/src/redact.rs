//! Redaction: which parts of a configuration are never shown: values of keys that name a secret, user info, path and query of addresses,
//! and texts in the form of a token. An ntfy topic is one of these values: on a server that asks no token, anyone who knows the topic reads
//! and writes there. The file and line that an explanation names lead a reader with access to the topic.
//!
//! ```text
//! tree     -- KeyContext: which keys lead to a secret --> Node::hidden --> messages, explain
//! messages -- text(): addresses and tokens ------------------------------> findings, log, status, hub
//! file     -- masked(): the same of a text that may be broken ----------> the lines that a terminal shows, help for mistakes
//! ```
//!
//! Every excerpt of a configuration goes through one of these. A secret's *name*, as in `secret:phone`, is shown.

mod address;
mod keys;
mod name;
mod scan;
mod token;

use std::borrow::Cow;
use std::ops::Range;

use address::Addresses;
pub(crate) use keys::{KeyContext, names_address};
pub(crate) use scan::SecretSpans;

pub use name::SecretName;
pub use token::is_token;

/// Replaces a hidden value in a message.
pub(crate) const NOT_SHOWN: &str = "(not shown)";

/// Replaces a hidden part of a text.
const CUT: &str = "..";

/// A text as it may be shown: of addresses scheme, host and port, and no tokens.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    let ranges = hidden_parts(text);
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for range in ranges {
        shown.push_str(&text[at..range.start]);
        shown.push_str(CUT);
        at = range.end;
    }
    shown.push_str(&text[at..]);
    Cow::Owned(shown)
}

/// A whole file as it may be shown: as long as it was, so that everything is in its place.
pub(crate) fn masked(text: &str) -> String {
    let mut ranges: Vec<Range<usize>> = SecretSpans::of(text).into_ranges();
    ranges.extend(hidden_parts(text));
    blanked(text, merged(ranges), b'*')
}

/// A text with some of its bytes replaced, each line as long as it was.
pub(crate) fn blanked(text: &str, ranges: Vec<Range<usize>>, with: u8) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges {
        let shown = bytes[range].iter_mut().filter(|byte| !matches!(**byte, b'\n' | b'\r'));
        shown.for_each(|byte| *byte = with);
    }
    // Ranges begin and end between characters.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Scheme, host and port of an address.
pub fn server(url: &str) -> String {
    let begin = url.find("://").map_or(0, |at| at + "://".len());
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
    let user_info = url[begin..end].rfind('@').map_or(0, |at| at + 1);
    format!("{}{}", &url[..begin], &url[begin + user_info..end])
}

/// What stands behind `://`, where a scheme stands before it (RFC 3986, section 3.1) and not a path.
pub(crate) fn behind_scheme(text: &str) -> Option<usize> {
    let at = text.find("://")?;
    let scheme = text[..at].trim_start_matches([' ', '\t', '"', '\'', '[']);
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some(at + "://".len())
}

/// A TOML text in which nothing is wrong, with blanks for its comments.
pub(crate) fn without_comments(text: &str) -> String {
    blanked(text, scan::comments(text), b' ')
}

/// Whether a text is the name of a secret, as documents write it, and not what it stands for.
pub(crate) fn is_name(text: &str) -> bool {
    text.strip_prefix("secret:").and_then(SecretName::new).is_some()
}

/// The parts of a text that are hidden under every key, rising and apart.
fn hidden_parts(text: &str) -> Vec<Range<usize>> {
    let Addresses { mut hidden, spans } = Addresses::of(text);
    // An address with something in the form of a token keeps its host.
    let begins = [0].into_iter().chain(spans.iter().map(|span| span.end));
    let ends = spans.iter().map(|span| span.start).chain([text.len()]);
    for (begin, end) in begins.zip(ends) {
        let tokens = token::hidden(&text[begin..end]);
        hidden.extend(tokens.into_iter().map(|token| begin + token.start..begin + token.end));
    }
    merged(hidden)
}

/// Ranges in rising order, those that touch made one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_user_info_and_query_and_texts_their_tokens() {
        for (said, shown) in [
            ("https://ntfy.example/farm", "https://ntfy.example/.."),
            ("https://ntfy.example/", "https://ntfy.example/"),
            ("https://user:word@ntfy.example/farm", "https://..@ntfy.example/.."),
            ("https://user@ntfy.example", "https://..@ntfy.example"),
            ("https://user:w/o@rd@ntfy.example", "https://..@ntfy.example"),
            ("at \"https://u:p@a\", \"https://b/c@d\"", "at \"https://..@a\", \"https://..@d\""),
            ("https://user:word/and/more", "https://.."),
            ("https://[2001:db8::a]:443/x", "https://[2001:db8::a]:443/.."),
            ("https://[2001:db8::a]", "https://[2001:db8::a]"),
            ("https://ntfy.example/?auth=QmFzaWM", "https://ntfy.example/?.."),
            ("https://ntfy.example/?auth=a b", "https://ntfy.example/?.. b"),
            ("mqtt://u:p@broker:1883 is no broker", "mqtt://..@broker:1883 is no broker"),
            ("i2c:main/sht31@0x44/temperature", "i2c:main/sht31@0x44/temperature"),
            ("https://hooks.slack.example/services/T0/B0/XyZ: no answer", "https://hooks.slack.example/..: no answer"),
            ("https://hooks.slack.example/services/0123456789abcdef01234567", "https://hooks.slack.example/.."),
            ("https://acme.office.example/webhookb2/1a-2b@3c-4d/In/5e", "https://acme.office.example/.."),
            ("\"http://ha.local:8123/api/webhook/some words\" is", "\"http://ha.local:8123/..\" is"),
            ("(https://api.telegram.example/bot12:Ab/send)", "(https://api.telegram.example/..)"),
            ("https://a.example#key, https://b.example/x.", "https://a.example#.., https://b.example/..."),
            ("https://0123456789abcdef01234567.hooks.example/x", "https://../.."),
            ("key=0123456789abcdef01234567://x", "..://x"),
            ("at https://", "at https://"),
            ("token tk_AgQdq7mVBoFD37zQVN29 is wrong", "token .. is wrong"),
            (
                "/dev/serial/by-id/usb-Arduino_85735313932351F0A1C185735313-if00",
                "/dev/serial/by-id/usb-Arduino_85735313932351F0A1C185735313-if00",
            ),
            ("greenhouse-temperature-sensor-number-12", "greenhouse-temperature-sensor-number-12"),
        ] {
            assert_eq!(text(said), shown, "{said}");
        }
    }
}
