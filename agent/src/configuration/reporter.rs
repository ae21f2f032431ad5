//! Reports each configuration that becomes active to the log and to `status`, and has it saved.

use tilth_config::{AgentToml, Device, Files, Hub, Inventory, Loaded};
use tracing::info;

use super::active::ActiveConfig;
use super::last_good::{LastGood, LastGoodWriter};
use super::status::ConfigStatus;
use crate::findings::Problems;

#[derive(Debug)]
pub(crate) struct ConfigReporter {
    pub(super) status: ConfigStatus,
    pub(super) last_good: LastGoodWriter,
    /// `agent.toml` at the start of the agent.
    pub(super) at_start: AgentToml,
    /// Inventory of the active configuration, or of the one before the start, where that is known.
    pub(super) inventory: Option<Inventory>,
}

/// The part of a configuration that is reported and saved.
#[derive(Debug)]
pub(crate) struct ConfigSummary {
    pub(super) files: Files,
    inventory: Inventory,
    pub(super) agent_toml: AgentToml,
    /// Problems of the current files, where the last good ones run in their place.
    pub(super) rejected: Problems,
}

impl ConfigSummary {
    pub(super) fn of(files: Files, loaded: &Loaded) -> ConfigSummary {
        let agent_toml = loaded.agent_toml.clone().unwrap_or_default();
        ConfigSummary { files, inventory: Inventory::of(loaded), agent_toml, rejected: Problems::default() }
    }
}

impl ConfigReporter {
    /// A configuration is active; `is_changed` where it is the first, or not the one before.
    pub(super) fn set_active(&mut self, summary: ConfigSummary, is_changed: bool, active: &ActiveConfig) {
        let ConfigSummary { files, inventory, agent_toml, rejected } = summary;
        if is_changed {
            self.log_change(&inventory, active);
        }
        self.last_good.save(LastGood { files, inventory });
        let is_rejected = !rejected.is_empty();
        if self.status.set_rejected(rejected) && !is_rejected && !is_changed {
            info!("configuration {} is still running: the rejected files are corrected", active.name());
        }
        let keys = changed_start_keys(&self.at_start, &agent_toml);
        if self.status.set_restart_keys(&keys)
            && let Some(line) = restart_needed(&keys)
        {
            info!("{line}");
        }
    }

    /// Logs what the configuration has and what is gone since the one before.
    fn log_change(&mut self, inventory: &Inventory, active: &ActiveConfig) {
        let change = inventory.change_from(self.inventory.as_ref());
        self.inventory = Some(inventory.clone());
        info!("configuration {} is running: {change}", active.name());
        self.status.set_active(&active.hash, change, active.sensors.plan.local().clone());
    }
}

/// Keys of `agent.toml` that are read at the start only and have changed since.
fn changed_start_keys(at_start: &AgentToml, now: &AgentToml) -> Vec<&'static str> {
    let mut keys = Vec::new();
    // A configuration without a device is never active.
    if let (Some(at_start), Some(now)) = (&at_start.device, &now.device) {
        let Device { id, client, clock } = at_start;
        keys.extend([("device.id", *id != now.id), ("device.client", *client != now.client)]);
        keys.push(("device.clock", *clock != now.clock));
    }
    match (&at_start.hub, &now.hub) {
        (Some(at_start), Some(now)) => {
            let Hub { url, ca, signing_key, key_file } = at_start;
            keys.push(("hub.url", *url != now.url));
            keys.push(("hub.ca", *ca != now.ca));
            keys.push(("hub.signing_key", *signing_key != now.signing_key));
            keys.push(("hub.key_file", *key_file != now.key_file));
        }
        (at_start, now) => keys.push(("hub", at_start.is_some() != now.is_some())),
    }
    keys.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key).collect()
}

/// Changed keys of `agent.toml` that a running agent does not apply, in words; `None` where there is none.
pub(crate) fn restart_needed(keys: &[impl AsRef<str>]) -> Option<String> {
    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    (!keys.is_empty()).then(|| format!("agent.toml: {} changed; restart the agent to apply", keys.join(", ")))
}
