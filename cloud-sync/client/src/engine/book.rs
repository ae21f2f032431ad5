//! One lane's account: what was made, what the hub confirmed, what it holds beyond that.

use super::ranges::Ranges;

/// The account of one lane of the present stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Book {
    confirmed: u64,
    head: u64,
    held: Ranges,
    old_through: u64,
}

/// What a confirmation turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// Higher than before: the account is now at this sequence.
    Raised(u64),
    /// Same as before.
    Known,
    /// Lower than before within an epoch: a late packet.
    Late,
    /// Higher than anything that was made.
    TooHigh,
}

impl Book {
    /// An account that begins with what the store says.
    pub(super) fn new(confirmed: u64, head: u64) -> Book {
        Book { confirmed, head: head.max(confirmed), ..Book::default() }
    }

    /// The highest sequence at and below which the hub accounts for everything.
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The highest sequence that the store has committed.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// The store committed rows up to `head`. Never goes back within a stream.
    pub(super) fn grow(&mut self, head: u64) {
        self.head = self.head.max(head);
    }

    /// How many sequences the hub does not have.
    pub(super) fn missing(&self) -> u64 {
        self.head - self.confirmed - self.held.count(self.confirmed + 1, self.head)
    }

    /// The oldest run of sequences that the hub does not have.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        self.held.lowest_gap(self.confirmed + 1, self.head)
    }

    /// The newest run of sequences that the hub does not have, as far as it is not known to be old.
    pub(super) fn newest(&self) -> Option<(u64, u64)> {
        self.held.highest_gap(self.confirmed.max(self.old_through) + 1, self.head)
    }

    /// Everything up to `seq` belongs to the backlog.
    pub(super) fn old_through(&mut self, seq: u64) {
        self.old_through = self.old_through.max(seq);
    }

    /// The hub took this range. Poison in it is accounted for like the rest.
    pub(super) fn credit(&mut self, first: u64, last: u64) {
        self.held.insert(first, last);
        self.held.remove(0, self.confirmed);
    }

    /// The hub says that it accounts for everything up to `seq`, and so that it does not account for `seq + 1`. Where that is
    /// a row that was set aside, only that one is to be said again, as a gap; else the range around it was not kept.
    pub(super) fn confirm(&mut self, seq: u64, is_aside: impl Fn(u64) -> bool) -> Confirmation {
        if seq > self.head {
            return Confirmation::TooHigh;
        }
        if seq < self.confirmed {
            return Confirmation::Late;
        }
        let raised = seq > self.confirmed;
        self.confirmed = seq;
        self.held.remove(0, seq);
        if is_aside(seq + 1) {
            self.held.remove(seq + 1, seq + 1);
        } else if let Some((first, last)) = self.held.around(seq + 1) {
            self.held.remove(first, last);
        }
        if raised { Confirmation::Raised(seq) } else { Confirmation::Known }
    }

    /// In a new epoch what was known means nothing.
    pub(super) fn rewind(&mut self, confirmed: u64) {
        self.confirmed = confirmed;
        self.held.clear();
    }

    #[cfg(test)]
    /// How many ranges beyond the confirmed prefix are remembered.
    pub(super) fn ranges(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests;
