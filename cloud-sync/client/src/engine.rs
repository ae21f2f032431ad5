//! The sync engine: what to send, what is confirmed, when to come again. Sans-IO.
//!
//! `handle(now, input)` says what happened, `poll()` what is to be done, `deadline()` when to come again. Calling any of them
//! too often is harmless. Time and the seed of all chance are arguments, so a run can be had again to the byte.
//!
//! - **One request at a time**, batch or pull. On any failure the rows are fetched again: the engine keeps ranges, never rows.
//! - **Nothing is believed twice**: an answer to anything but the request on its way is counted and ignored.
//! - **A wait begins when it is noticed.** Unlike in the core a late wake-up does not run the missed waits one after another:
//!   each of them would begin with a request, and a request cannot be sent in the past.
//! - What goes in which order: `engine/order.rs`. The chart of the states: `engine/state.rs`. What an answer means:
//!   `engine/verdict.rs`. Every limit: [`limits`].

mod answered;
mod backoff;
mod encoded_batch;
mod lane_progress;
pub mod limits;
mod messages;
mod meter;
mod order;
mod pull;
mod ranges;
mod search;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeSet, VecDeque};

use tilth_core::time::Uptime;
use tilth_protocol::{Confirmed, Epoch, Lane, Stream};

pub use crate::transport::NewestBundle;
use backoff::Backoff;
use encoded_batch::{EncodeError, EncodedBatch};
use lane_progress::LaneProgress;
use limits::{MAX_BACKOFF, MAX_FETCH_BYTES, REQUEST_TIMEOUT, STORE_TIMEOUT};
pub use messages::{
    Effect, Heads, LaneRange, LaneState, Outbox, ProblemKind, Report, Rows, RowsRequest, Setup, StoreCommand,
    SyncInput, SyncProblem,
};
pub use meter::{Meter, Traffic, TrafficKind};
use order::{DueTimes, Limit, Newest, Progress, windows_traffic};
use pull::Pull;
pub use pull::PullStatus;
use search::{Search, Suspect};
use state::{BatchPurpose, SentBatch, State};
pub use status::{Counts, StateName, Status};

/// The engine. One for the life of the process.
#[derive(Debug)]
pub struct SyncEngine {
    setup: Setup,
    stream: Stream,
    epoch: Option<Epoch>,
    progress: Progress,
    state: State,
    now: Uptime,
    due_times: DueTimes,
    newest: Newest,
    limit: Limit,
    search: Option<Search>,
    /// The next batch is an empty one, after a rejected key.
    probe: bool,
    /// The epoch of the last answer, if that stated more than was ever made: the next batch is an empty one, to hear it again.
    doubted: Option<Epoch>,
    /// How many answers did so since a batch with rows was accepted.
    doubts: u32,
    /// Rows quarantined one after the other, without a batch accepted in between.
    quarantine_run: u32,
    /// Rows that the store was told to quarantine and that are not confirmed yet: one that is sent again was not quarantined.
    quarantined: BTreeSet<(Lane, u64)>,
    last_new_stream: Option<Uptime>,
    last_epoch: Option<Uptime>,
    /// Waits after a failure of the hub, and while it cannot be reached.
    hub_backoff: Backoff,
    offline: Backoff,
    pull: Pull,
    effects: VecDeque<Effect>,
    problems: BTreeSet<ProblemKind>,
    /// Number of the newest request, to the store or to the hub.
    last_request: u64,
    last_success: Option<Uptime>,
    counts: Counts,
    meter: Meter,
}

impl SyncEngine {
    /// An engine that goes on where the store left off. `now` is the present uptime, `newest` the newest bundle that the agent has seen.
    #[must_use]
    pub fn new(now: Uptime, setup: Setup, outbox: &Outbox, newest: NewestBundle) -> SyncEngine {
        let (seed, intervals) = (setup.seed, setup.intervals);
        let mut engine = SyncEngine {
            setup,
            stream: outbox.stream,
            epoch: outbox.epoch,
            progress: progress_of(outbox),
            state: State::Idle,
            now,
            due_times: DueTimes::new(now),
            newest: Newest::default(),
            limit: Limit::new(),
            search: None,
            probe: false,
            doubted: None,
            doubts: 0,
            quarantine_run: 0,
            quarantined: BTreeSet::new(),
            last_new_stream: None,
            last_epoch: None,
            hub_backoff: Backoff::new(MAX_BACKOFF, seed),
            offline: Backoff::new(intervals.offline, seed ^ 0x6f66_666c),
            pull: Pull::new(now, newest, &intervals, seed ^ 0x7075_6c6c),
            effects: VecDeque::new(),
            problems: BTreeSet::new(),
            last_request: 0,
            last_success: None,
            counts: Counts::default(),
            meter: Meter::default(),
        };
        engine.rest();
        engine
    }

    /// Something happened at `now`, or nothing but time. A `now` before an earlier one counts as that one.
    pub fn handle(&mut self, now: Uptime, input: SyncInput) {
        self.now = self.now.max(now);
        self.expire();
        match input {
            SyncInput::Tick => {}
            SyncInput::Committed(heads) => self.committed(&heads),
            SyncInput::Fetched(rows) => self.fetched(rows),
            SyncInput::FetchFailed { id, why } => self.fetch_failed(id, why),
            SyncInput::Stream(outbox) => self.new_stream(&outbox),
            SyncInput::Answered { request, exchange } => self.answered(request, &exchange),
            SyncInput::Pulled { request, exchange } => self.pulled(request, exchange),
            SyncInput::NewestBundle(newest) => self.pull.set_newest(newest),
            SyncInput::HubLinkChanged => self.hub_link_changed(),
        }
        self.step();
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`SyncEngine::handle`] with [`SyncInput::Tick`] if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Uptime> {
        let sending = match self.state.until() {
            None if self.pull.is_asking() => None,
            None => Some(self.due()),
            until => until,
        };
        let pulling = (self.pull.is_asking() || self.may_pull()).then(|| self.pull.deadline());
        [sending, pulling].into_iter().flatten().min()
    }

    /// What sync is at, for people.
    #[must_use]
    pub fn status(&self) -> Status {
        let by_lane =
            |figure: fn(&LaneProgress) -> u64| Lane::ALL.map(|lane| (lane, figure(self.progress.of(lane)))).into();
        let next_try = match &self.state {
            State::Idle | State::Gathering => Some(self.due()),
            State::Fetching { .. } | State::Sending { .. } => None,
            State::BackingOff { .. } | State::Rejected { .. } | State::Conflict { .. } | State::Offline { .. } => {
                self.state.until()
            }
        };
        Status {
            state: self.state.name(),
            why: self.state.why().map(str::to_owned),
            next_try,
            last_success: self.last_success,
            unconfirmed: by_lane(LaneProgress::unconfirmed),
            confirmed: by_lane(LaneProgress::confirmed),
            counts: self.counts,
            traffic: self.meter.clone(),
            config: self.pull.status(),
        }
    }

    // --- time

    fn due(&self) -> Uptime {
        if self.search.is_some() || self.probe || self.doubted.is_some() {
            self.now
        } else {
            self.due_times.due(&self.progress, &self.setup.intervals)
        }
    }

    /// Waits that are over end here; what comes next begins in `step`.
    fn expire(&mut self) {
        if let Some(request) = self.pull.expire(self.now) {
            self.effects.push_back(Effect::Abandon { request });
        }
        if self.state.until().is_none_or(|until| until > self.now) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle | State::Gathering => {}
            State::Fetching { .. } => self.back_off(format!("the store did not answer within {STORE_TIMEOUT}"), None),
            State::Sending { sent, .. } => {
                self.effects.push_back(Effect::Abandon { request: sent.request });
                self.counts.failed += 1;
                self.slow(&sent, format!("no answer within {REQUEST_TIMEOUT}"));
            }
            State::BackingOff { .. } | State::Offline { .. } => self.rest(),
            State::Rejected { .. } => {
                self.probe = true;
                self.rest();
            }
            State::Conflict { .. } => {
                self.back_off(format!("the store did not begin a new stream within {STORE_TIMEOUT}"), None);
            }
        }
    }

    /// Begins what is due.
    fn step(&mut self) {
        if self.state.is_resting() && !self.pull.is_asking() && self.due() <= self.now {
            self.start();
        }
        if self.may_pull() && self.pull.deadline() <= self.now {
            let request = self.next_request();
            let effect = self.pull.start(self.now, request);
            self.effects.push_back(effect);
        }
    }

    /// A pull waits for a batch on its way, and for a hub that can be reached and accepts the key.
    fn may_pull(&self) -> bool {
        let has_room = matches!(self.state, State::Idle | State::Gathering | State::BackingOff { .. });
        has_room && !self.pull.is_asking()
    }

    // --- from rest to a batch on its way

    fn rest(&mut self) {
        self.due_times.notice(&self.progress, &self.setup.intervals, self.now);
        self.state = if self.progress.any_unconfirmed() { State::Gathering } else { State::Idle };
    }

    fn start(&mut self) {
        if self.probe || self.doubted.is_some() {
            return self.send_empty(BatchPurpose::Probe);
        }
        let everything = |lane, first, last| LaneRange {
            lane,
            first,
            last,
            max_rows: self.limit.rows(),
            max_bytes: MAX_FETCH_BYTES,
        };
        match self.search.as_ref().map(Search::next) {
            Some(None) => self.send_empty(BatchPurpose::Control),
            Some(Some(Suspect::Live)) => self.fetch(Vec::new(), true, BatchPurpose::Suspect),
            Some(Some(Suspect::Rows(lane, first, last))) => {
                self.fetch(vec![everything(lane, first, last)], false, BatchPurpose::Suspect);
            }
            None => {
                let limit = self.limit.rows();
                let (wanted, live) = self.due_times.plan(&self.progress, &self.setup.intervals, limit, self.now);
                if wanted.is_empty() && !live {
                    self.send_empty(BatchPurpose::Ordinary);
                } else {
                    self.fetch(wanted, live, BatchPurpose::Ordinary);
                }
            }
        }
    }

    fn fetch(&mut self, lanes: Vec<LaneRange>, live: bool, purpose: BatchPurpose) {
        let asked = RowsRequest { id: self.next_request(), lanes, live };
        self.effects.push_back(Effect::Fetch(asked.clone()));
        self.state = State::Fetching { asked, purpose, until: self.now + STORE_TIMEOUT };
    }

    fn send_empty(&mut self, purpose: BatchPurpose) {
        let batch = encoded_batch::empty(&self.setup, (self.stream, self.epoch));
        self.send(batch, purpose, false);
    }

    fn send(&mut self, batch: EncodedBatch, purpose: BatchPurpose, asked_live: bool) {
        let EncodedBatch { body, parts, live, shares } = batch;
        let sent = SentBatch { request: self.next_request(), purpose, parts, live, asked_live, shares };
        if body.len() > tilth_protocol::MAX_BATCH_BYTES {
            self.rest();
            return self.too_large(&sent, "more bytes than a batch may have", true);
        }
        let confirmed =
            self.epoch.map(|_| Confirmed(Lane::ALL.map(|lane| (lane, self.progress.of(lane).confirmed())).into()));
        self.effects.push_back(Effect::Send { request: sent.request, body, confirmed });
        self.state = State::Sending { sent, until: self.now + REQUEST_TIMEOUT };
    }

    // --- from the store

    fn committed(&mut self, heads: &Heads) {
        if heads.stream != self.stream {
            return;
        }
        for (&lane, &head) in &heads.lanes {
            self.progress.of_mut(lane).grow(head);
        }
        self.due_times.notice(&self.progress, &self.setup.intervals, self.now);
        if self.state.is_resting() {
            self.rest();
        }
    }

    fn fetched(&mut self, rows: Rows) {
        let (asked, purpose) = match &self.state {
            State::Fetching { asked, purpose, .. } if asked.id == rows.id => (asked.clone(), *purpose),
            _ => {
                self.counts.stray_answers += 1;
                return;
            }
        };
        if rows.stream != self.stream {
            return self.back_off("the store is in another stream and has not said so yet".to_owned(), None);
        }
        self.rest();
        let windows_traffic = windows_traffic(&self.progress, &asked.lanes);
        let backlog_through = rows.lanes.windows.as_ref().and_then(|extent| self.newest.look(extent));
        match encoded_batch::encode(&self.setup, (self.stream, self.epoch), &asked, rows, windows_traffic) {
            Ok(batch) => {
                if let Some(seq) = backlog_through {
                    self.progress.windows.backlog_through(seq);
                }
                self.send(batch, purpose, asked.live);
            }
            Err(EncodeError::Row(lane, seq, why)) => {
                self.search = None;
                self.quarantine_row(lane, seq, &why);
            }
            Err(EncodeError::Store(why)) => self.back_off(why, None),
        }
    }

    fn fetch_failed(&mut self, id: u64, why: String) {
        match &self.state {
            State::Fetching { asked, .. } if asked.id == id => self.back_off(why, None),
            _ => self.counts.stray_answers += 1,
        }
    }

    /// What the hub said over the link before, or its network, says nothing of this one. What is on its way is given up and
    /// goes again: it carries the key of before, and a refusal of that one would begin a long wait.
    fn hub_link_changed(&mut self) {
        self.doubted = None;
        let given_up = self.pull.try_again(self.now).or(match &self.state {
            State::Sending { sent, .. } => Some(sent.request),
            _ => None,
        });
        self.effects.extend(given_up.map(|request| Effect::Abandon { request }));
        match self.state {
            State::Idle | State::Gathering | State::Fetching { .. } | State::Conflict { .. } => {}
            State::Sending { .. } | State::Rejected { .. } | State::BackingOff { .. } | State::Offline { .. } => {
                self.probe |= matches!(self.state, State::Rejected { .. });
                self.hub_backoff.reset();
                self.offline.reset();
                self.rest();
            }
        }
    }

    fn new_stream(&mut self, outbox: &Outbox) {
        self.stream = outbox.stream;
        self.epoch = outbox.epoch;
        self.progress = progress_of(outbox);
        self.newest = Newest::default();
        self.search = None;
        self.quarantined.clear();
        self.due_times.restart(self.now);
        self.last_new_stream = Some(self.now);
        self.doubted = None;
        match &self.state {
            State::Sending { sent, .. } => {
                self.effects.push_back(Effect::Abandon { request: sent.request });
                self.rest();
            }
            State::Idle | State::Gathering | State::Fetching { .. } | State::Conflict { .. } => self.rest(),
            State::BackingOff { .. } | State::Rejected { .. } | State::Offline { .. } => {}
        }
    }

    // --- small things

    fn next_request(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    fn pulled(&mut self, request: u64, exchange: crate::transport::Exchange) {
        let traffic = Traffic { up: exchange.sent, down: exchange.received };
        match self.pull.answered(self.now, request, exchange) {
            None => self.counts.stray_answers += 1,
            Some(bundle) => {
                self.meter.count(TrafficKind::Config, traffic);
                self.effects.extend(bundle);
            }
        }
    }

    /// Reports a problem once, until it is over.
    fn report_problem(&mut self, kind: ProblemKind, reason: &str) {
        if self.problems.insert(kind) {
            self.effects.push_back(Effect::Report(Report::Problem(SyncProblem { kind, reason: reason.to_owned() })));
        }
    }

    fn problem_over(&mut self, kind: ProblemKind) {
        if self.problems.remove(&kind) {
            self.effects.push_back(Effect::Report(Report::ProblemOver(kind)));
        }
    }
}

fn progress_of(outbox: &Outbox) -> Progress {
    let mut progress = Progress::default();
    for (&lane, state) in &outbox.lanes {
        *progress.of_mut(lane) = LaneProgress::new(state.confirmed, state.head);
    }
    progress
}
