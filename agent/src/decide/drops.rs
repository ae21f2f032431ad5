//! What was left out because something did not keep up: said in the log and as an event, at most once a minute.

use serde_json::json;
use tilth_core::time::{Span, Uptime};
use tracing::warn;

use super::Decide;
use crate::output::counted;

/// Between two times that it is said.
const AGAIN: Span = Span::from_mins(1);

/// What was said already.
#[derive(Debug, Default)]
pub(super) struct Reported {
    values: u64,
    notices: u64,
    at: Option<Uptime>,
}

impl Decide {
    /// `values` were left out of the queue from the buses since the start. `is_last` says it also within the minute.
    pub(super) fn report_drops(&mut self, values: u64, is_last: bool) {
        self.readings.dropped = values;
        let notices = self.lost_notifications;
        let new_values = values.saturating_sub(self.reported_drops.values);
        let new_notices = notices.saturating_sub(self.reported_drops.notices);
        let now = self.now();
        let is_soon = self.reported_drops.at.is_some_and(|at| now - at < AGAIN) && !is_last;
        if is_soon || (new_values == 0 && new_notices == 0) {
            return;
        }
        let from = self.reported_drops.at;
        self.reported_drops = Reported { values, notices, at: Some(now) };
        let since = if from.is_some() { "since this was said last" } else { "since the start" };
        if new_values > 0 {
            let dropped = counted(new_values, "value");
            warn!(
                "{dropped} left out {since}: more came from the buses than could be decided; the newest of each input was used"
            );
            self.event("lost", json!({ "values": new_values, "reason": "the agent did not keep up", "from": from }));
        }
        if new_notices > 0 {
            let dropped = counted(new_notices, "notice");
            warn!("{dropped} not told {since}: more waited than the queue to the channels holds");
            self.event(
                "lost",
                json!({ "notices": new_notices, "reason": "the queue to the channels was full", "from": from }),
            );
        }
    }
}
