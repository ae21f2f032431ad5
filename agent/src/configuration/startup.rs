//! What the agent starts with: reads the files in the folder, the last good ones and the saved bundle, lets `choose` decide, logs the
//! choice and compiles it.

mod choose;
mod rebuild;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tilth_config::bundle::Bundle;
use tilth_config::{Document, Files, Inventory, Level, Loaded, Purpose, load_documents};
use tracing::{error, info, warn};

use super::active::short;
use super::bundle::{self, ignored, is_new, log_ignored};
use super::bundle_files::{BundleFiles, BundleState, Unavailable};
use super::compiled::Compiled;
use super::enrolment::Enrolment;
use super::file_versions::FileVersions;
use super::last_good::LastGood;
use super::watch;
use crate::clock::Clock;
use crate::console::{counted, tell};
use crate::durable::Unreadable;
use crate::findings::Problems;
use crate::store::move_aside;
use choose::{BundleFit, Candidate, choose};

use rebuild::rebuilt_state;

pub(super) use choose::{Choice, ConfigOrigin, FileSet};

pub(crate) struct Startup {
    pub(crate) compiled: Compiled,
    /// `None` on a farm without a hub.
    pub(crate) enrolment: Option<Enrolment>,
    /// The bundle that it is of; `None` where it is of the files of `config.d`.
    pub(super) bundle: Option<Arc<Bundle>>,
    /// Content of `bundle.state`; `None` while that cannot be read.
    pub(super) state: Option<BundleState>,
    /// Why `bundle.state` was lost or cannot be read, in words.
    pub(super) state_unreadable: Option<String>,
    /// Why the saved bundle is not active, and what is, in words; `None` where it is, or there is none.
    pub(super) bundle_unavailable: Option<String>,
    /// Files of `config.d` that are ignored because of the bundle.
    pub(super) ignored: Vec<String>,
    /// What the configuration before the start had, where that is known.
    pub(super) previous: Option<Inventory>,
    /// A file shows that the agent ran with this data folder before, or the folder does not say.
    pub(crate) has_run: bool,
    /// Versions of the files before they were read.
    pub(super) versions: FileVersions,
}

/// The files in the folder or the last good ones, and whether the saved bundle fits their `agent.toml`.
pub(super) struct ConfigSet {
    pub(super) loaded: Loaded,
    agent_toml: Option<Document>,
    /// `None` where `agent.toml` has errors or names no hub.
    pub(super) enrolment: Option<Enrolment>,
    pub(super) bundle: SavedBundle,
    pub(super) is_new: bool,
}

/// The bundle that was active last, as it is saved, with one `agent.toml`.
pub(super) enum SavedBundle {
    /// There never was one, or there is no hub.
    None,
    Usable(Box<(Bundle, Loaded)>),
    /// The bundle of this version has errors with this `agent.toml`.
    Incompatible(u64, Box<Loaded>),
    Unavailable(Unavailable),
}

/// Reads the saved bundle.
type ReadBundle = fn(&Enrolment) -> Result<Option<Bundle>, Unavailable>;

impl ConfigSet {
    fn of(
        loaded: Loaded,
        agent_toml: Option<Document>,
        (folder, data): (&Path, &Path),
        purpose: Purpose,
        saved: ReadBundle,
    ) -> ConfigSet {
        let is_broken =
            loaded.diagnostics.iter().any(|found| found.level == Level::Error && found.file == "agent.toml");
        let agent_toml_if_whole = loaded.agent_toml.as_ref().filter(|_| !is_broken);
        let enrolment = agent_toml_if_whole.and_then(|agent_toml| Enrolment::of(agent_toml, folder, data));
        let bundle = match enrolment.as_ref().map_or(Ok(None), saved) {
            Ok(None) => SavedBundle::None,
            Ok(Some(bundle)) => {
                let compiled = bundle::compile(&bundle, agent_toml.clone(), purpose);
                if compiled.has_errors() {
                    SavedBundle::Incompatible(bundle.version, Box::new(compiled))
                } else {
                    SavedBundle::Usable(Box::new((bundle, compiled)))
                }
            }
            Err(unavailable) => SavedBundle::Unavailable(unavailable),
        };
        ConfigSet { is_new: is_new(&loaded, folder), loaded, agent_toml, enrolment, bundle }
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            files: !self.loaded.has_errors(),
            bundle: match self.bundle {
                SavedBundle::None => BundleFit::None,
                SavedBundle::Usable(_) => BundleFit::Usable,
                SavedBundle::Incompatible(..) => BundleFit::Incompatible,
                SavedBundle::Unavailable(_) => BundleFit::Unavailable,
            },
            enrolled: self.enrolment.is_some(),
            is_new: self.is_new,
        }
    }

    fn problems(&self) -> Problems {
        Problems::of(&self.loaded)
    }
}

/// The candidates of a start, and the choice among them.
pub(super) struct Candidates {
    pub(super) in_folder: ConfigSet,
    last_good: Option<ConfigSet>,
    pub(super) choice: Choice,
}

impl Candidates {
    /// As a start would choose; changes nothing.
    pub(super) fn read(folder: &Path, data: &Path, purpose: Purpose) -> Candidates {
        let files = LastGood::read(data).ok().flatten().map(|good| good.files);
        Candidates::of((folder, data), purpose, files, BundleFiles::active)
    }

    /// `last_good` are the files that were last active; they matter where those in the folder cannot be used.
    fn of(folders: (&Path, &Path), purpose: Purpose, last_good: Option<Files>, saved: ReadBundle) -> Candidates {
        let (folder, _) = folders;
        let (loaded, agent_toml) = (tilth_config::load(folder, purpose), bundle::agent_toml(folder));
        let in_folder = ConfigSet::of(loaded, agent_toml, folders, purpose, saved);
        let last_good = last_good.filter(|_| !in_folder.candidate().is_enough()).map(|files| {
            let loaded = load_documents(files.documents(), Purpose::Run);
            ConfigSet::of(loaded, files.agent_toml(), folders, Purpose::Run, saved)
        });
        let choice = choose(in_folder.candidate(), last_good.as_ref().map(ConfigSet::candidate));
        Candidates { in_folder, last_good, choice }
    }
}

impl Startup {
    /// Chooses what to start with. `None` where the files have errors and there was never a good configuration; the log has the errors.
    pub(crate) fn read(folder: &Path, data: &Path, clock: &Clock) -> Option<Startup> {
        let start = Start { folder, data, clock, is_data_read: true };
        let (state, state_unreadable) = start.bundle_state();
        let is_empty = state == Some(BundleState::default());
        if is_empty {
            BundleFiles::new(data).end_restore();
        }
        let startup = start.choose()?;
        let state = if is_empty { Some(rebuilt_state(data, &startup)) } else { state };
        let has_run = startup.previous.is_some() || BundleFiles::new(data).has_active();
        Some(Startup { state, state_unreadable, has_run, ..startup })
    }

    /// Chooses without a look into the data folder, which does not answer. `None` where the files have errors.
    pub(crate) fn read_without_data(folder: &Path, data: &Path, clock: &Clock) -> Option<Startup> {
        let state_unreadable = Some(format!("bundle.state {}; {UNTIL_STATE_IS_READ}", hangs()));
        let startup = Start { folder, data, clock, is_data_read: false }.choose()?;
        Some(Startup { state_unreadable, has_run: true, ..startup })
    }

    /// Chooses what returns once a bundle has failed its probation, as a start would.
    pub(super) fn again(folder: &Path, data: &Path, clock: &Clock) -> Option<Startup> {
        Start { folder, data, clock, is_data_read: true }.choose()
    }
}

/// The folders from which a start chooses.
#[derive(Clone, Copy)]
struct Start<'a> {
    folder: &'a Path,
    data: &'a Path,
    clock: &'a Clock,
    /// False while the data folder does not answer.
    is_data_read: bool,
}

impl Start<'_> {
    fn choose(self) -> Option<Startup> {
        let versions = watch::versions(self.folder);
        let saved: ReadBundle = if self.is_data_read { BundleFiles::active } else { |_| Err(hangs().into()) };
        let (files, previous) = self.last_good().map(|good| (good.files, good.inventory)).unzip();
        let Candidates { in_folder, last_good, choice } =
            Candidates::of((self.folder, self.data), Purpose::Run, files, saved);
        let Choice::Run(origin, file_set) = choice else {
            self.log_rejected(&in_folder, last_good.as_ref());
            return None;
        };
        let unavailable = match origin {
            ConfigOrigin::Bundle => None,
            ConfigOrigin::Files | ConfigOrigin::Nothing => self.why_no_bundle(&in_folder, last_good.as_ref()),
        };
        let (chosen, rejected) = match (file_set, last_good) {
            (FileSet::LastGood, Some(last_good)) => {
                let rejected = self.why_rejected(origin, &in_folder, &last_good);
                (last_good, rejected)
            }
            (_, _) => (in_folder, Problems::default()),
        };
        let bundle_unavailable = log_instead(choice, unavailable, &chosen, !rejected.is_empty());
        let (compiled, bundle) = self.compile(origin, chosen.loaded, chosen.bundle);
        let ignored = if bundle.is_some() { ignored(self.folder) } else { Vec::new() };
        log_ignored(&ignored);
        let compiled = compiled?.instead_of(rejected);
        self.log_last_good(&compiled.summary.rejected, short(&compiled.configured.hash));
        let (enrolment, state, state_unreadable, has_run) = (chosen.enrolment, None, None, false);
        Some(Startup {
            compiled,
            enrolment,
            bundle,
            state,
            state_unreadable,
            bundle_unavailable,
            ignored,
            previous,
            has_run,
            versions,
        })
    }

    fn compile(
        self,
        origin: ConfigOrigin,
        loaded: Loaded,
        bundle: SavedBundle,
    ) -> (Option<Compiled>, Option<Arc<Bundle>>) {
        match (origin, bundle) {
            (ConfigOrigin::Bundle, SavedBundle::Usable(usable)) => {
                let (bundle, loaded) = *usable;
                info!("the hub's bundle {} is running", bundle.version);
                (Compiled::of(loaded, Files::of_agent_toml), Some(Arc::new(bundle)))
            }
            (ConfigOrigin::Bundle | ConfigOrigin::Files, _) => (Compiled::of(loaded, Files::of), None),
            (ConfigOrigin::Nothing, _) => (Compiled::of(loaded.watching_nothing(), Files::of_agent_toml), None),
        }
    }

    /// Logs that the agent runs the last good configuration, and why not the one in the folder.
    fn log_last_good(self, rejected: &Problems, active: &str) {
        if !rejected.is_empty() {
            let (folder, errors) = (self.folder.display(), counted(rejected.errors, "error"));
            error!("configuration in {folder} rejected ({errors}); running the last good configuration {active}:");
            rejected.lines.iter().for_each(tell);
        }
    }

    /// Logs that no configuration can be used.
    fn log_rejected(self, in_folder: &ConfigSet, last_good: Option<&ConfigSet>) {
        self.why_no_bundle(in_folder, last_good).iter().for_each(|why| warn!("{why}"));
        if let Some(last_good) = last_good {
            error!("the last good configuration cannot be used any more:");
            last_good.problems().lines.iter().for_each(tell);
        }
        in_folder.problems().lines.iter().for_each(tell);
    }

    /// Content of `bundle.state`, and why it was lost or cannot be read. A damaged file is moved aside and its content starts empty; a
    /// file that cannot be read now may be read later, and is not replaced before.
    fn bundle_state(self) -> (Option<BundleState>, Option<String>) {
        let files = BundleFiles::new(self.data);
        let unreadable = match files.state() {
            Ok(mut state) => {
                files.resume_probation(&mut state);
                return (Some(state), None);
            }
            Err(unreadable) => unreadable,
        };
        let (state, effect) = match unreadable {
            Unreadable::Damaged(_) => (
                Some(BundleState::default()),
                "a bundle on probation begins it again, a reverted one and versions below the last good one are still rejected",
            ),
            Unreadable::Unusable(_) => (None, UNTIL_STATE_IS_READ),
        };
        let said = format!("{}; {effect}", self.describe_file("bundle.state", unreadable));
        warn!("{said}");
        (state, Some(said))
    }

    /// Content of `config.good`. A damaged file is moved aside.
    fn last_good(self) -> Option<LastGood> {
        if !self.is_data_read {
            return None;
        }
        LastGood::read(self.data).unwrap_or_else(|unreadable| {
            warn!("{}", self.describe_file("config.good", unreadable));
            None
        })
    }

    /// Why the last good configuration runs in place of the one in the folder.
    fn why_rejected(self, origin: ConfigOrigin, in_folder: &ConfigSet, last_good: &ConfigSet) -> Problems {
        match (&in_folder.bundle, &last_good.bundle) {
            _ if origin != ConfigOrigin::Bundle => in_folder.problems(),
            (SavedBundle::Incompatible(_, loaded), _) => Problems::of(loaded),
            (SavedBundle::Unavailable(why), _) => {
                let mut problems = in_folder.problems();
                problems.lines.insert(0, format!("with the current agent.toml {}", self.describe_bundle(why)));
                problems
            }
            (_, SavedBundle::Usable(usable)) => {
                Problems::of(&bundle::compile(&usable.0, in_folder.agent_toml.clone(), Purpose::Run))
            }
            _ => in_folder.problems(),
        }
    }

    /// Why the saved bundle is not active, where there is one.
    fn why_no_bundle(self, in_folder: &ConfigSet, last_good: Option<&ConfigSet>) -> Option<String> {
        let why = |set: &ConfigSet| match &set.bundle {
            SavedBundle::None | SavedBundle::Usable(_) => None,
            SavedBundle::Incompatible(version, loaded) => {
                let problems = Problems::of(loaded).lines.join("; ");
                Some(format!("{BUNDLE} cannot be used: version {version} has errors: {problems}"))
            }
            SavedBundle::Unavailable(why) => Some(self.describe_bundle(why)),
        };
        why(in_folder).or_else(|| last_good.and_then(why))
    }

    fn describe_bundle(self, why: &Unavailable) -> String {
        self.describe(BUNDLE, why, |suffix| BundleFiles::new(self.data).move_active_aside(suffix))
    }

    fn describe_file(self, name: &str, unreadable: Unreadable) -> String {
        self.describe(name, &unreadable.into(), |suffix| move_aside(&self.data.join(name), suffix))
    }

    /// Why a file cannot be used, in words. A damaged one is moved aside, since the next good one takes its place; a whole one stays.
    fn describe<E: Display>(
        self,
        what: &str,
        why: &Unavailable,
        move_aside: impl FnOnce(&str) -> Result<PathBuf, E>,
    ) -> String {
        let Unavailable::Unreadable(Unreadable::Damaged(damage)) = why else { return format!("{what} {why}") };
        match move_aside(&self.clock.time_suffix()) {
            Ok(to) => format!("{what} is damaged ({damage}); moved to {}", to.display()),
            Err(error) => format!("{what} is damaged ({damage}); moving it aside failed: {error}"),
        }
    }
}

const BUNDLE: &str = "the last good bundle";
const UNTIL_STATE_IS_READ: &str = "no bundle is applied until the file can be read";

fn hangs() -> Unreadable {
    Unreadable::Unusable("the data folder does not answer".to_owned())
}

/// What runs by a choice where the saved bundle does not fit the files in the folder, in words.
pub(super) const fn instead_of_bundle(choice: Choice) -> &'static str {
    match choice {
        Choice::Run(ConfigOrigin::Bundle, _) => "it runs with the last good agent.toml",
        Choice::Run(ConfigOrigin::Files, FileSet::LastGood) => {
            "the last good config.d is running until the hub sends the next bundle"
        }
        Choice::Run(ConfigOrigin::Files, FileSet::InFolder) => {
            "config.d is running until the hub sends the next bundle"
        }
        Choice::Run(ConfigOrigin::Nothing, _) | Choice::Reject => {
            "config.d cannot be used: no sensor is watched until it is corrected or the hub sends the next bundle"
        }
    }
}

/// Logs what runs in place of the saved bundle; returns it with why the bundle does not.
fn log_instead(choice: Choice, unavailable: Option<String>, chosen: &ConfigSet, is_rejected: bool) -> Option<String> {
    let said = unavailable.map(|why| format!("{why}; {}", instead_of_bundle(choice)));
    match &said {
        Some(said) => warn!("{said}"),
        None if !matches!(choice, Choice::Run(ConfigOrigin::Nothing, _)) => {}
        None if is_rejected => warn!("no sensor is watched until the hub sends a bundle or the files are corrected"),
        None => warn!("no configuration yet: waiting for the hub's first bundle, no sensor is watched until then"),
    }
    if !is_rejected && (said.is_some() || matches!(choice, Choice::Run(ConfigOrigin::Files, _))) {
        chosen.problems().lines.iter().for_each(tell);
    }
    said
}
