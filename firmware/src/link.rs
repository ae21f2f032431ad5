//! The agent at the other end of the line: whether it is there, and hears the board.

use crate::relay::MAX_LINK_TIMEOUT;
use crate::time::{BoardTime, is_at_least};

/// How old the board time may be that an agent's heartbeat echoes, in milliseconds. An older one comes from an agent that no longer
/// hears the board; one that is in the future was heard before the board restarted.
const MAX_ECHO_AGE: u32 = 10_000;

/// Silence after which the agent may have missed what was sent meanwhile, in milliseconds.
const SILENCE: u32 = 3_000;

/// What the board knows of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// When its newest valid heartbeat came.
    heard: Option<BoardTime>,
}

impl Link {
    /// No heartbeat yet.
    pub(crate) const UNHEARD: Self = Self { heard: None };

    pub(crate) fn heard(&self) -> Option<BoardTime> {
        self.heard
    }

    /// How long the agent has been silent, in milliseconds; `u32::MAX` if it was not heard for longer than any relay waits.
    #[inline(never)]
    pub(crate) fn silence(&self, now: BoardTime) -> u32 {
        self.heard.map_or(u32::MAX, |heard| now.since(heard))
    }

    /// Takes a heartbeat that echoes the board time `echo`; whether it ends a silence.
    pub(crate) fn heartbeat(&mut self, now: BoardTime, echo: BoardTime) -> bool {
        if is_at_least(now.since(echo), MAX_ECHO_AGE + 1) {
            return false;
        }
        let was_silent = is_at_least(self.silence(now), SILENCE);
        self.heard = Some(now);
        was_silent
    }

    /// Forgets a heartbeat that is too old for every relay, before the clock wraps round to it.
    pub(crate) fn advance(&mut self, now: BoardTime) {
        if is_at_least(self.silence(now), MAX_LINK_TIMEOUT + 1) {
            self.heard = None;
        }
    }
}
