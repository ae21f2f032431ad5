//! A serial port that the running agent leaves alone for a command.

use std::fs;
use std::os::fd::OwnedFd;

use super::client::{Client, Events, post};
use crate::api::rows::ReleasePort;

/// A port that the agent leaves alone while this lives.
pub(super) struct Held {
    _events: Events,
    /// The agent takes the port back once this is closed, by every process that has it.
    pub(super) connection: OwnedFd,
}

/// Asks the agent to leave a port alone.
///
/// # Errors
/// Where the agent does not: there is no such port, or another command has it.
pub(super) fn release(client: Client, port: &str) -> anyhow::Result<Held> {
    let connection = client.connection()?;
    let mut events = client.watch(post("/api/v1/ports/release", &ReleasePort { port: port.to_owned() })?)?;
    events.next()?;
    Ok(Held { _events: events, connection })
}

/// Serial adapters that are plugged in, by the names that stay.
pub(super) fn adapters() -> Vec<String> {
    let links = fs::read_dir("/dev/serial/by-id").into_iter().flatten().flatten();
    let mut adapters: Vec<String> = links.map(|link| link.path().display().to_string()).collect();
    adapters.sort();
    adapters
}
