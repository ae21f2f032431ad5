//! The second step: how far a measurement can be believed, from the sensor's own past.
//!
//! Out of the plausible range is a fault. A change faster than the sensor's `max_rate` is suspect until the next reading
//! confirms it: a spike is one suspect reading, a real step is one as well and then good. A value that has not moved for
//! `stuck_for` is suspect; a sensor that was not heard for `stale_after` is stale. Readings that stay suspect are a fault of their
//! sensor as soon as its silence would be noticed: no rule decides on either.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reading::Quality;
use crate::sensor::Sensor;
use crate::time::{Span, Uptime};
use crate::value::Steps;

/// A rate is the change since a reading at least this much older, so that one noisy step is not a steep slope.
pub const RATE_SPAN: Span = Span::from_mins(1);

/// A change is held against `max_rate` as if it had taken at least this long, so that the noise of fast readings is no rate.
const SHORTEST_CHANGE: Span = Span::from_mins(1);

/// A faulty sensor counts as recovered once it has been well for this long, so that one that flickers is one fault.
const WELL_AGAIN_AFTER: Span = Span::from_mins(1);

/// Suspect readings are a fault after this long where nothing says how often the sensor speaks: the time after which the shipped rule
/// `sensor-silent` alerts.
const USUAL_SUSPECT: Span = Span::from_mins(15);

/// Suspect readings are no fault before this, however often the sensor speaks: a disturbance is over by then.
const SHORTEST_SUSPECT: Span = Span::from_mins(1);

/// Rate history keeps one reading in this time, so at most 61 are kept however often the sensor is read.
const HISTORY_STEP: Span = Span::from_secs(1);

/// Why a sensor is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A value outside the plausible range.
    Range,
    /// The input itself says that it failed.
    Reported,
    /// Readings come and never change.
    Stuck,
    /// Readings come and stay suspect.
    Suspect,
    /// No readings come.
    Stale,
}

/// Why the newest value is not believed, or was not a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The value is outside the plausible range.
    Outside(Steps),
    /// The value is inside, and one within the last minute was not.
    WasOutside,
    /// The value has not moved for this long.
    Unchanged(Span),
    /// The value changed faster than `max_rate`.
    Jumped,
}

/// Readings of this long without a time of their own are no interruption any more: what was measured before them is late.
const UNDATED_RUN: Span = Span::from_mins(10);

/// What a sensor's values are held against, in steps of its resolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    low: Steps,
    high: Steps,
    /// Steps in a minute.
    max_rate: f64,
    stuck_for: Option<Span>,
    /// Suspect readings are a fault after this long.
    suspect_for: Span,
    /// Steps after which the scale begins again.
    circle: Option<i64>,
}

/// What is remembered of one sensor.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Judge {
    newest: Option<PastReading>,
    quality: Option<Quality>,
    /// The newest that was no fault, and the newest that was believed: what a jump is measured from.
    plausible: Option<PastReading>,
    believed: Option<PastReading>,
    unchanged_since: Option<Uptime>,
    /// First of the newest readings, if they are suspect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    suspect_since: Option<Uptime>,
    #[serde(rename = "ill")]
    fault: Option<ActiveFault>,
    stale: bool,
    /// The newest that came was a failure without a value, later than `newest`.
    #[serde(default)]
    failed: bool,
    /// Believed readings, oldest first; empty unless a rule asks for the rate.
    history: VecDeque<PastReading>,
    /// State of the newest readings, if they had no time of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undated: Option<Undated>,
}

/// Readings one after the other that were stamped with their arrival because their own time is not known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Undated {
    /// The first of them arrived.
    since: Uptime,
    /// The newest time of a reading before them.
    before: Option<Uptime>,
}

/// A reading that has been.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct PastReading {
    pub(crate) at: Uptime,
    pub(crate) steps: Steps,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct ActiveFault {
    fault: Fault,
    last: Uptime,
}

/// A change and the time it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How much, in steps.
    pub change: Steps,
    /// In how long; not zero.
    pub over: Span,
}

/// What became of a sensor's health with a reading.
///
/// ```text
///    fault, stuck, long suspect            nothing for stale_after
/// well -----------------> faulty     well ---------------------------> stale
///      <-----------------                 <---------------------------
///   a reading that is neither fault            any reading
///   nor suspect, a minute or more
///   after the last that was
/// ```
///
/// Faulty and stale are independent; `fault` is said on leaving well, `recovered` when neither is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Same,
    Fault(Fault),
    Recovered,
}

/// A judged reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) quality: Quality,
    pub(crate) late: bool,
    pub(crate) health: Health,
}

impl Bounds {
    pub(crate) fn new(sensor: &Sensor) -> Bounds {
        let (low, high) = sensor.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        // The outermost step is no measurement, so the ends of no range leave it outside as well.
        // Rounded as values are, so that a value at an end is inside at any resolution.
        let nearest = |end: f64| sensor.resolution.nearest(end).map_or(0, |steps| steps.0);
        let (low, high) = (Steps(nearest(low).max(-Steps::MAX.0)), Steps(nearest(high).min(Steps::MAX.0)));
        let max_rate = sensor.max_rate.map_or(f64::INFINITY, |rate| sensor.resolution.steps(rate));
        let circle = sensor.quantity.circle().and_then(|end| sensor.resolution.nearest(end)).map(|steps| steps.0);
        let overdue = sensor.stale_after.or(sensor.heard_within).unwrap_or(USUAL_SUSPECT);
        let suspect_for = overdue.max(SHORTEST_SUSPECT);
        Bounds { low, high, max_rate, stuck_for: sensor.stuck_for, suspect_for, circle }
    }

    /// The change from one value to another: on a circle the shorter way round.
    fn change(&self, from: Steps, to: Steps) -> Steps {
        let change = to.0 - from.0;
        Steps(match self.circle {
            Some(circle) if circle > 0 => match change.rem_euclid(circle) {
                change if change > circle / 2 => change - circle,
                change => change,
            },
            _ => change,
        })
    }

    fn leave_out(&self, steps: Steps) -> bool {
        steps < self.low || steps > self.high
    }

    fn is_jump(&self, from: PastReading, to: PastReading) -> bool {
        let minutes = (to.at - from.at).max(SHORTEST_CHANGE).0 as f64 / 60_000.0;
        // A billionth of slack: a rate that is a whole number of steps is still one after the division.
        self.change(from.steps, to.steps).0.unsigned_abs() as f64 > self.max_rate * minutes * (1.0 + 1e-9)
    }

    fn is_stuck(&self, since: Option<Uptime>, at: Uptime) -> bool {
        self.stuck_for.zip(since).is_some_and(|(span, since)| at - since >= span)
    }
}

impl Judge {
    /// Judges a measurement; a late one is judged by its range alone and changes no memory. One that is not dated is stamped
    /// with its arrival and never late.
    pub(crate) fn judge(&mut self, bounds: &Bounds, new: PastReading, given: Quality, is_dated: bool) -> Judged {
        let implausible = bounds.leave_out(new.steps);
        if is_dated && self.late_before().is_some_and(|bound| new.at < bound) {
            let quality = if implausible { Quality::Fault } else { given };
            return Judged { quality, late: true, health: Health::Same };
        }
        let own = if implausible || given == Quality::Fault {
            Quality::Fault
        } else {
            self.judge_plausible(bounds, new, given)
        };
        let quality = own.max(given);
        self.failed = false;
        self.undated =
            (!is_dated).then(|| self.undated.unwrap_or(Undated { since: new.at, before: self.late_before() }));
        self.suspect_since = (quality == Quality::Suspect).then(|| self.first_suspect(bounds, new.at));
        self.newest = Some(new);
        self.quality = Some(quality);
        let fault = match quality {
            Quality::Fault if implausible => Some(Fault::Range),
            Quality::Fault => Some(Fault::Reported),
            Quality::Suspect => self.suspect_fault(bounds, new.at),
            _ => None,
        };
        Judged { quality, late: false, health: self.health(new.at, fault) }
    }

    /// The input says that it failed, and has no value. Nothing where that is older than the newest reading.
    pub(crate) fn fail(&mut self, at: Uptime) -> Option<Health> {
        if self.late_before().is_some_and(|bound| at < bound) {
            return None;
        }
        self.failed = true;
        self.suspect_since = None;
        self.quality = Some(Quality::Fault);
        Some(self.health(at, Some(Fault::Reported)))
    }

    /// A reading from before this is late: the newest reading's time, or that of the newest that had one.
    fn late_before(&self) -> Option<Uptime> {
        let newest = self.newest?.at;
        match self.undated {
            None => Some(newest),
            Some(Undated { since, before }) if newest - since <= UNDATED_RUN => before,
            Some(Undated { before, .. }) => before.max(Some(newest - UNDATED_RUN)),
        }
    }

    fn judge_plausible(&mut self, bounds: &Bounds, new: PastReading, given: Quality) -> Quality {
        if self.plausible.is_none_or(|plausible| plausible.steps != new.steps) {
            self.unchanged_since = Some(new.at);
        }
        let jumped = |from: Option<PastReading>| from.is_some_and(|from| bounds.is_jump(from, new));
        let suspect =
            (jumped(self.believed) && jumped(self.plausible)) || bounds.is_stuck(self.unchanged_since, new.at);
        self.plausible = Some(new);
        if suspect {
            return Quality::Suspect;
        }
        if given.is_usable() {
            self.believed = Some(new);
        }
        Quality::Good
    }

    /// The first of the suspect readings that lead to one now: those before a silence do not.
    fn first_suspect(&self, bounds: &Bounds, now: Uptime) -> Uptime {
        let follows = self.newest.is_some_and(|newest| now - newest.at < bounds.suspect_for);
        self.suspect_since.filter(|_| follows).unwrap_or(now)
    }

    /// What a suspect reading makes of the sensor: it is no sign that a fault is over.
    fn suspect_fault(&self, bounds: &Bounds, at: Uptime) -> Option<Fault> {
        if bounds.is_stuck(self.unchanged_since, at) {
            return Some(Fault::Stuck);
        }
        let is_long = self.suspect_since.is_some_and(|since| at - since >= bounds.suspect_for);
        (is_long || self.fault.is_some()).then_some(Fault::Suspect)
    }

    fn health(&mut self, at: Uptime, fault: Option<Fault>) -> Health {
        let was_well = self.fault.is_none() && !self.stale;
        self.stale = false;
        match (fault, self.fault) {
            (Some(fault), active) => {
                self.fault = Some(ActiveFault { fault: active.map_or(fault, |active| active.fault), last: at });
            }
            (None, Some(active)) if at - active.last >= WELL_AGAIN_AFTER => self.fault = None,
            (None, _) => {}
        }
        match (was_well, self.fault) {
            (true, Some(active)) => Health::Fault(active.fault),
            (false, None) => Health::Recovered,
            _ => Health::Same,
        }
    }

    /// The sensor was not heard for too long. Returns whether that is new.
    pub(crate) fn set_stale(&mut self) -> bool {
        let news = self.fault.is_none() && !self.stale;
        self.stale = true;
        news
    }

    /// Keeps a believed reading for rates.
    pub(crate) fn remember(&mut self, new: PastReading) {
        if let Some(last) = self.history.back_mut()
            && last.at.0.div_euclid(HISTORY_STEP.0) == new.at.0.div_euclid(HISTORY_STEP.0)
        {
            *last = new;
        } else {
            self.history.push_back(new);
        }
        while self.history.len() > 1 && new.at - self.history[1].at >= RATE_SPAN {
            self.history.pop_front();
        }
    }

    /// The change since a believed reading at least [`RATE_SPAN`] older than the newest.
    pub(crate) fn rate(&self, bounds: &Bounds) -> Option<Rate> {
        let (from, to) = (self.history.front()?, self.history.back()?);
        let over = to.at - from.at;
        (over >= RATE_SPAN && self.is_usable()).then(|| Rate { change: bounds.change(from.steps, to.steps), over })
    }

    /// The newest reading that was believed.
    pub(crate) fn believed(&self) -> Option<PastReading> {
        self.believed
    }

    /// The newest reading of any quality. One after which the input failed is still the newest.
    pub(crate) fn newest(&self) -> Option<PastReading> {
        self.newest
    }

    /// The newest reading, unless the input failed since.
    pub(crate) fn current(&self) -> Option<PastReading> {
        self.newest.filter(|_| !self.failed)
    }

    /// Why the newest value is not believed, as far as it tells itself: an input that failed has its own words.
    pub(crate) fn doubt(&self, bounds: &Bounds) -> Option<Doubt> {
        let newest = self.current()?;
        if bounds.leave_out(newest.steps) {
            return Some(Doubt::Outside(newest.steps));
        }
        let was_outside = self.fault.is_some_and(|active| active.fault == Fault::Range);
        match self.quality? {
            Quality::Suspect if bounds.is_stuck(self.unchanged_since, newest.at) => {
                self.unchanged_since.map(|since| Doubt::Unchanged(newest.at - since))
            }
            Quality::Suspect if bounds.max_rate.is_finite() => Some(Doubt::Jumped),
            _ => was_outside.then_some(Doubt::WasOutside),
        }
    }

    /// Whether anything has come: a reading, or a failure.
    pub(crate) fn is_heard(&self) -> bool {
        self.quality.is_some()
    }

    /// The newest reading's value if a rule may decide on it.
    pub(crate) fn usable(&self) -> Option<Steps> {
        self.newest.filter(|_| self.is_usable()).map(|newest| newest.steps)
    }

    fn is_usable(&self) -> bool {
        !self.stale && self.quality.is_some_and(Quality::is_usable)
    }

    /// The newest reading's quality, staleness included; `None` before the first reading.
    pub(crate) fn quality(&self) -> Option<Quality> {
        self.quality.map(|quality| if self.stale { quality.max(Quality::Stale) } else { quality })
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    /// How long the value has not moved, as far as plausible readings tell.
    pub(crate) fn unchanged(&self) -> Option<Span> {
        let plausible = self.plausible?;
        let is_newest = self.current().is_some_and(|newest| newest.at == plausible.at);
        let known = is_newest && !self.stale && self.quality.is_some_and(|quality| quality != Quality::Calibrating);
        known.then(|| plausible.at - self.unchanged_since.unwrap_or(plausible.at))
    }

    /// Whether the sensor is at fault or stuck; `None` while it was not heard or its silence hides it.
    pub(crate) fn faulty(&self) -> Option<bool> {
        (self.is_heard() && !self.stale).then_some(self.fault.is_some())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Range => "range",
            Fault::Reported => "reported",
            Fault::Stuck => "stuck",
            Fault::Suspect => "suspect",
            Fault::Stale => "stale",
        })
    }
}
