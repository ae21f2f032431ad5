//! Reads files into the content of a bundle, and checks it as the device does.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value as Json;
use tilth_config::{
    BusKind, Device, Document, Documents, Input, Inventory, Layer, Loaded, Purpose, Text, base, bundle, json,
    load_documents, plain_file,
};
use tilth_core::id::Id;

/// Maximum size of a file, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Files after the check.
pub(super) struct Checked {
    /// Content with its summary; none with an error.
    pub(super) content: Option<(Json, Inventory)>,
    /// Errors and warnings, each one line with its place.
    pub(super) findings: Vec<String>,
}

/// Reads and checks a folder or file.
pub(super) fn read(from: &Path, client: &Id, device: &Id) -> anyhow::Result<Checked> {
    let (documents, mut findings) = documents(from)?;
    let content = bundle::content(&load_documents(documents.clone(), Purpose::Replay));
    let agent_toml = match documents.agent_toml {
        Some(agent_toml) => match other_device(&agent_toml, client, device) {
            None => Some(agent_toml),
            Some(other) => {
                findings.push(format!(
                    "agent.toml: warning: of {other}, but the configuration is for {client}/{device}; not checked against this file"
                ));
                None
            }
        },
        None => None,
    };
    let agent_toml = agent_toml.unwrap_or_else(|| Document::agent_toml(&assumed_agent_toml(&content, client, device)));
    // Check the files, for places in them, then the content that the device gets.
    let written = load_documents(Documents { agent_toml: Some(agent_toml.clone()), ..documents }, Purpose::Run);
    findings.extend(shown(&written));
    if written.has_errors() {
        return Ok(Checked { content: None, findings });
    }
    let received = Documents { agent_toml: Some(agent_toml), ..bundle::documents(None, content.clone()) };
    let received = load_documents(received, Purpose::Run);
    if received.has_errors() {
        findings.extend(shown(&received));
        return Ok(Checked { content: None, findings });
    }
    match inventory(&content) {
        Ok(has) => Ok(Checked { content: Some((content, has)), findings }),
        Err(why) => bail!("{}: {why}", from.display()),
    }
}

/// Summary of a content that was checked before; else its errors by today's rules. Its machine does not matter here.
pub(super) fn inventory(content: &Json) -> Result<Inventory, String> {
    let loaded = load_documents(bundle::documents(None, content.clone()), Purpose::Replay);
    if loaded.has_errors() { Err(shown(&loaded).join("; ")) } else { Ok(Inventory::of(&loaded)) }
}

/// The device of an `agent.toml`, if it is another one.
fn other_device(agent_toml: &Document, client: &Id, device: &Id) -> Option<String> {
    let documents = Documents { agent_toml: Some(agent_toml.clone()), ..Documents::default() };
    let Device { id, client: tenant, .. } = load_documents(documents, Purpose::Replay).agent_toml?.device?;
    let is_other = id != *device || tenant.as_ref().is_some_and(|tenant| tenant != client);
    is_other.then(|| tenant.map_or(id.to_string(), |tenant| format!("{tenant}/{id}")))
}

fn shown(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(ToString::to_string).collect()
}

/// Documents of a folder or file, and warnings about files that may have been meant but are ignored.
fn documents(from: &Path) -> anyhow::Result<(Documents, Vec<String>)> {
    let name = || from.display().to_string();
    let mut documents = base();
    if !fs::metadata(from).with_context(name)?.is_dir() {
        let file = from.file_name().unwrap_or(from.as_os_str()).to_string_lossy().into_owned();
        documents.layers.push(document(file, from)?);
        return Ok((documents, Vec::new()));
    }
    let inside = from.join("config.d");
    let (folder, prefix) = if inside.is_dir() { (inside.as_path(), "config.d/") } else { (from, "") };
    let (mut files, mut ignored): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_agent_toml = path.file_name() == Some(OsStr::new("agent.toml"));
        if is_hidden || is_agent_toml {
            continue;
        }
        if path.extension() == Some(OsStr::new("toml")) {
            files.push(path);
        } else if path.is_dir() || is_nearly_toml(&path) {
            ignored.push(path);
        }
    }
    if files.is_empty() {
        bail!("{}: no TOML file here; expected a folder with config.d, or with TOML files", folder.display());
    }
    files.sort();
    ignored.sort();
    let is_secrets = |path: &&PathBuf| prefix.is_empty() && path.file_name() == Some(OsStr::new("secrets"));
    let findings = ignored.iter().filter(|path| !is_secrets(path)).map(|path| {
        let kind = if path.is_dir() { "this folder" } else { "this file" };
        let file = path.file_name().unwrap_or_default().display();
        format!("{prefix}{file}: warning: {kind} is ignored; expected files that end in .toml, all in one folder")
    });
    let findings = findings.collect();
    for path in files {
        let file = format!("{prefix}{}", path.file_name().unwrap_or_default().display());
        documents.layers.push(document(file, &path)?);
    }
    let agent_toml = from.join("agent.toml");
    if agent_toml.exists() {
        documents.agent_toml = Some(Document { layer: None, ..document("agent.toml".to_owned(), &agent_toml)? });
    }
    Ok((documents, findings))
}

/// True for a name that an editor or file manager may have made of a TOML file.
fn is_nearly_toml(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    name.contains(".toml") || name.ends_with(".tml")
}

fn document(file: String, path: &Path) -> anyhow::Result<Document> {
    let name = || path.display().to_string();
    let bytes = plain_file::read(path, MAX_FILE).with_context(name)?;
    let text = if path.extension() == Some(OsStr::new("json")) {
        json::read(&bytes).map_or_else(|error| Text::Unreadable(format!("not JSON: {error}")), Text::Json)
    } else {
        Text::Toml(bytes)
    };
    Ok(Document { file, layer: Some(Layer::Client), version: None, text })
}

/// An `agent.toml` with every bus that the configuration names: the real buses are known on site only.
fn assumed_agent_toml(content: &Json, client: &Id, device: &Id) -> String {
    let zones = content["zones"].as_object().into_iter().flat_map(|zones| zones.values());
    let owners: Vec<&Json> = std::iter::once(content).chain(zones).collect();
    let texts = |table: &'static str, key: &'static str| {
        let tables = owners.iter().filter_map(move |owner| owner[table].as_object());
        tables.flat_map(|table| table.values()).filter_map(move |entry| entry[key].as_str())
    };
    let of_input = |input: Input| {
        let kind = input.bus_kind()?;
        // If inputs of a kind name no bus, any name will do.
        Some((input.bus().map_or_else(|| format!("the-{kind}"), Id::to_string), kind))
    };
    let of_output = |output: &str| {
        let (bus, _) = output.strip_prefix("board:")?.split_once('/')?;
        Some((Id::new(bus).ok()?.to_string(), BusKind::Board))
    };
    let mut buses = BTreeMap::new();
    let of_inputs = texts("sensors", "input").filter_map(Input::parse).filter_map(of_input);
    for (bus, kind) in of_inputs.chain(texts("actuators", "output").filter_map(of_output)) {
        buses.entry(bus).or_insert(kind);
    }
    let mut text = format!("[device]\nid = \"{device}\"\nclient = \"{client}\"\n");
    for (bus, kind) in buses {
        let link = match kind {
            BusKind::Mqtt => "url = \"mqtt://localhost\"".to_owned(),
            // No two buses share a port.
            BusKind::Line
            | BusKind::Board
            | BusKind::Modbus
            | BusKind::I2c
            | BusKind::W1
            | BusKind::Gpio
            | BusKind::Sdi12 => format!("port = \"{bus}\""),
        };
        let _ = write!(text, "[bus.{bus}]\nkind = \"{kind}\"\n{link}\n");
    }
    text
}
