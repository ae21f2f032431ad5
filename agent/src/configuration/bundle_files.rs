//! The files of bundles in the data folder: the last good bundle, the next one, and what is remembered of others.
//!
//! | file | holds |
//! | --- | --- |
//! | `bundle.good` | the last bundle that proved itself, byte for byte; a start uses it, a better one replaces it |
//! | `bundle.good.new` | the next bundle, staged: it is tried only once the disk holds it, and becomes the good one by its name |
//! | `bundle.good.damaged-TIME` | a bundle that the disk no longer had as it was written; the newest two are kept for inspection |
//! | `bundle.state` | the highest version that was in force, which bundle was rejected and why, and how often one was tried |
//! | `bundle.state.damaged-TIME` | a state that could not be read; the newest two are kept for inspection |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tilth_config::bundle::{self, Bundle, MAX_VERSION, TrustedKey};

use super::enrolment::Enrolment;
use crate::durable::{self, Unreadable};
use crate::store::put_aside;

const GOOD: &str = "bundle.good";
const STATE: &str = "bundle.state";

/// The files.
#[derive(Debug, Clone)]
pub(crate) struct BundleFiles {
    folder: PathBuf,
}

/// What is remembered beside the last good bundle: `bundle.state`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BundleState {
    /// The highest version that was in force. An older bundle is rejected, also where the last good one is lost.
    #[serde(default)]
    pub(crate) highest: u64,
    /// The last bundle that was rejected. The same bytes are not looked at again.
    #[serde(default)]
    pub(super) refused: Option<RejectedBundle>,
    /// A bundle that was applied and has not become good yet.
    #[serde(default)]
    pub(super) trial: Option<Trial>,
}

/// A bundle that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RejectedBundle {
    /// SHA-256 of the bundle's bytes.
    pub(super) hash: String,
    /// Id of the signing key that was trusted then.
    #[serde(default)]
    pub(super) trusted: String,
    pub(super) version: Option<u64>,
    pub(super) reason: String,
}

/// A bundle that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    /// SHA-256 of the bundle's bytes.
    pub(super) hash: String,
    pub(super) times: u32,
}

/// Why there is no last good bundle to begin with.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The disk no longer has what was written.
    Damaged(String),
    /// The bundle is whole; what is in its way may be mended.
    Unusable(String),
    /// A bundle was in force, and the file is gone.
    Gone,
}

impl From<Unreadable> for Lost {
    fn from(unreadable: Unreadable) -> Lost {
        match unreadable {
            Unreadable::Damaged(why) => Lost::Damaged(why),
            Unreadable::Unusable(why) => Lost::Unusable(why),
        }
    }
}

impl BundleFiles {
    pub(crate) fn new(data: &Path) -> BundleFiles {
        BundleFiles { folder: data.to_owned() }
    }

    /// The last good bundle of this device; `None` where there never was one.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn good(enrolment: &Enrolment) -> Result<Option<Bundle>, Lost> {
        let files = BundleFiles::new(&enrolment.data);
        if let Err(error) = fs::read_dir(&enrolment.data)
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return Err(Lost::Unusable(format!("{}: {error}", enrolment.data.display())));
        }
        if !files.has_good() {
            return match files.state() {
                Ok(state) if state.highest > 0 => Err(Lost::Gone),
                Ok(_) => Ok(None),
                Err(unreadable) => Err(Lost::Unusable(format!("{STATE} {}", unreadable.why()))),
            };
        }
        let key = enrolment.trusted_key().map_err(|error| Lost::Unusable(format!("{error:#}")))?;
        files.verified(&key, enrolment)
    }

    pub(super) fn verified(&self, key: &TrustedKey, enrolment: &Enrolment) -> Result<Option<Bundle>, Lost> {
        let Some(bytes) = durable::read(&self.folder.join(GOOD))? else { return Ok(None) };
        bundle::verify(&bytes, key, &enrolment.client, &enrolment.device).map(Some).map_err(|error| {
            let why = error.to_string();
            if error.is_damage() { Lost::Damaged(why) } else { Lost::Unusable(why) }
        })
    }

    /// Moves the last good bundle aside; returns its new path. `mark` goes into the name.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn put_good_aside(&self, mark: &str) -> Result<PathBuf, String> {
        // The next start is to know that there was a bundle, whichever: else it stays in its place and is found there again.
        if let Ok(state) = self.state()
            && state.highest == 0
        {
            self.remember(&BundleState { highest: 1, ..state }).map_err(|error| error.to_string())?;
        }
        put_aside(&self.folder.join(GOOD), mark).map_err(|error| error.to_string())
    }

    /// Whether there is a last good bundle, of whatever kind.
    pub(crate) fn has_good(&self) -> bool {
        self.folder.join(GOOD).exists()
    }

    /// What is remembered; all empty where no bundle ever came.
    ///
    /// # Errors
    /// [`Unreadable`] when the file is there and does not say.
    pub(crate) fn state(&self) -> Result<BundleState, Unreadable> {
        let Some(bytes) = durable::read(&self.folder.join(STATE))? else { return Ok(BundleState::default()) };
        let state: BundleState =
            serde_json::from_slice(&bytes).map_err(|error| Unreadable::Damaged(error.to_string()))?;
        // An agent that had no limit yet may have taken a version that no hub can exceed.
        Ok(if state.highest > MAX_VERSION { BundleState { highest: 0, ..state } } else { state })
    }

    /// Moves a damaged state aside; returns its new path. `mark` goes into the name.
    ///
    /// # Errors
    /// In words.
    pub(super) fn put_state_aside(&self, mark: &str) -> Result<PathBuf, String> {
        put_aside(&self.folder.join(STATE), mark).map_err(|error| error.to_string())
    }

    pub(super) fn remember(&self, state: &BundleState) -> io::Result<()> {
        durable::write(&self.folder, STATE, &serde_json::to_vec(state).map_err(io::Error::other)?)
    }

    /// Makes sure that the disk can hold a bundle; the last good one stays.
    pub(super) fn stage(&self, bytes: &[u8]) -> io::Result<()> {
        durable::stage(&self.folder, GOOD, bytes)
    }

    /// The staged bundle is the last good one from now on.
    pub(super) fn keep_staged(&self) -> io::Result<()> {
        durable::commit(&self.folder, GOOD)
    }

    pub(super) fn put_good(&self, bytes: &[u8]) -> io::Result<()> {
        durable::write(&self.folder, GOOD, bytes)
    }
}
