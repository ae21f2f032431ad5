//! What the agent begins with.
//!
//! ```text
//! the last good bundle, with agent.toml as it lies there
//!   |- there is none, or it is lost --> agent.toml and config.d as they lie there
//!   `- these have errors, or do not go with it
//!        |- the last good bundle, with the agent.toml that was in force before
//!        |- agent.toml and config.d that were in force before
//!        |- nothing, until the hub sends something
//!        `- no hub either, or nothing ever was in force: exit code 2
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tilth_config::bundle::Bundle;
use tilth_config::{Diagnostic, Document, Files, Holdings, Level, Loaded, Purpose, Site, load_documents};
use tilth_core::plan::Plan;

use super::last_good::{self as good, Good};
use super::watch;
use crate::clock::Clock;
use crate::configuration::bundle::{self, Ruling, ignored, is_new, say_ignored};
use crate::configuration::bundle_files::{Kept, NotGood};
use crate::configuration::file_stamps::Seen;
use crate::daemon::{Farm, opened};
use crate::findings;
use crate::output::tell;
use crate::sync::Home;

/// What it begins with.
pub(crate) struct First {
    pub(crate) farm: Farm,
    /// None on a farm without a hub.
    pub(crate) home: Option<Home>,
    pub(crate) ruling: Ruling,
    /// Why it is not the last good bundle, where there was one.
    pub(crate) lost: Option<String>,
    /// What was in force before, where that is known.
    pub(crate) had: Option<Holdings>,
    /// How the folder looked before it was read.
    pub(crate) seen: Seen,
}

/// What there is to begin with.
struct Start<'a> {
    folder: &'a Path,
    data: &'a Path,
    clock: &'a Clock,
    had: Option<Holdings>,
    seen: Seen,
}

/// `agent.toml` and `config.d` of one time, with what they say.
struct Written {
    loaded: Loaded,
    site: Option<Document>,
    home: Option<Home>,
}

impl First {
    /// Nothing where what a person wrote has errors, and nothing else ever was in force; they are said.
    pub(crate) fn read(folder: &Path, data: &Path, clock: &Clock) -> Option<First> {
        let mut start = Start { folder, data, clock, had: None, seen: watch::seen(folder) };
        let loaded = tilth_config::load(folder, Purpose::Run);
        let broken = errors(&loaded).any(|error| error.file == "agent.toml");
        let home = loaded.site.as_ref().filter(|_| !broken).and_then(|site| start.home(site));
        let there = Written { loaded, site: bundle::site(folder), home };
        let (before, had) = start.before().map(|Good { files, has }| (files, has)).unzip();
        start.had = had;
        start.begin(there, before)
    }
}

impl Start<'_> {
    fn begin(self, there: Written, before: Option<Files>) -> Option<First> {
        let lost = match self.bundle(&there) {
            Ok(Some(ruler)) => return self.by_bundle(there.home?, ruler),
            Ok(None) => None,
            Err(lost) => Some(lost),
        };
        let is_unfit = matches!(lost, Some(NotGood::Unfit(..)));
        if !there.loaded.has_errors() && !is_unfit {
            return self.by_files(there, lost, Vec::new());
        }
        let Some(before) = before.map(|files| self.written(&files)) else {
            return self.by_last_means(there, None, lost);
        };
        let is_gone = matches!(lost, Some(NotGood::Damaged(_) | NotGood::Gone));
        let again = if is_gone { Ok(None) } else { self.bundle(&before) };
        let lost = match again {
            Ok(Some((bundle, farm))) => {
                let refused = self.refused(&there, lost, &bundle);
                return self.by_bundle(before.home?, (bundle, farm.instead_of(refused)));
            }
            Ok(None) => lost,
            Err(again) => lost.or(Some(again)),
        };
        if there.loaded.has_errors() && !before.loaded.has_errors() {
            let refused = findings::shown(&there.loaded, false).collect();
            return self.by_files(before, lost, refused);
        }
        self.by_last_means(there, Some(before), lost)
    }

    /// Whatever has no errors; else nothing is watched as long as the hub can mend it.
    fn by_last_means(self, there: Written, before: Option<Written>, lost: Option<NotGood>) -> Option<First> {
        if !there.loaded.has_errors() {
            return self.by_files(there, lost, Vec::new());
        }
        let can_wait = lost.is_some() || is_new(&there.loaded, self.folder);
        match before {
            _ if there.home.is_some() && can_wait => self.by_nothing(there, lost, Vec::new()),
            Some(before) if there.home.is_none() && before.home.is_some() => {
                let refused = findings::shown(&there.loaded, false).collect();
                self.by_nothing(before, lost, refused)
            }
            before => {
                lost.into_iter().for_each(|lost| tell(format_args!("tilth-agent: {}", self.said(&lost))));
                if let Some(before) = before {
                    tell("tilth-agent: what was in force before cannot be in force any more:");
                    findings::shown(&before.loaded, false).for_each(tell);
                }
                findings::shown(&there.loaded, false).for_each(tell);
                None
            }
        }
    }

    fn by_bundle(self, home: Home, (bundle, farm): (Bundle, Farm)) -> Option<First> {
        tell(format_args!("tilth-agent: the hub's bundle {} is in force", bundle.version));
        say_ignored(&ignored(self.folder));
        let highest = Kept::new(self.data).highest();
        let ruling = Ruling::new(Some(Arc::new(bundle)), highest, farm.configured.hash.clone());
        self.first(farm, Some(home), ruling, None)
    }

    fn by_files(self, written: Written, lost: Option<NotGood>, refused: Vec<String>) -> Option<First> {
        let instead = if refused.is_empty() { "config.d" } else { "the config.d of before" };
        let lost = self.say_lost(lost, &format!("{instead} is in force until the hub's next one"));
        if refused.is_empty() {
            findings::shown(&written.loaded, false).for_each(tell);
        }
        let farm = Farm::of_files(written.loaded)?;
        self.without_bundle(farm.instead_of(refused), written.home, lost)
    }

    /// The hub can still mend it, so this is no reason to end.
    fn by_nothing(self, written: Written, lost: Option<NotGood>, refused: Vec<String>) -> Option<First> {
        let Written { mut loaded, home, .. } = written;
        match (&lost, refused.is_empty()) {
            (None, true) => tell("tilth-agent: nothing is configured; waiting for the hub's configuration"),
            (None, false) => tell("tilth-agent: nothing is watched until the hub sends something, or this is mended"),
            (Some(_), _) => {}
        }
        let lost = self.say_lost(
            lost,
            "config.d cannot be in force: nothing is watched until it is mended or the hub sends the next one",
        );
        if lost.is_some() && refused.is_empty() {
            findings::shown(&loaded, false).for_each(tell);
        }
        loaded.diagnostics.clear();
        loaded.feeds.clear();
        loaded.plan = Plan::new(Vec::new(), Vec::new()).ok();
        let farm = Farm::of_hub(loaded)?;
        self.without_bundle(farm.instead_of(refused), home, lost)
    }

    fn without_bundle(self, farm: Farm, home: Option<Home>, lost: Option<String>) -> Option<First> {
        let highest = home.as_ref().map_or(0, |home| Kept::new(&home.data).highest());
        let ruling = Ruling::new(None, highest, farm.configured.hash.clone());
        self.first(farm, home, ruling, lost)
    }

    fn first(self, farm: Farm, home: Option<Home>, ruling: Ruling, lost: Option<String>) -> Option<First> {
        if !farm.papers.refused.is_empty() {
            let folder = self.folder.display();
            tell(format_args!(
                "tilth-agent: the configuration in {folder} is refused; what was in force before watches on:"
            ));
            farm.papers.refused.iter().for_each(tell);
        }
        Some(First { farm, home, ruling, lost, had: self.had, seen: self.seen })
    }

    /// What was in force from files before. A damaged one is put aside.
    fn before(&self) -> Option<Good> {
        let unread = match good::read(self.data) {
            Ok(good) => return good,
            Err(unread) => unread,
        };
        let put_aside = |mark: &str| good::put_good_aside(self.data, mark);
        tell(format_args!("tilth-agent: {}", self.fate("config.good", &unread, put_aside)));
        None
    }

    fn written(&self, files: &Files) -> Written {
        let loaded = load_documents(files.documents(), Purpose::Run);
        let home = loaded.site.as_ref().and_then(|site| self.home(site));
        Written { loaded, site: files.site(), home }
    }

    fn home(&self, site: &Site) -> Option<Home> {
        Home::of(site, self.folder, self.data)
    }

    /// The last good bundle with this `agent.toml`; nothing where there never was one.
    fn bundle(&self, written: &Written) -> Result<Option<(Bundle, Farm)>, NotGood> {
        let Some(home) = &written.home else { return Ok(None) };
        let Some(bundle) = bundle::last_good(home)? else { return Ok(None) };
        let loaded = bundle::compile(&bundle, written.site.clone());
        let problems: Vec<String> = findings::shown(&loaded, false).collect();
        let farm = if loaded.has_errors() { None } else { Farm::of_hub(loaded) };
        match farm {
            Some(farm) => Ok(Some((bundle, farm))),
            None => Err(NotGood::Unfit(bundle.version, problems)),
        }
    }

    /// Why it is not what lies there that a bundle rules with.
    fn refused(&self, there: &Written, lost: Option<NotGood>, bundle: &Bundle) -> Vec<String> {
        match lost {
            Some(NotGood::Unfit(_, problems)) => problems,
            None => findings::shown(&bundle::compile(bundle, there.site.clone()), false).collect(),
            Some(lost) => {
                let why = format!("with agent.toml as it lies there {}", self.said(&lost));
                std::iter::once(why).chain(findings::shown(&there.loaded, false)).collect()
            }
        }
    }

    fn say_lost(&self, lost: Option<NotGood>, instead: &str) -> Option<String> {
        let why = format!("{}; {instead}", self.said(&lost?));
        tell(format_args!("tilth-agent: {why}"));
        Some(why)
    }

    fn said(&self, lost: &NotGood) -> String {
        self.fate("the last good bundle", lost, |mark| Kept::new(self.data).put_good_aside(mark))
    }

    /// A damaged file is put aside, since the next good one would take its place; a whole one is of use again once it fits.
    fn fate(&self, what: &str, unread: &NotGood, put_aside: impl FnOnce(&str) -> Result<PathBuf, String>) -> String {
        let why = match unread {
            NotGood::Gone => return format!("{what} is not there any more"),
            NotGood::Unusable(why) => return format!("{what} cannot be used: {why}"),
            NotGood::Unfit(version, problems) => {
                return format!("{what} cannot be used: version {version} does not compile: {}", problems.join("; "));
            }
            NotGood::Damaged(why) => why,
        };
        match put_aside(&opened::mark(self.clock)) {
            Ok(to) => format!("{what} is damaged ({why}) and lies in {}", to.display()),
            Err(stuck) => format!("{what} is damaged ({why}) and stays in its place: {stuck}"),
        }
    }
}

fn errors(loaded: &Loaded) -> impl Iterator<Item = &Diagnostic> {
    loaded.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error)
}
