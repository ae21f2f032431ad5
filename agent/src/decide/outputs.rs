//! Actuators in decide: bookings to the store, orders to the outputs, answers to people who switch something.
//!
//! A booking is the record, in the checkpoint, that an actuator with a total may have been on for the whole time asked. Its order goes
//! out once the store has committed the booking.

use std::mem;

use tilth_core::engine::Input;
use tilth_core::id::Id;
use tilth_core::interlock::{self, Actuation, Event, Refusal, Wanted};
use tokio::sync::oneshot;

use super::Decide;
use crate::checkpoint::OutputsBefore;

/// Answer to a person: why not, where an actuator was not switched.
pub(crate) type Actuated = Result<(), Refusal>;

/// Bookings and commands without an answer yet.
#[derive(Default)]
pub(super) struct PendingOutputs {
    /// Orders whose booking is part of the next commit.
    bookings: Vec<u64>,
    /// People who wait for the result of their command, by its id.
    people: Vec<(Id, oneshot::Sender<Actuated>)>,
}

impl Decide {
    /// Does what the interlock wants done.
    pub(super) fn act(&mut self, effect: interlock::Effect) {
        match effect {
            interlock::Effect::Book { order, .. } => self.pending_outputs.bookings.push(order),
            interlock::Effect::Switch(switch) => self.outputs.send(switch),
            interlock::Effect::Report(actuation) => self.answer(&actuation),
            interlock::Effect::Hold(_) => {}
        }
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
            let outcome =
                |order| if is_kept { interlock::Input::Booked(order) } else { interlock::Input::NotBooked(order) };
            asked.into_iter().for_each(|order| outputs.report(outcome(order)));
        };
        if self.store_writer.flush(answer).is_err() {
            orders.into_iter().for_each(|order| self.outputs.report(interlock::Input::NotBooked(order)));
        }
    }

    /// Gives the engine a person's command. The person is answered when it is switched, or refused.
    pub(super) fn actuate(&mut self, command: interlock::Command, answer: oneshot::Sender<Actuated>) {
        let (id, wanted) = (command.id.clone(), command.wanted);
        self.pending_outputs.people.push((id.clone(), answer));
        self.handle(Input::Output(interlock::Input::Command(command)));
        if wanted == Wanted::Off {
            // One that was off has nothing to report.
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

    fn answer_person(&mut self, id: &Id, answer: Actuated) {
        // A repeated command has the id of the first; whoever asked first is answered first.
        if let Some(index) = self.pending_outputs.people.iter().position(|(asked, _)| asked == id) {
            let _ = self.pending_outputs.people.remove(index).1.send(answer);
        }
        self.pending_outputs.people.retain(|(_, answer)| !answer.is_closed());
    }

    /// Switches every output off, as far as the tasks of the buses take it.
    pub(super) fn switch_off(&mut self, done: oneshot::Sender<()>) {
        self.handle(Input::Output(interlock::Input::Stop));
        let _ = done.send(());
    }

    /// A database that was not there at the start knows what was dosed before.
    pub(super) fn restore_outputs(&mut self, before: &OutputsBefore) {
        let now = self.engine.now().uptime;
        self.engine.restore_outputs(&before.record, now - before.at);
        self.drain();
    }
}
