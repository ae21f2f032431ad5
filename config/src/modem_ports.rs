//! Ports of modems: where a bus or another modem has the same one, each reads what the other waits for.

use std::path::PathBuf;

use crate::channels::{Channel, Target};
use crate::diagnostic::{Diagnostics, Problem};
use crate::document::Effective;
use crate::path;
use crate::settings::Zones;
use crate::source::{Place, Sources};
use crate::tree::{Node, Table};

/// A port, as a document names it, and whose it is.
pub(crate) struct TakenPort {
    port: PathBuf,
    owner: String,
    place: Place,
}

/// Ports of the buses of `agent.toml`.
pub(crate) fn of_buses(table: &Table) -> Vec<TakenPort> {
    let buses = table.get("bus").and_then(|bus| bus.node.as_table());
    let port = |(name, node): (&String, &Node)| TakenPort::of(format!("bus {name}"), node.get(["port"])?);
    buses.into_iter().flatten().filter_map(|(name, entry)| port((name, &entry.node))).collect()
}

/// Says which modems have a port that is taken; `taken` has those of the buses.
pub(crate) fn check(
    effective: &Effective,
    zones: &Zones,
    mut taken: Vec<TakenPort>,
    sources: &Sources,
    log: &Diagnostics,
) {
    for (at, zone, table) in effective.tables("notifications") {
        let settings = zone.map_or_else(|| zones.device(), |zone| zones.settings(zone));
        for (name, entry) in table {
            let channel = settings.channels.get(name).and_then(|channel| channel.as_ref());
            let Some((_, Channel { target: Target::Modem { .. }, .. })) = channel else { continue };
            let node = entry.node.get(["port"]);
            let Some(own) = node.and_then(|node| TakenPort::of(format!("channel {name}"), node)) else { continue };
            // A zone may say more of a channel of the device.
            match taken.iter().find(|other| other.port == own.port && other.owner != own.owner) {
                Some(other) => {
                    let (port, owner, place) = (own.port.display(), &other.owner, sources.name(other.place));
                    let problem = Problem::new(format!("{port} is the port of {owner} already ({place})"));
                    let problem = problem.help("expected a port of its own for each bus and each modem");
                    log.error(own.place, &path::join(&path::join(&at, name), "port"), problem.across_documents());
                }
                None => taken.push(own),
            }
        }
    }
}

impl TakenPort {
    fn of(owner: String, node: &Node) -> Option<TakenPort> {
        Some(TakenPort { port: PathBuf::from(node.as_text()?), owner, place: node.place })
    }
}
