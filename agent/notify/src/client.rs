//! The way to a server: from a parcel to what became of it, with a secret that outlives its file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tilth_config::{Channel, SecretName, redact};
use tilth_core::time::{Span, WallTime};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::http::{self, Clients};
use crate::kinds;
use crate::queue::{Again, Failure, Parcel};
use crate::secret::{Secret, Secrets};

/// A secret or certificates that the machine lacks are looked for again after this.
pub const LACK_WAIT: Span = Span::from_mins(1);

/// A channel that posts.
#[derive(Debug)]
pub struct Way {
    channel: Channel,
    key: Option<Arc<Key>>,
    clients: Arc<Clients>,
}

/// A channel's secret: read when the channel is set, and again when there is reason to believe that it is another one. While
/// that cannot be read, what was there before is used.
#[derive(Debug)]
struct Key {
    name: SecretName,
    secrets: Secrets,
    held: Mutex<Option<Secret>>,
    is_doubted: AtomicBool,
}

impl Way {
    /// The way of a channel as it is configured now. `before` is the one that it had.
    pub fn new(channel: Channel, secrets: &Secrets, clients: &Arc<Clients>, before: Option<&Way>) -> Way {
        let known = before.and_then(|way| way.key.as_ref());
        let wanted = channel.secret.as_ref().filter(|_| channel.blocked.is_none());
        let key = wanted.map(|name| match known.filter(|key| key.name == *name) {
            Some(key) => {
                key.doubt();
                Arc::clone(key)
            }
            None => Arc::new(Key::new(name.clone(), secrets.clone())),
        });
        Way { channel, key, clients: Arc::clone(clients) }
    }

    /// Its server, for people: no path and no name or word that might be a secret.
    pub fn server(&self) -> Option<String> {
        let url = reqwest::Url::parse(self.channel.target.url()?).ok()?;
        let port = url.port_or_known_default().map_or(String::new(), |port| format!(":{port}"));
        Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
    }

    /// Fetches what the first page will want; why a page could not be told now, where it could not.
    pub async fn prepare(&self) -> Result<(), String> {
        if let Some(why) = &self.channel.blocked {
            return Err(why.clone());
        }
        self.secret().await.map_err(|failure| failure.reason)?;
        match self.channel.target.url() {
            Some(url) => self.clients.of(url).await.map(drop),
            None => Ok(()),
        }
    }

    /// Sends a parcel; `now` is what a webhook signs as the time, where the clock is trusted.
    pub async fn send(&self, parcel: &Parcel, now: Option<WallTime>) -> Result<(), Failure> {
        if let Some(why) = &self.channel.blocked {
            return Err(lacks(why.clone()));
        }
        let secret = self.secret().await?;
        let request = kinds::request(&self.channel, secret.as_ref(), parcel, now);
        let request = request.ok_or_else(|| lacks("it has no secret".to_owned()))?;
        let client = self.clients.of(&request.url).await.map_err(lacks)?;
        let sent = http::post(client, request).await;
        sent.map_err(|unsent| {
            if unsent.is_denied {
                self.key.iter().for_each(|key| key.doubt());
            }
            Failure { reason: self.shown(&unsent.failure.reason, secret.as_ref()), ..unsent.failure }
        })
    }

    /// What a server says, without what it repeats of the request: it may say of a token that it is wrong, and which.
    fn shown(&self, said: &str, secret: Option<&Secret>) -> String {
        let path = self.channel.target.url().and_then(|url| url.strip_prefix(&redact::server(url)));
        let hidden =
            [secret.map(Secret::expose), path.filter(|path| path.len() > 1), self.channel.target.secret_part()];
        let said = hidden.into_iter().flatten().fold(said.to_owned(), |said, hidden| said.replace(hidden, ".."));
        redact::text(&said).chars().take(http::MAX_REASON).collect()
    }

    async fn secret(&self) -> Result<Option<Secret>, Failure> {
        let Some(key) = &self.key else { return Ok(None) };
        key.get().await.map(Some).map_err(|why| lacks(format!("secret: {why}")))
    }
}

impl Key {
    fn new(name: SecretName, secrets: Secrets) -> Key {
        Key { name, secrets, held: Mutex::new(None), is_doubted: AtomicBool::new(false) }
    }

    fn doubt(&self) {
        self.is_doubted.store(true, Ordering::Relaxed);
    }

    async fn get(&self) -> Result<Secret, String> {
        let mut held = self.held.lock().await;
        let is_doubted = self.is_doubted.swap(false, Ordering::Relaxed);
        let Some(known) = held.as_ref() else {
            let secret = self.read().await?;
            return Ok(held.insert(secret).clone());
        };
        if !is_doubted {
            return Ok(known.clone());
        }
        match self.read().await {
            Ok(secret) => Ok(held.insert(secret).clone()),
            Err(_) => {
                self.doubt();
                Ok(known.clone())
            }
        }
    }

    async fn read(&self) -> Result<Secret, String> {
        let (name, secrets) = (self.name.clone(), self.secrets.clone());
        let read = spawn_blocking(move || secrets.get(&name).map_err(|error| error.to_string()));
        read.await.map_err(|end| end.to_string())?
    }
}

/// What a person has to mend on this machine.
fn lacks(reason: String) -> Failure {
    Failure { reason, again: Again::UntilExpired, after: Some(LACK_WAIT), perhaps: false }
}
