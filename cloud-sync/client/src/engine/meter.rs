//! Bytes up and down, by what they were for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What bytes were for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrafficKind {
    /// Alerts, acknowledgements, site state, notes.
    Events,
    /// Newest values, unconfirmed.
    Live,
    /// Windows of the newest hour.
    Windows,
    /// Windows of the backlog.
    #[serde(rename = "backfill")]
    Backlog,
    /// Configuration pulled.
    Config,
    /// Heartbeats, and what the device says of itself.
    Heartbeat,
}

/// Bytes of one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes to the hub.
    pub up: u64,
    /// Bytes from the hub.
    pub down: u64,
}

/// Bytes of every purpose that had any since the engine was made. Headers and bodies as far as the transport sees them;
/// what TLS, TCP and IP add is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Meter(BTreeMap<TrafficKind, Traffic>);

impl Meter {
    /// The bytes of one purpose.
    #[must_use]
    pub fn of(&self, purpose: TrafficKind) -> Traffic {
        self.0.get(&purpose).copied().unwrap_or_default()
    }

    /// Counts bytes of one purpose.
    pub(super) fn count(&mut self, purpose: TrafficKind, traffic: Traffic) {
        let sum = self.0.entry(purpose).or_default();
        sum.up += traffic.up;
        sum.down += traffic.down;
    }

    /// Counts bytes that served several purposes, in proportion to `parts`; what does not divide goes to the last part.
    pub(super) fn share(&mut self, parts: &[(TrafficKind, u64)], traffic: Traffic) {
        let whole = parts.iter().map(|&(_, size)| size).sum::<u64>().max(1);
        let mut left = traffic;
        for &(purpose, size) in parts {
            let part = Traffic { up: traffic.up * size / whole, down: traffic.down * size / whole };
            left = Traffic { up: left.up - part.up, down: left.down - part.down };
            self.count(purpose, part);
        }
        let last = parts.last().map_or(TrafficKind::Heartbeat, |&(purpose, _)| purpose);
        self.count(last, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole() {
        let mut meter = Meter::default();
        meter.share(&[(TrafficKind::Events, 1), (TrafficKind::Windows, 2)], Traffic { up: 100, down: 10 });
        meter.share(&[], Traffic { up: 5, down: 5 });
        assert_eq!(meter.of(TrafficKind::Events), Traffic { up: 33, down: 3 });
        assert_eq!(meter.of(TrafficKind::Windows), Traffic { up: 67, down: 7 });
        assert_eq!(meter.of(TrafficKind::Heartbeat), Traffic { up: 5, down: 5 });
        let sums = meter.0.values().fold((0, 0), |(up, down), each| (up + each.up, down + each.down));
        assert_eq!(sums, (105, 15));
    }
}
