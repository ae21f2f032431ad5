//! Which labels the names of sensors have fitted so far, as it is kept over a restart: a value is not taken again under a name that
//! was found to fit two labels.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tilth_core::id::SensorId;

/// What is remembered for the sensors of one bus.
pub(crate) type SeenLabels = BTreeMap<SensorId, Seen>;

/// What was told last of one bus. Clones are the same: it outlives the task of the bus.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabelMemory(Arc<Mutex<Arc<SeenLabels>>>);

/// The labels that the name in a sensor's input has fitted, since the configuration last changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The name with its selectors; under another name nothing of this holds.
    pub(super) name: String,
    /// Whether a label was the name itself.
    pub(super) is_whole: bool,
    /// The labels that only have the words of the name.
    pub(super) short: Short,
}

/// Labels that have the words of a name and are not the name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Short {
    /// No label so far.
    #[default]
    None,
    /// One label: in comparable form, and as it is printed.
    One { key: String, text: String },
    /// Two labels, as they are printed.
    Two(String, String),
}

impl LabelMemory {
    pub(crate) fn new(seen: SeenLabels) -> LabelMemory {
        LabelMemory(Arc::new(Mutex::new(Arc::new(seen))))
    }

    pub(super) fn get(&self) -> Arc<SeenLabels> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set(&self, seen: Arc<SeenLabels>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

/// Whether a name fits two labels that fitted one at most before.
pub(super) fn has_new_ambiguity(before: &SeenLabels, now: &SeenLabels) -> bool {
    let is_ambiguous = |seen: &Seen| matches!(seen.short, Short::Two(..));
    now.iter().any(|(sensor, seen)| is_ambiguous(seen) && before.get(sensor) != Some(seen))
}
