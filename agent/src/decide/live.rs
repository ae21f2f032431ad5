//! What whoever watches is shown at once: each transition as a line, for programs and for people.

use std::sync::Arc;

use tilth_core::plan::Plan;
use tokio::sync::broadcast;

use crate::transition::{Line, Widths};

/// A transition, said twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// As `replay --json` prints it.
    pub(crate) json: String,
    /// As `replay` prints it.
    pub(crate) text: String,
}

/// The end from which decide shows.
pub(super) struct Show {
    lines: broadcast::Sender<Arc<Live>>,
    widths: Widths,
}

impl Show {
    pub(super) fn new(lines: broadcast::Sender<Arc<Live>>, plan: &Plan) -> Show {
        Show { lines, widths: Widths::of(plan) }
    }

    /// The plan is another: its names may be longer.
    pub(super) fn plan(&mut self, plan: &Plan) {
        self.widths = Widths::of(plan);
    }

    /// Never waits; costs nothing while nobody watches.
    pub(super) fn show(&self, line: &Line<'_>) {
        if self.lines.receiver_count() > 0
            && let Ok(json) = serde_json::to_string(line)
        {
            let text = line.aligned(&self.widths).to_string();
            let _ = self.lines.send(Arc::new(Live { json, text }));
        }
    }
}
