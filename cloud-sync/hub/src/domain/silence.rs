//! Which devices are silent, and what people are told of that. Pure.
//!
//! ```text
//!            not heard for the limit, while the hub could hear
//! reporting ---------------------------------------------------> silent: one page
//!     ^                                                            |
//!     +------------------- heard again: one message ---------------+
//! ```

use std::collections::HashSet;

use tilth_core::time::{Span, WallTime};

/// Limit of a device for which nobody set another. An agent that is connected asks at least once a minute.
pub(crate) const DEFAULT_LIMIT: Span = Span::from_mins(15);

/// Pages about one device within an hour. A device whose link comes and goes is paged again once an hour has fewer, if it is
/// silent then.
pub(crate) const MAX_PER_HOUR: u64 = 4;

/// The hub was away when more time passed between two of its looks: it was suspended, or its clock was set. It looks every few
/// seconds.
const AWAY: Span = Span::from_secs(30);

/// What is known of a device that people are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contact {
    /// Last request that was taken.
    pub(crate) last_heard: WallTime,
    /// Silence after which people are told.
    pub(crate) limit: Span,
    /// Pages about the device within the last hour.
    pub(crate) recent_pages: u64,
    /// The newest silence that was noticed.
    pub(crate) silence: Option<Silence>,
}

/// A silence that was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silence {
    /// Number of the silence, unique within the database.
    pub(crate) number: u64,
    /// When the device was last heard before it.
    pub(crate) since: WallTime,
    /// When the device was heard again.
    pub(crate) ended: Option<WallTime>,
    /// The page was delivered.
    pub(crate) is_paged: bool,
    /// The page that the device is back was delivered.
    pub(crate) is_end_paged: bool,
}

/// What a look at a device finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The device fell silent.
    Silent { since: WallTime },
    /// A page was decided on by an earlier process, which is not known to have sent it.
    PageUnsent(Silence),
    /// The device is back.
    Ended(Silence),
    /// The device has been back, and nobody is known to have been told.
    EndUnsent(Silence),
}

/// Steps of a silence that was noticed, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SilenceStep {
    /// The page was delivered.
    Paged,
    /// The device was heard again.
    Ended,
    /// The page that the device is back was delivered.
    EndPaged,
}

/// Pages that this process handed to a channel, by the number of the silence.
pub(crate) type Requested = HashSet<(u64, SilenceStep)>;

/// Since when the hub can hear its devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    since: WallTime,
    last_look: WallTime,
}

impl Listening {
    /// A hub that starts, or whose database was just put back, has heard nobody yet.
    pub(crate) fn new(now: WallTime) -> Listening {
        Listening { since: now, last_look: now }
    }

    /// The hub looks again. `can_hear` is false while it takes nothing from devices.
    pub(crate) fn look(&mut self, now: WallTime, can_hear: bool) {
        let passed = now - self.last_look;
        if !can_hear || passed < Span::ZERO || passed > AWAY {
            self.since = now;
        }
        self.last_look = now;
    }

    /// What is to be done about a device, apart from pages that were requested already.
    pub(crate) fn judge(&self, device: &Contact, requested: &Requested, now: WallTime) -> Option<Finding> {
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
