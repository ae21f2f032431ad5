//! HTTP requests of channels: sending one, and what its answer means.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use tilth_core::time::Span;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::message::{Failure, Retry};

/// Timeouts of a request; short, since they delay the next attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Wait after a rejected token or an unknown topic, which a person has to repair.
const REFUSED_WAIT: Span = Span::from_mins(5);

/// Bytes of an answer that are read for the reason of a rejection.
const MAX_READ: usize = 4096;

/// Longest reason, in characters.
pub(crate) const MAX_REASON: usize = 240;

/// HTTP request of a message.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct PostError {
    pub(crate) failure: Failure,
    /// The server rejected the secret (401, 403).
    pub(crate) is_unauthorized: bool,
}

/// HTTP clients of all channels, each made when first needed.
#[derive(Debug)]
pub struct HttpClients {
    /// Name and version of the program.
    user_agent: &'static str,
    /// For http; without certificates.
    plain: OnceCell<Client>,
    /// For https; trusts the machine's certificate authorities.
    secure: OnceCell<Client>,
}

impl HttpClients {
    /// Makes no client yet.
    #[must_use]
    pub fn new(user_agent: &'static str) -> HttpClients {
        HttpClients { user_agent, plain: OnceCell::new(), secure: OnceCell::new() }
    }

    /// Client for an address; after an error the next page tries to make one again.
    pub(crate) async fn of(&self, url: &str) -> Result<&Client, String> {
        let is_plain = url.starts_with("http://");
        let client = if is_plain { &self.plain } else { &self.secure };
        let user_agent = self.user_agent;
        // The machine's certificates are read from its disk.
        let make = move || client_of(user_agent, is_plain);
        let made = || async move { spawn_blocking(make).await.map_err(|end| end.to_string())? };
        client.get_or_try_init(made).await
    }
}

/// Follows no redirect: that could send a token to another server.
fn client_of(user_agent: &'static str, is_plain: bool) -> Result<Client, String> {
    // Installed already, when somebody else needed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(user_agent)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // No kept connections: the next page must not be the one that finds a dead one.
        .pool_max_idle_per_host(0);
    let builder = if is_plain { builder.tls_certs_only([]) } else { builder };
    builder.build().map_err(|error| cause(&error))
}

/// Sends a request and waits for the answer.
pub(crate) async fn post(client: &Client, request: Request) -> Result<(), PostError> {
    let sent = client.post(request.url).headers(request.headers).body(request.body).send().await;
    match sent {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(PostError {
            is_unauthorized: matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
            failure: rejection(answer).await,
        }),
        Err(error) => Err(PostError { is_unauthorized: false, failure: connection_failure(error) }),
    }
}

fn connection_failure(error: reqwest::Error) -> Failure {
    let is_plain = error.url().is_some_and(|url| url.scheme() == "http");
    let (is_sent, is_connect) = (!error.is_builder(), error.is_connect());
    // The address may contain a secret.
    let mut reason = cause(&error.without_url());
    if is_plain && reason.starts_with("invalid HTTP") {
        reason.push_str("; it may want https, as url then has to say");
    }
    // Connected, and then no valid answer: the message may have arrived.
    let retry_after = (!is_sent).then_some(REFUSED_WAIT);
    Failure { reason, retry: Retry::UntilExpired, retry_after, may_have_arrived: is_sent && !is_connect }
}

async fn rejection(mut answer: Response) -> Failure {
    let status = answer.status();
    let (retry, retry_after) = retry_of(status, asked(answer.headers()));
    let text = match answer.chunk().await {
        Ok(Some(bytes)) => printable(&bytes),
        Ok(None) | Err(_) => String::new(),
    };
    let reason = if text.is_empty() { format!("answered {status}") } else { format!("answered {status}: {text}") };
    Failure { reason, retry, retry_after, may_have_arrived: false }
}

/// Whether and when to retry a request that was rejected; `asked` is the `Retry-After` of the answer.
///
/// | answer | meaning | retry |
/// | --- | --- | --- |
/// | any with `Retry-After` | accepted later | then |
/// | 408, 421, 423, 425, 429, 5xx | the server is busy or ill | soon, later and later |
/// | 401, 402, 403, 404, 405, 407, 410, 3xx | address, token or account: a person repairs it | every 5 minutes |
/// | 413, 414, 415, 431 | this request is too large or of no use | never |
/// | every other 4xx (400, 409, 422 ..) | this request is refused | a few times |
fn retry_of(status: StatusCode, asked: Option<Span>) -> (Retry, Option<Span>) {
    if asked.is_some() {
        return (Retry::UntilExpired, asked);
    }
    match status.as_u16() {
        408 | 421 | 423 | 425 | 429 | 500.. => (Retry::UntilExpired, None),
        ..=399 | 401..=405 | 407 | 410 => (Retry::UntilExpired, Some(REFUSED_WAIT)),
        413..=415 | 431 => (Retry::Never, None),
        _ => (Retry::Few, None),
    }
}

/// `Retry-After`: seconds, or an instant relative to the server's own `Date`; anything else is ignored. The queue bounds the wait.
fn asked(headers: &HeaderMap) -> Option<Span> {
    let header = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let text = header(RETRY_AFTER)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Span::from_secs(i64::from(text.parse().unwrap_or(u32::MAX))));
    }
    let instant = |text| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    let wait = instant(text)?.duration_since(instant(header(DATE)?)?);
    Some(Span::from_secs(wait.as_secs().max(0)))
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_READ)]);
    text.replace(char::is_control, " ").trim().to_owned()
}

fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() { format!("no answer in time ({cause})") } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_says_whether_it_may_be_taken_later() {
        let soon = (Retry::UntilExpired, None);
        let mended = (Retry::UntilExpired, Some(REFUSED_WAIT));
        let (few, never) = ((Retry::Few, None), (Retry::Never, None));
        for (codes, expected) in [
            (&[408, 421, 423, 425, 429, 500, 501, 502, 503, 504, 507, 511, 520, 599][..], soon),
            (&[300, 301, 302, 304, 307, 308, 401, 402, 403, 404, 405, 407, 410], mended),
            (&[413, 414, 415, 431], never),
            (&[400, 406, 409, 411, 412, 416, 417, 418, 422, 424, 426, 428, 451, 499], few),
        ] {
            for code in codes {
                let status = StatusCode::from_u16(*code).unwrap();
                assert_eq!(retry_of(status, None), expected, "{code}");
                let asked = Some(Span::from_secs(7));
                assert_eq!(retry_of(status, asked), (Retry::UntilExpired, asked), "{code} with Retry-After");
            }
        }
    }

    #[test]
    fn patience_is_asked_for_in_seconds_or_until_an_instant() {
        let date = "Wed, 21 Oct 2026 07:28:00 GMT";
        for (retry_after, date, secs) in [
            ("20", None, Some(20)),
            (" 0 ", None, Some(0)),
            ("Wed, 21 Oct 2026 07:30:30 GMT", Some(date), Some(150)),
            ("Wed, 21 Oct 2026 07:27:00 GMT", Some(date), Some(0)),
            ("Wed, 21 Oct 2026 07:30:30 GMT", None, None),
            ("4294967295", None, Some(4_294_967_295)),
            ("4294967296", None, Some(4_294_967_295)),
            ("99999999999999999999999999", None, Some(4_294_967_295)),
            ("Wed, 31 Dec 2098 00:00:00 GMT", Some("Thu, 01 Jan 1970 00:00:00 GMT"), Some(4_070_822_400)),
            ("soon", Some(date), None),
            ("", Some(date), None),
            ("20.5", None, None),
            ("1e9", None, None),
            ("+5", None, None),
            ("-5", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
            date.iter().for_each(|date| drop(headers.insert(DATE, date.parse().unwrap())));
            assert_eq!(asked(&headers), secs.map(Span::from_secs), "{retry_after}");
        }
    }
}
