//! Actuators in decide: bookings to the store, orders to the outputs, answers to people who switch something.
//!
//! A booking is the record, in the checkpoint, that an actuator with a total may have been on for the whole time asked. Its order goes
//! out once the store has committed the booking.

use std::mem;

use tilth_core::actuator::Actuator;
use tilth_core::engine::Input;
use tilth_core::id::{Id, SensorId};
use tilth_core::interlock::{self, Actuation, ActuatorInput, Event, HeldBy, Refusal, Wanted};
use tilth_core::plan::AlertKey;
use tokio::sync::oneshot;

use super::Decide;
use super::sirens::Sirens;
use crate::checkpoint::OutputsBefore;
use crate::console::listed;
use crate::notify::dispatch::Explanation;
use crate::store::{LossAmount, LostHistory};

/// Zones that a notification names; the rest is counted.
const MAX_ZONES: usize = 5;

/// Advice where doses of before are unknown.
const UNKNOWN_ADVICE: &str =
    "Look at the tanks and measure. Where a zone may be dosed again: tilth-agent hold ZONE --end";

/// Answer to a person: why not, where an actuator was not switched.
pub(crate) type ActuateAnswer = Result<(), Refusal>;

/// Bookings and commands without an answer yet.
#[derive(Default)]
pub(super) struct PendingOutputs {
    /// Orders whose booking is part of the next commit.
    bookings: Vec<u64>,
    /// People who wait for the result of their command, by its id.
    people: Vec<(Id, oneshot::Sender<ActuateAnswer>)>,
}

impl Decide {
    /// Does what the interlock wants done.
    pub(super) fn act(&mut self, effect: interlock::Effect) {
        match effect {
            interlock::Effect::Book { order, .. } => self.pending_outputs.bookings.push(order),
            interlock::Effect::Switch(switch) => self.outputs.send(switch),
            interlock::Effect::Report(actuation) => {
                self.answer(&actuation);
                self.follow_bookings(&actuation);
            }
            interlock::Effect::Hold(_) => {
                self.feed_doses();
                self.stage_site_state();
            }
        }
    }

    /// Gives the engine what became of an order; sirens hear of those that switched something on.
    pub(super) fn handle_order_outcome(&mut self, outcome: ActuatorInput) {
        if let ActuatorInput::Switched { order, on: true, .. } = outcome {
            self.sirens.confirm(order);
        }
        self.handle(Input::Actuator(outcome));
    }

    /// Whether the next commit holds a booking, so that it must hold a checkpoint.
    pub(super) fn has_bookings(&self) -> bool {
        !self.pending_outputs.bookings.is_empty()
    }

    /// After a commit was handed over: asks the store to say when it holds the bookings.
    pub(super) fn await_bookings(&mut self) {
        let orders = mem::take(&mut self.pending_outputs.bookings);
        if orders.is_empty() {
            return;
        }
        let (outputs, asked) = (self.outputs.clone(), orders.clone());
        let answer = move |is_kept: bool| {
            let outcome = if is_kept { ActuatorInput::Booked } else { ActuatorInput::NotBooked };
            asked.into_iter().for_each(|order| outputs.report(outcome(order)));
        };
        // Without a database it is unknown what was dosed before, and the store keeps no such checkpoint.
        let is_counted = self.engine.now().boot > 0;
        if !is_counted || self.store_writer.flush(answer).is_err() {
            orders.into_iter().for_each(|order| self.outputs.report(ActuatorInput::NotBooked(order)));
        }
    }

    /// A booking that failed is for people to know, until one is kept again.
    fn follow_bookings(&mut self, actuation: &Actuation) {
        let has_failed = match &actuation.event {
            Event::Refused(refusal) if *refusal == Refusal::NotBooked => true,
            Event::On { .. } if self.has_total(&actuation.actuator) => false,
            _ => return,
        };
        if self.booking_failed != has_failed {
            self.booking_failed = has_failed;
            self.feed_doses();
        }
    }

    fn has_total(&self, actuator: &Id) -> bool {
        self.engine.plan().actuators().get(actuator).is_some_and(Actuator::has_total)
    }

    /// Zones whose doses of before are unknown.
    fn unknown_zones(&self) -> Vec<Id> {
        self.engine.holds().filter(|hold| hold.by == HeldBy::LostHistory).map(|hold| hold.zone).collect()
    }

    /// Gives the engine the state of doses as a reading of its sensor.
    pub(super) fn feed_doses(&mut self) {
        let is_good = !self.booking_failed && self.unknown_zones().is_empty();
        self.feed_state(&SensorId::doses(), is_good);
    }

    /// Why the sensor that stands for doses is bad, and what to do.
    pub(super) fn explain_doses(&self, key: &AlertKey) -> Option<Explanation> {
        if key.sensor != SensorId::doses() {
            return None;
        }
        let zones = self.unknown_zones();
        if zones.is_empty() {
            let why = "the disk did not record the last dose that was wanted, so it was not given".to_owned();
            return self.booking_failed.then_some(Explanation { why, advice: None });
        }
        let zones = listed(zones.iter().map(Id::as_str), MAX_ZONES);
        let why = format!("history is missing, so what was dosed within the last day is unknown; zones: {zones}");
        Some(Explanation { why, advice: Some(UNKNOWN_ADVICE) })
    }

    /// History was lost. Where nothing is missing but what a killed process had not written, every booking is on the disk, and doses stay
    /// known.
    pub(super) fn set_doses_unknown(&mut self, lost: &LostHistory) {
        if lost.amount != LossAmount::PerhapsNone {
            self.handle(Input::Actuator(ActuatorInput::DosesUnknown));
        }
    }

    /// Gives the engine a person's command. The person is answered when it is switched, or refused.
    pub(super) fn actuate(&mut self, command: interlock::Command, answer: oneshot::Sender<ActuateAnswer>) {
        let (id, wanted) = (command.id.clone(), command.wanted);
        self.pending_outputs.people.push((id.clone(), answer));
        self.handle(Input::Actuator(ActuatorInput::Command(command)));
        if wanted == Wanted::Off {
            // An actuator that was off has nothing to report.
            self.answer_person(&id, Ok(()));
        }
    }

    fn answer(&mut self, actuation: &Actuation) {
        let Some((id, _)) = &actuation.command else { return };
        match &actuation.event {
            Event::On { .. } | Event::Off(_) => self.answer_person(id, Ok(())),
            Event::Refused(refusal) => self.answer_person(id, Err(refusal.clone())),
            Event::Lost => {}
        }
    }

    fn answer_person(&mut self, id: &Id, answer: ActuateAnswer) {
        // A repeated command has the id of the first; its callers are answered in their order.
        if let Some(index) = self.pending_outputs.people.iter().position(|(asked, _)| asked == id) {
            let _ = self.pending_outputs.people.remove(index).1.send(answer);
        }
        self.pending_outputs.people.retain(|(_, answer)| !answer.is_closed());
    }

    /// Switches every output off, as far as the tasks of the buses take it.
    pub(super) fn switch_off(&mut self, done: oneshot::Sender<()>) {
        self.sirens = Sirens::default();
        self.handle(Input::Actuator(ActuatorInput::Stop));
        let _ = done.send(());
    }

    /// A database that was not there at the start knows what was dosed before.
    pub(super) fn restore_outputs(&mut self, before: &OutputsBefore) {
        let now = self.engine.now().uptime;
        self.engine.restore_outputs(&before.record, now - before.at);
        self.drain();
        self.feed_doses();
    }
}
