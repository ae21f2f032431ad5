//! The connection to the hub, step by step: name, connection, TLS, key. The last two are tried with the agent's own client.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use tilth_config::Loaded;
use tilth_protocol::{ErrorCode, Failure};
use tilth_sync::engine::NewestBundle;
use tilth_sync::transport::Transport;
use tilth_sync::transport::https::Https;
use tilth_sync::transport::tls::{self, CertificateClock};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::facts::{Answer, HubFacts};
use crate::configuration::Enrolment;

/// How long a connection may take: as long as that of sync.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks the hub for configuration newer than `version`.
pub(super) async fn of(loaded: &Loaded, folder: &Path, data: &Path, version: u64) -> Option<HubFacts> {
    let enrolment = Enrolment::of(loaded.agent_toml.as_ref()?, folder, data)?;
    let url = enrolment.hub.url.clone();
    let (host, port) = host_and_port(&url);
    let answer = match (host.as_str(), port).to_socket_addrs().map(Vec::from_iter) {
        Ok(addresses) => match connect(&addresses).await {
            Ok(()) => ask(&enrolment, version).await,
            Err(why) => Answer::NotConnected(why),
        },
        Err(error) => Answer::NotResolved(error.to_string()),
    };
    Some(HubFacts { url, address: format!("{host}:{port}"), has_key: enrolment.device_key().is_ok(), answer })
}

/// Connects to a server, and says why that fails.
pub(super) async fn connect(addresses: &[SocketAddr]) -> Result<(), String> {
    match timeout(PATIENCE, TcpStream::connect(addresses)).await {
        Ok(connected) => connected.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no connection within {} s", PATIENCE.as_secs())),
    }
}

/// One request, with the device's key where that can be read.
async fn ask(enrolment: &Enrolment, version: u64) -> Answer {
    let https = tls::client_config(enrolment.authority().as_deref(), CertificateClock::machine())
        .map_err(|error| error.to_string())
        .and_then(|tls| {
            let (url, tenant) = (&enrolment.hub.url, &enrolment.tenant);
            let https = match enrolment.device_key() {
                Ok(key) => Https::new(url, tenant, &key, &tls),
                Err(_) => Https::without_key(url, tenant, &tls),
            };
            https.map_err(|error| error.to_string())
        });
    match https {
        Ok(https) => match https.get_bundle(&NewestBundle { version, etag: None }).await.outcome {
            Ok(reply) => match serde_json::from_slice::<Failure>(&reply.body) {
                Ok(Failure { error: ErrorCode::NotFound, .. }) => Answer::NoBundle,
                _ => Answer::Status(reply.status),
            },
            Err(error) => Answer::Failed(error.kind, error.detail),
        },
        Err(why) => Answer::Unusable(why),
    }
}

/// Host, without the brackets of IPv6, and port of an address that the configuration accepts.
pub(super) fn host_and_port(url: &str) -> (String, u16) {
    let (default, rest) = match url.split_once("://") {
        Some(("http", rest)) => (80, rest),
        Some((_, rest)) => (443, rest),
        None => (443, url),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let named = authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let (host, port) = match named.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host, port),
        None => (authority, default),
    };
    (host.trim_matches(['[', ']']).to_owned(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_is_found() {
        for (url, expected) in [
            ("https://hub.example", ("hub.example", 443)),
            ("https://hub.example:8443/tilth", ("hub.example", 8443)),
            ("http://127.0.0.1:8080", ("127.0.0.1", 8080)),
            ("http://localhost", ("localhost", 80)),
            ("https://[2001:db8::1]", ("2001:db8::1", 443)),
            ("https://[2001:db8::1]:8443", ("2001:db8::1", 8443)),
        ] {
            assert_eq!(host_and_port(url), (expected.0.to_owned(), expected.1), "{url}");
        }
    }
}
