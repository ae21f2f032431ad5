//! Channel of kind `siren`: when its actuator is on and off, by the worst alert that it sounds for, and whether it is audible. Pure.
//!
//! ```text
//! handle(now, input)    what should sound, what became of the actuator, time
//! poll() -> Effect      order the actuator on or off, answer pages
//! deadline() -> Uptime  when to call `handle` again
//! ```

use std::collections::VecDeque;
use std::mem;

use tilth_config::{Pattern, Patterns};
use tilth_core::interlock::{Event, OffReason, OutputReason, Refusal};
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};

/// Wait after an order that failed; doubles with each, up to the longest. A board that is back is ordered at once.
const RETRY_FIRST: Span = Span::from_secs(1);
const RETRY_LONGEST: Span = Span::from_secs(60);

/// A chirp: a test, or somebody who asks whether it works.
const CHIRP: Pattern = Pattern { on: Span::from_secs(1), off: RETRY_FIRST };

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The worst alert that people are told of by this siren; none where there is none.
    Sound(Option<Severity>),
    /// A page, answered with [`Effect::Answer`] once the siren is audible or cannot be.
    Page,
    /// A short sound, unless the siren sounds anyway; answered as a page is.
    Chirp,
    /// What became of the actuator: of orders of this siren, and of anything else that switched it off.
    Actuator(Event),
    /// The output confirms that the actuator is on.
    Audible,
    /// The bus of the actuator is up, or down and why.
    Bus(Result<(), String>),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Switch the actuator on for a time; none: until it is switched off.
    On(Option<Span>),
    /// Switch it off.
    Off,
    /// Answer every page and chirp so far: audible, or why not.
    Answer(Result<(), String>),
}

/// A siren as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The severity that is to be audible.
    pub worst: Option<Severity>,
    /// Why it is not audible.
    pub problem: Option<String>,
}

/// What a siren does.
///
/// ```text
///           sound, chirp              its time is over, refused, failed
///   Quiet ---------------> Sounding -----------------------------------> Pausing
///     ^ \                   ^  |                                          |   |
///     |  `- bus not up -----|--|-----------------------------------> -----+   |
///     |                     |  |                                          |   |
///     |                     +--|--- pause over, worse, bus up again ------+   |
///     |                        |                                              |
///     +------------------------+----------------------------------------------+ silenced, chirp over
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Quiet,
    /// Ordered on; the actuator says when that is over.
    Sounding {
        is_chirp: bool,
    },
    /// Off until then; none: until the bus is up.
    Pausing {
        until: Option<Uptime>,
    },
}

/// One siren.
#[derive(Debug)]
pub struct Siren {
    patterns: Patterns,
    /// Longest time on that the actuator allows.
    max_on: Option<Span>,
    worst: Option<Severity>,
    state: State,
    /// Whether the siren is audible since it should be, or why not; none while that is not known.
    audible: Option<Result<(), String>>,
    /// Why the bus is down; none before anything is known of it.
    bus: Option<Result<(), String>>,
    retry: Span,
    effects: VecDeque<Effect>,
}

impl Siren {
    /// A siren that is quiet, whose actuator is on for at most `max_on`.
    #[must_use]
    pub fn new(patterns: Patterns, max_on: Option<Span>) -> Siren {
        Siren {
            patterns,
            max_on,
            worst: None,
            state: State::Quiet,
            audible: None,
            bus: None,
            retry: RETRY_FIRST,
            effects: VecDeque::new(),
        }
    }

    /// Takes over another configuration, which holds from the next sound on.
    pub fn configure(&mut self, patterns: Patterns, max_on: Option<Span>) {
        (self.patterns, self.max_on) = (patterns, max_on);
    }

    /// Runs what is due, then the input.
    pub fn handle(&mut self, now: Uptime, input: Input) {
        if self.deadline().is_some_and(|due| due <= now) {
            self.begin();
        }
        match input {
            Input::Tick => {}
            Input::Sound(worst) => self.sound(now, worst),
            Input::Page => self.answer(),
            Input::Chirp => {
                if let (State::Quiet, Some(Ok(()))) = (self.state, &self.bus) {
                    self.audible = None;
                    self.begin();
                }
                self.answer();
            }
            Input::Actuator(Event::On { .. }) => {}
            Input::Actuator(Event::Off(reason)) => self.ended(now, &reason),
            Input::Actuator(Event::Lost) => self.fail(OffReason::Lost.to_string()),
            Input::Actuator(Event::Refused(refusal)) => self.refused(now, &refusal),
            Input::Audible => {
                (self.audible, self.retry) = (Some(Ok(())), RETRY_FIRST);
                self.effects.push_back(Effect::Answer(Ok(())));
            }
            Input::Bus(state) => self.bus_changed(state),
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
            State::Pausing { until } => until,
            State::Quiet | State::Sounding { .. } => None,
        }
    }

    /// What is shown of the siren.
    #[must_use]
    pub fn status(&self) -> Status {
        Status { worst: self.worst, problem: self.problem().cloned() }
    }

    fn problem(&self) -> Option<&String> {
        match (&self.bus, &self.audible) {
            (Some(Err(why)), _) | (_, Some(Err(why))) => Some(why),
            _ => None,
        }
    }

    fn pattern(&self) -> Pattern {
        self.worst.map_or(CHIRP, |worst| self.patterns[worst as usize])
    }

    fn sound(&mut self, now: Uptime, worst: Option<Severity>) {
        let before = mem::replace(&mut self.worst, worst);
        match (worst, self.state) {
            (None, State::Sounding { is_chirp: false }) => {
                self.effects.push_back(Effect::Off);
                self.be_quiet();
            }
            (None, State::Pausing { .. }) => self.be_quiet(),
            (Some(_), State::Quiet) => {
                self.audible = None;
                self.begin();
            }
            (Some(_), State::Pausing { until: Some(_) }) if worst > before => self.begin(),
            // What sounds without a pause would never take the lesser pattern.
            (Some(worst), State::Sounding { is_chirp: false })
                if before.is_some_and(|before| self.patterns[before as usize].off == Span::ZERO)
                    && self.patterns[worst as usize].off > Span::ZERO =>
            {
                self.effects.push_back(Effect::Off);
                self.pause(now, self.patterns[worst as usize].off);
            }
            _ => {}
        }
    }

    /// Switches on, if the bus can carry the order.
    fn begin(&mut self) {
        if self.bus != Some(Ok(())) {
            self.state = State::Pausing { until: None };
            return;
        }
        let Pattern { on, off } = self.pattern();
        // Without a pause it sounds for as long as the actuator allows, again and again.
        let span = if off == Span::ZERO { self.max_on } else { Some(self.max_on.map_or(on, |most| on.min(most))) };
        self.effects.push_back(Effect::On(span));
        self.state = State::Sounding { is_chirp: self.worst.is_none() };
    }

    /// The actuator is off.
    fn ended(&mut self, now: Uptime, reason: &OffReason) {
        let State::Sounding { is_chirp } = self.state else { return };
        let pause = if is_chirp { Span::ZERO } else { self.pattern().off };
        match reason {
            OffReason::TimeOver => self.pause(now, pause),
            // Cut by the board's own limit: it was audible, if not for as long.
            OffReason::Output(Some(OutputReason::MaxOn)) if self.audible == Some(Ok(())) => self.pause(now, pause),
            // By a person, who should take the alert on instead.
            OffReason::Command => self.pause(now, pause.max(RETRY_FIRST)),
            reason => {
                self.fail(reason.to_string());
                self.try_again(now);
            }
        }
    }

    /// The actuator was not switched on.
    fn refused(&mut self, now: Uptime, refusal: &Refusal) {
        if !matches!(self.state, State::Sounding { .. }) {
            return;
        }
        match refusal {
            _ if self.worst.is_none() => {
                self.effects.push_back(Effect::Answer(Err(refusal.to_string())));
                self.be_quiet();
            }
            Refusal::MinOff { wait } => self.pause(now, *wait),
            // Somebody else has it on, or it is just going off.
            Refusal::On | Refusal::Busy => self.try_again(now),
            refusal => {
                self.fail(refusal.to_string());
                self.try_again(now);
            }
        }
    }

    fn bus_changed(&mut self, state: Result<(), String>) {
        let waits = match self.state {
            State::Pausing { until } => until.is_none() || matches!(self.audible, Some(Err(_))),
            State::Quiet | State::Sounding { .. } => false,
        };
        self.bus = Some(state.clone());
        match state {
            Ok(()) => {
                self.retry = RETRY_FIRST;
                if waits {
                    self.begin();
                }
            }
            Err(why) if self.state != State::Quiet => self.fail(why),
            Err(_) => {}
        }
    }

    /// The siren does not sound, for this reason.
    fn fail(&mut self, why: String) {
        self.effects.push_back(Effect::Answer(Err(why.clone())));
        self.audible = Some(Err(why));
    }

    fn try_again(&mut self, now: Uptime) {
        self.pause(now, self.retry);
        self.retry = Span(self.retry.0 * 2).min(RETRY_LONGEST);
    }

    fn pause(&mut self, now: Uptime, span: Span) {
        match self.worst {
            Some(_) => self.state = State::Pausing { until: Some(now + span.max(Span(1))) },
            None => self.be_quiet(),
        }
    }

    fn be_quiet(&mut self) {
        (self.state, self.retry) = (State::Quiet, RETRY_FIRST);
    }

    /// Answers a page, as soon as it is known whether the siren is audible.
    fn answer(&mut self) {
        let is_audible = self.audible == Some(Ok(())) && self.state != State::Quiet;
        let answer = self.problem().map(|why| Err(why.clone())).or(is_audible.then_some(Ok(())));
        self.effects.extend(answer.map(Effect::Answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Uptime {
        Uptime(second * 1000)
    }

    /// A siren on a board that is up, on for at most two minutes.
    fn siren(max_on: Option<Span>) -> Siren {
        let pattern = |on, off| Pattern { on: Span::from_secs(on), off: Span::from_secs(off) };
        let mut siren = Siren::new([pattern(1, 60), pattern(2, 30), pattern(10, 10), pattern(60, 0)], max_on);
        siren.handle(at(0), Input::Bus(Ok(())));
        siren
    }

    fn limited() -> Siren {
        siren(Some(Span::from_mins(2)))
    }

    fn on(seconds: i64) -> Option<Effect> {
        Some(Effect::On(Some(Span::from_secs(seconds))))
    }

    fn no(why: &str) -> Option<Effect> {
        Some(Effect::Answer(Err(why.to_owned())))
    }

    const YES: Option<Effect> = Some(Effect::Answer(Ok(())));

    fn off(reason: OffReason) -> Input {
        Input::Actuator(Event::Off(reason))
    }

    fn sound(severity: Severity) -> Input {
        Input::Sound(Some(severity))
    }

    #[test]
    fn every_edge_of_the_chart() {
        let mut siren = limited();
        // Quiet -> Sounding -> Pausing -> Sounding.
        siren.handle(at(0), sound(Severity::Warning));
        assert_eq!((siren.poll(), siren.deadline()), (on(2), None));
        siren.handle(at(2), off(OffReason::TimeOver));
        assert_eq!((siren.poll(), siren.deadline()), (None, Some(at(32))));
        siren.handle(at(32), Input::Tick);
        assert_eq!(siren.poll(), on(2));
        // Pausing -> Sounding, as it is worse; the same again changes nothing.
        siren.handle(at(34), off(OffReason::TimeOver));
        siren.handle(at(35), sound(Severity::Critical));
        assert_eq!(siren.poll(), on(10));
        siren.handle(at(36), sound(Severity::Critical));
        assert_eq!(siren.poll(), None);
        // Sounding -> Quiet, as it is acknowledged; and Pausing -> Quiet.
        siren.handle(at(37), Input::Sound(None));
        siren.handle(at(37), off(OffReason::Command));
        assert_eq!((siren.poll(), siren.poll(), siren.deadline()), (Some(Effect::Off), None, None));
        siren.handle(at(40), sound(Severity::Preventive));
        siren.poll();
        siren.handle(at(41), off(OffReason::TimeOver));
        siren.handle(at(42), Input::Sound(None));
        assert_eq!((siren.poll(), siren.deadline()), (None, None));
        // Sounding -> Pausing, as it must rest; a person who switches it off has a moment of silence.
        siren.handle(at(50), sound(Severity::Critical));
        siren.poll();
        siren.handle(at(50), Input::Actuator(Event::Refused(Refusal::MinOff { wait: Span::from_secs(7) })));
        siren.handle(at(57), Input::Tick);
        assert_eq!((siren.poll(), siren.status().problem), (on(10), None));
        siren.handle(at(60), off(OffReason::Command));
        assert_eq!(siren.deadline(), Some(at(70)));
        // Pausing without an end -> Sounding, as the bus is back.
        siren.handle(at(61), Input::Bus(Err("unplugged".to_owned())));
        siren.handle(at(70), Input::Tick);
        assert_eq!((siren.poll(), siren.poll(), siren.deadline()), (no("unplugged"), None, None));
        siren.handle(at(100), Input::Bus(Ok(())));
        assert_eq!(siren.poll(), on(10));
    }

    #[test]
    fn without_a_pause_it_is_renewed_whenever_the_actuator_has_reached_its_longest_time_on() {
        let mut siren = limited();
        siren.handle(at(0), sound(Severity::Urgent));
        for minute in [0, 2, 4] {
            assert_eq!(siren.poll(), on(120), "minute {minute}");
            siren.handle(at(minute * 60 + 120), off(OffReason::TimeOver));
            let due = siren.deadline().expect("it sounds again");
            assert!(due <= at(minute * 60 + 121), "{due:?}");
            siren.handle(due, Input::Tick);
        }
        siren.poll();
        siren.handle(at(370), Input::Sound(None));
        siren.handle(at(370), off(OffReason::Command));
        assert_eq!((siren.poll(), siren.poll(), siren.deadline()), (Some(Effect::Off), None, None));
    }

    #[test]
    fn without_a_pause_and_a_limit_it_has_no_end_and_a_lesser_alert_has_its_pause() {
        let mut siren = siren(None);
        siren.handle(at(2), sound(Severity::Urgent));
        siren.handle(at(2), Input::Chirp);
        assert_eq!((siren.poll(), siren.poll(), siren.deadline()), (Some(Effect::On(None)), None, None));
        siren.handle(at(9), sound(Severity::Critical));
        assert_eq!((siren.poll(), siren.deadline()), (Some(Effect::Off), Some(at(19))));
    }

    #[test]
    fn a_page_is_delivered_once_the_output_confirms_and_not_by_the_order_alone() {
        let mut siren = limited();
        siren.handle(at(0), sound(Severity::Critical));
        siren.handle(at(0), Input::Actuator(Event::On { at_most: None, hour: Span::ZERO, day: Span::ZERO }));
        siren.handle(at(0), Input::Page);
        assert_eq!((siren.poll(), siren.poll()), (on(10), None));
        siren.handle(at(1), Input::Audible);
        assert_eq!(siren.poll(), YES);
        siren.handle(at(10), off(OffReason::TimeOver));
        siren.handle(at(12), Input::Page);
        assert_eq!(siren.poll(), YES, "it is audible, with its pauses");
        // Acknowledged, and the next alert finds a board that is silent.
        siren.handle(at(15), Input::Sound(None));
        siren.handle(at(100), sound(Severity::Critical));
        siren.handle(at(100), Input::Page);
        assert_eq!((siren.poll(), siren.poll()), (on(10), None));
        siren.handle(at(103), Input::Actuator(Event::Lost));
        assert_eq!(siren.poll(), no("its output did not confirm"));
    }

    /// Guards against: a board that is pulled out, or restarts, and pages that count as delivered for the rest of the night.
    #[test]
    fn a_siren_that_fell_silent_is_no_delivery_and_sounds_again_once_its_board_is_back() {
        let mut siren = limited();
        siren.handle(at(0), sound(Severity::Urgent));
        siren.handle(at(0), Input::Audible);
        assert_eq!((siren.poll(), siren.poll()), (on(120), YES));
        // Ended by the board: tried again, less and less often.
        for (now, wait) in [(5, 1), (6, 2), (8, 4)] {
            siren.handle(at(now), off(OffReason::Output(Some(OutputReason::Restarted))));
            assert_eq!((siren.poll(), siren.deadline()), (no("its board restarted"), Some(at(now + wait))));
            siren.handle(at(now + wait), Input::Tick);
            assert_eq!(siren.poll(), on(120));
        }
        siren.handle(at(13), off(OffReason::BusDown));
        siren.handle(at(13), Input::Bus(Err("unplugged".to_owned())));
        siren.handle(at(14), Input::Page);
        assert_eq!(
            [siren.poll(), siren.poll(), siren.poll()],
            [no("its bus is down"), no("unplugged"), no("unplugged")]
        );
        assert_eq!(siren.status(), Status { worst: Some(Severity::Urgent), problem: Some("unplugged".to_owned()) });
        siren.handle(at(600), Input::Tick);
        assert_eq!((siren.poll(), siren.deadline()), (None, None), "nothing is ordered meanwhile");
        siren.handle(at(3600), Input::Bus(Ok(())));
        siren.handle(at(3601), Input::Audible);
        assert_eq!([siren.poll(), siren.poll()], [on(120), YES]);
        assert_eq!(siren.status().problem, None);
    }

    #[test]
    fn what_the_boards_own_limit_cuts_was_audible() {
        let mut siren = limited();
        siren.handle(at(0), sound(Severity::Critical));
        siren.handle(at(0), Input::Audible);
        siren.handle(at(4), off(OffReason::Output(Some(OutputReason::MaxOn))));
        assert_eq!((siren.status().problem, siren.deadline()), (None, Some(at(14))));
    }

    #[test]
    fn a_chirp_is_short_and_gives_way_to_an_alert() {
        let mut siren = limited();
        siren.handle(at(0), Input::Chirp);
        siren.handle(at(0), Input::Audible);
        siren.handle(at(1), off(OffReason::TimeOver));
        assert_eq!([siren.poll(), siren.poll(), siren.poll()], [on(1), YES, None]);
        assert_eq!(siren.deadline(), None);
        siren.handle(at(2), Input::Chirp);
        siren.handle(at(2), sound(Severity::Critical));
        siren.handle(at(3), off(OffReason::TimeOver));
        siren.handle(at(4), Input::Tick);
        assert_eq!([siren.poll(), siren.poll()], [on(1), on(10)]);
        let mut siren = limited();
        siren.handle(at(9), Input::Chirp);
        siren.handle(at(9), Input::Actuator(Event::Refused(Refusal::Disabled)));
        assert_eq!([siren.poll(), siren.poll()], [on(1), no(&Refusal::Disabled.to_string())]);
        assert_eq!(siren.deadline(), None);
    }
}
