//! Documents to checked types: layers merged with the origin of every value kept, everything wrong said at once, and the
//! plan that the engine runs.
//!
//! ```text
//! folder or texts -> documents -> trees -> merged -> settings, sensors, rules -> plan
//!                       |           |        |                 |
//!                       +-----------+--------+-----------------+--> diagnostics, each with its place in a text
//! ```
//!
//! Knows no network, no database and no clock; reads files and the time zone database.

mod actuators;
mod agent_toml;
mod base;
mod blocked_channels;
mod board;
mod board_model;
pub mod bundle;
mod channels;
mod chips;
mod conditions;
mod content_hash;
mod diagnostic;
mod document;
mod dosing;
mod duration;
mod escalation;
mod explain;
mod files;
pub mod firmware;
mod folder;
mod hosts;
mod i2c;
mod input;
mod inventory;
pub mod json;
mod limit_conflicts;
mod merge;
mod merged;
mod modem_ports;
pub mod namespaces;
mod path;
pub mod plain_file;
mod plan;
mod reader;
pub mod redact;
pub mod reference;
pub mod release;
mod removals;
mod replaced;
mod resources;
mod rules;
mod schedules;
pub mod schema;
mod selector;
mod sensor_list;
mod sensors;
mod settings;
mod sha256;
mod sirens;
mod source;
mod suggest;
mod targets;
#[cfg(test)]
mod tests;
mod toml_hints;
mod toml_text;
mod tree;
mod unnamed_channels;
mod wiring;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tilth_core::id::{Id, SensorId};
use tilth_core::plan::Plan;

use crate::bundle::ContentHash;
use crate::diagnostic::{Diagnostics, Problem};
use crate::folder::FolderFinding;
use crate::modem_ports::TakenPort;
use crate::resources::UnplacedRef;
use crate::settings::Zones;

pub use crate::agent_toml::{AgentToml, Bus, BusAddress, ClockTrust, Device, Hub, Parity, Purpose, Serial};
pub use crate::board::{BoardChannel, BoardChannelKind, PulseScale};
pub use crate::board_model::{BoardModel, relay_number};
pub use crate::channels::{Channel, Pattern, Patterns, Target};
pub use crate::diagnostic::{Diagnostic, Level};
pub use crate::document::{Document, Documents, Effective, Text};
pub use crate::duration::parse_duration;
pub use crate::explain::{Explained, LayerValue, Origin, SourceKey, UnknownPath, ZoneValue, explain, top_paths};
pub use crate::files::Files;
pub use crate::hosts::{Hosts, is_loopback, leads_to_loopback};
pub use crate::i2c::{I2cChip, I2cField};
pub use crate::input::{BusKind, HostMetric, Input, LineName};
pub use crate::inventory::{Inventory, InventoryChange, InventoryCounts, Removed};
pub use crate::merge::merge_json;
pub use crate::merged::Merged;
pub use crate::redact::SecretName;
pub use crate::resources::{Resource, ResourceRef};
pub use crate::sensor_list::{InputSettings, Stamping};
pub use crate::sha256::sha256;
pub use crate::source::{Layer, Position, Source, Sources};
pub use crate::suggest::nearest;
pub use crate::toml_text::{NotChanged, text_at, with_texts, without_key};

/// A configuration, read and checked as far as it goes.
#[derive(Debug)]
pub struct Loaded {
    /// Names the configuration by the bytes of what it says.
    pub hash: ContentHash,
    /// Plan for the engine; `None` where there is any error.
    pub plan: Option<Plan>,
    /// Content of `agent.toml`, where there is one.
    pub agent_toml: Option<AgentToml>,
    /// How each sensor of the plan is read.
    pub input_settings: BTreeMap<SensorId, InputSettings>,
    /// Channels that escalation policies name.
    pub channels: BTreeMap<Id, Channel>,
    /// Secrets, key files and ports of the machine that the configuration names.
    pub resources: Vec<ResourceRef>,
    /// Everything that is wrong, by file, line and column.
    pub diagnostics: Vec<Diagnostic>,
    /// The merged document, for [`explain()`]. It and the texts are most of what a configuration weighs: a daemon keeps the
    /// other parts.
    pub effective: Effective,
    /// The texts, to show a line of.
    pub sources: Sources,
}

impl Loaded {
    /// Whether anything forbids to use it.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error)
    }

    /// The same machine, with nothing to watch on it and under a name of its own.
    #[must_use]
    pub fn watching_nothing(self) -> Loaded {
        let plan = Plan::new(Vec::new(), Vec::new()).ok();
        let hash = ContentHash::of(&serde_json::Value::Null);
        Loaded { hash, plan, input_settings: BTreeMap::new(), diagnostics: Vec::new(), ..self }
    }
}

/// Reads the folder of a configuration, over the shipped base. Never fails: the diagnostics say everything.
#[must_use]
pub fn load(dir: &Path, purpose: Purpose) -> Loaded {
    let (documents, findings) = folder::read(dir);
    load_from_folder(documents, findings, purpose)
}

/// The shipped base, to put documents over.
#[must_use]
pub fn base() -> Documents {
    Documents { layers: base::documents().collect(), agent_toml: None }
}

/// Merges, checks and compiles documents; the shipped base is only among them if it was put there.
#[must_use]
pub fn load_documents(documents: Documents, purpose: Purpose) -> Loaded {
    load_from_folder(documents, Vec::new(), purpose)
}

fn load_from_folder(documents: Documents, of_folder: Vec<FolderFinding>, purpose: Purpose) -> Loaded {
    let purpose = purpose.on(documents.agent_toml.is_some());
    let log = Diagnostics::default();
    let mut sources = Sources::default();
    let layers: Vec<_> = documents.layers.into_iter().map(|document| document.parse(&mut sources, &log).1).collect();
    replaced::say(&layers, &sources, &log);
    let mut effective = Effective::merge(layers);
    let AgentTomlParts { agent_toml, references, named_buses, ports, taken_up } =
        read_agent_toml(documents.agent_toml, &mut sources, purpose, &log);
    let references = [resources::by_channels(&effective), references].concat();
    for FolderFinding { level, file, problem } in of_folder {
        let place = sources.add_empty(&file).whole();
        match level {
            Level::Error => log.broken(place, problem),
            Level::Warning => log.warning(place, "", problem),
        }
    }
    effective.check_shape(&log);
    let zones = Zones::read(&effective, &log);
    if let Some(agent_toml) = &agent_toml {
        blocked_channels::say(&effective, &zones, agent_toml, &log);
    }
    modem_ports::check(&effective, &zones, ports, &sources, &log);
    let reader = sensors::SensorReader {
        effective: &effective,
        zones: &zones,
        agent_toml: agent_toml.as_ref(),
        named_buses: &named_buses,
        purpose,
        log: &log,
        sources: &sources,
        missing: RefCell::default(),
        without_input: RefCell::default(),
    };
    let sensors = reader.read();
    if sensors.names.is_empty() {
        let problem = Problem::new("no sensor is configured, so nothing is watched").across_documents();
        let help = "expected one at least, such as [sensors.\"tower-1/ph\"] with quantity = \"ph\"";
        log.error(sources.add_empty("config.d").whole(), "", problem.help(help));
    }
    if let [first, ..] = &sensors.entries[..]
        && sensors.entries.iter().all(|entry| !entry.enabled)
    {
        let problem = Problem::new("every sensor has enabled = false, so nothing is watched").across_documents();
        log.warning(first.key, &first.path, problem);
    }
    let reader = actuators::ActuatorReader {
        effective: &effective,
        zones: &zones,
        sensors: &sensors,
        agent_toml: agent_toml.as_ref(),
        named_buses: &named_buses,
        purpose,
        log: &log,
    };
    let (mut actuators, targets) = reader.read();
    sirens::attach(&effective, &zones, &mut actuators, &log);
    unnamed_channels::say(&effective, &zones, &sources, &log);
    let lines = agent_toml.as_ref().filter(|_| purpose == Purpose::Run);
    let parts = plan::Parts {
        effective: &effective,
        sources: &sources,
        zones: &zones,
        sensors: &sensors,
        actuators: &actuators,
        targets,
        agent_toml: lines,
        log: &log,
    };
    let plan = plan::compile(&parts);
    let channels = zones.all().flat_map(|settings| settings.channels.values().flatten().cloned());
    let channels = channels.map(|(id, channel)| (id, channel.within(agent_toml.as_ref()))).collect();
    let input_settings =
        sensors.entries.into_iter().filter(|entry| entry.enabled).map(|entry| (entry.sensor.id, entry.settings));
    let (input_settings, resources) = (input_settings.collect(), resources::placed(references, &sources));
    let hash = content_hash::of(&effective, &taken_up);
    Loaded {
        hash,
        plan,
        agent_toml,
        input_settings,
        channels,
        resources,
        diagnostics: log.finish(&sources),
        effective,
        sources,
    }
}

/// Result of reading `agent.toml`.
#[derive(Default)]
struct AgentTomlParts {
    agent_toml: Option<AgentToml>,
    /// Files, secrets and ports that `agent.toml` names.
    references: Vec<UnplacedRef>,
    /// Names of its buses, also of those that are wrong.
    named_buses: BTreeSet<String>,
    /// Ports of its buses.
    ports: Vec<TakenPort>,
    /// The part that takes effect without a restart.
    taken_up: serde_json::Value,
}

fn read_agent_toml(
    document: Option<Document>,
    sources: &mut Sources,
    purpose: Purpose,
    log: &Diagnostics,
) -> AgentTomlParts {
    if let Some(document) = document {
        let (source, table) = document.parse(sources, log);
        let (references, named_buses) = (resources::by_agent_toml(&table), agent_toml::named_buses(&table));
        let (ports, taken_up) = (modem_ports::of_buses(&table), content_hash::of_agent_toml(&table));
        return AgentTomlParts {
            agent_toml: Some(agent_toml::read(source, table, sources, purpose, log)),
            references,
            named_buses,
            ports,
            taken_up,
        };
    }
    if purpose == Purpose::Run {
        let problem = Problem::new("there is no such file").help("expected it to name this device");
        log.error(sources.add_empty("agent.toml").whole(), "", problem);
    }
    AgentTomlParts::default()
}
