//! Actuators that a target switches. A limit of the interlock holds for a target as for everybody else.

use super::{Command, Interlock, OffReason, Origin, State};
use crate::actuator::Wanted;
use crate::id::Id;
use crate::time::{Span, Stamp, Uptime};

/// A booking for a target is given up after this long; the next reading asks again.
const EXPIRES: Span = Span::from_secs(30);

/// How long a target waits after its output did not do what was ordered; twice as long each time that follows, up to [`MOST_WAIT`].
const WAIT: Span = Span::from_mins(1);

/// Longest wait after an output that did not do what was ordered.
const MOST_WAIT: Span = Span::from_mins(60);

/// A target waits, since the output ended or refused what it ordered last.
#[derive(Debug, Clone, Copy)]
pub(super) struct BackOff {
    until: Uptime,
    wait: Span,
}

impl Interlock {
    /// A target wants an actuator on or off, or as it was wanted before. While a limit forbids what is wanted nothing happens and
    /// nothing is reported; the next reading tries again. What a target did not switch on it does not switch off.
    pub(crate) fn target_wants(&mut self, now: Stamp, actuator: &Id, wants: Option<bool>) {
        if self.dormant {
            return;
        }
        let was_wanted = self.wanted_by_targets.contains(actuator);
        let is_wanted = wants.unwrap_or(was_wanted);
        let is_on = matches!(
            self.entries.get(actuator).map(|entry| &entry.state),
            Some(State::On { .. } | State::Booking { .. })
        );
        if is_wanted && !was_wanted {
            self.wanted_by_targets.insert(actuator.clone());
        } else if !is_wanted && was_wanted {
            self.wanted_by_targets.remove(actuator);
        }
        let command = || Command {
            id: Id::new(&format!("target-{}", self.last_order + 1)).expect("short, of letters, digits and hyphens"),
            actuator: actuator.clone(),
            wanted: if is_wanted { Wanted::On(None) } else { Wanted::Off },
            expires: now.uptime + EXPIRES,
            by: Origin::Target,
        };
        let is_waiting = self.backing_off.get(actuator).is_some_and(|back_off| now.uptime < back_off.until);
        if is_wanted && !is_on && !is_waiting {
            let command = command();
            if let Ok(span) = self.check(now, &command, None) {
                self.begin(now, command, span);
            }
        } else if was_wanted && !is_wanted && is_on {
            let command = command();
            self.stop(now, actuator, &OffReason::Target, Some(&command));
        }
    }

    /// The output of a target did not do what was ordered: an order with each reading would be two events a reading, for ever.
    pub(super) fn back_off(&mut self, now: Uptime, actuator: &Id) {
        let longer = |before: &BackOff| before.wait.0.saturating_mul(2).min(MOST_WAIT.0);
        let wait = self.backing_off.get(actuator).map_or(WAIT, |before| Span(longer(before)));
        self.backing_off.insert(actuator.clone(), BackOff { until: now + wait, wait });
    }

    /// Actuators that targets want on.
    pub(crate) fn wanted_by_targets(&self) -> impl Iterator<Item = &Id> {
        self.wanted_by_targets.iter()
    }
}
