//! Which devices are silent, and which pages are due. Pure.
//!
//! ```text
//!            no request for the limit, while the hub could receive
//! reporting ---------------------------------------------------> silent: one page
//!     ^                                                            |
//!     +--------------------- request: one message -----------------+
//! ```

use std::collections::HashSet;

use tilth_core::time::{Span, WallTime};

/// Default limit of a silence. A connected agent sends a request at least once a minute.
pub(crate) const DEFAULT_LIMIT: Span = Span::from_mins(15);

/// Maximum number of pages about one device within an hour, for a link that comes and goes.
pub(crate) const MAX_PER_HOUR: u64 = 4;

/// Longest time between two checks. After a longer one the hub was suspended, or its clock was set.
const AWAY: Span = Span::from_secs(30);

/// Contact with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contact {
    /// Last request.
    pub(crate) last_heard: WallTime,
    /// Silence after which people are paged.
    pub(crate) limit: Span,
    /// Pages about the device within the last hour.
    pub(crate) recent_pages: u64,
    /// Newest silence.
    pub(crate) silence: Option<Silence>,
}

/// A silence of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silence {
    /// Number of the silence, unique within the database.
    pub(crate) number: u64,
    /// Last request before it.
    pub(crate) since: WallTime,
    /// First request after it.
    pub(crate) ended: Option<WallTime>,
    /// The page was delivered.
    pub(crate) is_paged: bool,
    /// The page that the device is back was delivered.
    pub(crate) is_end_paged: bool,
}

/// What is to be done about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The device fell silent.
    Silent { since: WallTime },
    /// The page of an earlier process may not have been sent.
    PageUnsent(Silence),
    /// The device reports again.
    Ended(Silence),
    /// The message of an earlier process that the device reports again may not have been sent.
    EndUnsent(Silence),
}

/// Steps of a silence, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SilenceStep {
    /// The page was delivered.
    Paged,
    /// The device sent a request.
    Ended,
    /// The page that the device is back was delivered.
    EndPaged,
}

/// Pages that this process handed to a channel, by the number of the silence.
pub(crate) type Requested = HashSet<(u64, SilenceStep)>;

/// Tracks since when the hub can receive requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Monitor {
    since: WallTime,
    last_check: WallTime,
}

impl Monitor {
    /// A monitor that starts now: a device has its whole limit from here.
    pub(crate) fn new(now: WallTime) -> Monitor {
        Monitor { since: now, last_check: now }
    }

    /// Notes a check. `can_hear` is false while the hub cannot store batches.
    pub(crate) fn tick(&mut self, now: WallTime, can_hear: bool) {
        let passed = now - self.last_check;
        if !can_hear || passed < Span::ZERO || passed > AWAY {
            self.since = now;
        }
        self.last_check = now;
    }

    /// What is to be done about a device, apart from pages that were requested already.
    pub(crate) fn check(&self, device: &Contact, requested: &Requested, now: WallTime) -> Option<Finding> {
        let is_silent = now - device.last_heard.max(self.since) >= device.limit;
        match device.silence {
            Some(silence) if silence.ended.is_none() && device.last_heard > silence.since => {
                Some(Finding::Ended(silence))
            }
            Some(silence) if silence.ended.is_none() => {
                let is_unsent = !silence.is_paged && !requested.contains(&(silence.number, SilenceStep::Paged));
                (is_unsent && is_silent).then_some(Finding::PageUnsent(silence))
            }
            Some(silence)
                if silence.is_paged
                    && !silence.is_end_paged
                    && !requested.contains(&(silence.number, SilenceStep::EndPaged)) =>
            {
                Some(Finding::EndUnsent(silence))
            }
            Some(_) | None => {
                let is_due = is_silent && device.recent_pages < MAX_PER_HOUR;
                is_due.then_some(Finding::Silent { since: device.last_heard })
            }
        }
    }
}

#[cfg(test)]
mod tests;
