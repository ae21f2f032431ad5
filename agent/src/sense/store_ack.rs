//! Acknowledgement by the store: a board keeps each reading until the store has it, so its bus has to learn how far that is.
//!
//! Behind the values of readings a bus hands decide an [`AckRequest`]. It goes with them into a commit, and the store's thread confirms it
//! once that commit is on the disk. The bus then sees [`StoreProgress`] change, and tells the board which readings it may forget.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::board::pulses::NewestCounts;

/// Up to which reading a board's readings are accepted. Stored in their transaction, so that readings that come again after the agent was
/// killed are recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoardPosition {
    /// Id of the board.
    pub(crate) board: [u8; 8],
    /// Sequence number of the next reading.
    pub(crate) next: u32,
    /// Checksums of the newest readings, the last one last: a board with others under their numbers restarted since.
    pub(crate) recent: VecDeque<u16>,
    /// Counters of pulses, from which the next readings count.
    #[serde(default, skip_serializing_if = "NewestCounts::is_empty")]
    pub(crate) counted: NewestCounts,
}

/// Request of a bus to acknowledge readings of its board. The store's thread confirms it once all that came before it is on the disk, and
/// counts in it what it had to drop of them. The board learns it by `Received`; its own `Ack` answers commands.
#[derive(Debug, Clone)]
pub(crate) struct AckRequest {
    /// Number of the newest of those readings; numbers only rise.
    through: u64,
    /// What the store keeps with those readings.
    pub(crate) position: BoardPosition,
    /// Range of their values among the readings of the commit that has them.
    range: Range<usize>,
    bus: watch::Sender<StoreProgress>,
}

/// What the store did with the readings of a board.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StoreProgress {
    /// Newest reading that is acknowledged: it and all before it are stored, or their loss is.
    pub(crate) stored: Option<u64>,
    /// Values that the store dropped before they were written, since the bus began.
    pub(crate) dropped: u64,
}

impl AckRequest {
    /// Asks to tell `bus` once the readings through a number, and with them the position, are stored.
    pub(crate) fn new(through: u64, position: BoardPosition, bus: &watch::Sender<StoreProgress>) -> AckRequest {
        AckRequest { through, position, range: 0..0, bus: bus.clone() }
    }

    /// Sets which readings of the commit it covers.
    pub(crate) fn of(self, range: Range<usize>) -> AckRequest {
        AckRequest { range, ..self }
    }

    /// Shifts the range: this many readings come before those of the commit.
    pub(crate) fn move_back(&mut self, readings: usize) {
        self.range = self.range.start + readings..self.range.end + readings;
    }

    /// The first readings of the commit are dropped: counts those of this ack.
    pub(crate) fn drop_first(&mut self, readings: usize) {
        let left = self.range.start.saturating_sub(readings)..self.range.end.saturating_sub(readings);
        let dropped = self.range.len() - left.len();
        self.range = left;
        if dropped > 0 {
            self.bus.send_modify(|acknowledged| acknowledged.dropped += dropped as u64);
        }
    }

    /// Whether the commit has values of this ack.
    pub(crate) fn has_values(&self) -> bool {
        !self.range.is_empty()
    }

    /// Whether confirming a later ack says all that confirming this one does.
    pub(crate) fn is_covered_by(&self, later: &AckRequest) -> bool {
        self.through <= later.through && self.bus.same_channel(&later.bus)
    }

    /// What came before the ack is on the disk.
    pub(crate) fn confirm(&self) {
        self.bus.send_if_modified(|acknowledged| {
            let is_news = Some(self.through) > acknowledged.stored;
            acknowledged.stored = acknowledged.stored.max(Some(self.through));
            is_news
        });
    }
}

impl PartialEq for AckRequest {
    fn eq(&self, other: &AckRequest) -> bool {
        (self.through, &self.range) == (other.through, &other.range) && self.bus.same_channel(&other.bus)
    }
}

#[cfg(test)]
impl BoardPosition {
    /// The position of a board whose readings before `next` were accepted.
    pub(crate) fn made(next: u32) -> BoardPosition {
        BoardPosition { board: [1; 8], next, recent: VecDeque::from([7]), counted: NewestCounts::from([(5, (9, 100))]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(through: u64, bus: &watch::Sender<StoreProgress>) -> AckRequest {
        AckRequest::new(through, BoardPosition::made(through as u32), bus)
    }

    #[test]
    fn what_is_acknowledged_never_goes_back() {
        let bus = watch::Sender::default();
        let (first, second) = (ack(5, &bus), ack(9, &bus));
        second.confirm();
        first.confirm();
        assert_eq!(bus.borrow().stored, Some(9));
    }

    #[test]
    fn values_that_are_dropped_are_counted_once_whoever_else_has_readings_in_the_commit() {
        let bus = watch::Sender::default();
        let mut dropped_from = ack(5, &bus).of(2..5);
        dropped_from.move_back(10);
        let dropped = [11, 2, 4].map(|readings| {
            dropped_from.drop_first(readings);
            bus.borrow().dropped
        });
        assert_eq!(dropped, [0, 1, 3]);
        assert!(dropped_from.is_covered_by(&ack(6, &bus)) && !dropped_from.is_covered_by(&ack(4, &bus)));
    }
}
