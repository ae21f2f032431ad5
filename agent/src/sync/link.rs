//! The link to the hub: the hub's signing key, the device's own key, and TLS. Keys are never logged.
//!
//! A key or certificate that is replaced in its file is used from the next request on, without a restart.

use std::path::Path;
use std::sync::Arc;

use tilth_config::bundle::TrustedKey;
use tilth_protocol::Confirmed;
use tilth_sync::engine::{NewestBundle, SyncInput};
use tilth_sync::transport::https::Https;
use tilth_sync::transport::tls::{self, CertificateClock};
use tilth_sync::transport::{Exchange, Transport};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::owner::HistoryOwner;
use super::status::SyncStatus;
use super::{POLL_INTERVAL, blocking};
use crate::clock::{Clock, ClockMode};
use crate::configuration::{Enrolment, FileVersions};

/// Keys and connection to the hub.
pub(super) struct HubLink {
    /// Public key that verifies what the hub sends.
    pub(super) trusted: TrustedKey,
    /// Id of the device key, which is no secret.
    pub(super) key_id: String,
    pub(super) https: Https,
    /// The client and hub that rows are sent to.
    pub(super) owner: HistoryOwner,
}

/// The link that the files describe now.
pub(super) async fn find(enrolment: &Enrolment, clock: &Clock) -> anyhow::Result<HubLink> {
    let (enrolment, certificates) = (enrolment.clone(), certificate_clock(clock));
    let find = move || {
        let (trusted, key) = (enrolment.trusted_key()?, enrolment.device_key()?);
        let tls = tls::client_config(enrolment.authority().as_deref(), certificates)?;
        let https = Https::new(&enrolment.hub.url, &enrolment.tenant, &key, &tls)?;
        let owner = HistoryOwner::new(&enrolment.tenant, &enrolment.hub.url, &trusted).claim(&enrolment.data)?;
        Ok(HubLink { trusted, key_id: key.id().to_owned(), https, owner })
    };
    blocking(find).await?
}

/// Connection for requests of the time of day, which carry no device key, and the key that verifies the answer.
pub(super) async fn for_time(enrolment: &Enrolment) -> anyhow::Result<(Https, TrustedKey)> {
    let enrolment = enrolment.clone();
    let find = move || {
        let tls = tls::config_ignoring_dates(enrolment.authority().as_deref())?;
        Ok((Https::without_key(&enrolment.hub.url, &enrolment.tenant, &tls)?, enrolment.trusted_key()?))
    };
    blocking(find).await?
}

/// The agent may know the time of day where the machine does not. A simulated clock does not.
fn certificate_clock(clock: &Clock) -> CertificateClock {
    let clock = clock.clone();
    CertificateClock::new(move || if clock.mode() == ClockMode::System { clock.now().1 } else { None })
}

/// A transport whose connection is replaced when key or certificates change; each request uses the newest.
pub(super) struct ReloadableTransport {
    https: watch::Sender<Arc<Https>>,
    trusted: watch::Sender<TrustedKey>,
}

impl ReloadableTransport {
    pub(super) fn new(link: HubLink) -> ReloadableTransport {
        ReloadableTransport {
            https: watch::Sender::new(Arc::new(link.https)),
            trusted: watch::Sender::new(link.trusted),
        }
    }

    /// The key that signs what the hub sends, as it is now.
    pub(super) fn trusted(&self) -> watch::Receiver<TrustedKey> {
        self.trusted.subscribe()
    }

    fn https(&self) -> Arc<Https> {
        Arc::clone(&self.https.borrow())
    }

    /// Looks for changed files at an interval. A new key or certificate that cannot be used is logged, and the previous one stays in use.
    pub(super) async fn reload_on_change(
        &self,
        enrolment: Enrolment,
        clock: Clock,
        mut before: FileVersions,
        inputs: mpsc::Sender<SyncInput>,
        status: SyncStatus,
    ) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let Some(now) = versions(&enrolment).await.ok().filter(|now| *now != before) else { continue };
            before = now;
            match find(&enrolment, &clock).await {
                Ok(link) => {
                    info!(target: "sync", "a key or certificate for the hub has changed; key {}",
                        link.key_id);
                    self.trusted.send_replace(link.trusted);
                    self.https.send_replace(Arc::new(link.https));
                    status.send_modify(|status| status.start_error = None);
                    if inputs.send(SyncInput::HubLinkChanged).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    warn!(target: "sync", "new key or certificate rejected: {why}; still using the previous one");
                    status.send_modify(|status| status.start_error = Some(why));
                }
            }
        }
    }
}

impl Transport for ReloadableTransport {
    async fn post_batch(&self, body: Vec<u8>, confirmed: Option<Confirmed>) -> Exchange {
        self.https().post_batch(body, confirmed).await
    }

    async fn get_bundle(&self, newest: &NewestBundle) -> Exchange {
        self.https().get_bundle(newest).await
    }
}

/// Versions of the files that hold keys and certificates.
pub(super) async fn versions(enrolment: &Enrolment) -> anyhow::Result<FileVersions> {
    let enrolment = enrolment.clone();
    blocking(move || enrolment.file_versions()).await
}

/// Checks that a file holds certificates of authorities.
pub(crate) fn authorities(path: &Path) -> anyhow::Result<()> {
    Ok(tls::client_config(Some(path), CertificateClock::machine()).map(drop)?)
}
