//! Builds an extent: a range of sequences, each of them a row or stated as a gap, as far as a limit allows. Pure.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Instant;

use serde::Serialize;
use tilth_protocol::{Extent, Gap, GapKind, Sequenced};

/// How much one extent may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) rows: usize,
    /// The most bytes of rows and gaps as JSON. One row is always given, however large: nothing would ever move otherwise.
    pub(crate) bytes: usize,
    /// No row is read after this instant, but for the first.
    pub(crate) until: Option<Instant>,
}

/// Fills an extent from its first sequence on, as far as there is room.
#[derive(Debug)]
pub(super) struct ExtentBuilder<R> {
    range: RangeInclusive<u64>,
    next: u64,
    limit: Limit,
    known: VecDeque<Gap>,
    rows: Vec<R>,
    gaps: Vec<Gap>,
    bytes: usize,
    is_full: bool,
}

/// The most gaps of one extent: the hub takes 5,000 rows, gaps and live values at once, over all lanes.
const MAX_GAPS: usize = 1_000;

/// Why a sequence has neither row nor recorded gap: it was confirmed and deleted before the hub lost it, or damaged.
const NOT_HELD: &str = "no longer held";

impl<R: Sequenced + Serialize> ExtentBuilder<R> {
    /// `known` are the gaps within the range, by sequence.
    pub(super) fn new(range: RangeInclusive<u64>, limit: Limit, known: Vec<Gap>) -> ExtentBuilder<R> {
        ExtentBuilder {
            next: *range.start(),
            range,
            limit,
            known: known.into(),
            rows: Vec::new(),
            gaps: Vec::new(),
            bytes: 0,
            is_full: false,
        }
    }

    /// Offers the next row, by sequence. Says whether there is room and time for more.
    pub(super) fn offer(&mut self, row: R, now: Instant) -> bool {
        let has_any = self.next > *self.range.start();
        self.is_full |= has_any && self.limit.until.is_some_and(|until| until <= now);
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
            self.rows.push(row);
            (self.next, self.bytes) = (seq + 1, self.bytes + bytes);
            self.is_full = self.rows.len() >= self.limit.rows;
        }
        !self.is_full
    }

    /// States everything before `seq` that has no row as gaps.
    fn pass_gaps(&mut self, seq: u64) {
        while self.next < seq && !self.is_full {
            let gap = match self.known.front() {
                Some(gap) if gap.first <= self.next => self.known.pop_front(),
                next => {
                    let last = next.map_or(seq, |gap| gap.first.min(seq)) - 1;
                    let reason = NOT_HELD.to_owned();
                    Some(Gap { first: self.next, last, kind: GapKind::Lost, reason })
                }
            };
            self.push_gap(gap);
        }
        while self.known.front().is_some_and(|gap| gap.first <= self.next) && !self.is_full {
            let gap = self.known.pop_front();
            self.push_gap(gap);
        }
    }

    fn push_gap(&mut self, gap: Option<Gap>) {
        let Some(gap) = gap.filter(|gap| gap.last >= self.next) else { return };
        let gap = Gap { first: self.next, ..gap };
        let bytes = json_bytes(&gap);
        if self.has_room(bytes) {
            (self.next, self.bytes) = (gap.last + 1, self.bytes + bytes);
            self.gaps.push(gap);
            self.is_full = self.gaps.len() >= MAX_GAPS;
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        self.is_full |= self.bytes > 0 && self.bytes + bytes > self.limit.bytes;
        !self.is_full
    }

    /// The extent; nothing where the range is empty.
    pub(super) fn finish(mut self) -> Option<Extent<R>> {
        self.pass_gaps(self.range.end().saturating_add(1));
        let first = *self.range.start();
        (self.next > first).then(|| Extent { first, last: self.next - 1, rows: self.rows, gaps: self.gaps })
    }
}

/// Bytes of a value as JSON, with the comma behind it. A value that cannot be written as JSON cannot be sent either; its sender gets the error.
fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len()) + 1
}

#[cfg(test)]
mod tests;
