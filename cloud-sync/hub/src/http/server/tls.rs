//! The hub's own TLS, from files: rustls with ring, versions 1.2 and 1.3.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tilth_config::plain_file;
use tokio_rustls::TlsAcceptor;

/// The most bytes of a PEM file: a certificate and those above it have some 10 KiB.
const MAX_PEM: u64 = 1 << 20;

/// Time between two checks of the files.
const LOOK: Duration = Duration::from_secs(5);

/// The hub's certificate, read again when its files change.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    /// The files as they were when they were last read.
    seen: Seen,
}

/// Stamps of the two files: length, inode and time of the last change of each that exists.
type Seen = [Option<(u64, u64, i64, i64)>; 2];

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is none, or that the two do not fit.
    pub(crate) fn open(certificate: &Path, key: &Path) -> anyhow::Result<Tls> {
        let seen = [certificate, key].map(look);
        let current = RwLock::new(Current { acceptor: acceptor(certificate, key)?, seen });
        Ok(Tls { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// TLS by the newest certificate and key that belong together.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).acceptor.clone()
    }

    /// Reads the files again where they have changed. A half-written file, or one whose other half is still to come, changes
    /// nothing but the log.
    fn refresh(&self) {
        let seen = [&self.certificate, &self.key].map(|path| look(path));
        if self.current.read().unwrap_or_else(PoisonError::into_inner).seen == seen {
            return;
        }
        let read = acceptor(&self.certificate, &self.key);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.seen = seen;
        match read {
            Ok(acceptor) => {
                current.acceptor = acceptor;
                tracing::info!(certificate = %self.certificate.display(), "certificate read again");
            }
            Err(error) => {
                tracing::warn!("certificate not replaced: {error:#}; the one before stays in use until the files fit");
            }
        }
    }

    /// Looks at the files for as long as the hub serves.
    pub(crate) async fn keep_fresh(self: Arc<Tls>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let tls = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || tls.refresh()).await {
                tracing::error!(%error, "certificate not looked at");
            }
        }
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").field("seen", &self.seen).finish_non_exhaustive()
    }
}

fn look(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.len(), found.ino(), found.ctime(), found.ctime_nsec()))
}

/// Reads a certificate with those above it, and its private key.
fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let name = || certificate.display().to_string();
    let bytes = plain_file::read(certificate, MAX_PEM).with_context(name)?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| anyhow!("{}: half a certificate in it; expected PEM", certificate.display()))?;
    if chain.is_empty() {
        bail!("{}: no certificate in it; expected PEM", certificate.display());
    }
    let of_key = || key.display().to_string();
    let bytes = plain_file::read(key, MAX_PEM).with_context(of_key)?;
    let private = PrivateKeyDer::from_pem_slice(&bytes);
    let private = private.map_err(|_| anyhow!("{}: no private key in it; expected PEM", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not fit", certificate.display(), key.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
