//! Labels that the names of sensors have matched, kept over a restart so that an ambiguous name stays ambiguous.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tilth_core::id::SensorId;
use tokio::sync::watch;

/// The labels that names have matched, for the sensors of one bus.
pub(crate) type SeenLabels = BTreeMap<SensorId, Seen>;

/// What decide was told of one bus. Clones are the same value, which outlives the task of the bus.
pub(crate) type LabelMemory = watch::Sender<Arc<SeenLabels>>;

/// The labels that the name in a sensor's input has matched since the configuration last changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The name with its selectors; under another name nothing of this holds.
    pub(super) name: String,
    /// Whether a label was the name itself.
    pub(super) is_whole: bool,
    /// The labels that only have the words of the name.
    pub(super) short: PartialMatch,
}

/// Labels that have the words of a name and are not the name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PartialMatch {
    /// No label so far.
    #[default]
    None,
    /// One label: in comparable form, and as it is printed.
    One { key: String, text: String },
    /// Two labels, as they are printed.
    Two(String, String),
}

/// Whether a name matches two labels that matched one at most before.
pub(super) fn has_new_ambiguity(before: &SeenLabels, now: &SeenLabels) -> bool {
    let is_ambiguous = |seen: &Seen| matches!(seen.short, PartialMatch::Two(..));
    now.iter().any(|(sensor, seen)| is_ambiguous(seen) && before.get(sensor) != Some(seen))
}
