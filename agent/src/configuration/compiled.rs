//! A configuration without errors, in the types of the tasks that use it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_config::{Channel, ClockTrust, Files, InputSettings, Loaded, Merged, leads_to_loopback, redact};
use tilth_core::id::{Id, SensorId};

use super::probation::SensorConfig;
use super::reporter::ConfigSummary;
use crate::clock::ClockMode;
use crate::decide::DecideConfig;
use crate::findings::Problems;
use crate::sense::SensorInputs;

/// A configuration that can become active.
pub(crate) struct Compiled {
    pub(crate) device: Id,
    pub(crate) clock_trust: ClockTrust,
    /// How the sensors that the documents name are read; the agent adds some of its own.
    pub(crate) input_settings: Arc<BTreeMap<SensorId, InputSettings>>,
    pub(crate) configured: DecideConfig,
    pub(crate) inputs: SensorInputs,
    pub(crate) summary: ConfigSummary,
}

impl Compiled {
    /// Compiles what was loaded; `None` where it has errors or names no device. `files` says which of its files are saved: all of the
    /// site's, and under a bundle `agent.toml`.
    pub(super) fn of(loaded: Loaded, files: fn(&Loaded) -> Files) -> Option<Compiled> {
        let (hash, merged, files) = (loaded.hash.to_string(), Merged::of(&loaded), files(&loaded));
        let summary = ConfigSummary::of(files, &loaded);
        let plan = Arc::new(loaded.plan?);
        let agent_toml = loaded.agent_toml?;
        let inputs = SensorInputs::of(Some(&agent_toml), &loaded.input_settings, plan.actuators());
        let configured = DecideConfig { plan, hash, channels: loaded.channels, merged };
        let (device, input_settings) = (agent_toml.device?, Arc::new(loaded.input_settings));
        Some(Compiled { device: device.id, clock_trust: device.clock, input_settings, configured, inputs, summary })
    }

    /// How its sensors are read and judged.
    pub(super) fn sensors(&self) -> SensorConfig {
        SensorConfig { plan: Arc::clone(&self.configured.plan), input_settings: Arc::clone(&self.input_settings) }
    }

    /// Marks this configuration as active in place of the one in the folder, which has these problems.
    pub(super) fn instead_of(mut self, problems: Problems) -> Compiled {
        self.summary.rejected = problems;
        self
    }

    /// Why this clock may not be used, if so: a simulated clock is for the demo and tests, and must not notify real people.
    pub(crate) fn forbids(&self, clock: ClockMode) -> Option<String> {
        if clock == ClockMode::System {
            return None;
        }
        let url = |channel: &Channel| channel.target.url().map(redact::server);
        let real = self.configured.channels.values().filter_map(url).find(|url| !leads_to_loopback(url))?;
        Some(format!("notifications go to {real}; with a simulated clock only channels on this machine are allowed"))
    }
}
