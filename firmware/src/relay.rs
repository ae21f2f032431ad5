//! One relay: on for a bounded time, off for a minimum one, off when the agent falls silent.

use tilth_wire::{OffReason, Refusal, UNLIMITED};

use crate::answers::Outcome;
use crate::time::{BoardTime, is_at_least, is_same, renew};

/// Limits of a relay, all in milliseconds. The board's wiring states the hard ones; the agent may only tighten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time on at a stretch; [`UNLIMITED`] for a relay that may be held on, such as that of a normally energised siren.
    pub max_on: u32,
    /// Shortest time off before the relay goes on again.
    pub min_off: u32,
    /// The relay goes off when the agent was not heard for this long, at most 10 minutes.
    pub link_timeout: u32,
    /// Relays that must be off while this one is on, as bits.
    pub excludes: u8,
}

impl Limits {
    /// Takes for each limit the tighter one of this and what is asked; whether one of these is tighter than what is asked.
    pub(crate) fn tighten(&mut self, max_on: u32, min_off: u32, link_timeout: u32, excludes: u8) -> bool {
        let times = lower(&mut self.max_on, max_on)
            | raise(&mut self.min_off, min_off)
            | lower(&mut self.link_timeout, link_timeout);
        self.excludes |= excludes;
        times | (self.excludes != excludes)
    }
}

/// Lowers a limit to what was asked; whether it is below that already.
#[inline(never)]
fn lower(limit: &mut u32, asked: u32) -> bool {
    let is_below = !is_at_least(*limit, asked);
    if !is_below {
        *limit = asked;
    }
    is_below
}

/// Raises a limit to what was asked; whether it is above that already.
#[inline(never)]
fn raise(limit: &mut u32, asked: u32) -> bool {
    let is_above = !is_at_least(asked, *limit);
    if !is_above {
        *limit = asked;
    }
    is_above
}

/// Whether a time has no end.
fn is_unlimited(time: u32) -> bool {
    is_same(time, UNLIMITED)
}

/// State of a relay; [`Relay::since`] says since when.
///
/// ```text
///                                                                             start
///                                                                               |
///             switch on           time over, command, link lost, new limits     v
///   Ready ----------------> On ---------------------------------------------> Resting
///    ^ |                                                                        ^ |
///    | +----------------------------- new limits -------------------------------+ |
///    +------------------------- minimum off-time over ----------------------------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Off, and must stay off for the minimum off-time. Also after a start: what was on before it is not known.
    Resting,
    /// Off, may go on.
    Ready,
    /// On for a time in milliseconds; [`UNLIMITED`] until switched off.
    On { time: u32 },
}

/// A relay.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    limits: Limits,
    state: State,
    /// Since when it is on or off.
    pub(crate) since: BoardTime,
    /// Id of the command that last switched on; 0 for none.
    pub(crate) command: u32,
    /// Why it went off, or will when its time is over.
    reason: OffReason,
}

impl Relay {
    /// A relay that is off and rests, as every relay before its start. A constant of zeros.
    pub(crate) const OFF: Self = {
        let limits = Limits { max_on: 0, min_off: 0, link_timeout: 0, excludes: 0 };
        let (state, since) = (State::Resting, BoardTime::from_millis(0));
        Self { limits, state, since, command: 0, reason: OffReason::Done }
    };

    /// Begins the rest after a start.
    pub(crate) fn start(&mut self, now: BoardTime, limits: &Limits) {
        self.since = now;
        self.limits = *limits;
    }

    /// Why it is off; `None` while it is on.
    pub(crate) fn off(&self) -> Option<OffReason> {
        (!self.is_on()).then_some(self.reason)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn is_on(&self) -> bool {
        matches!(self.state, State::On { .. })
    }

    /// Whether this command was the last one that switched it on: it must not do so again, however many others came since.
    pub(crate) fn was_switched_by(&self, command: u32) -> bool {
        is_same(self.command, command)
    }

    /// Switches on for `on_for` milliseconds, or for the maximum on-time if that is shorter. Refused when the relay is on or rests, or the
    /// agent's silence, in milliseconds, is over the link timeout.
    pub(crate) fn switch_on(&mut self, now: BoardTime, silence: u32, command: u32, on_for: u32) -> Outcome {
        if is_at_least(silence, self.limits.link_timeout) {
            return Outcome::Refused(Refusal::LinkLost);
        }
        match self.state {
            State::On { time } if is_unlimited(time) && is_unlimited(on_for) => return Outcome::Done,
            State::On { .. } => return Outcome::Refused(Refusal::AlreadyOn),
            State::Resting => return Outcome::Refused(Refusal::TooSoon),
            State::Ready if is_same(self.limits.max_on, 0) => return Outcome::Refused(Refusal::NotPossible),
            State::Ready => {}
        }
        (self.since, self.command) = (now, command);
        if is_at_least(self.limits.max_on, on_for) {
            self.state = State::On { time: on_for };
            self.reason = OffReason::Done;
            Outcome::Done
        } else {
            self.state = State::On { time: self.limits.max_on };
            self.reason = OffReason::MaxOn;
            Outcome::Limited
        }
    }

    /// Switches off; whether it was on.
    #[inline(never)]
    pub(crate) fn switch_off(&mut self, now: BoardTime, reason: OffReason) -> bool {
        let was_on = self.is_on();
        if was_on {
            self.state = State::Resting;
            (self.since, self.reason) = (now, reason);
        }
        was_on
    }

    /// Ends what is over by now; whether the relay went off.
    #[inline(never)]
    pub(crate) fn advance(&mut self, now: BoardTime, silence: u32) -> bool {
        let elapsed = now.since(self.since);
        match self.state {
            State::Resting => {
                if is_at_least(elapsed, self.limits.min_off) {
                    self.state = State::Ready;
                }
                false
            }
            State::Ready => false,
            State::On { time } if is_at_least(elapsed, time) && !is_unlimited(time) => {
                self.switch_off(now, self.reason)
            }
            State::On { .. } => {
                is_at_least(silence, self.limits.link_timeout) && self.switch_off(now, OffReason::LinkLost)
            }
        }
    }

    /// Sets the limits; whether that changed them. Then the relay goes off, and must have rested by the new ones before it goes on.
    pub(crate) fn set_limits(&mut self, now: BoardTime, limits: &Limits) -> bool {
        let changes = renew(&mut self.limits.max_on, limits.max_on)
            | renew(&mut self.limits.min_off, limits.min_off)
            | renew(&mut self.limits.link_timeout, limits.link_timeout)
            | (core::mem::replace(&mut self.limits.excludes, limits.excludes) != limits.excludes);
        if changes {
            self.switch_off(now, OffReason::Settings);
            self.state = State::Resting;
            self.advance(now, 0);
        }
        changes
    }

    /// When [`Relay::advance`] has something to do, if the agent has been silent for so long now; `None` while nothing is to come.
    pub(crate) fn deadline(&self, now: BoardTime, silence: u32) -> Option<BoardTime> {
        match self.state {
            State::Resting => Some(self.since.after(self.limits.min_off)),
            State::Ready => None,
            State::On { time } => {
                let over = (time != UNLIMITED).then(|| self.since.after(time));
                let lost = now.after(self.limits.link_timeout.saturating_sub(silence));
                Some(over.map_or(lost, |over| over.earlier(lost)))
            }
        }
    }
}
