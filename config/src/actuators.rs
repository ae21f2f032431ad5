//! Actuators as they are written, checked against the sensors and buses that they name.

use std::collections::{BTreeMap, BTreeSet};

use tilth_core::actuator::{Actuator, Output};
use tilth_core::id::{Id, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::target::Target;
use tilth_core::time::Span;

use crate::BusKind;
use crate::agent_toml::{AgentToml, Purpose};
use crate::board_model::{self, BoardModel};
use crate::diagnostic::{Diagnostics, Problem};
use crate::document::{Effective, ZONES};
use crate::dosing::{self, Side};
use crate::namespaces::ACTUATOR;
use crate::path;
use crate::reader::{self, Fields};
use crate::sensor_list::Sensors;
use crate::settings::Zones;
use crate::source::Place;
use crate::targets;
use crate::tree::{Content, Entry, Node};
use crate::wiring;

/// Enough for a large farm on one device.
const MAX_ACTUATORS: usize = 1000;

/// Longest time on of the relays of Tilth's images, by the table at the top of each board's `main.rs`.
const BOARD_MAX_ON: Span = Span::from_mins(10);

/// Kinds of outputs that documents may name one day, and that this version does not drive.
const OTHER_KINDS: [&str; 4] = ["modbus", "gpio", "mqtt", "webhook"];

/// Reads the entries of `actuators`.
pub(crate) struct ActuatorReader<'a> {
    pub(crate) effective: &'a Effective,
    pub(crate) zones: &'a Zones,
    pub(crate) sensors: &'a Sensors,
    pub(crate) agent_toml: Option<&'a AgentToml>,
    /// The buses that `agent.toml` names, also those that are wrong.
    pub(crate) named_buses: &'a BTreeSet<String>,
    pub(crate) purpose: Purpose,
    pub(crate) log: &'a Diagnostics,
}

/// Actuators by name. One that is wrong is there without its definition, so that rules may still name it.
pub(crate) type Actuators = BTreeMap<String, Option<Actuator>>;

/// An actuator with what its names stand for not looked for yet.
struct Written {
    actuator: Actuator,
    path: String,
    output: Place,
    excludes: Place,
    target: Option<Target>,
}

impl ActuatorReader<'_> {
    /// The actuators, and what some of them follow.
    pub(crate) fn read(&self) -> (Actuators, Vec<Target>) {
        let mut all = self.of_device();
        self.add_of_zones(&mut all);
        if let Some((name, Some(written))) = all.iter().nth(MAX_ACTUATORS) {
            let problem = Problem::new(format!("more than {MAX_ACTUATORS} actuators"));
            self.log.error(written.output, &path::join("actuators", name), problem);
        }
        self.check_names(&all);
        let targets = all.values().flatten().filter_map(|written| written.target.clone()).collect();
        (all.into_iter().map(|(name, written)| (name, written.map(|written| written.actuator))).collect(), targets)
    }

    /// Actuators that the device has, each with what its zone says of it.
    fn of_device(&self) -> BTreeMap<String, Option<Written>> {
        let device = self.effective.device().namespace("actuators");
        let of_device = device.iter().filter_map(|(name, entry)| {
            let zone = entry.node.get(["zone"]).and_then(Node::as_text);
            let own = zone
                .filter(|zone| self.effective.zone(zone).own("actuators").is_some_and(|own| own.contains_key(name)));
            let written = match own {
                Some(zone) => {
                    let merged = self.effective.zone(zone).entry("actuators", name)?;
                    self.one(name, &merged, own, zone_path(zone, name))
                }
                None => self.one(name, entry, None, path::join("actuators", name)),
            };
            Some((name.clone(), written))
        });
        of_device.collect()
    }

    /// Actuators that only a zone has.
    fn add_of_zones(&self, all: &mut BTreeMap<String, Option<Written>>) {
        let device = self.effective.device().namespace("actuators");
        for (zone, entry) in self.effective.zones().into_iter().flatten() {
            let own = entry.node.as_table().and_then(|own| own.get("actuators")?.node.as_table());
            for (name, own) in own.into_iter().flatten().filter(|(_, own)| own.node.content != Content::Null) {
                let path = zone_path(zone, name);
                if !device.contains_key(name) && !all.contains_key(name) {
                    all.insert(name.clone(), self.one(name, own, Some(zone), path));
                } else if device.get(name).is_none_or(|of_device| !is_of_zone(of_device, zone)) {
                    let problem = Problem::new(format!("{name} is an actuator of another zone")).across_documents();
                    self.log.error(own.key, &path, problem.help("names of actuators are unique on a device"));
                }
            }
        }
    }

    /// Reads an actuator; `zone` is the one under which it stands.
    fn one(&self, name: &str, entry: &Entry, zone: Option<&str>, path: String) -> Option<Written> {
        let fields = Fields::of(entry, path, &ACTUATOR, self.log)?;
        let id = reader::entry_id(name, &fields, self.log);
        let zone = match zone.filter(|_| !fields.has("zone")) {
            Some(zone) => Id::new(zone).ok(),
            None => fields.required("zone", reader::id),
        };
        let output = fields.required("output", |node| output(node, self.log));
        if let Some(output) = &output {
            self.check_output(&fields, output);
        }
        let mut needs_fresh = self.needs_fresh(&fields);
        let target = self.target(&fields, id.as_ref(), zone.as_ref());
        needs_fresh.extend(target.iter().map(|target| target.sensor.clone()));
        let excludes = fields.list("excludes", "a list of actuators such as [\"base-pump\"]", reader::id);
        let normally_energised = fields.or_default("normally_energised", reader::boolean);
        let limit = |key| fields.optional(key, reader::some_duration);
        let actuator = Actuator {
            id: id?,
            zone: zone?,
            output: output?,
            enabled: fields.or_default("enabled", reader::boolean),
            normally_energised,
            is_alarm: false,
            max_on: limit("max_on"),
            min_off: fields.or_default("min_off", reader::duration),
            dose_per_hour: limit("dose_per_hour"),
            dose_per_day: limit("dose_per_day"),
            excludes: excludes.unwrap_or_default().into_iter().collect(),
            needs_fresh,
        };
        check_limits(&fields, &actuator, target.is_some(), self.model(actuator.output.bus()));
        let (path, output, excludes) = (fields.path.clone(), fields.place("output"), fields.place("excludes"));
        fields.finish();
        Some(Written { actuator, path, output, excludes, target })
    }

    /// What an actuator follows.
    fn target(&self, fields: &Fields<'_>, id: Option<&Id>, zone: Option<&Id>) -> Option<Target> {
        let table = fields.table("target")?;
        if fields.or_default("normally_energised", reader::boolean) {
            let problem = Problem::new("an actuator that is normally energised follows no sensor");
            fields.error("target", problem.help("take the table out").across_documents());
        }
        let schedules = &zone.map_or(self.zones.device(), |zone| self.zones.settings(zone.as_str())).schedules;
        let is_enabled = fields.or_default("enabled", reader::boolean);
        let followed = |id: &SensorId| Some(&self.sensors.get(id).filter(|_| is_enabled)?.sensor);
        let target = targets::read(table, id?, |node| self.needed(node), followed, schedules, self.log)?;
        let is_ph = self.sensors.get(&target.sensor).is_some_and(|entry| entry.sensor.quantity == Quantity::Ph);
        let wrong = is_ph.then(|| dosing::wrong_direction(&target.actuator, Side::of_target(target.on))).flatten();
        if let Some((wrong, help)) = wrong {
            fields.error("target", Problem::new(wrong).help(help).across_documents());
        }
        Some(target)
    }

    /// The model of the board on a bus, where it is known.
    fn model(&self, bus: &Id) -> Option<BoardModel> {
        self.agent_toml?.buses.get(bus)?.model
    }

    /// The sensors that an actuator needs. Each must be able to become stale, or its last value would count for ever.
    fn needs_fresh(&self, fields: &Fields<'_>) -> BTreeSet<SensorId> {
        let read = |node: &Node| self.needed(node);
        let named = fields.list("needs_fresh", "a list of sensors such as [\"tower-1/ph\"]", read);
        named.unwrap_or_default().into_iter().collect()
    }

    fn needed(&self, node: &Node) -> Result<SensorId, Problem> {
        let id = reader::sensor_id(node)?;
        match self.sensors.get(&id) {
            None if self.sensors.names.contains_key(id.as_str()) => Ok(id),
            None => Err(reader::unknown_name("sensor", id.as_str(), "sensors", self.sensors.names.keys(), self.log)),
            Some(entry) if !entry.enabled => Err(Problem::new(format!("{id} is not enabled"))),
            Some(entry) if entry.sensor.stale_after.is_none() => {
                let problem = Problem::new(format!("{id} is never stale, so its last value would count for ever"));
                Err(problem.help("set interval or stale_after of the sensor").across_documents())
            }
            Some(_) => Ok(id),
        }
    }

    /// Whether the machine has the bus of an output.
    fn check_output(&self, fields: &Fields<'_>, output: &Output) {
        let bus = output.bus();
        let at = path::join(&fields.path, "output");
        let say = |problem| self.purpose.say(self.log, fields.place("output"), &at, problem);
        match self.agent_toml.and_then(|agent_toml| agent_toml.buses.get(bus)) {
            Some(found) if found.kind != BusKind::Board => {
                let problem = Problem::new(format!("the bus {bus} is of kind {} in agent.toml", found.kind));
                say(problem.help(format!("expected {}", BusKind::Board)));
            }
            Some(found) => {
                let Output::Board { channel, .. } = output;
                let number = board_model::relay_number(channel.as_str());
                if let Some(problem) = number.and_then(|number| wiring::no_relay(found.model, number)) {
                    fields.warning("output", problem);
                }
            }
            None if self.named_buses.contains(bus.as_str()) => {}
            None => {
                let problem = Problem::new(format!("agent.toml names no bus {bus}")).across_documents();
                say(problem.help(format!("expected [bus.{bus}] there, with kind = \"{}\"", BusKind::Board)));
            }
        }
    }

    /// Whether excluded actuators are there, and each output is one actuator's.
    fn check_names(&self, all: &BTreeMap<String, Option<Written>>) {
        let mut outputs = BTreeMap::new();
        for written in all.values().flatten() {
            let Written { actuator, path, output, excludes, target: _ } = written;
            if let Some(other) = outputs.insert(&actuator.output, &actuator.id) {
                let problem = Problem::new(format!("{other} has this output as well")).across_documents();
                self.log.error(*output, &path::join(path, "output"), problem.help("one output drives one actuator"));
            }
            for other in &actuator.excludes {
                let problem = match all.contains_key(other.as_str()) {
                    true if *other == actuator.id => Problem::new("an actuator cannot exclude itself"),
                    true => continue,
                    false => reader::unknown_name("actuator", other.as_str(), "actuators", all.keys(), self.log),
                };
                self.log.error(*excludes, &path::join(path, "excludes"), problem);
            }
        }
    }
}

fn zone_path(zone: &str, name: &str) -> String {
    path::join(&path::join(&path::join(ZONES, zone), "actuators"), name)
}

fn is_of_zone(entry: &Entry, zone: &str) -> bool {
    entry.node.get(["zone"]).and_then(Node::as_text) == Some(zone)
}

/// Whether the limits of an actuator go together.
fn check_limits(fields: &Fields<'_>, actuator: &Actuator, has_target: bool, model: Option<BoardModel>) {
    let Output::Board { channel, .. } = &actuator.output;
    // The last relay of each model is for a siren, and the board lets it be on for ever.
    let is_last = model.and_then(|model| Some(board_model::relay_number(channel.as_str())? + 1 == model.relays()));
    if actuator.normally_energised {
        if let (Some(false), Some(model)) = (is_last, model) {
            let problem =
                Problem::new(format!("the board lets {channel} go after {BOARD_MAX_ON}, and then it would sound"));
            let help = format!("expected relay-{}, which is for a siren", model.relays() - 1);
            fields.warning("output", problem.help(help).across_documents());
        }
        for key in ["max_on", "min_off", "dose_per_hour", "dose_per_day"] {
            if fields.has(key) {
                let problem = Problem::new("an actuator that is normally energised has no limit of time");
                fields.error(key, problem.help("take the key out: it sounds until somebody ends it"));
            }
        }
        return;
    }
    let Some(max_on) = actuator.max_on else {
        if !fields.has("max_on") {
            let problem = Problem::new("max_on is missing").across_documents();
            fields.error_here(problem.help("expected the longest time on without a pause, such as max_on = \"3s\""));
        }
        return;
    };
    if max_on > BOARD_MAX_ON && is_last != Some(true) {
        let problem =
            Problem::new(format!("longer than {BOARD_MAX_ON}, after which the relays of Tilth's images go off"));
        let help = format!("expected {BOARD_MAX_ON} or less, unless the board's image was built with a longer time");
        fields.warning("max_on", problem.help(help));
    }
    for (key, limit) in [("dose_per_hour", actuator.dose_per_hour), ("dose_per_day", actuator.dose_per_day)] {
        let Some(limit) = limit.filter(|limit| *limit < max_on) else { continue };
        let shorter = |so| Problem::new(format!("shorter than max_on, {max_on}, {so}"));
        let help = format!("expected {max_on} or more, or max_on = \"{limit}\"");
        if has_target {
            fields.error(key, shorter("which its target asks for each time: it would never be on").help(help));
        } else {
            fields.warning(key, shorter("which a command without a time asks for: it is refused").help(help));
        }
    }
}

fn output(node: &Node, log: &Diagnostics) -> Result<Output, Problem> {
    let wrong = || reader::expected("an output such as \"board:gateway/relay-1\"", node);
    let (kind, rest) = node.as_text().ok_or_else(wrong)?.split_once(':').ok_or_else(wrong)?;
    if OTHER_KINDS.contains(&kind) {
        let problem = Problem::new(format!("this version does not drive outputs of kind {kind}"));
        return Err(problem.help("expected board:BUS/relay-N"));
    }
    if kind != "board" {
        let meant = log.did_you_mean(kind, ["board"]);
        let help = meant.unwrap_or_else(|| "expected board:BUS/relay-N".to_owned());
        return Err(Problem::new(format!("there is no kind of output {kind:?}")).help(help));
    }
    let (bus, channel) = rest.split_once('/').ok_or_else(wrong)?;
    let id = |text: &str| Id::new(text).map_err(|error| reader::wrong_id(text, error));
    if board_model::relay_number(channel).is_none() {
        let problem = Problem::new(format!("a board has no output {channel:?}"));
        return Err(problem.help("expected board:BUS/relay-N, N counted from 0"));
    }
    Ok(Output::Board { bus: id(bus)?, channel: id(channel)? })
}
