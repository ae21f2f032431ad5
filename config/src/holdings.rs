//! What a configuration has, and what another had that it has not: a file that vanished is no error, and must be noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use tilth_core::id::{Id, SensorId};

use crate::Loaded;

/// More names of a kind are counted.
const NAMED: usize = 5;

/// All that a configuration names. What the agent adds by itself is none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// With their zones.
    sensors: BTreeMap<SensorId, Id>,
    /// Each rule, and to how many sensors it is bound.
    rules: BTreeMap<Id, u64>,
    channels: BTreeSet<Id>,
}

/// How much it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    sensors: u64,
    zones: u64,
    /// As often as they are bound to a sensor.
    rules: u64,
}

/// What is not there any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    zones: Vec<Id>,
    /// Sensors that are gone from zones that are still there.
    sensors: Vec<SensorId>,
    rules: Vec<Id>,
    channels: Vec<Id>,
}

/// A configuration as it came into force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    #[serde(default)]
    has: Counts,
    /// How much it was before, where it was another number.
    #[serde(default)]
    before: Option<Counts>,
    #[serde(default)]
    gone: Gone,
}

impl Holdings {
    /// Of a configuration without errors.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Holdings {
        let Some(plan) = &loaded.plan else { return Holdings::default() };
        let sensors = plan.sensors().iter().filter(|sensor| loaded.feeds.contains_key(&sensor.id));
        let sensors: BTreeMap<_, _> = sensors.map(|sensor| (sensor.id.clone(), sensor.zone.clone())).collect();
        let mut rules = BTreeMap::new();
        for rule in plan.rules().filter(|rule| sensors.contains_key(&rule.key.sensor)) {
            *rules.entry(rule.key.rule.clone()).or_default() += 1;
        }
        Holdings { sensors, rules, channels: loaded.channels.keys().cloned().collect() }
    }

    /// After that which was in force before, where it is known.
    #[must_use]
    pub fn after(&self, before: Option<&Holdings>) -> Entered {
        let has = self.counts();
        let (then, gone) =
            before.map(|before| (before.counts(), self.gone_since(before))).unwrap_or((has.clone(), Gone::default()));
        Entered { before: Some(then).filter(|then| *then != has), has, gone }
    }

    fn counts(&self) -> Counts {
        Counts {
            sensors: self.sensors.len() as u64,
            zones: self.zones().len() as u64,
            rules: self.rules.values().sum(),
        }
    }

    fn gone_since(&self, before: &Holdings) -> Gone {
        let zones = self.zones();
        let is_gone = |(sensor, zone): &(&SensorId, &Id)| zones.contains(zone) && !self.sensors.contains_key(*sensor);
        Gone {
            zones: before.zones().difference(&zones).map(|zone| (*zone).clone()).collect(),
            sensors: before.sensors.iter().filter(is_gone).map(|(sensor, _)| sensor.clone()).collect(),
            rules: before.rules.keys().filter(|rule| !self.rules.contains_key(*rule)).cloned().collect(),
            channels: before.channels.difference(&self.channels).cloned().collect(),
        }
    }

    fn zones(&self) -> BTreeSet<&Id> {
        self.sensors.values().collect()
    }
}

impl Entered {
    /// What of the configuration before it is gone.
    #[must_use]
    pub fn gone(&self) -> &Gone {
        &self.gone
    }
}

impl Gone {
    /// Whether something is no longer watched, or somebody no longer told.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        !(self.zones.is_empty() && self.sensors.is_empty() && self.channels.is_empty())
    }
}

/// `3 sensors in 1 zone, 13 rules (before: 6 in 2, 25); gone: zone nursery, channels office, phone`.
impl Display for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entered { has, before, gone } = self;
        let (sensors, zones) = (counted(has.sensors, "sensor"), counted(has.zones, "zone"));
        write!(f, "{sensors} in {zones}, {}", counted(has.rules, "rule"))?;
        if let Some(Counts { sensors, zones, rules }) = before {
            write!(f, " (before: {sensors} in {zones}, {rules})")?;
        }
        if *gone == Gone::default() { Ok(()) } else { write!(f, "; gone: {gone}") }
    }
}

impl Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gone { zones, sensors, rules, channels } = self;
        let parts = [named("zone", zones), named("sensor", sensors), named("rule", rules), named("channel", channels)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn named(kind: &str, names: &[impl Display]) -> Option<String> {
    let plural = if names.len() == 1 { "" } else { "s" };
    let shown: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("{kind}{plural} {}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Documents, Layer, Purpose, base, load_documents};

    fn holdings(sensors: &[&str], more: &str) -> Holdings {
        let sensor = |id: &&str| format!("[sensors.'{id}']\nquantity = 'ph'\ninput = 'line:gateway/{id}'\n");
        let text: String = sensors.iter().map(sensor).chain([more.to_owned()]).collect();
        let mut documents: Documents = base();
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &text));
        let site = Document::site("[device]\nid = 'pi-1'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n");
        let loaded = load_documents(Documents { site: Some(site), ..documents }, Purpose::Run);
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        Holdings::of(&loaded)
    }

    #[test]
    fn what_is_gone_is_named_and_what_is_the_same_is_not_said() {
        let phone = "[notifications.phone]\nkind = 'ntfy'\nurl = 'https://ntfy.example'\ntopic = 't'\n";
        let own = "[rules.own]\nsensor = 'tower/*'\nbelow = 5\n";
        let all = holdings(&["tower/a", "tower/b", "nursery/a"], &format!("{phone}{own}"));
        for (now, expected) in [
            (all.clone(), "3 sensors in 2 zones, 14 rules"),
            (
                holdings(&["tower/a", "nursery/a"], own),
                "2 sensors in 2 zones, 9 rules (before: 3 in 2, 14); gone: sensor tower/b, channel phone",
            ),
            (
                holdings(&["tower/a", "tower/b"], own),
                "2 sensors in 1 zone, 10 rules (before: 3 in 2, 14); gone: zone nursery, channel phone",
            ),
            (
                holdings(&["nursery/a", "nursery/b"], ""),
                "2 sensors in 1 zone, 8 rules (before: 3 in 2, 14); gone: zone tower, rule own, channel phone",
            ),
        ] {
            assert_eq!(now.after(Some(&all)).to_string(), expected);
        }
        assert_eq!(all.after(None).to_string(), "3 sensors in 2 zones, 14 rules");
    }
}
