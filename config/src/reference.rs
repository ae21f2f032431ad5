//! The reference of keys in `docs/configuration.md`: a Markdown table for each table of a configuration.

use std::fmt::Display;

use crate::namespaces::{DefaultValue, Key, KeyTable, Value};

/// Upper limit of words in a cell; longer lists stand elsewhere on the page.
const MAX_WORDS: usize = 8;

/// The keys of a table, a row each.
#[must_use]
pub fn markdown(table: &KeyTable) -> String {
    let head = "| key | value | meaning | default |\n| --- | --- | --- | --- |\n";
    let mut names = table.names();
    for name in table.kinds().iter().flat_map(|(_, table)| table.names()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    head.to_owned() + &names.into_iter().filter_map(|name| row(table, name)).collect::<String>()
}

/// The row of a key: its own, or what the kinds say that have it.
fn row(table: &KeyTable, name: &str) -> Option<String> {
    let of_kinds = table.kinds().iter().filter_map(|(kind, table)| Some((*kind, table.get(name)?)));
    let of_kinds: Vec<(&str, &Key)> = of_kinds.collect();
    let key = of_kinds.first().map(|(_, key)| *key).or_else(|| table.get(name))?;
    let mut defaults: Vec<(String, Vec<&str>)> = Vec::new();
    for (kind, key) in &of_kinds {
        let default = default(key);
        match defaults.iter_mut().find(|(known, _)| *known == default) {
            Some((_, kinds)) => kinds.push(kind),
            None => defaults.push((default, vec![kind])),
        }
    }
    let without = match defaults.as_slice() {
        [] | [_] => default(key),
        defaults => {
            let said = defaults.iter().map(|(default, kinds)| format!("{default} for {}", words(kinds, "and")));
            said.collect::<Vec<_>>().join("; ")
        }
    };
    let kinds: Vec<&str> = of_kinds.iter().map(|(kind, _)| *kind).collect();
    let of = if kinds.len() < table.kinds().len() { format!("for {}: ", words(&kinds, "and")) } else { String::new() };
    Some(format!("| `{name}` | {} | {of}{} | {without} |\n", value(&key.value), key.help))
}

fn default(key: &Key) -> String {
    match key.default {
        DefaultValue::Required => "required".to_owned(),
        DefaultValue::Text(text) => format!("`{text:?}`"),
        DefaultValue::Whole(number) => format!("`{number}`"),
        DefaultValue::Flag(flag) => format!("`{flag}`"),
        DefaultValue::Described(words) => words.to_owned(),
    }
}

fn value(value: &Value) -> String {
    let what = match value {
        Value::Text(form) => form.name.to_owned(),
        Value::Flag => "`true` or `false`".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::Positive(_) => "number above 0".to_owned(),
        Value::Whole { least, most, .. } => format!("{least} to {most}"),
        Value::Duration => "duration".to_owned(),
        Value::PositiveDuration => "duration above 0".to_owned(),
        Value::Word(list) => match list() {
            list if list.len() > MAX_WORDS => "word".to_owned(),
            list => words(&list.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>(), "or"),
        },
        Value::Range(_) => "two numbers".to_owned(),
        Value::List(item) => return format!("list: {}", self::value(item)),
        Value::Table(_) | Value::Unused => "table".to_owned(),
        Value::Named(form, _) => format!("tables, each under a {}", form.name),
        Value::ByWord(..) => "tables, each under a word".to_owned(),
        Value::Either(values) => return values.each_ref().map(self::value).join("; or "),
    };
    match value.unit() {
        "" => what,
        unit => format!("{what}, {unit}"),
    }
}

/// `a`, `b` and `c`.
fn words(words: &[impl Display], and: &str) -> String {
    match words {
        [] => String::new(),
        [word] => format!("`{word}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} {and} `{last}`", first.join(", "))
        }
    }
}
