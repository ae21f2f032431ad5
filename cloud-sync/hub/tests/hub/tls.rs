//! The hub's own TLS.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::client::{Reply, Request};
use crate::served::{Made, Served, stderr};

/// A certificate for this machine that signs itself, in files.
struct Certificate {
    roots: RootCertStore,
    files: [String; 4],
}

fn certificate(made: &Made) -> Certificate {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = made.folder.write("tls.pem", &signed.cert.pem());
    let key = made.folder.write("tls.key", &signed.signing_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    Certificate { roots, files: ["--tls-cert".into(), path(certificate), "--tls-key".into(), path(key)] }
}

fn served() -> (Served, RootCertStore, String) {
    let made = Made::new();
    let reader = made.tenant("acme");
    let Certificate { roots, files } = certificate(&made);
    (made.serve_with(&files.each_ref().map(String::as_str)), roots, reader)
}

fn ask(
    address: SocketAddr,
    roots: &RootCertStore,
    version: &'static SupportedProtocolVersion,
    request: &Request<'_>,
) -> Result<(Reply, ProtocolVersion), std::io::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let config = config.with_root_certificates(roots.clone()).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    connection.complete_io(&mut stream)?;
    let spoken = connection.protocol_version().unwrap();
    Ok((request.send_over(StreamOwned::new(connection, stream)), spoken))
}

#[test]
fn both_versions_with_the_certificate_that_was_given() {
    let (mut served, roots, reader) = served();
    let request = Request::get("/api/health", &reader);
    for (version, expected) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let (reply, spoken) = ask(served.address, &roots, version, &request).unwrap();
        assert_eq!((reply.ok()["status"].as_str(), spoken), (Some("ok"), expected));
    }
    // A client that does not trust the certificate goes away, and plain HTTP is not understood.
    let no_roots = RootCertStore::empty();
    assert!(ask(served.address, &no_roots, &rustls::version::TLS13, &request).is_err());
    let mut plain = TcpStream::connect(served.address).unwrap();
    std::io::Write::write_all(&mut plain, b"GET /api/health HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let (reply, _) = ask(served.address, &roots, &rustls::version::TLS13, &request).unwrap();
    assert_eq!(reply.status, 200);
    // A handshake that never comes does not hold up the end.
    let silent = TcpStream::connect(served.address).unwrap();
    let (status, took) = served.stop("-TERM");
    assert!(status.success() && took.as_secs_f64() < 3.0, "{status} after {took:?}");
    drop(silent);
}

#[test]
fn handshakes_that_never_end_keep_nobody_out() {
    let (served, roots, reader) = served();
    let request = Request::get("/api/health", &reader);
    for beginning in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let open = |_| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            std::io::Write::write_all(&mut stream, beginning).unwrap();
            stream
        };
        let held: Vec<TcpStream> = (0..1100).map(open).collect();
        for _ in 0..3 {
            let (reply, _) = ask(served.address, &roots, &rustls::version::TLS13, &request).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        drop(held);
    }
}

/// Writes a certificate and its key, and returns who trusts it alone.
fn renew(made: &Made, with_key: bool) -> (RootCertStore, String) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = signed.signing_key.serialize_pem();
    if with_key {
        made.folder.write("tls.key", &key);
    }
    made.folder.write("tls.pem", &signed.cert.pem());
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    (roots, key)
}

#[test]
fn a_certificate_is_read_again_when_its_files_change() {
    let (served, first, reader) = served();
    let request = Request::get("/api/health", &reader);
    let is_served = |roots: &RootCertStore| ask(served.address, roots, &rustls::version::TLS13, &request).is_ok();
    let wait = |what: &str, until: &dyn Fn() -> bool| {
        for _ in 0..300 {
            if until() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{what}: {}", served.made.log());
    };
    assert!(is_served(&first));
    let (second, _) = renew(&served.made, true);
    wait("a new pair", &|| is_served(&second));
    assert!(!is_served(&first));
    // Half a file, and then a certificate whose key is still to come: the one before stays, and it is said.
    served.made.folder.write("tls.pem", "-----BEGIN CERTIFICATE-----\nMIIB");
    wait("half a file is said", &|| served.made.log().contains("certificate rejected: "));
    assert!(is_served(&second));
    let (third, key) = renew(&served.made, false);
    wait("a pair that does not fit is said", &|| {
        served.made.log().contains("tls.key: not the private key of the certificate in ")
    });
    assert!(is_served(&second) && !is_served(&third));
    std::fs::remove_file(served.made.folder.path().join("tls.key")).unwrap();
    wait("a file that is gone is said", &|| {
        served
            .made
            .log()
            .contains("tls.key: there is no such file; expected the private key of the certificate, in PEM")
    });
    assert!(is_served(&second));
    served.made.folder.write("tls.key", &key);
    wait("the other half", &|| is_served(&third));
}

#[test]
fn files_that_are_no_certificate_are_named() {
    let made = Made::new();
    let Certificate { files: [_, cert, _, key], .. } = certificate(&made);
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let other = made.folder.write("other.key", &other).to_str().unwrap().to_owned();
    let empty = made.folder.write("empty.pem", "").to_str().unwrap().to_owned();
    let serve = |cert: &str, key: &str| {
        let done = made.run(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]);
        assert!(!done.status.success());
        stderr(&done)
    };
    let make = |cert: &str, key: &str| {
        format!("openssl req -x509 -newkey ed25519 -nodes -days 3650 -keyout {key} -out {cert} ")
    };
    // The command names the files that are missing, and others where one of them would be overwritten.
    for (found, problem, command) in [
        (
            serve("missing.pem", "missing.key"),
            "missing.pem: there is no such file; expected the hub's TLS certificate and its chain, in PEM",
            make("missing.pem", "missing.key"),
        ),
        (
            serve("missing.pem", &key),
            "missing.pem: there is no such file; expected the hub's TLS certificate and its chain, in PEM",
            make("new.pem", "new.key"),
        ),
        (serve(&empty, &key), "empty.pem: no certificate found; expected PEM", make("new.pem", "new.key")),
        (
            serve(&key, &cert),
            "tls.key: no certificate found; expected PEM; it holds a private key: are --tls-cert and --tls-key swapped?",
            make("new.pem", "new.key"),
        ),
        (
            serve(&cert, &empty),
            "empty.pem: no private key found; expected PEM, without a password",
            make("new.pem", "new.key"),
        ),
        (
            serve(&cert, &other),
            &format!(
                "other.key: not the private key of the certificate in {cert}; expected the one that was made with it"
            ),
            make("new.pem", "new.key"),
        ),
    ] {
        assert!(found.contains(problem), "expected {problem:?}: {found}");
        assert!(found.contains(&command), "expected {command:?}: {found}");
    }
    let open = made.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(open.status.code(), Some(2));
    assert!(stderr(&open).contains(&make("hub.pem", "hub-tls.key")), "{}", stderr(&open));
    let alone = made.run(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", &cert]);
    assert_eq!(alone.status.code(), Some(2), "{}", stderr(&alone));
}

/// Guards against: a hub that looks well on its machine, while every device rejects it.
#[test]
fn a_certificate_whose_dates_are_wrong_is_served_with_a_warning() {
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(10 * 86_400);
    let renew = "(/usr/share/doc/tilth-hub/operations.md, Renew a certificate)";
    for (begin, end, expected) in [
        (
            rcgen::date_time_ymd(2020, 1, 1),
            rcgen::date_time_ymd(2021, 1, 1),
            Some(format!("ended at 2021-01-01T00:00:00Z: devices reject the hub until it is renewed {renew}")),
        ),
        (
            rcgen::date_time_ymd(2089, 1, 1),
            rcgen::date_time_ymd(2090, 1, 1),
            Some("begins at 2089-01-01T00:00:00Z, and this machine's clock says 20".to_owned()),
        ),
        (
            rcgen::date_time_ymd(2020, 1, 1),
            soon.into(),
            Some(format!("devices then reject the hub; renew it before {renew}")),
        ),
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2090, 1, 1), None),
    ] {
        let made = Made::new();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (begin, end);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let cert = made.folder.write("tls.pem", &pem).display().to_string();
        let key = made.folder.write("tls.key", &key.serialize_pem()).display().to_string();
        let served = made.serve_with(&["--tls-cert", &cert, "--tls-key", &key]);
        let log = served.made.log();
        match expected {
            Some(expected) => {
                assert!(
                    log.contains(&format!("{cert}: the certificate ")) && log.contains(&expected),
                    "expected {expected:?}: {log}"
                );
            }
            None => assert!(!log.contains("the certificate "), "{log}"),
        }
    }
}
