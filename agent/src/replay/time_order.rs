//! Whether the rows of a recording are in the order of time, and what explains it where they are not.

use tilth_core::time::{Span, WallTime};

use super::entry;
use super::readings::Row;

/// Fewer rows behind the clock than this are no disorder.
const MIN_BEHIND: u64 = 10;

/// Fewer than one row in so many behind the clock is no disorder: late readings are usual where radios store and forward.
const ONE_IN: u64 = 100;

/// Blocks of as many rows of one sensor show that a recording is sorted by sensor, piece by piece perhaps.
const MIN_BLOCK: u64 = 10;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TimeOrder {
    pub(crate) rows: u64,
    first_ms: i64,
    earliest_ms: i64,
    latest: LatestRow,
    worst: LatestRow,
    /// Rows stamped before the greatest timestamp that came before them.
    pub(crate) behind: u64,
    /// Rows of these that are behind their own sensor too.
    late: u64,
    /// The greatest timestamp of each sensor.
    newest_ms: Vec<i64>,
    /// The sensor of the last row, and how often it was another than that of the row before.
    last_sensor: Option<usize>,
    blocks: u64,
}

/// What explains that many rows are behind the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disorder {
    /// All rows of one sensor, then all of the next: each in order, but not together.
    BySensor,
    /// One row far ahead of those after it: probably a slip of some clock.
    RanAhead(LatestRow),
}

/// A row with the greatest timestamp so far: it moves the clock of the replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LatestRow {
    at_ms: i64,
    pub(crate) line: u64,
    /// Rows behind it before another one moved the clock.
    pub(crate) rows_behind: u64,
}

impl LatestRow {
    pub(crate) fn at(&self) -> WallTime {
        WallTime(self.at_ms)
    }
}

impl TimeOrder {
    pub(crate) fn add(&mut self, row: &Row) {
        let late = self.is_late(row);
        if self.rows == 0 {
            (self.first_ms, self.earliest_ms) = (row.at_ms, row.at_ms);
        }
        if self.rows == 0 || row.at_ms > self.latest.at_ms {
            self.latest = LatestRow { at_ms: row.at_ms, line: row.line, rows_behind: 0 };
        } else if row.at_ms < self.latest.at_ms {
            self.behind += 1;
            self.late += u64::from(late);
            self.earliest_ms = self.earliest_ms.min(row.at_ms);
            self.latest.rows_behind += 1;
            if self.latest.rows_behind > self.worst.rows_behind {
                self.worst = self.latest;
            }
        }
        self.rows += 1;
    }

    /// Books a row with its sensor, and says whether that has had a greater timestamp. A row without a sensor is never late.
    fn is_late(&mut self, row: &Row) -> bool {
        let Some(sensor) = row.sensor else { return false };
        self.blocks += u64::from(self.last_sensor.replace(sensor) != Some(sensor));
        let newest_ms = entry(&mut self.newest_ms, sensor, i64::MIN);
        let late = row.at_ms < *newest_ms;
        *newest_ms = row.at_ms.max(*newest_ms);
        late
    }

    /// The timestamp of the first row: the instant of boot.
    pub(crate) fn first(&self) -> Option<WallTime> {
        (self.rows > 0).then_some(WallTime(self.first_ms))
    }

    /// The earliest and the greatest timestamp; nothing without rows.
    pub(crate) fn ends(&self) -> Option<(WallTime, WallTime)> {
        (self.rows > 0).then_some((WallTime(self.earliest_ms), self.latest.at()))
    }

    pub(crate) fn span(&self) -> Span {
        self.ends().map_or(Span::ZERO, |(from, to)| to - from)
    }

    /// What explains that many rows are behind the clock; nothing where few are, or where they have no one cause.
    pub(crate) fn disorder(&self) -> Option<Disorder> {
        let many = |rows| rows >= MIN_BEHIND && rows >= self.rows.div_ceil(ONE_IN);
        // Sensors do not alternate: one block of rows for each, or long ones.
        let is_in_blocks = self.blocks <= self.newest_ms.len() as u64 || self.blocks <= self.rows / MIN_BLOCK;
        if many(self.behind) && self.late <= self.behind / ONE_IN && is_in_blocks {
            return Some(Disorder::BySensor);
        }
        many(self.worst.rows_behind).then_some(Disorder::RanAhead(self.worst))
    }
}

#[cfg(test)]
mod tests;
