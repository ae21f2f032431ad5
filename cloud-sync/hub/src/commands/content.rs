//! From files to the content of a bundle, checked as the device will check it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value as Json;
use tilth_config::{
    Document, Documents, Holdings, Layer, Loaded, Purpose, Text, base, bundle, load_documents, plain_file,
};
use tilth_core::id::Id;

/// A larger file is no configuration.
const MAX_FILE: u64 = 4 << 20;

/// What files come to.
pub(super) struct Checked {
    /// The content and what it has; none where there is any error.
    pub(super) content: Option<(Json, Holdings)>,
    /// Errors and warnings, each on a line with its place.
    pub(super) findings: Vec<String>,
}

/// Reads a folder or file and checks what it says.
pub(super) fn read(from: &Path, client: &Id, device: &Id) -> anyhow::Result<Checked> {
    let documents = documents(from)?;
    let content = bundle::content(&load_documents(documents.clone(), Purpose::Replay));
    let site = documents.site.unwrap_or_else(|| Document::site(&made_up_site(&content, client, device)));
    // Once with the files, for their lines, and once with what the device gets, for what it will say.
    let written = load_documents(Documents { site: Some(site.clone()), ..documents }, Purpose::Run);
    let mut findings = shown(&written);
    if written.has_errors() {
        return Ok(Checked { content: None, findings });
    }
    let received = received(content.clone(), site);
    if received.has_errors() {
        findings.extend(shown(&received));
        return Ok(Checked { content: None, findings });
    }
    Ok(Checked { content: Some((content, Holdings::of(&received))), findings })
}

/// What a content has that was checked before; else what is wrong with it by now.
pub(super) fn holdings(content: &Json, client: &Id, device: &Id) -> Result<Holdings, String> {
    let received = received(content.clone(), Document::site(&made_up_site(content, client, device)));
    if received.has_errors() { Err(shown(&received).join("; ")) } else { Ok(Holdings::of(&received)) }
}

/// A content as the device reads it.
fn received(content: Json, site: Document) -> Loaded {
    load_documents(Documents { site: Some(site), ..bundle::documents(None, content) }, Purpose::Run)
}

fn shown(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(ToString::to_string).collect()
}

fn documents(from: &Path) -> anyhow::Result<Documents> {
    let name = || from.display().to_string();
    let mut documents = base();
    if !fs::metadata(from).with_context(name)?.is_dir() {
        let file = from.file_name().unwrap_or(from.as_os_str()).to_string_lossy().into_owned();
        documents.layers.push(document(file, from)?);
        return Ok(documents);
    }
    let inside = from.join("config.d");
    let (folder, prefix) = if inside.is_dir() { (inside.as_path(), "config.d/") } else { (from, "") };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_site = path.file_name() == Some(OsStr::new("agent.toml"));
        if !is_hidden && !is_site && path.extension() == Some(OsStr::new("toml")) {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("{}: no TOML file here; expected a folder with config.d, or with TOML files", folder.display());
    }
    files.sort();
    for path in files {
        let file = format!("{prefix}{}", path.file_name().unwrap_or_default().display());
        documents.layers.push(document(file, &path)?);
    }
    let site = from.join("agent.toml");
    if site.exists() {
        documents.site = Some(Document { layer: None, ..document("agent.toml".to_owned(), &site)? });
    }
    Ok(documents)
}

fn document(file: String, path: &Path) -> anyhow::Result<Document> {
    let name = || path.display().to_string();
    let bytes = plain_file::read(path, MAX_FILE).with_context(name)?;
    let text = if path.extension() == Some(OsStr::new("json")) {
        serde_json::from_slice(&bytes).map_or_else(|error| Text::Unreadable(format!("not JSON: {error}")), Text::Json)
    } else {
        Text::Toml(bytes)
    };
    Ok(Document { file, layer: Some(Layer::Client), version: None, text })
}

/// An `agent.toml` with every bus that the configuration speaks of: which buses there are is known on site alone, and
/// everything else is checked as on site.
fn made_up_site(content: &Json, client: &Id, device: &Id) -> String {
    let zones = content["zones"].as_object().into_iter().flat_map(|zones| zones.values());
    let sensors = std::iter::once(content).chain(zones).filter_map(|owner| owner["sensors"].as_object());
    let inputs = sensors.flat_map(|sensors| sensors.values()).filter_map(|sensor| sensor["input"].as_str());
    let mut buses = BTreeMap::new();
    for input in inputs {
        if let Some((kind @ ("line" | "board" | "modbus" | "i2c" | "mqtt" | "sdi12"), rest)) = input.split_once(':')
            && let Some((bus, _)) = rest.split_once('/')
            && Id::new(bus).is_ok()
        {
            buses.entry(bus).or_insert(kind);
        }
    }
    let mut text = format!("[device]\nid = \"{device}\"\nclient = \"{client}\"\n");
    for (bus, kind) in buses {
        let link = match kind {
            "mqtt" => "url = \"mqtt://localhost\"",
            _ => "port = \"/dev/null\"",
        };
        let _ = write!(text, "[bus.{bus}]\nkind = \"{kind}\"\n{link}\n");
    }
    text
}
