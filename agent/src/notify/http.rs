//! Sending to a web server: one request with an end, and what its answer means.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use tilth_core::time::Span;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::queue::Failure;

/// A server that has not answered by then is down. A page waits this long before it is tried again, so it is short.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A refused token or an unknown topic is mended by a person, not by asking often.
const REFUSED_WAIT: Span = Span::from_mins(5);

/// As much of an answer is read to say why it is a refusal.
const MAX_ANSWER: usize = 200;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A request that was not taken, as far as is known.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) failure: Failure,
    /// The other side does not believe who sent it.
    pub(super) is_denied: bool,
}

/// The clients of all channels. A farm that only logs has none.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// For plain http: it trusts nobody, so it works where no certificates are installed.
    plain: OnceCell<Client>,
    /// Trusts whom the machine trusts.
    secure: OnceCell<Client>,
}

impl Clients {
    /// The client for an address, made when it is first wanted. One that cannot be made is tried again with the next page.
    pub(super) async fn of(&self, url: &str) -> Result<&Client, String> {
        let is_plain = url.starts_with("http://");
        let client = if is_plain { &self.plain } else { &self.secure };
        // The machine's certificates are read from its disk.
        let made = || async move { spawn_blocking(move || client_of(is_plain)).await.map_err(|end| end.to_string())? };
        client.get_or_try_init(made).await
    }
}

/// It follows no redirect, for that could lead a token elsewhere.
fn client_of(is_plain: bool) -> Result<Client, String> {
    // Installed already, when somebody else needed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("tilth-agent/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // A connection that was kept may be gone when the next page comes, and a page must not be what finds out.
        .pool_max_idle_per_host(0);
    let builder = if is_plain { builder.tls_certs_only([]) } else { builder };
    builder.build().map_err(|error| cause(&error))
}

/// Sends, and waits for the answer.
pub(super) async fn post(client: &Client, request: Request) -> Result<(), Unsent> {
    let sent = client.post(request.url).headers(request.headers).body(request.body).send().await;
    match sent {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(Unsent {
            is_denied: matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
            failure: refusal(answer).await,
        }),
        Err(error) => Err(Unsent { is_denied: false, failure: break_of(error) }),
    }
}

fn break_of(error: reqwest::Error) -> Failure {
    let is_plain = error.url().is_some_and(|url| url.scheme() == "http");
    let (again, is_connect) = (!error.is_builder(), error.is_connect());
    // The address may hold what only its owner should know.
    let mut reason = cause(&error.without_url());
    if is_plain && reason.starts_with("invalid HTTP") {
        reason.push_str("; it may want https, as url then has to say");
    }
    // Connected, and then no answer that makes sense: it may have been taken.
    Failure { reason, again, after: None, perhaps: again && !is_connect }
}

async fn refusal(mut answer: Response) -> Failure {
    let status = answer.status();
    let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
    let wait = wait.map(|secs: u32| Span::from_secs(i64::from(secs)));
    let (again, after) = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => (true, wait),
        _ if status.is_server_error() => (true, wait),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            (true, Some(REFUSED_WAIT))
        }
        _ if status.is_client_error() => (false, None),
        // A redirect: the address in the configuration is not the right one.
        _ => (true, Some(REFUSED_WAIT)),
    };
    let text = match answer.chunk().await {
        Ok(Some(bytes)) => printable(&bytes),
        Ok(None) | Err(_) => String::new(),
    };
    let reason = if text.is_empty() { format!("answered {status}") } else { format!("answered {status}: {text}") };
    Failure { reason, again, after, perhaps: false }
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_ANSWER)]);
    text.replace(char::is_control, " ").trim().to_owned()
}

/// The innermost cause is what tells a technician something.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() { format!("no answer in time ({cause})") } else { cause.to_string() }
}
