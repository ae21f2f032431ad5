//! The task that decides: inputs in, the engine, effects out. Until it stops it waits for nothing but its inputs and the
//! engine's next deadline.
//!
//! Effects go to people first (notify), then to whoever watches (live), then to the store. What one burst of inputs brought is
//! one commit.

mod begin;
mod bus;
mod drops;
mod fault;
mod hub;
mod keep;
mod live;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tilth_config::{Channel, Merged};
use tilth_core::alert::AlertId;
use tilth_core::calibrate::Calibration;
use tilth_core::effect::{Effect, Transition};
use tilth_core::engine::{Engine, Input, SilenceView};
use tilth_core::id::{Id, SensorId};
use tilth_core::plan::Plan;
use tilth_core::site::Matcher;
use tilth_core::time::{Span, Uptime, WallTime};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;
use tracing::warn;

use crate::checkpoint::{AcknowledgedBy, LastDelivered};
use crate::clock::{Anchor, Clock, Trust};
use crate::notify::dispatch::Request;
use crate::notify::{self, Delivery};
use crate::random::{self, RunId};
use crate::recording::Recording;
use crate::sense::bus::Absent;
use crate::sense::line::SeenLabels;
use crate::sense::queue::{Queue, SenseMessage};
use crate::sense::sample::Sample;
use crate::sense::stamp::Why;
use crate::store::thread::Recorder;
use crate::store::{Commit, Missing, NewEvent, Watched};
use crate::transition::Line;

pub(crate) use begin::{Handles, RestoredState, begin};
pub(crate) use bus::unread;
pub(crate) use fault::cause;
pub(crate) use keep::StoreReplaced;
pub(crate) use live::Live;

/// Values that are decided on before other tasks have their turn and the store is handed what they brought.
const BURST: usize = 256;

/// Lines of live output that a slow watcher may lag behind; then it misses some, and is told how many.
pub(crate) const LIVE: usize = 1024;

/// Notices that may wait beside the queue of those that tell people: a storm of alerts on every rule there may be.
const MAX_UNSENT: usize = 100_000;

/// A trusted clock that moved by less than this was not corrected: the engine need not hear of it.
const CORRECTION: Span = Span(500);

/// What people and other tasks tell the one that decides.
pub(crate) enum Command {
    /// The configuration changed.
    Plan(Box<Configured>),
    /// Somebody takes an alert on; answered once it is so. An alert that is not open stays as it is.
    Acknowledge { alert: AlertId, span: Span, by: String, answer: oneshot::Sender<()> },
    /// Somebody silences alerts; answered with the silence, or nothing where there are as many as there may be.
    Silence { of: Matcher, span: Span, by: String, answer: oneshot::Sender<Option<SilenceView>> },
    /// Somebody ends a silence early; answered with the silence as it was, or nothing where there is none of that number.
    EndSilence { silence: u32, answer: oneshot::Sender<Option<SilenceView>> },
    /// A sensor was calibrated on site.
    #[allow(dead_code, reason = "the command calibrate comes later")]
    Calibrate { sensor: SensorId, calibration: Option<Calibration> },
    /// Somebody writes something down; answered once it is an event.
    Note { text: String, by: String, answer: oneshot::Sender<()> },
    /// Something to keep for the hub: what kind, and what.
    Diagnose(&'static str, Map<String, Value>),
    /// Something that happened, for the lane of events: what kind, and what.
    Happened(&'static str, Map<String, Value>),
    /// Whether the hub takes what this device says.
    Hub { accepts: bool },
    /// Answers when everything said before it has taken effect.
    Barrier(oneshot::Sender<()>),
    /// Answers at once: systemd's watchdog follows these.
    Probe(oneshot::Sender<()>),
    /// Shows the engine to whoever asks.
    Query(EngineQuery),
    /// The database is another one to the hub: it needs the open alerts, the anchor, the site state and a snapshot again.
    StoreReplaced,
    /// History is missing: for the hub.
    Missing(Box<Missing>),
    /// Stop, and say when everything was handed to the store.
    Stop(oneshot::Sender<()>),
}

impl Command {
    /// Whether the engine is asked, which it cannot be before there is a time.
    pub(crate) fn asks_engine(&self) -> bool {
        use Command::{Acknowledge, EndSilence, Note, Query, Silence};
        matches!(self, Acknowledge { .. } | Silence { .. } | EndSilence { .. } | Note { .. } | Query(_))
    }
}

/// What decide runs by.
#[derive(Debug)]
pub(crate) struct Configured {
    /// What to watch.
    pub(crate) plan: Arc<Plan>,
    /// Names it.
    pub(crate) hash: String,
    /// The ways to tell people.
    pub(crate) channels: BTreeMap<Id, Channel>,
    /// What it was made of, for a recording.
    pub(crate) merged: Merged,
}

/// A read of the engine, between two inputs.
pub(crate) type EngineQuery = Box<dyn FnOnce(&Engine, &EngineContext<'_>) + Send>;

/// What is known beside the engine.
pub(crate) struct EngineContext<'a> {
    pub(crate) readings: &'a ReadingCounts,
    pub(crate) lost_notifications: u64,
    pub(crate) acknowledged_by: &'a AcknowledgedBy,
    pub(crate) faults: &'a Faults,
    pub(crate) unread: &'a BTreeMap<Id, String>,
    /// Why each bus is down; nothing for one that is up.
    pub(crate) buses: &'a BTreeMap<Id, Option<String>>,
    pub(crate) absent: &'a AbsentOf,
}

/// The sensors of each bus whose values its lines do not have.
pub(crate) type AbsentOf = BTreeMap<Id, Arc<Absent>>;

/// Why the inputs of sensors fail, as long as they do.
pub(crate) type Faults = BTreeMap<SensorId, Arc<str>>;

/// Readings and values since the start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ReadingCounts {
    /// Readings that the engine took.
    pub(crate) decided: u64,
    /// Values that are no number.
    pub(crate) missing: u64,
    /// Readings older than the newest of their sensor.
    pub(crate) late: u64,
    /// Readings stamped in the future; stamped with their arrival instead.
    pub(crate) future_stamps: u64,
    /// Readings stamped too far in the past without a backlog; stamped with their arrival instead.
    pub(crate) past_stamps: u64,
    /// Readings whose stamp could not be placed while the clock was not trusted.
    pub(crate) unplaced_stamps: u64,
    /// Values that the queue from the buses dropped.
    pub(crate) dropped: u64,
}

impl ReadingCounts {
    fn count_rejected_stamp(&mut self, why: Option<Why>) {
        match why {
            Some(Why::Ahead) => self.future_stamps += 1,
            Some(Why::NeverSet | Why::Behind | Why::StandsStill | Why::Counter) => self.past_stamps += 1,
            Some(Why::NoClock) => self.unplaced_stamps += 1,
            Some(Why::None) | None => {}
        }
    }
}

/// The state of the task.
pub(crate) struct Decide {
    engine: Engine,
    /// What the effects that come next are counted in: the engine's plan, as soon as it has said so.
    plan: Arc<Plan>,
    device: Id,
    clock: Clock,
    /// The anchor that the engine has.
    anchor: Option<Anchor>,
    watched: Arc<Watched>,
    commit: Commit,
    /// Of each alert that is open and was paged what was told, kept with the snapshot.
    delivered: Arc<BTreeMap<AlertId, LastDelivered>>,
    /// Which run decided on the newest page of each alert that is open; kept with the snapshot.
    paged_by: Arc<BTreeMap<AlertId, RunId>>,
    /// The name of this one.
    run: RunId,
    /// The highest number of an alert that the engine knows to be reserved.
    reserved: AlertId,
    /// Kept with the snapshot: the engine knows until when, and not who.
    acknowledged_by: Arc<AcknowledgedBy>,
    recorder: Recorder,
    replaced: watch::Receiver<StoreReplaced>,
    notify: mpsc::Sender<notify::Command>,
    /// What those that tell people have no room for yet.
    unsent: VecDeque<Request>,
    live: live::Show,
    /// Why each bus is down; nothing for one that was last heard of as up.
    buses: BTreeMap<Id, Option<String>>,
    /// Why the last line of a bus had nothing for a sensor, where that was so.
    unread: BTreeMap<Id, String>,
    /// Which sensors' values the lines of each bus do not have.
    absent: AbsentOf,
    /// Which labels of each bus the names of sensors have fitted; kept with the snapshot.
    seen_labels: Arc<BTreeMap<Id, SeenLabels>>,
    /// Nothing while the hub has not answered yet.
    hub_accepts: Option<bool>,
    /// Why inputs fail that speak and have no value.
    faults: Faults,
    /// What of them the log has said.
    logged_faults: fault::LoggedFaults,
    recording: Option<Recording>,
    readings: ReadingCounts,
    /// Notifications that did not fit into the queue to the channels, since the start.
    lost_notifications: u64,
    reported_drops: drops::Reported,
}

impl Decide {
    /// Runs until it is told to stop.
    pub(crate) async fn run(
        mut self,
        early: Vec<Command>,
        first: Vec<SenseMessage>,
        queue: Queue,
        mut commands: mpsc::Receiver<Command>,
        mut deliveries: mpsc::Receiver<Delivery>,
    ) {
        early.into_iter().for_each(|command| self.handle_command(command));
        first.into_iter().for_each(|first| self.handle_message(first));
        self.flush();
        loop {
            let due = self.engine.deadline();
            let clock = self.clock.clone();
            let done = tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Stop(done)) => Some(done),
                    Some(command) => { self.handle_command(command); None }
                    None => return,
                },
                heard = queue.next() => {
                    self.handle_message(heard);
                    for _ in 0..BURST {
                        let Some(heard) = queue.try_next() else { break };
                        self.handle_message(heard);
                    }
                    None
                }
                Ok(()) = self.replaced.changed() => { self.store_replaced(); None }
                Some(delivery) = deliveries.recv() => { self.note_delivery(&delivery); None }
                () = async { match due {
                    Some(due) => clock.sleep_until(due).await,
                    None => std::future::pending().await,
                } } => { self.tick(); None }
            };
            // What people and watchers are told leaves before the store's part costs time, and between two bursts every
            // other task has its turn.
            yield_now().await;
            self.report_drops(queue.dropped(), done.is_some());
            self.flush();
            if let Some(done) = done {
                self.keep_snapshot();
                // Numbers that were reserved and not given are given back.
                self.commit.alerts_until = Some(self.engine.last_number().0);
                self.flush();
                put_away(self.recorder, self.recording).await;
                let _ = done.send(());
                return;
            }
        }
    }

    /// A value or the state of a bus.
    fn handle_message(&mut self, heard: SenseMessage) {
        match heard {
            SenseMessage::Value(sample) => {
                match &sample.fault {
                    Some(why) => self.input_fails(&sample.sensor, Arc::clone(why)),
                    None => self.input_works(&sample),
                }
                self.read(&sample);
            }
            SenseMessage::Bus { bus, down } => self.bus_changed(&bus, down.as_deref()),
            SenseMessage::NoValue { bus, why } => self.line_unused(bus, why),
            SenseMessage::Absent { bus, sensors } => {
                self.absent.insert(bus, sensors);
            }
            SenseMessage::Labels { bus, seen } => {
                Arc::make_mut(&mut self.seen_labels).insert(bus, (*seen).clone());
                self.keep_snapshot();
            }
        }
    }

    fn read(&mut self, sample: &Sample) {
        let plan = Arc::clone(self.engine.plan());
        let Some(input) = sample.input(&plan, &self.clock) else { return };
        if matches!(input, Input::Undated(_)) {
            self.readings.count_rejected_stamp(sample.refused);
        }
        self.follow_clock();
        self.follow_reserve();
        let now = sample.instant(&self.clock).max(self.engine.now().uptime);
        self.decide(now, input);
    }

    fn tick(&mut self) {
        self.handle(Input::Tick);
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Plan(configured) => {
                let Configured { plan, hash, channels, merged } = *configured;
                let site = self.engine.site().clone();
                self.live.plan(&plan);
                self.follow_clock();
                let now = self.now();
                // What is due by now is due under the plan of before.
                self.decide(now, Input::Tick);
                if let Some(recording) = &mut self.recording {
                    recording.plan(now, merged);
                }
                // Before the engine speaks by it: what fires in this moment is told by these channels.
                self.send_to_channels(Request::Channels(channels, keep::levels(&self.engine, &plan)));
                self.decide(now, Input::Plan(Arc::clone(&plan)));
                self.flush();
                self.watched = Arc::new(Watched::new(plan, hash, &site));
                self.commit = Commit::new(self.now(), Arc::clone(&self.watched));
                self.read_buses();
                self.read_hub();
                self.keep_snapshot();
            }
            Command::Acknowledge { alert, span, by, answer } => {
                self.handle(Input::Acknowledge { alert, span, by });
                let _ = answer.send(());
            }
            Command::Silence { of, span, by, answer } => drop(answer.send(self.silence(of, span, by))),
            Command::EndSilence { silence, answer } => drop(answer.send(self.end_silence(silence))),
            Command::Calibrate { sensor, calibration } => self.handle(Input::Calibrate { sensor, calibration }),
            Command::Note { text, by, answer } => {
                self.event("note", json!({ "text": text, "by": by }));
                let _ = answer.send(());
            }
            Command::Diagnose(kind, body) => self.diagnose(kind, Value::Object(body)),
            Command::Happened(kind, body) => self.event(kind, Value::Object(body)),
            Command::Hub { accepts } => self.hub_changed(accepts),
            Command::Barrier(done) | Command::Probe(done) => {
                let _ = done.send(());
            }
            Command::Query(query) => {
                query(
                    &self.engine,
                    &EngineContext {
                        readings: &self.readings,
                        lost_notifications: self.lost_notifications,
                        acknowledged_by: &self.acknowledged_by,
                        faults: &self.faults,
                        unread: &self.unread,
                        buses: &self.buses,
                        absent: &self.absent,
                    },
                );
            }
            Command::StoreReplaced => {
                // The hub knows more of this stream than this device: the alerts in between had numbers, too.
                let after = AlertId(random::alert_number(self.engine.last_number().0));
                self.handle(Input::Reserved { after, until: AlertId(0) });
                self.keep_everything();
            }
            Command::Missing(missing) => self.report_missing(&missing),
            Command::Stop(_) => {}
        }
    }

    /// The silence, if there was room for one more.
    fn silence(&mut self, of: Matcher, span: Span, by: String) -> Option<SilenceView> {
        let before = self.engine.silences().last().map(|silence| silence.number);
        self.handle(Input::Silence { of, span, by });
        // Numbers only rise.
        self.engine.silences().last().filter(|silence| Some(silence.number) > before)
    }

    /// The silence as it was.
    fn end_silence(&mut self, number: u32) -> Option<SilenceView> {
        let silence = self.engine.silences().find(|silence| silence.number == number);
        self.handle(Input::EndSilence(number));
        silence
    }

    /// One input of the engine, at the time it is now.
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
            if let Effect::Planned(plan) = &effect {
                self.plan = Arc::clone(plan);
            }
            self.perform(effect);
        }
    }

    /// People first, then whoever watches, then the store.
    fn perform(&mut self, effect: Effect) {
        self.notify_people(&effect);
        self.record(effect);
    }

    fn notify_people(&mut self, effect: &Effect) {
        let plan = Arc::clone(&self.plan);
        if let Some(request) = Request::of(effect, &plan, (&self.device, &self.run), |key| self.cause(key)) {
            self.send_to_channels(request);
        }
    }

    fn record(&mut self, effect: Effect) {
        let plan = Arc::clone(&self.plan);
        if let Some(line) = Line::of(&effect, &plan) {
            self.live.show(&line);
            self.commit.events.extend(keep::event(&effect, &line, self.engine.now()));
        }
        match effect {
            Effect::Reading(reading) => {
                self.readings.decided += 1;
                self.readings.late += u64::from(reading.late);
                self.commit.readings.push(reading);
            }
            Effect::Missing(_) => self.readings.missing += 1,
            Effect::Window(closed) => self.commit.windows.push(closed),
            Effect::Site => self.keep_site(),
            Effect::Page(page) => {
                self.note_requested(page.id.alert, &page.channels);
                Arc::make_mut(&mut self.paged_by).insert(page.id.alert, self.run.clone());
            }
            Effect::Alert(Transition::Acknowledged { by, .. }, report) => {
                report.alert.map(|alert| Arc::make_mut(&mut self.acknowledged_by).insert(alert, by));
            }
            Effect::Alert(Transition::Resolved(_), report) => {
                report.alert.iter().for_each(|alert| self.forget(alert));
            }
            Effect::Schedule(event) => {
                let body = json!({ "schedule": event.schedule, "open": event.open, "trusted": event.trusted });
                self.diagnose("schedule", body);
            }
            Effect::Refused(refusal) => self.diagnose("refused", json!({ "reason": format!("{refusal:?}") })),
            Effect::Unwindowed(sensor, readings) => {
                self.diagnose("unwindowed", json!({ "sensor": sensor, "readings": readings }));
            }
            Effect::Alert(..) | Effect::Sensor(_) | Effect::Planned(_) => {}
        }
    }

    /// Never waits: what does not fit stays here, in order, until there is room. Only what would not fit here either is
    /// counted as refused.
    fn send_to_channels(&mut self, request: Request) {
        self.unsent.push_back(request);
        self.flush_unsent();
    }

    fn flush_unsent(&mut self) {
        let notify = self.notify.clone();
        while let Some(request) = self.unsent.pop_front() {
            match notify.try_reserve() {
                Ok(place) => place.send(notify::Command::Request(request)),
                Err(TrySendError::Full(())) => {
                    self.unsent.push_front(request);
                    break;
                }
                Err(TrySendError::Closed(())) => self.give_up(&request, "nothing sends it any more"),
            }
        }
        while self.unsent.len() > MAX_UNSENT {
            // The channels must arrive: what comes after them goes to where they lead.
            let least = self.unsent.iter().position(|request| !matches!(request, Request::Channels(..)));
            let Some(request) = least.and_then(|least| self.unsent.remove(least)) else { break };
            self.give_up(&request, "too many notifications wait");
        }
    }

    /// What people should have been told and will not be: said in the log, and to the hub.
    fn give_up(&mut self, request: &Request, reason: &str) {
        self.lost_notifications += 1;
        if let Request::Page(notification, _) | Request::Resolved(notification) = request {
            warn!(target: "notify", "notification {} given up ({reason})", notification.id);
            let body = json!({ "notice": notification.id, "channel": null, "fate": "crowded", "reason": reason });
            self.event(keep::UNDELIVERED, body);
        }
    }

    /// More numbers of alerts are reserved on the disk.
    fn follow_reserve(&mut self) {
        let until = AlertId(self.recorder.alerts_until());
        if until > self.reserved {
            self.reserved = until;
            self.decide(self.now(), Input::Reserved { after: AlertId(0), until });
        }
    }

    /// What is told of an alert that is over is of no use any more.
    fn forget(&mut self, alert: &AlertId) {
        Arc::make_mut(&mut self.delivered).remove(alert);
        Arc::make_mut(&mut self.acknowledged_by).remove(alert);
        Arc::make_mut(&mut self.paged_by).remove(alert);
    }

    /// The clock became trusted, or was corrected.
    fn follow_clock(&mut self) {
        let Some(anchor) = self.clock.anchor().filter(|_| self.clock.now().1.is_some()) else { return };
        let moved = self.anchor.map(|known| Span((anchor.offset_ms - known.offset_ms).abs()));
        if moved.is_some_and(|moved| moved < CORRECTION) {
            return;
        }
        self.anchor = Some(anchor);
        let now = self.now();
        self.decide(now, Input::Clock(WallTime(anchor.offset_ms + now.0)));
        self.keep_anchor(anchor);
    }

    fn now(&self) -> Uptime {
        self.clock.uptime().max(self.engine.now().uptime)
    }
}

/// Both wait for a disk, neither for long, and nobody else waits meanwhile.
async fn put_away(recorder: Recorder, recording: Option<Recording>) {
    let waiting = tokio::task::spawn_blocking(move || {
        recorder.stop();
        drop(recording);
    });
    let _ = waiting.await;
}

/// The word for where the time of day comes from, as rows keep it.
pub(crate) fn source(trust: Trust) -> &'static str {
    match trust {
        Trust::Synchronised => "ntp",
        Trust::Battery => "rtc",
        Trust::Told => "told",
        Trust::Made => "made",
    }
}

/// An event of this moment.
fn new_event(at: tilth_core::time::Stamp, kind: &str, body: Value) -> NewEvent {
    let body = match body {
        Value::Object(body) => body,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    NewEvent { at, kind: kind.to_owned(), body, alert: None }
}

#[cfg(test)]
mod tests;
