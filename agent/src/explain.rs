//! `tilth-agent explain`: where the values of a configuration come from.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use serde::Serialize;
use tilth_config::{Explained, LayerValue, Loaded, Origin, Purpose, SourceKey, ZoneValue, redact};

use crate::cli;
use crate::configuration::preview::Preview;
use crate::console::{Console, tell};
use crate::exit::Exit;
use crate::findings;

/// Explains a path, or lists what there is to explain. A configuration with errors is explained as far as it goes.
pub(crate) fn run(wanted: &cli::Explain) -> anyhow::Result<Exit> {
    let Preview { loaded, bundle, unavailable } = Preview::read(&wanted.config.folder, &wanted.data, Purpose::Replay);
    if let Some(active) = &bundle {
        tell(format_args!("tilth-agent: {}", active.summary(&wanted.data)));
    }
    if loaded.has_errors() {
        findings::shown(&loaded, io::stderr().is_terminal()).for_each(tell);
    } else if let Some(unavailable) = &unavailable {
        tell(unavailable);
    }
    let mut console = Console::new();
    let known = match &wanted.path {
        Some(path) => explain(&loaded, path, wanted.json, &mut console)?,
        None => list(&loaded, wanted.json, &mut console)?,
    };
    console.flush()?;
    Ok(if known && !loaded.has_errors() { Exit::Done } else { Exit::Refused })
}

/// Every value at and under a path; tells whether there is any.
fn explain(loaded: &Loaded, path: &str, json: bool, console: &mut Console) -> anyhow::Result<bool> {
    match tilth_config::explain(loaded, path) {
        Ok(values) if json => values.iter().try_for_each(|value| console.json(value))?,
        Ok(values) => values.iter().try_for_each(|value| console.line(text(value)))?,
        Err(unknown) => {
            tell(format_args!("tilth-agent: {unknown}"));
            return Ok(false);
        }
    }
    Ok(true)
}

/// A path and how much is under it.
#[derive(Debug, Serialize)]
struct Listed {
    path: String,
    entries: usize,
    values: usize,
}

/// The paths at the top, and the zones.
fn list(loaded: &Loaded, json: bool, console: &mut Console) -> anyhow::Result<bool> {
    let listed: Vec<Listed> = tilth_config::top_paths(loaded).into_iter().map(|path| count(loaded, path)).collect();
    if json {
        listed.iter().try_for_each(|listed| console.json(listed))?;
    } else {
        let width = listed.iter().map(|listed| listed.path.len()).max().unwrap_or(0);
        for Listed { path, entries, values } in &listed {
            let path = redact::text(path);
            console.line(format_args!("{path:<width$}  entries {entries}, values {values}"))?;
        }
    }
    Ok(true)
}

fn count(loaded: &Loaded, path: String) -> Listed {
    let values = tilth_config::explain(loaded, &path).unwrap_or_default();
    let entries: BTreeSet<&str> =
        values.iter().filter_map(|value| Some(first_key(value.path.strip_prefix(&path)?))).collect();
    Listed { entries: entries.len(), values: values.len(), path }
}

/// The first key of the rest of a path, such as `."tower-1/ph".range`.
fn first_key(rest: &str) -> &str {
    let rest = rest.trim_start_matches('.');
    match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        Some((key, _)) => key,
        None => rest.split('.').next().unwrap_or(rest),
    }
}

/// A value, its origin, and on lines of their own what it overrides.
fn text(explained: &Explained) -> String {
    let Explained { path, value, origin, overridden, zones } = explained;
    let origin = match origin {
        Origin::Document(key) | Origin::Inherited(key) => place(key, path),
        Origin::BuiltIn => "built in".to_owned(),
    };
    let mut text = match value {
        Some(value) => format!("{path} = {value}  {origin}"),
        None => format!("{path} is deleted  {origin}"),
    };
    for LayerValue { value, key } in overridden {
        let value = value.as_ref().map_or("its deletion".to_owned(), ToString::to_string);
        text.push_str(&format!("\n    over {value}  {}", place(key, path)));
    }
    for ZoneValue { zone, set: LayerValue { value, key } } in zones {
        let value = value.as_ref().map_or("deleted".to_owned(), ToString::to_string);
        text.push_str(&format!("\n    in zones.{zone}: {value}  {}", place(key, &key.at)));
    }
    text
}

/// `config.d/tower.toml:12 (config.d)`, and the key there where it is another than `path`.
fn place(key: &SourceKey, path: &str) -> String {
    let SourceKey { at, layer, version, file, position } = key;
    let line = position.as_ref().map_or(String::new(), |position| format!(":{}", position.line));
    let version = version.map_or(String::new(), |version| format!(" version {version}"));
    let at = if at == path { String::new() } else { format!(", {at}") };
    format!("{file}{line} ({layer}{version}{at})")
}
