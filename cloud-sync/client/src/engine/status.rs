//! Status of sync, for people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tilth_core::time::Uptime;
use tilth_protocol::Lane;

use super::meter::Meter;
use super::pull::PullStatus;

/// Status of sync. Times are since boot; their reader knows the time of day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The state of the machine.
    pub state: StateName,
    /// Why it is not going well, if it is not.
    pub why: Option<String>,
    /// When it tries again by itself.
    pub next_try: Option<Uptime>,
    /// When the hub last accepted a batch.
    pub last_success: Option<Uptime>,
    /// By lane, how many sequences the hub is not known to have.
    #[serde(rename = "waiting")]
    pub unconfirmed: BTreeMap<Lane, u64>,
    /// By lane, the highest sequence up to which the hub has accepted every row.
    pub confirmed: BTreeMap<Lane, u64>,
    /// Since the start.
    pub counts: Counts,
    /// Bytes by purpose.
    pub traffic: Meter,
    /// Configuration.
    pub config: PullStatus,
}

/// Counts since the engine was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Batches that the hub accepted.
    #[serde(rename = "taken")]
    pub accepted: u64,
    /// Batches that were rejected, or had no answer.
    pub failed: u64,
    /// Quarantined rows.
    pub quarantined: u64,
    /// Confirmations that were late, of more than was ever made, or of lanes that are not known.
    pub strange_confirmations: u64,
    /// Answers of store and hub that were no longer awaited: ignored.
    pub stray_answers: u64,
}

/// The states by name; their chart is above `State` in `engine/state.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateName {
    /// Everything is at the hub.
    Idle,
    /// Rows wait for their moment.
    Gathering,
    /// The store is asked.
    Fetching,
    /// A batch is on its way.
    Sending,
    /// The hub failed; waiting to try again.
    BackingOff,
    /// The hub rejects this device.
    #[serde(rename = "refused")]
    Rejected,
    /// The store is asked for a new stream.
    Conflict,
    /// The hub cannot be reached.
    Offline,
}
