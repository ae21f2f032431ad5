//! A range of sequences being filled: every one is a row or stated as a gap, up to a limit. Pure.

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;

use serde::Serialize;
use tilth_protocol::{Extent, Gap, GapKind, Sequenced};

/// Which end of a lane is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// The first sequences after this one: the backlog, oldest first.
    Oldest {
        /// Usually what the hub has confirmed.
        after: u64,
    },
    /// The last sequences before `before` and after `after`: the newest first, piece by piece downwards.
    Newest {
        /// [`u64::MAX`] for the newest of all.
        before: u64,
        /// Usually what the hub has confirmed.
        after: u64,
    },
    /// These sequences, the first of them first; what has no room is left out at the end.
    Range {
        /// The first.
        first: u64,
        /// The last, if it was committed.
        last: u64,
    },
}

/// How much one extent may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// The most rows.
    pub(crate) rows: usize,
    /// The most bytes of rows and gaps as JSON. One row is always given, however large: nothing would ever move otherwise.
    pub(crate) bytes: usize,
}

impl Want {
    /// The sequences to look at, of those up to `committed`.
    pub(super) fn range(self, committed: u64, limit: Limit) -> RangeInclusive<u64> {
        match self {
            Want::Oldest { after } => after.saturating_add(1)..=committed,
            Want::Newest { before, after } => {
                let last = committed.min(before.saturating_sub(1));
                let first = last.saturating_sub(limit.rows as u64) + 1;
                first.max(after.saturating_add(1))..=last
            }
            // Nothing comes before the first sequence.
            Want::Range { first, last } => first.max(1)..=last.min(committed),
        }
    }
}

/// An extent in the making.
#[derive(Debug)]
pub(super) struct Filling<R> {
    range: RangeInclusive<u64>,
    next: u64,
    limit: Limit,
    keep_newest: bool,
    gaps: VecDeque<Gap>,
    items: VecDeque<Item<R>>,
    rows: usize,
    bytes: usize,
    is_full: bool,
}

#[derive(Debug)]
enum Item<R> {
    Row { row: R, bytes: usize },
    Gap { gap: Gap, bytes: usize },
}

impl<R> Item<R> {
    fn bytes(&self) -> usize {
        match self {
            Item::Row { bytes, .. } | Item::Gap { bytes, .. } => *bytes,
        }
    }
}

/// Why a sequence has neither row nor recorded gap: it was confirmed and deleted before the hub lost it, or damaged.
const NOT_HELD: &str = "no longer held";

impl<R: Sequenced + Serialize> Filling<R> {
    /// `gaps` are those within the range, by sequence.
    pub(super) fn new(range: RangeInclusive<u64>, want: Want, limit: Limit, gaps: Vec<Gap>) -> Filling<R> {
        Filling {
            next: *range.start(),
            range,
            limit,
            keep_newest: matches!(want, Want::Newest { .. }),
            gaps: gaps.into(),
            items: VecDeque::new(),
            rows: 0,
            bytes: 0,
            is_full: false,
        }
    }

    /// Offers the next row, by sequence. Says whether there is room for more.
    pub(super) fn offer(&mut self, row: R) -> bool {
        let seq = row.seq();
        // A block may reach beyond either end of the range.
        if seq > *self.range.end() {
            return false;
        }
        self.pass_gaps(seq);
        // A row that a gap accounts for, quarantined or replaced, is not sent.
        if seq != self.next || self.is_full {
            return !self.is_full;
        }
        let bytes = json_bytes(&row);
        if self.has_room(bytes) {
            self.items.push_back(Item::Row { row, bytes });
            (self.next, self.rows, self.bytes) = (seq + 1, self.rows + 1, self.bytes + bytes);
            self.is_full = !self.keep_newest && self.rows >= self.limit.rows;
        }
        !self.is_full
    }

    /// Accounts for everything up to `seq`, itself not included, by gaps.
    fn pass_gaps(&mut self, seq: u64) {
        while self.next < seq && !self.is_full {
            let gap = match self.gaps.front() {
                Some(gap) if gap.first <= self.next => self.gaps.pop_front(),
                next => {
                    let last = next.map_or(seq, |gap| gap.first.min(seq)) - 1;
                    let reason = NOT_HELD.to_owned();
                    Some(Gap { first: self.next, last, kind: GapKind::Lost, reason })
                }
            };
            self.push_gap(gap);
        }
        while self.gaps.front().is_some_and(|gap| gap.first <= self.next) && !self.is_full {
            let gap = self.gaps.pop_front();
            self.push_gap(gap);
        }
    }

    fn push_gap(&mut self, gap: Option<Gap>) {
        let Some(gap) = gap.filter(|gap| gap.last >= self.next) else { return };
        let gap = Gap { first: self.next, ..gap };
        let bytes = json_bytes(&gap);
        if self.has_room(bytes) {
            (self.next, self.bytes) = (gap.last + 1, self.bytes + bytes);
            self.items.push_back(Item::Gap { gap, bytes });
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        self.is_full |= !self.keep_newest && !self.items.is_empty() && self.bytes + bytes > self.limit.bytes;
        !self.is_full
    }

    /// The extent; nothing where the range is empty.
    pub(super) fn finish(mut self) -> Option<Extent<R>> {
        self.pass_gaps(self.range.end().saturating_add(1));
        while self.keep_newest && self.bytes > self.limit.bytes && self.items.len() > 1 {
            self.bytes -= self.items.pop_front().map_or(0, |item| item.bytes());
        }
        let first = match self.items.front()? {
            Item::Row { row, .. } => row.seq(),
            Item::Gap { gap, .. } => gap.first,
        };
        let mut extent = Extent { first, last: self.next - 1, rows: Vec::new(), gaps: Vec::new() };
        for item in self.items {
            match item {
                Item::Row { row, .. } => extent.rows.push(row),
                Item::Gap { gap, .. } => extent.gaps.push(gap),
            }
        }
        Some(extent)
    }
}

fn json_bytes(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(1);
    // A value that cannot be written as JSON cannot be sent either; whoever sends it hears of it.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests;
