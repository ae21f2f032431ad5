//! Which sensor another one is compared with.

use tilth_core::id::SensorId;
use tilth_core::rules::Condition;

use super::Binder;
use crate::conditions::{ConditionKind, Difference};
use crate::diagnostic::{Level, Problem};
use crate::path;
use crate::reader;
use crate::rules::Rule;
use crate::selector::{Glob, Selector};
use crate::sensor_list::SensorEntry;

impl<'a> Binder<'a> {
    /// The condition of a rule for one sensor; `None` where the other sensor that it needs is missing, which is a finding.
    pub(super) fn condition(&mut self, rule: &Rule, entry: &SensorEntry) -> Option<Condition> {
        let difference = match &rule.condition.kind {
            ConditionKind::OneSensor(condition) => return Some(condition.clone()),
            ConditionKind::Difference(difference) => difference,
        };
        let other = match &difference.other {
            Selector::One(id) => self.named(rule, entry, id),
            Selector::Glob(glob) => self.of_its_zone(rule, entry, glob),
        }?;
        self.can_differ(rule, difference, entry, other).then(|| difference.from(&other.sensor.id))
    }

    fn named(&mut self, rule: &Rule, entry: &SensorEntry, id: &SensorId) -> Option<&'a SensorEntry> {
        let (parts, own) = (self.parts, &entry.sensor);
        if *id == own.id {
            // A glob may well mean the one that all others are compared with.
            if matches!(rule.selector, Selector::One(_)) {
                let problem = Problem::new("a sensor cannot be compared with itself");
                self.say(rule, problem.help(format!("expected another sensor of {}", own.quantity)));
            }
            return None;
        }
        if !parts.sensors.names.contains_key(id.as_str()) {
            let others = parts.sensors.names.keys().filter(|name| name.as_str() != own.id.as_str());
            self.say(rule, reader::unknown_name("sensor", id.as_str(), "sensors", others, parts.log));
            return None;
        }
        // A sensor whose own entry is wrong is named there.
        let other = parts.sensors.get(id)?;
        if !other.enabled {
            self.add_rule_finding(
                rule,
                Level::Warning,
                format!("{} is not compared: {id} is not enabled", own.id),
                None,
            );
            return None;
        }
        self.measures_the_same(rule, entry, other).then_some(other)
    }

    /// The one sensor of the zone that fits a glob and measures the same.
    fn of_its_zone(&mut self, rule: &Rule, entry: &SensorEntry, glob: &Glob) -> Option<&'a SensorEntry> {
        let (parts, own) = (self.parts, &entry.sensor);
        let zone = glob.zone.contains('*').then_some(&own.zone);
        let fitting = parts.sensors.watched(&Selector::Glob(glob.clone()), None, zone);
        let is_same = |other: &&&SensorEntry| other.sensor.quantity == own.quantity;
        let others: Vec<&SensorEntry> =
            fitting.iter().filter(is_same).filter(|other| other.sensor.id != own.id).copied().collect();
        match others.as_slice() {
            [other] => Some(*other),
            // The sensor itself is the one that others are compared with.
            [] if glob.matches(&own.id) => None,
            [] => {
                if let Some(other) = fitting.first() {
                    self.measures_the_same(rule, entry, other);
                    return None;
                }
                let within = zone.map_or_else(String::new, |zone| format!(" of zone {zone}"));
                let message = format!("{} is not compared: no enabled sensor{within} fits {glob}", own.id);
                let help = format!("expected such a sensor, or a sensor = \"..\" that leaves {} out", own.id);
                self.add_rule_finding(rule, Level::Warning, message, Some(help));
                None
            }
            [first, second, ..] => {
                let (first, second) = (&first.sensor.id, &second.sensor.id);
                let message = format!("{first} and {second} both fit {glob} for {}", own.id);
                let help = "expected one sensor to compare with".to_owned();
                self.add_rule_finding(rule, Level::Error, message, Some(help));
                None
            }
        }
    }

    fn measures_the_same(&mut self, rule: &Rule, entry: &SensorEntry, other: &SensorEntry) -> bool {
        let (own, other) = (&entry.sensor, &other.sensor);
        if own.quantity == other.quantity {
            return true;
        }
        let message = format!("{} measures {}, and {} {}", own.id, own.quantity, other.id, other.quantity);
        let help = match rule.selector {
            Selector::One(_) => format!("expected a sensor of {}", own.quantity),
            Selector::Glob(_) => format!("expected quantity = \"{}\" beside it, or a narrower sensor", other.quantity),
        };
        self.add_rule_finding(rule, Level::Error, message, Some(help));
        false
    }

    fn can_differ(&mut self, rule: &Rule, difference: &Difference, entry: &SensorEntry, other: &SensorEntry) -> bool {
        let path = path::join(&rule.path, difference.limit_key);
        if let Some(why) = difference.pointless(entry, other) {
            self.add_finding(difference.limit_at, Level::Error, path, format!("impossible limit: {why}"), None);
            return false;
        }
        if difference.is_of_nothing(other) {
            let message = format!("{} may be 0, and any difference is above by_percent then", other.sensor.id);
            let help = Some(format!("expected by, in the unit of {}", other.sensor.quantity));
            self.add_finding(difference.limit_at, Level::Warning, path, message, help);
        }
        true
    }

    fn say(&self, rule: &Rule, problem: Problem) {
        self.parts.log.error(rule.condition.place, &path::join(&rule.path, rule.condition.key), problem);
    }

    fn add_rule_finding(&mut self, rule: &Rule, level: Level, message: String, help: Option<String>) {
        let path = path::join(&rule.path, rule.condition.key);
        self.add_finding(rule.condition.place, level, path, message, help);
    }
}
