//! Inventory of a configuration: its sensors, rules, channels and actuators, and which of them a change removes. A file that vanished is no error
//! and must be noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use tilth_core::id::{Id, SensorId};

use crate::Loaded;

/// Upper limit of names shown of a kind; the rest is counted.
const MAX_NAMED: usize = 5;

/// Sensors, rules, channels and actuators of a configuration, without those that the agent adds by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Each sensor with its zone.
    sensors: BTreeMap<SensorId, Id>,
    /// Each rule with the number of sensors it is bound to.
    rules: BTreeMap<Id, u64>,
    channels: BTreeSet<Id>,
    #[serde(default)]
    actuators: BTreeSet<Id>,
}

/// Size of an inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryCounts {
    sensors: u64,
    zones: u64,
    /// Rules times the sensors they are bound to.
    rules: u64,
}

/// What a change removes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    zones: Vec<Id>,
    /// Sensors removed from zones that remain.
    sensors: Vec<SensorId>,
    rules: Vec<Id>,
    channels: Vec<Id>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    actuators: Vec<Id>,
}

/// Inventory of a configuration that came into force, beside the one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryChange {
    #[serde(default)]
    has: InventoryCounts,
    /// Size before the change, where it was another.
    #[serde(default)]
    before: Option<InventoryCounts>,
    #[serde(default)]
    gone: Removed,
}

impl Inventory {
    /// Inventory of a configuration without errors.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Inventory {
        let Some(plan) = &loaded.plan else { return Inventory::default() };
        let sensors = plan.sensors().iter().filter(|sensor| loaded.input_settings.contains_key(&sensor.id));
        let sensors: BTreeMap<_, _> = sensors.map(|sensor| (sensor.id.clone(), sensor.zone.clone())).collect();
        let mut rules = BTreeMap::new();
        for rule in plan.rules().filter(|rule| sensors.contains_key(&rule.key.sensor)) {
            *rules.entry(rule.key.rule.clone()).or_default() += 1;
        }
        let actuators = plan.actuators().keys().cloned().collect();
        Inventory { sensors, rules, channels: loaded.channels.keys().cloned().collect(), actuators }
    }

    /// The change from the inventory before, where that is known.
    #[must_use]
    pub fn change_from(&self, before: Option<&Inventory>) -> InventoryChange {
        let has = self.counts();
        let (then, gone) = before
            .map(|before| (before.counts(), self.removed_since(before)))
            .unwrap_or((has.clone(), Removed::default()));
        InventoryChange { before: Some(then).filter(|then| *then != has), has, gone }
    }

    fn counts(&self) -> InventoryCounts {
        InventoryCounts {
            sensors: self.sensors.len() as u64,
            zones: self.zones().len() as u64,
            rules: self.rules.values().sum(),
        }
    }

    fn removed_since(&self, before: &Inventory) -> Removed {
        let zones = self.zones();
        let is_gone = |(sensor, zone): &(&SensorId, &Id)| zones.contains(zone) && !self.sensors.contains_key(*sensor);
        Removed {
            zones: before.zones().difference(&zones).map(|zone| (*zone).clone()).collect(),
            sensors: before.sensors.iter().filter(is_gone).map(|(sensor, _)| sensor.clone()).collect(),
            rules: before.rules.keys().filter(|rule| !self.rules.contains_key(*rule)).cloned().collect(),
            channels: before.channels.difference(&self.channels).cloned().collect(),
            actuators: before.actuators.difference(&self.actuators).cloned().collect(),
        }
    }

    fn zones(&self) -> BTreeSet<&Id> {
        self.sensors.values().collect()
    }
}

impl InventoryChange {
    /// What the change removes.
    #[must_use]
    pub fn removed(&self) -> &Removed {
        &self.gone
    }
}

impl Removed {
    /// Whether something is no longer watched or steered, or somebody no longer told.
    #[must_use]
    pub fn loses_coverage(&self) -> bool {
        let Removed { zones, sensors, rules: _, channels, actuators } = self;
        !(zones.is_empty() && sensors.is_empty() && channels.is_empty() && actuators.is_empty())
    }
}

/// `3 sensors in 1 zone, 13 rules (before: 6 in 2, 25); gone: zone nursery, channels office, phone`.
impl Display for InventoryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InventoryChange { has, before, gone } = self;
        let (sensors, zones) = (counted(has.sensors, "sensor"), counted(has.zones, "zone"));
        write!(f, "{sensors} in {zones}, {}", counted(has.rules, "rule"))?;
        if let Some(InventoryCounts { sensors, zones, rules }) = before {
            write!(f, " (before: {sensors} in {zones}, {rules})")?;
        }
        if *gone == Removed::default() { Ok(()) } else { write!(f, "; gone: {gone}") }
    }
}

impl Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Removed { zones, sensors, rules, channels, actuators } = self;
        let parts = [
            named("zone", zones),
            named("sensor", sensors),
            named("rule", rules),
            named("channel", channels),
            named("actuator", actuators),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn named(kind: &str, names: &[impl Display]) -> Option<String> {
    let plural = if names.len() == 1 { "" } else { "s" };
    let shown: Vec<String> = names.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("{kind}{plural} {}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Documents, Layer, Purpose, base, load_documents};

    fn holdings(sensors: &[&str], more: &str) -> Inventory {
        let sensor = |id: &&str| format!("[sensors.'{id}']\nquantity = 'ph'\ninput = 'line:gateway/{id}'\n");
        let text: String = sensors.iter().map(sensor).chain([more.to_owned()]).collect();
        let mut documents: Documents = base();
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", &text));
        let agent_toml = Document::agent_toml(
            "[device]\nid = 'pi-1'\n[bus.gateway]\nkind = 'line'\nport = '/dev/ttyUSB0'\n[bus.relays]\nkind = 'board'\nport = '/dev/ttyACM0'\n",
        );
        let loaded = load_documents(Documents { agent_toml: Some(agent_toml), ..documents }, Purpose::Run);
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        Inventory::of(&loaded)
    }

    #[test]
    fn what_is_gone_is_named_and_what_is_the_same_is_not_said() {
        let phone = "[notifications.phone]\nkind = 'ntfy'\nurl = 'https://ntfy.example'\ntopic = 't'\n";
        let own = "[rules.own]\nsensor = 'tower/*'\nbelow = 5\n";
        let fan = "[actuators.fan]\nzone = 'tower'\noutput = 'board:relays/relay-0'\nmax_on = '1h'\n";
        let all = holdings(&["tower/a", "tower/b", "nursery/a"], &format!("{phone}{own}{fan}"));
        for (now, expected) in [
            (all.clone(), "3 sensors in 2 zones, 14 rules"),
            (
                holdings(&["tower/a", "nursery/a"], &format!("{own}{fan}")),
                "2 sensors in 2 zones, 9 rules (before: 3 in 2, 14); gone: sensor tower/b, channel phone",
            ),
            (
                holdings(&["tower/a", "tower/b"], own),
                "2 sensors in 1 zone, 10 rules (before: 3 in 2, 14); gone: zone nursery, channel phone, actuator fan",
            ),
            (
                holdings(&["nursery/a", "nursery/b"], ""),
                "2 sensors in 1 zone, 8 rules (before: 3 in 2, 14); gone: zone tower, rule own, channel phone, actuator fan",
            ),
        ] {
            assert_eq!(now.change_from(Some(&all)).to_string(), expected);
        }
        assert_eq!(all.change_from(None).to_string(), "3 sensors in 2 zones, 14 rules");
    }
}
