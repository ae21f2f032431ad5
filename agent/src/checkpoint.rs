//! What a restart continues from, beside the readings that the store keeps: plain data until the store's thread encodes it.
//!
//! Decide makes one for each commit with windows or events, so making one copies little: its parts are shared, and whoever
//! changes a part that is shared copies that part first.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tilth_core::alert::AlertId;
use tilth_core::engine::Snapshot;
use tilth_core::id::Id;

use crate::random::RunId;
use crate::sense::line::SeenLabels;

/// Memory of the agent after an input. Its JSON form is what the store keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) engine: Snapshot,
    /// Last notification per open alert that was paged: a later page that was decided is sent again, as a repeat.
    #[serde(default, with = "shared")]
    pub(crate) told_by: Arc<BTreeMap<AlertId, LastDelivered>>,
    /// Who acknowledged each open alert.
    #[serde(default, with = "shared", rename = "takers")]
    pub(crate) acknowledged_by: Arc<AcknowledgedBy>,
    /// Run that decided on the newest page of each open alert. Part of the page's id.
    #[serde(default, with = "shared")]
    pub(crate) paged_by: Arc<BTreeMap<AlertId, RunId>>,
    /// Labels of each bus that the names of sensors have fitted.
    #[serde(default, with = "shared", skip_serializing_if = "is_empty")]
    pub(crate) seen_labels: Arc<BTreeMap<Id, SeenLabels>>,
}

/// Number of the last page that a channel is done with, by channel that was asked to tell of an alert; 0 before the first.
pub(crate) type LastDelivered = BTreeMap<Id, u32>;

/// Who acknowledged each alert last, as long as it is open.
pub(crate) type AcknowledgedBy = BTreeMap<AlertId, String>;

/// Labels of each bus that names had fitted, by an encoded checkpoint; empty where that cannot be read.
pub(crate) fn seen_labels(checkpoint: &[u8]) -> BTreeMap<Id, SeenLabels> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(default)]
        seen_labels: BTreeMap<Id, SeenLabels>,
    }
    serde_json::from_slice::<Part>(checkpoint).map(|part| part.seen_labels).unwrap_or_default()
}

/// Number of the last alert in an encoded checkpoint, where that can be read.
pub(crate) fn last_number(checkpoint: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Part {
        engine: Snapshot,
    }
    serde_json::from_slice::<Part>(checkpoint).ok().map(|part| part.engine.last_number().0)
}

fn is_empty<K, V>(map: &Arc<BTreeMap<K, V>>) -> bool {
    map.is_empty()
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
