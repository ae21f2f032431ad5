//! What an alert says once it is over: the words of its rule tell what was wrong, and it is wrong no more.

use crate::id::Id;
use crate::plan::{AlertKey, Rule};
use crate::quantity::Quantity;
use crate::rules::{Condition, DisplayValue, Scale};
use crate::time::Span;

/// An alert whose condition holds no more.
pub(crate) struct Cleared<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) quantity: Quantity,
    /// The value or rate that is fine again; none where there is none.
    pub(crate) value: Option<DisplayValue>,
    /// The value of the sensor that it was compared with.
    pub(crate) other: Option<DisplayValue>,
    /// How long nothing came, where that is what was wrong and it is known.
    pub(crate) silent: Option<Span>,
}

impl Cleared<'_> {
    /// The words for a rule that has none of its own.
    pub(crate) fn words(&self) -> String {
        let sensor = &self.rule.key.sensor;
        let unit = self.rule.condition.unit(self.quantity);
        let figure =
            |figure: DisplayValue| if unit.is_empty() { figure.to_string() } else { format!("{figure} {unit}") };
        let limit = |number: &f64| figure(DisplayValue::Number(*number));
        let value = self.value.map(figure);
        match (&self.rule.condition, value) {
            (Condition::MissingFor(_), _) => match self.silent {
                Some(silent) => format!("{sensor} reporting again after {}", silent.in_words()),
                None => format!("{sensor} reporting again"),
            },
            (Condition::Faulty, Some(value)) => format!("{sensor} can be believed again: {value}"),
            (Condition::Faulty, None) => format!("{sensor} can be believed again"),
            (Condition::StuckFor(_), Some(value)) => format!("{sensor} changes again: {value}"),
            (Condition::StuckFor(_), None) => format!("{sensor} changes again"),
            // Open and closed are 1 and 0, which say nothing to people.
            (_, None) => format!("{sensor} back to normal"),
            (_, Some(_)) if self.quantity == Quantity::Contact => format!("{sensor} back to normal"),
            (Condition::Above { limit: most, .. }, Some(value)) => {
                format!("{sensor} back to {value}, limit {}", limit(most))
            }
            (Condition::Below { limit: least, .. }, Some(value)) => {
                format!("{sensor} back to {value}, limit {}", limit(least))
            }
            (Condition::Outside { low, high, .. }, Some(value)) => {
                format!("{sensor} back to {value}, within {low} to {}", limit(high))
            }
            (Condition::Between { above, below }, Some(value)) => {
                format!("{sensor} at {value}, no longer between {above} and {}", limit(below))
            }
            (Condition::RateAbove { limit: most, .. }, Some(value)) => {
                format!("{sensor} now changes by {value}, limit {}", limit(most))
            }
            (Condition::RateBelow { limit: least, .. }, Some(value)) => {
                format!("{sensor} now changes by {value}, limit {}", limit(least))
            }
            (Condition::DiffersFrom { other, limit: most, scale, .. }, Some(value)) => {
                let theirs = self.other.map_or_else(String::new, |theirs| format!(" {}", figure(theirs)));
                let limit = match scale {
                    Scale::Unit => limit(most),
                    Scale::PercentOfOther => DisplayValue::Percent(*most).to_string(),
                };
                format!("{sensor} {value} agrees again with {other}{theirs}, limit {limit}")
            }
        }
    }
}

/// The rule is gone, or its sensor.
pub(crate) fn removed(key: &AlertKey) -> String {
    format!("{} no longer watched by {}: removed from the configuration", key.sensor, key.rule)
}

/// The rule's hours are over; the value plays no part.
pub(crate) fn schedule_closed(key: &AlertKey, schedule: &Id) -> String {
    format!("{} not watched by {} for now: schedule {schedule} closed", key.sensor, key.rule)
}
