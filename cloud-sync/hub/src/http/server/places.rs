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
mod tests {
    use super::*;

    fn network(last: u8) -> Option<Network> {
        Some(Network::of([192, 0, 2, last].into()))
    }

    /// For each connection whether it was told to end.
    fn gone(places: &[&Place]) -> Vec<bool> {
        let is_told = |place: &&Place| {
            let mut told = std::pin::pin!(place.must_go.notified());
            told.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
        };
        places.iter().map(is_told).collect()
    }

    #[test]
    fn the_oldest_without_a_key_makes_room_for_its_network() {
        let places = Places::new(100, 3);
        let [known, busy, waiting] = [(); 3].map(|()| places.take(network(1)).unwrap());
        known.watch.set_known();
        busy.watch.asked();
        let other = places.take(network(2)).unwrap();
        let next = places.take(network(1)).unwrap();
        assert_eq!(gone(&[&known, &busy, &waiting, &other, &next]), [false, false, true, false, false]);
        next.watch.asked();
        let after = places.take(network(1)).unwrap();
        assert_eq!(gone(&[&known, &busy, &other, &next, &after]), [true, false, false, false, false]);
        after.watch.asked();
        assert!(places.take(network(1)).is_none(), "all are busy");
        drop(busy);
        assert!(places.take(network(1)).is_some());
    }

    #[test]
    fn whoever_has_most_makes_room_for_others() {
        let places = Places::new(5, 4);
        let many = [(); 4].map(|()| places.take(network(1)).unwrap());
        let one = places.take(network(2)).unwrap();
        let next = places.take(network(3)).unwrap();
        let many: Vec<&Place> = many.iter().collect();
        assert_eq!(gone(&many), [true, false, false, false]);
        assert_eq!(gone(&[&one, &next]), [false, false]);
    }

    #[test]
    fn a_thousand_addresses_with_one_connection_each_push_out_nobody_with_a_key() {
        let places = Places::new(4, 4);
        let known = places.take(network(9)).unwrap();
        known.watch.set_known();
        let strangers: Vec<Place> = (1..=8).map(|last| places.take(network(last)).unwrap()).collect();
        assert_eq!(gone(&[&known]), [false]);
        assert_eq!(gone(&strangers.iter().collect::<Vec<_>>()), [true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn a_proxy_has_as_many_as_there_are() {
        let places = Places::new(5, 1);
        let of_proxy = [(); 5].map(|()| places.take(None).unwrap());
        let of_proxy: Vec<&Place> = of_proxy.iter().collect();
        assert_eq!(gone(&of_proxy), [false; 5]);
        let one = places.take(network(1)).unwrap();
        assert_eq!(gone(&of_proxy), [true, false, false, false, false]);
        assert_eq!(gone(&[&one]), [false]);
    }
}
