//! Steps of the whole file: rows that are hours ahead of all others, and gaps that are hours or years long. Pure.

use tilth_core::time::Span;

use super::{AGES, CONFIRM, JUMP, LOOK, Lines, RejectReason, SET_MS, UNUSUAL, YEARS};
use crate::replay::entry;
use crate::replay::readings::Row;
use crate::replay::repeats::LONG_GAP;

/// Holds rows beyond a step ahead back until it is known whether the file goes on from there.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// No row is later than this; none where that is not known.
    pub(super) bound_ms: Option<i64>,
    /// The first rows, until there are [`LOOK`] of them: what follows may show that their clock was not set.
    head: Vec<Row>,
    head_lines: Lines,
    /// The first lines are enough to be believed.
    is_believed: bool,
    is_passed_on: bool,
    /// The greatest timestamp passed on.
    newest_ms: Option<i64>,
    /// Between two timestamps one after the other.
    longest_gap_ms: i64,
    /// The sensors that have spoken.
    seen: Vec<bool>,
    jump: Option<Jump>,
}

/// Rows since a step ahead.
#[derive(Debug, Default)]
struct Jump {
    /// Each with whether it is ahead.
    rows: Vec<(Row, bool)>,
    /// From the newest timestamp before it to the first after it.
    from_ms: i64,
    to_ms: i64,
    /// The greatest timestamp of those that came back.
    follows_ms: i64,
    ahead: Lines,
    back: Lines,
    /// The sensor of the first row, and its timestamps among those that came back.
    sensor: Option<usize>,
    slot: Slot,
}

/// Whether a stream of timestamps has a free slot for one timestamp.
#[derive(Debug, Default)]
struct Slot {
    before_ms: Option<i64>,
    /// From the timestamp before to that.
    step_ms: i64,
    after_ms: Option<i64>,
}

/// What a step ahead was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JumpKind {
    Open,
    /// A gap: the file goes on from there.
    Gap,
    /// The rows ahead are wrong.
    Wrong,
    /// All rows are true; some came late.
    True,
}

impl Gaps {
    /// Takes a row, unless it is rejected already.
    pub(super) fn push(&mut self, row: Row, why: Option<RejectReason>, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        if why.is_some() {
            return on(row, why);
        }
        if self.jump.is_some() {
            return self.hold(row, on);
        }
        match self.newest_ms {
            Some(newest) if newest >= SET_MS && row.at_ms < SET_MS => on(row, Some(RejectReason::NeverSet)),
            Some(newest) if row.at_ms > newest.saturating_add(JUMP.0) => {
                self.jump = Some(Jump::new(newest, row.at_ms));
                self.hold(row, on);
            }
            Some(newest) if !self.is_believed && row.at_ms < newest - LONG_GAP.0 => self.doubt_head(row, on),
            _ => self.pass(row, on),
        }
    }

    pub(super) fn finish(&mut self, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        while let Some(jump) = self.jump.take() {
            let (back, ahead) = (jump.back.count, jump.ahead.count);
            if back == 0 && ahead >= CONFIRM {
                self.confirm(jump, on);
            } else if back == 0 && self.is_believed && self.is_unusual(&jump) {
                self.release(jump, Some(RejectReason::NothingFollows), on);
            } else if back > 0 && !jump.is_reached() && (back >= ahead || jump.gap() > YEARS) {
                self.release(jump, Some(RejectReason::Ahead), on);
            } else {
                self.release(jump, None, on);
            }
        }
        self.head.drain(..).for_each(|row| on(row, None));
    }

    fn hold(&mut self, row: Row, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        let is_known = row.sensor.is_none_or(|sensor| self.seen.get(sensor).copied().unwrap_or(false));
        let Some(mut jump) = self.jump.take() else { return };
        jump.add(row, is_known);
        match jump.kind() {
            JumpKind::Open => self.jump = Some(jump),
            JumpKind::Gap => self.confirm(jump, on),
            JumpKind::Wrong => self.release(jump, Some(RejectReason::Ahead), on),
            JumpKind::True => self.release(jump, None, on),
        }
    }

    /// The file goes on from beyond a gap.
    fn confirm(&mut self, jump: Jump, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        // However many lines say so; but a file of few lines a year may walk so far.
        let is_over = self.bound_ms.is_some_and(|bound| (SET_MS..=bound).contains(&jump.from_ms) && jump.to_ms > bound);
        if is_over && jump.gap().0 > YEARS.0.max(2 * self.longest_gap_ms) {
            return self.release(jump, Some(RejectReason::NotYet), on);
        }
        let is_new_life = (jump.from_ms < SET_MS && jump.to_ms >= SET_MS) || jump.gap() > AGES;
        if (!self.is_passed_on && is_new_life) || (!self.is_believed && self.is_unusual(&jump)) {
            let why = if is_new_life { RejectReason::NeverSet } else { RejectReason::NothingBefore };
            self.head.drain(..).for_each(|row| on(row, Some(why)));
            (self.head_lines, self.is_believed) = (Lines::default(), false);
        } else {
            self.longest_gap_ms = self.longest_gap_ms.max(jump.gap().0);
        }
        // One of those beyond it may be ahead of the others.
        self.newest_ms = jump.rows.iter().filter(|(_, is_ahead)| *is_ahead).map(|(row, _)| row.at_ms).min();
        jump.rows.into_iter().for_each(|(row, _)| self.push(row, None, on));
    }

    /// Passes the rows of a step on; those that are ahead are rejected where there is a reason.
    fn release(&mut self, jump: Jump, rejected: Option<RejectReason>, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        for (row, is_ahead) in jump.rows {
            if is_ahead && rejected.is_some() { on(row, rejected) } else { self.pass(row, on) }
        }
    }

    /// The file begins far ahead of a row: its first rows are held against those that follow.
    fn doubt_head(&mut self, row: Row, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        let mut jump = Jump::new(row.at_ms, self.head.first().map_or(row.at_ms, |first| first.at_ms));
        self.head.drain(..).for_each(|row| jump.add(row, true));
        self.head_lines = Lines::default();
        self.newest_ms = Some(row.at_ms);
        self.jump = Some(jump);
        self.hold(row, on);
    }

    fn pass(&mut self, row: Row, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        let newest = self.newest_ms.unwrap_or(row.at_ms);
        self.longest_gap_ms = self.longest_gap_ms.max(row.at_ms - newest);
        self.newest_ms = Some(newest.max(row.at_ms));
        if let Some(sensor) = row.sensor {
            *entry(&mut self.seen, sensor, false) = true;
        }
        if self.is_passed_on {
            return on(row, None);
        }
        self.head_lines.add(row.line);
        self.head.push(row);
        self.is_passed_on = self.head.len() >= LOOK;
        self.is_believed = self.is_passed_on || self.head_lines.count >= CONFIRM;
        if self.is_passed_on {
            self.head.drain(..).for_each(|row| on(row, None));
        }
    }

    /// A long gap, and far longer than any before and after it.
    fn is_unusual(&self, jump: &Jump) -> bool {
        let beyond = jump.rows.windows(2).map(|pair| pair[1].0.at_ms - pair[0].0.at_ms).max().unwrap_or(0);
        jump.gap() > LONG_GAP && jump.gap().0 / UNUSUAL > self.longest_gap_ms.max(beyond)
    }
}

impl Jump {
    fn new(from_ms: i64, to_ms: i64) -> Jump {
        Jump { from_ms, to_ms, follows_ms: from_ms, ..Jump::default() }
    }

    fn gap(&self) -> Span {
        Span(self.to_ms - self.from_ms)
    }

    /// `is_known`: of a sensor that spoke before the step. In a recording that is sorted by sensor another one starts from the beginning.
    fn add(&mut self, row: Row, is_known: bool) {
        if self.rows.is_empty() {
            self.sensor = row.sensor;
        }
        let is_ahead = row.at_ms > self.follows_ms.saturating_add(JUMP.0);
        if is_ahead {
            self.ahead.add(row.line);
        } else if is_known || self.gap() > LONG_GAP {
            self.back.add(row.line);
            self.follows_ms = self.follows_ms.max(row.at_ms);
            if row.sensor == self.sensor {
                self.slot.add(row.at_ms, self.to_ms);
            }
        }
        self.rows.push((row, is_ahead));
    }

    fn kind(&self) -> JumpKind {
        let is_full = self.rows.len() >= LOOK;
        let is_long = self.gap() > LONG_GAP;
        if self.is_reached() {
            return match self.slot.is_free() {
                _ if self.ahead.count > CONFIRM => JumpKind::True,
                Some(false) => JumpKind::Wrong,
                None if !is_full => JumpKind::Open,
                Some(true) | None => JumpKind::True,
            };
        }
        let enough = if self.gap() > YEARS { CONFIRM } else { CONFIRM.max(self.ahead.count) };
        match self.back.count {
            0 if self.ahead.count >= CONFIRM && (is_full || !is_long) => JumpKind::Gap,
            back if back >= enough && (is_full || is_long) => JumpKind::Wrong,
            _ if is_full => JumpKind::True,
            _ => JumpKind::Open,
        }
    }

    /// What came back has come to where the step led.
    fn is_reached(&self) -> bool {
        self.back.count > 0 && self.follows_ms >= self.to_ms - JUMP.0
    }
}

impl Slot {
    fn add(&mut self, at_ms: i64, of_ms: i64) {
        if at_ms >= of_ms {
            self.after_ms.get_or_insert(at_ms);
        } else if self.before_ms.is_none_or(|before| at_ms > before) {
            self.step_ms = self.before_ms.map_or(0, |before| at_ms - before);
            self.before_ms = Some(at_ms);
        }
    }

    /// None until the stream has passed the slot.
    fn is_free(&self) -> Option<bool> {
        let (before, after) = (self.before_ms?, self.after_ms?);
        Some(2 * (after - before) >= 3 * self.step_ms)
    }
}
