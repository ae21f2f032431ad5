//! What is done whenever a configuration comes into force, wherever it is from: it is kept, and people are told.

use tilth_config::{Document, Files, Hub, Inventory, InventoryChange, Loaded, Site};
use tilth_core::local::Local;
use tracing::info;

use super::active::short;
use super::last_good::{Keeper, LastGood};
use super::status::ConfigStatus;
use crate::findings::Problems;

/// Tells of configurations and keeps them.
#[derive(Debug)]
pub(crate) struct ConfigReporter {
    pub(super) status: ConfigStatus,
    keeper: Keeper,
    /// The `agent.toml` of the start.
    began: Site,
    /// What the configuration in force has, or the one before it.
    had: Option<Inventory>,
    /// The text of `agent.toml` that is in force.
    site: Option<Document>,
}

/// What is told and kept of a configuration.
#[derive(Debug)]
pub(crate) struct ConfigSummary {
    /// Names the configuration.
    hash: String,
    /// The files of which it is made.
    pub(super) files: Files,
    has: Inventory,
    /// What `agent.toml` says.
    pub(super) site: Site,
    /// The clock by which people read times.
    local: Local,
    /// What is wrong with the files in the folder, where the configuration is made of those of before.
    pub(super) rejected: Problems,
}

impl ConfigSummary {
    /// Of a configuration without errors.
    pub(super) fn of(hash: String, files: Files, loaded: &Loaded) -> ConfigSummary {
        let site = loaded.site.clone().unwrap_or_default();
        let local = loaded.plan.as_ref().map_or(Local::UTC, |plan| plan.local().clone());
        ConfigSummary { hash, files, has: Inventory::of(loaded), site, local, rejected: Problems::default() }
    }
}

impl ConfigReporter {
    /// Of an agent in which nothing is in force yet.
    pub(super) fn new(status: ConfigStatus, keeper: Keeper) -> ConfigReporter {
        ConfigReporter { status, keeper, began: Site::default(), had: None, site: None }
    }

    /// The first configuration is in force; `had` is what was in force before the start, where that is known.
    pub(super) fn begin(&mut self, summary: ConfigSummary, had: Option<Inventory>) {
        (self.began, self.had) = (summary.site.clone(), had);
        self.say_entered(&summary);
        self.in_force(summary, false);
    }

    /// A configuration is in force. `is_another` says that it is not the one of before.
    pub(super) fn in_force(&mut self, summary: ConfigSummary, is_another: bool) {
        if is_another {
            self.say_entered(&summary);
        }
        let ConfigSummary { hash, files, has, site, rejected, .. } = summary;
        self.site = files.site();
        self.keeper.keep(LastGood { files, has });
        let is_rejected = !rejected.lines.is_empty();
        if self.status.rejected(rejected) && !is_rejected && !is_another {
            info!("configuration {} is still in force: the rejected files are corrected", short(&hash));
        }
        let later = later(&self.began, &site);
        if self.status.later(&later)
            && let Some(line) = said_later(&later)
        {
            info!("{line}");
        }
    }

    /// The `agent.toml` that is in force.
    pub(super) fn site(&self) -> Option<Document> {
        self.site.clone()
    }

    /// Says what the configuration has, after what there was before.
    fn say_entered(&mut self, summary: &ConfigSummary) {
        let ConfigSummary { hash, has, local, .. } = summary;
        let entered: InventoryChange = has.change_from(self.had.as_ref());
        self.had = Some(has.clone());
        info!("configuration {} is in force: {entered}", short(hash));
        self.status.entered(hash, entered, local.clone());
    }
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

/// Changed keys of `agent.toml` that a running agent does not apply, in words; `None` where there is none.
pub(crate) fn said_later(keys: &[impl AsRef<str>]) -> Option<String> {
    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    (!keys.is_empty()).then(|| format!("agent.toml: {} changed; restart the agent to apply", keys.join(", ")))
}
