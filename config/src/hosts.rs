//! The servers that a secret may be sent to: `[secrets.NAME] hosts = [..]` in `agent.toml`, which no bundle can change.

use std::fmt;

use crate::diagnostic::{Diagnostics, Problem};
use crate::namespaces::SECRET;
use crate::path;
use crate::reader::{self, Fields};
use crate::redact::SecretName;
use crate::tree::{Entry, Node};

/// The servers of one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    /// In small letters; of an IPv6 address without brackets.
    name: String,
    /// Any one that is encrypted, where it is not said.
    port: Option<u16>,
}

/// Reads the entry of a secret.
pub(crate) fn read(name: &str, entry: &Entry, log: &Diagnostics) -> Option<(SecretName, Hosts)> {
    let fields = Fields::of(entry, path::join("secrets", name), &SECRET, log)?;
    let secret = SecretName::new(name);
    if secret.is_none() {
        let problem = Problem::new("this is no name of a secret");
        fields.error_here(
            problem.help("expected the NAME of secret:NAME; the secret itself is in the file secrets/NAME"),
        );
    }
    let what = "a list of hosts such as [\"ntfy.example\"]";
    let hosts = if fields.has("hosts") {
        fields.list("hosts", what, host)
    } else {
        fields.required("hosts", |_| Ok(Vec::new()))
    };
    if hosts.as_ref().is_some_and(Vec::is_empty) {
        fields.error("hosts", Problem::new("no host").help("expected one at least, such as [\"ntfy.example\"]"));
    }
    fields.finish();
    Some((secret?, Hosts(hosts.filter(|hosts| !hosts.is_empty())?)))
}

/// `ntfy.example`, `ntfy.example:8443`, `[2001:db8::1]:443`.
fn host(node: &Node) -> Result<Host, Problem> {
    let text = node.as_text().ok_or_else(|| reader::expected("a host in quotes", node))?;
    let help = expected(text, "expected HOST or HOST:PORT, without https:// and path");
    let wrong = || Problem::new(format!("{node} is no host")).help(help);
    let name = host_of(text).ok_or_else(wrong)?;
    Ok(Host { name: name.to_ascii_lowercase(), port: port_of(text) })
}

/// Help for a text that names no host: a host with other letters than ASCII is written as DNS knows it.
pub(crate) fn expected(text: &str, form: &'static str) -> &'static str {
    match text.is_ascii() {
        true => form,
        false => "expected ASCII: a host with other letters is written in Punycode, such as xn--bcher-kva.example",
    }
}

/// The port that an authority states.
fn port_of(authority: &str) -> Option<u16> {
    let after = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    after.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

/// The host of `host`, `host:port` or `[v6]:port`; none where there is anything else.
pub(crate) fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    let port_fine = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    (!host.is_empty() && host.chars().all(fine) && port_fine).then_some(host)
}

/// Whether a host is this machine: `localhost` or a loopback address; one of IPv6 with brackets or without.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether an address, such as `http://127.0.0.1:8080/x`, leads to this machine.
#[must_use]
pub fn leads_to_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    host_of(rest.split(['/', '?', '#']).next().unwrap_or(rest)).is_some_and(is_loopback)
}

impl Hosts {
    /// Whether a channel's address, which was checked, leads to one of them.
    ///
    /// A host without a port must be reached encrypted: otherwise anyone on the network can read the secret.
    pub(crate) fn allows(&self, url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let Some(name) = host_of(authority) else { return false };
        let is_https = scheme == "https";
        let port = port_of(authority).unwrap_or(if is_https { 443 } else { 80 });
        self.0.iter().any(|host| {
            let is_way = host.port.map_or(is_https || is_loopback(name), |of| of == port);
            host.name.eq_ignore_ascii_case(name) && is_way
        })
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Host { name, port }) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { ", " } else { "" })?;
            match name.contains(':') {
                true => write!(f, "[{name}]")?,
                false => f.write_str(name)?,
            }
            if let Some(port) = port {
                write!(f, ":{port}")?;
            }
        }
        Ok(())
    }
}
