//! The keys of every table of a configuration as data: type, unit, range, default and a line of help.
//!
//! Hints about unknown keys, defaults, ranges, the reference in `docs/configuration.md` and the schema for editors come from
//! here. Typed readers say what else a value must be; a test holds them to the keys of their table, to every one of them.

mod actuators;
mod agent;
mod agent_toml;
mod escalation;
mod notifications;
mod rules;
mod schedules;
mod sensors;

use serde_json::Value as Json;

pub(crate) use actuators::ACTUATOR;
pub(crate) use agent::{AGENT, QUANTITY};
pub(crate) use agent_toml::{AGENT_TOML, BOARD_CHANNEL, BUS, SECRET};
pub(crate) use escalation::POLICY;
pub(crate) use notifications::{CHANNEL, ChannelTag};
pub use notifications::{CHANNEL_KINDS, ChannelKind, HubOption, hub_channels};
pub(crate) use rules::{ACTION, CONDITIONS, RULE};
pub(crate) use schedules::SCHEDULE;
pub(crate) use sensors::SENSOR;

/// A table of a configuration.
#[derive(Debug)]
pub struct KeyTable {
    /// Path of the table, such as `rules.NAME`.
    pub path: &'static str,
    /// Keys, in groups that tables have in common.
    groups: &'static [&'static [Key]],
    /// Tables with the keys of each `kind`, where the keys depend on it.
    kinds: &'static [(&'static str, &'static KeyTable)],
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// The key, as documents write it.
    pub name: &'static str,
    /// Type of its value.
    pub value: Value,
    /// Default of the key.
    pub default: DefaultValue,
    /// Help of one line; Markdown.
    pub help: &'static str,
}

/// Type of a value.
#[derive(Debug)]
pub enum Value {
    /// A text of a form.
    Text(Form),
    /// True or false.
    Flag,
    /// A number in a unit.
    Number(&'static str),
    /// A number above 0 in a unit.
    Positive(&'static str),
    /// A whole number.
    Whole {
        /// Unit.
        unit: &'static str,
        /// Lowest that is allowed.
        least: u32,
        /// Highest that is allowed.
        most: u32,
    },
    /// A length of time.
    Duration,
    /// A length of time above 0.
    PositiveDuration,
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// Two numbers in a unit, the lower one first.
    Range(&'static str),
    /// A list.
    List(&'static Value),
    /// A table.
    Table(&'static KeyTable),
    /// A table of tables, each under a name of this form.
    Named(Form, &'static KeyTable),
    /// A table of tables, each under one of these words.
    ByWord(fn() -> Vec<&'static str>, &'static KeyTable),
    /// One of two.
    Either(&'static [Value; 2]),
    /// A table that this version accepts and does not use.
    Unused,
}

/// Default of a key.
#[derive(Debug)]
pub enum DefaultValue {
    /// A document without the key is wrong.
    Required,
    /// A text, which the reader of the key reads.
    Text(&'static str),
    /// A whole number, likewise.
    Whole(u32),
    /// True or false, likewise.
    Flag(bool),
    /// A default that is described in words; Markdown.
    Described(&'static str),
}

/// A form of texts.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Name of the form.
    pub name: &'static str,
    /// A regular expression that every such text matches, and few others.
    pub pattern: &'static str,
    /// Visibility of such a text of a channel.
    pub(crate) privacy: Privacy,
}

/// Visibility of a text of a channel. A text without a stated one is private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Privacy {
    /// Everybody who may see the configuration.
    Public,
    /// Others see the server of the address alone.
    Server,
    /// Others see this text, of the same form, in its place.
    Private(&'static str),
    /// Not stated, as for texts outside channels.
    Unstated,
}

const fn form(name: &'static str, pattern: &'static str) -> Form {
    Form { name, pattern, privacy: Privacy::Unstated }
}

impl Form {
    const fn with(self, privacy: Privacy) -> Form {
        Form { privacy, ..self }
    }
}

const ANY_TEXT: Form = form("text", r"\S");
const ID: Form = form("name", "^[a-z0-9-]{1,40}$");
const SENSOR_ID: Form = form("sensor", "^[a-z0-9-]{1,40}/[a-z0-9-]{1,40}$");
const TIMEZONE: Form = form("time zone", "^[A-Za-z0-9_+/-]+$");
const WEB_ADDRESS: Form = form("address", "^https?://[^/?#\\s]+");

/// The form of a duration. Of one above 0 some digit is, too.
pub(crate) const DURATION: &str =
    r"^\s*(([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)\s*)+$";

const fn key(name: &'static str, value: Value, default: DefaultValue, help: &'static str) -> Key {
    Key { name, value, default, help }
}

const fn table(path: &'static str, groups: &'static [&'static [Key]]) -> KeyTable {
    KeyTable { path, groups, kinds: &[] }
}

/// The tables of files under `config.d`, with zones at the end.
pub static CONFIG: KeyTable = table("", &[&NAMESPACES, &ZONES]);

/// The parts of a configuration. Each is a map keyed by id, so that a layer can change one field of one entry.
static NAMESPACES: [Key; 9] = [
    key("sensors", Value::Named(SENSOR_ID, &SENSOR), DefaultValue::Described("none"), "sensors"),
    key(
        "rules",
        Value::Named(ID, &RULE),
        DefaultValue::Described("the shipped ones"),
        "conditions that raise an alert",
    ),
    key(
        "escalation",
        Value::Named(ID, &POLICY),
        DefaultValue::Described("the shipped one"),
        "who is notified after how long",
    ),
    key(
        "notifications",
        Value::Named(ID, &CHANNEL),
        DefaultValue::Described("`log`"),
        "channels: the ways to notify people",
    ),
    key("schedules", Value::Named(ID, &SCHEDULE), DefaultValue::Described("the shipped ones"), "hours of the day"),
    key("varieties", Value::Unused, DefaultValue::Described("none"), "not used by this version"),
    key(
        "actuators",
        Value::Named(ID, &ACTUATOR),
        DefaultValue::Described("none"),
        "pumps, valves and sirens, with their limits",
    ),
    key("features", Value::Unused, DefaultValue::Described("none"), "not used by this version"),
    key("agent", Value::Table(&AGENT), DefaultValue::Described("what is shipped"), "settings of the whole device"),
];

static ZONES: [Key; 1] =
    [key("zones", Value::Named(ID, &ZONE), DefaultValue::Described("none"), "settings of one zone")];

static ZONE: KeyTable = table("zones.ID", &[&NAMESPACES]);

/// Names of the namespaces: all that [`CONFIG`] has but zones, which hold namespaces of their own.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMESPACES.iter().map(|key| key.name)
}

/// Names of the namespaces that this version uses.
pub(crate) fn used() -> impl Iterator<Item = &'static str> {
    NAMESPACES.iter().filter(|key| !matches!(key.value, Value::Unused)).map(|key| key.name)
}

/// Names of the namespaces that this version accepts and does not use.
pub(crate) fn unused() -> impl Iterator<Item = &'static str> {
    NAMESPACES.iter().filter(|key| matches!(key.value, Value::Unused)).map(|key| key.name)
}

impl KeyTable {
    /// The tables of `agent.toml`.
    #[must_use]
    pub fn agent_toml() -> &'static KeyTable {
        &AGENT_TOML
    }

    /// All keys, in the order in which they are listed to people.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The names of all keys.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.keys().map(|key| key.name).collect()
    }

    /// Tables with the keys of each `kind`, where the keys depend on it.
    #[must_use]
    pub fn kinds(&self) -> &'static [(&'static str, &'static KeyTable)] {
        self.kinds
    }

    /// The key of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// A key that a reader asks for.
    pub(crate) fn key(&self, name: &str) -> &'static Key {
        #[cfg(test)]
        asked::note(self, name);
        self.get(name).unwrap_or_else(|| panic!("no key {name} in the table {:?}", self.path))
    }

    /// The table for a word under `kind`; this one where the word is none.
    pub(crate) fn of_kind(&'static self, kind: &str) -> &'static KeyTable {
        self.kinds.iter().find(|(name, _)| *name == kind).map_or(self, |(_, table)| table)
    }

    /// Returns this table and all in it.
    #[must_use]
    pub fn all(&'static self) -> Vec<&'static KeyTable> {
        let inner = self.keys().filter_map(|key| key.value.table());
        let kinds = self.kinds.iter().map(|(_, table)| *table);
        std::iter::once(self).chain(inner.chain(kinds).flat_map(KeyTable::all)).collect()
    }
}

impl Value {
    /// The table that the value is, or that its entries are.
    #[must_use]
    pub fn table(&self) -> Option<&'static KeyTable> {
        match self {
            Value::Table(table) | Value::Named(_, table) | Value::ByWord(_, table) => Some(table),
            Value::List(item) => item.table(),
            Value::Either([one, other]) => one.table().or_else(|| other.table()),
            _ => None,
        }
    }

    /// The form of the text that the value is, or that its items are.
    pub(crate) fn form(&self) -> Option<&Form> {
        match self {
            Value::Text(form) => Some(form),
            Value::List(item) => item.form(),
            _ => None,
        }
    }

    /// The unit of its numbers; empty where they have none.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Value::Number(unit) | Value::Positive(unit) | Value::Range(unit) | Value::Whole { unit, .. } => unit,
            _ => "",
        }
    }
}

impl DefaultValue {
    /// The value, where it is one.
    #[must_use]
    pub fn json(&self) -> Option<Json> {
        match *self {
            DefaultValue::Text(text) => Some(Json::from(text)),
            DefaultValue::Whole(number) => Some(Json::from(number)),
            DefaultValue::Flag(flag) => Some(Json::from(flag)),
            DefaultValue::Required | DefaultValue::Described(_) => None,
        }
    }
}

/// Keys that readers asked for, for the test that holds readers and tables together.
#[cfg(test)]
pub(crate) mod asked {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::KeyTable;

    thread_local! {
        /// Paths of tables with the keys that were asked for.
        pub(crate) static ASKED: RefCell<BTreeSet<(&'static str, String)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(table: &KeyTable, key: &str) {
        ASKED.with_borrow_mut(|asked| asked.insert((table.path, key.to_owned())));
    }
}
