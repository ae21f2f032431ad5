//! The one TLS configuration, for HTTP and MQTT alike: rustls with ring, TLS 1.2 and 1.3.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tilth_config::plain_file;
use tilth_core::time::WallTime;

/// The most bytes of a file of authorities: those of a whole system are some 250 KiB.
const MAX_PEM: u64 = 4 << 20;

/// Why there is no TLS configuration. Trying again helps only after somebody changed the file or the system.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities cannot be read, or is no PEM.
    #[error("{path}: {why}; expected a PEM file with the hub's certificate authority")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: rustls::pki_types::pem::Error,
    },
    /// The file cannot be read.
    #[error("{path}: {why}; expected a PEM file with the hub's certificate authority")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says, or what is there.
        why: io::Error,
    },
    /// A certificate in the file cannot be used.
    #[error("{path}: {why}; expected a PEM file with the hub's certificate authority")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: rustls::Error,
    },
    /// The file holds no certificate.
    #[error("{path}: holds no certificate; expected a PEM file with the hub's certificate authority")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The system's cannot be used.
    #[error("certificate authorities: {0}")]
    Roots(rustls::Error),
}

// Not a `source`: an error shown with its causes would say it twice.
impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> TlsError {
        TlsError::Roots(error)
    }
}

/// Source of the time of day by which the dates of certificates are checked.
#[derive(Clone)]
pub struct CertificateClock(Arc<dyn Fn() -> Option<WallTime> + Send + Sync>);

impl CertificateClock {
    /// `time` says the time of day where it is known better than the machine's clock has it: a device without a battery
    /// wakes in 1970 and may have been told the time since.
    pub fn new(time: impl Fn() -> Option<WallTime> + Send + Sync + 'static) -> CertificateClock {
        CertificateClock(Arc::new(time))
    }

    /// The machine's clock.
    #[must_use]
    pub fn machine() -> CertificateClock {
        CertificateClock::new(|| None)
    }
}

impl fmt::Debug for CertificateClock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CertificateClock")
    }
}

impl TimeProvider for CertificateClock {
    fn current_time(&self) -> Option<UnixTime> {
        match (self.0)() {
            Some(WallTime(ms)) => Some(UnixTime::since_unix_epoch(Duration::from_millis(ms.try_into().ok()?))),
            None => DefaultTimeProvider.current_time(),
        }
    }
}

/// Believes the authorities in the PEM file `ca` and no others, or without one those of the system.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn client_config(ca: Option<&Path>, clock: CertificateClock) -> Result<Arc<ClientConfig>, TlsError> {
    config(verifier(ca)?, clock)
}

/// As [`client_config`], for the one question that is asked while the date is unknown: certificates are checked as on some day on which
/// they hold. What is asked so must carry no key, and its answer must be signed.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn config_ignoring_dates(ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    config(Arc::new(Undated(verifier(ca)?)), CertificateClock::machine())
}

/// Believes any certificate, for the one question that is asked before anything can be believed: which CA certificate a hub has. What is asked
/// so must carry no secret, and its answer must be checked by a hash that came another way.
///
/// # Errors
/// [`TlsError`] when the versions of TLS cannot be had.
pub fn config_unverified() -> Result<Arc<ClientConfig>, TlsError> {
    config(Arc::new(Unverified(provider())), CertificateClock::machine())
}

/// The DER of the certificate in a PEM text that holds nothing but this one.
#[must_use]
pub fn only_certificate(pem: &str) -> Option<Vec<u8>> {
    let is_one = pem.starts_with("-----BEGIN CERTIFICATE-----") && pem.matches("-----BEGIN ").count() == 1;
    let read = || CertificateDer::from_pem_slice(pem.as_bytes()).ok().map(|der| der.to_vec());
    is_one.then(read).flatten()
}

fn config(verifier: Arc<dyn ServerCertVerifier>, clock: CertificateClock) -> Result<Arc<ClientConfig>, TlsError> {
    let builder =
        ClientConfig::builder_with_details(provider(), Arc::new(clock)).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn verifier(ca: Option<&Path>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let Some(path) = ca else { return Ok(Arc::new(rustls_platform_verifier::Verifier::new(provider())?)) };
    let roots = Arc::new(authorities(path)?);
    let built = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    Ok(built.map_err(|error| rustls::Error::General(error.to_string()))?)
}

/// Checks that the other end has the key of its certificate, and nothing of the certificate.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks everything but the date.
#[derive(Debug)]
struct Undated(Arc<dyn ServerCertVerifier>);

/// A certificate and those above it: each may name another day.
const MOST_DAYS: usize = 4;

impl ServerCertVerifier for Undated {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut day = now;
        for _ in 0..MOST_DAYS {
            let found = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, day);
            day = match found {
                Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => not_after,
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                    not_before
                }
                other => return other,
            };
        }
        Err(CertificateError::Expired.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Why a certificate is not believed, in words that say what to mend.
pub(super) fn in_words(why: &CertificateError) -> String {
    let date = |time: &UnixTime| WallTime(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000));
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "unknown issuer; set hub.ca to the hub's CA certificate".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            format!("it is for {names} and not for {}, as hub.url says", expected.to_str())
        }
        CertificateError::ExpiredContext { time, not_after } => {
            format!("it ended at {}, and this device's clock says {}", date(not_after), date(time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("it begins at {}, and this device's clock says {}", date(not_before), date(time))
        }
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is that of an authority, and a hub needs one of its own; make it with basicConstraints=critical,CA:FALSE"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// `hub.example` of `DnsName("hub.example")`.
fn bare(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let bytes = plain_file::read(path, MAX_PEM);
    let bytes = bytes.map_err(|why| TlsError::Unreadable { path: path.to_owned(), why })?;
    let damaged = |why| TlsError::Pem { path: path.to_owned(), why };
    let unusable = |why| TlsError::Unusable { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        roots.add(certificate.map_err(damaged)?).map_err(unusable)?;
    }
    if roots.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_more_than_one_certificate_is_none() {
        let one = include_str!("https/ca.pem");
        assert!(only_certificate(one).is_some_and(|der| der.len() > 100));
        for text in ["", &one.repeat(2), &format!("x\n{one}"), &one[..200], &one.replace("CERTIFICATE", "PRIVATE KEY")]
        {
            assert_eq!(only_certificate(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_that_holds_no_authority_is_named() {
        for (name, text, expected) in [
            ("tilth-tls-absent.pem", None, "No such file"),
            ("tilth-tls-empty.pem", Some(""), "holds no certificate"),
            ("tilth-tls-half.pem", Some("-----BEGIN CERTIFICATE-----\nMIIB"), "expected a PEM file"),
            (
                "tilth-tls-junk.pem",
                Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "expected a PEM file",
            ),
        ] {
            let path = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let error = client_config(Some(&path), CertificateClock::machine()).unwrap_err();
            assert!(std::error::Error::source(&error).is_none(), "{name}: its cause would be said twice");
            let error = error.to_string();
            assert!(error.contains(expected) && error.contains(name), "{name}: {error}");
            let _ = std::fs::remove_file(&path);
        }
    }

    #[test]
    fn the_systems_authorities_do_without_a_file() {
        // A machine without ca-certificates has none; the error then says so.
        if let Err(error) = client_config(None, CertificateClock::machine()) {
            assert!(error.to_string().contains("certificate"), "{error}");
        }
    }
}
