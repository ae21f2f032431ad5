//! The clock of a recording: where its stamps lead, and which come behind.

use tilth_core::time::{Span, WallTime};

use super::readings::Row;

/// The stamps so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Course {
    rows: u64,
    earliest_ms: i64,
    leader: Leader,
    worst: Leader,
    /// Rows stamped before the greatest stamp that came before them.
    behind: u64,
}

/// A row that moved the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leader {
    at_ms: i64,
    pub(crate) line: u64,
    /// Rows behind it before another one moved the clock.
    pub(crate) followers: u64,
}

impl Leader {
    pub(crate) fn at(&self) -> WallTime {
        WallTime(self.at_ms)
    }
}

impl Course {
    pub(crate) fn add(&mut self, row: &Row) {
        if self.rows == 0 {
            self.earliest_ms = row.at_ms;
        }
        self.rows += 1;
        if row.at_ms > self.leader.at_ms || self.rows == 1 {
            self.leader = Leader { at_ms: row.at_ms, line: row.line, followers: 0 };
        } else if row.at_ms < self.leader.at_ms {
            self.behind += 1;
            self.earliest_ms = self.earliest_ms.min(row.at_ms);
            self.leader.followers += 1;
            if self.leader.followers > self.worst.followers {
                self.worst = self.leader;
            }
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn behind(&self) -> u64 {
        self.behind
    }

    /// The earliest and the greatest stamp; nothing without rows.
    pub(crate) fn ends(&self) -> Option<(WallTime, WallTime)> {
        (self.rows > 0).then_some((WallTime(self.earliest_ms), self.leader.at()))
    }

    pub(crate) fn span(&self) -> Span {
        self.ends().map_or(Span::ZERO, |(from, to)| to - from)
    }

    /// One row whose stamp most of the others are behind: probably a slip of some clock.
    pub(crate) fn ran_ahead(&self) -> Option<Leader> {
        (self.worst.followers > self.rows / 2).then_some(self.worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(stamps: &[i64]) -> Course {
        let mut course = Course::default();
        for (line, at_ms) in (2..).zip(stamps) {
            course.add(&Row { line, at_ms: *at_ms, sensor: 0, value: None });
        }
        course
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
            let course = course(stamps);
            assert_eq!((course.behind(), course.rows()), (behind, stamps.len() as u64), "{stamps:?}");
            assert_eq!(course.ends(), ends.map(|(from, to)| (WallTime(from), WallTime(to))), "{stamps:?}");
        }
    }

    #[test]
    fn one_stamp_that_most_are_behind_is_named() {
        assert_eq!(
            course(&[1, 2, 900, 3, 4, 5, 6]).ran_ahead().map(|leader| (leader.line, leader.followers)),
            Some((4, 4))
        );
        assert_eq!(course(&[1, 900, 2, 3, 901]).ran_ahead(), None);
        assert_eq!(course(&[1, 2, 3, 1, 4, 2, 5, 3]).ran_ahead(), None);
    }
}
