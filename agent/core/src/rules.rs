//! Conditions of rules: what must not hold, and whether it holds now.
//!
//! Limits are turned into steps of the sensor's resolution once, so that comparing is exact: equal is neither above nor
//! below. Rates are per minute, over at least the last [`RATE_SPAN`](crate::judge::RATE_SPAN).
//!
//! A condition states which sensors it is about ([`Condition::others`]), and its facts are looked up by sensor.

mod difference;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::SensorId;
use crate::judge::Rate;
use crate::quantity::Quantity;
use crate::reading::SensorIx;
use crate::sensor::Sensor;
use crate::time::Span;
use crate::value::{Resolution, Steps, Value};
use difference::Difference;
pub use difference::Scale;

/// What must not be the case. Values are in the sensor's unit, rates in that unit per minute.
///
/// `clear` is hysteresis: once the alert fires, the condition goes on until the value is back at `clear`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The value differs by more than `limit` from that of another sensor; resolves when it differs by at most `clear`.
    DiffersFrom {
        /// The other sensor, of the same quantity.
        other: SensorId,
        /// Largest difference that is fine.
        limit: f64,
        /// At most `limit`.
        clear: f64,
        /// What both are counted in.
        scale: Scale,
    },
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionState {
    /// The condition holds.
    Holds,
    /// The condition does not hold.
    Fine,
    /// Unknown: a value of bad quality, or too little history. The alert stays as it is.
    Unknown,
}

/// What a condition is compared with, of one sensor at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// The newest value; `None` where its quality is bad or there is none.
    pub value: Option<Steps>,
    /// How it changes; `None` until there is enough history.
    pub rate: Option<Rate>,
    /// How long the value has not moved, as far as readings tell.
    pub unchanged: Option<Span>,
    /// How long no reading has come.
    pub silent_for: Span,
    /// Whether any reading has come since boot.
    pub heard: bool,
    /// Whether the sensor is judged to be at fault or stuck; `None` where it was not heard.
    pub faulty: Option<bool>,
}

/// A value or a limit as an event shows it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DisplayValue {
    /// A sensor's value.
    Value(Value),
    /// A limit, or a rate per minute.
    Number(f64),
    /// A length of time: how long nothing came or moved.
    Time(Span),
    /// A limit in percent of another value.
    Percent(f64),
}

/// A [`Condition`] with its sensors found and its limits in steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Test {
    own: SensorRef,
    compares: Compares,
}

/// A sensor that a condition is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SensorRef {
    sensor: SensorIx,
    quantity: Quantity,
    resolution: Resolution,
}

/// What is compared, and with what.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Compares {
    Value {
        fires: Region,
        holds: Region,
    },
    /// The condition holds on this side of its limits.
    Rate {
        side: Ordering,
        limit: f64,
        clear: f64,
    },
    Silence(Span),
    Unchanged(Span),
    Fault,
    Difference(Difference),
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

impl SensorRef {
    pub(crate) fn new(ix: SensorIx, sensor: &Sensor) -> SensorRef {
        SensorRef { sensor: ix, quantity: sensor.quantity, resolution: sensor.resolution }
    }
}

impl Region {
    fn contains(self, value: Steps) -> bool {
        match self {
            Region::Outside(low, high) => value < low || value > high,
            Region::Inside(low, high) => value > low && value < high,
        }
    }
}

impl Test {
    /// `find` gives the sensors that the condition names. None where it names one that is not there, or cannot be compared: the
    /// rule's own, or one of another quantity.
    pub(crate) fn new(
        condition: &Condition,
        own: SensorRef,
        find: impl Fn(&SensorId) -> Option<SensorRef>,
    ) -> Option<Test> {
        let rate = |side, limit, clear| Compares::Rate { side, limit, clear };
        let compares = match *condition {
            Condition::Above { limit, clear } => of_values(above(limit, own.resolution), above(clear, own.resolution)),
            Condition::Below { limit, clear } => of_values(below(limit, own.resolution), below(clear, own.resolution)),
            Condition::Outside { low, high, clear_low, clear_high } => {
                of_values(outside(low, high, own.resolution), outside(clear_low, clear_high, own.resolution))
            }
            Condition::Between { above, below } => {
                let inside = Region::Inside(own.resolution.floor(above), own.resolution.ceil(below));
                of_values(inside, inside)
            }
            Condition::RateAbove { limit, clear } => rate(Ordering::Greater, limit, clear),
            Condition::RateBelow { limit, clear } => rate(Ordering::Less, limit, clear),
            Condition::MissingFor(span) => Compares::Silence(span),
            Condition::StuckFor(span) => Compares::Unchanged(span),
            Condition::Faulty => Compares::Fault,
            Condition::DiffersFrom { ref other, limit, clear, scale } => {
                let is_comparable = |other: &SensorRef| other.sensor != own.sensor && other.quantity == own.quantity;
                let other = find(other).filter(is_comparable)?;
                Compares::Difference(Difference { own, other, limit, clear, scale })
            }
        };
        Some(Test { own, compares })
    }

    /// The sensor that the rule's own is compared with.
    pub(crate) fn other(&self) -> Option<SensorIx> {
        match self.compares {
            Compares::Difference(difference) => Some(difference.other()),
            _ => None,
        }
    }

    /// Compares. `facts` are those of the other sensors; `firing` says that the alert is already raised, so that its clearing limit
    /// counts instead.
    pub(crate) fn condition_state(
        &self,
        own: &Facts,
        facts: impl Fn(SensorIx) -> Facts,
        firing: bool,
    ) -> ConditionState {
        let holds = match &self.compares {
            Compares::Value { fires, holds } => {
                let region = if firing { holds } else { fires };
                own.value.map(|value| region.contains(value))
            }
            Compares::Rate { side, limit, clear } => {
                own.rate.map(|rate| self.against(rate, if firing { *clear } else { *limit }) == *side)
            }
            // Before the first reading after a boot nothing says that the silence is over.
            Compares::Silence(span) => (own.heard || own.silent_for >= *span).then_some(own.silent_for >= *span),
            Compares::Unchanged(span) => own.unchanged.map(|unchanged| unchanged >= *span),
            Compares::Fault => own.faulty,
            Compares::Difference(difference) => {
                let values = own.value.zip(facts(difference.other()).value);
                values.map(|(own, other)| difference.is_beyond(own, other, firing))
            }
        };
        match holds {
            Some(true) => ConditionState::Holds,
            Some(false) => ConditionState::Fine,
            None => ConditionState::Unknown,
        }
    }

    /// A rate in the sensor's unit per minute, to a millionth; more digits are noise.
    fn per_minute(&self, rate: Rate) -> f64 {
        let change = Value { steps: rate.change, resolution: self.own.resolution }.to_f64();
        // Adding zero turns a negative zero into one that prints as zero.
        (change * 60_000.0 / rate.over.0 as f64 * 1e6).round() / 1e6 + 0.0
    }

    /// A rate against a limit per minute.
    fn against(&self, rate: Rate, limit: f64) -> Ordering {
        compare(rate.change.0 as f64 * 60_000.0, self.own.resolution.steps(limit) * rate.over.0 as f64)
    }

    /// The figure that was compared and the limit of `condition`, which this is made of, as an event shows them.
    pub(crate) fn figures(
        &self,
        condition: &Condition,
        facts: &Facts,
        newest: Option<Value>,
    ) -> (Option<DisplayValue>, Option<DisplayValue>) {
        let value = newest.map(DisplayValue::Value);
        match *condition {
            Condition::Above { limit, .. } | Condition::Below { limit, .. } => {
                (value, Some(DisplayValue::Number(limit)))
            }
            Condition::Between { above, .. } => (value, Some(DisplayValue::Number(above))),
            Condition::Outside { low, high, .. } => {
                let middle = low + (high - low) / 2.0;
                let nearer = if newest.is_some_and(|value| value.to_f64() < middle) { low } else { high };
                (value, Some(DisplayValue::Number(nearer)))
            }
            Condition::RateAbove { limit, .. } | Condition::RateBelow { limit, .. } => {
                (facts.rate.map(|rate| DisplayValue::Number(self.per_minute(rate))), Some(DisplayValue::Number(limit)))
            }
            Condition::MissingFor(span) => (Some(DisplayValue::Time(facts.silent_for)), Some(DisplayValue::Time(span))),
            Condition::StuckFor(span) => (value, Some(DisplayValue::Time(span))),
            Condition::Faulty => (value, None),
            Condition::DiffersFrom { limit, scale: Scale::Unit, .. } => (value, Some(DisplayValue::Number(limit))),
            Condition::DiffersFrom { limit, scale: Scale::PercentOfOther, .. } => {
                (value, Some(DisplayValue::Percent(limit)))
            }
        }
    }
}

fn of_values(fires: Region, holds: Region) -> Compares {
    Compares::Value { fires, holds }
}

fn above(limit: f64, resolution: Resolution) -> Region {
    Region::Outside(NEVER_BELOW, resolution.floor(limit))
}

fn below(limit: f64, resolution: Resolution) -> Region {
    Region::Outside(resolution.ceil(limit), NEVER_ABOVE)
}

fn outside(low: f64, high: f64, resolution: Resolution) -> Region {
    Region::Outside(resolution.ceil(low), resolution.floor(high))
}

/// A billionth either way is what binary fractions lose, and is equal.
fn compare(got: f64, limit: f64) -> Ordering {
    if (got - limit).abs() <= 1e-9 * got.abs().max(limit.abs()) { Ordering::Equal } else { got.total_cmp(&limit) }
}

impl Condition {
    /// The sensors that it is about beside the rule's own.
    pub fn others(&self) -> impl Iterator<Item = &SensorId> {
        match self {
            Condition::DiffersFrom { other, .. } => Some(other),
            _ => None,
        }
        .into_iter()
    }

    /// The key that a document writes for this condition.
    #[must_use]
    pub const fn name(&self) -> &'static str {
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
            Condition::DiffersFrom { .. } => "differs_from",
        }
    }

    /// What tells whether a change of configuration changed the condition itself or only its limit.
    pub(crate) fn identity(&self) -> Cow<'static, str> {
        self.others().fold(self.name().into(), |identity, other| format!("{identity} {other}").into())
    }

    /// The unit of this condition's figures for a sensor of that quantity.
    #[must_use]
    pub fn unit(&self, quantity: Quantity) -> String {
        match (self, quantity.unit()) {
            (Condition::RateAbove { .. } | Condition::RateBelow { .. }, "") => "per minute".to_owned(),
            (Condition::RateAbove { .. } | Condition::RateBelow { .. }, unit) => format!("{unit} per minute"),
            (Condition::MissingFor(_), _) => String::new(),
            (_, unit) => unit.to_owned(),
        }
    }
}

impl DisplayValue {
    /// The digits of the number that programs are told: a value's as its resolution gives them, a length of time in seconds. None for
    /// what is no number.
    #[must_use]
    pub fn digits(&self) -> Option<String> {
        match self {
            DisplayValue::Value(value) => Some(value.to_string()),
            DisplayValue::Number(number) | DisplayValue::Percent(number) => {
                number.is_finite().then(|| number.to_string())
            }
            DisplayValue::Time(span) => Some(span.as_secs_f64().to_string()),
        }
    }
}

impl fmt::Display for DisplayValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DisplayValue::Value(value) => value.fmt(f),
            DisplayValue::Number(number) => number.fmt(f),
            DisplayValue::Time(span) => f.write_str(&span.in_words()),
            DisplayValue::Percent(number) => write!(f, "{number} %"),
        }
    }
}

#[cfg(test)]
mod tests;
