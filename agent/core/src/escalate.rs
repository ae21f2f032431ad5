//! Escalation of an alert: whom to page, and what follows without an acknowledgement.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::alert::AlertId;
use crate::plan::{Policy, Severity};
use crate::time::{Due, Span, Stamp, Uptime};

/// The paging of one raised alert; it stands still while the alert is acknowledged. A page is *suppressed*, and deferred, while a
/// person silenced the alert or its bus inhibits it.
///
/// ```text
/// fires --> due now --- not suppressed: page --> waiting --- the wait is over --> due now: one severity worse, or urgent again
///             |  ^                                                                  ^
///  suppressed |  | no longer suppressed                acknowledgement expired -----+ at this severity
///             v  |
///           deferred                              a level without a wait: told, for good
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Escalation {
    pub(crate) severity: Severity,
    /// Pages sent so far; numbers the next.
    pub(crate) pages: u32,
    /// Cause of the page that is still to be sent at this level.
    #[serde(rename = "untold")]
    unsent: Option<Cause>,
    next: Next,
}

/// When to page next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Next {
    At(Due),
    /// Due as soon as nothing suppresses it any more.
    #[serde(rename = "held")]
    Deferred,
    /// The level has no wait.
    Never,
}

/// One page's identity; a page that is sent again after a crash carries the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageId {
    /// The alert.
    pub alert: AlertId,
    /// Number of the page; an alert's first is 1.
    pub page: u32,
}

/// Why people are told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The alert fired.
    Fired,
    /// Not acknowledged in time: one severity worse.
    Escalated,
    /// An urgent alert is not acknowledged.
    Repeated,
    /// An acknowledgement ran out and it still fires.
    AcknowledgementExpired,
    /// A silence ended, and it still fires.
    #[serde(rename = "unmuted")]
    SilenceEnded,
    /// The bus is back, and the alert still fires.
    BusBack,
    /// The alert's rule was removed and is back, and the alert still fires.
    RuleBack,
}

/// What a level's wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DuePage {
    /// Tell the channels of the (new) severity.
    pub(crate) cause: Cause,
    /// The number of the page.
    pub(crate) page: u32,
}

impl Escalation {
    /// Escalation of an alert that fires now.
    pub(crate) fn new(now: Stamp, severity: Severity) -> Escalation {
        Escalation { severity, pages: 0, unsent: Some(Cause::Fired), next: Next::At(Due::after(now, Span::ZERO)) }
    }

    pub(crate) fn deadline(&self) -> Option<Uptime> {
        match self.next {
            Next::At(due) => Some(due.at),
            Next::Deferred | Next::Never => None,
        }
    }

    /// Whether a page is due and suppressed.
    pub(crate) fn is_deferred(&self) -> bool {
        self.next == Next::Deferred
    }

    /// The next page, if it is due and nothing suppresses it; a wait that passed without an acknowledgement makes it one severity
    /// worse. What suppresses it is given as the cause of the page that is sent when that is over.
    pub(crate) fn step(&mut self, now: Stamp, policy: &Policy, suppressed: Option<Cause>) -> Option<DuePage> {
        match self.next {
            Next::Never => return None,
            Next::At(due) if due.at > now.uptime => return None,
            Next::At(_) | Next::Deferred => {
                if let Some(when_over) = suppressed {
                    // No page was sent, so no level is climbed: this one follows when it may.
                    self.unsent.get_or_insert(when_over);
                    self.next = Next::Deferred;
                    return None;
                }
            }
        }
        let cause = self.unsent.take().unwrap_or(match self.severity {
            Severity::Urgent => Cause::Repeated,
            Severity::Preventive | Severity::Warning | Severity::Critical => Cause::Escalated,
        });
        if cause == Cause::Escalated {
            self.severity = self.severity.next();
        }
        let wait = policy.level(self.severity).wait;
        self.next = if wait > Span::ZERO { Next::At(Due::after(now, wait)) } else { Next::Never };
        self.pages += 1;
        Some(DuePage { cause, page: self.pages })
    }

    /// The acknowledgement is over: page at this level again.
    pub(crate) fn acknowledgement_expired(&mut self, now: Stamp) {
        self.page_again(now, Cause::AcknowledgementExpired);
    }

    /// Page at this level again.
    pub(crate) fn page_again(&mut self, now: Stamp, cause: Cause) {
        self.unsent = Some(cause);
        self.next = Next::At(Due::after(now, Span::ZERO));
    }

    /// Applies the policy, which may be another one, from now on: where its wait is shorter than what is left of the one that runs, or that
    /// one had none, the wait begins now.
    pub(crate) fn shorten_wait(&mut self, now: Stamp, policy: &Policy) {
        let wait = policy.level(self.severity).wait;
        let is_longer = match self.next {
            Next::At(due) => due.at > now.uptime + wait,
            Next::Never => true,
            Next::Deferred => false,
        };
        if is_longer && wait > Span::ZERO {
            self.next = Next::At(Due::after(now, wait));
        }
    }

    /// Moves the wait if it was decided on up to a boot.
    pub(crate) fn shift(&mut self, up_to_boot: u32, by: Span) {
        if let Next::At(due) = &mut self.next {
            due.shift(up_to_boot, by);
        }
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
            Cause::SilenceEnded => "unmuted",
            Cause::BusBack => "bus-back",
            Cause::RuleBack => "rule-back",
        }
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.alert, self.page)
    }
}
