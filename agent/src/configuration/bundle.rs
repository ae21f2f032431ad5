//! What a bundle comes to on this device, and which one rules. Pure but for `agent.toml`.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_config::bundle::{self, Bundle, ContentHash, Order, TrustedKey};
use tilth_config::{Document, Documents, Level, Loaded, Purpose, Text, load_documents, plain_file};
use tilth_sync::engine::Holding;

use super::bundle_files::{Kept, NotGood};
use crate::clock::Source;
use crate::daemon::Farm;
use crate::output::tell;
use crate::sync::Home;
use crate::sync::way::trusted_key;

/// What the farm is run by; clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ruling {
    rules: Arc<Mutex<Rules>>,
    /// Held by whoever changes the configuration: files and a bundle that come at once are read and take effect one after the
    /// other.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Rules {
    bundle: Option<Arc<Bundle>>,
    /// The version of the highest that ever ruled; 0 for none.
    highest: u64,
    /// Of the plan that runs, whatever it is from.
    plan: String,
}

/// What a bundle comes to.
pub(crate) enum Judged {
    /// It is to be tried.
    New(Box<Bundle>),
    /// What runs already, under a higher number.
    SameContent(Box<Bundle>),
    /// The very one that runs.
    Known,
}

/// Why a bundle is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its version, as far as it says one; not to be believed where the signature is not good.
    pub(crate) version: Option<u64>,
    pub(crate) reason: String,
}

impl Ruling {
    /// A farm that runs by this bundle, or by `config.d`; the highest version known to have ruled; the hash of its plan.
    pub(crate) fn new(bundle: Option<Arc<Bundle>>, highest: u64, plan: String) -> Ruling {
        let highest = bundle.as_ref().map_or(highest, |bundle| bundle.version.max(highest));
        Ruling { rules: Arc::new(Mutex::new(Rules { bundle, highest, plan })), turn: Arc::default() }
    }

    /// The bundle that rules; with none it is `config.d`.
    pub(crate) fn bundle(&self) -> Option<Arc<Bundle>> {
        self.rules().bundle.clone()
    }

    pub(crate) fn rule(&self, bundle: Arc<Bundle>) {
        let mut rules = self.rules();
        rules.highest = rules.highest.max(bundle.version);
        rules.bundle = Some(bundle);
    }

    /// The plan of that hash runs from now on. Says whether it is another one.
    pub(crate) fn run(&self, plan: &str) -> bool {
        let mut rules = self.rules();
        let other = rules.plan != plan;
        plan.clone_into(&mut rules.plan);
        other
    }

    /// What the hub is told: it issues above the highest, whatever rules now. Its tag is left out where the highest is lost,
    /// so that it comes again.
    pub(crate) fn holding(&self) -> Holding {
        let rules = self.rules();
        let highest = rules.bundle.as_ref().filter(|bundle| bundle.version == rules.highest);
        // The hub's tag of a bundle is its content's hash, in quotes.
        Holding { version: rules.highest, etag: highest.map(|bundle| format!("\"{}\"", bundle.hash)) }
    }

    pub(crate) fn version(&self) -> Option<(u64, ContentHash)> {
        self.rules().bundle.as_ref().map(|bundle| (bundle.version, bundle.hash))
    }

    pub(crate) fn highest(&self) -> u64 {
        self.rules().highest
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a bundle is the hub's, for this device, and newer than what ruled. Its content is not looked at.
pub(crate) fn judge(bytes: &[u8], key: &TrustedKey, home: &Home, ruling: &Ruling) -> Result<Judged, Refusal> {
    let refuse = |version, reason| Err(Refusal { version, reason });
    let bundle = match bundle::verify(bytes, key, &home.client, &home.device) {
        Ok(bundle) => bundle,
        Err(error) => return refuse(claimed_version(bytes), error.to_string()),
    };
    let (version, running, highest) = (Some(bundle.version), ruling.version(), ruling.highest());
    match bundle.against(running) {
        Order::Known => Ok(Judged::Known),
        Order::Older => {
            let runs = running.map_or(0, |(version, _)| version);
            refuse(version, format!("version {} is not above {runs}, which runs", bundle.version))
        }
        // The highest itself may come again: it is the one that was lost.
        Order::SameContent | Order::Newer if bundle.version < highest => {
            refuse(version, format!("version {} is below {highest}, which was in force before", bundle.version))
        }
        Order::SameContent => Ok(Judged::SameContent(Box::new(bundle))),
        Order::Newer => Ok(Judged::New(Box::new(bundle))),
    }
}

/// What runs under a bundle. Takes its time: not for a task that others wait for.
///
/// Where it does not go with `agent.toml` as that lies there, it is to go with the one before.
pub(crate) fn farm(bundle: &Bundle, home: &Home, source: Source, before: Option<Document>) -> Result<Farm, Refusal> {
    let refuse = |reason| Err(Refusal { version: Some(bundle.version), reason });
    let loaded = compile(bundle, site(&home.folder));
    let errors: Vec<String> =
        loaded.diagnostics.iter().filter(|one| one.level == Level::Error).map(ToString::to_string).collect();
    let farm = if errors.is_empty() {
        Farm::of_hub(loaded)
    } else {
        let before = Some(compile(bundle, before)).filter(|loaded| !loaded.has_errors());
        before.and_then(Farm::of_hub).map(|farm| farm.instead_of(errors.clone()))
    };
    let Some(farm) = farm else {
        let more = errors.len().saturating_sub(3);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        return refuse(format!("it does not compile: {}{more}", errors[..errors.len().min(3)].join("; ")));
    };
    match farm.forbids(source) {
        Some(problem) => refuse(problem),
        None => Ok(farm),
    }
}

/// The last good bundle that is kept; nothing where there never was one.
///
/// # Errors
/// Why there is none to begin with.
pub(crate) fn last_good(home: &Home) -> Result<Option<Bundle>, NotGood> {
    let kept = Kept::new(&home.data);
    if !kept.has_good() {
        return if kept.highest() > 0 { Err(NotGood::Gone) } else { Ok(None) };
    }
    let key = trusted_key(home).map_err(|error| NotGood::Unusable(format!("{error:#}")))?;
    kept.good(&key, &home.client, &home.device)
}

/// A new device: no file says what to watch, and nothing else is wrong.
pub(crate) fn is_new(files: &Loaded, folder: &Path) -> bool {
    let mut errors = files.diagnostics.iter().filter(|one| one.level == Level::Error);
    ignored(folder).is_empty() && errors.all(|error| error.file == "config.d")
}

/// A bundle over the shipped base, with an `agent.toml`.
pub(crate) fn compile(bundle: &Bundle, site: Option<Document>) -> Loaded {
    load_documents(Documents { site, ..bundle.documents() }, Purpose::Run)
}

/// The most bytes of an `agent.toml`, as for every file of a configuration.
const MAX_SITE: u64 = 4 << 20;

/// `agent.toml` as it lies there; nothing where there is none.
pub(crate) fn site(folder: &Path) -> Option<Document> {
    let text = match plain_file::read(&folder.join("agent.toml"), MAX_SITE) {
        Ok(bytes) => Text::Toml(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Text::Unreadable(format!("cannot be read: {error}")),
    };
    Some(Document { file: "agent.toml".to_owned(), layer: None, version: None, text })
}

/// The files that a bundle makes void, by name.
pub(crate) fn ignored(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("config.d")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".toml") && !name.starts_with('.')).collect();
    names.sort();
    names.into_iter().map(|name| format!("config.d/{name}")).collect()
}

/// Says by name that files are ignored.
pub(crate) fn say_ignored(ignored: &[String]) {
    if !ignored.is_empty() {
        tell(format_args!("tilth-agent: the hub's configuration rules; ignored: {}", ignored.join(", ")));
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
