//! Status of sync, for `tilth-agent status` and the API.

use std::collections::BTreeMap;

use tilth_sync::engine::{ProblemKind, Status};
use tokio::sync::watch;

/// Handle of the status; clones share it.
pub(crate) type SyncStatus = watch::Sender<SyncSnapshot>;

#[derive(Debug, Clone, Default)]
pub(crate) struct SyncSnapshot {
    /// Address of the hub; `None` where none is configured.
    pub(crate) hub: Option<String>,
    /// Why sync cannot start.
    pub(crate) start_error: Option<String>,
    /// Problems that need a person, with their reasons.
    pub(crate) problems: BTreeMap<ProblemKind, String>,
    /// Status of the sync engine, once there is one.
    pub(crate) engine: Option<Status>,
}
