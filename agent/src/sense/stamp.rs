//! Judges whether a stamp, the time of day that a source gives a reading, can be true; where it cannot, the arrival counts. Pure.
//!
//! A stamp far in the past has one of two causes. A backlog was stored and is sent later: its stamps advance faster than its
//! lines arrive, until it has caught up. A wrong clock (a restart at 1970, a step back of an hour) keeps pace with arrival for
//! ever. The pace of a few lines tells one from the other; where lines come in bursts, the pace from burst to burst.

use serde::Serialize;
use tilth_core::time::{Span, Uptime, WallTime};

use crate::clock::EARLIEST;

/// A stamp may be this far ahead of its arrival, for two clocks differ; beyond it the stamp is wrong.
pub(crate) const AHEAD: Span = Span::from_mins(2);

/// A stamp may be this far behind its arrival without any explanation: radios and gateways hold lines back for minutes.
pub(crate) const BACK: Span = Span::from_mins(10);

/// Lines far in the past after which it is decided what they are.
const DECIDED_BY: u32 = 5;

/// Before [`DECIDED_BY`] lines have come, stamps must gain more than this to be a backlog: they are often whole seconds, and several lines may be read at once.
const SLACK: Span = Span::from_secs(2);

/// Over this long one step tells the pace of a clock, whole seconds and all.
const PACE_WINDOW: Span = Span::from_secs(20);

/// A backlog that does not catch up for about so long is judged again.
const BACKLOG_SLACK: Span = Span::from_secs(5);

/// A clock that was found wrong is a backlog after all once it has gained this.
const BACKLOG_GAIN: Span = Span::from_mins(1);

/// Steps at the pace of a counter of milli- or microseconds after which a column is one.
const COUNTER_STEPS: u32 = 3;

/// A step of a counter is measured over at least this long.
const COUNTER_STEP: Span = Span(500);
/// Without such a step within this time the measurement begins again.
const COUNTER_STEP_LONGEST: Span = Span::from_secs(5);

/// Why a reading's own time is not accepted, where the configuration asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StampRejection {
    /// The line carries no time, or none that can be read.
    #[serde(rename = "none")]
    NoTime,
    /// There is no trusted time of day to compare the stamp with.
    NoClock,
    /// Further in the future than [`AHEAD`].
    Ahead,
    /// Before [`EARLIEST`].
    NeverSet,
    /// Further in the past than [`BACK`], and no backlog.
    Behind,
    /// As `Behind`, and the stamp never changes.
    StandsStill,
    /// The stamp advances a thousand times faster than time: a counter of milli- or microseconds.
    Counter,
}

impl StampRejection {
    /// What is wrong with the time of such lines.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            StampRejection::NoTime => "without a time of their own that can be read",
            StampRejection::NoClock => "with a time of their own while the agent's clock is not trusted",
            StampRejection::Ahead => "from a clock that is ahead",
            StampRejection::NeverSet => "from a clock that was never set, or counts from the board's start",
            StampRejection::Behind => "from a clock that is behind (no backlog: they keep pace with time)",
            StampRejection::StandsStill => "from a clock that stands still",
            StampRejection::Counter => "with a counter in the place of a time",
        }
    }

    /// Whether somebody should look at the board's clock.
    pub(crate) const fn is_wrong_clock(self) -> bool {
        !matches!(self, StampRejection::NoTime | StampRejection::NoClock)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StampArrival {
    stamp: WallTime,
    at: Uptime,
}

/// State of the clock behind one sensor's stamps.
///
/// ```text
///             far back              keeps pace: by the fifth line, or as soon as that is clear
///   Believed ----------> Doubted ---------------------------------------------------------> Wrong
///     ^ ^ ^                | ^                                                             | ^ |
///     | | |     catches up v | no gain any more    catches up by a minute on its own clock | | |
///     | | |               Backlog <--------------------------------------------------------+ | |
///     | | +---- near -------+ +------ as far away as at the end of the burst before ---------+ |
///     | +------ near ---- Doubted                                                              |
///     +-------- near --------------------------------------------------------------------------+
/// ```
///
/// A near stamp ends everything: it is true. Stamps in the future and before this program existed are refused one by one and
/// change nothing. `Believed`, `Doubted` and `Backlog` accept the stamp, so that no true reading gets another time; `Wrong` takes
/// the arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Believed,
    Doubted {
        /// Since the last pause.
        trend: Trend,
        /// Lines since the first that was far back.
        lines: u32,
        /// The last line of the burst before.
        burst: Option<StampArrival>,
    },
    Backlog {
        trend: Trend,
        /// How far the backlog may fall behind before it is doubted again.
        slack_left: Span,
        /// The last line of the burst before.
        burst: Option<StampArrival>,
    },
    Wrong {
        why: StampRejection,
        /// Since it last fell behind.
        trend: Trend,
        /// The last line before that.
        before: StampArrival,
    },
}

/// Movement of stamps over some lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trend {
    first: StampArrival,
    last: StampArrival,
    lines: u32,
    /// The sums of all steps forward and of all steps back.
    forward: Span,
    back: Span,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StampJudge {
    state: State,
    /// Possible counter: the newest stamp that is compared, and how many steps before it had the pace of a counter.
    counter_candidate: Option<(StampArrival, u32)>,
    is_counter: bool,
}

impl StampJudge {
    /// Whether a stamp counts that arrived now.
    ///
    /// # Errors
    /// Why it does not; the arrival counts then.
    pub(crate) fn judge(
        &mut self,
        stamp: WallTime,
        (at, wall): (Uptime, Option<WallTime>),
    ) -> Result<(), StampRejection> {
        let Some(wall) = wall else { return Err(StampRejection::NoClock) };
        let age = wall - stamp;
        let is_near = age <= BACK && age >= Span(-AHEAD.0);
        let point = StampArrival { stamp, at };
        self.look_for_counter(point, is_near);
        if self.is_counter {
            return Err(StampRejection::Counter);
        }
        if is_near {
            self.state = State::Believed;
            return Ok(());
        }
        if age < Span::ZERO {
            return Err(StampRejection::Ahead);
        }
        // A machine whose own clock is older than this program knows nothing of what can be true.
        if stamp < EARLIEST && wall >= EARLIEST {
            return Err(StampRejection::NeverSet);
        }
        self.state = self.state.after_far(point);
        match self.state {
            State::Wrong { why, .. } => Err(why),
            State::Believed | State::Doubted { .. } | State::Backlog { .. } => Ok(()),
        }
    }

    /// Boards may print many lines a second, and several may be read at once: a step counts only where it took long enough.
    fn look_for_counter(&mut self, point: StampArrival, is_near: bool) {
        self.counter_candidate = match self.counter_candidate.filter(|_| !is_near) {
            _ if is_near => None,
            None => Some((point, 0)),
            Some((from, steps)) if from.is_counter_step(point) => Some((point, steps + 1)),
            Some((from, _)) if point.at - from.at >= COUNTER_STEP_LONGEST => Some((point, 0)),
            // Measured over longer, it may be one.
            waiting => waiting,
        };
        self.is_counter |= self.counter_candidate.is_some_and(|(_, steps)| steps >= COUNTER_STEPS);
    }
}

impl State {
    /// With a stamp that is far in the past.
    fn after_far(self, point: StampArrival) -> State {
        match self {
            State::Believed => State::Doubted { trend: Trend::new(point), lines: 1, burst: None },
            State::Doubted { trend, lines, burst } => doubted(trend, lines + 1, burst, point),
            State::Backlog { trend, slack_left, burst } => backlog(trend, slack_left, burst, point),
            State::Wrong { why, trend, before } => wrong(why, trend, before, point),
        }
    }
}

fn doubted(before: Trend, lines: u32, burst: Option<StampArrival>, point: StampArrival) -> State {
    let trend = before.with(point);
    let is_decided = lines >= DECIDED_BY;
    if trend.is_steady() && trend.advance_over_clock() > if is_decided { Span::ZERO } else { SLACK } {
        return State::Backlog { trend, slack_left: BACKLOG_SLACK, burst };
    }
    if is_decided || trend.runs_as_a_clock() {
        let why = if trend.distance() == Span::ZERO { StampRejection::StandsStill } else { StampRejection::Behind };
        return State::Wrong { why, trend: Trend::new(point), before: before.last };
    }
    // A board that sends what it stored may pause: what comes after that tells its pace.
    let trend = if trend.falls_behind() { Trend::new(point) } else { trend };
    State::Doubted { trend, lines, burst }
}

fn backlog(before: Trend, slack_left: Span, burst: Option<StampArrival>, point: StampArrival) -> State {
    let trend = before.with(point);
    if !trend.is_steady() {
        return doubted(before, trend.lines, burst, point);
    }
    let step = (point.stamp - before.last.stamp).0;
    let advanced = if trend.back > trend.forward { -step } else { step };
    let slack_left = Span((slack_left.0 + advanced - one_and_a_half(point.at - before.last.at).0).min(BACKLOG_SLACK.0));
    if slack_left >= Span::ZERO {
        return State::Backlog { trend, slack_left, burst };
    }
    // A pause ends a burst. Within a burst, lines that were held back and sent together look like a backlog also where the clock is wrong, so
    // bursts are compared with each other.
    match burst {
        Some(earlier) if before.last.at - earlier.at < PACE_WINDOW => {
            State::Doubted { trend: Trend::new(point), lines: 1, burst }
        }
        Some(earlier) if earlier.keeps_pace(before.last, before.mean_step()) => {
            State::Wrong { why: StampRejection::Behind, trend: Trend::new(point), before: before.last }
        }
        _ => State::Doubted { trend: Trend::new(point), lines: 1, burst: Some(before.last) },
    }
}

fn wrong(why: StampRejection, before: Trend, earlier: StampArrival, point: StampArrival) -> State {
    let trend = before.with(point);
    let is_jump_back = trend.back > before.back && before.back <= before.forward && trend.back > before.forward;
    let is_backlog = trend.lines >= DECIDED_BY && trend.is_steady() && trend.advance_over_clock() > BACKLOG_GAIN;
    if is_backlog && !is_jump_back && !earlier.explains(point, trend.mean_step()) {
        return State::Backlog { trend, slack_left: BACKLOG_SLACK, burst: None };
    }
    match is_jump_back || trend.advance_over_clock() <= Span::ZERO {
        true => State::Wrong { why, trend: Trend::new(point), before: before.last },
        false => State::Wrong { why, trend, before: earlier },
    }
}

impl Trend {
    fn new(first: StampArrival) -> Trend {
        Trend { first, last: first, lines: 1, forward: Span::ZERO, back: Span::ZERO }
    }

    fn with(mut self, point: StampArrival) -> Trend {
        let step = (point.stamp - self.last.stamp).0;
        let sum = if step < 0 { &mut self.back } else { &mut self.forward };
        sum.0 = sum.0.saturating_add(step.saturating_abs());
        self.last = point;
        self.lines += 1;
        self
    }

    fn took(&self) -> Span {
        self.last.at - self.first.at
    }

    /// Distance that the stamps moved, forward or, where the newest is sent first, back.
    fn distance(&self) -> Span {
        Span((self.forward.0 - self.back.0).abs())
    }

    /// From one line to the next, over all of them.
    fn mean_step(&self) -> Span {
        Span(self.distance().0 / i64::from(self.lines.saturating_sub(1).max(1)))
    }

    /// In one direction but for little: no clock, and no backlog, goes to and fro.
    fn is_steady(&self) -> bool {
        let (more, less) = (self.forward.max(self.back), self.forward.min(self.back));
        more.0 / 2 >= less.0
    }

    /// Time by which the stamps advanced beyond one and a half times what passed. Two minutes of stamps that arrive within one are
    /// 30 s: a backlog. A clock that is a minute slow advances no more than passes, so this is negative.
    fn advance_over_clock(&self) -> Span {
        Span(self.distance().0.saturating_sub(one_and_a_half(self.took()).0))
    }

    fn falls_behind(&self) -> bool {
        self.took() >= PACE_WINDOW && self.distance().0 < self.took().0 / 2
    }

    /// Over so long that it is clear.
    fn runs_as_a_clock(&self) -> bool {
        let keeps_pace =
            self.distance() == Span::ZERO || (self.advance_over_clock() <= Span::ZERO && !self.falls_behind());
        self.took() >= PACE_WINDOW && keeps_pace
    }
}

impl StampArrival {
    /// Whether a running clock leads from here, the last line of a burst, to that of the next, but for its last `step`.
    fn keeps_pace(self, next: StampArrival, step: Span) -> bool {
        let (distance, took) = ((next.stamp - self.stamp).0, (next.at - self.at).0);
        (distance - took).abs() <= (took / 20 + step.0 + step.0 / 4 + SLACK.0).min(took / 2)
    }

    /// Whether a running clock that showed this stamp may have shown that one by then, but for the `step` from line to line.
    fn explains(self, next: StampArrival, step: Span) -> bool {
        let (distance, took) = ((next.stamp - self.stamp).0, (next.at - self.at).0);
        distance > 0 && distance <= took + BACKLOG_GAIN.0 + 2 * step.0
    }

    /// Whether a step has the pace of milli- or microseconds that are taken for seconds.
    fn is_counter_step(self, next: StampArrival) -> bool {
        let (stamp, took) = ((next.stamp - self.stamp).0, (next.at - self.at).0);
        took >= COUNTER_STEP.0 && [1000, 1_000_000].iter().any(|factor| (stamp / factor - took).abs() <= took / 10)
    }
}

fn one_and_a_half(span: Span) -> Span {
    Span(span.0.saturating_add(span.0 / 2))
}

#[cfg(test)]
mod tests;
