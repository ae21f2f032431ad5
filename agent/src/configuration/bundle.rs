//! Checks and compiles a bundle on this device. Pure but for reading `agent.toml`.

use std::fs;
use std::io;
use std::path::Path;

use tilth_config::bundle::{self, Bundle, BundleOrder, ContentHash, TrustedKey};
use tilth_config::{Document, Documents, Files, Level, Loaded, Purpose, Text, load_documents, plain_file};
use tracing::warn;

use super::compiled::Compiled;
use super::enrolment::Enrolment;
use super::first_of;
use crate::clock::ClockMode;
use crate::findings::Problems;

/// Why a bundle is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    /// Version as the bundle states it; unverified where the signature is wrong.
    pub(super) version: Option<u64>,
    pub(super) reason: String,
}

/// Verifies a bundle: signed by the hub, for this device, and not older than `highest`. Its content is not looked at. Returns how it
/// stands to the `active` one, which is never [`BundleOrder::Older`].
pub(super) fn check(
    bytes: &[u8],
    key: &TrustedKey,
    enrolment: &Enrolment,
    active: Option<(u64, ContentHash)>,
    highest: u64,
) -> Result<(Bundle, BundleOrder), Rejection> {
    let bundle = bundle::verify(bytes, key, &enrolment.tenant, &enrolment.device)
        .map_err(|error| Rejection { version: claimed_version(bytes), reason: error.to_string() })?;
    let (version, order) = (bundle.version, bundle.against(active));
    let reject = |reason| Err(Rejection { version: Some(version), reason });
    match order {
        BundleOrder::Older => {
            let runs = active.map_or(0, |(version, _)| version);
            reject(format!("version {version} is not above the running version {runs}"))
        }
        // The highest version itself may come again: it is the one that was lost.
        BundleOrder::SameContent | BundleOrder::Newer if version < highest => {
            reject(format!("version {version} is below version {highest}, which was running before"))
        }
        BundleOrder::Active | BundleOrder::SameContent | BundleOrder::Newer => Ok((bundle, order)),
    }
}

/// Compiles a bundle with the `agent.toml` in the folder; where that does not fit, with the active one. Slow: not for a task that others
/// wait for.
pub(super) fn try_compile(
    bundle: &Bundle,
    enrolment: &Enrolment,
    mode: ClockMode,
    active_agent_toml: Option<Document>,
) -> Result<Compiled, Rejection> {
    let reject = |reason| Err(Rejection { version: Some(bundle.version), reason });
    let loaded = compile(bundle, agent_toml(&enrolment.folder), Purpose::Run);
    let errors = loaded.diagnostics.iter().filter(|one| one.level == Level::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    let compiled = if errors.is_empty() {
        Compiled::of(loaded, Files::of_agent_toml)
    } else {
        let problems = Problems { errors: errors.len() as u64, lines: errors.clone() };
        let loaded = compile(bundle, active_agent_toml, Purpose::Run);
        Compiled::of(loaded, Files::of_agent_toml).map(|compiled| compiled.instead_of(problems))
    };
    let Some(compiled) = compiled else {
        return reject(format!("it has errors: {}", first_of(&errors, MAX_ERRORS, "; ", "more")));
    };
    match compiled.forbids(mode) {
        Some(problem) => reject(problem),
        None => Ok(compiled),
    }
}

/// Whether this is a new device: no file says what to watch, and nothing else is wrong.
pub(super) fn is_new(files: &Loaded, folder: &Path) -> bool {
    let mut errors = files.diagnostics.iter().filter(|one| one.level == Level::Error);
    // What cannot be read may say what to watch.
    let is_hidden = fs::read_dir(folder.join("config.d")).is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
    !is_hidden && ignored(folder).is_empty() && errors.all(|error| error.file == "config.d")
}

/// Compiles a bundle over the shipped base, with an `agent.toml`.
pub(super) fn compile(bundle: &Bundle, agent_toml: Option<Document>, purpose: Purpose) -> Loaded {
    load_documents(Documents { agent_toml, ..bundle.documents() }, purpose)
}

/// Upper limit of errors in the reason of a rejection; the rest is counted.
const MAX_ERRORS: usize = 3;

/// Upper limit of `agent.toml` in bytes, as for every file of a configuration.
const MAX_AGENT_TOML: u64 = 4 << 20;

/// The `agent.toml` in the folder; `None` where there is none.
pub(super) fn agent_toml(folder: &Path) -> Option<Document> {
    let text = match plain_file::read(&folder.join("agent.toml"), MAX_AGENT_TOML) {
        Ok(bytes) => Text::Toml(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Text::Unreadable(format!("cannot be read: {error}")),
    };
    Some(Document { file: "agent.toml".to_owned(), layer: None, version: None, text })
}

/// Names of the files that are ignored because of a bundle.
pub(super) fn ignored(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("config.d")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".toml") && !name.starts_with('.')).collect();
    names.sort();
    names.into_iter().map(|name| format!("config.d/{name}")).collect()
}

pub(super) fn log_ignored(ignored: &[String]) {
    if !ignored.is_empty() {
        warn!("the hub configures this device; ignored: {}", ignored.join(", "));
    }
}

/// Version that unverified bytes state: for a message only.
fn claimed_version(bytes: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Claim {
        version: u64,
    }
    let payload = bytes.windows(2).position(|two| two == b"\n\n").map(|at| &bytes[at + 2..])?;
    Some(serde_json::from_slice::<Claim>(payload).ok()?.version)
}
