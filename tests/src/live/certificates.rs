//! Certificates, good and bad, for the hub of a test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::hub::Hub;
use crate::agent::Folder;

/// An authority of the test's own.
pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// A new authority.
///
/// # Panics
/// When no key can be made.
#[must_use]
pub fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// Files of a certificate for a name, `tls.pem`, and its key, `tls.key`; `years` are the first and the last.
///
/// # Panics
/// When it cannot be made.
pub fn certificate(folder: &Folder, authority: &Authority, name: &str, years: (i32, i32)) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    folder.write("tls.pem", certificate.pem());
    folder.write("tls.key", key.serialize_pem());
}

/// Has a hub serve with the certificate that is in the folder now.
///
/// # Panics
/// When it does not serve.
pub fn serve(hub: &mut Hub, folder: &Folder) {
    let [certificate, key] =
        ["tls.pem", "tls.key"].map(|file| folder.path().join(file).to_str().expect("UTF-8").to_owned());
    hub.serve_with(&["--tls-cert", &certificate, "--tls-key", &key]);
}
