//! JSON Schema (2020-12) of the files of a configuration, for editors: made of the tables of keys.
//!
//! What a file says is laid over what others say, so that keys may be missing that a rule or a sensor needs. `agent.toml` stands
//! alone, and what it needs is required.

use serde_json::{Map, Value as Json, json};

use crate::namespaces::{CONFIG, DURATION, DefaultValue, Form, Key, KeyTable, Value};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Schema of a file under `config.d`.
#[must_use]
pub fn of_config() -> Json {
    whole("Tilth: a file under config.d", |definitions| object(&CONFIG, definitions))
}

/// Schema of `agent.toml`.
#[must_use]
pub fn of_agent_toml() -> Json {
    whole("Tilth: agent.toml", |definitions| object(KeyTable::agent_toml(), definitions))
}

/// Schema of what stands under a namespace; `None` where there is no such namespace.
#[must_use]
pub fn of_namespace(name: &str) -> Option<Json> {
    let key = CONFIG.get(name)?;
    Some(whole(&format!("Tilth: {name}"), |definitions| schema(&key.value, definitions)))
}

/// The names that [`of_namespace`] knows.
#[must_use]
pub fn namespaces() -> Vec<&'static str> {
    CONFIG.names()
}

fn whole(title: &str, make: impl FnOnce(&mut Map<String, Json>) -> Map<String, Json>) -> Json {
    let mut definitions = Map::new();
    let mut schema = make(&mut definitions);
    schema.insert("$schema".to_owned(), json!(DIALECT));
    schema.insert("title".to_owned(), json!(title));
    schema.insert("$defs".to_owned(), Json::Object(definitions));
    Json::Object(schema)
}

/// A table and what may stand in it.
fn object(table: &'static KeyTable, definitions: &mut Map<String, Json>) -> Map<String, Json> {
    let has_kinds = !table.kinds().is_empty();
    let of_kinds = table.kinds().iter().flat_map(|(_, table)| table.keys());
    let mut properties = Map::new();
    for key in table.keys().chain(of_kinds) {
        if !properties.contains_key(key.name) {
            // The default of a key that several kinds have is said with each kind.
            properties.insert(key.name.to_owned(), Json::Object(property(key, has_kinds, definitions)));
        }
    }
    let is_required = |key: &&Key| matches!(key.default, DefaultValue::Required) && (!has_kinds || key.name == "kind");
    let required: Vec<&str> = table.keys().filter(is_required).map(|key| key.name).collect();
    let mut made = map(json!({ "type": "object", "properties": properties, "additionalProperties": false }));
    if !required.is_empty() {
        made.insert("required".to_owned(), json!(required));
    }
    if has_kinds {
        let of_kind = |(kind, table): &(&str, &'static KeyTable)| {
            let is_kind = json!({ "properties": { "kind": { "const": kind } }, "required": ["kind"] });
            json!({ "if": is_kind, "then": reference(table, definitions) })
        };
        let kinds: Vec<Json> = table.kinds().iter().map(of_kind).collect();
        made.insert("allOf".to_owned(), json!(kinds));
    }
    made
}

fn property(key: &Key, has_kinds: bool, definitions: &mut Map<String, Json>) -> Map<String, Json> {
    let mut made = schema(&key.value, definitions);
    let without = match &key.default {
        DefaultValue::Described(words) if !has_kinds => format!("; default: {}", plain(words)),
        _ => String::new(),
    };
    made.insert("description".to_owned(), json!(format!("{}{}{without}", plain(key.help), in_unit(&key.value))));
    if let Some(default) = key.default.json().filter(|_| !has_kinds) {
        made.insert("default".to_owned(), default);
    }
    made
}

fn in_unit(value: &Value) -> String {
    match value.unit() {
        "" => String::new(),
        unit => format!(" ({unit})"),
    }
}

fn schema(value: &Value, definitions: &mut Map<String, Json>) -> Map<String, Json> {
    map(match value {
        Value::Text(Form { pattern, .. }) => json!({ "type": "string", "pattern": pattern }),
        Value::Flag => json!({ "type": "boolean" }),
        Value::Number(_) => json!({ "type": "number" }),
        Value::Positive(_) => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Value::Whole { least, most, .. } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Value::Duration => json!({ "type": "string", "pattern": DURATION }),
        Value::PositiveDuration => {
            json!({ "type": "string", "pattern": DURATION, "allOf": [{ "pattern": "[1-9]" }] })
        }
        Value::Word(words) => json!({ "enum": words() }),
        Value::Range(_) => {
            json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
        }
        Value::List(item) => json!({ "type": "array", "items": schema(item, definitions) }),
        Value::Table(table) => reference(table, definitions),
        Value::Named(form, table) => json!({
            "type": "object",
            "propertyNames": { "pattern": form.pattern },
            "additionalProperties": reference(table, definitions),
        }),
        Value::ByWord(words, table) => {
            let table = reference(table, definitions);
            let properties = words().into_iter().map(|word| (word.to_owned(), table.clone()));
            let properties: Map<String, Json> = properties.collect();
            json!({ "type": "object", "properties": properties, "additionalProperties": false })
        }
        Value::Either(values) => json!({ "anyOf": values.each_ref().map(|value| schema(value, definitions)) }),
        Value::Unused => json!({ "type": "object" }),
    })
}

/// A reference to the definition of a table, which is made when it is first referred to.
fn reference(table: &'static KeyTable, definitions: &mut Map<String, Json>) -> Json {
    let fine = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = table.path.chars().map(fine).collect();
    if !definitions.contains_key(&name) {
        let made = object(table, definitions);
        definitions.insert(name.clone(), Json::Object(made));
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// Markdown without its links and marks.
fn plain(markdown: &str) -> String {
    let mut parts = markdown.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("](").and_then(|(words, rest)| Some((words, rest.split_once(')')?.1))) {
            Some((words, rest)) => text.extend([words, rest]),
            None => text.extend(["[", part]),
        }
    }
    text.replace('`', "")
}

fn map(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_markdown_are_taken_out_and_lists_stay() {
        for (markdown, expected) in [
            ("from [the table](#quantities)", "from the table"),
            ("what can be believed, as `[3, 10]`", "what can be believed, as [3, 10]"),
            ("`[[4.1, 4.0], [7.2, 7.0]]`; see [rules.md](rules.md)", "[[4.1, 4.0], [7.2, 7.0]]; see rules.md"),
        ] {
            assert_eq!(plain(markdown), expected);
        }
    }
}
