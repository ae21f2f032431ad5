//! Typed access to a table: reads each key of its [`KeyTable`], says everything that is wrong, and at the end which keys it has not.

use tilth_core::id::{Id, IdError, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::time::Span;
use tilth_core::unit::Unit;

use crate::diagnostic::{Diagnostics, Problem};
use crate::duration::parse_duration;
use crate::namespaces::{DefaultValue, KeyTable, Value};
use crate::path;
use crate::source::Place;
use crate::tree::{Content, Entry, Node, Table};

/// Longest duration; sums of a few fit 64 bits by far.
const LONGEST: Span = Span(3660 * 86_400_000);

/// The forms that people use most.
const DURATIONS: &str = "a duration such as \"5m\", \"2h\", \"1h30m\" or \"90s\"";

/// A table being read.
pub(crate) struct Fields<'a> {
    /// The table's own path.
    pub(crate) path: String,
    /// Place of the table's own key: the place of what is missing in it.
    pub(crate) key: Place,
    table: &'a Table,
    /// The settings of the zone alone, in a table merged from these and those of the device.
    own: Option<&'a Table>,
    log: &'a Diagnostics,
    keys: &'static KeyTable,
}

impl<'a> Fields<'a> {
    /// Begins to read an entry that has these keys; one that is no table is an error.
    pub(crate) fn of(
        entry: &'a Entry,
        path: String,
        keys: &'static KeyTable,
        log: &'a Diagnostics,
    ) -> Option<Fields<'a>> {
        let table = as_table(entry, &path, log)?;
        Some(Fields { path, key: entry.key, table, own: None, log, keys })
    }

    /// Begins to read a table that has these keys; `key` is the place of what is missing in it.
    pub(crate) fn over(
        table: &'a Table,
        path: String,
        key: Place,
        keys: &'static KeyTable,
        log: &'a Diagnostics,
    ) -> Fields<'a> {
        Fields { path, key, table, own: None, log, keys }
    }

    /// Goes on with the keys of a kind.
    pub(crate) fn of_kind(&mut self, kind: &str) {
        self.keys = self.keys.of_kind(kind);
    }

    /// Names the part of a merged table that the zone itself sets.
    pub(crate) fn with_own(mut self, own: Option<&'a Table>) -> Fields<'a> {
        self.own = own;
        self
    }

    /// Whether one key was set with another in view: by the same words, or by ones that come later.
    pub(crate) fn is_later(&self, key: &str, other: &str) -> bool {
        let rank = |key| (self.own.is_some_and(|own| own.contains_key(key)), self.place(key).source);
        rank(key) >= rank(other)
    }

    /// Whether two keys were set by the same words.
    pub(crate) fn are_together(&self, key: &str, other: &str) -> bool {
        self.is_later(key, other) && self.is_later(other, key)
    }

    /// The value of a key as it is.
    pub(crate) fn node(&self, key: &str) -> Option<&'a Node> {
        self.keys.key(key);
        Some(&self.table.get(key)?.node)
    }

    /// The value of a key, if it is there and can be read.
    pub(crate) fn optional<T>(&self, key: &str, read: impl FnOnce(&Node) -> Result<T, Problem>) -> Option<T> {
        let node = self.node(key)?;
        match read(node) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.log.error(node.place, &path::join(&self.path, key), problem);
                None
            }
        }
    }

    /// The value of a key; its default where it is missing, or wrong, which is an error.
    pub(crate) fn or_default<T>(&self, key: &str, read: impl Fn(&Node) -> Result<T, Problem>) -> T {
        self.optional(key, &read).unwrap_or_else(|| {
            let content = match self.keys.key(key).default {
                DefaultValue::Text(text) => Content::Text(text.to_owned()),
                DefaultValue::Whole(number) => Content::Integer(number.into()),
                DefaultValue::Flag(flag) => Content::Bool(flag),
                DefaultValue::Required | DefaultValue::Described(_) => Content::Null,
            };
            read(&Node { content, ..Node::null(self.key) }).expect("a default is a value of its key")
        })
    }

    /// One of the words of a key, if it is there.
    pub(crate) fn word<T>(&self, key: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let words = self.words(key);
        self.optional(key, |node| word(node, &words, find, self.log))
    }

    /// One of the words of a key, by default the one that its table says.
    pub(crate) fn word_or_default<T>(&self, key: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let words = self.words(key);
        self.or_default(key, |node| word(node, &words, &find, self.log))
    }

    /// The words of a key, or of the items of its list.
    pub(crate) fn words(&self, key: &str) -> Vec<&'static str> {
        match self.keys.key(key).value {
            Value::Word(words) | Value::List(&Value::Word(words)) => words(),
            _ => Vec::new(),
        }
    }

    /// A whole number in the range of its key, by default the one that its table says.
    pub(crate) fn whole(&self, key: &str) -> u32 {
        let (least, most) = match self.keys.key(key).value {
            Value::Whole { least, most, .. } => (least, most),
            _ => (0, u32::MAX),
        };
        self.or_default(key, |node| whole(node, least, most))
    }

    /// The value of a key; an error where it is missing.
    pub(crate) fn required<T>(&self, key: &str, read: impl FnOnce(&Node) -> Result<T, Problem>) -> Option<T> {
        if !self.table.contains_key(key) {
            self.keys.key(key);
            self.error_here(Problem::new(format!("{key} is missing")).across_documents());
            return None;
        }
        self.optional(key, read)
    }

    /// The items of a key's list, if it is there and they can all be read.
    pub(crate) fn list<T>(&self, key: &str, what: &str, read: impl Fn(&Node) -> Result<T, Problem>) -> Option<Vec<T>> {
        let node = self.node(key)?;
        let Content::Array(items) = &node.content else {
            self.error(key, expected(what, node));
            return None;
        };
        // All items, so that all that is wrong is said.
        let items: Vec<Option<T>> =
            items.iter().map(|item| part(item, &read).map_err(|problem| self.error(key, problem)).ok()).collect();
        items.into_iter().collect()
    }

    /// The table of a key, if it is there and is one.
    pub(crate) fn table(&self, key: &str) -> Option<Fields<'a>> {
        let keys = self.keys.key(key).value.table()?;
        Fields::of(self.table.get(key)?, path::join(&self.path, key), keys, self.log)
    }

    /// The table of a key, to be read entry by entry.
    pub(crate) fn entries(&self, key: &str) -> impl Iterator<Item = (&'a String, &'a Entry)> + use<'a> {
        self.keys.key(key);
        let entry = self.table.get(key);
        entry.and_then(|entry| as_table(entry, &path::join(&self.path, key), self.log)).into_iter().flatten()
    }

    /// Whether the table has a key, asked for or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Place of the value of a key; the table's own place where it is missing.
    pub(crate) fn place(&self, key: &str) -> Place {
        self.table.get(key).map_or(self.key, |entry| entry.node.place)
    }

    /// An error in the value of a key.
    pub(crate) fn error(&self, key: &str, problem: Problem) {
        self.log.error(self.place(key), &path::join(&self.path, key), problem);
    }

    /// A warning about the value of a key.
    pub(crate) fn warning(&self, key: &str, problem: Problem) {
        self.log.warning(self.place(key), &path::join(&self.path, key), problem);
    }

    /// An error in the table as a whole.
    pub(crate) fn error_here(&self, problem: Problem) {
        self.log.error(self.key, &self.path, problem);
    }

    /// Says which keys the table does not have. `known` are the problems with keys of which more can be said.
    pub(crate) fn finish_but(self, known: impl Fn(&str, &Node) -> Option<Problem>) {
        for (key, entry) in self.table {
            if self.keys.get(key).is_none() {
                let problem = known(key, &entry.node).or_else(|| name_key(key));
                let problem = problem.unwrap_or_else(|| unknown_key(key, &self.keys.names(), self.log));
                self.log.error(entry.key, &path::join(&self.path, key), problem);
            }
        }
    }

    /// Says which keys the table does not have.
    pub(crate) fn finish(self) {
        self.finish_but(|_, _| None);
    }
}

/// The table of an entry; anything else is an error.
fn as_table<'a>(entry: &'a Entry, path: &str, log: &Diagnostics) -> Option<&'a Table> {
    let table = entry.node.as_table();
    if table.is_none() {
        log.error(entry.node.place, path, not_a_table(&entry.node));
    }
    table
}

pub(crate) fn unknown_key(key: &str, known: &[&str], log: &Diagnostics) -> Problem {
    let list = format!("expected one of {}", known.join(", "));
    let help = match log.did_you_mean(key, known.iter().copied()) {
        Some(meant) => format!("{meant} {list}"),
        None => list,
    };
    Problem::new("unknown key").help(help)
}

/// The problem with a key that would name what has a name already.
pub(crate) fn name_key(key: &str) -> Option<Problem> {
    let help = "the name is that in the [header]; a note is a line that begins with #";
    let is_name = ["name", "title", "label", "description", "comment"].contains(&key);
    is_name.then(|| Problem::new("unknown key").help(help))
}

/// The problem with a key `unit`.
pub(crate) fn unit_key(key: &str, quantity: Option<Quantity>) -> Option<Problem> {
    let help = match quantity.map(|quantity| (quantity, quantity.unit())) {
        None => "each quantity has its one unit, and there are no others".to_owned(),
        Some((quantity, "")) => format!("{quantity} has no unit"),
        Some((quantity, unit)) => {
            format!("{quantity} is in {unit} everywhere; a sensor's unit = \"..\" says what its board prints")
        }
    };
    ["unit", "units"].contains(&key).then(|| Problem::new("unknown key").help(help))
}

/// The unit of numbers that say none.
pub(crate) fn unit(node: &Node, quantity: Option<Quantity>) -> Result<Unit, Problem> {
    let text = node.as_text().ok_or_else(|| expected("a unit in quotes", node))?;
    let Some(quantity) = quantity else { return Unit::of(text).ok_or_else(|| expected("a unit", node)) };
    let known = quantity.units();
    let help = match known.as_slice() {
        [] => format!("{quantity} has no unit"),
        _ => format!("{quantity} is read in {}", known.join(", ")),
    };
    match Unit::of(text) {
        Some(unit) if quantity.conversion(unit).is_some() => Ok(unit),
        Some(unit) if quantity == Quantity::Ec && ["ppm", "mg/L"].contains(&unit.name()) => {
            let problem = Problem::new(format!("{node} is no unit of ec: meters differ in what a ppm stands for"));
            Err(problem.help("expected the meter's scale, ppm500, ppm640 or ppm700, or quantity = \"tds\""))
        }
        _ => Err(Problem::new(format!("{node} is no unit of {quantity}")).help(help)),
    }
}

/// A name that nothing has.
pub(crate) fn unknown_name<'a>(
    what: &str,
    name: &str,
    namespace: &str,
    known: impl Iterator<Item = &'a String>,
    log: &Diagnostics,
) -> Problem {
    let help = log.did_you_mean(name, known.map(String::as_str));
    let help = help.unwrap_or_else(|| format!("expected one of those under {namespace}"));
    Problem::new(format!("there is no {what} {name:?}")).help(help).across_documents()
}

/// The id that an entry is keyed by.
pub(crate) fn entry_id(name: &str, fields: &Fields<'_>, log: &Diagnostics) -> Option<Id> {
    let id = Id::new(name).map_err(|error| log.error(fields.key, &fields.path, wrong_id(name, error)));
    id.ok()
}

pub(crate) fn not_a_table(node: &Node) -> Problem {
    expected("a table", node)
}

/// The message for a value of the wrong kind.
pub(crate) fn expected(what: &str, node: &Node) -> Problem {
    Problem::new(format!("expected {what}, found {node}"))
}

pub(crate) fn text(node: &Node) -> Result<String, Problem> {
    let text = node.as_text().ok_or_else(|| expected("a text in quotes", node))?;
    if text.trim().is_empty() {
        return Err(Problem::new("expected a text, found an empty one"));
    }
    Ok(text.to_owned())
}

pub(crate) fn boolean(node: &Node) -> Result<bool, Problem> {
    match node.content {
        Content::Bool(value) => Ok(value),
        _ => Err(expected("true or false", node)),
    }
}

pub(crate) fn number(node: &Node) -> Result<f64, Problem> {
    match node.content {
        Content::Integer(integer) => Ok(integer as f64),
        Content::Float(float) if float.is_finite() => Ok(float),
        Content::Float(_) => Err(expected("a finite number", node)),
        _ => Err(expected("a number", node)),
    }
}

/// A number above zero.
pub(crate) fn positive(node: &Node) -> Result<f64, Problem> {
    match number(node)? {
        value if value > 0.0 => Ok(value),
        _ => Err(expected("a number above 0", node)),
    }
}

/// A whole number between two others, both allowed.
pub(crate) fn whole(node: &Node, least: u32, most: u32) -> Result<u32, Problem> {
    let value = match node.content {
        Content::Integer(integer) => u32::try_from(integer).ok(),
        _ => None,
    };
    let value = value.filter(|value| (least..=most).contains(value));
    value.ok_or_else(|| expected(&format!("a whole number from {least} to {most}"), node))
}

/// A list of two numbers, the second larger.
pub(crate) fn span_of_values(node: &Node) -> Result<(f64, f64), Problem> {
    let Content::Array(items) = &node.content else {
        return Err(expected("two numbers such as [5.5, 6.8]", node));
    };
    let [low, high] = items.as_slice() else {
        return Err(expected("two numbers such as [5.5, 6.8]", node));
    };
    let (low_value, high_value) = (part(low, number)?, part(high, number)?);
    if low_value < high_value {
        Ok((low_value, high_value))
    } else {
        let turned = format!("expected the lower number first, such as [{high}, {low}]");
        let help = if low_value > high_value { turned } else { "expected two different numbers".to_owned() };
        Err(Problem::new(format!("{low} is not below {high}")).help(help))
    }
}

/// The items of a list.
pub(crate) fn list<T>(node: &Node, what: &str, read: impl Fn(&Node) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
    let Content::Array(items) = &node.content else {
        return Err(expected(what, node));
    };
    items.iter().map(|item| part(item, &read)).collect()
}

/// Reads a part of a value; what is wrong with it stands at the part.
pub(crate) fn part<T>(node: &Node, read: impl FnOnce(&Node) -> Result<T, Problem>) -> Result<T, Problem> {
    read(node).map_err(|problem| problem.in_part(node.place))
}

/// Finds the value of a word in a table of words.
pub(crate) fn among<T: Copy, const N: usize>(words: [(&'static str, T); N]) -> impl Fn(&str) -> Option<T> {
    move |text| words.into_iter().find(|(word, _)| *word == text).map(|(_, value)| value)
}

/// A word out of a few.
pub(crate) fn word<T>(
    node: &Node,
    words: &[&str],
    find: impl Fn(&str) -> Option<T>,
    log: &Diagnostics,
) -> Result<T, Problem> {
    let list = || format!("one of {}", words.join(", "));
    let text = node.as_text().ok_or_else(|| expected(&list(), node))?;
    find(text).ok_or_else(|| {
        let meant = log.did_you_mean(text, words.iter().copied());
        let problem = expected(&list(), node);
        match meant {
            Some(meant) => problem.help(meant),
            None => problem,
        }
    })
}

pub(crate) fn id(node: &Node) -> Result<Id, Problem> {
    let text = node.as_text().ok_or_else(|| expected("a name in quotes", node))?;
    Id::new(text).map_err(|error| wrong_id(text, error))
}

pub(crate) fn sensor_id(node: &Node) -> Result<SensorId, Problem> {
    let text = node.as_text().ok_or_else(|| expected("a sensor such as \"tower-1/ph\"", node))?;
    SensorId::new(text).map_err(|error| wrong_id(text, error))
}

pub(crate) fn wrong_id(text: &str, error: IdError) -> Problem {
    match error {
        IdError::NotASensor => Problem::new(format!("{text:?} is no sensor's name")).help(error.to_string()),
        IdError::Empty | IdError::TooLong(_) | IdError::Character(_) => {
            let reason = error.to_string();
            match reason.split_once("; ") {
                Some((reason, help)) => Problem::new(format!("the name {text:?} {reason}")).help(help),
                None => Problem::new(format!("the name {text:?} {reason}")),
            }
        }
    }
}

/// A length of time, possibly none.
pub(crate) fn duration(node: &Node) -> Result<Span, Problem> {
    let wrong = || expected(DURATIONS, node);
    let text = node.as_text().ok_or_else(wrong)?.trim();
    if text.starts_with('-') {
        return Err(wrong().help("a duration cannot be negative"));
    }
    let span = parse_duration(text).ok_or_else(wrong)?;
    if span > LONGEST {
        return Err(wrong().help(format!("expected at most \"{LONGEST}\"")));
    }
    Ok(span)
}

/// A length of time that is one.
pub(crate) fn some_duration(node: &Node) -> Result<Span, Problem> {
    match duration(node)? {
        Span::ZERO => Err(expected("a duration above 0, such as \"5m\"", node)),
        span => Ok(span),
    }
}
