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
    /// The active bundle; `None` where the files of `config.d` are.
    pub(super) bundle: Option<Arc<Bundle>>,
    /// Hash that names the configuration, wherever it is from.
    pub(super) hash: String,
    pub(super) sensors: SensorConfig,
    /// Files that it was made of; under a bundle `agent.toml` alone.
    pub(super) files: Files,
}

impl ActiveConfig {
    /// Short name of the active configuration: the first digits of its hash.
    pub(super) fn name(&self) -> &str {
        short(&self.hash)
    }

    /// Version and content of the active bundle.
    pub(super) fn version(&self) -> Option<(u64, ContentHash)> {
        self.bundle.as_ref().map(|bundle| (bundle.version, bundle.hash))
    }
}
