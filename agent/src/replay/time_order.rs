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
    rows: u64,
    first_ms: i64,
    earliest_ms: i64,
    latest: LatestRow,
    worst: LatestRow,
    /// Rows stamped before the greatest stamp that came before them.
    behind: u64,
    /// Rows of these that are behind their own sensor too.
    late: u64,
    /// The greatest stamp of each sensor.
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

    /// Books a row with its sensor, and says whether that has had a greater stamp. A row without a sensor is never late.
    fn is_late(&mut self, row: &Row) -> bool {
        let Some(sensor) = row.sensor else { return false };
        self.blocks += u64::from(self.last_sensor.replace(sensor) != Some(sensor));
        let newest_ms = entry(&mut self.newest_ms, sensor, i64::MIN);
        let late = row.at_ms < *newest_ms;
        *newest_ms = row.at_ms.max(*newest_ms);
        late
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The stamp of the first row: the instant of boot.
    pub(crate) fn first(&self) -> Option<WallTime> {
        (self.rows > 0).then_some(WallTime(self.first_ms))
    }

    pub(crate) fn behind(&self) -> u64 {
        self.behind
    }

    /// The earliest and the greatest stamp; nothing without rows.
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
mod tests {
    use super::*;

    fn time_order(stamps: &[i64]) -> TimeOrder {
        let mut time_order = TimeOrder::default();
        for (line, at_ms) in (2..).zip(stamps) {
            time_order.add(&Row { line, at_ms: *at_ms, sensor: Some(0), value: None });
        }
        time_order
    }

    #[test]
    fn rows_behind_the_clock_are_counted() {
        for (stamps, behind, ends) in [
            (&[][..], 0, None),
            (&[5], 0, Some((5, 5))),
            (&[5, 5, 6], 0, Some((5, 6))),
            (&[5, 4, 6, 5, 5], 3, Some((4, 6))),
            (&[0, 0, 1], 0, Some((0, 1))),
        ] {
            let time_order = time_order(stamps);
            assert_eq!((time_order.behind(), time_order.rows()), (behind, stamps.len() as u64), "{stamps:?}");
            assert_eq!(time_order.ends(), ends.map(|(from, to)| (WallTime(from), WallTime(to))), "{stamps:?}");
        }
    }

    /// Rows of (sensor, stamp).
    fn disorder(rows: impl IntoIterator<Item = (usize, i64)>) -> Option<Disorder> {
        let mut time_order = TimeOrder::default();
        for (line, (sensor, at_ms)) in (2..).zip(rows) {
            time_order.add(&Row { line, at_ms, sensor: Some(sensor), value: None });
        }
        time_order.disorder()
    }

    fn ran_ahead(at_ms: i64, line: u64, rows_behind: u64) -> Option<Disorder> {
        Some(Disorder::RanAhead(LatestRow { at_ms, line, rows_behind }))
    }

    /// Sensors that alternate, in order; the row at `place` stamped far ahead.
    fn with_stray(sensors: usize, rows: usize, place: usize) -> impl Iterator<Item = (usize, i64)> {
        (0..rows).map(move |row| (row % sensors, if row == place { 1_000_000 } else { row as i64 }))
    }

    #[test]
    fn one_stamp_that_many_are_behind_is_named() {
        for sensors in [1, 2, 60] {
            assert_eq!(disorder(with_stray(sensors, 1000, 300)), ran_ahead(1_000_000, 302, 699), "{sensors}");
            assert_eq!(disorder(with_stray(sensors, 1000, 989)), ran_ahead(1_000_000, 991, 10), "{sensors}");
            assert_eq!(disorder(with_stray(sensors, 1000, 990)), None, "nine of {sensors}");
            assert_eq!(disorder(with_stray(sensors, 1001, 990)), None, "ten in 1001, {sensors}");
        }
    }

    #[test]
    fn a_stray_stamp_of_a_sensor_that_speaks_once_is_no_order() {
        let rows = (0..100).map(|row| if row == 50 { (2, 1_000_000) } else { (row as usize % 2, row) });
        assert_eq!(disorder(rows), ran_ahead(1_000_000, 52, 49));
    }

    #[test]
    fn a_recording_sorted_by_sensor_is_known() {
        for (sensors, rows) in [(2, 11), (2, 1000), (60, 500), (300, 5)] {
            let sorted = (0..sensors).flat_map(|sensor| (0..rows).map(move |row| (sensor, row * 1000 + sensor as i64)));
            assert_eq!(disorder(sorted.clone()), Some(Disorder::BySensor), "{sensors} of {rows}");
            let weeks = (0..3).flat_map(|week| sorted.clone().map(move |(sensor, at)| (sensor, at + week * 1_000_000)));
            if rows >= 10 {
                assert_eq!(disorder(weeks), Some(Disorder::BySensor), "{sensors} of {rows}, piece by piece");
            }
        }
        let with_stray = (0..200).map(|row| (row / 100, if row == 50 { 1_000_000 } else { row as i64 % 100 }));
        assert_eq!(disorder(with_stray), ran_ahead(1_000_000, 52, 149), "one stamp in its first block is wrong too");
    }

    #[test]
    fn usual_lateness_has_no_cause_to_be_named() {
        let skewed = (0..1000).map(|row| (row as usize % 2, row - row % 2 * 7));
        assert_eq!(disorder(skewed), None, "two clocks that differ");
        let late = (0..1000).map(|row| (0, if row % 100 == 50 { row - 9 } else { row }));
        assert_eq!(disorder(late), None, "one in a hundred a little late");
        assert_eq!(disorder([]), None);
    }
}
