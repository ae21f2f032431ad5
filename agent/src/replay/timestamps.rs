//! Which timestamps of a recording cannot be true: one in 2038 must neither make years of notifications nor hide what follows it.
//! Pure.
//!
//! A file has no arrival to hold a timestamp against, so its neighbours decide, as in the live reader within a few lines:
//!
//! - A line or a few are up to a day ahead of their sensor's others: see [`jumps`].
//! - The file jumps ahead and comes back: the lines in between are rejected, unless what follows reaches them soon and leaves
//!   their place free, as a backlog does that was recorded after a live line.
//! - It jumps ahead and stays there for [`CONFIRM`] lines: a gap, however long.
//! - Fewer lines than that before or after a gap of more than 31 days that is far longer than any other: rejected.
//! - Nothing is from later than the moment of the replay: see [`future`].
//! - It begins before 2001 or more than 15 years before its other lines: a clock that was not set yet. Lines from before 2001
//!   after later ones likewise.

mod future;
mod gaps;
mod jumps;

use tilth_core::time::{Span, WallTime};

use super::readings::Row;
use crate::sense::stamp::AHEAD;
use future::FutureTimes;
use gaps::Gaps;
use jumps::SensorJumps;

/// A step ahead of more than this is one of the whole file: clocks of its sensors differ by less.
const JUMP: Span = Span::from_mins(60);

/// Lines on the far side of a gap that confirm the gap.
const CONFIRM: u64 = 5;

/// Upper limit of rows held back until it is known which timestamps are true.
const LOOK: usize = 8192;

/// A gap at the end or the beginning of a file is suspicious from so many times the longest other gap on.
const UNUSUAL: i64 = 10;

/// 2001-09-09T01:46:40Z, a thousand million seconds: loggers of this class are younger, and the epochs of their clocks older.
const SET_MS: i64 = 1_000_000_000_000;

/// No outage takes so long: what comes back from beyond it was never there.
const YEARS: Span = Span(5 * 365 * 24 * 3_600_000);

/// No file pauses for so long: what lies before it is of a clock that was not set. GPS receivers lose 19.6 years.
const AGES: Span = Span(15 * 365 * 24 * 3_600_000);

/// Rejected lines that are kept to be shown.
const MAX_SHOWN: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RejectReason {
    #[error("far ahead of the lines before and after it")]
    Ahead,
    #[error("far ahead of the lines before it, with too few after it to confirm it")]
    NothingFollows,
    #[error("long before the lines after it, with too few beside it to confirm it")]
    NothingBefore,
    #[error("from a clock that was not set, in a file of later years")]
    NeverSet,
    #[error("later than the time of this replay")]
    NotYet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RejectedLine {
    pub(crate) line: u64,
    pub(crate) at: WallTime,
    pub(crate) why: RejectReason,
}

/// What was rejected: how many lines, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RejectedLines {
    pub(crate) lines: u64,
    pub(crate) shown: Vec<RejectedLine>,
    last_line: u64,
}

/// Counts lines by their rows.
#[derive(Debug, Clone, Copy, Default)]
struct Lines {
    count: u64,
    last: u64,
}

impl Lines {
    fn add(&mut self, line: u64) {
        self.count += u64::from(self.count == 0 || self.last != line);
        self.last = line;
    }
}

impl RejectedLines {
    /// Takes a row from the last step: played, or rejected for a reason.
    fn sort(&mut self, row: Row, why: Option<RejectReason>, out: &mut Vec<Row>) {
        let Some(why) = why else { return out.push(row) };
        if self.lines > 0 && self.last_line == row.line {
            return;
        }
        (self.lines, self.last_line) = (self.lines + 1, row.line);
        if self.shown.len() < MAX_SHOWN {
            self.shown.push(RejectedLine { line: row.line, at: WallTime(row.at_ms), why });
        }
    }
}

/// Passes rows on whose timestamps can be true, in their order, through three steps. Each step takes rows with the reason for which one
/// before it rejected them, if any, and may hold them back.
#[derive(Debug, Default)]
pub(crate) struct TimestampCheck {
    jumps: SensorJumps,
    gaps: Gaps,
    future: FutureTimes,
    pub(crate) rejected: RejectedLines,
}

impl TimestampCheck {
    /// No stamp of the recording can be later than `latest`; none where that is unknown.
    pub(crate) fn until(latest: Option<WallTime>) -> TimestampCheck {
        let bound_ms = latest.map(|latest| latest.0);
        let mut check = TimestampCheck::default();
        (check.gaps.bound_ms, check.future.bound_ms) = (bound_ms, bound_ms);
        check
    }

    /// Takes the next row, and passes on those that are decided.
    pub(crate) fn push(&mut self, row: Row, out: &mut Vec<Row>) {
        let TimestampCheck { jumps, gaps, future, rejected } = self;
        let mut sort = |row, why| rejected.sort(row, why, out);
        let mut check_future = |row, why| future.push(row, why, &mut sort);
        jumps.push(row, &mut |row, why| gaps.push(row, why, &mut check_future));
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<Row>) {
        let TimestampCheck { jumps, gaps, future, rejected } = self;
        let mut sort = |row, why| rejected.sort(row, why, out);
        let mut check_future = |row, why| future.push(row, why, &mut sort);
        jumps.finish(&mut |row, why| gaps.push(row, why, &mut check_future));
        gaps.finish(&mut check_future);
        future.finish(&mut sort);
        rejected.shown.sort_by_key(|rejected| rejected.line);
    }
}

#[cfg(test)]
mod tests;
