//! The agent at the other end of the line: whether it is there, and hears the board.

use crate::time::is_at_least;

/// How old the board time may be that an agent's heartbeat echoes, in milliseconds. An older one comes from an agent that no longer
/// hears the board; one that is in the future was heard before the board restarted.
const MAX_ECHO_AGE: u32 = 10_000;

/// Silence after which the agent may have missed what was sent meanwhile, in milliseconds.
const SILENCE: u32 = 3_000;

/// What the board knows of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// How long ago its newest valid heartbeat came, in milliseconds.
    silence: u32,
}

impl Link {
    /// A heartbeat comes now. A constant of zeros.
    pub(crate) const HEARD: Self = Self { silence: 0 };

    /// No heartbeat yet, which is as good as none for longer than any relay waits.
    pub(crate) const UNHEARD: Self = Self { silence: u32::MAX };

    /// How long the agent has been silent, in milliseconds; no longer counted from where 32 bits end.
    pub(crate) fn silence(&self) -> u32 {
        self.silence
    }

    /// Takes a heartbeat that echoes a board time of this age, in milliseconds; whether it ends a silence.
    pub(crate) fn heartbeat(&mut self, age: u32) -> bool {
        let is_valid = !is_at_least(age, MAX_ECHO_AGE + 1);
        is_valid && is_at_least(core::mem::take(&mut self.silence), SILENCE)
    }

    /// Goes on for some milliseconds. A silence of 49 days grows no more: it must not start at 0 again.
    pub(crate) fn advance(&mut self, elapsed: u32) {
        self.silence = self.silence.checked_add(elapsed).unwrap_or(self.silence);
    }
}
