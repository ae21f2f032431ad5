//! The decide task: owns the engine, gives it its inputs and passes its effects on. Waits only for inputs and the engine's next
//! deadline.
//!
//! One turn of its loop takes an input and up to [`BATCH`] values, and passes the effects of each on: to notify first, then to live
//! output, then to the commit of this turn. `stage_` functions add rows to the commit, `flush` hands it to the store.
//!
//! An `Input` here is one of the engine ([`tilth_core::engine::Input`]): a reading, a command, a tick. The input of a sensor, where its
//! raw values come from, is `tilth_config::Input` and is known to sense alone.

mod begin;
mod channel_requests;
mod drops;
mod fault;
mod live;
mod outputs;
mod request;
mod sirens;
mod stage;
mod state_sensor;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread;

use serde_json::{Map, Value, json};
use tilth_core::alert::AlertId;
use tilth_core::effect::{Effect, Transition};
use tilth_core::engine::{Engine, Input, SilenceView};
use tilth_core::id::Id;
use tilth_core::interlock;
use tilth_core::plan::Plan;
use tilth_core::site::Matcher;
use tilth_core::time::{Span, Uptime, WallTime};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tracing::warn;

use crate::act::Outputs;
use crate::checkpoint::LastPages;
use crate::clock::{Anchor, Clock};
use crate::notify::dispatch::Request;
use crate::notify::to_decide::{FromChannels, ModemProblems};
use crate::notify::{self, Delivery};
use crate::random::{self, RunId};
use crate::recording::{Entry, Recording};
use crate::sense::line::LabelMatches;
use crate::sense::queue::{Queue, SenseMessage};
use crate::sense::sensor_value::SensorValue;
use crate::sense::stamp::StampRejection;
use crate::store::thread::StoreWriter;
use crate::store::{CalibratedPlan, Commit, NewEvent};
use crate::transition::TransitionRecord;

pub(crate) use begin::{Handles, RestoredState, begin};
pub(crate) use fault::{explanation, why_unmatched};
pub(crate) use live::LiveLine;
pub(crate) use outputs::ActuateAnswer;
pub(crate) use request::{DecideConfig, DecideRequest, DecideState, EngineQuery, ReadingCounts};
pub(crate) use stage::StoreReplaced;

/// Most values of one turn, after which other tasks run and the store gets a commit.
const BATCH: usize = 256;

/// Lines of live output that a slow watcher may lag behind before it misses some.
pub(crate) const LIVE: usize = 1024;

/// Most notifications that wait beside the queue of notify: a storm of alerts on every rule there may be.
const MAX_UNSENT: usize = 100_000;

/// Smallest correction of a trusted clock that the engine is told of.
const CORRECTION: Span = Span(500);

pub(crate) struct Decide {
    engine: Engine,
    /// Plan that sensors in the next effects refer to: the engine's, once it has emitted `PlanChanged`.
    plan: Arc<Plan>,
    device: Id,
    clock: Clock,
    /// Anchor that the engine was told of.
    anchor: Option<Anchor>,
    /// The plan with each sensor's calibration, by which the store knows what the values of a commit mean.
    calibrated: Arc<CalibratedPlan>,
    commit: Commit,
    /// Last page of each open alert on each channel; part of the checkpoint.
    last_pages: Arc<BTreeMap<AlertId, LastPages>>,
    /// Run of the program that decided on the newest page of each open alert; part of the checkpoint.
    page_runs: Arc<BTreeMap<AlertId, RunId>>,
    /// Part of the ids of this process's pages, so that alert numbers given twice differ there.
    run: RunId,
    /// Highest alert number that the engine knows to be reserved: the store reserves them on the disk before they are used, so that none is
    /// given twice after a power cut.
    reserved: AlertId,
    /// State beside the engine.
    context: DecideState,
    store_writer: StoreWriter,
    outputs: Outputs,
    /// Outcomes of orders and bookings, as inputs of the interlock.
    order_outcomes: mpsc::Receiver<interlock::ActuatorInput>,
    pending_outputs: outputs::PendingOutputs,
    sirens: sirens::Sirens,
    /// The disk did not keep the last booking of a dose.
    booking_failed: bool,
    replaced: watch::Receiver<StoreReplaced>,
    notify: mpsc::Sender<notify::NotifyRequest>,
    /// Requests that wait for room in the queue of notify.
    unsent: VecDeque<Request>,
    live: live::LiveOutput,
    /// Why each modem cannot send; `None` for one that can.
    modem_problems: ModemProblems,
    /// Labels of each bus that the names of sensors have matched; part of the checkpoint.
    label_matches: Arc<BTreeMap<Id, LabelMatches>>,
    /// The board that each bus had last; part of the checkpoint.
    board_of_bus: Arc<BTreeMap<Id, [u8; 8]>>,
    /// Whether the hub accepts this device; `None` before its first answer.
    hub_accepts: Option<bool>,
    logged_faults: fault::LoggedFaults,
    recording: Option<Recording>,
    reported_drops: drops::Reported,
}

impl Decide {
    /// Runs until [`DecideRequest::Stop`]. `early` and `first` came before the engine existed.
    pub(crate) async fn run(
        mut self,
        early: Vec<DecideRequest>,
        first: Vec<SenseMessage>,
        queue: Queue,
        mut requests: mpsc::Receiver<DecideRequest>,
        mut deliveries: mpsc::Receiver<Delivery>,
        mut channels: FromChannels,
    ) {
        early.into_iter().for_each(|request| self.handle_request(request));
        first.into_iter().for_each(|first| self.handle_message(first));
        self.flush();
        loop {
            let due = self.engine.deadline().into_iter().chain(self.sirens.deadline()).min();
            let clock = self.clock.clone();
            let done = tokio::select! {
                biased;
                request = requests.recv() => match request {
                    Some(DecideRequest::Stop(done)) => Some(done),
                    Some(request) => { self.handle_request(request); None }
                    None => return,
                },
                Some(request) = channels.0.recv() => { self.handle_channel_request(request); None }
                Ok(()) = channels.1.changed() => { self.modems_changed(channels.1.borrow_and_update().clone()); None }
                Some(outcome) = self.order_outcomes.recv() => { self.handle_order_outcome(outcome); None }
                message = queue.next() => { self.handle_message(message); None }
                Ok(()) = self.replaced.changed() => { self.store_replaced(); None }
                Some(delivery) = deliveries.recv() => { self.note_delivery(&delivery); None }
                () = clock.sleep_until(due) => None,
            };
            self.finish_turn(&queue, &mut channels, &mut deliveries);
            // Pages and live lines leave before the commit, and other tasks run between two turns.
            yield_now().await;
            if self.live.is_watched() && !self.commit.events.is_empty() {
                // Whoever was just told often waits for this processor: it may run before the commit costs time. The system
                // decides, and a busy program takes its share here, too.
                thread::yield_now();
            }
            self.report_drops(queue.dropped(), done.is_some());
            self.flush();
            if let Some(done) = done {
                self.stage_checkpoint();
                // Returns alert numbers that were reserved and not used.
                self.commit.alerts_through = Some(self.engine.last_number().0);
                self.flush();
                finish(self.store_writer, self.recording).await;
                let _ = done.send(());
                return;
            }
        }
    }

    /// Gives each source its share of a turn, whichever began it: clients that ask without pause delay no value and no deadline.
    fn finish_turn(&mut self, queue: &Queue, channels: &mut FromChannels, deliveries: &mut mpsc::Receiver<Delivery>) {
        if let Ok(request) = channels.0.try_recv() {
            self.handle_channel_request(request);
        }
        if channels.1.has_changed().unwrap_or(false) {
            self.modems_changed(channels.1.borrow_and_update().clone());
        }
        if let Ok(outcome) = self.order_outcomes.try_recv() {
            self.handle_order_outcome(outcome);
        }
        let mut left = BATCH;
        while left > 0
            && let Some(message) = queue.try_next()
        {
            self.handle_message(message);
            left -= 1;
        }
        if self.replaced.has_changed().unwrap_or(false) {
            self.store_replaced();
        }
        if let Ok(delivery) = deliveries.try_recv() {
            self.note_delivery(&delivery);
        }
        // No tick while values wait: the next one moves the engine's time, and an instant ends after all its values.
        if left > 0 {
            if self.engine.deadline().is_some_and(|due| due <= self.now()) {
                self.handle(Input::Tick);
            }
            self.run_sirens();
        }
    }

    fn handle_message(&mut self, message: SenseMessage) {
        match message {
            SenseMessage::Value(value) => self.handle_value(&value),
            SenseMessage::BoardValues { values, ack } => {
                let first = self.commit.readings.len();
                values.iter().for_each(|value| self.handle_value(value));
                self.commit.acks.push(ack.of(first..self.commit.readings.len()));
            }
            SenseMessage::Bus { bus, down } => self.bus_changed(&bus, down.as_deref()),
            SenseMessage::Unmatched { bus, why } => self.message_unmatched(bus, why),
            SenseMessage::Missing { bus, sensors } => {
                self.context.missing.insert(bus, sensors);
            }
            SenseMessage::Labels { bus, matches } => {
                Arc::make_mut(&mut self.label_matches).insert(bus, (*matches).clone());
                self.stage_checkpoint();
            }
            SenseMessage::Board { bus, board } => {
                if self.board_of_bus.get(&bus) != Some(&board) {
                    Arc::make_mut(&mut self.board_of_bus).insert(bus, board);
                    self.stage_checkpoint();
                }
            }
        }
    }

    fn handle_value(&mut self, value: &SensorValue) {
        match &value.fault {
            Some(why) => self.input_fails(&value.sensor, Arc::clone(why)),
            None => self.input_works(value),
        }
        self.feed(value);
    }

    fn feed(&mut self, value: &SensorValue) {
        let plan = Arc::clone(self.engine.plan());
        let Some(input) = value.input(&plan, &self.clock) else { return };
        if matches!(input, Input::Undated(_)) {
            self.count_rejected_stamp(value.rejected);
        }
        self.follow_clock();
        self.follow_reserve();
        let now = value.instant(&self.clock).max(self.engine.now().uptime);
        self.decide(now, input);
    }

    fn count_rejected_stamp(&mut self, why: Option<StampRejection>) {
        match why {
            Some(StampRejection::Ahead) => self.context.readings.future_stamps += 1,
            Some(
                StampRejection::NeverSet
                | StampRejection::Behind
                | StampRejection::StandsStill
                | StampRejection::Counter,
            ) => self.context.readings.past_stamps += 1,
            Some(StampRejection::NoClock) => self.context.readings.unplaced_stamps += 1,
            Some(StampRejection::NoTime) | None => {}
        }
    }

    fn handle_request(&mut self, request: DecideRequest) {
        match request {
            DecideRequest::Plan(configured) => self.configure(*configured),
            DecideRequest::Input(input, answer) => {
                self.handle(input);
                answer(&self.engine, &self.context);
            }
            DecideRequest::Silence { of, span, by, answer } => drop(answer.send(self.silence(of, span, by))),
            DecideRequest::EndSilence { silence, answer } => drop(answer.send(self.end_silence(silence))),
            DecideRequest::Note { text, by, answer } => {
                self.stage_event("note", json!({ "text": text, "by": by }));
                let _ = answer.send(());
            }
            DecideRequest::StoreDiagnostic(kind, body) => self.stage_diagnostic(kind, body),
            DecideRequest::StoreEvent(kind, body) => self.stage_event(kind, body),
            DecideRequest::Hub { accepts } => self.hub_changed(accepts),
            DecideRequest::Barrier(done) | DecideRequest::Ping(done) => {
                let _ = done.send(());
            }
            DecideRequest::Query(query) => query(&self.engine, &self.context),
            DecideRequest::NewStream => {
                // The hub knows more of the old stream than this device: skip the alert numbers used in between.
                let after = AlertId(random::alert_number(self.engine.last_number().0));
                self.handle(Input::Reserved { after, through: AlertId(0) });
                self.stage_everything();
            }
            DecideRequest::LostHistory(lost) => {
                self.report_lost_history(&lost);
                self.set_doses_unknown(&lost);
            }
            DecideRequest::Actuate { command, answer } => self.actuate(*command, answer),
            DecideRequest::SwitchOff(done) => self.switch_off(done),
            DecideRequest::Stop(_) => {}
        }
    }

    fn configure(&mut self, configured: DecideConfig) {
        let DecideConfig { plan, hash, channels, merged } = configured;
        let site = self.engine.site().clone();
        self.live.set_plan(&plan);
        self.follow_clock();
        let now = self.now();
        // What is due by now is due under the previous plan.
        self.decide(now, Input::Tick);
        if let Some(recording) = &mut self.recording {
            recording.line(now, &Entry::Plan(Box::new(merged)));
        }
        let sirens = sirens::configured(&channels);
        self.remove_sirens(&sirens);
        // Channels first: alerts that fire with the new plan are sent by them.
        self.send_to_channels(Request::Channels(channels, stage::channels_by_alert(&self.engine, &plan)));
        self.decide(now, Input::Plan(Arc::clone(&plan)));
        self.set_sirens(sirens);
        self.flush();
        self.calibrated = Arc::new(CalibratedPlan::new(plan, hash, &site));
        self.commit = Commit::new(self.now(), Arc::clone(&self.calibrated));
        self.feed_states();
        self.stage_checkpoint();
    }

    /// The new silence; `None` where no more fit.
    fn silence(&mut self, of: Matcher, span: Span, by: String) -> Option<SilenceView> {
        let before = self.engine.silences().last().map(|silence| silence.number);
        self.handle(Input::Silence { of, span, by });
        // Numbers only rise.
        self.engine.silences().last().filter(|silence| Some(silence.number) > before)
    }

    /// The silence as it was; `None` where the number does not exist.
    fn end_silence(&mut self, number: u32) -> Option<SilenceView> {
        let silence = self.engine.silences().find(|silence| silence.number == number);
        self.handle(Input::EndSilence(number));
        silence
    }

    /// Gives the engine an input at the present instant.
    fn handle(&mut self, input: Input) {
        self.follow_clock();
        self.follow_reserve();
        let now = self.now();
        self.decide(now, input);
    }

    fn decide(&mut self, now: Uptime, input: Input) {
        if let Some(recording) = &mut self.recording {
            recording.input(now, &input, self.engine.plan());
        }
        self.engine.handle(now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.engine.poll() {
            if let Effect::PlanChanged(plan) = &effect {
                self.plan = Arc::clone(plan);
            }
            self.perform(effect);
        }
        self.follow_sirens();
    }

    /// Passes an effect on.
    fn perform(&mut self, effect: Effect) {
        self.sirens.note(&effect);
        // Whoever watches is told before people are notified, which wakes other threads: tasks run in the order in which they were woken.
        self.record_transition(&effect);
        self.notify_people(&effect);
        self.store_effect(effect);
    }

    fn record_transition(&mut self, effect: &Effect) {
        if let Some(line) = TransitionRecord::of(effect, &self.plan) {
            self.live.send(&line);
            self.commit.events.extend(stage::event(effect, &line));
        }
    }

    fn notify_people(&mut self, effect: &Effect) {
        let plan = Arc::clone(&self.plan);
        if let Some(request) = Request::of(effect, &plan, (&self.device, &self.run), |key| self.explanation(key)) {
            self.send_to_channels(request);
        }
    }

    fn store_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Reading(reading) => {
                self.context.readings.decided += 1;
                self.context.readings.late += u64::from(reading.late);
                self.commit.readings.push(reading);
            }
            Effect::NoValue(_) => self.context.readings.missing += 1,
            Effect::Window(closed) => self.commit.windows.push(closed),
            Effect::Site => self.stage_site_state(),
            Effect::Page(page) => {
                self.note_requested(page.id.alert, &page.channels);
                Arc::make_mut(&mut self.page_runs).insert(page.id.alert, self.run.clone());
            }
            Effect::Alert(Transition::Acknowledged { by, .. }, details) => {
                details.alert.map(|alert| Arc::make_mut(&mut self.context.acknowledged_by).insert(alert, by));
            }
            Effect::Alert(Transition::Resolved(_), details) => {
                details.alert.iter().for_each(|alert| self.forget(alert));
            }
            Effect::Schedule(event) => {
                let body = json!({ "schedule": event.schedule, "open": event.open, "trusted": event.trusted });
                self.stage_diagnostic("schedule", body);
            }
            Effect::Rejected(reason) => self.stage_diagnostic("refused", json!({ "reason": reason.name() })),
            Effect::Unwindowed(sensor, readings) => {
                self.stage_diagnostic("unwindowed", json!({ "sensor": sensor, "readings": readings }));
            }
            Effect::Output(effect) => self.act(effect),
            Effect::Alert(..) | Effect::Sensor(_) | Effect::PlanChanged(_) => {}
        }
    }

    /// Sends a request to notify without waiting: what does not fit stays in `unsent`, in order, up to [`MAX_UNSENT`].
    fn send_to_channels(&mut self, request: Request) {
        self.unsent.push_back(request);
        self.flush_unsent();
    }

    fn flush_unsent(&mut self) {
        let notify = self.notify.clone();
        while let Some(request) = self.unsent.pop_front() {
            match notify.try_reserve() {
                Ok(place) => place.send(notify::NotifyRequest::Dispatch(request)),
                Err(TrySendError::Full(())) => {
                    self.unsent.push_front(request);
                    break;
                }
                Err(TrySendError::Closed(())) => self.give_up(&request, "the agent stops"),
            }
        }
        while self.unsent.len() > MAX_UNSENT {
            // A change of channels must arrive: later notifications go to the new channels.
            let least = self.unsent.iter().position(|request| !matches!(request, Request::Channels(..)));
            let Some(request) = least.and_then(|least| self.unsent.remove(least)) else { break };
            self.give_up(&request, "too many notifications wait");
        }
    }

    /// Logs a notification that will not be sent, and reports it to the hub.
    fn give_up(&mut self, request: &Request, reason: &str) {
        self.context.lost_notifications += 1;
        if let Request::Page(notification, _) | Request::Resolved(notification) = request {
            warn!(target: "notify", "notification {} given up ({reason})", notification.id);
            let body =
                json!({ "notification": notification.id, "channel": null, "status": "dropped", "reason": reason });
            self.stage_event(stage::UNDELIVERED, body);
        }
    }

    /// Tells the engine when more alert numbers were reserved on the disk.
    fn follow_reserve(&mut self) {
        let through = AlertId(self.store_writer.alerts_through());
        if through > self.reserved {
            self.reserved = through;
            self.decide(self.now(), Input::Reserved { after: AlertId(0), through });
        }
    }

    /// Drops what is kept about an alert that is over.
    fn forget(&mut self, alert: &AlertId) {
        Arc::make_mut(&mut self.last_pages).remove(alert);
        Arc::make_mut(&mut self.context.acknowledged_by).remove(alert);
        Arc::make_mut(&mut self.page_runs).remove(alert);
    }

    /// Tells the engine when the clock became trusted or was corrected.
    fn follow_clock(&mut self) {
        let Some(anchor) = self.clock.anchor().filter(|_| self.clock.now().1.is_some()) else { return };
        let moved = self.anchor.map(|before| Span((anchor.offset_ms - before.offset_ms).abs()));
        if moved.is_some_and(|moved| moved < CORRECTION) {
            return;
        }
        self.anchor = Some(anchor);
        let now = self.now();
        self.decide(now, Input::Clock(WallTime(anchor.offset_ms + now.0)));
        self.stage_anchor(anchor);
    }

    fn now(&self) -> Uptime {
        self.clock.uptime().max(self.engine.now().uptime)
    }
}

/// Ends store and recording, each of which waits for the disk for a bounded time.
async fn finish(store_writer: StoreWriter, recording: Option<Recording>) {
    let waiting = tokio::task::spawn_blocking(move || {
        store_writer.stop();
        drop(recording);
    });
    let _ = waiting.await;
}

fn new_event(at: tilth_core::time::Stamp, kind: &str, body: Value) -> NewEvent {
    let body = match body {
        Value::Object(body) => body,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    NewEvent { at, kind: kind.to_owned(), body, alert: None }
}

#[cfg(test)]
mod tests;
