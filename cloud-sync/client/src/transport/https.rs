//! Requests over HTTPS: the only file that names reqwest.
//!
//! - Every request ends within [`TOTAL_TIMEOUT`] and reads at most a named number of bytes.
//! - Redirects are not followed: the key goes to the configured hub only.
//! - Plain HTTP goes to this machine only.
//! - A batch is compressed in slices, so that other tasks of the runtime get their turn in between.

use std::error::Error as _;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use rustls::ClientConfig;
use tilth_core::id::Id;
use tilth_core::time::Span;
use tilth_protocol::{CONFIRMED_HEADER, CodeId, Confirmed, KEY_HEADER, Key};

use super::{Exchange, NewestBundle, Reply, Transport, TransportError, TransportErrorKind, tls};

/// How long a connection may take, TLS included: a few round trips over a poor mobile line.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a request may take from the first byte to the last, so that a peer that drips bytes holds nothing up.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes of an answer to a batch: room for a thousand rejected rows, as many as a batch of this agent has, with the
/// longest reasons.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;

/// The most bytes of a bundle: a large farm's configuration is tens of kilobytes.
pub const MAX_BUNDLE_BYTES: usize = 4 << 20;

/// How many bytes are compressed before other tasks get their turn: well below a millisecond on a Pi.
const SLICE_BYTES: usize = 16 << 10;

/// Client of one hub.
#[derive(Debug)]
pub struct Https {
    client: Client,
    peer: String,
    batch: Url,
    bundle: Url,
    time: Url,
    enrolment: Url,
    /// `None` where only the time of day is asked for.
    key: Option<HeaderValue>,
    total: Duration,
}

/// Why an address cannot be that of a hub. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The address is none.
    #[error("hub.url {url:?}: expected an address such as https://hub.example")]
    Url {
        /// As it was given.
        url: String,
    },
    /// Plain HTTP to another machine.
    #[error("hub.url {url:?}: expected https; plain http is for 127.0.0.1, ::1 and localhost only")]
    Plain {
        /// As it was given.
        url: String,
    },
    /// The client cannot be built.
    #[error("hub.url {url:?}: {detail}")]
    Client {
        /// As it was given.
        url: String,
        /// What reqwest says.
        detail: String,
    },
}

impl Https {
    /// Client of the hub at `url` for the device of this key.
    ///
    /// # Errors
    /// [`AddressError`] when the address is none, or plain HTTP to another machine.
    pub fn new(url: &str, tenant: &Id, key: &Key, tls: &Arc<ClientConfig>) -> Result<Https, AddressError> {
        Https::with_timeouts(url, Some(tenant), Some(key), tls, (CONNECT_TIMEOUT, TOTAL_TIMEOUT))
    }

    /// Client without a key: for [`Https::get_time`].
    ///
    /// # Errors
    /// As [`Https::new`].
    pub fn without_key(url: &str, tenant: &Id, tls: &Arc<ClientConfig>) -> Result<Https, AddressError> {
        Https::with_timeouts(url, Some(tenant), None, tls, (CONNECT_TIMEOUT, TOTAL_TIMEOUT))
    }

    /// Client of a device that has no key and no tenant yet.
    ///
    /// # Errors
    /// As [`Https::new`].
    pub fn for_enrolment(url: &str, tls: &Arc<ClientConfig>) -> Result<Https, AddressError> {
        Https::with_timeouts(url, None, None, tls, (CONNECT_TIMEOUT, TOTAL_TIMEOUT))
    }

    fn with_timeouts(
        url: &str,
        tenant: Option<&Id>,
        key: Option<&Key>,
        tls: &Arc<ClientConfig>,
        (connect, total): (Duration, Duration),
    ) -> Result<Https, AddressError> {
        let no_url = || AddressError::Url { url: url.to_owned() };
        let mut base = Url::parse(url).map_err(|_| no_url())?;
        let host = base.host_str().ok_or_else(no_url)?.to_owned();
        match base.scheme() {
            "https" => {}
            "http" if tilth_config::is_loopback(&host) => {}
            "http" => return Err(AddressError::Plain { url: url.to_owned() }),
            _ => return Err(no_url()),
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let batch = base.join("api/v1/sync/batch").map_err(|_| no_url())?;
        let mut bundle = base.join("api/config/bundle").map_err(|_| no_url())?;
        let mut time = base.join("api/v1/time").map_err(|_| no_url())?;
        let enrolment = base.join("api/v1/enrolment").map_err(|_| no_url())?;
        for url in [&mut bundle, &mut time] {
            url.query_pairs_mut().extend_pairs(tenant.map(|tenant| ("client_id", tenant.as_str())));
        }
        let peer = format!("{}://{host}:{}", base.scheme(), base.port_or_known_default().unwrap_or_default());

        let secret = key.map(|key| {
            let mut secret = HeaderValue::from_str(key.reveal()).expect("a key is ASCII");
            secret.set_sensitive(true);
            secret
        });
        let built = Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(tls))
            .redirect(Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(connect)
            .timeout(total)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("tilth-agent/", env!("CARGO_PKG_VERSION")))
            .build();
        match built {
            Ok(client) => Ok(Https { client, peer, batch, bundle, time, enrolment, key: secret, total }),
            Err(error) => Err(AddressError::Client { url: url.to_owned(), detail: chain(&error) }),
        }
    }

    /// The hub's word for the time of day, for the device that drew this nonce. It goes without the key: it may be asked over
    /// [`tls::config_ignoring_dates`].
    pub async fn get_time(&self, device: &Id, nonce: &str) -> Exchange {
        let mut url = self.time.clone();
        url.query_pairs_mut().append_pair("device_id", device.as_str()).append_pair("nonce", nonce);
        self.send(self.client.get(url), 0, MAX_ANSWER_BYTES).await
    }

    /// The CA certificate that an enrolment code names. It may be asked over [`tls::config_unverified`].
    pub async fn get_enrolment_ca(&self, code: &CodeId) -> Exchange {
        let mut url = self.enrolment.clone();
        url.set_path(&format!("{}/ca", url.path()));
        url.query_pairs_mut().append_pair("code", code.as_str());
        self.send(self.client.get(url), 0, MAX_ANSWER_BYTES).await
    }

    /// Shows an enrolment code and the hash of a key, as JSON.
    pub async fn post_enrolment(&self, body: Vec<u8>) -> Exchange {
        let sent = body.len() as u64;
        let request = self.client.post(self.enrolment.clone()).header(CONTENT_TYPE, "application/json").body(body);
        self.send(request, sent, MAX_ANSWER_BYTES).await
    }

    async fn exchange(&self, request: RequestBuilder, body: u64, most: usize) -> Exchange {
        let request = match &self.key {
            Some(key) => request.header(HeaderName::from_static(KEY_HEADER), key.clone()),
            None => request,
        };
        self.send(request, body, most).await
    }

    async fn send(&self, request: RequestBuilder, body: u64, most: usize) -> Exchange {
        let built = match request.build() {
            Ok(built) => built,
            Err(error) => return Exchange { outcome: Err(self.broken(&error)), sent: 0, received: 0 },
        };
        let sent = body + header_bytes(built.headers()) + built.url().as_str().len() as u64;
        match self.client.execute(built).await {
            Ok(response) => self.read(response, sent, most).await,
            // How much of the request was sent is unknown; a connection that never stood carried nothing.
            Err(error) => {
                let sent = if error.is_connect() { 0 } else { sent };
                Exchange { outcome: Err(self.broken(&error)), sent, received: 0 }
            }
        }
    }

    async fn read(&self, mut response: Response, sent: u64, most: usize) -> Exchange {
        let headers = response.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut reply = Reply {
            status: response.status().as_u16(),
            retry_after: text(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(seconds),
            body: Vec::new(),
        };
        let mut received = header_bytes(headers);
        let outcome = loop {
            match response.chunk().await {
                Ok(None) => break Ok(reply),
                Ok(Some(chunk)) => {
                    received += chunk.len() as u64;
                    if reply.body.len() + chunk.len() > most {
                        break Err(self.error(TransportErrorKind::TooLong, format!("more than {most} bytes")));
                    }
                    reply.body.extend_from_slice(&chunk);
                }
                Err(error) if error.is_timeout() => break Err(self.broken(&error)),
                Err(error) => break Err(self.error(TransportErrorKind::CutOff, chain(&error))),
            }
        };
        Exchange { outcome, sent, received }
    }

    fn broken(&self, error: &reqwest::Error) -> TransportError {
        let detail = chain(error);
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                return self.error(TransportErrorKind::Untrusted, tls::in_words(why));
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                return self.error(
                    TransportErrorKind::NoTls,
                    "expected the hub, with its certificate, at hub.url (a captive portal in between?)".to_owned(),
                );
            }
            _ => {}
        }
        let kind = if error.is_connect() {
            TransportErrorKind::NoConnection
        } else if error.is_timeout() {
            return self.error(TransportErrorKind::TimedOut, format!("not within {}", seconds(self.total.as_secs())));
        } else if is_cut(error) {
            TransportErrorKind::CutOff
        } else {
            TransportErrorKind::Garbled
        };
        if kind == TransportErrorKind::Garbled && self.peer.starts_with("http:") {
            return self.error(kind, format!("{detail}; it may want https, as hub.url then has to say"));
        }
        self.error(kind, detail)
    }

    fn error(&self, kind: TransportErrorKind, detail: String) -> TransportError {
        TransportError { peer: self.peer.clone(), kind, detail }
    }
}

impl Transport for Https {
    async fn post_batch(&self, body: Vec<u8>, confirmed: Option<Confirmed>) -> Exchange {
        let packed = pack(&body).await;
        drop(body);
        let sent = packed.len() as u64;
        let request = self
            .client
            .post(self.batch.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .header(ACCEPT, "application/json")
            .body(packed);
        let request = match confirmed {
            Some(confirmed) => request.header(CONFIRMED_HEADER, confirmed.to_string()),
            None => request,
        };
        self.exchange(request, sent, MAX_ANSWER_BYTES).await
    }

    async fn get_bundle(&self, newest: &NewestBundle) -> Exchange {
        let mut url = self.bundle.clone();
        url.query_pairs_mut().append_pair("since_version", &newest.version.to_string());
        let mut request = self.client.get(url);
        if let Some(etag) = newest.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request = request.header(IF_NONE_MATCH, etag);
        }
        self.exchange(request, 0, MAX_BUNDLE_BYTES).await
    }
}

/// gzip, in slices.
async fn pack(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::default());
    for slice in body.chunks(SLICE_BYTES) {
        encoder.write_all(slice).expect("writing to memory does not fail");
        tokio::task::yield_now().await;
    }
    encoder.finish().expect("writing to memory does not fail")
}

fn seconds(secs: u64) -> Span {
    Span(i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// About what headers weigh: names, values, and the four bytes around them.
fn header_bytes(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}

/// An error and its causes, without the address, which stands before it.
fn chain(error: &reqwest::Error) -> String {
    let says_something = |cause: &String| !cause.starts_with("client error (");
    let causes: Vec<String> = causes(error).map(ToString::to_string).filter(says_something).collect();
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

/// What TLS says, if it is what failed: it comes hidden in an error of its stream, which may be hidden in another.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| {
        let mut stream = cause.downcast_ref::<std::io::Error>()?;
        loop {
            let inner = stream.get_ref()?;
            match inner.downcast_ref() {
                Some(found) => return Some(found),
                None => stream = inner.downcast_ref()?,
            }
        }
    })
}

/// Whether the other end closed or reset the connection.
fn is_cut(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some()
            || cause.to_string().contains("closed before message completed")
    })
}

#[cfg(test)]
mod tests;
