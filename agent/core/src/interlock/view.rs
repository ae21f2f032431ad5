//! What the interlock knows, for people who ask. Reading changes nothing.

use std::fmt;

use super::hold_switch::SwitchState;
use super::unknown::UnknownDoses;
use super::{Interlock, State, ledger};
use crate::actuator::Actuator;
use crate::id::{Id, SensorId};
use crate::time::{Span, Uptime};

/// An actuator at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ActuatorView {
    /// The actuator as it is configured.
    pub actuator: Actuator,
    /// On, off, or on its way there.
    pub state: ActuatorState,
    /// Time on within the last hour, as far as it counts.
    pub hour: Span,
    /// Time on within the last 24 hours, as far as it counts.
    pub day: Span,
    /// Time for which it must stay off yet.
    pub min_off_left: Option<Span>,
    /// People and switches that hold its zone.
    pub held_by: Vec<HeldBy>,
    /// Whether it must not run because history was lost, so that what it dosed before is not known.
    pub unknown: bool,
}

/// What an actuator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActuatorState {
    /// Off.
    Off,
    /// The store is writing the booking of the dose.
    Booking,
    /// On, until then; none without an end.
    On(Option<Uptime>),
    /// Switched off, and not confirmed; it is off by then at the latest.
    Stopping(Option<Uptime>),
}

/// A zone on hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldView {
    /// The zone.
    pub zone: Id,
    /// Person, switch or lost history that holds the zone.
    pub by: HeldBy,
    /// End of the hold; none: until a person or the switch ends it.
    pub until: Option<Uptime>,
}

/// Person, switch or lost history that holds a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBy {
    /// A person, by name.
    Person(String),
    /// A switch on site.
    Switch {
        /// The sensor that reads the switch.
        sensor: SensorId,
        /// When it was read and believed last.
        read: LastRead,
    },
    /// History was lost: only actuators with a total are held.
    LostHistory,
}

/// When a switch was read and believed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastRead {
    /// The switch can be read and believed now.
    Now,
    /// Before it failed, fell silent or the agent started; the hold is as it was then.
    Before,
    /// Never yet: it may be on.
    Never,
}

/// As people read it, after "by".
impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeldBy::Person(name) => f.write_str(name),
            HeldBy::Switch { sensor, read } => {
                write!(f, "switch {sensor}")?;
                f.write_str(match read {
                    LastRead::Now => "",
                    LastRead::Before => " as it was last, for it cannot be read now",
                    LastRead::Never => ", which could not be read yet and may be on",
                })
            }
            HeldBy::LostHistory => f.write_str("history is missing"),
        }
    }
}

impl Interlock {
    /// The actuators of the configuration, by name.
    pub fn actuators(&self, now: Uptime) -> impl Iterator<Item = ActuatorView> + '_ {
        self.actuators.values().map(move |actuator| self.view(now, actuator))
    }

    /// The zones on hold by people, by name; then those by switches; then those whose doses are unknown.
    pub fn holds(&self) -> impl Iterator<Item = HoldView> + '_ {
        let held = self.holds.iter().map(|(zone, hold)| HoldView {
            zone: zone.clone(),
            by: HeldBy::Person(hold.by.clone()),
            until: hold.until.map(|until| until.at),
        });
        let switched = self.switches.iter().filter(|(_, switch)| switch.holds()).map(|(sensor, switch)| HoldView {
            zone: switch.zone.clone(),
            by: self.held_by(sensor, switch.state),
            until: None,
        });
        let until = self.unknown.as_ref().map(UnknownDoses::until);
        let unknown = self.unknown_zones().into_iter();
        let unknown = unknown.map(move |zone| HoldView { zone, by: HeldBy::LostHistory, until });
        held.chain(switched).chain(unknown)
    }

    pub(super) fn held_by(&self, switch: &SensorId, state: SwitchState) -> HeldBy {
        let read = match state {
            SwitchState::Unread => LastRead::Never,
            _ if self.fresh.contains(switch) => LastRead::Now,
            _ => LastRead::Before,
        };
        HeldBy::Switch { sensor: switch.clone(), read }
    }

    fn view(&self, now: Uptime, actuator: &Actuator) -> ActuatorView {
        let state = match self.entries.get(&actuator.id).map(|entry| &entry.state) {
            None | Some(State::Off) => ActuatorState::Off,
            Some(State::Booking { .. }) => ActuatorState::Booking,
            Some(State::On { until, .. }) => ActuatorState::On(*until),
            Some(State::Stopping { at_latest, .. }) => ActuatorState::Stopping(*at_latest),
        };
        let (hour, day) = ledger::totals(&self.history, actuator, now);
        let histories = ledger::keys(actuator).into_iter().filter_map(|key| self.history.get(&key));
        let off = histories.filter_map(|history| history.off_for(now)).min();
        let min_off_left = off.filter(|off| *off < actuator.min_off).map(|off| Span(actuator.min_off.0 - off.0));
        let held_by = self.holders(&actuator.zone);
        let unknown = self.has_unknown_doses(actuator);
        ActuatorView { actuator: actuator.clone(), state, hour, day, min_off_left, held_by, unknown }
    }
}
