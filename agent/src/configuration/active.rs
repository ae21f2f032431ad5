//! The active configuration: a bundle of the hub or the files of `config.d`, and the hash that names it.

use std::sync::Arc;

use tilth_config::Files;
use tilth_config::bundle::{Bundle, ContentHash};

use super::probation::SensorConfig;

/// The first eight digits of a hash, by which people name a configuration.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// What is active. Only `Applier` has one that it can change.
#[derive(Debug)]
pub(crate) struct ActiveConfig {
    bundle: Option<Arc<Bundle>>,
    hash: String,
    sensors: SensorConfig,
    files: Files,
}

impl ActiveConfig {
    pub(super) fn new(bundle: Option<Arc<Bundle>>, hash: String, sensors: SensorConfig, files: Files) -> ActiveConfig {
        ActiveConfig { bundle, hash, sensors, files }
    }

    /// The active bundle has another version with the same content.
    pub(super) fn take_version(&mut self, bundle: Arc<Bundle>) {
        self.bundle = Some(bundle);
    }

    /// The active bundle; `None` where the files of `config.d` are.
    pub(super) fn bundle(&self) -> Option<&Arc<Bundle>> {
        self.bundle.as_ref()
    }

    /// Hash that names the configuration, wherever it is from.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    pub(super) fn sensors(&self) -> &SensorConfig {
        &self.sensors
    }

    /// Files that it was made of; under a bundle `agent.toml` alone.
    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// Short name of the active configuration: the first digits of its hash.
    pub(super) fn name(&self) -> &str {
        short(&self.hash)
    }

    /// Version and content of the active bundle.
    pub(super) fn version(&self) -> Option<(u64, ContentHash)> {
        self.bundle.as_ref().map(|bundle| (bundle.version, bundle.hash))
    }
}
