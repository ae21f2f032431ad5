//! Channel of kind `siren`: when its actuator is on and off, by the severity of the worst alert that it tells of. Pure.
//!
//! ```text
//! handle(now, input)    what should be heard, what became of an order, time
//! poll() -> Effect      order the actuator on or off
//! deadline() -> Uptime  when to call `handle` again
//! ```

use std::collections::VecDeque;

use tilth_config::{Pattern, Patterns};
use tilth_core::interlock::Refusal;
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};

/// Wait after an order that was refused for no stated time.
const RETRY: Span = Span::from_secs(1);

/// Length of a chirp: a test, or somebody who asks whether it works.
const CHIRP: Span = Span::from_secs(1);

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The worst alert that people are told of by this siren; none where there is none.
    Sound(Option<Severity>),
    /// The last order was refused.
    Refused(Refusal),
    /// A short sound, unless the siren sounds anyway.
    Chirp,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Switch the actuator on for a time; none: as long as it may.
    On(Option<Span>),
    /// Switch it off.
    Off,
}

/// What a siren does.
///
/// ```text
///           sound, chirp              its time is over, refused
///   Quiet ---------------> Sounding ---------------------------> Pausing
///     ^                     |    ^                                |   |
///     |  silenced, chirp    |    +------- pause over, worse ------+   |
///     |  over               |                                         |
///     +---------------------+-----------------------------------------+ silenced
/// ```
///
/// `Sounding` without an end is a pattern without a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Quiet,
    Sounding { until: Option<Uptime> },
    Pausing { until: Uptime },
}

/// One siren.
#[derive(Debug)]
pub struct Siren {
    patterns: Patterns,
    worst: Option<Severity>,
    state: State,
    /// Time on that the actuator allows, where it refused more.
    at_most: Option<Span>,
    effects: VecDeque<Effect>,
}

impl Siren {
    /// A siren that is quiet.
    #[must_use]
    pub fn new(patterns: Patterns) -> Siren {
        Siren { patterns, worst: None, state: State::Quiet, at_most: None, effects: VecDeque::new() }
    }

    /// Runs what is due, then the input.
    pub fn handle(&mut self, now: Uptime, input: Input) {
        if self.deadline().is_some_and(|due| due <= now) {
            self.due(now);
        }
        match input {
            Input::Tick => {}
            Input::Sound(worst) => self.sound(now, worst),
            Input::Refused(refusal) => self.refused(now, &refusal),
            Input::Chirp if self.state == State::Quiet => self.on(now, Pattern { on: CHIRP, off: RETRY }),
            Input::Chirp => {}
        }
    }

    /// The next thing to do; call until there is none after each [`Siren::handle`].
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Siren::handle`] with [`Input::Tick`] if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Uptime> {
        match self.state {
            State::Quiet => None,
            State::Sounding { until } => until,
            State::Pausing { until } => Some(until),
        }
    }

    /// The severity that is to be heard.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.worst
    }

    fn sound(&mut self, now: Uptime, worst: Option<Severity>) {
        let is_worse = worst > self.worst;
        self.worst = worst;
        match (worst, self.state) {
            (None, State::Quiet) => {}
            (None, State::Sounding { .. }) => {
                self.effects.push_back(Effect::Off);
                self.state = State::Quiet;
            }
            (None, State::Pausing { .. }) => self.state = State::Quiet,
            (Some(worst), State::Quiet) => self.on(now, self.patterns[worst as usize]),
            (Some(worst), State::Pausing { .. }) if is_worse => self.on(now, self.patterns[worst as usize]),
            // Sounding without an end, the actuator would never take the lesser pattern.
            (Some(worst), State::Sounding { until: None }) if self.patterns[worst as usize].off > Span::ZERO => {
                self.effects.push_back(Effect::Off);
                self.state = State::Pausing { until: now + self.patterns[worst as usize].off };
            }
            (Some(_), State::Pausing { .. } | State::Sounding { .. }) => {}
        }
    }

    /// What is next in the pattern.
    fn due(&mut self, now: Uptime) {
        match (self.state, self.worst) {
            (_, None) => self.state = State::Quiet,
            (State::Sounding { .. }, Some(worst)) => {
                self.state = State::Pausing { until: now + self.patterns[worst as usize].off.max(Span(1)) };
            }
            (State::Pausing { .. } | State::Quiet, Some(worst)) => self.on(now, self.patterns[worst as usize]),
        }
    }

    fn on(&mut self, now: Uptime, Pattern { on, off }: Pattern) {
        let span = self.at_most.map_or(on, |most| on.min(most));
        // Without a limit of the actuator there is no pause at all.
        let is_endless = off == Span::ZERO && self.at_most.is_none();
        self.effects.push_back(Effect::On((!is_endless).then_some(span)));
        self.state = State::Sounding { until: (!is_endless).then_some(now + span) };
    }

    fn refused(&mut self, now: Uptime, refusal: &Refusal) {
        if !matches!(self.state, State::Sounding { .. }) {
            return;
        }
        let wait = match refusal {
            Refusal::MaxOn(most) => {
                self.at_most = Some(*most);
                Span(1)
            }
            Refusal::MinOff { wait } => *wait,
            _ => RETRY,
        };
        self.state = State::Pausing { until: now + wait.max(Span(1)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Uptime {
        Uptime(second * 1000)
    }

    fn siren() -> Siren {
        let pattern = |on, off| Pattern { on: Span::from_secs(on), off: Span::from_secs(off) };
        Siren::new([pattern(1, 60), pattern(2, 30), pattern(10, 10), pattern(60, 0)])
    }

    fn on(seconds: i64) -> Option<Effect> {
        Some(Effect::On(Some(Span::from_secs(seconds))))
    }

    #[test]
    fn every_edge_of_the_chart() {
        let mut siren = siren();
        // Quiet -> Sounding -> Pausing -> Sounding.
        siren.handle(at(0), Input::Sound(Some(Severity::Warning)));
        assert_eq!((siren.poll(), siren.deadline()), (on(2), Some(at(2))));
        siren.handle(at(2), Input::Tick);
        assert_eq!((siren.poll(), siren.deadline()), (None, Some(at(32))));
        siren.handle(at(32), Input::Tick);
        assert_eq!(siren.poll(), on(2));
        // Pausing -> Sounding, as it is worse; the same again changes nothing.
        siren.handle(at(34), Input::Tick);
        siren.handle(at(35), Input::Sound(Some(Severity::Critical)));
        assert_eq!((siren.poll(), siren.deadline()), (on(10), Some(at(45))));
        siren.handle(at(36), Input::Sound(Some(Severity::Critical)));
        assert_eq!(siren.poll(), None);
        // Sounding -> Quiet, as it is acknowledged; and Pausing -> Quiet.
        siren.handle(at(37), Input::Sound(None));
        assert_eq!((siren.poll(), siren.poll(), siren.deadline()), (Some(Effect::Off), None, None));
        siren.handle(at(40), Input::Sound(Some(Severity::Preventive)));
        siren.poll();
        siren.handle(at(41), Input::Tick);
        siren.handle(at(42), Input::Sound(None));
        assert_eq!((siren.poll(), siren.deadline()), (None, None));
        // Sounding -> Pausing, as it is refused.
        siren.handle(at(50), Input::Sound(Some(Severity::Critical)));
        siren.poll();
        siren.handle(at(50), Input::Refused(Refusal::MinOff { wait: Span::from_secs(7) }));
        assert_eq!(siren.deadline(), Some(at(57)));
        siren.handle(at(57), Input::Refused(Refusal::MaxOn(Span::from_secs(5))));
        assert_eq!(siren.poll(), on(10));
        siren.handle(at(58), Input::Tick);
        assert_eq!(siren.poll(), on(5));
        siren.handle(at(58), Input::Refused(Refusal::BusDown));
        assert_eq!(siren.deadline(), Some(at(59)));
    }

    #[test]
    fn an_urgent_one_without_a_pause_has_no_end_and_a_chirp_is_short() {
        let mut siren = siren();
        siren.handle(at(0), Input::Chirp);
        assert_eq!(siren.poll(), on(1));
        siren.handle(at(1), Input::Tick);
        assert_eq!((siren.poll(), siren.deadline()), (None, None));
        siren.handle(at(2), Input::Sound(Some(Severity::Urgent)));
        siren.handle(at(2), Input::Chirp);
        assert_eq!((siren.poll(), siren.poll(), siren.deadline()), (Some(Effect::On(None)), None, None));
        siren.handle(at(9), Input::Sound(Some(Severity::Critical)));
        assert_eq!((siren.poll(), siren.deadline()), (Some(Effect::Off), Some(at(19))));
        siren.handle(at(19), Input::Sound(None));
        assert_eq!(siren.deadline(), None);
    }
}
