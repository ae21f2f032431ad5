//! The latest time that a recording can hold: the moment at which it is replayed. Pure.
//!
//! What is stamped later is rejected, however many lines have such timestamps. A recording is played that was made up, or is replayed on a
//! machine whose clock is behind: it walks over that moment at its own pace, or most of it is later (of years later nothing is).

use super::{AHEAD, LOOK, Lines, RejectReason, SET_MS, YEARS};
use crate::replay::entry;
use crate::replay::readings::Row;

/// Lines that walk over the moment of the replay and so show that it is no bound.
const WALKED: u64 = 100;

/// Refuses rows from beyond the moment of the replay.
#[derive(Debug, Default)]
pub(super) struct FutureTimes {
    /// No row is later than this; none where that is not known.
    pub(super) bound_ms: Option<i64>,
    begun: Lines,
    /// Rows beyond it that are not decided, all of them after one jump.
    beyond: Vec<Row>,
    beyond_lines: Lines,
    walked: Lines,
    /// Each sensor's last timestamp and step; the first is of rows without a sensor.
    sensors: Vec<(i64, i64)>,
}

impl FutureTimes {
    /// Takes a row, unless it is rejected already.
    pub(super) fn push(&mut self, row: Row, why: Option<RejectReason>, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        let Some(bound) = self.bound_ms.filter(|_| why.is_none()) else { return on(row, why) };
        if row.at_ms <= bound {
            if row.at_ms >= SET_MS {
                self.begun.add(row.line);
                self.end_beyond(true, on);
            }
            self.go_to(&row);
            return on(row, None);
        }
        if self.begun.count > 0 && self.beyond.is_empty() && self.walks(&row) {
            self.go_to(&row);
            self.walked.add(row.line);
            if self.walked.count >= WALKED {
                self.bound_ms = None;
            }
            return on(row, None);
        }
        self.beyond_lines.add(row.line);
        self.beyond.push(row);
        let is_begun = self.begun.count > 0;
        if self.beyond.len() >= LOOK || (is_begun && self.beyond_lines.count > self.begun.count) {
            let is_years = is_begun && self.is_years_ahead();
            if !is_years && self.beyond_lines.count > self.begun.count {
                self.bound_ms = None;
            }
            self.end_beyond(self.bound_ms.is_some(), on);
        }
    }

    pub(super) fn finish(&mut self, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        self.end_beyond(self.begun.count > 0, on);
    }

    fn end_beyond(&mut self, are_rejected: bool, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        let why = are_rejected.then_some(RejectReason::NotYet);
        self.beyond.drain(..).for_each(|row| on(row, why));
        self.beyond_lines = Lines::default();
    }

    fn is_years_ahead(&self) -> bool {
        let first = self.beyond.iter().map(|row| row.at_ms).min();
        first.zip(self.bound_ms).is_some_and(|(first, bound)| first - bound > YEARS.0)
    }

    /// Whether a row goes on at the pace of its sensor.
    fn walks(&self, row: &Row) -> bool {
        let (last, step) = self.sensors.get(row.key()).copied().unwrap_or((i64::MIN, 0));
        row.at_ms.saturating_sub(last) <= (2 * step).max(AHEAD.0)
    }

    fn go_to(&mut self, row: &Row) {
        let (last, step) = entry(&mut self.sensors, row.key(), (i64::MIN, 0));
        *step = if *last == i64::MIN { 0 } else { (row.at_ms - *last).max(0) };
        *last = row.at_ms;
    }
}
