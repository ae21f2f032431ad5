//! The documents of a configuration, merged into one, and that one as each zone sees it.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::diagnostic::{Diagnostics, Problem};
use crate::merge;
use crate::namespaces::{self, AGENT_TOML, CONFIG};
use crate::path;
use crate::reader;
use crate::redact::KeyContext;
use crate::source::{Layer, Source, SourceId, Sources};
use crate::tree::{self, Content, Entry, Node, Table};

/// The key under which zones hold their own namespaces.
pub(crate) const ZONES: &str = "zones";

/// Upper limit of zones with settings of their own; each takes some memory.
const MAX_ZONES: usize = 1000;

/// Documents of a configuration, before they are parsed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Documents {
    /// The layers, in the order in which they are merged.
    pub layers: Vec<Document>,
    /// `agent.toml`, where there is one.
    pub agent_toml: Option<Document>,
}

/// One document and where it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The name shown.
    pub file: String,
    /// Layer that it belongs to; none for `agent.toml`.
    pub layer: Option<Layer>,
    /// Version of the document, where it has one.
    pub version: Option<u64>,
    /// Content.
    pub text: Text,
}

/// Content of a document, not yet parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// TOML, not yet known to be UTF-8.
    Toml(Vec<u8>),
    /// A JSON value, in which a null deletes.
    Json(Json),
    /// A file that cannot be read, with the reason.
    Unreadable(String),
}

/// The effective configuration, each value with its origin, and every layer that went into it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Effective {
    /// Content of each document, in the order of merging.
    pub(crate) layers: Vec<Table>,
    /// All layers merged; under `zones` the patches of the zones, nulls and all.
    pub(crate) merged: Table,
}

/// The configuration of a zone: its own settings over those of the whole device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    device: &'a Table,
    own: Option<&'a Table>,
}

impl Document {
    /// A TOML document of a layer.
    #[must_use]
    pub fn toml(layer: Layer, file: &str, text: &str) -> Document {
        Document { file: file.to_owned(), layer: Some(layer), version: None, text: Text::Toml(text.into()) }
    }

    /// `agent.toml`.
    #[must_use]
    pub fn agent_toml(text: &str) -> Document {
        Document { file: "agent.toml".to_owned(), layer: None, version: None, text: Text::Toml(text.into()) }
    }

    /// Parses the document as far as it goes. Its text is then in the sources.
    pub(crate) fn parse(self, sources: &mut Sources, log: &Diagnostics) -> (SourceId, Table) {
        let Document { file, layer, version, text } = self;
        let add = |text| sources.add(Source { file, layer, version, text });
        match text {
            Text::Unreadable(reason) => {
                let source = add(None);
                log.broken(source.whole(), Problem::new(reason));
                (source, Table::new())
            }
            Text::Json(json) => {
                let source = add(None);
                match tree::from_json(source, &json, KeyContext::Top).content {
                    Content::Table(table) => (source, table),
                    _ => {
                        log.broken(source.whole(), Problem::new("expected a JSON object"));
                        (source, Table::new())
                    }
                }
            }
            Text::Toml(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let source = add(Some(text.clone()));
                if let Err(error) = std::str::from_utf8(&bytes) {
                    let at = error.valid_up_to();
                    log.broken(source.at(at..at + 1), Problem::new("not UTF-8 text"));
                    return (source, Table::new());
                }
                (source, tree::from_toml(source, &text, log))
            }
        }
    }
}

impl Effective {
    /// Merges documents that are already parsed.
    pub(crate) fn merge(layers: Vec<Table>) -> Effective {
        let mut merged = Table::new();
        for table in &layers {
            let (zones, rest) = split_zones(table);
            merge::apply_table(&mut merged, &rest);
            if let Some(zones) = zones {
                compose_zones(&mut merged, zones);
            }
        }
        Effective { layers, merged }
    }

    /// The settings of the whole device.
    pub(crate) fn device(&self) -> View<'_> {
        View { device: &self.merged, own: None }
    }

    /// The settings of a zone.
    pub(crate) fn zone(&self, zone: &str) -> View<'_> {
        View { device: &self.merged, own: self.zones().and_then(|zones| zones.get(zone)?.node.as_table()) }
    }

    /// Zones that have settings of their own.
    pub(crate) fn zones(&self) -> Option<&Table> {
        self.merged.get(ZONES)?.node.as_table()
    }

    /// Tables of a namespace with their paths and zones: that of the whole device, then those of zones.
    pub(crate) fn tables(&self, name: &str) -> impl Iterator<Item = (String, Option<&str>, &Table)> {
        let device = namespace(&self.merged, name).map(|table| (name.to_owned(), None, table));
        let zones = self.zones().into_iter().flatten().filter_map(move |(zone, entry)| {
            let table = namespace(entry.node.as_table()?, name)?;
            Some((path::join(&path::join(ZONES, zone), name), Some(zone.as_str()), table))
        });
        device.into_iter().chain(zones)
    }

    /// Finds unknown namespaces, and namespaces that are no tables.
    pub(crate) fn check_shape(&mut self, log: &Diagnostics) {
        self.limit_zones(log);
        check_namespaces(&self.merged, "", &CONFIG.names(), log);
        for (zone, entry) in self.zones().into_iter().flatten() {
            let path = path::join(ZONES, zone);
            if let Err(error) = tilth_core::id::Id::new(zone) {
                log.error(entry.key, &path, Problem::new(format!("the zone's name {error}")));
            }
            match entry.node.as_table() {
                Some(own) => check_namespaces(own, &path, &namespaces::names().collect::<Vec<_>>(), log),
                None => log.error(entry.node.place, &path, reader::not_a_table(&entry.node)),
            }
        }
    }
}

impl Effective {
    /// Drops zones beyond the limit, which is an error.
    fn limit_zones(&mut self, log: &Diagnostics) {
        let zones = self.merged.get_mut(ZONES).map(|entry| &mut entry.node.content);
        let Some(Content::Table(zones)) = zones else { return };
        let beyond = zones.iter().nth(MAX_ZONES).map(|(zone, entry)| (zone.clone(), entry.key));
        if let Some((zone, place)) = beyond {
            let problem = Problem::new(format!("more than {MAX_ZONES} zones"));
            log.error(place, &path::join(ZONES, &zone), problem.help("expected a device to serve fewer"));
            zones.split_off(&zone);
        }
    }
}

fn split_zones(table: &Table) -> (Option<&Entry>, Cow<'_, Table>) {
    match table.get(ZONES) {
        None => (None, Cow::Borrowed(table)),
        Some(zones) => {
            let rest = table.iter().filter(|(key, _)| *key != ZONES);
            (Some(zones), Cow::Owned(rest.map(|(key, entry)| (key.clone(), entry.clone())).collect()))
        }
    }
}

/// A zone's null deletes what the device has, so it must outlive the merging of layers.
fn compose_zones(merged: &mut Table, zones: &Entry) {
    let known =
        merged.entry(ZONES.to_owned()).or_insert_with(|| Entry { key: zones.key, node: Node::null(zones.node.place) });
    known.key = zones.key;
    merge::compose(&mut known.node, &zones.node);
}

fn check_namespaces(table: &Table, path: &str, known: &[&str], log: &Diagnostics) {
    for (name, entry) in table {
        let path = path::join(path, name);
        if !known.contains(&name.as_str()) {
            let problem = misplaced(name).or_else(|| reader::name_key(name));
            let problem = problem.unwrap_or_else(|| reader::unknown_key(name, known, log));
            log.error(entry.key, &path, problem);
        } else if entry.node.as_table().is_none() && entry.node.content != Content::Null {
            log.error(entry.node.place, &path, reader::not_a_table(&entry.node));
        }
    }
}

/// The problem with what is a table of `agent.toml`.
fn misplaced(name: &str) -> Option<Problem> {
    AGENT_TOML.get(name).map(|_| {
        let used: Vec<_> = namespaces::used().collect();
        let help = format!("files under config.d have {} and {ZONES}", used.join(", "));
        Problem::new(format!("{name} belongs in agent.toml")).help(help)
    })
}

impl<'a> View<'a> {
    /// The effective entries of a namespace.
    pub(crate) fn namespace(&self, name: &str) -> Cow<'a, Table> {
        static NOTHING: Table = Table::new();
        let device = namespace(self.device, name).unwrap_or(&NOTHING);
        match self.own(name) {
            None => Cow::Borrowed(device),
            Some(own) => {
                let mut merged = device.clone();
                merge::apply_table(&mut merged, own);
                Cow::Owned(merged)
            }
        }
    }

    /// The zone's own settings in a namespace.
    pub(crate) fn own(&self, name: &str) -> Option<&'a Table> {
        namespace(self.own?, name)
    }

    /// One effective entry; cheaper than all of the namespace.
    pub(crate) fn entry(&self, name: &str, id: &str) -> Option<Cow<'a, Entry>> {
        let device = namespace(self.device, name).and_then(|table| table.get(id));
        let Some(own) = self.own(name).and_then(|own| own.get(id)) else {
            return device.map(Cow::Borrowed);
        };
        if own.node.content == Content::Null {
            return None;
        }
        let nothing = || Node::null(own.node.place);
        let mut node = device.map_or_else(nothing, |entry| entry.node.clone());
        merge::apply(&mut node, &own.node);
        Some(Cow::Owned(Entry { key: own.key, node }))
    }
}

fn namespace<'a>(table: &'a Table, name: &str) -> Option<&'a Table> {
    table.get(name)?.node.as_table()
}
