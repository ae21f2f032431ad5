//! Where a limit is compared: a condition that must not hold, and whether it holds now.
//!
//! Limits are turned into steps of the sensor's resolution once, so that comparing is exact: equal is neither above nor
//! below. Rates are per minute, over at least
//! the last [`RATE_SPAN`](crate::judge::RATE_SPAN).

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::judge::Rate;
use crate::quantity::Quantity;
use crate::time::Span;
use crate::value::{Resolution, Steps, Value};

/// What must not be the case. Values are in the sensor's unit, rates in that unit per minute.
///
/// `clear` is hysteresis: once the alert fires, the condition goes on until the value is back at `clear`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The value is above `limit`; resolves at or below `clear`.
    Above {
        /// Highest value that is fine.
        limit: f64,
        /// At most `limit`.
        clear: f64,
    },
    /// The value is below `limit`; resolves at or above `clear`.
    Below {
        /// Lowest value that is fine.
        limit: f64,
        /// At least `limit`.
        clear: f64,
    },
    /// The value is above one limit and below the other.
    Between {
        /// The lower limit.
        above: f64,
        /// The upper limit.
        below: f64,
    },
    /// The value is below `low` or above `high`; resolves when it is back between `clear_low` and `clear_high`.
    Outside {
        /// Lowest value that is fine.
        low: f64,
        /// Highest value that is fine.
        high: f64,
        /// At least `low`.
        clear_low: f64,
        /// At most `high`.
        clear_high: f64,
    },
    /// The value rises faster than `limit` per minute; resolves at or below `clear`.
    RateAbove {
        /// Steepest rise that is fine.
        limit: f64,
        /// At most `limit`.
        clear: f64,
    },
    /// The value changes at less than `limit` per minute (a negative limit is a fall); resolves at or above `clear`.
    RateBelow {
        /// Steepest fall that is fine.
        limit: f64,
        /// At least `limit`.
        clear: f64,
    },
    /// No reading has come for this long; counted from boot where none has come since.
    MissingFor(Span),
    /// Readings come and have all been the same for this long.
    StuckFor(Span),
    /// The sensor itself is judged to be at fault or stuck.
    Faulty,
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The condition holds.
    Holds,
    /// It does not.
    Fine,
    /// It cannot be told: a value of bad quality, or too little history. Changes nothing.
    Unknown,
}

/// What a condition is compared with, all of one sensor at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// The newest value; `None` where its quality is bad or there is none.
    pub value: Option<Steps>,
    /// How it changes; `None` until there is enough history.
    pub rate: Option<Rate>,
    /// How long the value has not moved, as far as readings tell.
    pub unchanged: Option<Span>,
    /// How long no reading has come.
    pub silent: Span,
    /// Whether any reading has come since boot.
    pub heard: bool,
    /// Whether the sensor is judged to be at fault or stuck; `None` where it has not spoken.
    pub faulty: Option<bool>,
}

/// A value or a limit as an event shows it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    /// A sensor's value.
    Value(Value),
    /// A limit, or a rate per minute.
    Number(f64),
    /// A length of time: how long nothing came or moved.
    Time(Span),
}

/// A [`Condition`] in steps of one sensor's resolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Test {
    condition: Condition,
    resolution: Resolution,
    fires: Region,
    holds: Region,
}

/// The values for which a condition on the value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Region {
    /// Below the first or above the second.
    Outside(Steps, Steps),
    /// Above the first and below the second.
    Inside(Steps, Steps),
}

/// Below every value and above every value.
const NEVER_BELOW: Steps = Steps(i64::MIN);
const NEVER_ABOVE: Steps = Steps(i64::MAX);

impl Region {
    fn contains(self, value: Steps) -> bool {
        match self {
            Region::Outside(low, high) => value < low || value > high,
            Region::Inside(low, high) => value > low && value < high,
        }
    }
}

impl Test {
    pub(crate) fn new(condition: Condition, resolution: Resolution) -> Test {
        let above = |limit| Region::Outside(NEVER_BELOW, resolution.floor(limit));
        let below = |limit| Region::Outside(resolution.ceil(limit), NEVER_ABOVE);
        let outside = |low, high| Region::Outside(resolution.ceil(low), resolution.floor(high));
        let (fires, holds) = match condition {
            Condition::Above { limit, clear } => (above(limit), above(clear)),
            Condition::Below { limit, clear } => (below(limit), below(clear)),
            Condition::Outside { low, high, clear_low, clear_high } => {
                (outside(low, high), outside(clear_low, clear_high))
            }
            Condition::Between { above, below } => {
                let inside = Region::Inside(resolution.floor(above), resolution.ceil(below));
                (inside, inside)
            }
            // Decided on other facts than the value: no value is in this region.
            _ => (Region::Outside(NEVER_BELOW, NEVER_ABOVE), Region::Outside(NEVER_BELOW, NEVER_ABOVE)),
        };
        Test { condition, resolution, fires, holds }
    }

    /// Compares. `firing` says that the alert is already raised, so that its clearing limit counts instead.
    pub(crate) fn verdict(&self, facts: &Facts, firing: bool) -> Verdict {
        let holds = match self.condition {
            Condition::Above { .. }
            | Condition::Below { .. }
            | Condition::Between { .. }
            | Condition::Outside { .. } => {
                let region = if firing { self.holds } else { self.fires };
                facts.value.map(|value| region.contains(value))
            }
            Condition::RateAbove { limit, clear } => {
                facts.rate.map(|rate| self.against(rate, if firing { clear } else { limit }) == Ordering::Greater)
            }
            Condition::RateBelow { limit, clear } => {
                facts.rate.map(|rate| self.against(rate, if firing { clear } else { limit }) == Ordering::Less)
            }
            // Before the first reading after a boot nothing says that the silence is over.
            Condition::MissingFor(span) => (facts.heard || facts.silent >= span).then_some(facts.silent >= span),
            Condition::StuckFor(span) => facts.unchanged.map(|unchanged| unchanged >= span),
            Condition::Faulty => facts.faulty,
        };
        match holds {
            Some(true) => Verdict::Holds,
            Some(false) => Verdict::Fine,
            None => Verdict::Unknown,
        }
    }

    /// A rate in the sensor's unit per minute, to a millionth; more digits are noise.
    fn per_minute(&self, rate: Rate) -> f64 {
        let change = Value { steps: rate.change, resolution: self.resolution }.to_f64();
        // Adding zero turns a negative zero into one that prints as zero.
        (change * 60_000.0 / rate.over.0 as f64 * 1e6).round() / 1e6 + 0.0
    }

    /// A rate against a limit per minute. A billionth either way is what binary fractions lose, and is equal.
    fn against(&self, rate: Rate, limit: f64) -> Ordering {
        let (got, limit) = (rate.change.0 as f64 * 60_000.0, self.resolution.steps(limit) * rate.over.0 as f64);
        if (got - limit).abs() <= 1e-9 * got.abs().max(limit.abs()) { Ordering::Equal } else { got.total_cmp(&limit) }
    }

    /// The figure that was compared and the limit it was compared with, as an event shows them.
    pub(crate) fn figures(&self, facts: &Facts, newest: Option<Value>) -> (Option<Figure>, Option<Figure>) {
        let value = newest.map(Figure::Value);
        match self.condition {
            Condition::Above { limit, .. } | Condition::Below { limit, .. } => (value, Some(Figure::Number(limit))),
            Condition::Between { above, .. } => (value, Some(Figure::Number(above))),
            Condition::Outside { low, high, .. } => {
                let middle = low + (high - low) / 2.0;
                let nearer = if newest.is_some_and(|value| value.to_f64() < middle) { low } else { high };
                (value, Some(Figure::Number(nearer)))
            }
            Condition::RateAbove { limit, .. } | Condition::RateBelow { limit, .. } => {
                (facts.rate.map(|rate| Figure::Number(self.per_minute(rate))), Some(Figure::Number(limit)))
            }
            Condition::MissingFor(span) => (Some(Figure::Time(facts.silent)), Some(Figure::Time(span))),
            Condition::StuckFor(span) => (value, Some(Figure::Time(span))),
            Condition::Faulty => (value, None),
        }
    }
}

impl Condition {
    /// The key that a document writes for this condition; also what tells whether a change of configuration changed the
    /// condition itself or only its limit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Condition::Above { .. } => "above",
            Condition::Below { .. } => "below",
            Condition::Between { .. } => "between",
            Condition::Outside { .. } => "outside",
            Condition::RateAbove { .. } => "rate_above",
            Condition::RateBelow { .. } => "rate_below",
            Condition::MissingFor(_) => "missing_for",
            Condition::StuckFor(_) => "stuck_for",
            Condition::Faulty => "faulty",
        }
    }

    /// The unit of this condition's figures for a sensor of that quantity.
    #[must_use]
    pub fn unit(self, quantity: Quantity) -> String {
        match (self, quantity.unit()) {
            (Condition::RateAbove { .. } | Condition::RateBelow { .. }, "") => "per minute".to_owned(),
            (Condition::RateAbove { .. } | Condition::RateBelow { .. }, unit) => format!("{unit} per minute"),
            (Condition::MissingFor(_), _) => String::new(),
            (_, unit) => unit.to_owned(),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Value(value) => value.fmt(f),
            Figure::Number(number) => number.fmt(f),
            Figure::Time(span) => f.write_str(&span.in_words()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Fine, Holds, Unknown};

    const NOTHING: Facts =
        Facts { value: None, rate: None, unchanged: None, silent: Span::ZERO, heard: true, faulty: None };

    fn test(condition: Condition) -> Test {
        Test::new(condition, Resolution::new(0.01).unwrap())
    }

    fn of_value(condition: Condition, steps: i64, firing: bool) -> Verdict {
        test(condition).verdict(&Facts { value: Some(Steps(steps)), ..NOTHING }, firing)
    }

    #[test]
    fn values_are_compared_exactly_and_hysteresis_holds_on() {
        let above = Condition::Above { limit: 6.8, clear: 6.5 };
        let below = Condition::Below { limit: 5.5, clear: 5.8 };
        let outside = Condition::Outside { low: 5.5, high: 6.8, clear_low: 5.8, clear_high: 6.5 };
        let between = Condition::Between { above: 5.0, below: 10.0 };
        for (condition, steps, quiet, firing) in [
            (above, 680, Fine, Holds),
            (above, 681, Holds, Holds),
            (above, 651, Fine, Holds),
            (above, 650, Fine, Fine),
            (below, 550, Fine, Holds),
            (below, 549, Holds, Holds),
            (below, 580, Fine, Fine),
            (outside, 549, Holds, Holds),
            (outside, 550, Fine, Holds),
            (outside, 580, Fine, Fine),
            (outside, 650, Fine, Fine),
            (outside, 651, Fine, Holds),
            (outside, 681, Holds, Holds),
            (between, 500, Fine, Fine),
            (between, 501, Holds, Holds),
            (between, 999, Holds, Holds),
            (between, 1000, Fine, Fine),
        ] {
            assert_eq!(of_value(condition, steps, false), quiet, "{condition:?} at {steps}");
            assert_eq!(of_value(condition, steps, true), firing, "{condition:?} at {steps}, firing");
        }
        assert_eq!(test(above).verdict(&NOTHING, false), Unknown);
    }

    #[test]
    fn limits_between_steps_are_still_limits() {
        let condition = Condition::Above { limit: 6.805, clear: 6.805 };
        assert_eq!((of_value(condition, 680, false), of_value(condition, 681, false)), (Fine, Holds));
        let condition = Condition::Below { limit: 6.805, clear: 6.805 };
        assert_eq!((of_value(condition, 680, false), of_value(condition, 681, false)), (Holds, Fine));
    }

    #[test]
    fn the_other_facts_have_their_conditions() {
        // In hundredths over two minutes.
        let rate = |steps: Option<i64>| {
            let over = Span::from_mins(2);
            Facts { rate: steps.map(|steps| Rate { change: Steps(steps), over }), ..NOTHING }
        };
        let rising = test(Condition::RateAbove { limit: 0.5, clear: 0.2 });
        let falling = test(Condition::RateBelow { limit: -0.5, clear: -0.2 });
        let missing = test(Condition::MissingFor(Span::from_mins(10)));
        let stuck = test(Condition::StuckFor(Span::from_mins(10)));
        for (test, facts, firing, expected) in [
            (rising, rate(Some(100)), false, Fine),
            (rising, rate(Some(101)), false, Holds),
            (rising, rate(Some(60)), true, Holds),
            (rising, rate(None), true, Unknown),
            (falling, rate(Some(-101)), false, Holds),
            (falling, rate(Some(-40)), true, Fine),
            (missing, Facts { silent: Span::from_mins(9), ..NOTHING }, false, Fine),
            (missing, Facts { silent: Span::from_mins(10), ..NOTHING }, false, Holds),
            (missing, Facts { heard: false, ..NOTHING }, true, Unknown),
            (missing, Facts { heard: false, silent: Span::from_mins(10), ..NOTHING }, false, Holds),
            (stuck, Facts { unchanged: Some(Span::from_mins(10)), ..NOTHING }, false, Holds),
            (stuck, NOTHING, false, Unknown),
            (test(Condition::Faulty), Facts { faulty: Some(true), ..NOTHING }, false, Holds),
        ] {
            assert_eq!(test.verdict(&facts, firing), expected, "{:?} with {facts:?}", test.condition);
        }
    }
}
