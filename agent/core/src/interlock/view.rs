//! What the interlock knows, for people who ask. Reading changes nothing.

use super::unknown::UnknownDoses;
use super::{Interlock, State, ledger};
use crate::actuator::Actuator;
use crate::id::Id;
use crate::time::{Span, Uptime};

/// An actuator at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ActuatorView {
    /// The actuator as it is configured.
    pub actuator: Actuator,
    /// What it does.
    pub state: ActuatorState,
    /// Time on within the last hour, as far as it counts.
    pub hour: Span,
    /// Time on within the last 24 hours, as far as it counts.
    pub day: Span,
    /// Time for which it must stay off yet.
    pub must_rest: Option<Span>,
    /// Whether its zone is on hold.
    pub held: bool,
    /// Whether it must not run because history is missing, so that what it dosed before is not known.
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
    /// Who holds it; none where history is missing, so that actuators with a total must not run.
    pub by: Option<String>,
    /// End of the hold; none: until a person ends it.
    pub until: Option<Uptime>,
}

impl Interlock {
    /// The actuators of the configuration, by name.
    pub fn actuators(&self, now: Uptime) -> impl Iterator<Item = ActuatorView> + '_ {
        self.actuators.values().map(move |actuator| self.view(now, actuator))
    }

    /// The zones on hold, by name; then those of which nobody knows what was dosed in them.
    pub fn holds(&self) -> impl Iterator<Item = HoldView> + '_ {
        let held = self.holds.iter().map(|(zone, hold)| HoldView {
            zone: zone.clone(),
            by: Some(hold.by.clone()),
            until: hold.until.map(|until| until.at),
        });
        let until = self.unknown.as_ref().map(UnknownDoses::until);
        let unknown = self.unknown_zones().into_iter();
        held.chain(unknown.map(move |zone| HoldView { zone, by: None, until }))
    }

    fn view(&self, now: Uptime, actuator: &Actuator) -> ActuatorView {
        let state = match self.running.get(&actuator.id).map(|running| &running.state) {
            None | Some(State::Off) => ActuatorState::Off,
            Some(State::Booking { .. }) => ActuatorState::Booking,
            Some(State::On { until, .. }) => ActuatorState::On(*until),
            Some(State::Stopping { at_latest, .. }) => ActuatorState::Stopping(*at_latest),
        };
        let histories = ledger::keys(actuator).into_iter().filter_map(|key| self.history.get(&key));
        let (mut hour, mut day, mut off) = (Span::ZERO, Span::ZERO, None);
        for history in histories {
            let totals = history.totals(now);
            (hour, day) = (hour.max(totals.0), day.max(totals.1));
            off = off.into_iter().chain(history.off_for(now)).min();
        }
        let must_rest = off.filter(|off| *off < actuator.min_off).map(|off| Span(actuator.min_off.0 - off.0));
        let held = self.holds.contains_key(&actuator.zone);
        let unknown = self.has_unknown_doses(actuator);
        ActuatorView { actuator: actuator.clone(), state, hour, day, must_rest, held, unknown }
    }
}
