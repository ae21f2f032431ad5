//! Reports of dropped values and notifications: a line of the log and an event, at most once a minute.

use serde_json::json;
use tilth_core::time::{Span, Uptime};
use tracing::warn;

use super::Decide;
use crate::console::counted;

/// Least time between two reports.
const INTERVAL: Span = Span::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Reported {
    values: u64,
    notifications: u64,
    at: Option<Uptime>,
}

impl Decide {
    /// Reports drops since the last report; `values` is the queue's count since the start. `is_last` does not wait for the minute.
    pub(super) fn report_drops(&mut self, values: u64, is_last: bool) {
        self.context.readings.dropped = values;
        let notifications = self.context.lost_notifications;
        let new_values = values.saturating_sub(self.reported_drops.values);
        let new_notifications = notifications.saturating_sub(self.reported_drops.notifications);
        let (now, from) = (self.now(), self.reported_drops.at);
        let is_soon = from.is_some_and(|at| now - at < INTERVAL) && !is_last;
        if is_soon || (new_values == 0 && new_notifications == 0) {
            return;
        }
        self.reported_drops = Reported { values, notifications, at: Some(now) };
        let since = if from.is_some() { "since the last such line" } else { "since the start" };
        if new_values > 0 {
            let (dropped, reason) = (counted(new_values, "value"), "the agent did not keep up");
            warn!(
                "{dropped} dropped {since}: the buses send more than can be decided; each input's newest value was used"
            );
            self.stage_event("lost", json!({ "values": new_values, "reason": reason, "from": from }));
        }
        if new_notifications > 0 {
            let dropped = counted(new_notifications, "notification");
            warn!("{dropped} dropped {since}: the queue to the channels is full");
            let reason = "the queue to the channels was full";
            self.stage_event("lost", json!({ "notifications": new_notifications, "reason": reason, "from": from }));
        }
    }
}
