//! Files of bundles in the data folder: the active bundle, the one before it, the next one, and the state of others.
//!
//! | file | holds |
//! | --- | --- |
//! | `bundle.good` | the active bundle, byte for byte; a start uses it, a newer one replaces it |
//! | `bundle.before` | the previous bundle, while the active one is on probation |
//! | `bundle.reverted` | the last bundle that did not pass its probation, for a retry |
//! | `bundle.good.new` | the next bundle: it is tried only once the disk holds it, and renamed when it becomes the active one |
//! | `bundle.good.damaged-TIME` | a bundle that the disk no longer had as it was written; the newest two are kept for inspection |
//! | `bundle.state` | the highest version that was active, which bundle was rejected and why, how often one was tried, and which sensors one on probation must have; with its SHA-256 |
//! | `bundle.state.damaged-TIME` | a state that could not be read; the newest two are kept for inspection |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tilth_config::bundle::{self, Bundle, MAX_VERSION, TrustedKey};
use tilth_config::sha256;
use tilth_core::id::SensorId;
use tilth_sync::engine::NewestBundle;

use super::active::ActiveConfig;
use super::enrolment::Enrolment;
use super::probation::Expected;
use crate::durable::{self, Unreadable};
use crate::store::move_aside;

/// A bundle is rejected after the agent ended this often while applying it, or in its probation, without a reason.
pub(super) const MAX_ATTEMPTS: u32 = 3;

pub(super) const ACTIVE: &str = "bundle.good";
pub(super) const PREVIOUS: &str = "bundle.before";
pub(super) const REVERTED: &str = "bundle.reverted";
const STATE: &str = "bundle.state";

#[derive(Debug, Clone)]
pub(crate) struct BundleFiles {
    folder: PathBuf,
}

/// Content of `bundle.state`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BundleState {
    /// The highest version that was active. An older bundle is rejected, also where the active one is lost.
    #[serde(default)]
    pub(crate) highest: u64,
    /// The last bundle that was rejected. The same bytes are not looked at again.
    // Every version wrote this key: without it the file is no state, whatever else it is.
    #[serde(rename = "refused", deserialize_with = "Option::deserialize")]
    pub(super) rejected: Option<RejectedBundle>,
    /// A bundle that is being applied and is not active yet.
    #[serde(rename = "trial", default)]
    pub(super) attempt: Option<ApplyAttempt>,
    /// The active bundle, as long as it is on probation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) probation: Option<OnProbation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RejectedBundle {
    /// SHA-256 of the bundle's bytes.
    pub(crate) hash: String,
    /// Id of the signing key that was trusted then.
    #[serde(default)]
    pub(crate) trusted: String,
    pub(crate) version: Option<u64>,
    pub(crate) reason: String,
    /// Hash of its content, where the signature is good: the hub need not send it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    /// The bundle was active, and did not pass its probation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reverted: Option<Reverted>,
}

impl RejectedBundle {
    /// Hash of its content, where that is known.
    pub(super) fn content(&self) -> Option<&str> {
        self.content.as_deref().or(self.reverted.as_ref().map(|reverted| reverted.content.as_str()))
    }
}

/// A bundle that did not pass its probation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reverted {
    /// Hash of its content.
    pub(crate) content: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OnProbation {
    /// SHA-256 of the bundle's bytes.
    pub(super) hash: String,
    /// Id of the signing key that was trusted.
    pub(super) trusted: String,
    pub(super) version: u64,
    /// Hash of its content.
    pub(super) content: String,
    /// Processes that began with it: the first, and each that began after one had ended without a word.
    #[serde(rename = "times")]
    pub(super) starts: u32,
    /// Why it does not pass, once that is known: the previous bundle returns, also if the sensors are good meanwhile.
    #[serde(default)]
    pub(super) failed: Option<String>,
    /// The sensors that must be good again.
    pub(super) sensors: BTreeMap<SensorId, Expected>,
}

impl OnProbation {
    /// The first start with a bundle; `hash` and `trusted` are those of its bytes.
    pub(super) fn begin(
        hash: String,
        trusted: String,
        bundle: &Bundle,
        sensors: BTreeMap<SensorId, Expected>,
    ) -> OnProbation {
        let (version, content) = (bundle.version, bundle.hash.to_string());
        OnProbation { hash, trusted, version, content, starts: 1, failed: None, sensors }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ApplyAttempt {
    /// SHA-256 of the bundle's bytes.
    pub(super) hash: String,
    #[serde(rename = "times")]
    pub(super) attempts: u32,
}

/// Why the saved bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A bundle was active, and its file is gone.
    #[error("is missing")]
    NotFound,
    /// The one bundle that was active did not pass its probation.
    #[error("was reverted, and there is no earlier one")]
    Reverted,
}

impl BundleFiles {
    pub(crate) fn new(data: &Path) -> BundleFiles {
        BundleFiles { folder: data.to_owned() }
    }

    /// The bundle that was active last; `None` where there never was one.
    pub(crate) fn active(enrolment: &Enrolment) -> Result<Option<Bundle>, Unavailable> {
        let files = BundleFiles::new(&enrolment.data);
        if let Err(error) = fs::read_dir(&enrolment.data)
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return Err(Unreadable::Unusable(format!("{}: {error}", enrolment.data.display())).into());
        }
        if !files.has_active() {
            return match files.state() {
                Ok(state) if state.is_reverted() => Err(Unavailable::Reverted),
                Ok(state) if state.highest > 0 => Err(Unavailable::NotFound),
                Ok(_) => Ok(None),
                Err(unreadable) => Err(Unreadable::Unusable(format!("{STATE} {unreadable}")).into()),
            };
        }
        let key = enrolment.trusted_key().map_err(|error| Unreadable::Unusable(format!("{error:#}")))?;
        Ok(files.verified(ACTIVE, &key, enrolment)?)
    }

    /// The bundle in a file, verified; `None` where there is no such file.
    pub(super) fn verified(
        &self,
        name: &str,
        key: &TrustedKey,
        enrolment: &Enrolment,
    ) -> Result<Option<Bundle>, Unreadable> {
        let Some(bytes) = durable::read(&self.folder.join(name))? else { return Ok(None) };
        bundle::verify(&bytes, key, &enrolment.tenant, &enrolment.device).map(Some).map_err(|error| {
            let why = error.to_string();
            if error.is_damage() { Unreadable::Damaged(why) } else { Unreadable::Unusable(why) }
        })
    }

    /// Moves the active bundle aside; returns its new path. `suffix` goes into the name.
    pub(crate) fn move_active_aside(&self, suffix: &str) -> Result<PathBuf, String> {
        // The next start is to know that there was a bundle, whichever: else it stays in its place and is found there again.
        if let Ok(state) = self.state()
            && state.highest == 0
        {
            self.save_state(&BundleState { highest: 1, ..state }).map_err(|error| error.to_string())?;
        }
        move_aside(&self.folder.join(ACTIVE), suffix).map_err(|error| error.to_string())
    }

    /// Whether there is a file of an active bundle, damaged or not.
    pub(crate) fn has_active(&self) -> bool {
        self.folder.join(ACTIVE).exists()
    }

    /// Content of `bundle.state`; empty where the file does not exist. A file that cannot be read is an error, not an empty state.
    pub(crate) fn state(&self) -> Result<BundleState, Unreadable> {
        let Some(bytes) = durable::read(&self.folder.join(STATE))? else { return Ok(BundleState::default()) };
        let state: BundleState = match durable::parse_checked(&bytes) {
            // Older versions wrote no checksum.
            Err(damaged @ Unreadable::Damaged(_)) => serde_json::from_slice(&bytes).map_err(|_| damaged)?,
            checked => checked?,
        };
        // An agent that had no limit yet may have taken a version that no hub can exceed.
        Ok(if state.highest > MAX_VERSION { BundleState { highest: 0, ..state } } else { state })
    }

    pub(super) fn save_state(&self, state: &BundleState) -> io::Result<()> {
        durable::write(&self.folder, STATE, &durable::with_checksum(state)?)
    }

    /// Saves the next bundle beside the active one, which stays.
    pub(super) fn save_next(&self, bytes: &[u8]) -> io::Result<()> {
        durable::write_new(&self.folder, ACTIVE, bytes).map(drop)
    }

    /// Makes the next bundle the active one.
    pub(super) fn activate_next(&self) -> io::Result<()> {
        durable::rename_new(&self.folder, ACTIVE)
    }

    pub(super) fn save_active(&self, bytes: &[u8]) -> io::Result<()> {
        durable::write(&self.folder, ACTIVE, bytes)
    }

    /// Keeps a copy of the active bundle for the time in which the next one is on probation.
    pub(super) fn save_previous(&self) -> io::Result<()> {
        match self.read(ACTIVE) {
            Some(bytes) => durable::write(&self.folder, PREVIOUS, &bytes),
            // There is nothing to return to, and what is left of another time must not be.
            None => self.delete_previous(),
        }
    }

    /// Deletes it for good: one that a power cut brings back would put the bundle that has passed on probation again.
    pub(super) fn delete_previous(&self) -> io::Result<()> {
        durable::remove(&self.folder, PREVIOUS)
    }

    /// Puts the previous bundle in the place of the one with this hash, which is kept for a retry. Needs no room on the disk, and
    /// done again it changes nothing.
    pub(super) fn restore_previous(&self, hash: &str) -> io::Result<()> {
        let (active, previous) = (self.folder.join(ACTIVE), self.folder.join(PREVIOUS));
        if self.hash(ACTIVE).as_deref() == Some(hash) {
            fs::rename(&active, self.folder.join(REVERTED))?;
        }
        if !active.exists() && previous.exists() {
            fs::rename(previous, active)?;
        }
        File::open(&self.folder)?.sync_all()
    }

    /// Finishes [`BundleFiles::restore_previous`] after a power cut between its two renames, where the state, which would repeat it, is lost.
    pub(super) fn end_restore(&self) {
        if !self.has_active() && self.folder.join(REVERTED).exists() {
            let _ = self.restore_previous("");
        }
    }

    /// Puts the reverted bundle with this hash back, where the one before it cannot be used.
    pub(super) fn restore_reverted(&self, hash: &str) -> io::Result<()> {
        if self.hash(REVERTED).as_deref() == Some(hash) {
            fs::rename(self.folder.join(REVERTED), self.folder.join(ACTIVE))?;
        }
        File::open(&self.folder)?.sync_all()
    }

    /// SHA-256 of a file's bytes; `None` where it cannot be read.
    pub(super) fn hash(&self, name: &str) -> Option<String> {
        self.read(name).map(|bytes| hex::encode(sha256(&bytes)))
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        durable::read(&self.folder.join(name)).ok().flatten()
    }

    /// The bytes of a bundle that was rejected, where they are still here.
    pub(super) fn rejected(&self, hash: &str) -> Option<Vec<u8>> {
        let next = format!("{ACTIVE}.new");
        let files = [REVERTED, &next].into_iter().filter_map(|name| self.read(name));
        files.into_iter().find(|bytes| hex::encode(sha256(bytes)) == hash)
    }

    /// Resumes the probation of a bundle in a new process, or returns to the previous bundle.
    pub(super) fn resume_probation(&self, state: &mut BundleState) {
        let Some(probation) = &mut state.probation else { return };
        if probation.starts >= MAX_ATTEMPTS {
            let said = format!("the agent ended {} times within its probation", probation.starts);
            probation.failed.get_or_insert(said);
        }
        probation.starts += 1;
        let (has_failed, hash) = (probation.failed.is_some(), probation.hash.clone());
        // A disk that does not take this is no reason to give the bundle up.
        let _ = self.save_state(state);
        if has_failed || !self.has_active() {
            let _ = self.restore_previous(&hash);
        }
    }

    /// The process ends: by itself, and why, or because it was told to.
    pub(super) fn save_end(&self, why: Option<&str>) -> Result<(), String> {
        let mut state = self.state().map_err(|unreadable| unreadable.to_string())?;
        let Some(probation) = &mut state.probation else { return Ok(()) };
        match why {
            Some(why) => probation.failed = Some(format!("the agent ended within its probation: {why}")),
            None => probation.starts = probation.starts.saturating_sub(1),
        }
        self.save_state(&state).map_err(|error| error.to_string())
    }
}

impl BundleState {
    /// Highest version that was ever active, also where the state was lost; 0 for none.
    pub(super) fn highest(&self, active: &ActiveConfig) -> u64 {
        self.highest.max(active.version().map_or(0, |(version, _)| version))
    }

    /// What the hub is told: it gives the next bundle a higher version, and sends the bundle of this ETag no second time, though it
    /// was rejected or reverted. The ETag is left out where that bundle is lost: the hub then sends it again.
    pub(super) fn newest_bundle(&self, active: &ActiveConfig) -> NewestBundle {
        let highest = self.highest(active);
        let rejected = self.rejected.as_ref().and_then(|bundle| Some((bundle.version?, bundle.content()?.to_owned())));
        let rejected = rejected.filter(|(version, _)| *version >= highest);
        let active = active.version().filter(|(version, _)| *version == highest);
        let (version, content) = match rejected.or(active.map(|(version, content)| (version, content.to_string()))) {
            Some((version, content)) => (version, Some(content)),
            None => (highest, None),
        };
        // The hub's ETag of a bundle is its content's hash, in quotes.
        NewestBundle { version, etag: content.map(|content| format!("\"{content}\"")) }
    }

    /// Whether the last bundle that was active did not pass its probation.
    fn is_reverted(&self) -> bool {
        self.rejected.as_ref().is_some_and(|rejected| rejected.reverted.is_some())
            || self.probation.as_ref().is_some_and(|probation| probation.failed.is_some())
    }
}
