//! Receipts of the store: how a bus whose boards hold readings until they are stored learns what became of them.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::board::pulses::Counted;

/// How far the readings of a board are taken. The store keeps it with them, so that a board that sends them again after a kill of the agent
/// is known to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoardPosition {
    /// Id of the board.
    pub(crate) board: [u8; 8],
    /// Sequence number of the next reading.
    pub(crate) next: u32,
    /// Checksums of the newest readings, the last one last: a board with others under their numbers restarted since.
    pub(crate) recent: VecDeque<u16>,
    /// Counters of pulses, from which the next readings count.
    #[serde(default, skip_serializing_if = "Counted::is_empty")]
    pub(crate) counted: Counted,
}

/// Handed to decide with readings of a board. The store's thread confirms it once all that came before it is on the disk, and counts in
/// it what it had to drop of them.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    /// Mark of the bus for the newest of those readings; marks only rise.
    mark: u64,
    /// What the store keeps with those readings.
    pub(crate) position: BoardPosition,
    /// Places of their values among the readings of the commit that holds them.
    places: Range<usize>,
    told: watch::Sender<Receipts>,
}

/// What a bus knows of its receipts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Receipts {
    /// Highest mark that is confirmed: what came before it is stored, or its loss is.
    pub(crate) stored: Option<u64>,
    /// Values that the store dropped before they were written, since the bus began.
    pub(crate) dropped: u64,
}

impl Receipt {
    /// A receipt that tells `told` that what came before `mark`, and with it the position, is stored.
    pub(crate) fn new(mark: u64, position: BoardPosition, told: &watch::Sender<Receipts>) -> Receipt {
        Receipt { mark, position, places: 0..0, told: told.clone() }
    }

    /// The same receipt, of the values at these places of a commit.
    pub(crate) fn of(self, places: Range<usize>) -> Receipt {
        Receipt { places, ..self }
    }

    /// So many readings come before those of the commit.
    pub(crate) fn move_back(&mut self, readings: usize) {
        self.places = self.places.start + readings..self.places.end + readings;
    }

    /// The first readings of the commit are dropped: counts those of this receipt.
    pub(crate) fn drop_first(&mut self, readings: usize) {
        let left = self.places.start.saturating_sub(readings)..self.places.end.saturating_sub(readings);
        let dropped = self.places.len() - left.len();
        self.places = left;
        if dropped > 0 {
            self.told.send_modify(|told| told.dropped += dropped as u64);
        }
    }

    /// Whether the commit has values of this receipt.
    pub(crate) fn has_values(&self) -> bool {
        !self.places.is_empty()
    }

    /// Whether confirming a later receipt says all that confirming this one does.
    pub(crate) fn is_covered_by(&self, later: &Receipt) -> bool {
        self.mark <= later.mark && self.told.same_channel(&later.told)
    }

    /// What came before the receipt is on the disk.
    pub(crate) fn confirm(&self) {
        self.told.send_if_modified(|told| {
            let is_news = Some(self.mark) > told.stored;
            told.stored = told.stored.max(Some(self.mark));
            is_news
        });
    }
}

impl PartialEq for Receipt {
    fn eq(&self, other: &Receipt) -> bool {
        (self.mark, &self.places) == (other.mark, &other.places) && self.told.same_channel(&other.told)
    }
}

#[cfg(test)]
impl BoardPosition {
    /// The position of a board whose readings before `next` were taken.
    pub(crate) fn made(next: u32) -> BoardPosition {
        BoardPosition { board: [1; 8], next, recent: VecDeque::from([7]), counted: Counted::from([(5, (9, 100))]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(mark: u64, told: &watch::Sender<Receipts>) -> Receipt {
        Receipt::new(mark, BoardPosition::made(mark as u32), told)
    }

    #[test]
    fn a_confirmed_mark_never_goes_back() {
        let told = watch::Sender::default();
        let (first, second) = (receipt(5, &told), receipt(9, &told));
        second.confirm();
        first.confirm();
        assert_eq!(told.borrow().stored, Some(9));
    }

    #[test]
    fn values_that_are_dropped_are_counted_once_whoever_else_has_readings_in_the_commit() {
        let told = watch::Sender::default();
        let mut dropped_from = receipt(5, &told).of(2..5);
        dropped_from.move_back(10);
        let dropped = [11, 2, 4].map(|readings| {
            dropped_from.drop_first(readings);
            told.borrow().dropped
        });
        assert_eq!(dropped, [0, 1, 3]);
        assert!(dropped_from.is_covered_by(&receipt(6, &told)) && !dropped_from.is_covered_by(&receipt(4, &told)));
    }
}
