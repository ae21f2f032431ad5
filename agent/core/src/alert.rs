//! The state machine of one alert: what a comparison, a passed deadline or a person makes of it.
//!
//! Only states are decided here: whom to tell, and when to tell somebody else, is in `escalate`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rules::ConditionState;
use crate::time::{Due, Span, Stamp, Uptime};

/// Numbers the alerts of a device, each time one fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct AlertId(pub u64);

/// One (zone, rule, sensor) and what is wrong with it.
///
/// ```text
///         holds              hold over, and holds             acknowledge
/// quiet ---------> pending -----------------------> firing ---------------> acknowledged
///   ^ |               |                              ^  |  <---------------      |
///   | |               | fine, schedule closes,       |  |       expires          |
///   | |<--------------+ removed                      |  |                        |
///   | |                                              |  |                        |
///   | +--------- holds, with nothing to wait for ----+  |                        |
///   |                                                   v                        v
///   +----------------------------------------------- resolved <------------------+
///                                 fine for keep_firing_for, schedule closes, removed
/// ```
///
/// `resolved` is a moment and not a state: the alert is quiet again, and until its cooldown is over the next one stays
/// pending. Silenced (by a person) and inhibited (its bus is down or silent) are beside the states: they keep a firing alert from
/// paging and change nothing else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Alert {
    pub(crate) state: State,
    /// After resolving, it does not fire before this.
    cool_at: Option<Due>,
}

/// State of an alert.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    #[default]
    Quiet,
    Pending {
        since: Stamp,
        hold: Wait,
    },
    Firing(Raised),
    Acknowledged {
        raised: Raised,
        until: Due,
    },
}

/// A wait for an instant at which a good value must confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wait {
    Until(Due),
    /// The instant passed while the value could not be told; the next one that can be decides.
    Over,
}

/// What a firing alert carries until it resolves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Raised {
    pub(crate) id: AlertId,
    pub(crate) since: Stamp,
    /// The condition has ended and `keep_firing_for` runs.
    ending: Option<Wait>,
}

/// What the machine needs to know of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RuleTiming {
    pub(crate) hold: Span,
    pub(crate) keep_firing_for: Span,
    pub(crate) cooldown: Span,
}

/// A transition that happened. The alert's state is already the new one, except that one that resolved is gone from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    Pending,
    /// The alert is to fire: the engine numbers it and calls [`Alert::fire`].
    Fire {
        since: Stamp,
    },
    Resolved(Raised),
    /// The acknowledgement is over.
    Expired,
}

impl Alert {
    pub(crate) fn raised(&self) -> Option<&Raised> {
        match &self.state {
            State::Firing(raised) | State::Acknowledged { raised, .. } => Some(raised),
            State::Quiet | State::Pending { .. } => None,
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self.state, State::Quiet)
    }

    /// A new comparison. `now` is also given as a stamp, for alerts that begin with it.
    pub(crate) fn judge(&mut self, now: Stamp, condition_state: ConditionState, timing: RuleTiming) -> Option<Change> {
        match (condition_state, &mut self.state) {
            (ConditionState::Unknown, _) | (ConditionState::Fine, State::Quiet) => None,
            (ConditionState::Holds, State::Quiet) => self.begin(now, timing),
            (ConditionState::Holds, State::Pending { since, hold }) => match hold {
                Wait::Until(_) => None,
                Wait::Over => Some(Change::Fire { since: *since }),
            },
            (ConditionState::Fine, State::Pending { .. }) => {
                self.state = State::Quiet;
                None
            }
            (ConditionState::Holds, State::Firing(raised) | State::Acknowledged { raised, .. }) => {
                raised.ending = None;
                None
            }
            (ConditionState::Fine, State::Firing(raised) | State::Acknowledged { raised, .. }) => match raised.ending {
                None if timing.keep_firing_for > Span::ZERO => {
                    raised.ending = Some(Wait::Until(Due::after(now, timing.keep_firing_for)));
                    None
                }
                None | Some(Wait::Over) => self.resolve(now, timing),
                Some(Wait::Until(_)) => None,
            },
        }
    }

    fn begin(&mut self, now: Stamp, timing: RuleTiming) -> Option<Change> {
        let due = self.earliest(now, timing);
        if due.at <= now.uptime {
            return Some(Change::Fire { since: now });
        }
        self.state = State::Pending { since: now, hold: Wait::Until(due) };
        Some(Change::Pending)
    }

    /// When it may fire if the condition holds from now on: the hold or the cooldown, whichever is later.
    fn earliest(&self, now: Stamp, timing: RuleTiming) -> Due {
        let hold = Due::after(now, timing.hold);
        self.cool_at.filter(|cool_at| cool_at.at > hold.at).unwrap_or(hold)
    }

    /// A deadline of [`Alert::deadline`] that has come, with what the condition is at that instant.
    pub(crate) fn wake(&mut self, now: Stamp, condition_state: ConditionState, timing: RuleTiming) -> Option<Change> {
        match &mut self.state {
            State::Pending { since, hold } if hold.is_due(now.uptime) => match condition_state {
                ConditionState::Holds => Some(Change::Fire { since: *since }),
                ConditionState::Unknown => {
                    *hold = Wait::Over;
                    None
                }
                ConditionState::Fine => {
                    self.state = State::Quiet;
                    None
                }
            },
            State::Firing(raised) | State::Acknowledged { raised, .. } if raised.is_ending(now.uptime) => {
                match condition_state {
                    ConditionState::Fine => self.resolve(now, timing),
                    ConditionState::Unknown => {
                        raised.ending = Some(Wait::Over);
                        None
                    }
                    ConditionState::Holds => {
                        raised.ending = None;
                        None
                    }
                }
            }
            State::Acknowledged { raised, until } if until.at <= now.uptime => {
                self.state = State::Firing(*raised);
                Some(Change::Expired)
            }
            _ => None,
        }
    }

    /// The alert fires under a number; who is told is the escalation's to say.
    pub(crate) fn fire(&mut self, id: AlertId, since: Stamp) {
        self.state = State::Firing(Raised { id, since, ending: None });
    }

    /// A person takes it on, or takes it on for longer or shorter. Nothing happens to one that is not raised.
    pub(crate) fn acknowledge(&mut self, until: Due) -> bool {
        match std::mem::take(&mut self.state) {
            State::Firing(raised) | State::Acknowledged { raised, .. } => {
                self.state = State::Acknowledged { raised, until };
                true
            }
            other => {
                self.state = other;
                false
            }
        }
    }

    /// The rule no longer watches: its schedule closed, or it was removed. Not a verdict: the cooldown does not begin.
    pub(crate) fn stop(&mut self) -> Option<Raised> {
        match std::mem::take(&mut self.state) {
            State::Firing(raised) | State::Acknowledged { raised, .. } => Some(raised),
            State::Quiet | State::Pending { .. } => None,
        }
    }

    /// The condition itself changed with a new configuration: the hold begins again.
    pub(crate) fn restart_hold(&mut self, now: Stamp, timing: RuleTiming) {
        if matches!(self.state, State::Pending { .. }) {
            self.state = State::Pending { since: now, hold: Wait::Until(self.earliest(now, timing)) };
        }
    }

    /// A configuration with a shorter cooldown lets one that runs end sooner; what is pending waits for no longer than that.
    pub(crate) fn shorten_cooldown(&mut self, now: Stamp, timing: RuleTiming) {
        let end = Due::after(now, timing.cooldown);
        if self.cool_at.is_none_or(|cool_at| cool_at.at <= end.at) {
            return;
        }
        self.cool_at = (timing.cooldown > Span::ZERO).then_some(end);
        if let State::Pending { since, hold: Wait::Until(_) } = self.state {
            let from = if since.boot == now.boot { since } else { now };
            self.state = State::Pending { since, hold: Wait::Until(self.earliest(from, timing)) };
        }
    }

    fn resolve(&mut self, now: Stamp, timing: RuleTiming) -> Option<Change> {
        self.cool_at = (timing.cooldown > Span::ZERO).then(|| Due::after(now, timing.cooldown));
        self.stop().map(Change::Resolved)
    }

    /// When to come again: the earliest of hold, end and acknowledgement.
    pub(crate) fn deadline(&self) -> Option<Uptime> {
        match &self.state {
            State::Quiet => None,
            State::Pending { hold, .. } => hold.due(),
            State::Firing(raised) => raised.ending.and_then(Wait::due),
            State::Acknowledged { raised, until } => {
                raised.ending.and_then(Wait::due).into_iter().chain([until.at]).min()
            }
        }
    }

    /// Moves the waits that were decided on up to a boot.
    pub(crate) fn shift(&mut self, up_to_boot: u32, by: Span) {
        if let Some(cool_at) = &mut self.cool_at {
            cool_at.shift(up_to_boot, by);
        }
        let (ending, due) = match &mut self.state {
            State::Quiet => return,
            State::Pending { hold, .. } => (Some(hold), None),
            State::Firing(raised) => (raised.ending.as_mut(), None),
            State::Acknowledged { raised, until } => (raised.ending.as_mut(), Some(until)),
        };
        if let Some(Wait::Until(due)) = ending {
            due.shift(up_to_boot, by);
        }
        if let Some(due) = due {
            due.shift(up_to_boot, by);
        }
    }

    /// What of it matters after `now`; `None` where nothing does.
    pub(crate) fn remembered(&self, now: Uptime) -> Option<Alert> {
        let cool_at = self.cool_at.filter(|cool_at| cool_at.at > now);
        let is_remembered = cool_at.is_some() || !self.is_quiet();
        is_remembered.then(|| Alert { state: self.state.clone(), cool_at })
    }
}

impl Raised {
    fn is_ending(&self, now: Uptime) -> bool {
        self.ending.is_some_and(|ending| ending.is_due(now))
    }
}

impl Wait {
    pub(crate) fn due(self) -> Option<Uptime> {
        match self {
            Wait::Until(due) => Some(due.at),
            Wait::Over => None,
        }
    }

    fn is_due(self, now: Uptime) -> bool {
        self.due().is_some_and(|due| due <= now)
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
