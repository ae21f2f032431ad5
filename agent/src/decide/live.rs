//! Live output: each transition as a line, for programs and for people, as it happens. Not to be confused with live values, the newest
//! reading of each sensor, which sync sends to the hub.

use std::sync::Arc;

use tilth_core::plan::Plan;
use tokio::sync::broadcast;

use crate::transition::{TransitionRecord, Widths};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveLine {
    /// As `replay --json` prints it.
    pub(crate) json: String,
    /// As `replay` prints it.
    pub(crate) text: String,
}

pub(super) struct LiveOutput {
    lines: broadcast::Sender<Arc<LiveLine>>,
    widths: Widths,
}

impl LiveOutput {
    pub(super) fn new(lines: broadcast::Sender<Arc<LiveLine>>, plan: &Plan) -> LiveOutput {
        LiveOutput { lines, widths: Widths::of(plan) }
    }

    pub(super) fn set_plan(&mut self, plan: &Plan) {
        self.widths = Widths::of(plan);
    }

    /// Whether anybody watches.
    pub(super) fn is_watched(&self) -> bool {
        self.lines.receiver_count() > 0
    }

    /// Sends a line without waiting; no work without watchers.
    pub(super) fn send(&self, line: &TransitionRecord<'_>) {
        if self.is_watched()
            && let Ok(json) = serde_json::to_string(line)
        {
            let text = line.aligned(&self.widths).to_string();
            let _ = self.lines.send(Arc::new(LiveLine { json, text }));
        }
    }
}
