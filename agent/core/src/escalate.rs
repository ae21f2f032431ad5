//! Where an alert escalates: whom to page, and what follows when nobody acknowledges.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::alert::AlertId;
use crate::plan::{Policy, Severity};
use crate::time::{Span, Uptime};

/// The paging of one raised alert. While the alert is acknowledged nobody asks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Escalation {
    pub(crate) severity: Severity,
    /// Pages sent so far; numbers the next.
    pub(crate) pages: u32,
    /// What is still to be told at this level.
    untold: Option<Cause>,
    /// When to page next; never while inhibited, or where the level has no wait.
    next: Option<Uptime>,
}

/// One page's identity; a page that is sent again after a crash carries the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageId {
    /// The alert.
    pub alert: AlertId,
    /// Its first page is 1.
    pub page: u32,
}

/// Why people are told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The alert fired.
    Fired,
    /// Nobody acknowledged in time: it is one severity worse.
    Escalated,
    /// Nobody acknowledged an urgent alert.
    Repeated,
    /// An acknowledgement ran out and it still fires.
    AcknowledgementExpired,
    /// A silence ended, or its bus is back, and it still fires.
    Unmuted,
}

/// Whether a firing alert may page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mute {
    No,
    /// A person silenced it, with an end.
    Until(Uptime),
    /// Its bus is down.
    Inhibited,
}

/// What a level's wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Tell the channels of the (new) severity.
    pub(crate) cause: Cause,
    /// The number of the page.
    pub(crate) page: u32,
}

impl Escalation {
    /// Of an alert that fires now.
    pub(crate) fn new(now: Uptime, severity: Severity) -> Escalation {
        Escalation { severity, pages: 0, untold: Some(Cause::Fired), next: Some(now) }
    }

    pub(crate) fn deadline(&self) -> Option<Uptime> {
        self.next
    }

    /// The next page, if it is due and nothing mutes it; a wait that passed without an acknowledgement makes it
    /// one severity worse.
    pub(crate) fn step(&mut self, now: Uptime, policy: &Policy, mute: Mute) -> Option<Due> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        match mute {
            Mute::Until(end) => {
                self.defer(Some(end));
                return None;
            }
            Mute::Inhibited => {
                self.defer(None);
                return None;
            }
            Mute::No => {}
        }
        let cause = self.untold.take().unwrap_or(match self.severity {
            Severity::Urgent => Cause::Repeated,
            Severity::Preventive | Severity::Warning | Severity::Critical => Cause::Escalated,
        });
        if cause == Cause::Escalated {
            self.severity = self.severity.next();
        }
        let wait = policy.level(self.severity).wait;
        self.next = (wait > Span::ZERO).then(|| now + wait);
        self.pages += 1;
        Some(Due { cause, page: self.pages })
    }

    /// Muted: nobody was asked, so no wait ran; page at this level when it ends.
    fn defer(&mut self, next: Option<Uptime>) {
        self.untold.get_or_insert(Cause::Unmuted);
        self.next = next;
    }

    /// The acknowledgement is over: page at this level again.
    pub(crate) fn acknowledgement_expired(&mut self, now: Uptime) {
        self.untold = Some(Cause::AcknowledgementExpired);
        self.next = Some(now);
    }

    /// What muted it may be over: look again.
    pub(crate) fn unmute(&mut self, now: Uptime) {
        if self.untold.is_some() {
            self.next = Some(now);
        }
    }

    pub(crate) fn shift(&mut self, by: Span) {
        self.next = self.next.map(|next| next + by);
    }
}

impl Cause {
    /// The word in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Fired => "fired",
            Cause::Escalated => "escalated",
            Cause::Repeated => "repeated",
            Cause::AcknowledgementExpired => "acknowledgement-expired",
            Cause::Unmuted => "unmuted",
        }
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.alert, self.page)
    }
}
