//! Which stamps of a recording cannot be true: one in 2038 must neither make years of notifications nor hide what follows it.
//! Pure.
//!
//! A file has no arrival to hold a stamp against, so its neighbours decide, as in the live reader within a few lines:
//!
//! - A line or a few are up to a day ahead of their sensor's others: see [`short`].
//! - The file jumps ahead and comes back: the lines in between are refused, unless what follows reaches them soon and leaves
//!   their place free, as a backlog does that was recorded after a live line.
//! - It jumps ahead and stays there for [`CONFIRM`] lines: a gap, however long.
//! - Fewer lines than that before or after a gap of more than [`LONG_GAP`] that is far longer than any other: refused.
//! - Nothing is from later than the moment of the replay: see [`latest`].
//! - It begins before 2001 or more than 15 years before its other lines: a clock that was not set yet. Lines from before 2001
//!   after later ones likewise.

mod latest;
mod short;

use std::mem;

use tilth_core::time::{Span, WallTime};

use super::entry;
use super::readings::Row;
use super::repeats::LONG_GAP;
use crate::sense::stamp::AHEAD;
use latest::Latest;
use short::ShortJumps;

/// A step ahead of more than this is one of the whole file: clocks of its sensors differ by less.
const JUMP: Span = Span::from_mins(60);

/// Lines on the far side of a gap that confirm the gap.
const CONFIRM: u64 = 5;

/// Upper limit of rows held back until it is known which stamps are true.
const LOOK: usize = 8192;

/// A gap at the end or the beginning of a file is suspicious from so many times the longest other gap on.
const UNUSUAL: i64 = 10;

/// 2001-09-09T01:46:40Z, a thousand million seconds: loggers of this class are younger, and the epochs of their clocks older.
const SET_MS: i64 = 1_000_000_000_000;

/// No outage takes so long: what comes back from beyond it was never there.
const YEARS: Span = Span(5 * 365 * 24 * 3_600_000);

/// No file pauses for so long: what lies before it is of a clock that was not set. GPS receivers lose 19.6 years.
const AGES: Span = Span(15 * 365 * 24 * 3_600_000);

/// Refused lines that are kept to be shown.
const MAX_SHOWN: usize = 10;

/// Why a stamp is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Far ahead of the lines before and after it.
    Ahead,
    /// The last lines of a file, after a gap that is like no other.
    NothingFollows,
    /// The first lines of a file, before such a gap.
    NothingBefore,
    /// From before 2001, in a file of later years.
    NeverSet,
    /// From later than the replay itself.
    NotYet,
}

/// A line that is not played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) line: u64,
    pub(crate) at: WallTime,
    pub(crate) why: Why,
}

/// What was refused: how many lines, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) lines: u64,
    pub(crate) shown: Vec<Refused>,
    last_line: u64,
}

/// Passes rows on whose stamps can be true, in their order.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    short: ShortJumps,
    latest: Latest,
    /// Rows between two of the steps that they take; both are empty between two rows of the recording.
    ready: Vec<Row>,
    passed: Vec<Row>,
    /// The first rows, until there are [`LOOK`] of them: what follows may show that their clock was not set.
    head: Vec<Row>,
    head_lines: Lines,
    /// The first lines are enough to be believed.
    is_believed: bool,
    is_passed_on: bool,
    /// The greatest stamp passed on.
    newest_ms: Option<i64>,
    /// Between two stamps one after the other.
    longest_gap_ms: i64,
    /// The sensors that have spoken.
    seen: Vec<bool>,
    jump: Option<Jump>,
    pub(crate) refused: Refusals,
}

/// Rows since a step ahead.
#[derive(Debug)]
struct Jump {
    /// Each with whether it is ahead.
    rows: Vec<(Row, bool)>,
    /// From the newest stamp before it to the first after it.
    from_ms: i64,
    to_ms: i64,
    /// The greatest stamp of those that came back.
    follows_ms: i64,
    ahead: Lines,
    back: Lines,
    /// The sensor of the first row, and its stamps among those that came back.
    sensor: Option<usize>,
    place: Place,
}

/// Whether a stream of stamps leaves the place of one stamp free.
#[derive(Debug, Default)]
struct Place {
    before_ms: Option<i64>,
    /// From the stamp before to that.
    step_ms: i64,
    after_ms: Option<i64>,
}

/// What a step ahead was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Not known yet.
    Open,
    /// A gap: the file goes on from there.
    Gap,
    /// The rows ahead are wrong.
    Wrong,
    /// All rows are true; some came late.
    True,
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

impl Why {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Why::Ahead => "far ahead of the lines before and after it",
            Why::NothingFollows => "far ahead of the lines before it, with too few after it to confirm it",
            Why::NothingBefore => "long before the lines after it, with too few beside it to confirm it",
            Why::NeverSet => "from a clock that was not set, in a file of later years",
            Why::NotYet => "later than the time of this replay",
        }
    }
}

impl Refusals {
    /// Passes rows on to `out`, or refuses them.
    fn sorting(&mut self, why: Why, out: &mut Vec<Row>) -> impl FnMut(Row, bool) {
        move |row, is_refused| if is_refused { self.add(&row, why) } else { out.push(row) }
    }

    fn add(&mut self, row: &Row, why: Why) {
        if self.lines > 0 && self.last_line == row.line {
            return;
        }
        (self.lines, self.last_line) = (self.lines + 1, row.line);
        if self.shown.len() < MAX_SHOWN {
            self.shown.push(Refused { line: row.line, at: WallTime(row.at_ms), why });
        }
    }
}

impl Stamps {
    /// No stamp of the recording can be later than `latest`; none where nobody knows.
    pub(crate) fn until(latest: Option<WallTime>) -> Stamps {
        Stamps { latest: Latest::new(latest.map(|latest| latest.0)), ..Stamps::default() }
    }

    /// Takes the next row, and passes on those that are decided.
    pub(crate) fn push(&mut self, row: Row, out: &mut Vec<Row>) {
        let mut ready = mem::take(&mut self.ready);
        if self.short.passes(&row) {
            if self.goes_on(&row) {
                self.ready = ready;
                self.note(&row);
                return self.look_at_the_latest_of(row, out);
            }
            ready.push(row);
            return self.look_for_gaps(ready, out);
        }
        self.short.push(row, &mut self.refused.sorting(Why::Ahead, &mut ready));
        self.look_for_gaps(ready, out);
    }

    /// The recording is over.
    pub(crate) fn finish(&mut self, out: &mut Vec<Row>) {
        let mut ready = mem::take(&mut self.ready);
        self.short.finish(&mut self.refused.sorting(Why::Ahead, &mut ready));
        self.look_for_gaps(ready, out);
        let mut passed = mem::take(&mut self.passed);
        self.finish_gaps(&mut passed);
        self.look_at_the_latest(passed, out);
        self.latest.finish(&mut self.refused.sorting(Why::NotYet, out));
        self.refused.shown.sort_by_key(|refused| refused.line);
    }

    fn look_for_gaps(&mut self, mut ready: Vec<Row>, out: &mut Vec<Row>) {
        let mut passed = mem::take(&mut self.passed);
        ready.drain(..).for_each(|row| self.take(row, &mut passed));
        self.ready = ready;
        self.look_at_the_latest(passed, out);
    }

    fn look_at_the_latest(&mut self, mut passed: Vec<Row>, out: &mut Vec<Row>) {
        passed.drain(..).for_each(|row| self.look_at_the_latest_of(row, out));
        self.passed = passed;
    }

    fn look_at_the_latest_of(&mut self, row: Row, out: &mut Vec<Row>) {
        self.latest.push(row, &mut self.refused.sorting(Why::NotYet, out));
    }

    /// Whether a row is like all but a few: no step of the whole file.
    fn goes_on(&self, row: &Row) -> bool {
        self.is_passed_on
            && self.jump.is_none()
            && self.newest_ms.is_some_and(|newest| row.at_ms <= newest.saturating_add(JUMP.0))
    }

    /// The next row whose sensor has not jumped for a short while.
    fn take(&mut self, row: Row, out: &mut Vec<Row>) {
        if self.jump.is_some() {
            return self.hold(row, out);
        }
        match self.newest_ms {
            Some(newest) if newest >= SET_MS && row.at_ms < SET_MS => self.refused.add(&row, Why::NeverSet),
            Some(newest) if row.at_ms > newest.saturating_add(JUMP.0) => {
                self.jump = Some(Jump::new(newest, row.at_ms));
                self.hold(row, out);
            }
            Some(newest) if !self.is_believed && row.at_ms < newest - LONG_GAP.0 => self.doubt_head(row, out),
            _ => self.pass(row, out),
        }
    }

    fn finish_gaps(&mut self, out: &mut Vec<Row>) {
        while let Some(jump) = self.jump.take() {
            let (back, ahead) = (jump.back.count, jump.ahead.count);
            if back == 0 && ahead >= CONFIRM {
                self.confirm(jump, out);
            } else if back == 0 && self.is_believed && self.is_unusual(&jump) {
                jump.rows.iter().for_each(|(row, _)| self.refused.add(row, Why::NothingFollows));
            } else if back > 0 && !jump.is_reached() && (back >= ahead || jump.gap() > YEARS) {
                self.refuse_ahead(jump, Why::Ahead, out);
            } else {
                self.pass_all(jump, out);
            }
        }
        out.append(&mut self.head);
    }

    fn hold(&mut self, row: Row, out: &mut Vec<Row>) {
        let is_known = row.sensor.is_none_or(|sensor| self.seen.get(sensor).copied().unwrap_or(false));
        let Some(mut jump) = self.jump.take() else { return };
        jump.add(row, is_known);
        match jump.verdict() {
            Verdict::Open => self.jump = Some(jump),
            Verdict::Gap => self.confirm(jump, out),
            Verdict::Wrong => self.refuse_ahead(jump, Why::Ahead, out),
            Verdict::True => self.pass_all(jump, out),
        }
    }

    /// The file goes on from beyond a gap.
    fn confirm(&mut self, jump: Jump, out: &mut Vec<Row>) {
        // However many lines say so; but a file of few lines a year may walk so far.
        if self.latest.is_far_beyond(jump.from_ms, jump.to_ms) && jump.gap().0 > 2 * self.longest_gap_ms {
            return self.refuse_ahead(jump, Why::NotYet, out);
        }
        let is_new_life = (jump.from_ms < SET_MS && jump.to_ms >= SET_MS) || jump.gap() > AGES;
        if (!self.is_passed_on && is_new_life) || (!self.is_believed && self.is_unusual(&jump)) {
            let why = if is_new_life { Why::NeverSet } else { Why::NothingBefore };
            self.head.drain(..).for_each(|row| self.refused.add(&row, why));
            (self.head_lines, self.is_believed) = (Lines::default(), false);
        } else {
            self.longest_gap_ms = self.longest_gap_ms.max(jump.gap().0);
        }
        // One of those beyond it may be ahead of the others.
        self.newest_ms = jump.rows.iter().filter(|(_, is_ahead)| *is_ahead).map(|(row, _)| row.at_ms).min();
        jump.rows.into_iter().for_each(|(row, _)| self.take(row, out));
    }

    /// Refuses the rows beyond a step, and passes on those that came back.
    fn refuse_ahead(&mut self, jump: Jump, why: Why, out: &mut Vec<Row>) {
        for (row, is_ahead) in jump.rows {
            if is_ahead { self.refused.add(&row, why) } else { self.pass(row, out) }
        }
    }

    fn pass_all(&mut self, jump: Jump, out: &mut Vec<Row>) {
        jump.rows.into_iter().for_each(|(row, _)| self.pass(row, out));
    }

    /// The file begins far ahead of a row: its first rows are held against those that follow.
    fn doubt_head(&mut self, row: Row, out: &mut Vec<Row>) {
        let mut jump = Jump::new(row.at_ms, self.head.first().map_or(row.at_ms, |first| first.at_ms));
        std::mem::take(&mut self.head).into_iter().for_each(|row| jump.add(row, true));
        self.head_lines = Lines::default();
        self.newest_ms = Some(row.at_ms);
        self.jump = Some(jump);
        self.hold(row, out);
    }

    fn note(&mut self, row: &Row) {
        let newest = self.newest_ms.unwrap_or(row.at_ms);
        self.longest_gap_ms = self.longest_gap_ms.max(row.at_ms - newest);
        self.newest_ms = Some(newest.max(row.at_ms));
        if let Some(sensor) = row.sensor {
            *entry(&mut self.seen, sensor, false) = true;
        }
    }

    fn pass(&mut self, row: Row, out: &mut Vec<Row>) {
        self.note(&row);
        if self.is_passed_on {
            return out.push(row);
        }
        self.head_lines.add(row.line);
        self.head.push(row);
        self.is_passed_on = self.head.len() >= LOOK;
        self.is_believed = self.is_passed_on || self.head_lines.count >= CONFIRM;
        if self.is_passed_on {
            out.append(&mut self.head);
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
        let (ahead, back) = (Lines::default(), Lines::default());
        let place = Place::default();
        Jump { rows: Vec::new(), from_ms, to_ms, follows_ms: from_ms, ahead, back, sensor: None, place }
    }

    fn gap(&self) -> Span {
        Span(self.to_ms - self.from_ms)
    }

    /// `is_known`: of a sensor that spoke before the step. In a recording that is sorted by sensor another one begins anew.
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
                self.place.add(row.at_ms, self.to_ms);
            }
        }
        self.rows.push((row, is_ahead));
    }

    fn verdict(&self) -> Verdict {
        let is_full = self.rows.len() >= LOOK;
        let is_long = self.gap() > LONG_GAP;
        if self.is_reached() {
            return match self.place.is_free() {
                _ if self.ahead.count > CONFIRM => Verdict::True,
                Some(false) => Verdict::Wrong,
                None if !is_full => Verdict::Open,
                Some(true) | None => Verdict::True,
            };
        }
        let enough = if self.gap() > YEARS { CONFIRM } else { CONFIRM.max(self.ahead.count) };
        match self.back.count {
            0 if self.ahead.count >= CONFIRM && (is_full || !is_long) => Verdict::Gap,
            back if back >= enough && (is_full || is_long) => Verdict::Wrong,
            _ if is_full => Verdict::True,
            _ => Verdict::Open,
        }
    }

    /// What came back has come to where the step led.
    fn is_reached(&self) -> bool {
        self.back.count > 0 && self.follows_ms >= self.to_ms - JUMP.0
    }
}

impl Place {
    fn add(&mut self, at_ms: i64, of_ms: i64) {
        if at_ms >= of_ms {
            self.after_ms.get_or_insert(at_ms);
        } else if self.before_ms.is_none_or(|before| at_ms > before) {
            self.step_ms = self.before_ms.map_or(0, |before| at_ms - before);
            self.before_ms = Some(at_ms);
        }
    }

    /// None until the stream has passed the place.
    fn is_free(&self) -> Option<bool> {
        let (before, after) = (self.before_ms?, self.after_ms?);
        Some(2 * (after - before) >= 3 * self.step_ms)
    }
}

#[cfg(test)]
mod tests;
