//! Settings of a zone that its rules and sensors use: time zone, defaults by quantity, schedules, channels and policies.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use tilth_core::quantity::Quantity;
use tilth_core::time::Span;
use tilth_core::value::Resolution;

use crate::channels::{self, Channels};
use crate::diagnostic::{Diagnostics, Problem};
use crate::document::{Effective, View, ZONES};
use crate::escalation::{self, Policies};
use crate::namespaces::{AGENT, QUANTITY};
use crate::path;
use crate::reader::{self, Fields};
use crate::rules::{self, AlertSettings};
use crate::schedules::{self, Schedules};
use crate::tree::Node;

/// The namespaces of settings; a zone that sets nothing in any of them shares the device's settings.
const SETTINGS: [&str; 4] = ["agent", "schedules", "notifications", "escalation"];

/// The settings of the device, or of a zone that has its own.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Time zone of times that people read, and of schedules that name none.
    pub(crate) timezone: Option<TimeZone>,
    pub(crate) quantities: BTreeMap<Quantity, Plausibility>,
    pub(crate) schedules: Schedules,
    pub(crate) channels: Channels,
    pub(crate) policies: Policies,
    /// Alert for a sensor at fault.
    pub(crate) sensor_fault: Option<AlertSettings>,
    /// Alert for a bus that is down; the same for all zones.
    pub(crate) bus_down: Option<AlertSettings>,
    /// Alert for a bus that carries nothing.
    pub(crate) bus_silent: Option<AlertSettings>,
    /// Alert for a channel that cannot send; the same for all zones.
    pub(crate) channel_down: Option<AlertSettings>,
    pub(crate) hub_refuses: Option<AlertSettings>,
    /// Alert for actuators with a total that must not run.
    pub(crate) dosing_stopped: Option<AlertSettings>,
}

/// Plausible values of a sensor, or of all sensors of a quantity.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plausibility {
    pub(crate) resolution: Option<Resolution>,
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) max_rate: Option<f64>,
    pub(crate) stuck_for: Option<Span>,
}

/// The settings of every zone. Most zones share the device's.
#[derive(Debug)]
pub(crate) struct Zones {
    device: Settings,
    own: BTreeMap<String, Settings>,
}

impl Zones {
    pub(crate) fn read(effective: &Effective, log: &Diagnostics) -> Zones {
        let device = read(effective.device(), "", log);
        let zones = effective.zones().into_iter().flatten().filter_map(|(zone, _)| {
            let view = effective.zone(zone);
            let has_own = SETTINGS.into_iter().any(|name| view.own(name).is_some());
            has_own.then(|| (zone.clone(), read(view, &path::join(ZONES, zone), log)))
        });
        Zones { device, own: zones.collect() }
    }

    /// The settings of a zone.
    pub(crate) fn settings(&self, zone: &str) -> &Settings {
        self.own.get(zone).unwrap_or(&self.device)
    }

    /// The settings of the whole device.
    pub(crate) fn device(&self) -> &Settings {
        &self.device
    }

    /// All settings there are, the device's first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Settings> {
        std::iter::once(&self.device).chain(self.own.values())
    }
}

/// Reads the settings of a view; `at` is the path of the zone, or empty.
fn read(view: View<'_>, at: &str, log: &Diagnostics) -> Settings {
    let at = |namespace| path::under(at, namespace);
    let (agent, agent_path) = (view.namespace("agent"), at("agent"));
    // A table without keys lacks nothing that would have to be said at a place.
    let fields = agent.values().next().map(|first| Fields::over(&agent, agent_path, first.key, &AGENT, log));
    let timezone = fields.as_ref().and_then(|fields| {
        let zone = fields.optional("timezone", |node| schedules::timezone(node, log));
        // In place of one that is wrong, so that its schedules do not say on top that there is none.
        zone.or_else(|| fields.has("timezone").then_some(TimeZone::UTC))
    });
    let alert = |key| fields.as_ref().and_then(|fields| fields.table(key)).map(rules::read_alert_settings);
    let [sensor_fault, bus_down, bus_silent, channel_down, hub_refuses, dosing_stopped] =
        ["sensor_fault", "bus_down", "bus_silent", "channel_down", "hub_refuses", "dosing_stopped"].map(alert);
    let quantities = fields.as_ref().map(|fields| read_quantities(fields, log)).unwrap_or_default();
    if let Some(fields) = fields {
        fields.finish();
    }
    let schedules = schedules::read(&view.namespace("schedules"), timezone.as_ref(), &at("schedules"), log);
    let channels = channels::read_channels(&view.namespace("notifications"), &at("notifications"), log);
    let policies = escalation::read_policies(&view.namespace("escalation"), &channels, &at("escalation"), log);
    Settings {
        timezone,
        quantities,
        schedules,
        channels,
        policies,
        sensor_fault,
        bus_down,
        bus_silent,
        channel_down,
        hub_refuses,
        dosing_stopped,
    }
}

fn read_quantities(agent: &Fields<'_>, log: &Diagnostics) -> BTreeMap<Quantity, Plausibility> {
    let names = Quantity::ALL.map(Quantity::name);
    let quantities = agent.entries("quantities").filter_map(|(name, entry)| {
        let path = path::join(&path::join(&agent.path, "quantities"), name);
        let Some(quantity) = Quantity::from_name(name) else {
            log.error(entry.key, &path, reader::unknown_key(name, &names, log));
            return None;
        };
        let fields = Fields::of(entry, path, &QUANTITY, log)?;
        let judging = Plausibility::read(&fields);
        fields.finish();
        Some((quantity, judging))
    });
    quantities.collect()
}

impl Plausibility {
    /// Reads the four keys that a sensor and a quantity have in common.
    pub(crate) fn read(fields: &Fields<'_>) -> Plausibility {
        Plausibility {
            resolution: fields.optional("resolution", resolution),
            range: fields.optional("range", reader::span_of_values),
            max_rate: fields.optional("max_rate", reader::positive),
            stuck_for: fields.optional("stuck_for", reader::some_duration),
        }
    }

    /// Takes these figures, and those of `other` where one is not set.
    pub(crate) fn or(self, other: Plausibility) -> Plausibility {
        Plausibility {
            resolution: self.resolution.or(other.resolution),
            range: self.range.or(other.range),
            max_rate: self.max_rate.or(other.max_rate),
            stuck_for: self.stuck_for.or(other.stuck_for),
        }
    }
}

fn resolution(node: &Node) -> Result<Resolution, Problem> {
    let number = reader::number(node)?;
    Resolution::new(number).map_err(|error| Problem::new(format!("{error}, found {node}")))
}
