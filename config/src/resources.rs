//! Resources of the machine that a configuration names: secrets, key files and ports, each with the key that names it.

use crate::agent_toml;
use crate::diagnostic::{Diagnostic, Level};
use crate::document::Effective;
use crate::path;
use crate::redact::{self, SecretName};
use crate::source::{Place, Position, Sources};
use crate::tree::{Entry, Node, Table};

/// A resource of the machine, and the key that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRef {
    /// The resource.
    pub resource: Resource,
    /// The file that names it.
    pub file: String,
    /// Place in the file; none in a document without a text.
    pub position: Option<Position>,
    /// The key, such as `hub.key_file`.
    pub path: String,
}

/// A resource of the machine. Files are relative to the folder of the configuration, ports are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
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

impl ResourceRef {
    /// A warning at the key that names the resource.
    #[must_use]
    pub fn warning(&self, message: String, help: String) -> Diagnostic {
        let ResourceRef { file, position, path, .. } = self.clone();
        Diagnostic { level: Level::Warning, file, position, path, message, help: Some(help) }
    }
}

/// A resource before it is known where its place is.
pub(crate) type UnplacedRef = (Place, String, Resource);

/// Resources that `agent.toml` names.
pub(crate) fn by_agent_toml(table: &Table) -> Vec<UnplacedRef> {
    let hub = |key, resource: fn(String) -> Resource| reference(table.get("hub")?, key, "hub", resource);
    let files = [
        hub("signing_key", Resource::SigningKey),
        hub("key_file", Resource::DeviceKey),
        hub("ca", Resource::Authority),
    ];
    let buses = table.get("bus").and_then(|bus| bus.node.as_table());
    let ports = buses.into_iter().flatten();
    let ports = ports.filter_map(|(name, bus)| port(bus, &path::join("bus", name)));
    files.into_iter().flatten().chain(ports).collect()
}

fn reference(entry: &Entry, key: &str, at: &str, resource: impl Fn(String) -> Resource) -> Option<UnplacedRef> {
    let node = entry.node.get([key])?;
    // What is no name, but what should be behind it, is said already and not repeated.
    let text = node.as_text().filter(|text| !text.trim().is_empty() && redact::text(text) == **text)?;
    Some((node.place, path::join(at, key), resource(text.to_owned())))
}

/// The device of a bus or a modem; none where it is reached over TCP.
fn port(entry: &Entry, at: &str) -> Option<UnplacedRef> {
    let is_device = |port: &&str| !port.starts_with(agent_toml::TCP);
    entry.node.get(["port"]).and_then(Node::as_text).filter(|port| is_device(&&**port))?;
    reference(entry, "port", at, Resource::Port)
}

/// Resources that channels name, also those of zones.
pub(crate) fn by_channels(effective: &Effective) -> Vec<UnplacedRef> {
    let mut references = Vec::new();
    effective.tables("notifications").for_each(|(at, _, channels)| secrets(channels, &at, &mut references));
    references
}

fn secrets(channels: &Table, at: &str, references: &mut Vec<UnplacedRef>) {
    for (name, channel) in channels {
        references.extend(port(channel, &path::join(at, name)));
        for key in ["token", "secret", "pin"] {
            let Some(node) = channel.node.get([key]) else { continue };
            references.extend(
                secret(node)
                    .map(|name_of| (node.place, path::join(&path::join(at, name), key), Resource::Secret(name_of))),
            );
        }
    }
}

/// The name of a secret, as documents write it.
pub(crate) fn secret(node: &Node) -> Option<SecretName> {
    node.as_text()?.strip_prefix("secret:").and_then(SecretName::new)
}

/// Sorts them by file and place.
pub(crate) fn placed(mut references: Vec<UnplacedRef>, sources: &Sources) -> Vec<ResourceRef> {
    references.sort_by_key(|(place, ..)| *place);
    let placed = |(place, path, resource): UnplacedRef| {
        let file = sources.get(place.source).file.clone();
        ResourceRef { resource, file, position: sources.position(place), path }
    };
    references.into_iter().map(placed).collect()
}
