//! Which sequences of a lane are accounted for, and whether what comes agrees with what came before.
//!
//! Pure: the store keeps the runs, this decides over them. Whatever the order in which ranges come, however often and
//! however they are split, the same runs are new once and the same prefix is confirmed.

use std::ops::RangeInclusive;

use tilth_protocol::GapKind;

use super::fingerprints::{Mark, Marks, Version};

/// Marks of brought rows, in rising order of their sequences, by the function of a version.
pub(crate) type MarksOf<'a> = &'a dyn Fn(Version, &RangeInclusive<u64>) -> Vec<Mark>;

/// Some sequences in a row, both ends among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) content: Content,
}

/// What accounts for the sequences of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A row each.
    Rows(Marks),
    /// A row that the hub could not read, one a run. What it held is not compared: a later version may read it.
    Unread,
    /// The device says that there is none.
    Gap(GapKind, String),
}

/// A sequence that is known with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) seq: u64,
}

impl Run {
    /// The part of the run within some sequences; it must be inside.
    fn part(&self, span: &RangeInclusive<u64>) -> Run {
        let content = match &self.content {
            Content::Rows(marks) => Content::Rows(marks.part(self.first, span)),
            Content::Unread => Content::Unread,
            Content::Gap(kind, reason) => Content::Gap(*kind, reason.clone()),
        };
        Run { first: *span.start(), last: *span.end(), content }
    }

    /// The part of the run beyond a sequence; none where there is nothing.
    pub(crate) fn beyond(&self, seq: u64) -> Option<Run> {
        match self.first > seq {
            true => Some(self.clone()),
            false => (self.last > seq).then(|| self.part(&(seq + 1..=self.last))),
        }
    }

    /// Whether what is known of some sequences allows what this run says of them.
    fn agrees(&self, known: &Run, span: &RangeInclusive<u64>, marks_of: MarksOf<'_>) -> Result<(), Conflict> {
        match (&known.content, &self.content) {
            (Content::Rows(before), Content::Rows(brought)) => {
                let before = before.part(known.first, span);
                let brought = match brought.version == before.version {
                    true => brought.part(self.first, span).marks,
                    false => marks_of(before.version, span),
                };
                let mut pairs = before.marks.iter().zip(&brought).zip(span.clone());
                pairs.find(|((before, brought), _)| before != brought).map_or(Ok(()), |(_, seq)| Err(Conflict { seq }))
            }
            (Content::Unread, _) | (Content::Rows(_), Content::Unread) => Ok(()),
            // A row that the device no longer has was not taken back, and a gap is a gap for whatever reason.
            (Content::Rows(_) | Content::Gap(..), Content::Gap(..)) => Ok(()),
            // What was given up does not come back: this is another database.
            (Content::Gap(..), Content::Rows(_) | Content::Unread) => Err(Conflict { seq: *span.start() }),
        }
    }
}

/// The parts of what a range brings that are not known yet. Both lists rise and do not overlap in themselves. Rows that were marked by
/// an earlier version are compared by that one's marks.
pub(crate) fn news(brought: &[Run], known: &[Run], marks_of: MarksOf<'_>) -> Result<Vec<Run>, Conflict> {
    let mut new = Vec::new();
    for run in brought {
        let mut next = run.first;
        let from = known.partition_point(|known| known.last < run.first);
        for known in known[from..].iter().take_while(|known| known.first <= run.last) {
            let span = known.first.max(run.first)..=known.last.min(run.last);
            run.agrees(known, &span, marks_of)?;
            // What could not be read before, and can be now, is news.
            if matches!((&known.content, &run.content), (Content::Unread, Content::Rows(_))) {
                continue;
            }
            if next < *span.start() {
                new.push(run.part(&(next..=*span.start() - 1)));
            }
            next = span.end() + 1;
        }
        if next <= run.last {
            new.push(run.part(&(next..=run.last)));
        }
    }
    Ok(new)
}

/// How far everything is accounted for, when it was up to `confirmed` and these spans, rising, are known beyond.
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
