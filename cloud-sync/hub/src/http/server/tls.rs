//! TLS 1.2 and 1.3 by rustls with ring, from certificate files.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore, ServerConfig};
use tilth_config::plain_file;
use tilth_core::time::WallTime;
use tokio_rustls::TlsAcceptor;

use crate::clock;

/// Maximum size of a PEM file, in bytes. A certificate with its chain has some 10 KiB.
const MAX_PEM: u64 = 1 << 20;

/// Time between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Time between two warnings about the dates of a certificate.
const REMINDER: Duration = Duration::from_secs(86_400);

/// Time before the end of a certificate from which on it is warned about.
const SOON_MS: i64 = 14 * 86_400_000;

/// Why a certificate and a key are of no use.
#[derive(Debug, thiserror::Error)]
enum PairError {
    #[error("{}: permission denied; the user of the hub must be able to read it: sudo chown tilth-hub {}", .0.display(), .0.display())]
    Denied(PathBuf),
    #[error("{0}")]
    Other(String),
}

/// The certificate, read again when its files change.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    certificate: CertificateDer<'static>,
    /// Stamps of the files when they were read.
    stamps: FileStamps,
}

/// Stamps of the two files: length, inode and time of the last change of each that exists.
type FileStamps = [Option<(u64, u64, i64, i64)>; 2];

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file is not as expected, or the two do not match; with the command that makes others.
    pub(crate) fn open(certificate: &Path, key: &Path) -> anyhow::Result<Tls> {
        let stamps = [certificate, key].map(stamp);
        let (acceptor, own) = acceptor(certificate, key).map_err(|why| match why {
            PairError::Denied(_) => anyhow::Error::new(why),
            PairError::Other(why) => anyhow::anyhow!("{why}. {}", how_to_make(certificate, key)),
        })?;
        let current = RwLock::new(Current { acceptor, certificate: own, stamps });
        let tls = Tls { certificate: certificate.to_owned(), key: key.to_owned(), current };
        tls.warn_of_dates();
        Ok(tls)
    }

    /// Warns about a certificate that devices reject, or soon will.
    fn warn_of_dates(&self) {
        let certificate = self.current.read().unwrap_or_else(PoisonError::into_inner).certificate.clone();
        if let Some(why) = wrong_dates(&certificate, clock::now()) {
            tracing::warn!("{}: the certificate {why}", self.certificate.display());
        }
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
            Ok((acceptor, certificate)) => {
                (current.acceptor, current.certificate) = (acceptor, certificate);
                drop(current);
                tracing::info!(certificate = %self.certificate.display(), "certificate replaced");
                self.warn_of_dates();
            }
            Err(error) => {
                tracing::warn!("certificate rejected: {error}; still using the previous one");
            }
        }
    }

    /// Checks the files while the hub serves.
    pub(crate) async fn keep_fresh(self: Arc<Tls>) {
        let mut warned = Instant::now();
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            if warned.elapsed() >= REMINDER {
                warned = Instant::now();
                self.warn_of_dates();
            }
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

/// Reads a certificate with those above it, and its private key; the certificate itself beside what uses them.
fn acceptor(certificate: &Path, key: &Path) -> Result<(TlsAcceptor, CertificateDer<'static>), PairError> {
    let [cert, private] = [certificate, key].map(Path::display);
    let other = |why: String| Err(PairError::Other(why));
    let bytes = read(certificate, "the hub's TLS certificate and its chain, in PEM")?;
    let Ok(chain) = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() else {
        return other(format!("{cert}: incomplete certificate; expected PEM"));
    };
    let Some(own) = chain.first().cloned() else {
        let is_key = PrivateKeyDer::from_pem_slice(&bytes).is_ok();
        let swapped = if is_key { "; it holds a private key: are --tls-cert and --tls-key swapped?" } else { "" };
        return other(format!("{cert}: no certificate found; expected PEM{swapped}"));
    };
    let bytes = read(key, "the private key of the certificate, in PEM")?;
    let Ok(found) = PrivateKeyDer::from_pem_slice(&bytes) else {
        return other(format!("{private}: no private key found; expected PEM, without a password"));
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    match config.and_then(|config| config.with_no_client_auth().with_single_cert(chain, found)) {
        Ok(config) => Ok((TlsAcceptor::from(Arc::new(config)), own)),
        Err(rustls::Error::InconsistentKeys(_)) => other(format!(
            "{private}: not the private key of the certificate in {cert}; expected the one that was made with it"
        )),
        Err(why) => {
            other(format!("{cert} with {private}: {why}; expected a certificate and key of Ed25519, ECDSA or RSA"))
        }
    }
}

fn read(path: &Path, expected: &str) -> Result<Vec<u8>, PairError> {
    plain_file::read(path, MAX_PEM).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => PairError::Denied(path.to_owned()),
        ErrorKind::NotFound => {
            PairError::Other(format!("{}: there is no such file; expected {expected}", path.display()))
        }
        _ => PairError::Other(format!("{}: {error}", path.display())),
    })
}

/// The command that makes a certificate with its key. It overwrites no file that is there.
pub(crate) fn how_to_make(certificate: &Path, key: &Path) -> String {
    let is_there = certificate.exists() || key.exists();
    let (certificate, key) = if is_there { (Path::new("new.pem"), Path::new("new.key")) } else { (certificate, key) };
    format!(
        "This makes a certificate of its own, with the key; write the hub's name for hub.example:\n  \
         openssl req -x509 -newkey ed25519 -nodes -days 3650 -keyout {} -out {} -subj /CN=hub.example \
         -addext subjectAltName=DNS:hub.example -addext basicConstraints=critical,CA:FALSE",
        key.display(),
        certificate.display()
    )
}

/// Why devices reject a certificate at a time, or soon after; `None` where its dates are good.
fn wrong_dates(certificate: &CertificateDer<'_>, now: WallTime) -> Option<String> {
    let date = |time: &UnixTime| WallTime(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000));
    let renew = "(/usr/share/doc/tilth-hub/operations.md, Renew a certificate)";
    match rejected(certificate, now) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => {
            return Some(format!("ended at {}: devices reject the hub until it is renewed {renew}", date(&not_after)));
        }
        Some(CertificateError::NotValidYetContext { not_before, .. }) => {
            return Some(format!(
                "begins at {}, and this machine's clock says {now}: until then devices reject the hub",
                date(&not_before)
            ));
        }
        _ => {}
    }
    match rejected(certificate, WallTime(now.0.saturating_add(SOON_MS))) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(format!("ends at {}: devices then reject the hub; renew it before {renew}", date(&not_after)))
        }
        _ => None,
    }
}

/// Why a certificate is not believed at a time. Its dates are looked at first, so that it need not name this host or be signed by anyone known.
fn rejected(certificate: &CertificateDer<'_>, at: WallTime) -> Option<CertificateError> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let time = UnixTime::since_unix_epoch(Duration::from_millis(at.0.max(0).unsigned_abs()));
    match verifier.verify_server_cert(certificate, &[], &name, &[], time) {
        Err(rustls::Error::InvalidCertificate(why)) => Some(why),
        _ => None,
    }
}
