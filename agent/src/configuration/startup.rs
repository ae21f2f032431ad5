//! What the agent begins with: the candidates are read, `choose` chooses, and what was chosen is said and compiled.

mod choose;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tilth_config::bundle::Bundle;
use tilth_config::{Diagnostic, Document, Files, Inventory, Level, Loaded, Purpose, Site, load_documents};
use tracing::{error, info, warn};

use super::active::ActiveConfig;
use super::bundle::{self, ignored, is_new, say_ignored};
use super::bundle_files::{BundleFiles, BundleState, Lost};
use super::compiled::Compiled;
use super::enrolment::Enrolment;
use super::file_stamps::FileStamps;
use super::last_good::LastGood;
use super::watch;
use crate::clock::Clock;
use crate::durable::Unreadable;
use crate::findings::Problems;
use crate::output::{counted, tell};
use choose::{Candidate, Fit, From};

pub(super) use choose::{Choice, choose};

/// What the agent begins with.
pub(crate) struct Startup {
    pub(crate) compiled: Compiled,
    /// None on a farm without a hub.
    pub(crate) enrolment: Option<Enrolment>,
    pub(super) active: ActiveConfig,
    /// What is remembered of bundles; `None` where that cannot be read yet.
    pub(super) state: Option<BundleState>,
    /// Why what was remembered of bundles is gone, or cannot be read.
    pub(super) forgotten: Option<String>,
    /// Why it is not the last good bundle, where there was one.
    pub(super) lost: Option<String>,
    /// What was in force before, where that is known.
    pub(super) had: Option<Inventory>,
    /// The stamps of the files before they were read.
    pub(super) stamps: FileStamps,
}

/// `agent.toml` and `config.d` of one time, and what the last good bundle comes to with that `agent.toml`.
pub(super) struct Written {
    pub(super) loaded: Loaded,
    site: Option<Document>,
    /// None where `agent.toml` has errors.
    pub(super) enrolment: Option<Enrolment>,
    pub(super) bundle: LastBundle,
    is_new: bool,
}

/// The last good bundle, with one `agent.toml`.
pub(super) enum LastBundle {
    /// There never was one, or there is no hub.
    None,
    Fits(Box<(Bundle, Loaded)>),
    /// The bundle has errors with this `agent.toml`.
    Unfit(u64, Box<Loaded>),
    Lost(Lost),
}

impl Written {
    /// As the files are now.
    pub(super) fn read(folder: &Path, data: &Path, purpose: Purpose) -> Written {
        Written::of(tilth_config::load(folder, purpose), bundle::site(folder), folder, data, purpose)
    }

    fn of(loaded: Loaded, site: Option<Document>, folder: &Path, data: &Path, purpose: Purpose) -> Written {
        let is_broken = errors(&loaded).any(|error| error.file == "agent.toml");
        let of_site = |site: &Site| Enrolment::of(site, folder, data);
        let enrolment = loaded.site.as_ref().filter(|_| !is_broken).and_then(of_site);
        let bundle = match enrolment.as_ref().map_or(Ok(None), BundleFiles::good) {
            Ok(None) => LastBundle::None,
            Ok(Some(bundle)) => {
                let compiled = bundle::compile(&bundle, site.clone(), purpose);
                if compiled.has_errors() {
                    LastBundle::Unfit(bundle.version, Box::new(compiled))
                } else {
                    LastBundle::Fits(Box::new((bundle, compiled)))
                }
            }
            Err(lost) => LastBundle::Lost(lost),
        };
        Written { is_new: is_new(&loaded, folder), loaded, site, enrolment, bundle }
    }

    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            files: !self.loaded.has_errors(),
            bundle: match self.bundle {
                LastBundle::None => Fit::None,
                LastBundle::Fits(_) => Fit::Fits,
                LastBundle::Unfit(..) => Fit::Unfit,
                LastBundle::Lost(_) => Fit::Lost,
            },
            enrolled: self.enrolment.is_some(),
            is_new: self.is_new,
        }
    }

    fn problems(&self) -> Problems {
        Problems::of(&self.loaded)
    }
}

impl Startup {
    /// Whether a file shows that the agent ran with this data folder before.
    pub(crate) fn has_run(&self, data: &Path) -> bool {
        self.had.is_some() || BundleFiles::new(data).has_good()
    }

    /// `None` where what a person wrote has errors, and nothing else ever was in force; the errors are said.
    pub(crate) fn read(folder: &Path, data: &Path, clock: &Clock) -> Option<Startup> {
        let start = Start { folder, data, clock, had: None, stamps: watch::stamps(folder) };
        let recalled = start.recall();
        start.choose().map(|startup| startup.with(recalled))
    }

    /// What is in force again once a bundle has failed its probation, as a start would choose it.
    pub(super) fn again(folder: &Path, data: &Path, clock: &Clock) -> Option<Startup> {
        Start { folder, data, clock, had: None, stamps: watch::stamps(folder) }.choose()
    }

    /// What is remembered of bundles.
    fn with(mut self, (state, forgotten): (Option<BundleState>, Option<String>)) -> Startup {
        state.iter().for_each(|state| self.active.recall(state));
        Startup { state, forgotten, ..self }
    }
}

/// A start that has chosen nothing yet.
struct Start<'a> {
    folder: &'a Path,
    data: &'a Path,
    clock: &'a Clock,
    had: Option<Inventory>,
    stamps: FileStamps,
}

impl Start<'_> {
    fn choose(mut self) -> Option<Startup> {
        let now = Written::read(self.folder, self.data, Purpose::Run);
        let (files, had) = self.last_good().map(|LastGood { files, has }| (files, has)).unzip();
        self.had = had;
        let before = files.filter(|_| !now.candidate().is_sound()).map(|files| self.written(&files));
        let choice = choose(now.candidate(), before.as_ref().map(Written::candidate));
        self.by(choice, now, before)
    }

    fn by(self, choice: Choice, now: Written, before: Option<Written>) -> Option<Startup> {
        match (choice, before) {
            (Choice::Bundle(From::Now), _) => self.by_bundle(now, Problems::default()),
            (Choice::Bundle(From::Before), Some(before)) => {
                let rejected = self.rejected(&now, &before);
                self.by_bundle(before, rejected)
            }
            (Choice::Files(From::Now), before) => {
                let lost = self.lost(&now, before.as_ref());
                self.by_files(now, lost, Problems::default())
            }
            (Choice::Files(From::Before), Some(before)) => {
                let lost = self.lost(&now, Some(&before));
                self.by_files(before, lost, now.problems())
            }
            (Choice::Wait(From::Now), before) => {
                let lost = self.lost(&now, before.as_ref());
                self.by_nothing(now, lost, Problems::default())
            }
            (Choice::Wait(From::Before), Some(before)) => {
                let lost = self.lost(&now, Some(&before));
                self.by_nothing(before, lost, now.problems())
            }
            (_, before) => {
                let lost = self.lost(&now, before.as_ref());
                lost.into_iter().for_each(|lost| warn!("{lost}"));
                if let Some(before) = before {
                    error!("the last good configuration cannot be used any more:");
                    before.problems().lines.iter().for_each(tell);
                }
                now.problems().lines.iter().for_each(tell);
                None
            }
        }
    }

    fn by_bundle(self, written: Written, rejected: Problems) -> Option<Startup> {
        let LastBundle::Fits(fits) = written.bundle else { return None };
        let (bundle, loaded) = *fits;
        info!("the hub's bundle {} is in force", bundle.version);
        say_ignored(&ignored(self.folder));
        let compiled = Compiled::of_bundle(loaded)?.instead_of(rejected);
        self.begin(compiled, written.enrolment, Some(Arc::new(bundle)), None)
    }

    fn by_files(self, written: Written, lost: Option<String>, rejected: Problems) -> Option<Startup> {
        let instead = if rejected.lines.is_empty() { "config.d" } else { "the last good config.d" };
        let lost = say_lost(lost, &format!("{instead} is in force until the hub sends the next bundle"));
        if rejected.lines.is_empty() {
            written.problems().lines.iter().for_each(tell);
        }
        let compiled = Compiled::of_files(written.loaded)?.instead_of(rejected);
        self.begin(compiled, written.enrolment, None, lost)
    }

    /// The hub can still mend it, so this is no reason to end.
    fn by_nothing(self, written: Written, lost: Option<String>, rejected: Problems) -> Option<Startup> {
        match (&lost, rejected.lines.is_empty()) {
            (None, true) => {
                warn!("no configuration yet: waiting for the hub's first bundle, no sensor is watched until then");
            }
            (None, false) => warn!("no sensor is watched until the hub sends a bundle or the files are corrected"),
            (Some(_), _) => {}
        }
        let lost = say_lost(
            lost,
            "config.d cannot be used: no sensor is watched until it is corrected or the hub sends the next bundle",
        );
        if lost.is_some() && rejected.lines.is_empty() {
            written.problems().lines.iter().for_each(tell);
        }
        let compiled = Compiled::of_bundle(written.loaded.watching_nothing())?.instead_of(rejected);
        self.begin(compiled, written.enrolment, None, lost)
    }

    fn begin(
        self,
        compiled: Compiled,
        enrolment: Option<Enrolment>,
        bundle: Option<Arc<Bundle>>,
        lost: Option<String>,
    ) -> Option<Startup> {
        let active = ActiveConfig::new(bundle, compiled.configured.hash.clone(), compiled.sensors());
        let rejected = &compiled.summary.rejected;
        if !rejected.lines.is_empty() {
            let folder = self.folder.display();
            let (errors, running) = (counted(rejected.errors, "error"), active.name());
            error!("configuration in {folder} rejected ({errors}); running the last good configuration {running}:");
            rejected.lines.iter().for_each(tell);
        }
        let Start { had, stamps, .. } = self;
        Some(Startup { compiled, enrolment, active, state: None, forgotten: None, lost, had, stamps })
    }

    /// What is remembered of bundles, and what is to be said of that. A damaged file is put aside and all of it begins anew; a
    /// file that cannot be read now may be read later, and is not replaced before.
    fn recall(&self) -> (Option<BundleState>, Option<String>) {
        let files = BundleFiles::new(self.data);
        let unread = match files.state() {
            Ok(mut state) => {
                files.resume_probation(&mut state);
                return (Some(state), None);
            }
            Err(unread) => unread,
        };
        let (state, effect) = match unread {
            Unreadable::Damaged(_) => (
                Some(BundleState::default()),
                "which bundles were rejected is lost; versions below the last good one are still rejected",
            ),
            Unreadable::Unusable(_) => (None, "no bundle is applied until the file can be read"),
        };
        let fate = self.fate("bundle.state", &unread.into(), |mark| files.put_state_aside(mark));
        let said = format!("{fate}; {effect}");
        warn!("{said}");
        (state, Some(said))
    }

    /// What was in force from files before. A damaged file is put aside.
    fn last_good(&self) -> Option<LastGood> {
        let unread = match LastGood::read(self.data) {
            Ok(good) => return good,
            Err(unread) => Lost::from(unread),
        };
        let put_aside = |mark: &str| LastGood::put_aside(self.data, mark);
        warn!("{}", self.fate("config.good", &unread, put_aside));
        None
    }

    fn written(&self, files: &Files) -> Written {
        let loaded = load_documents(files.documents(), Purpose::Run);
        Written::of(loaded, files.site(), self.folder, self.data, Purpose::Run)
    }

    /// Why the files as they are now are not those that a bundle is in force with.
    fn rejected(&self, now: &Written, before: &Written) -> Problems {
        match (&now.bundle, &before.bundle) {
            (LastBundle::Unfit(_, loaded), _) => Problems::of(loaded),
            (LastBundle::Lost(lost), _) => {
                let mut problems = now.problems();
                problems.lines.insert(0, format!("with the current agent.toml {}", self.said(lost)));
                problems
            }
            (_, LastBundle::Fits(fits)) => Problems::of(&bundle::compile(&fits.0, now.site.clone(), Purpose::Run)),
            _ => now.problems(),
        }
    }

    /// Why the last good bundle is not in force, where there is one.
    fn lost(&self, now: &Written, before: Option<&Written>) -> Option<String> {
        let of = |written: &Written| match &written.bundle {
            LastBundle::None | LastBundle::Fits(_) => None,
            LastBundle::Unfit(version, loaded) => {
                let problems = Problems::of(loaded).lines.join("; ");
                Some(format!("{BUNDLE} cannot be used: version {version} has errors: {problems}"))
            }
            LastBundle::Lost(lost) => Some(self.said(lost)),
        };
        of(now).or_else(|| before.and_then(of))
    }

    fn said(&self, lost: &Lost) -> String {
        self.fate(BUNDLE, lost, |mark| BundleFiles::new(self.data).put_good_aside(mark))
    }

    /// A damaged file is put aside, since the next good one would take its place; a whole one is of use again once it fits.
    fn fate(&self, what: &str, lost: &Lost, put_aside: impl FnOnce(&str) -> Result<PathBuf, String>) -> String {
        let why = match lost {
            Lost::Gone => return format!("{what} is missing"),
            Lost::Reverted => return "the hub's bundle was reverted, and there is no earlier one".to_owned(),
            Lost::Unusable(why) => return format!("{what} cannot be used: {why}"),
            Lost::Damaged(why) => why,
        };
        match put_aside(&self.clock.mark()) {
            Ok(to) => format!("{what} is damaged ({why}); moved to {}", to.display()),
            Err(stuck) => format!("{what} is damaged ({why}); moving it aside failed: {stuck}"),
        }
    }
}

const BUNDLE: &str = "the last good bundle";

fn say_lost(lost: Option<String>, instead: &str) -> Option<String> {
    let why = format!("{}; {instead}", lost?);
    warn!("{why}");
    Some(why)
}

fn errors(loaded: &Loaded) -> impl Iterator<Item = &Diagnostic> {
    loaded.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error)
}
