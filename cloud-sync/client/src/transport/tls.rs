//! The one TLS configuration, for HTTP and MQTT alike: rustls with ring, TLS 1.2 and 1.3.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

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
