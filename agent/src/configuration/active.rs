//! The configuration that is in force: whether a bundle of the hub, and the hash that names it.

use std::sync::Arc;

use tilth_config::bundle::{Bundle, ContentHash};
use tilth_sync::engine::Holding;

use super::bundle_files::BundleState;
use super::probation::SensorConfig;

/// The first eight digits of a hash, by which people name a configuration.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct ActiveConfig {
    bundle: Option<Arc<Bundle>>,
    /// The highest version that was ever in force; 0 for none.
    highest: u64,
    /// Names what runs, whatever it is from.
    hash: String,
    sensors: SensorConfig,
    /// Version and content of the bundle that was reverted last.
    reverted: Option<(u64, String)>,
}

impl ActiveConfig {
    /// A bundle, or the files of `config.d`; the hash of what runs, and its sensors.
    pub(super) fn new(bundle: Option<Arc<Bundle>>, hash: String, sensors: SensorConfig) -> ActiveConfig {
        let highest = bundle.as_ref().map_or(0, |bundle| bundle.version);
        ActiveConfig { bundle, highest, hash, sensors, reverted: None }
    }

    /// What is remembered of bundles before.
    pub(super) fn recall(&mut self, state: &BundleState) {
        self.highest = self.highest.max(state.highest);
        self.reverted = state.refused.as_ref().and_then(|refused| {
            let reverted = refused.reverted.as_ref()?;
            Some((refused.version?, reverted.content.clone()))
        });
    }

    /// Short name of the configuration in force: the first digits of its hash.
    pub(super) fn name(&self) -> &str {
        short(&self.hash)
    }

    /// The bundle in force; `None` where the files of `config.d` are.
    pub(crate) fn bundle(&self) -> Option<&Arc<Bundle>> {
        self.bundle.as_ref()
    }

    /// A bundle, or the files of `config.d`, is in force from now on.
    pub(super) fn set_bundle(&mut self, bundle: Option<Arc<Bundle>>) {
        self.highest = self.highest.max(bundle.as_ref().map_or(0, |bundle| bundle.version));
        self.bundle = bundle;
    }

    pub(super) fn sensors(&self) -> &SensorConfig {
        &self.sensors
    }

    pub(super) fn set_sensors(&mut self, sensors: SensorConfig) {
        self.sensors = sensors;
    }

    /// Takes the hash of what runs from now on; says whether it is another one.
    pub(super) fn set_hash(&mut self, hash: &str) -> bool {
        let is_another = self.hash != hash;
        hash.clone_into(&mut self.hash);
        is_another
    }

    /// What the hub is told: it issues above the highest, whatever is in force now. The tag is left out where the highest is
    /// lost, so that the hub sends it again; one that was reverted is not lost.
    pub(crate) fn holding(&self) -> Holding {
        let active = self.bundle.as_ref().filter(|bundle| bundle.version == self.highest);
        let reverted = self.reverted.as_ref().filter(|(version, _)| *version == self.highest);
        let content = active.map(|bundle| bundle.hash.to_string()).or(reverted.map(|(_, content)| content.clone()));
        // The hub's tag of a bundle is its content's hash, in quotes.
        Holding { version: self.highest, etag: content.map(|content| format!("\"{content}\"")) }
    }

    /// Version and content of the bundle in force.
    pub(super) fn version(&self) -> Option<(u64, ContentHash)> {
        self.bundle.as_ref().map(|bundle| (bundle.version, bundle.hash))
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }
}
