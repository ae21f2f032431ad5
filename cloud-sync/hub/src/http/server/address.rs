//! Addresses of clients, also behind trusted proxies, and the network by which limits count.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

/// Unit of limits: an IPv4 address, or the first 64 bits of an IPv6 address, which one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Network {
        Network(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

/// Reads an address, or a range such as `10.0.0.0/8`.
pub(crate) fn range(text: &str) -> Result<IpNet, String> {
    let single = || Some(IpNet::from(text.parse::<IpAddr>().ok()?.to_canonical()));
    let range = text.parse().ok().filter(|range: &IpNet| range.addr().to_canonical() == range.addr());
    let expected = "expected an address or a range, such as 127.0.0.1, 10.0.0.0/8 or 2001:db8::/32";
    range.or_else(single).ok_or_else(|| expected.to_owned())
}

/// Trusted proxies, by their addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies(pub(crate) Vec<IpNet>);

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Proxies {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Address of the client. The header is read from the right as long as the address is a trusted proxy; what is further left was
    /// written by the client. `Forwarded` is read only without `X-Forwarded-For`.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return peer;
        }
        let is_plain = headers.contains_key(X_FORWARDED_FOR);
        let name = if is_plain { X_FORWARDED_FOR } else { header::FORWARDED };
        let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
        let mut client = peer;
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.contains(client) {
                break;
            }
            let named = if is_plain { Some(entry) } else { for_of(entry) };
            let Some(next) = named.and_then(address) else { break };
            client = next;
        }
        client
    }
}

/// The value of `for=` in one element of `Forwarded`.
fn for_of(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(value.trim().trim_matches('"'))
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
