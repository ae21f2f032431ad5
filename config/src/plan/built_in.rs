//! Built-in sensors and rules: the state of each bus, of modems, of the hub and of dosing, which the agent itself feeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tilth_core::calibrate::Calibration;
use tilth_core::id::{Id, SensorId};
use tilth_core::plan::{AlertKey, Policy};
use tilth_core::quantity::Quantity;
use tilth_core::rules::Condition;
use tilth_core::sensor::Sensor;
use tilth_core::time::Span;
use tilth_core::value::Resolution;

use super::{Binder, RuleBindings};
use crate::channels::Target;
use crate::rules::{self, AlertSettings};
use crate::sensor_list::SensorEntry;
use crate::source::Place;

/// A sensor is not overdue sooner than this, however often it speaks: a board that restarts is back before.
const SOONEST_SILENT: Span = Span::from_mins(1);

/// A sensor is overdue after this many of its intervals: two readings may be lost.
const SILENT_INTERVALS: i64 = 3;

/// A sensor that is 1 while all is well and 0 while it is not, and what is said then.
struct Watched<'a> {
    id: SensorId,
    rule: &'static str,
    /// Message when the alert resolves.
    resolved: &'static str,
    alert: Option<&'a AlertSettings>,
    /// Place to name where there are too many rules.
    place: Option<Place>,
    /// A channel that cannot tell of it.
    mute: Option<&'a Id>,
}

impl<'a> Binder<'a> {
    /// The sensors; their rules are bound.
    pub(super) fn built_in(&mut self, within: &BTreeMap<&SensorId, Span>) -> Vec<Sensor> {
        let mut made = self.buses(within);
        made.extend(self.channels());
        made.extend(self.hub());
        made.extend(self.doses());
        made
    }

    /// For each line of the machine that a sensor or an actuator is on, a state sensor of the line: while the line is down, its sensors page nobody.
    fn buses(&mut self, within: &BTreeMap<&SensorId, Span>) -> Vec<Sensor> {
        let parts = self.parts;
        let Some(agent_toml) = parts.agent_toml else { return Vec::new() };
        let alert = parts.zones.device().bus_down.as_ref();
        let mut wanted = BTreeMap::new();
        for entry in parts.sensors.entries.iter().filter(|entry| entry.enabled) {
            if let Some(bus) = entry.sensor.bus.as_ref().filter(|bus| agent_toml.buses.contains_key(*bus)) {
                wanted.entry(bus).or_insert(Some(entry.key));
            }
        }
        let actuators = parts.actuators.values().flatten().filter(|actuator| actuator.enabled);
        for bus in actuators.map(|actuator| actuator.output.bus()).filter(|bus| agent_toml.buses.contains_key(*bus)) {
            wanted.entry(bus).or_insert(None);
        }
        let silent_after = self.silent_after(within);
        let watched = |(bus, place): (&Id, Option<Place>)| {
            let (rule, resolved) = (rules::BUS_DOWN, "bus {name} is back");
            let watched = Watched { id: SensorId::of_bus(bus), rule, resolved, alert, place, mute: None };
            let sensor = Sensor { state_of_bus: Some(bus.clone()), ..self.watch(&watched)? };
            if let (Some(after), Some(place)) = (silent_after.get(bus), place) {
                self.watch_silence(&sensor, *after, place);
            }
            Some(sensor)
        };
        wanted.into_iter().filter_map(watched).collect()
    }

    /// After how long each line is silent: as soon as one of its sensors is overdue. None for a line with a sensor whose interval is unknown.
    fn silent_after(&self, within: &BTreeMap<&SensorId, Span>) -> BTreeMap<Id, Span> {
        let mut spans = BTreeMap::new();
        for entry in self.parts.sensors.entries.iter().filter(|entry| entry.enabled) {
            if let Some((bus, span)) = entry.sensor.bus.as_ref().zip(within.get(&entry.sensor.id)) {
                shorten(&mut spans, bus.clone(), *span);
            }
        }
        spans
    }

    /// After how long without a reading each sensor on a line is overdue.
    pub(super) fn heard_within(&self) -> BTreeMap<&'a SensorId, Span> {
        let on_line = |entry: &&'a SensorEntry| entry.enabled && entry.sensor.bus.is_some();
        let on_lines: BTreeMap<&SensorId, &SensorEntry> =
            self.parts.sensors.entries.iter().filter(on_line).map(|entry| (&entry.sensor.id, entry)).collect();
        let mut spans = BTreeMap::new();
        for (id, entry) in &on_lines {
            if let Some(interval) = entry.settings.interval {
                shorten(&mut spans, *id, Span(interval.0.saturating_mul(SILENT_INTERVALS)));
            }
        }
        for rule in &self.bound {
            if let (Condition::MissingFor(span), Some((id, _))) =
                (&rule.condition, on_lines.get_key_value(&rule.key.sensor))
            {
                shorten(&mut spans, *id, *span);
            }
        }
        spans.values_mut().for_each(|after| *after = SOONEST_SILENT.max(*after));
        spans
    }

    fn watch_silence(&mut self, sensor: &Sensor, after: Span, place: Place) {
        let settings = self.parts.zones.device();
        let Some(alert) = settings.bus_silent.as_ref().filter(|alert| alert.enabled) else { return };
        let Some(escalation) = self.policy(&alert.escalation, settings) else { return };
        let Ok(rule) = Id::new(rules::BUS_SILENT) else { return };
        let key = AlertKey { zone: sensor.zone.clone(), rule, sensor: sensor.id.clone() };
        let bindings = RuleBindings::built_in(escalation, None);
        self.push(key, Condition::MissingFor(after), alert, bindings, place);
    }

    /// For each modem a state sensor: SMS that it does not send would not be missed.
    fn channels(&mut self) -> Vec<Sensor> {
        let parts = self.parts;
        if parts.agent_toml.is_none() {
            return Vec::new();
        }
        let alert = parts.zones.device().channel_down.as_ref();
        let channels = parts.zones.all().flat_map(|settings| settings.channels.values().flatten());
        let modems = channels.filter(|(_, channel)| matches!(channel.target, Target::Modem { .. }));
        let modems: BTreeSet<&Id> = modems.map(|(id, _)| id).collect();
        let watched = |channel| {
            let (id, rule, resolved) =
                (SensorId::of_channel(channel), rules::CHANNEL_DOWN, "channel {name} can send again");
            self.watch(&Watched { id, rule, resolved, alert, place: None, mute: Some(channel) })
        };
        modems.into_iter().filter_map(watched).collect()
    }

    /// A policy by which a channel does not tell: of each level the others do, or all there are where it had this one alone.
    fn without(&self, policy: &Policy, channel: &Id) -> Policy {
        let all = self.parts.zones.device().channels.values().flatten().map(|(id, _)| id);
        let others: Vec<Id> = all.filter(|other| *other != channel).cloned().collect();
        let mut policy = policy.clone();
        for level in &mut policy.levels {
            level.channels.retain(|other| other != channel);
            if level.channels.is_empty() {
                level.channels.clone_from(&others);
            }
        }
        policy
    }

    /// Whether the hub takes what this device says: data that stays here unseen is for people to know.
    fn hub(&mut self) -> Option<Sensor> {
        let parts = self.parts;
        parts.agent_toml?.hub.as_ref()?;
        let alert = parts.zones.device().hub_refuses.as_ref();
        self.watch(&Watched {
            id: SensorId::hub_accepts(),
            rule: rules::HUB_REFUSES,
            resolved: "the hub accepts this device again",
            alert,
            place: None,
            mute: None,
        })
    }

    /// Whether actuators with a total may run.
    fn doses(&mut self) -> Option<Sensor> {
        let parts = self.parts;
        parts.agent_toml?;
        parts.actuators.values().flatten().find(|actuator| actuator.has_total())?;
        self.watch(&Watched {
            id: SensorId::doses(),
            rule: rules::DOSING_STOPPED,
            resolved: "doses are recorded, and those of before are known",
            alert: parts.zones.device().dosing_stopped.as_ref(),
            place: None,
            mute: None,
        })
    }

    fn watch(&mut self, watched: &Watched<'_>) -> Option<Sensor> {
        let Watched { id, rule, resolved, alert, place, mute } = watched;
        let sensor = contact(id.clone())?;
        let settings = self.parts.zones.device();
        if let Some(alert) = alert.filter(|alert| alert.enabled)
            && let Some(escalation) = self.policy(&alert.escalation, settings)
        {
            let key = AlertKey { zone: sensor.zone.clone(), rule: Id::new(rule).ok()?, sensor: sensor.id.clone() };
            let escalation = mute.map_or(Arc::clone(&escalation), |mute| Arc::new(self.without(&escalation, mute)));
            let bindings = RuleBindings::built_in(escalation, Some(rules::shipped(resolved)));
            self.push(
                key,
                Condition::Below { limit: 1.0, clear: 1.0 },
                alert,
                bindings,
                place.unwrap_or(alert.hold_at),
            );
        }
        Some(sensor)
    }
}

fn shorten<K: Ord>(spans: &mut BTreeMap<K, Span>, of: K, span: Span) {
    let shortest = spans.entry(of).or_insert(span);
    *shortest = span.min(*shortest);
}

/// A sensor of the agent itself: 1 or 0, without faults of its own, and never stale.
fn contact(id: SensorId) -> Option<Sensor> {
    Some(Sensor {
        zone: id.zone(),
        id,
        quantity: Quantity::Contact,
        resolution: Resolution::new(1.0).ok()?,
        calibration: Calibration::Identity,
        range: None,
        max_rate: None,
        stuck_for: None,
        stale_after: None,
        bus: None,
        heard_within: None,
        state_of_bus: None,
    })
}
