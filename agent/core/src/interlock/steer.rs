//! Actuators that a target switches. A limit of the interlock holds for a target as for everybody else.

use super::{Command, Interlock, OffReason, Origin, State};
use crate::actuator::Wanted;
use crate::id::Id;
use crate::time::{Span, Stamp};

/// A booking for a target is given up after this long; the next reading asks again.
const EXPIRES: Span = Span::from_secs(30);

impl Interlock {
    /// A target wants an actuator on or off, or as it was wanted before. While a limit forbids what is wanted nothing happens and
    /// nothing is reported; the next reading tries again. What a target did not switch on it does not switch off.
    pub(crate) fn steer(&mut self, now: Stamp, actuator: &Id, wants: Option<bool>) {
        if self.dormant {
            return;
        }
        let was_wanted = self.steered.contains(actuator);
        let is_wanted = wants.unwrap_or(was_wanted);
        let is_on = matches!(
            self.running.get(actuator).map(|running| &running.state),
            Some(State::On { .. } | State::Booking { .. })
        );
        if is_wanted && !was_wanted {
            self.steered.insert(actuator.clone());
        } else if !is_wanted && was_wanted {
            self.steered.remove(actuator);
        }
        let command = || Command {
            id: Id::new(&format!("target-{}", self.last_order + 1)).expect("short, of letters, digits and hyphens"),
            actuator: actuator.clone(),
            wanted: if is_wanted { Wanted::On(None) } else { Wanted::Off },
            expires: now.uptime + EXPIRES,
            by: Origin::Target,
        };
        if is_wanted && !is_on {
            let command = command();
            if let Ok(span) = self.check(now, &command, None) {
                self.begin(now, command, span);
            }
        } else if was_wanted && !is_wanted && is_on {
            let command = command();
            self.stop(now, actuator, &OffReason::Target, Some(&command));
        }
    }

    /// Actuators that targets want on.
    pub(crate) fn steered(&self) -> impl Iterator<Item = &Id> {
        self.steered.iter()
    }
}
