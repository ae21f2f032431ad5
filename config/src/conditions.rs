//! Conditions of rules: reads the one that a rule states, and says which can never hold on a sensor.

mod difference;

use std::cmp::Ordering;

use tilth_core::rules::Condition;
use tilth_core::time::Span;

use crate::diagnostic::Problem;
use crate::namespaces;
use crate::reader::{self, Fields};
use crate::source::{Place, Sources};
use crate::tree::{Content, Node};
pub(crate) use difference::Difference;

/// Keys that this version does not support yet: a rule that would never fire must not load as if it would.
pub(crate) const UNSUPPORTED: [&str; 2] = ["expr", "evaluate_every"];

/// The condition of a rule, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct RuleCondition {
    pub(crate) kind: ConditionKind,
    /// The key that states it.
    pub(crate) key: &'static str,
    pub(crate) place: Place,
}

/// A condition of one sensor, or of a sensor and another one.
#[derive(Debug, Clone)]
pub(crate) enum ConditionKind {
    OneSensor(Condition),
    /// The other sensor is looked up once the rule is bound to a sensor.
    Difference(Difference),
}

impl RuleCondition {
    /// The condition, where it is about one sensor alone.
    pub(crate) fn of_one_sensor(&self) -> Option<&Condition> {
        match &self.kind {
            ConditionKind::OneSensor(condition) => Some(condition),
            ConditionKind::Difference(_) => None,
        }
    }
}

fn keys() -> impl Iterator<Item = &'static str> {
    namespaces::CONDITIONS.iter().map(|key| key.name)
}

/// Whether a rule states a condition. Limits that are of no use to it are said.
pub(crate) fn states_any(fields: &Fields<'_>) -> bool {
    difference::check_limits(fields);
    keys().any(|key| fields.has(key))
}

/// Reads the one condition of a rule.
pub(crate) fn read(name: &str, fields: &Fields<'_>, sources: &Sources) -> Option<RuleCondition> {
    difference::check_limits(fields);
    let stated: Vec<&'static str> = keys().filter(|key| fields.has(key)).collect();
    match stated.as_slice() {
        [] => {
            if !UNSUPPORTED.iter().any(|key| fields.has(key)) && !difference::has_limit(fields) {
                let problem = Problem::new("a rule without a condition").across_documents();
                fields.error_here(problem.help(format!("expected one of {}", keys().collect::<Vec<_>>().join(", "))));
            }
            None
        }
        ["above", "below"] if !fields.are_together("above", "below") => {
            wrong_side(name, fields, sources);
            None
        }
        ["above", "below"] => between(fields),
        [key] => {
            let kind = match *key {
                difference::KEY => ConditionKind::Difference(difference::read(fields)?),
                key => ConditionKind::OneSensor(one(fields, key)?),
            };
            Some(RuleCondition { kind, key, place: fields.place(key) })
        }
        several => {
            too_many(fields, several);
            None
        }
    }
}

/// One side over a rule that has the other, as `above` over a rule that fires below.
fn wrong_side(name: &str, fields: &Fields<'_>, sources: &Sources) {
    let (added, known) = if fields.is_later("above", "below") { ("above", "below") } else { ("below", "above") };
    let (Some(added_node), Some(known_node)) = (fields.node(added), fields.node(known)) else { return };
    let place = sources.name(known_node.place);
    let problem = Problem::new(format!("{name} already has {known} = {known_node} ({place})"));
    fields.error(added, problem.help(format!("did you mean {known} = {added_node}?")));
}

fn too_many(fields: &Fields<'_>, stated: &[&'static str]) {
    let latest = |a: &&'static str, b: &&'static str| {
        (fields.is_later(a, b), fields.place(a)).cmp(&(fields.is_later(b, a), fields.place(b)))
    };
    let Some(last) = stated.iter().copied().max_by(latest) else { return };
    let problem = Problem::new(format!("a rule has one condition, and this has {}", stated.join(" and ")));
    let help = match stated.iter().find(|key| !fields.is_later(key, last)) {
        Some(earlier) => format!("{earlier} is set elsewhere; write a rule of another name"),
        None => "write a second rule for the second condition".to_owned(),
    };
    fields.error(last, problem.help(help));
}

fn one(fields: &Fields<'_>, key: &'static str) -> Option<Condition> {
    match key {
        "above" => limit(fields, key, Side::Upper, NUMBERS).map(|(limit, clear)| Condition::Above { limit, clear }),
        "below" => limit(fields, key, Side::Lower, NUMBERS).map(|(limit, clear)| Condition::Below { limit, clear }),
        "rate_above" => {
            limit(fields, key, Side::Upper, NUMBERS).map(|(limit, clear)| Condition::RateAbove { limit, clear })
        }
        "rate_below" => {
            limit(fields, key, Side::Lower, NUMBERS).map(|(limit, clear)| Condition::RateBelow { limit, clear })
        }
        "outside" => outside(fields),
        "missing_for" => without_clear(fields, key).map(Condition::MissingFor),
        "stuck_for" => without_clear(fields, key).map(Condition::StuckFor),
        unread => {
            fields.error(key, Problem::new(format!("this version does not read the condition {unread}")));
            None
        }
    }
}

fn without_clear(fields: &Fields<'_>, key: &'static str) -> Option<Span> {
    if fields.has("clear") {
        refuse_clear(fields, key, key);
    }
    fields.optional(key, reader::some_duration)
}

fn refuse_clear(fields: &Fields<'_>, key: &str, with: &str) {
    let problem = Problem::new(format!("clear means nothing with {with}"));
    if fields.is_later("clear", key) {
        fields.error("clear", problem.help("take it out"));
    } else {
        fields.error(key, problem.help("clear is set elsewhere; write a rule of another name"));
    }
}

/// Which side of its limit a condition is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Holds above the limit; clears at or below.
    Upper,
    /// Holds below the limit; clears at or above.
    Lower,
}

type Number = fn(&Node) -> Result<f64, Problem>;

/// A limit and a clearing limit may be any number.
const NUMBERS: (Number, Number) = (reader::number, reader::number);

/// A limit and where it clears; without `clear`, at the limit.
fn limit(
    fields: &Fields<'_>,
    key: &'static str,
    side: Side,
    (read_limit, read_clear): (Number, Number),
) -> Option<(f64, f64)> {
    let limit = fields.optional(key, read_limit);
    let clear = match fields.has("clear") {
        true => fields.optional("clear", read_clear)?,
        false => limit?,
    };
    let limit = limit?;
    clears(fields, key, side, limit, clear).then_some((limit, clear))
}

/// Whether an alert clears on the good side of its limit; if not, that is said where the later of the two was written.
fn clears(fields: &Fields<'_>, key: &str, side: Side, limit: f64, clear: f64) -> bool {
    let (wrong, word, bound) = match side {
        Side::Upper => (clear > limit, "above", "at most"),
        Side::Lower => (clear < limit, "below", "at least"),
    };
    if !wrong {
        return true;
    }
    if fields.is_later("clear", key) {
        let problem = Problem::new(format!("{clear} is {word} the limit {limit}"));
        fields.error("clear", problem.help(format!("expected {bound} {limit}")).across_values());
    } else {
        let problem = Problem::new(format!("with this limit of {limit} the alert would clear at {clear}, {word} it"));
        let help = format!("clear is set elsewhere; set it here too, {bound} {limit}");
        fields.error(key, problem.help(help).across_values());
    }
    false
}

fn outside(fields: &Fields<'_>) -> Option<Condition> {
    let (low, high) = fields.optional("outside", |node| match &node.content {
        Content::Text(text) if text == "optimal" => {
            Err(Problem::new("this version does not know the optimal range of a crop")
                .help("expected two numbers such as [5.5, 6.8]"))
        }
        _ => reader::span_of_values(node),
    })?;
    if !fields.has("clear") {
        return Some(Condition::Outside { low, high, clear_low: low, clear_high: high });
    }
    let (clear_low, clear_high) = fields.optional("clear", reader::span_of_values)?;
    let good = clears(fields, "outside", Side::Lower, low, clear_low)
        & clears(fields, "outside", Side::Upper, high, clear_high);
    good.then_some(Condition::Outside { low, high, clear_low, clear_high })
}

fn between(fields: &Fields<'_>) -> Option<RuleCondition> {
    let above = fields.optional("above", reader::number);
    let below = fields.optional("below", reader::number);
    let above_last = fields.place("above") > fields.place("below") && fields.is_later("above", "below");
    let key = if above_last { "above" } else { "below" };
    if fields.has("clear") {
        refuse_clear(fields, key, "above and below together");
    }
    let (above, below) = (above?, below?);
    if above >= below {
        let (low, high) = (above.min(below), above.max(below));
        let problem = Problem::new(format!("no value is above {above} and below {below}"));
        fields.error(key, problem.help(format!("to alert outside a band write outside = [{low}, {high}]")));
        return None;
    }
    let problem = Problem::new(format!("fires while the value is between {above} and {below}"));
    fields.warning(key, problem.help(format!("to alert outside a band write outside = [{above}, {below}]")));
    Some(RuleCondition {
        kind: ConditionKind::OneSensor(Condition::Between { above, below }),
        key,
        place: fields.place(key),
    })
}

/// Why a condition is no use on a sensor that is plausible from `low` to `high`: it never holds, always holds, or once it
/// has held never clears.
pub(crate) fn pointless(condition: &Condition, low: f64, high: f64) -> Option<String> {
    match *condition {
        Condition::Above { limit, clear } => {
            upper(limit, clear, low, high).map(|why| why.to_string("above", limit, clear))
        }
        // The same, mirrored.
        Condition::Below { limit, clear } => {
            upper(-limit, -clear, -high, -low).map(|why| why.to_string("below", limit, clear))
        }
        Condition::Between { above, below } if above >= high || below <= low => {
            Some(format!("no plausible value is between {above} and {below}"))
        }
        Condition::Outside { low: least, high: most, .. } if least <= low && most >= high => {
            Some(format!("no plausible value is outside {least} to {most}"))
        }
        Condition::Outside { low: least, high: most, .. } if least > high || most < low => {
            Some(format!("every plausible value is outside {least} to {most}"))
        }
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Pointless {
    Never,
    Always,
    ForEver,
}

fn upper(limit: f64, clear: f64, low: f64, high: f64) -> Option<Pointless> {
    if limit.partial_cmp(&high) != Some(Ordering::Less) {
        Some(Pointless::Never)
    } else if limit < low {
        Some(Pointless::Always)
    } else if clear < low {
        Some(Pointless::ForEver)
    } else {
        None
    }
}

impl Pointless {
    fn to_string(self, word: &str, limit: f64, clear: f64) -> String {
        match self {
            Pointless::Never => format!("no plausible value is {word} {limit}"),
            Pointless::Always => format!("every plausible value is {word} {limit}"),
            Pointless::ForEver => format!("every plausible value is {word} {clear}, so an alert would never clear"),
        }
    }
}
