//! What is done whenever a configuration comes into force, wherever it is from: it is kept, and people are told.

use std::sync::{Arc, Mutex, PoisonError};

use tilth_config::{Document, Entered, Files, Holdings, Hub, Loaded, Site};

use tilth_core::local::Local;

use super::last_good::{Good, Keeper};
use crate::health::Facts;
use crate::output::tell;

/// Tells and keeps; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Herald {
    pub(crate) facts: Facts,
    keeper: Keeper,
    /// What the agent began with.
    began: Arc<Site>,
    /// What the configuration in force has, or the one before it.
    had: Arc<Mutex<Option<Holdings>>>,
}

/// What is to be told and kept of a configuration.
#[derive(Debug)]
pub(crate) struct Papers {
    /// Names it.
    hash: String,
    /// What it is made of, as far as that is files.
    pub(crate) files: Files,
    has: Holdings,
    /// What they say of this machine.
    pub(crate) site: Site,
    /// The clock by which people read times.
    local: Local,
    /// What is wrong with the files that lie there, where it is not made of these but of those before.
    pub(crate) refused: Vec<String>,
}

impl Papers {
    /// Of a configuration without errors.
    pub(crate) fn of(hash: String, files: Files, loaded: &Loaded) -> Papers {
        let site = loaded.site.clone().unwrap_or_default();
        let local = loaded.plan.as_ref().map_or(Local::UTC, |plan| plan.local().clone());
        Papers { hash, files, has: Holdings::of(loaded), site, local, refused: Vec::new() }
    }
}

impl Herald {
    /// Of an agent that begins with this `agent.toml`, and what was in force before, where that is known.
    pub(crate) fn new(facts: Facts, keeper: Keeper, began: Site, had: Option<Holdings>) -> Herald {
        Herald { facts, keeper, began: Arc::new(began), had: Arc::new(Mutex::new(had)) }
    }

    /// It is the first that is in force.
    pub(crate) fn begins(&self, papers: Papers) {
        let (hash, entered) = (papers.hash.clone(), self.replace(&papers.has));
        say(&hash, &entered);
        self.facts.entered(&hash, entered, papers.local.clone());
        self.enters(papers);
    }

    /// It is in force, after another one or the same.
    pub(crate) fn enters(&self, papers: Papers) {
        let Papers { hash, files, has, site, local, refused } = papers;
        let is_another = self.facts.is_another(&hash);
        if is_another {
            let entered = self.replace(&has);
            say(&hash, &entered);
            self.facts.entered(&hash, entered, local);
        }
        self.keeper.keep(Good { files, has });
        let was_refused = self.facts.mended();
        if !refused.is_empty() {
            self.facts.refused(refused);
        } else if was_refused && !is_another {
            tell(format_args!("tilth-agent: configuration {} is in force: what was refused is mended", &hash[..8]));
        }
        let later = later(&self.began, &site);
        if self.facts.later(later.clone())
            && let Some(line) = said_later(&later)
        {
            tell(format_args!("tilth-agent: {line}"));
        }
    }

    /// What it has, after what there was before.
    fn replace(&self, has: &Holdings) -> Entered {
        let mut had = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        let entered = has.after(had.as_ref());
        *had = Some(has.clone());
        entered
    }

    /// The `agent.toml` that is in force.
    pub(crate) fn site(&self) -> Option<Document> {
        self.keeper.site()
    }
}

fn say(hash: &str, entered: &Entered) {
    tell(format_args!("tilth-agent: configuration {} is in force: {entered}", &hash[..8]));
}

/// The keys of `agent.toml` that are read at the start only, and are others now.
fn later(began: &Site, now: &Site) -> Vec<&'static str> {
    let device = |site: &Site| site.device.as_ref().map(|device| device.id.clone());
    let client = |site: &Site| site.device.as_ref().and_then(|device| device.client.clone());
    let mut keys = vec![("device.id", device(began) != device(now)), ("device.client", client(began) != client(now))];
    let clock = |site: &Site| site.device.as_ref().map(|device| device.clock);
    keys.push(("device.clock", clock(began) != clock(now)));
    match (&began.hub, &now.hub) {
        (Some(began), Some(now)) => {
            let Hub { url, ca, signing_key, key_file } = began;
            keys.push(("hub.url", *url != now.url));
            keys.push(("hub.ca", *ca != now.ca));
            keys.push(("hub.signing_key", *signing_key != now.signing_key));
            keys.push(("hub.key_file", *key_file != now.key_file));
        }
        (began, now) => keys.push(("hub", began.is_some() != now.is_some())),
    }
    keys.into_iter().filter(|(_, is_another)| *is_another).map(|(key, _)| key).collect()
}

/// What a running agent does not take up, in words; nothing where there is nothing.
pub(crate) fn said_later(keys: &[impl AsRef<str>]) -> Option<String> {
    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    let are = match keys.len() {
        0 => return None,
        1 => "is",
        _ => "are",
    };
    Some(format!("agent.toml: {} {are} taken up at the next start", keys.join(", ")))
}
