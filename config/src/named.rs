//! What a configuration names and does not hold: secrets, keys and ports of the machine, each with the key that names it.

use crate::document::{Effective, ZONES};
use crate::path;
use crate::redact::{self, SecretName};
use crate::source::{Place, Position, Sources};
use crate::tree::{Entry, Node, Table};

/// Something of the machine, and where it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What is named.
    pub thing: Thing,
    /// The file that names it.
    pub file: String,
    /// Place in the file; none in a document without a text.
    pub position: Option<Position>,
    /// The key, such as `hub.key_file`.
    pub path: String,
}

/// What can be named. Files are relative to the folder of the configuration, ports are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A secret of a channel.
    Secret(SecretName),
    /// The file with the hub's public key.
    SigningKey(String),
    /// The file with the device's own key.
    DeviceKey(String),
    /// The file with the certificate that signs the hub's.
    Authority(String),
    /// The device file or folder of a bus.
    Port(String),
}

/// A thing before it is known where its place is.
pub(crate) type Mention = (Place, String, Thing);

/// What `agent.toml` names.
pub(crate) fn by_site(table: &Table) -> Vec<Mention> {
    let hub = |key, thing: fn(String) -> Thing| mention(table.get("hub")?, key, "hub", thing);
    let files = [hub("signing_key", Thing::SigningKey), hub("key_file", Thing::DeviceKey), hub("ca", Thing::Authority)];
    let buses = table.get("bus").and_then(|bus| bus.node.as_table());
    let ports = buses.into_iter().flatten();
    let ports = ports.filter_map(|(name, bus)| mention(bus, "port", &path::join("bus", name), Thing::Port));
    files.into_iter().flatten().chain(ports).collect()
}

fn mention(entry: &Entry, key: &str, at: &str, thing: impl Fn(String) -> Thing) -> Option<Mention> {
    let node = entry.node.get([key])?;
    // What is no name, but what should be behind it, is said already and not repeated.
    let text = node.as_text().filter(|text| !text.trim().is_empty() && redact::text(text) == **text)?;
    Some((node.place, path::join(at, key), thing(text.to_owned())))
}

/// What channels name, for all and in zones.
pub(crate) fn by_channels(effective: &Effective) -> Vec<Mention> {
    let device = effective.device().namespace("notifications");
    let mut mentions = Vec::new();
    secrets(&device, "notifications", &mut mentions);
    for (zone, _) in effective.zones().into_iter().flatten() {
        if let Some(own) = effective.zone(zone).own("notifications") {
            secrets(own, &path::join(&path::join(ZONES, zone), "notifications"), &mut mentions);
        }
    }
    mentions
}

fn secrets(channels: &Table, at: &str, mentions: &mut Vec<Mention>) {
    for (name, channel) in channels {
        for key in ["token", "secret"] {
            let Some(node) = channel.node.get([key]) else { continue };
            mentions.extend(
                secret(node)
                    .map(|name_of| (node.place, path::join(&path::join(at, name), key), Thing::Secret(name_of))),
            );
        }
    }
}

/// The name of a secret, as documents write it.
pub(crate) fn secret(node: &Node) -> Option<SecretName> {
    node.as_text()?.strip_prefix("secret:").and_then(SecretName::new)
}

/// By file and place.
pub(crate) fn placed(mut mentions: Vec<Mention>, sources: &Sources) -> Vec<Named> {
    mentions.sort_by_key(|(place, ..)| *place);
    let placed = |(place, path, thing): Mention| {
        let file = sources.get(place.source).file.clone();
        Named { thing, file, position: sources.position(place), path }
    };
    mentions.into_iter().map(placed).collect()
}
