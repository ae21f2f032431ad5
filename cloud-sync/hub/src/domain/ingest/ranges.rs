//! Which sequences of a lane are new, which contradict known ones, and how far a lane is complete. Pure.
//!
//! For ranges in any order, split in any way and repeated: each sequence is new once, and the same prefix is confirmed.

use std::ops::RangeInclusive;

use tilth_protocol::GapKind;

use super::fingerprints::{Fingerprint, Fingerprints, Version};

/// Fingerprints of some rows of the batch by the function of a version, in rising order of sequence.
pub(crate) type FingerprintsOf<'a> = &'a dyn Fn(Version, &RangeInclusive<u64>) -> Vec<Fingerprint>;

/// Consecutive sequences, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeqRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) content: Content,
}

/// What accounts for the sequences of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Stored or rejected rows, by their fingerprints.
    Rows(Fingerprints),
    /// One row that the hub could not read. It is not compared when it comes again: a later version may read it.
    Unreadable,
    /// No rows, as the device states.
    Gap(GapKind, String),
}

/// A known sequence came with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) seq: u64,
}

impl SeqRange {
    /// The part of the range within `span`, which must be inside.
    fn part(&self, span: &RangeInclusive<u64>) -> SeqRange {
        let content = match &self.content {
            Content::Rows(fingerprints) => Content::Rows(fingerprints.part(self.first, span)),
            Content::Unreadable => Content::Unreadable,
            Content::Gap(kind, reason) => Content::Gap(*kind, reason.clone()),
        };
        SeqRange { first: *span.start(), last: *span.end(), content }
    }

    /// The part of the range above a sequence.
    pub(crate) fn beyond(&self, seq: u64) -> Option<SeqRange> {
        match self.first > seq {
            true => Some(self.clone()),
            false => (self.last > seq).then(|| self.part(&(seq + 1..=self.last))),
        }
    }

    /// Checks this range against a known one, over the sequences that both have.
    fn check(
        &self,
        known: &SeqRange,
        span: &RangeInclusive<u64>,
        fingerprints_of: FingerprintsOf<'_>,
    ) -> Result<(), Conflict> {
        match (&known.content, &self.content) {
            (Content::Rows(before), Content::Rows(brought)) => {
                let before = before.part(known.first, span);
                let brought = match brought.version == before.version {
                    true => brought.part(self.first, span).fingerprints,
                    false => fingerprints_of(before.version, span),
                };
                let mut pairs = before.fingerprints.iter().zip(&brought).zip(span.clone());
                pairs.find(|((before, brought), _)| before != brought).map_or(Ok(()), |(_, seq)| Err(Conflict { seq }))
            }
            (Content::Unreadable, _) | (Content::Rows(_), Content::Unreadable) => Ok(()),
            // The device may have lost a row that the hub has; the reason of a gap does not matter.
            (Content::Rows(_) | Content::Gap(..), Content::Gap(..)) => Ok(()),
            // A row that was stated as gone comes from another database.
            (Content::Gap(..), Content::Rows(_) | Content::Unreadable) => Err(Conflict { seq: *span.start() }),
        }
    }
}

/// The parts of received ranges that are not known. Both lists rise and do not overlap in themselves. Rows are compared by the
/// fingerprint version of the known range.
pub(crate) fn new_ranges(
    brought: &[SeqRange],
    known: &[SeqRange],
    fingerprints_of: FingerprintsOf<'_>,
) -> Result<Vec<SeqRange>, Conflict> {
    let mut new = Vec::new();
    for range in brought {
        let mut next = range.first;
        let from = known.partition_point(|known| known.last < range.first);
        for known in known[from..].iter().take_while(|known| known.first <= range.last) {
            let span = known.first.max(range.first)..=known.last.min(range.last);
            range.check(known, &span, fingerprints_of)?;
            // A row that could not be read before and can be now is new.
            if matches!((&known.content, &range.content), (Content::Unreadable, Content::Rows(_))) {
                continue;
            }
            if next < *span.start() {
                new.push(range.part(&(next..=*span.start() - 1)));
            }
            next = span.end() + 1;
        }
        if next <= range.last {
            new.push(range.part(&(next..=range.last)));
        }
    }
    Ok(new)
}

/// The highest sequence up to which all are accounted for, given the last such one and the ranges above it, rising.
pub(crate) fn confirm(confirmed: u64, spans: impl IntoIterator<Item = (u64, u64)>) -> u64 {
    let mut upto = confirmed;
    for (first, last) in spans {
        if first > upto + 1 {
            break;
        }
        upto = upto.max(last);
    }
    upto
}

#[cfg(test)]
mod tests;
