//! `differs_from` with `by` or `by_percent`: a sensor held against another one.

use tilth_core::id::SensorId;
use tilth_core::rules::{Condition, Scale};

use super::{Side, limit};
use crate::diagnostic::Problem;
use crate::reader::{self, Fields};
use crate::selector::{self, Selector};
use crate::sensor_list::SensorEntry;
use crate::source::Place;

/// The key of the other sensor.
pub(super) const KEY: &str = "differs_from";

/// The keys of the limit, and what each counts in.
const LIMITS: [(&str, Scale); 2] = [("by", Scale::Unit), ("by_percent", Scale::PercentOfOther)];

/// How far a sensor may differ from another one, which is not looked for yet.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// The sensor, or a glob for one of the same zone.
    pub(crate) other: Selector,
    limit: f64,
    clear: f64,
    scale: Scale,
    /// The key of the limit, and where it stands.
    pub(crate) limit_key: &'static str,
    pub(crate) limit_at: Place,
}

/// Says which limits are of no use to a rule with other conditions.
pub(super) fn check_limits(fields: &Fields<'_>) {
    for (key, _) in LIMITS {
        if fields.has(key) && !fields.has(KEY) {
            let problem = Problem::new(format!("{key} means nothing without {KEY}")).across_documents();
            fields.error(key, problem.help(format!("expected {KEY} = \"tower-1/ph-b\" beside it, or above or below")));
        }
    }
}

pub(super) fn has_limit(fields: &Fields<'_>) -> bool {
    LIMITS.iter().any(|(key, _)| fields.has(key))
}

pub(super) fn read(fields: &Fields<'_>) -> Option<Difference> {
    let other = fields.optional(KEY, selector::read);
    let stated: Vec<(&'static str, Scale)> = LIMITS.into_iter().filter(|(key, _)| fields.has(key)).collect();
    let &[(limit_key, scale)] = stated.as_slice() else {
        let help = "expected by, in the unit of both, or by_percent, in percent of the other's value";
        match stated.last() {
            None => fields.error(KEY, Problem::new("by or by_percent is missing").help(help).across_documents()),
            Some((last, _)) => {
                let problem = Problem::new("a rule has one limit, and this has by and by_percent");
                fields.error(last, problem.help(help).across_documents());
            }
        }
        return None;
    };
    let at_least_zero = |node: &_| match reader::number(node)? {
        clear if clear >= 0.0 => Ok(clear),
        _ => Err(reader::expected("a number from 0", node)),
    };
    let (limit, clear) = limit(fields, limit_key, Side::Upper, (reader::positive, at_least_zero))?;
    Some(Difference { other: other?, limit, clear, scale, limit_key, limit_at: fields.place(limit_key) })
}

impl Difference {
    /// The condition, with the other sensor found.
    pub(crate) fn from(&self, other: &SensorId) -> Condition {
        let Difference { limit, clear, scale, .. } = *self;
        Condition::DiffersFrom { other: other.clone(), limit, clear, scale }
    }

    /// Why two sensors can never differ by more, as far as their plausible ranges tell.
    pub(crate) fn pointless(&self, own: &SensorEntry, other: &SensorEntry) -> Option<String> {
        let ((low, high), (other_low, other_high)) = (own.sensor.range?, other.sensor.range?);
        let most = match own.sensor.quantity.circle() {
            Some(circle) => circle / 2.0,
            None => (high - other_low).max(other_high - low),
        };
        let is_pointless = self.scale == Scale::Unit && self.limit >= most;
        is_pointless.then(|| format!("{} and {} cannot differ by more than {most}", own.sensor.id, other.sensor.id))
    }

    /// Whether the other sensor's value goes through 0, where no percentage leaves room for any difference.
    pub(crate) fn is_of_nothing(&self, other: &SensorEntry) -> bool {
        let passes_zero = other.sensor.range.is_some_and(|(low, high)| low < 0.0 && high > 0.0);
        self.scale == Scale::PercentOfOther && passes_zero
    }
}
