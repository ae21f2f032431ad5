//! TLS 1.2 and 1.3 by rustls with ring, from certificate files.

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

/// Maximum size of a PEM file, in bytes. A certificate with its chain has some 10 KiB.
const MAX_PEM: u64 = 1 << 20;

/// Time between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The certificate, read again when its files change.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    /// Stamps of the files when they were read.
    stamps: FileStamps,
}

/// Stamps of the two files: length, inode and time of the last change of each that exists.
type FileStamps = [Option<(u64, u64, i64, i64)>; 2];

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file is not as expected, or the two do not match.
    pub(crate) fn open(certificate: &Path, key: &Path) -> anyhow::Result<Tls> {
        let stamps = [certificate, key].map(stamp);
        let current = RwLock::new(Current { acceptor: acceptor(certificate, key)?, stamps });
        Ok(Tls { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// TLS with the newest certificate and key that match.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).acceptor.clone()
    }

    /// Reads changed files again. Incomplete files, or files that do not match, only cause a warning.
    fn refresh(&self) {
        let stamps = [&self.certificate, &self.key].map(|path| stamp(path));
        if self.current.read().unwrap_or_else(PoisonError::into_inner).stamps == stamps {
            return;
        }
        let read = acceptor(&self.certificate, &self.key);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.stamps = stamps;
        match read {
            Ok(acceptor) => {
                current.acceptor = acceptor;
                tracing::info!(certificate = %self.certificate.display(), "certificate replaced");
            }
            Err(error) => {
                tracing::warn!("certificate rejected: {error:#}; still using the previous one");
            }
        }
    }

    /// Checks the files while the hub serves.
    pub(crate) async fn keep_fresh(self: Arc<Tls>) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let tls = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || tls.refresh()).await {
                tracing::error!(%error, "cannot check the certificate files");
            }
        }
    }
}

fn stamp(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.len(), found.ino(), found.ctime(), found.ctime_nsec()))
}

/// Reads a certificate with those above it, and its private key.
fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let name = || certificate.display().to_string();
    let bytes = plain_file::read(certificate, MAX_PEM).with_context(name)?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| anyhow!("{}: incomplete certificate; expected PEM", certificate.display()))?;
    if chain.is_empty() {
        bail!("{}: no certificate found; expected PEM", certificate.display());
    }
    let of_key = || key.display().to_string();
    let bytes = plain_file::read(key, MAX_PEM).with_context(of_key)?;
    let private = PrivateKeyDer::from_pem_slice(&bytes);
    let private = private.map_err(|_| anyhow!("{}: no private key found; expected PEM", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not match", certificate.display(), key.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
