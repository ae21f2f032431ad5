//! Limits of connections, in all and per network. Beyond a limit the oldest idle connection is closed, first one without a known key.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::address::Network;
use super::progress::Progress;

/// All connections.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    /// Maximum number of connections.
    max: usize,
    /// Maximum number of connections per network.
    max_per_network: usize,
    state: Mutex<State>,
}

/// Open connections by network; none for trusted proxies.
#[derive(Debug, Default)]
struct State {
    /// Numbers rise: the smallest is the oldest connection.
    last_number: u64,
    count: usize,
    networks: HashMap<Option<Network>, Vec<OpenConnection>>,
}

#[derive(Debug)]
struct OpenConnection {
    number: u64,
    progress: Arc<Progress>,
    evicted: Arc<Notify>,
}

/// The slot of a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    network: Option<Network>,
    number: u64,
    pub(super) progress: Arc<Progress>,
    /// Notified when the connection must end.
    pub(super) evicted: Arc<Notify>,
}

impl ConnectionSlots {
    pub(super) fn new(max: usize, max_per_network: usize) -> Arc<ConnectionSlots> {
        Arc::new(ConnectionSlots { max, max_per_network, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a connection; none if all other connections are busy. `network` is none for a trusted proxy, which has no limit of its
    /// own.
    pub(super) fn take(self: &Arc<ConnectionSlots>, network: Option<Network>) -> Option<ConnectionSlot> {
        let mut state = self.state();
        let own = state.networks.get(&network).map_or(0, Vec::len);
        if network.is_some() && own >= self.max_per_network {
            state.evict(network)?;
        } else if state.count >= self.max {
            let largest = state.largest()?;
            state.evict(largest)?;
        }
        state.last_number += 1;
        state.count += 1;
        let (number, progress, evicted) = (state.last_number, Arc::new(Progress::new()), Arc::new(Notify::new()));
        let connection = OpenConnection { number, progress: Arc::clone(&progress), evicted: Arc::clone(&evicted) };
        state.networks.entry(network).or_default().push(connection);
        Some(ConnectionSlot { slots: Arc::clone(self), network, number, progress, evicted })
    }
}

impl State {
    /// The network with most idle connections, those without a known key first; of several, the one with the oldest.
    fn largest(&self) -> Option<Option<Network>> {
        let rank = |connections: &Vec<OpenConnection>| {
            let waiting = connections.iter().filter(|connection| connection.progress.is_waiting());
            let unknown = waiting.clone().filter(|connection| !connection.progress.is_known()).count();
            (unknown, waiting.clone().count(), Reverse(waiting.map(|connection| connection.number).min()))
        };
        let ranks = self.networks.iter().map(|(network, connections)| (rank(connections), *network));
        ranks.max().filter(|((_, waiting, _), _)| *waiting > 0).map(|(_, network)| network)
    }

    /// Ends one connection of a network.
    fn evict(&mut self, network: Option<Network>) -> Option<()> {
        let connections = self.networks.get(&network)?;
        let waiting = connections.iter().filter(|connection| connection.progress.is_waiting());
        let last = waiting.max_by_key(|connection| (!connection.progress.is_known(), Reverse(connection.number)))?;
        let number = last.number;
        last.evicted.notify_one();
        self.remove(network, number);
        Some(())
    }

    fn remove(&mut self, network: Option<Network>, number: u64) {
        let Some(connections) = self.networks.get_mut(&network) else { return };
        let before = connections.len();
        connections.retain(|connection| connection.number != number);
        self.count -= before - connections.len();
        if connections.is_empty() {
            self.networks.remove(&network);
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.state().remove(self.network, self.number);
    }
}

#[cfg(test)]
mod tests;
