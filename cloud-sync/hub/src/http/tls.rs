//! The hub's own TLS, from files: rustls with ring, versions 1.2 and 1.3.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Reads a certificate with those above it, and its private key.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let name = || certificate.display().to_string();
    let chain = CertificateDer::pem_file_iter(certificate).with_context(name)?.collect::<Result<Vec<_>, _>>();
    let chain = chain.with_context(name)?;
    if chain.is_empty() {
        bail!("{}: no certificate in it; expected PEM", certificate.display());
    }
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| key.display().to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not fit", certificate.display(), key.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
