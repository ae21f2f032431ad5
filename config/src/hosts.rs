//! The servers that a secret may be sent to: `[secrets.NAME] hosts = [..]` in `agent.toml`, which no bundle can change.

use std::fmt;

use crate::channels::{Channel, Channels, SecretName};
use crate::diagnostic::{Log, Problem};
use crate::document::{Effective, ZONES};
use crate::path;
use crate::reader::{self, Fields};
use crate::settings::Zones;
use crate::site::{Site, host_of, is_loopback};
use crate::source::Place;
use crate::tree::{Entry, Node, Table};

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
pub(crate) fn read(name: &str, entry: &Entry, log: &Log) -> Option<(SecretName, Hosts)> {
    let mut fields = Fields::of(entry, path::join("secrets", name), log)?;
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
    let wrong =
        || Problem::new(format!("{node} is no host")).help("expected HOST or HOST:PORT, without https:// and path");
    let name = host_of(text).ok_or_else(wrong)?;
    Ok(Host { name: name.to_ascii_lowercase(), port: port_of(text) })
}

/// The port that an authority states.
fn port_of(authority: &str) -> Option<u16> {
    let after = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    after.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

impl Hosts {
    /// Whether a channel's address, which was checked, leads to one of them.
    ///
    /// Where only the host is named, the way must be encrypted: otherwise whoever listens has the secret, wherever it was
    /// meant to go.
    fn allows(&self, url: &str) -> bool {
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

/// Why a channel's secret may not go where the channel leads, if it may not.
pub(crate) fn blocked(channel: &Channel, site: &Site) -> Option<String> {
    let (url, secret) = channel.target.url().zip(channel.secret.as_ref())?;
    let hosts = site.secrets.get(secret).filter(|hosts| !hosts.allows(url))?;
    let how = if url.starts_with("http://") { ", encrypted where it states no port" } else { "" };
    Some(format!("agent.toml lets the secret {} go to {hosts} alone{how}", secret.as_str()))
}

/// Says of each channel that may not use its secret.
pub(crate) fn say(effective: &Effective, zones: &Zones, site: &Site, log: &Log) {
    let device = effective.device().namespace("notifications");
    say_of(&device, "notifications", &zones.device().channels, site, log);
    for (zone, _) in effective.zones().into_iter().flatten() {
        if let Some(own) = effective.zone(zone).own("notifications") {
            let at = path::join(&path::join(ZONES, zone), "notifications");
            say_of(own, &at, &zones.settings(zone).channels, site, log);
        }
    }
}

fn say_of(table: &Table, at: &str, channels: &Channels, site: &Site, log: &Log) {
    for (name, entry) in table {
        let channel = channels.get(name).and_then(|channel| channel.as_ref());
        let Some(why) = channel.and_then(|(_, channel)| blocked(channel, site)) else { continue };
        let place: Place = entry.node.get(["url"]).map_or(entry.key, |node| node.place);
        let problem = Problem::new(why).help("nothing is sent by this channel");
        log.warning(place, &path::join(&path::join(at, name), "url"), problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_that_host_and_no_other() {
        let log = Log::default();
        let hosts = |texts: &[&str]| {
            let text = format!("[secrets.a]\nhosts = {texts:?}");
            let mut sources = crate::Sources::default();
            let (source, table) = crate::Document::site(&text).parse(&mut sources, &log);
            crate::site::read(source, table, &sources, crate::Purpose::Replay, &log).secrets.into_values().next()
        };
        let allows = |texts: &[&str], url: &str| hosts(texts).expect("hosts").allows(url);
        for (host, url, expected) in [
            ("ntfy.example", "https://ntfy.example", true),
            ("ntfy.example", "https://NTFY.example/path", true),
            ("ntfy.example", "https://ntfy.example:8443/x", true),
            ("ntfy.example", "http://ntfy.example", false),
            ("ntfy.example", "http://ntfy.example:443", false),
            ("ntfy.example", "https://ntfy.example.evil.example", false),
            ("ntfy.example", "https://evil.example/ntfy.example", false),
            ("ntfy.example", "https://evil.example#ntfy.example", false),
            ("ntfy.example", "https://evil.example?ntfy.example", false),
            ("ntfy.example", "https://xntfy.example", false),
            ("ntfy.example", "https://ntfy.example.", false),
            ("ntfy.example", "https://a.ntfy.example", false),
            ("ntfy.example:8443", "https://ntfy.example:8443", true),
            ("ntfy.example:8443", "https://ntfy.example", false),
            ("ntfy.example:443", "https://ntfy.example", true),
            ("192.168.1.5:80", "http://192.168.1.5/x", true),
            ("192.168.1.5:80", "http://192.168.1.5:8080/x", false),
            ("192.168.1.5", "http://192.168.1.5", false),
            ("127.0.0.1", "http://127.0.0.1:8080", true),
            ("[2001:db8::1]", "https://[2001:DB8::1]:444", true),
            ("[2001:db8::1]:443", "https://[2001:db8::1]", true),
            ("[2001:db8::1]:443", "https://[2001:db8::2]", false),
        ] {
            assert_eq!(allows(&[host], url), expected, "{host} {url}");
        }
        assert!(allows(&["a.example", "b.example"], "https://b.example"));
        assert!(!log.has_errors());
        for wrong in
            ["https://ntfy.example", "ntfy.example/x", "user@ntfy.example", "*.example", "ntfy.example:0", "", "a b"]
        {
            assert_eq!(hosts(&[wrong]), None, "{wrong}");
        }
        assert_eq!(hosts(&[]), None);
        assert!(log.has_errors());
    }
}
