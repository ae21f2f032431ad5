//! Channel client: sends messages to a server, and keeps using a secret whose file cannot be read any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tilth_config::{Channel, SecretName, redact};
use tilth_core::time::{Span, WallTime};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::http::{self, HttpClients, PostError};
use crate::kinds;
use crate::message::{Failure, Message, Retry};
use crate::secret::{Secret, Secrets};

/// Interval at which missing secrets and certificates are read again.
pub const UNAVAILABLE_RETRY: Span = Span::from_mins(1);

/// Client of a channel that has a server.
#[derive(Debug)]
pub struct ChannelClient {
    channel: Channel,
    key: Option<Arc<CachedSecret>>,
    clients: Arc<HttpClients>,
}

/// Secret of a channel: read at first use, and again after a server rejected it or the configuration changed. While the
/// file cannot be read, the last value is used.
#[derive(Debug)]
struct CachedSecret {
    name: SecretName,
    secrets: Secrets,
    cached: Mutex<Option<Secret>>,
    is_stale: AtomicBool,
}

impl ChannelClient {
    /// Client of a channel; `before` is the one that it had until now, whose secret is kept.
    pub fn new(
        channel: Channel,
        secrets: &Secrets,
        clients: &Arc<HttpClients>,
        before: Option<&ChannelClient>,
    ) -> ChannelClient {
        let known = before.and_then(|client| client.key.as_ref());
        let wanted = channel.secret.as_ref().filter(|_| channel.blocked.is_none());
        let key = wanted.map(|name| match known.filter(|key| key.name == *name) {
            Some(key) => {
                key.mark_stale();
                Arc::clone(key)
            }
            None => Arc::new(CachedSecret::new(name.clone(), secrets.clone())),
        });
        ChannelClient { channel, key, clients: Arc::clone(clients) }
    }

    /// Scheme, host and port of the server, without user, path or query.
    pub fn server(&self) -> Option<String> {
        let url = reqwest::Url::parse(self.channel.target.url()?).ok()?;
        let port = url.port_or_known_default().map_or(String::new(), |port| format!(":{port}"));
        Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
    }

    /// Reads secret and certificates ahead of the first page. The error says what is missing.
    pub async fn prepare(&self) -> Result<(), String> {
        self.secret().await.map_err(|failure| failure.reason)?;
        match self.channel.target.url() {
            Some(url) => self.clients.of(url).await.map(drop),
            None => Ok(()),
        }
    }

    /// Sends a message. `now` is the time in a webhook's signature; none while the clock is not trusted.
    pub async fn send(&self, message: &Message, now: Option<WallTime>) -> Result<(), Failure> {
        let secret = self.secret().await?;
        let request = kinds::request(&self.channel, secret.as_ref(), message, now);
        let request = request.ok_or_else(|| unavailable("it has no secret".to_owned()))?;
        let client = self.clients.of(&request.url).await.map_err(unavailable)?;
        let sent = http::post(client, request).await;
        sent.map_err(|PostError { failure, is_unauthorized }| {
            if is_unauthorized {
                self.key.iter().for_each(|key| key.mark_stale());
            }
            Failure { reason: self.shown(&failure.reason, secret.as_ref()), ..failure }
        })
    }

    /// Answer of a server, with secret, path and topic replaced.
    fn shown(&self, said: &str, secret: Option<&Secret>) -> String {
        let path = self.channel.target.url().and_then(|url| url.strip_prefix(&redact::server(url)));
        let hidden =
            [secret.map(Secret::expose), path.filter(|path| path.len() > 1), self.channel.target.secret_part()];
        let said = hidden.into_iter().flatten().fold(said.to_owned(), |said, hidden| said.replace(hidden, ".."));
        redact::text(&said).chars().take(http::MAX_REASON).collect()
    }

    /// The secret, where the channel has one; a failure where the channel is blocked.
    async fn secret(&self) -> Result<Option<Secret>, Failure> {
        if let Some(why) = &self.channel.blocked {
            return Err(unavailable(why.clone()));
        }
        let Some(key) = &self.key else { return Ok(None) };
        key.get().await.map(Some).map_err(|why| unavailable(format!("secret: {why}")))
    }
}

impl CachedSecret {
    fn new(name: SecretName, secrets: Secrets) -> CachedSecret {
        CachedSecret { name, secrets, cached: Mutex::new(None), is_stale: AtomicBool::new(false) }
    }

    fn mark_stale(&self) {
        self.is_stale.store(true, Ordering::Relaxed);
    }

    async fn get(&self) -> Result<Secret, String> {
        let is_stale = self.is_stale.swap(false, Ordering::Relaxed);
        let mut cached = self.cached.lock().await;
        if let Some(known) = cached.as_ref().filter(|_| !is_stale) {
            return Ok(known.clone());
        }
        match self.read().await {
            Ok(secret) => Ok(cached.insert(secret).clone()),
            Err(why) => {
                self.mark_stale();
                cached.clone().ok_or(why)
            }
        }
    }

    async fn read(&self) -> Result<Secret, String> {
        let (name, secrets) = (self.name.clone(), self.secrets.clone());
        let read = spawn_blocking(move || secrets.get(&name).map_err(|error| error.to_string()));
        read.await.map_err(|end| end.to_string())?
    }
}

/// Failure on this machine, which a person has to repair.
fn unavailable(reason: String) -> Failure {
    Failure { reason, retry: Retry::UntilExpired, retry_after: Some(UNAVAILABLE_RETRY), may_have_arrived: false }
}
