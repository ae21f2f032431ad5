//! The way to the hub: the key that is believed, the key that is shown, and TLS. Keys are never logged.
//!
//! A new key or authority that somebody puts into its file is used from the next request on: nobody has to know that the agent
//! would need a restart.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use tilth_config::bundle::TrustedKey;
use tilth_config::plain_file;
use tilth_protocol::{Confirmed, Key, KeyKind};
use tilth_sync::driver::Order;
use tilth_sync::engine::Holding;
use tilth_sync::transport::https::Https;
use tilth_sync::transport::tls::{self, Today};
use tilth_sync::transport::{Exchange, Transport};
use tokio::sync::{mpsc, watch};

use super::status::SyncStatus;
use super::{Home, LOOK_AGAIN, beside};
use crate::clock::{Clock, Source};
use crate::configuration::file_stamps::Seen;
use crate::output::tell;

/// Longer than any key.
const MAX_BYTES: u64 = 4096;

/// What leads to the hub.
pub(super) struct Way {
    /// Signs what the hub sends.
    pub(super) trusted: TrustedKey,
    /// The public part of the device's key, by which it may be named.
    pub(super) key_id: String,
    pub(super) https: Https,
}

/// The way that the files describe now.
pub(super) async fn find(home: &Home, clock: &Clock) -> anyhow::Result<Way> {
    let (home, clock) = (home.clone(), clock.clone());
    beside(move || find_here(&home, &clock)).await?
}

fn find_here(home: &Home, clock: &Clock) -> anyhow::Result<Way> {
    let trusted = trusted_key(home)?;
    let path = home.folder.join(&home.hub.key_file);
    let key = device_key(&path).with_context(|| path.display().to_string())?;
    let tls = tls::client_config(authority(home).as_deref(), today(clock))?;
    let https = Https::new(&home.hub.url, &home.client, &key, &tls)?;
    Ok(Way { trusted, key_id: key.id().to_owned(), https })
}

/// The way on which the time of day is asked for, which carries no key, and the key that signs the answer.
pub(super) async fn undated(home: &Home) -> anyhow::Result<(Https, TrustedKey)> {
    let home = home.clone();
    beside(move || undated_here(&home)).await?
}

fn undated_here(home: &Home) -> anyhow::Result<(Https, TrustedKey)> {
    let tls = tls::undated_config(authority(home).as_deref())?;
    Ok((Https::without_key(&home.hub.url, &home.client, &tls)?, trusted_key(home)?))
}

fn authority(home: &Home) -> Option<PathBuf> {
    home.hub.ca.as_ref().map(|ca| home.folder.join(ca))
}

/// The agent may know the time of day where the machine does not. A made clock knows nothing of it.
fn today(clock: &Clock) -> Today {
    let clock = clock.clone();
    Today::new(move || if clock.source() == Source::System { clock.now().1 } else { None })
}

/// The way as it is now; what is sent takes the newest.
pub(super) struct Road {
    https: Mutex<Arc<Https>>,
    trusted: watch::Sender<TrustedKey>,
}

impl Road {
    pub(super) fn new(way: Way) -> Road {
        Road { https: Mutex::new(Arc::new(way.https)), trusted: watch::Sender::new(way.trusted) }
    }

    /// The key that signs what the hub sends, as it is now.
    pub(super) fn trusted(&self) -> watch::Receiver<TrustedKey> {
        self.trusted.subscribe()
    }

    fn https(&self) -> Arc<Https> {
        Arc::clone(&self.https.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, way: Way) {
        self.trusted.send_replace(way.trusted);
        *self.https.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(way.https);
    }

    /// Looks at the files now and then. What is wrong with a new one is said, and the way before goes on.
    pub(super) async fn keep_up(
        &self,
        home: Home,
        clock: Clock,
        mut before: Seen,
        orders: mpsc::Sender<Order>,
        status: SyncStatus,
    ) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let Some(now) = seen(&home).await.ok().filter(|now| *now != before) else { continue };
            before = now;
            match find(&home, &clock).await {
                Ok(way) => {
                    tell(format_args!(
                        "tilth-agent: sync: a key or certificate for the hub has changed; key {}",
                        way.key_id
                    ));
                    self.take(way);
                    status.trouble(None);
                    if orders.send(Order::WayChanged).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    tell(format_args!("tilth-agent: sync: {why}; what was there before is used until that is mended"));
                    status.trouble(Some(why));
                }
            }
        }
    }
}

impl Transport for Road {
    async fn post_batch(&self, body: Vec<u8>, confirmed: Option<Confirmed>) -> Exchange {
        self.https().post_batch(body, confirmed).await
    }

    async fn get_bundle(&self, holding: &Holding) -> Exchange {
        self.https().get_bundle(holding).await
    }
}

/// How the files of the way look now.
pub(super) async fn seen(home: &Home) -> anyhow::Result<Seen> {
    let files = [Some(&home.hub.signing_key), Some(&home.hub.key_file), home.hub.ca.as_ref()];
    let files: Vec<PathBuf> = files.into_iter().flatten().map(|file| home.folder.join(file)).collect();
    beside(move || Seen::of(files)).await
}

/// The hub's signing key, as it was pinned when the device was enrolled.
pub(crate) fn trusted_key(home: &Home) -> anyhow::Result<TrustedKey> {
    let path = home.folder.join(&home.hub.signing_key);
    signing_key(&path).with_context(|| path.display().to_string())
}

/// The hub's signing key in a file.
pub(crate) fn signing_key(path: &Path) -> anyhow::Result<TrustedKey> {
    Ok(TrustedKey::parse(&plain_file::read_text(path, MAX_BYTES)?)?)
}

/// The authorities in a file, good enough to believe in.
pub(crate) fn authorities(path: &Path) -> anyhow::Result<()> {
    Ok(tls::client_config(Some(path), Today::machine()).map(drop)?)
}

/// The device's key in a file.
pub(crate) fn device_key(path: &Path) -> anyhow::Result<Key> {
    let file = plain_file::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("others may read it (mode {mode:04o}); expected mode 0600");
    }
    let bytes = plain_file::read_open(file, MAX_BYTES)?;
    let key = Key::parse(String::from_utf8_lossy(&bytes).trim())?;
    match key.kind() {
        KeyKind::Device => Ok(key),
        KeyKind::Read => bail!("this is a read key; expected the device's own, dev_ak_.."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused_and_never_shown() {
        let path = std::env::temp_dir().join(format!("tilth-device-key-{}", std::process::id()));
        let device = Key::from_random(KeyKind::Device, [1; 6], [2; 32]);
        let read = Key::from_random(KeyKind::Read, [1; 6], [2; 32]);
        for (text, mode, expected) in [
            (device.reveal(), 0o600, None),
            (device.reveal(), 0o400, None),
            (device.reveal(), 0o640, Some("mode 0640")),
            (device.reveal(), 0o604, Some("mode 0604")),
            (read.reveal(), 0o600, Some("read key")),
            ("", 0o600, Some("expected dev_ak_")),
        ] {
            let _ = fs::remove_file(&path);
            fs::write(&path, format!("{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = device_key(&path).map_err(|error| format!("{error:#}"));
            match expected {
                None => assert_eq!(found, Ok(device.clone())),
                Some(expected) => {
                    let error = found.unwrap_err();
                    assert!(error.contains(expected), "{error}");
                    assert!(!error.contains("0202"), "{error}");
                }
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(device_key(&path).is_err());
    }
}
