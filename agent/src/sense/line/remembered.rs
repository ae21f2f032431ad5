//! Labels that the names of sensors have matched, kept over a restart so that an ambiguous name stays ambiguous.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tilth_core::id::SensorId;
use tokio::sync::watch;

/// The labels that the names of the sensors of one bus have matched.
pub(crate) type LabelMatches = BTreeMap<SensorId, LabelMatch>;

/// The matches of one bus that decide was told of. Clones share them; they outlive the task of the bus.
pub(crate) type SharedLabelMatches = watch::Sender<Arc<LabelMatches>>;

/// The labels that the name in a sensor's input has matched since the configuration last changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelMatch {
    /// The name with its selectors; under another name nothing of this holds.
    pub(super) name: String,
    /// Whether a label was the name itself.
    #[serde(rename = "is_whole")]
    pub(super) is_exact: bool,
    /// The labels that only have the words of the name.
    #[serde(rename = "short")]
    pub(super) partial: PartialMatch,
}

/// Labels that have the words of a name and are not the name itself.
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
pub(super) fn has_new_ambiguity(before: &LabelMatches, now: &LabelMatches) -> bool {
    let is_ambiguous = |matched: &LabelMatch| matches!(matched.partial, PartialMatch::Two(..));
    now.iter().any(|(sensor, matched)| is_ambiguous(matched) && before.get(sensor) != Some(matched))
}
