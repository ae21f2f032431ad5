//! What a configuration watches and whom it tells, and what of the one before is gone.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use tilth_config::Loaded;
use tilth_core::id::{Id, SensorId};
use tilth_core::plan::Severity;

/// So many names of a kind are listed; more are counted.
const MAX_NAMED: usize = 12;

/// What a configuration has. What the agent watches of itself is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Roster {
    zones: BTreeSet<Id>,
    sensors: BTreeSet<SensorId>,
    /// Rules bound to sensors.
    rules: usize,
    /// Those by which a rule may tell people.
    channels: BTreeSet<Id>,
}

/// What a configuration has no more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct Gone {
    zones: Vec<Id>,
    sensors: Vec<SensorId>,
    channels: Vec<Id>,
}

impl Roster {
    /// None where there is an error.
    pub(super) fn of(loaded: &Loaded) -> Option<Roster> {
        let plan = loaded.plan.as_ref()?;
        let sensors = plan.sensors().iter().filter(|sensor| loaded.feeds.contains_key(&sensor.id));
        let levels = plan.rules().flat_map(|rule| {
            let worse = Severity::ALL.into_iter().filter(|severity| *severity >= rule.severity);
            worse.map(|severity| rule.escalation.level(severity))
        });
        Some(Roster {
            zones: sensors.clone().map(|sensor| sensor.zone.clone()).collect(),
            sensors: sensors.map(|sensor| sensor.id.clone()).collect(),
            rules: plan.rules().filter(|rule| loaded.feeds.contains_key(&rule.key.sensor)).count(),
            channels: levels.flat_map(|level| level.channels.iter().cloned()).collect(),
        })
    }

    /// What there was and is not any more.
    pub(super) fn gone_since(&self, before: &Roster) -> Gone {
        Gone {
            zones: before.zones.difference(&self.zones).cloned().collect(),
            sensors: before.sensors.difference(&self.sensors).cloned().collect(),
            channels: before.channels.difference(&self.channels).cloned().collect(),
        }
    }
}

impl Gone {
    pub(super) fn is_empty(&self) -> bool {
        *self == Gone::default()
    }
}

impl fmt::Display for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Roster { zones, sensors, rules, channels } = self;
        let (sensors, zones, rules) =
            (counted(sensors.len(), "sensor"), counted(zones.len(), "zone"), counted(*rules, "rule"));
        let channels: Vec<&str> = channels.iter().map(Id::as_str).collect();
        let channels = if channels.is_empty() { "none".to_owned() } else { channels.join(", ") };
        write!(f, "{sensors} in {zones}, {rules}, channels: {channels}")
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            named("zone", self.zones.iter().map(Id::as_str)),
            named("sensor", self.sensors.iter().map(SensorId::as_str)),
            named("channel", self.channels.iter().map(Id::as_str)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

fn named<'a>(what: &str, names: impl ExactSizeIterator<Item = &'a str>) -> Option<String> {
    let count = names.len();
    let many = match count {
        0 => return None,
        1 => "",
        _ => "s",
    };
    let shown: Vec<&str> = names.take(MAX_NAMED).collect();
    let more = count.saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{what}{many} {}{more}", shown.join(", ")))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted() {
        let sensors = (10..30).map(|n| SensorId::new(&format!("room/s{n}")).unwrap()).collect();
        let gone = Gone { sensors, channels: vec![Id::new("phone").unwrap()], ..Gone::default() };
        let shown = gone.to_string();
        assert!(shown.starts_with("sensors room/s10, room/s11, "), "{shown}");
        assert!(shown.ends_with(", room/s21 and 8 more, channel phone"), "{shown}");
        assert!(!gone.is_empty() && Gone::default().is_empty());
    }
}
