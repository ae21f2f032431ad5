//! The interlock between commands and outputs: no command of a rule or a person passes a limit of its actuator.
//!
//! A *command* (`acid on for 5 s`) comes from a rule, a person, a target or a channel. One that every limit allows becomes a numbered
//! *order* to the output, which switches within [`SWITCH_WITHIN`] or not at all. A *hold* locks the actuators of a zone.
//!
//! ```text
//! handle(now, input)      commands, outcomes of outputs and of the store, holds
//! poll() -> Effect        book, switch, report; until there is nothing
//! deadline() -> Uptime    when to come again
//! ```
//!
//! An actuator with a *total*, a limit of its time on (`dose_per_hour`, `dose_per_day`), is *booked* in the store for the full time asked
//! before it is switched on. Switching off is an effect of the same `handle` that asks for it, and waits for nothing.
//!
//! What an output did while the process did not run is unknown. After [`Interlock::resume`] a booked dose counts in full, and
//! every actuator is switched off first.

mod hold_switch;
mod ledger;
mod limits;
mod order;
mod plan;
mod restart;
mod targets;
mod unknown;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::actuator::Actuator;
pub use crate::actuator::{Actuators, Wanted};
use crate::id::{Id, SensorId};
use crate::time::{Due, Span, Stamp, Uptime, WallTime};
use hold_switch::HoldSwitch;
use ledger::History;
pub use order::{
    Actuation, ActuatorInput, Command, Effect, Event, HoldChange, OffReason, Origin, OutputReason, Refusal, SwitchOrder,
};
pub use restart::Record;
use targets::BackOff;
use unknown::UnknownDoses;
pub use view::{ActuatorState, ActuatorView, HeldBy, HoldView, LastRead};

/// Time within which an output switches after an order, or not at all. An output that cannot promise it drops the order. Half a second
/// on a demo's fast clock.
pub const SWITCH_WITHIN: Span = Span::from_secs(30);

/// Commands that are remembered until they expire, so that a repeated one does nothing. More at once are refused.
pub const MAX_COMMANDS: usize = 1000;

/// The interlock of a device: actuators, what is known of each, and what is to be done.
#[derive(Debug, Default)]
pub struct Interlock {
    actuators: Actuators,
    /// State of each actuator; also of one that a configuration took away, until it is off.
    entries: BTreeMap<Id, ActuatorEntry>,
    /// Time on of each actuator and of each output by its text form, so that neither another name nor another output forgets a dose.
    history: BTreeMap<String, History>,
    holds: BTreeMap<Id, Hold>,
    /// Switches on site that hold their zone; until [`Interlock::set_hold_switches`] those that held it before.
    switches: BTreeMap<SensorId, HoldSwitch>,
    unknown: Option<UnknownDoses>,
    /// Commands that were carried out, until they expire.
    commands: BTreeMap<Id, Due>,
    /// Actuators that targets want on.
    wanted_by_targets: BTreeSet<Id>,
    /// Actuators whose outputs did not do what a target wanted.
    backing_off: BTreeMap<Id, BackOff>,
    fresh: BTreeSet<SensorId>,
    buses_down: BTreeSet<Id>,
    last_order: u64,
    /// Restored and not yet resumed: nothing is switched and no time passes.
    dormant: bool,
    effects: VecDeque<Effect>,
}

/// An actuator with its state, as it was configured when it was switched last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ActuatorEntry {
    actuator: Actuator,
    state: State,
}

/// State of an actuator.
///
/// ```text
///             on, has a total              booked
///      Off -------------------> Booking ---------------> On
///       ^ ^                        |                     | ^
///       | +--- off, not booked, ---+                     | |
///       |      expired, hindered                         | |
///       |                                                | |
///       +-------- on, without a total -------------------|-+
///       |                                                |
///       |    confirmed, or the longest                   | off, time over, hold, stale sensor,
///       |    possible time is over                       | bus down, lost, removed, disabled
///       +----------------------------- Stopping <--------+
///       +------------ ended by the output itself --------+
/// ```
///
/// `Stopping` goes to `On` without a pause where the actuator has neither a total nor a `min_off`. After a restart every
/// state but `Off` begins as `Stopping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Off, or never switched on.
    Off,
    /// The store is asked to keep the dose.
    Booking { order: u64, command: Command, span: Span },
    /// Switched on, by an order for `span`. `until` ends it; both are absent where no time was asked.
    On { order: u64, since: Uptime, span: Option<Span>, until: Option<Uptime>, command: Command },
    /// Switched off, and not confirmed yet. After an order for `span` the output is off by itself by `at_latest`.
    Stopping { order: u64, span: Option<Span>, at_latest: Option<Uptime> },
}

/// A lock on the actuators of a zone: somebody's hands are in the tank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    by: String,
    /// End of the hold; none: until a person ends it.
    until: Option<Due>,
}

impl Interlock {
    /// The interlock of a device that remembers nothing; dormant until [`Interlock::resume`].
    #[must_use]
    pub fn new(actuators: &Actuators) -> Interlock {
        Interlock::restore(actuators, &Record::default())
    }

    /// Runs every deadline up to `now`, each at its own instant, then the input.
    pub fn handle(&mut self, now: Stamp, input: ActuatorInput) {
        self.advance(now);
        match input {
            ActuatorInput::Tick => {}
            ActuatorInput::Command(command) => self.handle_command(now, command),
            ActuatorInput::Booked(order) => self.booked(now, order),
            ActuatorInput::NotBooked(order) => self.not_booked(now, order),
            ActuatorInput::Switched { order, on, why } => self.switched(now, order, on, why),
            ActuatorInput::Lost(order) => self.lost(now, order),
            ActuatorInput::Hold { zone, span, by } => self.hold(now, zone, span, by),
            ActuatorInput::EndHold { zone, by } => self.end_hold(now, &zone, Some(by)),
            ActuatorInput::DosesUnknown => self.set_doses_unknown(now),
            ActuatorInput::ReleaseDoses { zone, by } => self.release_doses(now, &zone, &by),
            ActuatorInput::Stop => self.stop_all(now, |actuator| !actuator.normally_energised, &OffReason::Stopped),
        }
    }

    /// The next thing to do; call until there is none after each [`Interlock::handle`].
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Interlock::handle`] with [`ActuatorInput::Tick`] if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Uptime> {
        if self.dormant {
            return None;
        }
        let unknown = self.unknown.iter().map(UnknownDoses::until);
        let holds = self.holds.values().filter_map(|hold| Some(hold.until?.at)).chain(unknown);
        let commands = self.commands.values().map(|until| until.at);
        let entries = self.entries.values().filter_map(|entry| entry.state.deadline());
        holds.chain(commands).chain(entries).min()
    }

    /// A sensor that actuators need can be believed now, or can no longer.
    pub(crate) fn set_fresh(&mut self, now: Stamp, sensor: &SensorId, fresh: bool) {
        if fresh {
            self.fresh.insert(sensor.clone());
        } else if self.fresh.remove(sensor) {
            let needs = |actuator: &Actuator| actuator.needs_fresh.contains(sensor);
            self.stop_all(now, needs, &OffReason::NotFresh(sensor.clone()));
        }
    }

    /// Whether a sensor counts as fresh.
    pub(crate) fn is_fresh(&self, sensor: &SensorId) -> bool {
        self.fresh.contains(sensor)
    }

    /// A bus went down, or is back. A board switches its relays off by itself when the link is lost.
    pub(crate) fn set_bus(&mut self, now: Stamp, bus: &Id, up: bool) {
        let is_on = |actuator: &Actuator| actuator.output.bus() == bus;
        if up {
            self.buses_down.remove(bus);
            self.backing_off.clear();
            self.order_again(now, is_on);
        } else if self.buses_down.insert(bus.clone()) {
            // A normally energised siren falls with the link, and goes on until it is told otherwise.
            self.stop_all(now, |actuator| is_on(actuator) && !actuator.normally_energised, &OffReason::BusDown);
        }
    }

    fn advance(&mut self, now: Stamp) {
        while let Some(due) = self.deadline().filter(|due| *due <= now.uptime) {
            let wall = now.wall.map(|wall| WallTime(wall.0.saturating_sub((now.uptime - due).0)));
            self.run_due(Stamp { uptime: due, wall, ..now });
        }
    }

    /// Runs what is due at an instant. Each step ends its deadline.
    fn run_due(&mut self, now: Stamp) {
        self.commands.retain(|_, until| until.at > now.uptime);
        let is_over = |hold: &Hold| hold.until.is_some_and(|until| until.at <= now.uptime);
        let over: Vec<Id> = self.holds.iter().filter(|(_, hold)| is_over(hold)).map(|(zone, _)| zone.clone()).collect();
        over.iter().for_each(|zone| self.end_hold(now, zone, None));
        self.end_unknown(now);
        let is_due = |entry: &ActuatorEntry| entry.state.deadline().is_some_and(|due| due <= now.uptime);
        let due = self.entries.iter().filter(|(_, entry)| is_due(entry)).map(|(id, _)| id.clone());
        for id in due.collect::<Vec<Id>>() {
            match self.entries[&id].state.clone() {
                State::Booking { command, .. } => self.cancel(now, &command, Refusal::NotBooked),
                State::On { .. } => self.stop(now, &id, &OffReason::TimeOver, None),
                State::Stopping { .. } => self.set_off(now, &id),
                State::Off => {}
            }
        }
    }

    fn handle_command(&mut self, now: Stamp, command: Command) {
        // What a rule asked for while the agent was not there is not asked for now.
        if self.dormant {
            return;
        }
        match command.wanted {
            Wanted::Off if self.entries.contains_key(&command.actuator) => {
                let id = command.actuator.clone();
                self.stop(now, &id, &OffReason::Command, Some(&command));
            }
            Wanted::Off => self.refuse(now, &command, Refusal::NoSuchActuator),
            Wanted::On(span) => match self.check(now, &command, span) {
                Ok(span) => self.begin(now, command, span),
                Err(refusal) => self.refuse(now, &command, refusal),
            },
        }
    }

    /// A command that every limit allows.
    fn begin(&mut self, now: Stamp, command: Command, span: Option<Span>) {
        if command.is_remembered() {
            self.commands.insert(command.id.clone(), Due::after(now, command.expires - now.uptime));
        }
        let order = self.next_order();
        let Some(entry) = self.entries.get_mut(&command.actuator) else { return };
        match span {
            Some(span) if entry.actuator.has_total() => {
                self.effects.push_back(Effect::Book { order, actuator: command.actuator.clone(), span });
                entry.state = State::Booking { order, command, span };
            }
            _ => self.switch_on(now, order, command, span),
        }
    }

    fn booked(&mut self, now: Stamp, order: u64) {
        let Some(State::Booking { command, span, .. }) = self.state_of(order).cloned() else { return };
        // What changed while the store wrote may forbid what was allowed.
        match self.check_limits(now, &command, Some(span)) {
            Ok(span) => self.switch_on(now, order, command, span),
            Err(refusal) => self.cancel(now, &command, refusal),
        }
    }

    fn not_booked(&mut self, now: Stamp, order: u64) {
        let Some(State::Booking { command, .. }) = self.state_of(order).cloned() else { return };
        self.cancel(now, &command, Refusal::NotBooked);
    }

    fn switch_on(&mut self, now: Stamp, order: u64, command: Command, span: Option<Span>) {
        let Some(entry) = self.entries.get_mut(&command.actuator) else { return };
        let until = span.map(|span| now.uptime + span);
        if let (Some(span), Some(until)) = (span, until) {
            for key in ledger::keys(&entry.actuator) {
                self.history.entry(key).or_default().add(now, span, until + SWITCH_WITHIN);
            }
        }
        self.effects.push_back(Effect::Switch(SwitchOrder::new(&entry.actuator, order, true, span)));
        let (hour, day) = ledger::totals(&self.history, &entry.actuator, now.uptime);
        let event = Event::On { at_most: span, hour, day };
        self.effects.push_back(Actuation::effect(now, &entry.actuator, order, event, Some(&command)));
        entry.state = State::On { order, since: now.uptime, span, until, command };
    }

    /// Switches off in any state; confirms once more where the actuator is off already.
    fn stop(&mut self, now: Stamp, id: &Id, reason: &OffReason, command: Option<&Command>) {
        let order = self.next_order();
        let Some(entry) = self.entries.get_mut(id) else { return };
        if !matches!(entry.state, State::Booking { .. }) {
            self.effects.push_back(Effect::Switch(SwitchOrder::new(&entry.actuator, order, false, None)));
        }
        match entry.state.clone() {
            State::Off => {}
            State::Booking { command, .. } => self.cancel(now, &command, Refusal::Stopped(reason.clone())),
            State::Stopping { span, at_latest, .. } => entry.state = State::Stopping { order, span, at_latest },
            State::On { since, span, .. } => {
                let at_latest = span.map(|span| since + span + SWITCH_WITHIN);
                entry.state = State::Stopping { order, span, at_latest };
                let event = Event::Off(reason.clone());
                self.effects.push_back(Actuation::effect(now, &entry.actuator, order, event, command));
            }
        }
    }

    /// Switches off what is on, or about to be, among the selected actuators.
    fn stop_all(&mut self, now: Stamp, is_selected: impl Fn(&Actuator) -> bool, reason: &OffReason) {
        let selected = |entry: &&ActuatorEntry| entry.state != State::Off && is_selected(&entry.actuator);
        let ids: Vec<Id> = self.entries.values().filter(selected).map(|entry| entry.actuator.id.clone()).collect();
        ids.iter().for_each(|id| self.stop(now, id, reason, None));
    }

    /// Tells each selected output what it should be: off, or on where it is normally energised and on.
    fn order_again(&mut self, now: Stamp, is_selected: impl Fn(&Actuator) -> bool) {
        let selected = self.entries.values().filter(|entry| is_selected(&entry.actuator));
        let ids: Vec<Id> = selected.map(|entry| entry.actuator.id.clone()).collect();
        for id in ids {
            let order = self.next_order();
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let rest = match &mut entry.state {
                State::On { order: last, until, .. } if entry.actuator.normally_energised => {
                    *last = order;
                    Some(until.map(|until| until - now.uptime))
                }
                State::Stopping { order: last, .. } => {
                    *last = order;
                    None
                }
                State::Off => None,
                State::On { .. } | State::Booking { .. } => continue,
            };
            let switch = SwitchOrder::new(&entry.actuator, order, rest.is_some(), rest.flatten());
            self.effects.push_back(Effect::Switch(switch));
        }
    }

    fn switched(&mut self, now: Stamp, order: u64, on: bool, why: Option<OutputReason>) {
        match self.state_of(order).cloned() {
            Some(State::Stopping { .. }) if !on => {
                self.running_of(order).into_iter().for_each(|id| self.set_off(now, &id));
            }
            // The output ended it, or refused it by limits of its own.
            Some(State::On { command, .. }) if !on => {
                let reason = match why {
                    Some(OutputReason::Done) => OffReason::TimeOver,
                    why => OffReason::Output(why),
                };
                let was_on = matches!(why, Some(OutputReason::Done | OutputReason::MaxOn));
                if !was_on && command.by == Origin::Target {
                    self.back_off(now.uptime, &command.actuator);
                }
                let Some(entry) = self.entries.get(&command.actuator) else { return };
                let event = Event::Off(reason);
                self.effects.push_back(Actuation::effect(now, &entry.actuator, order, event, None));
                self.set_off(now, &command.actuator);
            }
            Some(State::On { command, .. }) => drop(self.backing_off.remove(&command.actuator)),
            _ => {}
        }
    }

    /// Whether the output followed an order is unknown.
    fn lost(&mut self, now: Stamp, order: u64) {
        let Some(State::On { command, .. }) = self.state_of(order).cloned() else { return };
        let Some(entry) = self.entries.get(&command.actuator) else { return };
        let is_kept = entry.actuator.normally_energised;
        self.effects.push_back(Actuation::effect(now, &entry.actuator, order, Event::Lost, Some(&command)));
        if !is_kept {
            self.stop(now, &command.actuator, &OffReason::Lost, None);
        }
    }

    fn hold(&mut self, now: Stamp, zone: Id, span: Option<Span>, by: String) {
        let until = span.map(|span| Due::after(now, span));
        self.stop_zone(now, &zone);
        self.report_hold(now, zone.clone(), Some(by.clone()), true, false);
        self.holds.insert(zone, Hold { by, until });
    }

    /// Switches off the actuators of a zone; those that are off are told once more.
    fn stop_zone(&mut self, now: Stamp, zone: &Id) {
        let actuators = self.entries.values().map(|entry| &entry.actuator);
        let ids = actuators.filter(|of| of.zone == *zone && !of.is_alarm).map(|of| of.id.clone());
        ids.collect::<Vec<Id>>().iter().for_each(|id| self.stop(now, id, &OffReason::Hold, None));
    }

    /// A hold ends: by a person, or because its time is over.
    fn end_hold(&mut self, now: Stamp, zone: &Id, by: Option<String>) {
        if self.holds.remove(zone).is_some() {
            self.report_hold(now, zone.clone(), by, false, false);
        }
    }

    /// Says that a hold began, or ended and who holds its zone all the same.
    fn report_hold(&mut self, at: Stamp, zone: Id, by: Option<String>, began: bool, only_doses: bool) {
        let still_held_by = if began { Vec::new() } else { self.holders(&zone) };
        self.effects.push_back(Effect::Hold(HoldChange { at, zone, by, began, still_held_by, only_doses }));
    }

    /// A booking that comes to nothing: the output was not told, so no time on is counted.
    fn cancel(&mut self, now: Stamp, command: &Command, refusal: Refusal) {
        if let Some(entry) = self.entries.get_mut(&command.actuator) {
            entry.state = State::Off;
        }
        self.refuse(now, command, refusal);
        self.adopt_definition(now, &command.actuator);
    }

    fn refuse(&mut self, now: Stamp, command: &Command, refusal: Refusal) {
        let zone = self.entries.get(&command.actuator).map(|entry| entry.actuator.zone.clone());
        let actuation = Actuation {
            at: now,
            actuator: command.actuator.clone(),
            zone,
            order: 0,
            event: Event::Refused(refusal),
            command: Some((command.id.clone(), command.by.clone())),
        };
        self.effects.push_back(Effect::Report(Box::new(actuation)));
    }

    /// The output is off.
    fn set_off(&mut self, now: Stamp, id: &Id) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.state = State::Off;
        for key in ledger::keys(&entry.actuator) {
            self.history.entry(key).or_default().went_off(now);
        }
        let min_off = self.actuators.values().map(|actuator| actuator.min_off).fold(ledger::DAY, Span::max);
        self.history.retain(|_, history| !history.is_over(now.uptime, min_off));
        self.adopt_definition(now, id);
    }

    fn next_order(&mut self) -> u64 {
        self.last_order += 1;
        self.last_order
    }

    fn running_of(&self, order: u64) -> Option<Id> {
        let mut all = self.entries.iter();
        all.find(|(_, entry)| entry.state.order() == Some(order)).map(|(id, _)| id.clone())
    }

    /// The state that an order led to; none for one that was replaced since.
    fn state_of(&self, order: u64) -> Option<&State> {
        self.entries.values().map(|entry| &entry.state).find(|state| state.order() == Some(order))
    }
}

impl State {
    fn order(&self) -> Option<u64> {
        match self {
            State::Off => None,
            State::Booking { order, .. } | State::On { order, .. } | State::Stopping { order, .. } => Some(*order),
        }
    }

    fn deadline(&self) -> Option<Uptime> {
        match self {
            State::Off => None,
            State::Booking { command, .. } => Some(command.expires),
            State::On { until, .. } => *until,
            State::Stopping { at_latest, .. } => *at_latest,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
