//! The third step: readings roll up into minutes and quarters of an hour that merge exactly.
//!
//! A window holds sums of whole steps and no mean, so that fifteen minutes are the merge of their minutes to the last bit,
//! in any grouping. A reading that comes after its window closed closes it again: what came late goes out as a part that
//! the store merges into the row it has, under the next revision.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reading::{Quality, Reading, SensorIx};
use crate::time::{Span, Stamp, Uptime};
use crate::value::Steps;

/// Most windows of one sensor that may be open at a time, one minute and one quarter as a rule: beyond it what came late does not wait for
/// the minute to end, so that a recording full of late readings takes no memory.
const CROWD: usize = 64;

/// How long a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// One minute.
    Minute,
    /// Fifteen minutes.
    Quarter,
}

/// What was seen of one sensor in one window. One with nothing in it does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    /// Readings that are not believed; they are in nothing else.
    pub bad: u32,
    /// Sums over the believed readings.
    pub good: Option<Sums>,
}

/// Sums over believed readings, in steps of the sensor's resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// How many.
    pub count: u32,
    /// Sum of the readings.
    pub sum: i64,
    /// The sum of their squares.
    pub sum_sq: u128,
    /// The lowest.
    pub min: Steps,
    /// The highest.
    pub max: Steps,
    /// The last by its own time; of two at one time the one that came later.
    pub last: Steps,
    /// When the last was.
    pub last_at: Uptime,
}

/// A window, or what came late for one, ready to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Sensor of the window.
    pub sensor: SensorIx,
    /// Length.
    pub grain: Grain,
    /// When it began.
    pub start: Stamp,
    /// The window may have been closed before: merge into what is there, see [`Row::amend`].
    pub late: bool,
    /// What was seen.
    pub window: Window,
}

/// A window as it is kept: with how often it was closed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// 0 at the first closing, one more for each part that came late. The highest counts.
    pub revision: u32,
    /// Everything seen so far.
    pub window: Window,
}

/// The windows of one sensor that are not closed yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct OpenWindows {
    minutes: Vec<Part>,
    quarters: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    start: Uptime,
    late: bool,
    window: Window,
}

impl Grain {
    /// The window's length.
    #[must_use]
    pub const fn span(self) -> Span {
        match self {
            Grain::Minute => Span::from_mins(1),
            Grain::Quarter => Span::from_mins(15),
        }
    }

    /// The start of the window that holds a time. `phase` is the time of day at uptime zero in milliseconds, or 0 where it
    /// is not known: windows align to the clock on the wall, or else to minutes since boot.
    #[must_use]
    pub fn start(self, at: Uptime, phase: i64) -> Uptime {
        let length = self.span().0;
        Uptime((at.0 + phase.rem_euclid(length)).div_euclid(length) * length - phase.rem_euclid(length))
    }
}

impl Sums {
    fn of(steps: Steps, at: Uptime) -> Sums {
        let magnitude = u128::from(steps.0.unsigned_abs());
        Sums { count: 1, sum: steps.0, sum_sq: magnitude * magnitude, min: steps, max: steps, last: steps, last_at: at }
    }

    fn merge(self, later: Sums) -> Sums {
        let (last, last_at) =
            if later.last_at >= self.last_at { (later.last, later.last_at) } else { (self.last, self.last_at) };
        Sums {
            count: self.count.saturating_add(later.count),
            sum: self.sum.saturating_add(later.sum),
            sum_sq: self.sum_sq.saturating_add(later.sum_sq),
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            last,
            last_at,
        }
    }

    /// The mean in steps.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum as f64 / f64::from(self.count)
    }

    /// The population standard deviation in steps, from exact sums.
    #[must_use]
    pub fn spread(&self) -> f64 {
        let (count, sum) = (u128::from(self.count), u128::from(self.sum.unsigned_abs()));
        // count * sum_sq - sum^2 is never negative (Cauchy-Schwarz), and exact here.
        let scaled = (count * self.sum_sq).saturating_sub(sum * sum);
        (scaled as f64).sqrt() / f64::from(self.count)
    }
}

impl Window {
    /// A window of one reading.
    #[must_use]
    pub fn of(steps: Steps, at: Uptime, quality: Quality) -> Window {
        if quality.is_usable() {
            Window { bad: 0, good: Some(Sums::of(steps, at)) }
        } else {
            Window { bad: 1, good: None }
        }
    }

    /// Both together, exactly; `later` came later and wins where two readings have one time.
    #[must_use]
    pub fn merge(self, later: Window) -> Window {
        let good = match (self.good, later.good) {
            (Some(one), Some(other)) => Some(one.merge(other)),
            (one, other) => one.or(other),
        };
        Window { bad: self.bad.saturating_add(later.bad), good }
    }
}

impl Row {
    /// The row after a part that closed: the first of its window, or the next revision of one that is there.
    #[must_use]
    pub fn amend(before: Option<Row>, part: Window) -> Row {
        match before {
            None => Row { revision: 0, window: part },
            Some(row) => Row { revision: row.revision + 1, window: row.window.merge(part) },
        }
    }
}

impl OpenWindows {
    /// Counts a reading in its minute. `now` tells whether that minute is over already. Returns when to close.
    pub(crate) fn add(&mut self, reading: &Reading, phase: i64, now: Uptime) -> Uptime {
        let start = Grain::Minute.start(reading.at, phase);
        let end = start + Grain::Minute.span();
        let late = end <= now;
        add_part(
            &mut self.minutes,
            Part { start, late, window: Window::of(reading.steps, reading.at, reading.quality) },
        );
        if late { next_minute(now, phase) } else { end }
    }

    /// Closes what ended by `now`, oldest first, minutes before the quarters they complete. Returns when the next ends.
    pub(crate) fn close(
        &mut self,
        now: Uptime,
        phase: i64,
        mut emit: impl FnMut(Grain, Uptime, bool, Window),
    ) -> Option<Uptime> {
        let next_minute = close_grain(&mut self.minutes, Grain::Minute, now, |part| {
            emit(Grain::Minute, part.start, part.late, part.window);
            let start = Grain::Quarter.start(part.start, phase);
            let late = part.late && start + Grain::Quarter.span() <= now;
            add_part(&mut self.quarters, Part { start, late, window: part.window });
        });
        let next_quarter = close_grain(&mut self.quarters, Grain::Quarter, now, |part| {
            emit(Grain::Quarter, part.start, part.late, part.window);
        });
        next_minute.into_iter().chain(next_quarter).min()
    }

    /// Readings in windows that are not closed.
    pub(crate) fn readings(&self) -> u64 {
        let quarters = self.quarters.iter().map(|part| part.window);
        let windows = self.minutes.iter().map(|part| part.window).chain(quarters);
        windows.map(|window| u64::from(window.bad) + window.good.map_or(0, |good| u64::from(good.count))).sum()
    }

    /// Mean time between the readings of the windows that are open; `None` with fewer than two.
    pub(crate) fn spacing(&self, now: Uptime) -> Option<Span> {
        let count = i64::try_from(self.readings()).ok().filter(|count| *count >= 2)?;
        let parts = self.minutes.iter().chain(&self.quarters).filter(|part| !part.late);
        Some(Span((now - parts.map(|part| part.start).min()?).0 / count))
    }

    /// Whether what came late should be closed now.
    pub(crate) fn is_crowded(&self) -> bool {
        self.minutes.len() > CROWD
    }

    /// When to close next, for a sensor that was restored.
    pub(crate) fn next_end(&self, now: Uptime, phase: i64) -> Option<Uptime> {
        let minutes = self.minutes.iter().map(|part| part.start + Grain::Minute.span());
        let ends = minutes.chain(self.quarters.iter().map(|part| part.start + Grain::Quarter.span()));
        ends.map(|end| if end <= now { next_minute(now, phase) } else { end }).min()
    }
}

/// What came late waits for the end of the minute it came in.
fn next_minute(now: Uptime, phase: i64) -> Uptime {
    Grain::Minute.start(now, phase) + Grain::Minute.span()
}

fn add_part(parts: &mut Vec<Part>, new: Part) {
    // Nearly always the last one.
    match parts.iter_mut().rev().find(|part| part.start == new.start) {
        Some(part) => part.window = part.window.merge(new.window),
        None => parts.push(new),
    }
}

fn close_grain(parts: &mut Vec<Part>, grain: Grain, now: Uptime, mut closed: impl FnMut(Part)) -> Option<Uptime> {
    parts.sort_by_key(|part| part.start);
    let over = parts.iter().take_while(|part| part.start + grain.span() <= now).count();
    parts.drain(..over).for_each(&mut closed);
    parts.first().map(|part| part.start + grain.span())
}

impl fmt::Display for Grain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grain::Minute => "minute",
            Grain::Quarter => "quarter",
        })
    }
}
