//! What a bundle comes to on this device. Pure but for `agent.toml`.

use std::fs;
use std::io;
use std::path::Path;

use tilth_config::bundle::{self, Bundle, ContentHash, Order, TrustedKey};
use tilth_config::{Document, Documents, Level, Loaded, Purpose, Text, load_documents, plain_file};
use tracing::warn;

use super::compiled::Compiled;
use super::enrolment::Enrolment;
use crate::clock::Source;
use crate::findings::Problems;

/// What a bundle comes to.
pub(super) enum Judged {
    /// A bundle with other content than the one that runs: to be tried.
    New(Box<Bundle>),
    /// What runs already, under a higher number.
    SameContent(Box<Bundle>),
    /// The very one that runs.
    Running,
}

/// Why a bundle is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    /// Its version, as far as it says one; not to be believed where the signature is not good.
    pub(super) version: Option<u64>,
    pub(super) reason: String,
}

/// Whether a bundle is the hub's, for this device, and newer than what ruled. Its content is not looked at.
/// `running` and `highest` say which.
pub(super) fn judge(
    bytes: &[u8],
    key: &TrustedKey,
    enrolment: &Enrolment,
    running: Option<(u64, ContentHash)>,
    highest: u64,
) -> Result<Judged, Rejection> {
    let refuse = |version, reason| Err(Rejection { version, reason });
    let bundle = match bundle::verify(bytes, key, &enrolment.client, &enrolment.device) {
        Ok(bundle) => bundle,
        Err(error) => return refuse(claimed_version(bytes), error.to_string()),
    };
    let version = Some(bundle.version);
    match bundle.against(running) {
        Order::Running => Ok(Judged::Running),
        Order::Older => {
            let runs = running.map_or(0, |(version, _)| version);
            refuse(version, format!("version {} is not above the running version {runs}", bundle.version))
        }
        // The highest itself may come again: it is the one that was lost.
        Order::SameContent | Order::Newer if bundle.version < highest => {
            refuse(version, format!("version {} is below version {highest}, which was in force before", bundle.version))
        }
        Order::SameContent => Ok(Judged::SameContent(Box::new(bundle))),
        Order::Newer => Ok(Judged::New(Box::new(bundle))),
    }
}

/// What runs under a bundle. Takes its time: not for a task that others wait for.
///
/// Where it does not go with `agent.toml` as that lies there, it is to go with the one before.
pub(super) fn try_compile(
    bundle: &Bundle,
    enrolment: &Enrolment,
    source: Source,
    before: Option<Document>,
) -> Result<Compiled, Rejection> {
    let refuse = |reason| Err(Rejection { version: Some(bundle.version), reason });
    let loaded = compile(bundle, site(&enrolment.folder), Purpose::Run);
    let errors = loaded.diagnostics.iter().filter(|one| one.level == Level::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    let compiled = if errors.is_empty() {
        Compiled::of_bundle(loaded)
    } else {
        let before = Some(compile(bundle, before, Purpose::Run)).filter(|loaded| !loaded.has_errors());
        let problems = Problems { errors: errors.len() as u64, lines: errors.clone() };
        before.and_then(Compiled::of_bundle).map(|compiled| compiled.instead_of(problems))
    };
    let Some(compiled) = compiled else {
        let more = errors.len().saturating_sub(3);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        return refuse(format!("it has errors: {}{more}", errors[..errors.len().min(3)].join("; ")));
    };
    match compiled.forbids(source) {
        Some(problem) => refuse(problem),
        None => Ok(compiled),
    }
}

/// A new device: no file says what to watch, and nothing else is wrong.
pub(super) fn is_new(files: &Loaded, folder: &Path) -> bool {
    let mut errors = files.diagnostics.iter().filter(|one| one.level == Level::Error);
    ignored(folder).is_empty() && errors.all(|error| error.file == "config.d")
}

/// A bundle over the shipped base, with an `agent.toml`.
pub(super) fn compile(bundle: &Bundle, site: Option<Document>, purpose: Purpose) -> Loaded {
    load_documents(Documents { site, ..bundle.documents() }, purpose)
}

/// The most bytes of an `agent.toml`, as for every file of a configuration.
const MAX_SITE: u64 = 4 << 20;

/// `agent.toml` as it lies there; nothing where there is none.
pub(super) fn site(folder: &Path) -> Option<Document> {
    let text = match plain_file::read(&folder.join("agent.toml"), MAX_SITE) {
        Ok(bytes) => Text::Toml(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Text::Unreadable(format!("cannot be read: {error}")),
    };
    Some(Document { file: "agent.toml".to_owned(), layer: None, version: None, text })
}

/// The files that a bundle makes void, by name.
pub(super) fn ignored(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("config.d")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".toml") && !name.starts_with('.')).collect();
    names.sort();
    names.into_iter().map(|name| format!("config.d/{name}")).collect()
}

/// Says by name that files are ignored.
pub(super) fn say_ignored(ignored: &[String]) {
    if !ignored.is_empty() {
        warn!("the hub configures this device; ignored: {}", ignored.join(", "));
    }
}

/// The version that unchecked bytes say they have: for a message and nothing else.
fn claimed_version(bytes: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Claim {
        version: u64,
    }
    let payload = bytes.windows(2).position(|two| two == b"\n\n").map(|at| &bytes[at + 2..])?;
    Some(serde_json::from_slice::<Claim>(payload).ok()?.version)
}
