//! Single steps ahead: a line that is up to a day ahead of its sensor's others would make what follows it late. Pure.
//!
//! Each sensor is held against itself, as two sensors of one file may have two clocks. A row that is further ahead than its
//! sensor's pace explains waits in a queue for the rows after it, and with it all rows behind it:
//!
//! - Four more lines of the sensor go on from there: a pause. The row is played.
//! - The sensor comes back and then reaches the row's time: the row is played where the others leave its place free, as for a
//!   live line that was recorded before a backlog. Else it is rejected.
//! - The file ends, or the queue is full, after the sensor came back for at least three lines: rejected.
//!
//! The first rows of a sensor wait likewise, as there is nothing before them.

use std::collections::VecDeque;

use tilth_core::time::Span;

use super::{AHEAD, CONFIRM, LOOK, Lines, RejectReason, SET_MS};
use crate::replay::entry;
use crate::replay::readings::Row;
use crate::replay::repeats::LONG_GAP;

/// Longer steps are looked at as gaps of the whole file.
const LONGEST: Span = Span::from_mins(24 * 60);

/// Lines that came back, from which a row ahead is rejected that they do not reach.
const CAME_BACK: u64 = 3;

/// Steps before a free place that show how far apart the rows of a sensor are.
const STEPS_SHOWN: usize = 5;

/// Rows of one sensor that wait; of more the first is played.
const MAX_WAITING: usize = 256;

/// Holds rows back until it is known whether their timestamps go on from those of their sensor.
#[derive(Debug, Default)]
pub(super) struct SensorJumps {
    queue: VecDeque<Held>,
    /// The number of the first row of the queue: how many rows have left it.
    gone: usize,
    /// By place of the sensor plus one; the first is of rows without a sensor.
    sensors: Vec<Sensor>,
}

#[derive(Debug)]
struct Held {
    row: Row,
    /// Whether its timestamp is true; none as long as that is open.
    is_true: Option<bool>,
}

#[derive(Debug, Clone, Default)]
struct Sensor {
    /// The last timestamp that was played.
    last_ms: Option<i64>,
    /// From the one before to that; 0 where it went back.
    step_ms: i64,
    /// Rows that are ahead, in the order of the file.
    waiting: Vec<Waiting>,
    /// All timestamps since the first of those, but for rejected ones.
    stamps: Vec<i64>,
}

/// A row that is ahead of its sensor's pace.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    number: usize,
    line: u64,
    at_ms: i64,
    /// The sensor before it.
    before_ms: Option<i64>,
    usual_ms: i64,
    /// The first timestamp that came back.
    back_ms: Option<i64>,
    /// The greatest timestamp below its own, before it and after it.
    follows_ms: Option<i64>,
    /// Lines after it that came back and went on, and lines that are as far ahead.
    back: Lines,
    ahead: Lines,
}

impl SensorJumps {
    /// Takes the next row, and passes on those that are decided, in order.
    pub(super) fn push(&mut self, row: Row, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        let key = row.key();
        let sensor = entry(&mut self.sensors, key, Sensor::default());
        let number = self.gone + self.queue.len();
        // A clock that was not set has no pace.
        let waits = row.at_ms >= SET_MS && sensor.add(number, &row);
        if !waits && self.queue.is_empty() {
            self.gone += 1;
            return on(row, None);
        }
        self.queue.push_back(Held { row, is_true: (!waits).then_some(true) });
        self.decide(key);
        self.drain(on);
        self.shorten(LOOK - 1, on);
    }

    pub(super) fn finish(&mut self, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        self.shorten(0, on);
    }

    fn drain(&mut self, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        while let Some(Held { row, is_true }) = self.queue.pop_front_if(|held| held.is_true.is_some()) {
            self.gone += 1;
            on(row, (is_true == Some(false)).then_some(RejectReason::Ahead));
        }
    }

    /// Decides the first rows by what is known, until no more than so many wait: the queue is full, or the recording is over.
    fn shorten(&mut self, most: usize, on: &mut impl FnMut(Row, Option<RejectReason>)) {
        while self.queue.len() > most {
            let key = self.queue[0].row.key();
            match self.sensors[key].waiting.iter().position(|row| row.number == self.gone) {
                Some(place) => {
                    let row = &self.sensors[key].waiting[place];
                    let is_true = row.back.count < CAME_BACK.max(row.ahead.count);
                    self.settle(key, place, is_true);
                    self.decide(key);
                }
                None => self.queue[0].is_true = Some(true),
            }
            self.drain(on);
        }
    }

    /// Decides which rows of a sensor can be true, as far as that is known.
    fn decide(&mut self, key: usize) {
        while let Some((place, is_true)) = self.sensors[key].next_decided() {
            self.settle(key, place, is_true);
        }
    }

    fn settle(&mut self, key: usize, place: usize, is_true: bool) {
        let row = self.sensors[key].take(place, is_true);
        let here = row.number.saturating_sub(self.gone);
        if is_true {
            self.queue[here].is_true.get_or_insert(true);
            return;
        }
        // All rows of a line have one timestamp.
        let is_of_line = |held: &&Held| held.row.line == row.line;
        let before = self.queue.range(..here).rev().take_while(is_of_line).count();
        let behind = self.queue.range(here..).take_while(is_of_line).count();
        for held in self.queue.range_mut(here - before..here + behind) {
            held.is_true = Some(false);
            self.sensors[held.row.key()].forget_line(row.line);
        }
    }
}

impl Sensor {
    /// Takes a row; true where it is ahead and has to wait.
    fn add(&mut self, number: usize, row: &Row) -> bool {
        let step = self.last_ms.map(|last| row.at_ms - last);
        let is_long = step.is_some_and(|step| step > LONGEST.0);
        let is_ahead = !is_long && step.is_none_or(|step| step > self.step_ms + AHEAD.0);
        if self.waiting.is_empty() && !is_ahead {
            self.go_to(row.at_ms);
            return false;
        }
        if !is_long {
            self.stamps.push(row.at_ms);
            self.waiting.iter_mut().for_each(|waiting| waiting.compare(row));
        }
        if is_ahead {
            self.waiting.push(Waiting {
                number,
                line: row.line,
                at_ms: row.at_ms,
                before_ms: self.last_ms,
                follows_ms: self.last_ms,
                usual_ms: self.step_ms,
                ..Waiting::default()
            });
        } else if step.is_some_and(|step| step > 0) && !is_long {
            self.go_to(row.at_ms);
        }
        is_ahead
    }

    fn go_to(&mut self, at_ms: i64) {
        self.step_ms = self.last_ms.map_or(0, |last| (at_ms - last).max(0));
        self.last_ms = Some(at_ms);
    }

    /// The place of the first waiting row that can be decided, and whether it is true.
    fn next_decided(&self) -> Option<(usize, bool)> {
        let goes_on = |row: &Waiting| {
            self.last_ms.is_some_and(|last| row.at_ms <= last + self.step_ms + AHEAD.0) && row.back.count == 0
        };
        let decided = |(place, row): (usize, &Waiting)| {
            let (back, ahead) = (row.back.count, row.ahead.count + 1);
            let is_gap = (back == 0 && ahead >= CONFIRM) || ahead > CONFIRM.max(back);
            if is_gap || goes_on(row) {
                return Some((place, true));
            }
            let last = self.last_ms.filter(|last| *last >= row.at_ms)?;
            // The rows that came back did not lead here, but others that are ahead.
            let is_other_way = row.follows_ms.is_none_or(|follows| follows < last - self.step_ms);
            // Of two lines in a row either may be the late one.
            let is_taken = back > 1 && self.is_taken(row);
            Some((place, is_other_way || !self.is_out_of_place(row) && !is_taken))
        };
        let decided = self.waiting.iter().enumerate().find_map(decided);
        decided.or_else(|| (self.waiting.len() > MAX_WAITING).then_some((0, true)))
    }

    fn take(&mut self, place: usize, is_true: bool) -> Waiting {
        let row = self.waiting.remove(place);
        if is_true && self.last_ms.is_none_or(|last| row.at_ms > last) {
            self.go_to(row.at_ms);
        } else if !is_true && let Some(place) = self.stamps.iter().position(|stamp| *stamp == row.at_ms) {
            self.stamps.remove(place);
        }
        if self.waiting.is_empty() {
            self.stamps.clear();
        }
        row
    }

    /// A line is rejected for another sensor.
    fn forget_line(&mut self, line: u64) {
        while let Some(place) = self.waiting.iter().position(|row| row.line == line) {
            self.take(place, false);
        }
    }

    /// Whether a row is missing where this one stands among those before and after it.
    fn is_out_of_place(&self, row: &Waiting) -> bool {
        let (Some(before), Some(back)) = (row.before_ms, row.back_ms) else { return false };
        let gap = back - before;
        let is_missing = 2 * gap >= 3 * row.usual_ms && gap <= CONFIRM as i64 * row.usual_ms;
        is_missing && !self.stamps.iter().any(|stamp| (before + 1..back).contains(stamp))
    }

    /// Whether the other rows leave no place for one. Among rows that come at any time no place is free for sure.
    fn is_taken(&self, row: &Waiting) -> bool {
        let mut below: Vec<i64> = self.stamps.iter().copied().filter(|stamp| *stamp <= row.at_ms).collect();
        below.sort_unstable_by(|one, other| other.cmp(one));
        // The first is the row itself, or one of its very time.
        let steps = below.windows(2).skip(1).map(|pair| pair[0] - pair[1]).filter(|step| *step > 0).take(STEPS_SHOWN);
        let (least, most) = steps.fold((i64::MAX, 0), |(least, most), step| (least.min(step), most.max(step)));
        let (step, is_regular) = if most == 0 { (row.usual_ms, true) } else { (most, most / 2 <= least) };
        let (before, after) =
            (below.get(1).copied().or(row.before_ms), self.stamps.iter().filter(|stamp| **stamp > row.at_ms).min());
        match (before, after) {
            (Some(before), _) if before == row.at_ms => true,
            (Some(before), Some(after)) => !is_regular || 2 * (after - before) < 3 * step,
            _ => false,
        }
    }
}

impl Waiting {
    /// Looks at a row of the sensor after this one.
    fn compare(&mut self, row: &Row) {
        let at_ms = row.at_ms;
        if at_ms >= self.at_ms {
            return self.ahead.add(row.line);
        }
        if at_ms < self.at_ms - LONG_GAP.0 || self.follows_ms.is_some_and(|follows| at_ms <= follows) {
            return;
        }
        self.follows_ms = Some(at_ms);
        if self.back.count > 0 || at_ms < self.at_ms - AHEAD.0 {
            self.back.add(row.line);
            self.back_ms.get_or_insert(at_ms);
        }
    }
}
