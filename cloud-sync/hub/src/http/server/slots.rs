//! Which connections are held: a bounded number in all and of each network. Where there is no room the one that has waited
//! longest makes room, first of those that have shown no key.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::address::Network;
use super::progress::Progress;

/// The places.
#[derive(Debug)]
pub(super) struct Places {
    /// Connections in all.
    most: usize,
    /// Connections of one network.
    each: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Numbers rise, so that the smallest is the oldest.
    last_number: u64,
    count: usize,
    networks: HashMap<Option<Network>, Vec<Holder>>,
}

#[derive(Debug)]
struct Holder {
    number: u64,
    watch: Arc<Progress>,
    must_go: Arc<Notify>,
}

/// A place of a connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: Option<Network>,
    number: u64,
    pub(super) watch: Arc<Progress>,
    /// Notified when the connection has to make room.
    pub(super) must_go: Arc<Notify>,
}

impl Places {
    pub(super) fn new(most: usize, each: usize) -> Arc<Places> {
        Arc::new(Places { most, each, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from a network; none for a trusted proxy, which speaks for many. Nothing where all others
    /// are busy.
    pub(super) fn take(self: &Arc<Places>, network: Option<Network>) -> Option<Place> {
        let mut held = self.held();
        let own = held.networks.get(&network).map_or(0, Vec::len);
        if network.is_some() && own >= self.each {
            held.evict(network)?;
        } else if held.count >= self.most {
            let largest = held.largest()?;
            held.evict(largest)?;
        }
        held.last_number += 1;
        held.count += 1;
        let (number, watch, must_go) = (held.last_number, Arc::new(Progress::new()), Arc::new(Notify::new()));
        let holder = Holder { number, watch: Arc::clone(&watch), must_go: Arc::clone(&must_go) };
        held.networks.entry(network).or_default().push(holder);
        Some(Place { places: Arc::clone(self), network, number, watch, must_go })
    }
}

impl Held {
    /// The network with the most connections that wait, first of those that have shown no key; of several the one with the
    /// oldest.
    fn largest(&self) -> Option<Option<Network>> {
        let rank = |holders: &Vec<Holder>| {
            let waiting = holders.iter().filter(|holder| holder.watch.is_waiting());
            let unknown = waiting.clone().filter(|holder| !holder.watch.is_known()).count();
            (unknown, waiting.clone().count(), Reverse(waiting.map(|holder| holder.number).min()))
        };
        let ranks = self.networks.iter().map(|(network, holders)| (rank(holders), *network));
        ranks.max().filter(|((_, waiting, _), _)| *waiting > 0).map(|(_, network)| network)
    }

    /// Has one connection of a network end.
    fn evict(&mut self, network: Option<Network>) -> Option<()> {
        let holders = self.networks.get(&network)?;
        let waiting = holders.iter().filter(|holder| holder.watch.is_waiting());
        let last = waiting.max_by_key(|holder| (!holder.watch.is_known(), Reverse(holder.number)))?;
        let number = last.number;
        last.must_go.notify_one();
        self.remove(network, number);
        Some(())
    }

    fn remove(&mut self, network: Option<Network>, number: u64) {
        let Some(holders) = self.networks.get_mut(&network) else { return };
        let before = holders.len();
        holders.retain(|holder| holder.number != number);
        self.count -= before - holders.len();
        if holders.is_empty() {
            self.networks.remove(&network);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().remove(self.network, self.number);
    }
}

#[cfg(test)]
mod tests;
