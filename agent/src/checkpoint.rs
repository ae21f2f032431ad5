//! What a restart continues from, beside the readings that the store keeps: plain data until the store's thread encodes it.
//!
//! Decide makes one for each commit with windows or events, so making one copies little: its parts are shared, and a shared part is copied
//! before it is changed. The store's thread keeps the last one, so it sees by what is shared what changed since, and writes only that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tilth_core::alert::AlertId;
use tilth_core::engine::{self, Snapshot};
use tilth_core::id::Id;
use tilth_core::interlock;
use tilth_core::time::Uptime;

use crate::random::RunId;
use crate::sense::line::LabelMatches;

/// Memory of the agent after an input. Its JSON form is what the store keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) engine: Snapshot,
    /// Last page of each open alert on each channel: a later page that was decided is sent again, as a repeat.
    #[serde(default, with = "shared", rename = "told_by")]
    pub(crate) last_pages: Arc<BTreeMap<AlertId, LastPages>>,
    /// Name of the person who acknowledged each open alert.
    #[serde(default, with = "shared", rename = "takers")]
    pub(crate) acknowledged_by: Arc<AcknowledgedBy>,
    /// Run of the program that decided on the newest page of each open alert. Part of the page's id.
    #[serde(default, with = "shared", rename = "paged_by")]
    pub(crate) page_runs: Arc<BTreeMap<AlertId, RunId>>,
    /// Labels of each bus that the names of sensors have matched.
    #[serde(default, with = "shared", rename = "seen_labels", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) label_matches: Arc<BTreeMap<Id, LabelMatches>>,
    /// Id of the board that each bus had last.
    #[serde(default, with = "shared", rename = "boards", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) board_of_bus: Arc<BTreeMap<Id, [u8; 8]>>,
}

/// Number of the last page of an alert that each channel has delivered or given up; 0 for one that was asked and is not done yet.
pub(crate) type LastPages = BTreeMap<Id, u32>;

/// Name of the person who acknowledged each alert last, as long as it is open.
pub(crate) type AcknowledgedBy = BTreeMap<AlertId, String>;

/// What a later checkpoint holds and an earlier one does not. Its JSON form is what the store keeps.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Changes<'a> {
    engine: engine::Changes,
    #[serde(rename = "told_by", skip_serializing_if = "Option::is_none")]
    last_pages: Option<Cow<'a, BTreeMap<AlertId, LastPages>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_by: Option<Cow<'a, AcknowledgedBy>>,
    #[serde(rename = "paged_by", skip_serializing_if = "Option::is_none")]
    page_runs: Option<Cow<'a, BTreeMap<AlertId, RunId>>>,
    #[serde(rename = "seen_labels", skip_serializing_if = "Option::is_none")]
    label_matches: Option<Cow<'a, BTreeMap<Id, LabelMatches>>>,
    #[serde(rename = "boards", skip_serializing_if = "Option::is_none")]
    board_of_bus: Option<Cow<'a, BTreeMap<Id, [u8; 8]>>>,
}

/// What a checkpoint of before knows of actuators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutputsBefore {
    /// When the checkpoint was taken, on the clock of its boot.
    pub(crate) at: Uptime,
    pub(crate) record: interlock::Record,
}

impl OutputsBefore {
    pub(crate) fn of(checkpoint: &Checkpoint) -> Box<OutputsBefore> {
        let engine = &checkpoint.engine;
        Box::new(OutputsBefore { at: engine.now(), record: engine.interlock().clone() })
    }
}

impl Checkpoint {
    /// What changed since an `earlier` checkpoint; none where the whole is no longer than that ([`Snapshot::changes_since`]).
    pub(crate) fn changes_since(&self, earlier: &Checkpoint) -> Option<Changes<'_>> {
        Some(Changes {
            engine: self.engine.changes_since(&earlier.engine)?,
            last_pages: changed(&self.last_pages, &earlier.last_pages),
            acknowledged_by: changed(&self.acknowledged_by, &earlier.acknowledged_by),
            page_runs: changed(&self.page_runs, &earlier.page_runs),
            label_matches: changed(&self.label_matches, &earlier.label_matches),
            board_of_bus: changed(&self.board_of_bus, &earlier.board_of_bus),
        })
    }

    /// Makes the later checkpoint of the earlier one.
    pub(crate) fn apply(&mut self, changes: Changes<'_>) {
        self.engine.apply(changes.engine);
        replace(&mut self.last_pages, changes.last_pages);
        replace(&mut self.acknowledged_by, changes.acknowledged_by);
        replace(&mut self.page_runs, changes.page_runs);
        replace(&mut self.label_matches, changes.label_matches);
        replace(&mut self.board_of_bus, changes.board_of_bus);
    }
}

/// A part, unless both checkpoints share it.
fn changed<'a, T: Clone>(now: &'a Arc<T>, then: &Arc<T>) -> Option<Cow<'a, T>> {
    (!Arc::ptr_eq(now, then)).then(|| Cow::Borrowed(&**now))
}

fn replace<T: Clone>(part: &mut Arc<T>, changed: Option<Cow<'_, T>>) {
    if let Some(changed) = changed {
        *part = Arc::new(changed.into_owned());
    }
}

/// Remark on saved state that cannot be used.
pub(crate) fn unreadable(error: &dyn std::error::Error) -> String {
    format!("saved state unreadable ({error}): starting with empty alert and rule state")
}

/// A shared value serializes as the value.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        T::serialize(value, serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}
