//! The configuration that is in force: whether a bundle of the hub, and the hash that names it.

use std::sync::Arc;

use tilth_config::bundle::{Bundle, ContentHash};
use tilth_sync::engine::Holding;

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct ActiveConfig {
    bundle: Option<Arc<Bundle>>,
    /// The highest version that was ever in force; 0 for none.
    highest: u64,
    /// Names what runs, whatever it is from.
    hash: String,
}

impl ActiveConfig {
    /// A bundle, or the files of `config.d`; the hash of what runs.
    pub(super) fn new(bundle: Option<Arc<Bundle>>, hash: String) -> ActiveConfig {
        let highest = bundle.as_ref().map_or(0, |bundle| bundle.version);
        ActiveConfig { bundle, highest, hash }
    }

    /// This version was in force before.
    pub(super) fn raise_highest(&mut self, version: u64) {
        self.highest = self.highest.max(version);
    }

    /// The bundle in force; `None` where the files of `config.d` are.
    pub(crate) fn bundle(&self) -> Option<&Arc<Bundle>> {
        self.bundle.as_ref()
    }

    pub(super) fn set_bundle(&mut self, bundle: Arc<Bundle>) {
        self.raise_highest(bundle.version);
        self.bundle = Some(bundle);
    }

    /// Takes the hash of what runs from now on; says whether it is another one.
    pub(super) fn set_hash(&mut self, hash: &str) -> bool {
        let is_another = self.hash != hash;
        hash.clone_into(&mut self.hash);
        is_another
    }

    /// What the hub is told: it issues above the highest, whatever is in force now. The tag is left out where the highest is
    /// lost, so that the hub sends it again.
    pub(crate) fn holding(&self) -> Holding {
        let highest = self.bundle.as_ref().filter(|bundle| bundle.version == self.highest);
        // The hub's tag of a bundle is its content's hash, in quotes.
        Holding { version: self.highest, etag: highest.map(|bundle| format!("\"{}\"", bundle.hash)) }
    }

    /// Version and content of the bundle in force.
    pub(super) fn version(&self) -> Option<(u64, ContentHash)> {
        self.bundle.as_ref().map(|bundle| (bundle.version, bundle.hash))
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }
}
