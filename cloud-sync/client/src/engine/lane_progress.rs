//! Progress of one lane: which sequences the store has committed, and which of them the hub holds.

use super::ranges::Ranges;

/// Progress of one lane of the present stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LaneProgress {
    confirmed: u64,
    head: u64,
    /// Ranges above `confirmed` that the hub accepted ahead of it.
    at_hub: Ranges,
    /// Everything up to here belongs to the backlog.
    backlog_through: u64,
}

/// What a confirmation turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// Higher than before: everything up to this sequence is confirmed now.
    Raised(u64),
    /// The hub states nothing more of what it has accepted.
    Same,
    /// Lower than before within an epoch: it came out of order.
    OutOfOrder,
}

impl LaneProgress {
    /// Begins with what the store states.
    pub(super) fn new(confirmed: u64, head: u64) -> LaneProgress {
        LaneProgress { confirmed, head: head.max(confirmed), ..LaneProgress::default() }
    }

    /// The highest sequence at and below which the hub has accepted everything.
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

    /// How many sequences the hub is not known to have.
    pub(super) fn unconfirmed(&self) -> u64 {
        self.head - self.confirmed - self.at_hub.count(self.confirmed + 1, self.head)
    }

    /// The oldest run of sequences that the hub is not known to have.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        self.at_hub.lowest_missing(self.confirmed + 1, self.head)
    }

    /// The newest run of sequences that the hub is not known to have, and that are not known to be old.
    pub(super) fn newest(&self) -> Option<(u64, u64)> {
        self.at_hub.highest_missing(self.confirmed.max(self.backlog_through) + 1, self.head)
    }

    /// Everything up to `seq` belongs to the backlog.
    pub(super) fn backlog_through(&mut self, seq: u64) {
        self.backlog_through = self.backlog_through.max(seq);
    }

    /// The hub accepted this range, rejected rows in it included.
    pub(super) fn mark_at_hub(&mut self, first: u64, last: u64) {
        self.at_hub.insert(first, last);
        self.at_hub.remove(0, self.confirmed);
    }

    /// The hub states that it has everything up to `seq`, so `seq + 1` is missing there. If that row is quarantined, only it is sent
    /// again, as a gap. Otherwise the hub lost the range that it was assumed to have, and all of that is sent again.
    ///
    /// Of what it states, only rows become confirmed that it accepted from this process. It compares rows as they come, so others prove
    /// nothing: a database that has lost its newest rows gives out their numbers again, and under those the hub has the lost rows.
    pub(super) fn confirm(&mut self, seq: u64, is_quarantined: impl Fn(u64) -> bool) -> Confirmation {
        if seq < self.confirmed {
            return Confirmation::OutOfOrder;
        }
        let accepted = self.at_hub.around(self.confirmed + 1).map_or(self.confirmed, |(_, last)| last);
        let raised = accepted.min(seq) > self.confirmed;
        self.confirmed = accepted.min(seq);
        self.at_hub.remove(0, self.confirmed);
        if is_quarantined(seq + 1) {
            self.at_hub.remove(seq + 1, seq + 1);
        } else if let Some((_, last)) = self.at_hub.around(seq + 1) {
            self.at_hub.remove(seq + 1, last);
        }
        if raised { Confirmation::Raised(self.confirmed) } else { Confirmation::Same }
    }

    /// A new epoch: only `confirmed` is at the hub.
    pub(super) fn rewind(&mut self, confirmed: u64) {
        self.confirmed = confirmed;
        self.at_hub.clear();
    }

    #[cfg(test)]
    /// How many ranges beyond the confirmed prefix are remembered.
    pub(super) fn ranges(&self) -> usize {
        self.at_hub.len()
    }
}

#[cfg(test)]
mod tests;
