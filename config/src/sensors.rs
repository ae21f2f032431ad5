//! Sensors as they are written, with what their quantity and zone give them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tilth_core::calibrate::{Calibration, Points};
use tilth_core::id::{AGENT_ZONE, BUS_ZONE, CHANNEL_ZONE, HUB_ZONE, Id, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::sensor::Sensor;
use tilth_core::time::Span;
use tilth_core::unit::{Conversion, Unit};
use tilth_core::value::{Resolution, Steps};

use crate::agent_toml::{AgentToml, Purpose};
use crate::board;
use crate::chips;
use crate::diagnostic::{Diagnostics, Problem};
use crate::document::{Effective, ZONES};
use crate::input::{self, Input};
use crate::namespaces::SENSOR;
use crate::path;
use crate::reader::{self, Fields, among};
use crate::sensor_list::{InputSettings, SensorEntry, Sensors, Stamping};
use crate::settings::{Plausibility, Zones};
use crate::source::{Place, Sources};
use crate::tree::{Content, Entry, Node};
use crate::wiring;

/// Enough for a large farm on one device; beyond it a mistake, such as a script that ran twice.
pub(crate) const MAX_SENSORS: usize = 10_000;

/// Without its own word a value is stale after this many intervals: two readings may be lost before anybody worries.
pub(crate) const STALE_INTERVALS: i64 = 3;

/// Shortest time after which a value is stale.
pub(crate) const SOONEST_STALE: Span = Span::from_secs(30);

/// Forms of inputs, for help texts.
const INPUT: &str = "input = \"line:gateway/ph\"";

/// At most so many sensors are named where many have the same fault.
const MAX_NAMED: usize = 3;

/// Reads the entries of `sensors`.
pub(crate) struct SensorReader<'a> {
    pub(crate) effective: &'a Effective,
    pub(crate) zones: &'a Zones,
    pub(crate) agent_toml: Option<&'a AgentToml>,
    /// The buses that `agent.toml` names, also those that are wrong.
    pub(crate) named_buses: &'a BTreeSet<String>,
    pub(crate) purpose: Purpose,
    pub(crate) log: &'a Diagnostics,
    pub(crate) sources: &'a Sources,
    /// Buses already said to be missing: one message for each is enough.
    pub(crate) missing: RefCell<BTreeSet<Id>>,
    /// Sensors that nothing arrives for, with their places: for a check one message for all of them is enough.
    pub(crate) without_input: RefCell<Vec<(Place, SensorId)>>,
}

impl SensorReader<'_> {
    pub(crate) fn read(&self) -> Sensors {
        let mut names = BTreeMap::new();
        let mut known = Vec::new();
        let mut pairs = Vec::new();
        let device = self.effective.device().namespace("sensors");
        for (name, entry) in device.iter() {
            names.insert(name.clone(), entry.key);
            known.extend(self.sensor(name, entry, None, &mut pairs));
        }
        for (zone, entry) in self.effective.zones().into_iter().flatten() {
            let own = entry.node.as_table().and_then(|own| own.get("sensors")?.node.as_table());
            for (name, own) in own.into_iter().flatten() {
                let of_device = device.get(name);
                if own.node.content != Content::Null {
                    names.entry(name.clone()).or_insert(own.key);
                }
                if self.is_in_its_zone(name, of_device.unwrap_or(own), zone, own) && of_device.is_none() {
                    known.extend(self.sensor(name, own, Some(zone), &mut pairs));
                }
            }
        }
        if let Some((name, place)) = names.iter().nth(MAX_SENSORS) {
            let problem = Problem::new(format!("more than {MAX_SENSORS} sensors"));
            self.log.error(*place, &path::join("sensors", name), problem.help("expected a device to serve fewer"));
        }
        self.say_without_input();
        self.say_same_inputs(&known);
        self.say_wrong_channels(&known);
        let sensors = Sensors::new(known, names);
        for pair in &pairs {
            self.check_pair(pair, &sensors);
        }
        chips::say_wrong(&sensors, self.sources, self.log);
        sensors
    }

    /// Whether a zone may say something of a sensor: only of its own, and not that it is another's.
    fn is_in_its_zone(&self, name: &str, stated: &Entry, zone: &str, own: &Entry) -> bool {
        let Ok(id) = SensorId::new(name) else { return true };
        let moved = own.node.get(["zone"]).and_then(Node::as_text).filter(|named| *named != zone);
        let of = zone_of(&id, stated);
        if (of.as_str() == zone && moved.is_none()) || own.node.content == Content::Null {
            return of.as_str() == zone;
        }
        let path = path::join(&path::join(&path::join(ZONES, zone), "sensors"), name);
        let problem = match moved {
            Some(moved) => Problem::new(format!("under zone {zone}, and in zone {moved}")),
            None => Problem::new(format!("{name} is in zone {of}, so zone {zone} cannot set it")),
        };
        let help = format!("expected under zones.{}", moved.unwrap_or(of.as_str()));
        self.log.error(own.key, &path, problem.help(help).across_documents());
        false
    }

    /// Reads a sensor with what its zone says of it. `only_in` is the zone of one that the device does not know.
    fn sensor(&self, name: &str, entry: &Entry, only_in: Option<&str>, pairs: &mut Vec<Pair>) -> Option<SensorEntry> {
        let id = match SensorId::new(name) {
            Ok(id) => id,
            Err(error) => {
                self.log.error(entry.key, &path::join("sensors", name), reader::wrong_id(name, error));
                return None;
            }
        };
        let zone = only_in.and_then(|zone| Id::new(zone).ok()).unwrap_or_else(|| zone_of(&id, entry));
        for (kept, what) in [
            (BUS_ZONE, "the lines that sensors are on"),
            (CHANNEL_ZONE, "the channels that tell people"),
            (HUB_ZONE, "what the hub says"),
            (AGENT_ZONE, "the state of the agent itself"),
        ] {
            if id.zone().as_str() == kept || zone.as_str() == kept {
                let problem = Problem::new(format!("the zone {kept} is kept for {what}"));
                self.log.error(entry.key, &path::join("sensors", name), problem.help("choose another name"));
                return None;
            }
        }
        let view = self.effective.zone(zone.as_str());
        if view.own("sensors").is_some_and(|own| own.contains_key(name)) {
            let at = path::join(&path::join(ZONES, zone.as_str()), "sensors");
            let entry = view.entry("sensors", name)?;
            self.fields(id, &zone, Fields::of(&entry, path::join(&at, name), &SENSOR, self.log)?, pairs)
        } else {
            self.fields(id, &zone, Fields::of(entry, path::join("sensors", name), &SENSOR, self.log)?, pairs)
        }
    }

    fn fields(&self, id: SensorId, zone: &Id, fields: Fields<'_>, pairs: &mut Vec<Pair>) -> Option<SensorEntry> {
        let log = self.log;
        let enabled = fields.or_default("enabled", reader::boolean);
        // Already known: it says which other words hold for this sensor.
        fields.optional("zone", reader::id);
        let quantities = fields.words("quantity");
        let quantity = fields.required("quantity", |node| reader::word(node, &quantities, Quantity::from_name, log));
        let interval = fields.optional("interval", reader::some_duration);
        let stale_after = fields.optional("stale_after", reader::some_duration);
        let own = Plausibility::read(&fields);
        let calibration = read_calibration(&fields);
        let input = fields.optional("input", |node| input::read(node, log));
        let stamp =
            fields.word_or_default("stamp", among([("arrival", Stamping::Arrival), ("source", Stamping::Source)]));
        let unit = fields.optional("unit", |node| reader::unit(node, quantity));
        if let (Some(Input::Line { .. }), Some(quantity), None) = (&input, quantity, unit) {
            warn_of_factor(&fields, quantity, calibration.as_ref());
        }
        let bus = if enabled { self.check_input(&id, &fields, input.as_ref()) } else { None };
        if let Some(other) = fields.optional("pair", reader::sensor_id) {
            let at = (fields.place("pair"), path::join(&fields.path, "pair"));
            pairs.push(Pair { sensor: id.clone(), other, at });
        }
        let hold_while_open = fields.word("hold_while", among([("open", true), ("closed", false)]));
        if hold_while_open.is_some() {
            check_hold_switch(&fields, quantity, interval, stale_after);
        }
        let range = fields.has("range").then(|| fields.place("range"));
        let (key, path, interval_place) = (fields.key, fields.path.clone(), fields.place("interval"));
        let input_place = fields.place("input");
        let usual = &self.zones.settings(zone.as_str()).quantities;
        let judging = own.or(quantity.and_then(|quantity| usual.get(&quantity).copied()).unwrap_or_default());
        if let Some(interval) = interval {
            warn_of_interval(&fields, interval, stale_after, judging.stuck_for);
        }
        let resolution = if quantity.is_some() { check_resolution(&fields, &judging) } else { None };
        fields.finish_but(|key, _| reader::unit_key(key, quantity));
        let sensor = Sensor {
            id,
            zone: zone.clone(),
            quantity: quantity?,
            resolution: resolution?,
            calibration: calibration?,
            range: judging.range,
            max_rate: judging.max_rate,
            stuck_for: judging.stuck_for,
            stale_after: stale_after.or_else(|| interval.map(usual_stale_after)),
            bus: bus.clone(),
            heard_within: None,
            state_of_bus: None,
        };
        let settings = InputSettings { input, bus, interval, stamp, quantity: sensor.quantity, unit };
        Some(SensorEntry {
            sensor,
            settings,
            enabled,
            hold_while_open,
            path,
            key,
            range,
            interval: interval_place,
            input: input_place,
        })
    }

    /// Whether the input can be read on this machine; returns the bus it shares with others.
    fn check_input(&self, id: &SensorId, fields: &Fields<'_>, input: Option<&Input>) -> Option<Id> {
        let at = path::join(&fields.path, "input");
        let say = |problem| self.purpose.say(self.log, fields.place("input"), &at, problem);
        let Some(input) = input else {
            if !fields.has("input") && self.purpose == Purpose::Run {
                let problem = Problem::new("no input, so nothing will arrive").across_documents();
                self.log.error(fields.key, &fields.path, problem.help(format!("expected {INPUT}")));
            } else if !fields.has("input") && self.purpose == Purpose::Check {
                self.without_input.borrow_mut().push((fields.key, id.clone()));
            }
            return None;
        };
        let buses = self.agent_toml.map(|agent_toml| &agent_toml.buses);
        let lone = |kind| buses?.iter().find(|(_, bus)| bus.kind == kind).map(|(id, _)| id.clone());
        let bus = input.bus().cloned().or_else(|| input.bus_kind().and_then(lone));
        if !input.is_read() {
            say(Problem::new(format!("this version does not read inputs of kind {}", input.kind())));
        } else if let (Some(bus), Some(kind)) = (&bus, input.bus_kind()) {
            match buses.and_then(|buses| buses.get(bus)) {
                Some(found) if found.kind != kind => {
                    say(Problem::new(format!("the bus {bus} is of kind {} in agent.toml", found.kind))
                        .help(format!("expected {kind}")));
                }
                Some(_) => {}
                None if self.named_buses.contains(bus.as_str()) => {}
                None if self.missing.borrow_mut().insert(bus.clone()) => {
                    let problem = Problem::new(format!("agent.toml names no bus {bus}")).across_documents();
                    say(problem.help(format!("expected [bus.{bus}] there, with kind = \"{kind}\"")));
                }
                None => {}
            }
        }
        bus
    }

    fn say_without_input(&self) {
        let without = self.without_input.take();
        let Some((place, _)) = without.first() else { return };
        let named = without.iter().take(MAX_NAMED).map(|(place, id)| format!("{id} at {}", self.sources.name(*place)));
        let mut named: Vec<String> = named.collect();
        if without.len() > MAX_NAMED {
            named.push("...".to_owned());
        }
        let have = if without.len() == 1 { "1 sensor has" } else { &format!("{} sensors have", without.len()) };
        let message = format!("{have} no input ({}): enough for replay", named.join(", "));
        let help = format!("run needs one each, such as {INPUT}");
        self.log.warning(*place, "", Problem::new(message).help(help).across_documents());
    }

    /// Two sensors with one input read the same value: mostly a copied table in which a name was forgotten.
    fn say_same_inputs(&self, known: &[SensorEntry]) {
        let mut first = BTreeMap::new();
        for known in known.iter().filter(|known| known.enabled) {
            let Some(input) = &known.settings.input else { continue };
            let other = first.entry(input.comparable()).or_insert(known);
            if other.sensor.id == known.sensor.id {
                continue;
            }
            let message = format!("{} has this input as well ({})", other.sensor.id, self.sources.name(other.input));
            let help = "both read one value; of several nodes on one line choose one, as with line:BUS/temp?node=1";
            let problem = Problem::new(message).across_documents().help(help);
            self.log.warning(known.input, &path::join(&known.path, "input"), problem);
        }
    }

    /// A channel that the board has not, that `agent.toml` sets to something else than the sensor shows, or whose numbers nothing turns
    /// into a measurement. No error: what is wired is changed on site, at once.
    fn say_wrong_channels(&self, known: &[SensorEntry]) {
        for known in known.iter().filter(|known| known.enabled) {
            let Some(Input::Board { bus, channel }) = &known.settings.input else { continue };
            let warn = |problem| self.log.warning(known.input, &path::join(&known.path, "input"), problem);
            let board = self.agent_toml.and_then(|agent_toml| agent_toml.buses.get(bus));
            if let Some(problem) = wiring::no_channel(board.and_then(|board| board.model), *channel) {
                warn(problem);
                continue;
            }
            let (stated, quantity) = (board.and_then(|board| board.channels.get(channel)), known.sensor.quantity);
            let table = format!("bus.{bus}.channels.{channel}");
            if let Some(problem) = stated.and_then(|of| of.problem(quantity, known.settings.interval, &table)) {
                warn(problem);
            } else if known.sensor.calibration == Calibration::Identity
                && board::is_raw(stated.map(|stated| stated.kind), quantity)
            {
                let problem = Problem::new(format!(
                    "an analog channel gives counts of 0 to 65,535, and nothing makes {quantity} of them"
                ));
                let help = format!(
                    "set calibration = {{ points = [[COUNTS, {0}], [COUNTS, {0}]] }}; quantity = \"count\" shows the counts",
                    quantity.name().to_uppercase()
                );
                self.log.warning(known.key, &known.path, problem.help(help).across_documents());
            }
        }
    }

    fn check_pair(&self, pair: &Pair, sensors: &Sensors) {
        let Pair { sensor, other, at: (place, path) } = pair;
        let error = |problem| self.log.error(*place, path, problem);
        if sensor == other {
            error(Problem::new("a sensor cannot be its own pair"));
        } else if !sensors.names.contains_key(other.as_str()) {
            // No error, because nothing is compared yet.
            let problem = reader::unknown_name("sensor", other.as_str(), "sensors", sensors.names.keys(), self.log);
            self.log.warning(*place, path, problem);
        } else if let (Some(one), Some(two)) = (sensors.get(sensor), sensors.get(other)) {
            if one.sensor.quantity == two.sensor.quantity {
                let problem = Problem::new("this version does not compare the sensors of a pair");
                let help = format!("write a rule with sensor = \"{sensor}\", differs_from = \"{other}\" and by");
                self.log.warning(*place, path, problem.help(help));
            } else {
                let (ours, theirs) = (one.sensor.quantity, two.sensor.quantity);
                error(Problem::new(format!("{other} measures {theirs}")).help(format!("expected a sensor of {ours}")));
            }
        }
    }
}

/// A sensor and the one it is compared with.
struct Pair {
    sensor: SensorId,
    other: SensorId,
    at: (Place, String),
}

/// The zone that an entry names, or the first half of its id.
fn zone_of(id: &SensorId, entry: &Entry) -> Id {
    let named = entry.node.get(["zone"]).and_then(Node::as_text).and_then(|zone| Id::new(zone).ok());
    named.unwrap_or_else(|| id.zone())
}

/// When the value of a sensor that speaks this often is stale, unless it says so itself.
pub(crate) fn usual_stale_after(interval: Span) -> Span {
    SOONEST_STALE.max(Span(interval.0.saturating_mul(STALE_INTERVALS)))
}

/// Warns of readings that come so rarely that each would find the sensor stale or stuck.
fn warn_of_interval(fields: &Fields<'_>, interval: Span, stale_after: Option<Span>, stuck_for: Option<Span>) {
    if let Some(stale) = stale_after.filter(|stale| *stale <= interval) {
        let problem = Problem::new(format!("{stale} is not longer than the interval {interval}"));
        fields.warning("stale_after", problem.help("the sensor would be stale between any two readings"));
    }
    let Some(stuck) = stuck_for.filter(|stuck| *stuck <= interval) else { return };
    let help = "two equal readings would be the sensor's fault";
    if fields.has("stuck_for") {
        let problem = Problem::new(format!("{stuck} is not longer than the interval {interval}"));
        fields.warning("stuck_for", problem.help(help));
    } else {
        let problem = Problem::new(format!("{interval} is not shorter than the quantity's stuck_for {stuck}"));
        fields.warning("interval", problem.across_documents().help(format!("{help}; set stuck_for longer here")));
    }
}

/// A calibration that only converts a unit would do so twice where the lines say their unit.
fn warn_of_factor(fields: &Fields<'_>, quantity: Quantity, calibration: Option<&Calibration>) {
    let Some(Calibration::Linear { gain, offset: 0.0 }) = calibration else { return };
    let is_factor = |name: &&&str| {
        let conversion =
            Unit::of(name).and_then(|unit| quantity.conversion(unit)).filter(|conversion| !conversion.is_none());
        conversion.and_then(Conversion::factor).is_some_and(|factor| (factor / gain - 1.0).abs() < 1e-6)
    };
    if let Some(unit) = quantity.units().iter().find(is_factor) {
        let problem = Problem::new(format!("a gain of {gain} makes {} of {unit}", quantity.unit())).across_documents();
        let help = format!(
            "lines that say {unit} are converted by themselves; for lines that say none set unit = \"{unit}\" in its place"
        );
        fields.warning("calibration", problem.help(help));
    }
}

/// Longest interval of a switch at which its hold comes soon enough for hands in a tank.
const SOON: Span = Span::from_secs(2);

/// Whether a sensor can be a switch that holds its zone, and is read so often that the hold comes at once.
fn check_hold_switch(
    fields: &Fields<'_>,
    quantity: Option<Quantity>,
    interval: Option<Span>,
    stale_after: Option<Span>,
) {
    if quantity.is_some_and(|quantity| quantity != Quantity::Contact) {
        let problem = Problem::new("only a sensor of quantity contact can hold its zone");
        fields.error(
            "hold_while",
            problem.help("expected quantity = \"contact\", or take the key out").across_documents(),
        );
    }
    let never_stale = Problem::new("never stale, so nobody would be told that the switch is gone");
    match interval {
        None if stale_after.is_none() => {
            fields
                .error("hold_while", never_stale.help("set interval of the sensor, such as \"1s\"").across_documents());
        }
        None => {
            let problem = Problem::new("nothing says how soon after the switch the hold would come");
            let help = format!("expected an interval of {SOON} or less, here and in agent.toml");
            fields.warning("hold_while", problem.help(help).across_documents());
        }
        Some(interval) if interval > SOON => {
            let problem = Problem::new(format!("the hold would come up to {interval} after the switch"));
            let help = format!("expected an interval of {SOON} or less, here and in agent.toml");
            fields.warning("interval", problem.help(help).across_documents());
        }
        Some(_) => {}
    }
}

fn check_resolution(fields: &Fields<'_>, judging: &Plausibility) -> Option<Resolution> {
    let Some(resolution) = judging.resolution else {
        if !fields.has("resolution") {
            let problem = Problem::new("resolution is missing").across_documents();
            fields.error_here(problem.help("expected it here or in agent.quantities"));
        }
        return None;
    };
    let is_measurement = |number| resolution.nearest(number).is_some_and(|steps| steps.0.abs() <= Steps::MAX.0);
    if let Some((low, high)) = judging.range
        && !(is_measurement(low) && is_measurement(high))
    {
        let problem = Problem::new(format!("{resolution} is too fine for values from {low} to {high}"));
        fields.error("resolution", problem.help("expected fewer steps"));
    }
    Some(resolution)
}

fn read_calibration(fields: &Fields<'_>) -> Option<Calibration> {
    if !fields.has("calibration") {
        return Some(Calibration::Identity);
    }
    let calibration = fields.table("calibration")?;
    let points = calibration.has("points");
    let linear = calibration.has("gain") || calibration.has("offset");
    let gain = calibration.or_default("gain", reader::number);
    let offset = calibration.or_default("offset", reader::number);
    let read = calibration.optional("points", read_points);
    let made = match (points, linear) {
        (true, false) => read.map(Calibration::Points),
        (false, true) => {
            let made = Calibration::linear(gain, offset);
            made.map_err(|error| calibration.error("gain", Problem::new(error.to_string()))).ok()
        }
        (true, true) => {
            let problem = Problem::new("points, and gain or offset as well");
            calibration.error_here(problem.help("expected one or the other"));
            None
        }
        (false, false) => {
            let problem = Problem::new("an empty calibration").across_values();
            calibration.error_here(problem.help("expected gain and offset, or points"));
            None
        }
    };
    calibration.finish();
    made
}

fn read_points(node: &Node) -> Result<Points, Problem> {
    let what = "a list such as [[4.1, 4.0], [7.2, 7.0]], each what is read and what is true";
    let pairs = reader::list(node, what, |item| {
        let pair = reader::list(item, "what is read and what is true, such as [4.1, 4.0]", reader::number)?;
        match pair.as_slice() {
            [raw, real] => Ok((*raw, *real)),
            _ => Err(reader::expected("what is read and what is true, such as [4.1, 4.0]", item)),
        }
    })?;
    Points::new(pairs).map_err(|error| Problem::new(error.to_string()))
}
