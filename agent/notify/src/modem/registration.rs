//! Whether a modem is registered with a network, and its signal (3GPP TS 27.007, sections 7.2, 8.5 and 10.1.22). Pure.

use std::fmt;

/// Registration and signal, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Registration {
    /// State of `+CREG`.
    pub(super) network: Option<u16>,
    /// State of `+CEREG`.
    pub(super) data: Option<u16>,
    /// Signal of `+CSQ`, 0 to 31.
    pub(super) signal: Option<u16>,
}

/// Registered, at home or roaming: for all (1, 5), for SMS alone (6, 7), or with calls by the data network preferred (9, 10).
const REGISTERED: [u16; 6] = [1, 5, 6, 7, 9, 10];

impl Registration {
    fn is_registered(self) -> bool {
        [self.network, self.data].into_iter().flatten().any(|state| REGISTERED.contains(&state))
    }

    /// Why there is no network; none where there is one, or where the modem cannot say.
    pub(super) fn problem(self) -> Option<String> {
        let state = self.network.or(self.data).filter(|_| !self.is_registered())?;
        let why = match state {
            2 => "not registered: still searching for a network; is the antenna connected?",
            3 => "not registered: the network denies this SIM; is it active?",
            _ => "not registered: no network or no antenna",
        };
        Some(why.to_owned())
    }
}

/// As people read it: `registered, signal 18 of 31`.
impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_roaming = [self.network, self.data].into_iter().flatten().any(|state| matches!(state, 5 | 7 | 10));
        f.write_str(match (self.is_registered(), is_roaming) {
            (true, true) => "registered, roaming",
            (true, false) => "registered",
            (false, _) => "not registered",
        })?;
        match self.signal {
            Some(signal) => write!(f, ", signal {signal} of 31"),
            None => Ok(()),
        }
    }
}
