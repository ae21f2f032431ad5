//! The active configuration: a bundle of the hub or the files of `config.d`, and the hash that names it.

use std::sync::Arc;

use tilth_config::Files;
use tilth_config::bundle::{Bundle, ContentHash};
use tilth_sync::engine::KnownBundle;

use super::bundle_files::BundleState;
use super::probation::SensorConfig;

/// The first eight digits of a hash, by which people name a configuration.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

#[derive(Debug)]
pub(crate) struct ActiveConfig {
    /// The active bundle; `None` where the files of `config.d` are.
    pub(super) bundle: Option<Arc<Bundle>>,
    /// Highest version that was ever active; 0 for none.
    pub(super) highest: u64,
    /// Hash that names the configuration, wherever it is from.
    hash: String,
    pub(super) sensors: SensorConfig,
    /// Files that it was made of; under a bundle `agent.toml` alone.
    pub(super) files: Files,
    /// Version and content of the hub's bundle that was rejected or reverted last.
    rejected: Option<(u64, String)>,
}

impl ActiveConfig {
    /// A bundle, or the files of `config.d`; with its hash, its sensors and its files.
    pub(super) fn new(bundle: Option<Arc<Bundle>>, hash: String, sensors: SensorConfig, files: Files) -> ActiveConfig {
        let highest = bundle.as_ref().map_or(0, |bundle| bundle.version);
        ActiveConfig { bundle, highest, hash, sensors, files, rejected: None }
    }

    /// Takes over what `bundle.state` has of earlier bundles.
    pub(super) fn load_state(&mut self, state: &BundleState) {
        self.highest = self.highest.max(state.highest);
        self.rejected =
            state.rejected.as_ref().and_then(|rejected| Some((rejected.version?, rejected.content()?.to_owned())));
    }

    /// Short name of the active configuration: the first digits of its hash.
    pub(super) fn name(&self) -> &str {
        short(&self.hash)
    }

    /// A bundle, or the files of `config.d`, is active from now on.
    pub(super) fn set_bundle(&mut self, bundle: Option<Arc<Bundle>>) {
        self.highest = self.highest.max(bundle.as_ref().map_or(0, |bundle| bundle.version));
        self.bundle = bundle;
    }

    /// Takes the hash of the configuration that runs from now on; returns whether it is another one.
    pub(super) fn set_hash(&mut self, hash: &str) -> bool {
        let is_changed = self.hash != hash;
        hash.clone_into(&mut self.hash);
        is_changed
    }

    /// Version and tag for the hub, which issues above the highest version whatever is active now, and does not send again what was
    /// rejected or reverted. Without the tag the hub sends the highest again: the tag is left out where that is lost.
    pub(crate) fn known_bundle(&self) -> KnownBundle {
        let rejected = self.rejected.clone().filter(|(version, _)| *version >= self.highest);
        let active = self.bundle.as_ref().map(|bundle| (bundle.version, bundle.hash.to_string()));
        let (version, content) = match rejected.or(active.filter(|(version, _)| *version == self.highest)) {
            Some((version, content)) => (version, Some(content)),
            None => (self.highest, None),
        };
        // The hub's tag of a bundle is its content's hash, in quotes.
        KnownBundle { version, etag: content.map(|content| format!("\"{content}\"")) }
    }

    /// Version and content of the active bundle.
    pub(super) fn version(&self) -> Option<(u64, ContentHash)> {
        self.bundle.as_ref().map(|bundle| (bundle.version, bundle.hash))
    }
}
