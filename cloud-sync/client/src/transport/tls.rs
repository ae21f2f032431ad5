//! The one TLS configuration, for HTTP and MQTT alike: rustls with ring, TLS 1.2 and 1.3.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tilth_core::time::WallTime;

/// Why there is no TLS configuration. Trying again helps only after somebody changed the file or the system.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities cannot be read, or is no PEM.
    #[error("{path}: {source}; expected a PEM file with the hub's certificate authority")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("{path}: holds no certificate; expected a PEM file with the hub's certificate authority")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in the file, or the system's, cannot be used.
    #[error("certificate authorities: {0}")]
    Roots(#[from] rustls::Error),
}

/// Believes the authorities in the PEM file `ca` and no others, or without one those of the system.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match ca {
        Some(path) => builder.with_root_certificates(authorities(path)?).with_no_client_auth(),
        None => builder.with_platform_verifier()?.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Why a certificate is not believed, in the words of whoever has to mend it.
pub(super) fn in_words(why: &CertificateError) -> String {
    let date = |time: &UnixTime| WallTime(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000));
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it is signed by nobody whom this device trusts; hub.ca names the file with the authority of the hub".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if presented.is_empty() { "nobody".to_owned() } else { presented.join(", ") };
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
    let unreadable = |source| TlsError::Pem { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?)?;
    }
    if roots.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_authority_is_named() {
        for (name, text, expected) in [
            ("tilth-tls-absent.pem", None, "No such file"),
            ("tilth-tls-empty.pem", Some(""), "holds no certificate"),
            ("tilth-tls-half.pem", Some("-----BEGIN CERTIFICATE-----\nMIIB"), "expected a PEM file"),
            (
                "tilth-tls-junk.pem",
                Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "authorities",
            ),
        ] {
            let path = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let error = client_config(Some(&path)).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
            let _ = std::fs::remove_file(&path);
        }
    }

    #[test]
    fn the_systems_authorities_do_without_a_file() {
        // A machine without ca-certificates has none; the error then says so.
        if let Err(error) = client_config(None) {
            assert!(error.to_string().contains("certificate"), "{error}");
        }
    }
}
