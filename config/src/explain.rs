//! Explains values: which document sets each, and which earlier documents it overrides.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;
use tilth_core::quantity::Quantity;

use crate::Loaded;
use crate::document::{Effective, View, ZONES};
use crate::namespaces::{self, CONFIG, RULE, SENSOR};
use crate::path;
use crate::reader;
use crate::redact;
use crate::rules;
use crate::sensors;
use crate::source::{Layer, Place, Position, Sources};
use crate::suggest;
use crate::tree::{Content, Entry, Node, Table};

/// At most so many keys are offered where a path leads nowhere.
const MAX_NEAR: usize = 12;

/// One value of the effective configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Path of the value, such as `rules.ph-high.above`.
    pub path: String,
    /// The value; none where it is deleted.
    pub value: Option<Json>,
    /// Why it is that.
    #[serde(flatten)]
    pub origin: Origin,
    /// Values of earlier documents, the latest first.
    pub overridden: Vec<LayerValue>,
    /// Values of zones in place of one of the whole device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZoneValue>,
}

/// The value of a zone in place of that of the whole device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZoneValue {
    /// The zone.
    pub zone: String,
    /// Value there, and the key that sets it.
    #[serde(flatten)]
    pub set: LayerValue,
}

/// Why a value is what it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum Origin {
    /// A document sets it.
    #[serde(rename = "written")]
    Document(SourceKey),
    /// Another value holds: for a sensor's range that of its quantity.
    Inherited(SourceKey),
    /// No document sets it; the default of the program.
    BuiltIn,
}

/// The key of a document that sets a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceKey {
    /// The key there, which may be under the zone.
    pub at: String,
    /// Layer of the document.
    pub layer: Layer,
    /// The document's version, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The document.
    pub file: String,
    /// Line and column; none in a document without lines.
    #[serde(flatten)]
    pub position: Option<Position>,
}

/// A value as one document sets it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerValue {
    /// The value; `None` where the document deletes it.
    pub value: Option<Json>,
    /// The key that sets it.
    #[serde(flatten)]
    pub key: SourceKey,
}

/// A path that leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct UnknownPath {
    /// The path that was asked for.
    pub path: String,
    /// Paths that may have been meant.
    pub near: Vec<String>,
}

impl fmt::Display for UnknownPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {}", if self.path.is_empty() { "empty path" } else { &self.path })?;
        match self.near.as_slice() {
            [] => Ok(()),
            [near] => write!(f, "; did you mean {}?", redact::text(near)),
            near => write!(f, "; there are {}", redact::text(&near.join(", "))),
        }
    }
}

/// Explains every value at and under a path of the effective configuration. Under `zones.ID` that is what holds in the zone, from every document.
///
/// # Errors
/// [`UnknownPath`] where nothing is at the path and no document ever said something there.
pub fn explain(loaded: &Loaded, path: &str) -> Result<Vec<Explained>, UnknownPath> {
    let keys = path::split(path).ok_or_else(|| UnknownPath { path: path.to_owned(), near: near_names() })?;
    let query = Query::of(&loaded.effective, &keys);
    let mut explained = query.explain(&loaded.effective, &loaded.sources);
    if explained.is_empty() {
        return Err(UnknownPath { path: path.to_owned(), near: query.near(&loaded.effective) });
    }
    // Of a whole zone its sensors and the farm's own words come first, and what is shipped after them.
    let of_sensors = format!("{}.", query.shown("sensors", &[]));
    let is_usual =
        |one: &Explained| query.is_whole_zone() && !one.is_of_the_farm() && !one.path.starts_with(&of_sensors);
    explained.sort_by(|a, b| (is_usual(a), &a.path).cmp(&(is_usual(b), &b.path)));
    explained.iter_mut().for_each(Explained::redact_paths);
    Ok(explained)
}

impl Explained {
    /// A key may be a token that stands in a wrong place.
    fn redact_paths(&mut self) {
        let origin = match &mut self.origin {
            Origin::Document(key) | Origin::Inherited(key) => Some(key),
            Origin::BuiltIn => None,
        };
        let (names, zones): (Vec<_>, Vec<_>) = self.zones.iter_mut().map(|ZoneValue { zone, set }| (zone, set)).unzip();
        let keys = origin.into_iter().chain(self.overridden.iter_mut().chain(zones).map(|set| &mut set.key));
        let paths = keys.map(|key| &mut key.at).chain(names).chain([&mut self.path]);
        for path in paths {
            if let Cow::Owned(shown) = redact::text(path) {
                *path = shown;
            }
        }
    }

    /// Whether any document but the shipped ones says something of it.
    fn is_of_the_farm(&self) -> bool {
        let is_own = |key: &SourceKey| key.layer != Layer::Base;
        let by_origin = matches!(&self.origin, Origin::Document(key) if is_own(key));
        by_origin || self.overridden.iter().any(|set| is_own(&set.key))
    }
}

/// The paths to begin with: namespaces that say anything, and zones.
#[must_use]
pub fn top_paths(loaded: &Loaded) -> Vec<String> {
    let is_set = |name: &&str| !loaded.effective.device().namespace(name).is_empty();
    let namespaces = namespaces::names().filter(is_set).map(str::to_owned);
    namespaces.chain(zones(&loaded.effective).iter().map(|zone| path::join(ZONES, zone))).collect()
}

fn near_names() -> Vec<String> {
    CONFIG.names().into_iter().map(str::to_owned).collect()
}

/// A path that is asked for.
struct Query<'k> {
    /// Zone whose view is asked for: that of the path, or of the sensor that the path names.
    zone: Option<String>,
    /// Keys in that view: a namespace, perhaps an id, perhaps more.
    keys: &'k [String],
    /// Prefix of the shown paths.
    shown_under: String,
}

/// One value as each document sets it, the earliest first.
type LayerValues<'a> = Vec<(Place, String, &'a Node)>;

impl<'k> Query<'k> {
    fn of(effective: &Effective, keys: &'k [String]) -> Query<'k> {
        match keys {
            [first, zone, rest @ ..] if first == ZONES && has_zone(effective, zone) => {
                Query { zone: Some(zone.clone()), keys: rest, shown_under: path::join(ZONES, zone) }
            }
            // What holds for a sensor holds in its zone.
            [first, id, ..] if first == "sensors" => {
                Query { zone: zone_of(effective, id), keys, shown_under: String::new() }
            }
            _ => Query { zone: None, keys, shown_under: String::new() },
        }
    }

    fn view<'a>(&self, effective: &'a Effective) -> View<'a> {
        self.zone.as_ref().map_or_else(|| effective.device(), |zone| effective.zone(zone))
    }

    fn explain(&self, effective: &Effective, sources: &Sources) -> Vec<Explained> {
        let namespaces: Vec<&str> = match self.keys {
            [] => namespaces::names().collect(),
            [first, ..] => namespaces::names().filter(|name| name == first).collect(),
        };
        let mut explained = Vec::new();
        for namespace in namespaces {
            let keys: Vec<&str> = self.keys.iter().skip(1).map(String::as_str).collect();
            let view = self.view(effective);
            let root = view.namespace(namespace);
            let layer_values = self.layer_values(effective, namespace, &keys);
            for (at, values) in &layer_values {
                if !self.lists(effective, namespace, at) {
                    continue;
                }
                let shown = self.shown(namespace, at);
                let zones = self.in_zones(effective, sources, namespace, at);
                let one = explain_one(shown, lookup(&root, at), values, sources);
                explained.extend(one.map(|one| Explained { zones, ..one }));
            }
            explained.extend(self.defaults(effective, sources, namespace, &keys, &root));
        }
        if self.is_whole_zone() {
            explained.retain(|one| !one.path.starts_with(&self.quantities()) || one.is_of_the_farm());
        }
        explained
    }

    /// Whether it is for all that holds in a zone.
    fn is_whole_zone(&self) -> bool {
        self.keys.is_empty()
    }

    /// Path of a zone's quantities: too many, and the same everywhere, unless somebody asks for them.
    fn quantities(&self) -> String {
        path::join(&self.shown("agent", &[]), "quantities")
    }

    /// Whether a value belongs to the answer: under a zone there are only that zone's sensors.
    fn lists(&self, effective: &Effective, namespace: &str, at: &[String]) -> bool {
        let (Some(zone), Some(id), false) = (&self.zone, at.first(), self.shown_under.is_empty()) else { return true };
        let is_own = || effective.zone(zone).own("sensors").is_some_and(|own| own.contains_key(id));
        namespace != "sensors" || zone_of(effective, id).is_some_and(|of| of == *zone) || is_own()
    }

    /// Values of zones in place of one of the whole device.
    fn in_zones(&self, effective: &Effective, sources: &Sources, namespace: &str, at: &[String]) -> Vec<ZoneValue> {
        if self.zone.is_some() {
            return Vec::new();
        }
        let say = |(zone, entry): (&String, &Entry)| {
            let node = entry.node.get(std::iter::once(namespace).chain(at.iter().map(String::as_str)))?;
            let zone_path = path::under(&path::join(ZONES, zone), namespace);
            let path = at.iter().fold(zone_path, |path, key| path::join(&path, key));
            let value = (node.content != Content::Null).then(|| node.shown_json());
            let set = LayerValue { value, key: source_key(sources, node.place, &path)? };
            Some(ZoneValue { zone: zone.clone(), set })
        };
        effective.zones().into_iter().flatten().filter_map(say).collect()
    }

    fn shown(&self, namespace: &str, keys: &[String]) -> String {
        keys.iter().fold(path::under(&self.shown_under, namespace), |path, key| path::join(&path, key))
    }

    /// Values that documents set at and under some keys, by the keys of each.
    fn layer_values<'a>(
        &self,
        effective: &'a Effective,
        namespace: &str,
        keys: &[&str],
    ) -> BTreeMap<Vec<String>, LayerValues<'a>> {
        let mut layer_values = BTreeMap::new();
        let device = effective.layers.iter().map(|table| (table, String::new()));
        let own = self.zone.as_deref().into_iter().flat_map(|zone| {
            let of_zone = move |table: &'a Table| table.get(ZONES)?.node.get([zone])?.as_table();
            effective.layers.iter().filter_map(of_zone).map(move |table| (table, path::join(ZONES, zone)))
        });
        for (table, under) in device.chain(own) {
            let Some(root) = table.get(namespace) else { continue };
            let mut at: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            if let Some(node) = root.node.get(keys.iter().copied()) {
                collect(node, &mut at, &path::under(&under, namespace), &mut layer_values);
            }
        }
        layer_values
    }

    /// Values that no document sets: defaults of a rule, and of a sensor those of its quantity.
    fn defaults(
        &self,
        effective: &Effective,
        sources: &Sources,
        namespace: &str,
        keys: &[&str],
        root: &Table,
    ) -> Vec<Explained> {
        let (id, key) = match keys {
            [] => (None, None),
            [id] => (Some(*id), None),
            [id, key] => (Some(*id), Some(*key)),
            _ => return Vec::new(),
        };
        let mut explained = Vec::new();
        for (name, entry) in root.iter().filter(|(name, _)| id.is_none_or(|id| id == *name)) {
            let Some(table) = entry.node.as_table() else { continue };
            if !self.lists(effective, namespace, std::slice::from_ref(name)) {
                continue;
            }
            let at = self.shown(namespace, std::slice::from_ref(name));
            let defaults = match namespace {
                "rules" => of_rule(table),
                "sensors" => {
                    let zone = self.zone.clone().or_else(|| zone_of(effective, name));
                    of_sensor(table, zone.map_or_else(|| effective.device(), |zone| effective.zone(&zone)), sources)
                }
                _ => return Vec::new(),
            };
            let wanted = defaults
                .into_iter()
                .filter(|(missing, ..)| !table.contains_key(*missing) && key.is_none_or(|key| key == *missing));
            explained.extend(wanted.map(|(missing, value, origin)| Explained {
                path: path::join(&at, missing),
                value: Some(value),
                origin,
                overridden: Vec::new(),
                zones: self.in_zones(effective, sources, namespace, &[name.clone(), missing.to_owned()]),
            }));
        }
        explained
    }

    /// The same path in zones, where only they say something there.
    fn set_in_zones(&self, effective: &Effective) -> Vec<String> {
        if self.zone.is_some() {
            return Vec::new();
        }
        let say = |(zone, entry): (&String, &Entry)| {
            entry.node.get(self.keys.iter().map(String::as_str))?;
            Some(self.keys.iter().fold(path::join(ZONES, zone), |path, key| path::join(&path, key)))
        };
        effective.zones().into_iter().flatten().filter_map(say).take(MAX_NEAR).collect()
    }

    /// Keys at the last table that the path leads to.
    fn near(&self, effective: &Effective) -> Vec<String> {
        let Some(first) = self.keys.first() else { return Vec::new() };
        if first == ZONES {
            return nearest(self.keys.get(1), "zones", zones(effective).iter().map(String::as_str));
        }
        if !namespaces::names().any(|name| name == first) {
            // A sensor or rule by its name alone.
            let view = self.view(effective);
            let has = |namespace: &&str| view.namespace(namespace).get(first).is_some();
            let under = |namespace: &str| path::join(&path::under(&self.shown_under, namespace), first);
            let named: Vec<String> = namespaces::names().filter(has).map(under).collect();
            if !named.is_empty() {
                return named;
            }
            let names = near_names();
            return nearest(Some(first), &self.shown_under, names.iter().map(String::as_str));
        }
        let in_zones = self.set_in_zones(effective);
        if !in_zones.is_empty() {
            return in_zones;
        }
        let root = self.view(effective).namespace(first);
        let mut table: &Table = &root;
        let mut path = path::under(&self.shown_under, first);
        for key in &self.keys[1..] {
            match table.get(key).and_then(|entry| entry.node.as_table()) {
                Some(inner) => {
                    table = inner;
                    path = path::join(&path, key);
                }
                None => return nearest(Some(key), &path, table.keys().map(String::as_str)),
            }
        }
        Vec::new()
    }
}

fn nearest<'a>(key: Option<&String>, path: &str, known: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    match key.and_then(|key| suggest::nearest(key, known.clone())) {
        Some(nearest) => vec![path::join(path, nearest)],
        None => known.take(MAX_NEAR).map(|known| path::join(path, known)).collect(),
    }
}

fn lookup<'a>(root: &'a Table, keys: &[String]) -> Option<&'a Node> {
    let (first, rest) = keys.split_first()?;
    root.get(first)?.node.get(rest.iter().map(String::as_str))
}

fn collect<'a>(
    node: &'a Node,
    at: &mut Vec<String>,
    under: &str,
    layer_values: &mut BTreeMap<Vec<String>, LayerValues<'a>>,
) {
    match node.as_table() {
        Some(table) if !table.is_empty() => {
            for (key, entry) in table {
                at.push(key.clone());
                collect(&entry.node, at, under, layer_values);
                at.pop();
            }
        }
        _ => {
            let written_at = at.iter().fold(under.to_owned(), |path, key| path::join(&path, key));
            layer_values.entry(at.clone()).or_default().push((node.place, written_at, node));
        }
    }
}

/// A value and who had a say in it; none for an empty table that others filled.
fn explain_one(
    path: String,
    value: Option<&Node>,
    layer_values: &LayerValues<'_>,
    sources: &Sources,
) -> Option<Explained> {
    if value.is_some_and(|node| node.as_table().is_some_and(|table| !table.is_empty())) {
        return None;
    }
    let mut set = layer_values.iter().rev().filter_map(|(place, at, node)| {
        let value = (node.content != Content::Null).then(|| node.shown_json());
        Some(LayerValue { value, key: source_key(sources, *place, at)? })
    });
    let latest = set.next()?.key;
    let value = value.map(Node::shown_json);
    Some(Explained { path, value, origin: Origin::Document(latest), overridden: set.collect(), zones: Vec::new() })
}

fn source_key(sources: &Sources, place: Place, at: &str) -> Option<SourceKey> {
    let source = sources.get(place.source);
    Some(SourceKey {
        at: at.to_owned(),
        layer: source.layer?,
        version: source.version,
        file: source.file.clone(),
        position: sources.position(place),
    })
}

/// The zone of a sensor, as its entry says it or its id.
fn zone_of(effective: &Effective, id: &str) -> Option<String> {
    let sensors = effective.device().namespace("sensors");
    let named = sensors.get(id).and_then(|entry| entry.node.get(["zone"])?.as_text());
    named.map(str::to_owned).or_else(|| id.split_once('/').map(|(zone, _)| zone.to_owned()))
}

fn zones(effective: &Effective) -> BTreeSet<String> {
    let sensors = effective.device().namespace("sensors");
    let of_sensors = sensors.keys().filter_map(|id| zone_of(effective, id));
    of_sensors.chain(effective.zones().into_iter().flat_map(|zones| zones.keys().cloned())).collect()
}

fn has_zone(effective: &Effective, zone: &str) -> bool {
    zones(effective).contains(zone)
}

type Defaults = Vec<(&'static str, Json, Origin)>;

fn of_rule(table: &Table) -> Defaults {
    let condition = ["missing_for", "stuck_for", "differs_from"].into_iter().find(|key| table.contains_key(*key));
    let defaults = RULE.keys().filter_map(|key| Some((key.name, key.default.json()?)));
    let message = [("message", Json::from(rules::default_message(condition)))];
    defaults.chain(message).map(|(key, value)| (key, value, Origin::BuiltIn)).collect()
}

fn of_sensor(table: &Table, view: View<'_>, sources: &Sources) -> Defaults {
    let text = |key: &str| table.get(key).and_then(|entry| entry.node.as_text());
    let enabled = SENSOR.get("enabled").and_then(|key| key.default.json());
    let mut defaults: Defaults = enabled.map(|enabled| ("enabled", enabled, Origin::BuiltIn)).into_iter().collect();
    if let Some(Ok(interval)) = table.get("interval").map(|entry| reader::some_duration(&entry.node)) {
        let stale_after = sensors::usual_stale_after(interval);
        defaults.push(("stale_after", Json::from(stale_after.to_string()), Origin::BuiltIn));
    }
    let agent = view.namespace("agent");
    for key in ["resolution", "range", "max_rate", "stuck_for"] {
        let found = text("quantity").and_then(Quantity::from_name).and_then(|quantity| {
            let node = agent.get("quantities")?.node.get([quantity.name(), key])?;
            Some((quantity, node))
        });
        let Some((quantity, node)) = found else { continue };
        let at = format!("agent.quantities.{}.{key}", quantity.name());
        if let Some(of_quantity) = source_key(sources, node.place, &at) {
            defaults.push((key, node.shown_json(), Origin::Inherited(of_quantity)));
        }
    }
    defaults
}
