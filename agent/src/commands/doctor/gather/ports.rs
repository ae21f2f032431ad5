//! Ports that the configuration names: what is there, who holds it, and whether it opens.

use std::fs;
use std::path::Path;

use tilth_config::{Bus, BusAddress, BusKind, Loaded, Parity, Resource, Serial};
use tilth_core::id::Id;
use tilth_notify::secret::Secrets;

use super::super::facts::{Found, PortFact, PortKind};
use super::find;
use crate::api::rows::StatusRow;
use crate::check::machine;
use crate::commands::port::adapters;
use crate::sense::endpoint::Endpoint;
use crate::sense::port::Port;
use crate::sense::released::Ports;

/// Speed at which the port of a modem is tried: opening it does not depend on that.
const ANY_BAUD: u32 = 115_200;

pub(super) async fn of(loaded: &Loaded, agent: Option<i32>, status: Option<&StatusRow>) -> Vec<PortFact> {
    let others = adapters();
    let mut ports = Vec::new();
    for named in &loaded.resources {
        let Resource::Port(path) = &named.resource else { continue };
        let bus = machine::bus_at(loaded, path);
        let (kind, serial) = kind(bus, path);
        let found = find(Path::new(path));
        let (mine, holders): (Vec<_>, Vec<_>) =
            holders(Path::new(path)).into_iter().partition(|(process, _)| Some(*process) == agent);
        let wrong = machine::lack_of(&named.resource, loaded, Path::new(""), &Secrets::of(Path::new("")));
        let is_free = status.is_none() && holders.is_empty() && wrong.is_none();
        let opened = match serial.filter(|_| is_free && matches!(found, Found::There(_))) {
            Some(serial) => {
                Some(Endpoint::Serial(serial).open(Port::open_without_reset, |_| (), &Ports::default()).await.map(drop))
            }
            None => None,
        };
        let state =
            status.zip(bus).and_then(|(status, (id, _))| status.buses.iter().find(|bus| bus.bus == id.as_str()));
        ports.push(PortFact {
            kind,
            path: path.clone(),
            key: named.path.clone(),
            found,
            wrong,
            holders,
            has_agent: !mine.is_empty() || state.is_some_and(|bus| bus.state == "up"),
            down: state.filter(|bus| bus.state != "up").and_then(|bus| bus.reason.clone()),
            opened,
            others: others.clone(),
        });
    }
    ports
}

fn kind(bus: Option<(&Id, &Bus)>, path: &str) -> (PortKind, Option<Serial>) {
    use BusKind::{Board, Gpio, I2c, Line, Modbus, Mqtt, Sdi12, W1};
    match bus {
        Some((_, Bus { address: BusAddress::Serial(serial), .. })) => (PortKind::Serial, Some(serial.clone())),
        Some((_, Bus { kind: I2c, .. })) => (PortKind::I2c, None),
        Some((_, Bus { kind: Line | Board | Modbus | Mqtt | W1 | Gpio | Sdi12, .. })) => (PortKind::Other, None),
        None => {
            let serial = Serial { port: path.to_owned(), baud: ANY_BAUD, parity: Parity::None, stop_bits: 1 };
            (PortKind::Serial, Some(serial))
        }
    }
}

/// Processes that have a file open, and their names; without root only one's own are seen.
fn holders(path: &Path) -> Vec<(i32, String)> {
    let Ok(path) = path.canonicalize() else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let holds = |process: &i32| {
        let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|open| open == path)
    };
    let name = |process| fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim().to_owned();
    numbers.filter(holds).map(|process| (process, name(process))).collect()
}
