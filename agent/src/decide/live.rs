//! Live output: each transition as a line, for programs and for people, at once.

use std::sync::Arc;

use tilth_core::plan::Plan;
use tokio::sync::broadcast;

use crate::transition::{Line, Widths};

/// A transition as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// As `replay --json` prints it.
    pub(crate) json: String,
    /// As `replay` prints it.
    pub(crate) text: String,
}

/// Sender of live lines.
pub(super) struct LiveOutput {
    lines: broadcast::Sender<Arc<Live>>,
    widths: Widths,
}

impl LiveOutput {
    pub(super) fn new(lines: broadcast::Sender<Arc<Live>>, plan: &Plan) -> LiveOutput {
        LiveOutput { lines, widths: Widths::of(plan) }
    }

    /// Takes the column widths of a new plan.
    pub(super) fn plan(&mut self, plan: &Plan) {
        self.widths = Widths::of(plan);
    }

    /// Sends a line without waiting; no work without watchers.
    pub(super) fn send(&self, line: &Line<'_>) {
        if self.lines.receiver_count() > 0
            && let Ok(json) = serde_json::to_string(line)
        {
            let text = line.aligned(&self.widths).to_string();
            let _ = self.lines.send(Arc::new(Live { json, text }));
        }
    }
}
