//! An engine on a bench: the test says what store and hub answer, and looks at what the engine does.

use std::collections::BTreeMap;

use tilth_core::id::{Id, SensorId};
use tilth_core::quantity::Quantity;
use tilth_core::reading::Quality;
use tilth_core::time::{Span, Stamp, Uptime, WallTime};
use tilth_core::windows::Grain;
use tilth_protocol::{
    Answer, Batch, Epoch, ErrorCode, Event, Extent, Failure, Lane, Lanes, Live, RejectedRow, Stream, WindowRow,
};

use crate::engine::limits::Intervals;
use crate::engine::*;
use crate::transport::{Exchange, Reply, TransportError, TransportErrorKind};

pub(super) const EPOCH: Epoch = Epoch(7);
pub(super) const STREAM: Stream = Stream(1);

/// The engine and the time. Everything that the engine does is in `did` until a test takes it.
pub(super) struct Bench {
    pub(super) engine: SyncEngine,
    pub(super) now: Uptime,
    pub(super) did: Vec<Effect>,
    /// Sequences per millisecond of uptime, upside down: how far apart windows begin.
    pub(super) apart: Span,
}

pub(super) fn setup() -> Setup {
    let id = |text| Id::new(text).unwrap();
    Setup { tenant: id("acme"), device: id("pi-7"), intervals: Intervals::default(), seed: 1 }
}

pub(super) fn outbox(events: u64, windows: u64) -> Outbox {
    let lane = |head| LaneState { confirmed: 0, head };
    let lanes = BTreeMap::from([(Lane::Events, lane(events)), (Lane::Windows, lane(windows))]);
    Outbox { stream: STREAM, epoch: Some(EPOCH), lanes }
}

pub(super) fn stamp(uptime: i64) -> Stamp {
    Stamp { boot: 1, uptime: Uptime(uptime), wall: None }
}

pub(super) fn event(seq: u64) -> Event {
    Event { seq, at: stamp(seq as i64), kind: "note".to_owned(), body: serde_json::Map::new() }
}

pub(super) fn window(seq: u64, start: i64) -> WindowRow {
    WindowRow {
        seq,
        sensor: SensorId::new("tower-1/ph").unwrap(),
        quantity: Quantity::Ph,
        resolution: 0.01,
        grain: Grain::Minute,
        start: stamp(start),
        revision: 0,
        bad: 1,
        count: 0,
        sums: None,
    }
}

pub(super) fn reply(status: u16, body: impl Into<Vec<u8>>) -> Exchange {
    Exchange { outcome: Ok(Reply { status, body: body.into(), ..Reply::default() }), sent: 100, received: 10 }
}

pub(super) fn refusal(code: ErrorCode) -> Exchange {
    let body = serde_json::to_vec(&Failure { error: code, message: "because".to_owned() }).unwrap();
    reply(code.status(), body)
}

pub(super) fn broken(kind: TransportErrorKind) -> Exchange {
    let error = TransportError { peer: "https://hub.example:443".to_owned(), kind, detail: "on purpose".to_owned() };
    Exchange { outcome: Err(error), sent: 0, received: 0 }
}

pub(super) fn answer(epoch: Epoch, confirmed: &[(Lane, u64)], rejected: Vec<RejectedRow>) -> Exchange {
    let confirmed = confirmed.iter().copied().collect();
    let answer = Answer { epoch, confirmed, rejected, config_version: None, now: WallTime(0) };
    reply(200, serde_json::to_vec(&answer).unwrap())
}

impl Bench {
    pub(super) fn new(outbox: &Outbox) -> Bench {
        let engine = SyncEngine::new(Uptime(0), setup(), outbox, NewestBundle::default());
        let mut bench = Bench { engine, now: Uptime(0), did: Vec::new(), apart: Span(60_000) };
        // Configuration is for other tests: answered once, and out of the way.
        bench.tick();
        bench
    }

    pub(super) fn input(&mut self, input: SyncInput) {
        self.engine.handle(self.now, input);
        while let Some(effect) = self.engine.poll() {
            match effect {
                Effect::PullBundle { request, .. } => {
                    self.engine.handle(self.now, SyncInput::Pulled { request, exchange: reply(304, "") });
                }
                effect => self.did.push(effect),
            }
        }
    }

    /// The store committed rows of the present stream.
    pub(super) fn waiting(&mut self, lane: Lane, head: u64) {
        let stream = self.engine.stream;
        self.input(SyncInput::Committed(Heads { stream, lanes: BTreeMap::from([(lane, head)]) }));
    }

    pub(super) fn tick(&mut self) {
        self.input(SyncInput::Tick);
    }

    /// Goes on for this long, by the engine's deadlines.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(deadline) = self.engine.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.tick();
            if self.waits_for_someone() {
                break;
            }
        }
        self.now = end.max(self.now);
        self.tick();
    }

    fn waits_for_someone(&self) -> bool {
        matches!(self.state(), StateName::Fetching | StateName::Sending | StateName::Conflict)
    }

    /// Goes to the next deadline.
    pub(super) fn next(&mut self) -> Span {
        let before = self.now;
        self.now = self.engine.deadline().expect("the engine always has something to come").max(self.now);
        self.tick();
        self.now - before
    }

    pub(super) fn state(&self) -> StateName {
        self.engine.status().state
    }

    /// What was done since the last look.
    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.did)
    }

    /// Goes on until the store is asked; the question.
    pub(super) fn until_asked(&mut self) -> RowsRequest {
        for _ in 0..200 {
            for effect in self.take() {
                if let Effect::Fetch(ask) = effect {
                    return ask;
                }
            }
            self.next();
        }
        panic!("the store is never asked: {:?}", self.engine.status());
    }

    /// What the store says to a question.
    pub(super) fn rows(&self, ask: &RowsRequest) -> Rows {
        let mut rows = Rows { id: ask.id, stream: self.engine.stream, lanes: Lanes::default(), live: Vec::new() };
        for wanted in &ask.lanes {
            let last = wanted.last.min(wanted.first + wanted.max_rows as u64 - 1);
            let (first, range) = (wanted.first, wanted.first..=last);
            match wanted.lane {
                Lane::Events => {
                    rows.lanes.events =
                        Some(Extent { first, last, rows: range.map(event).collect(), gaps: Vec::new() });
                }
                Lane::Windows => {
                    let windows = range.map(|seq| window(seq, seq as i64 * self.apart.0)).collect();
                    rows.lanes.windows = Some(Extent { first, last, rows: windows, gaps: Vec::new() });
                }
                Lane::Diagnostics => {
                    rows.lanes.diagnostics =
                        Some(Extent { first, last, rows: range.map(event).collect(), gaps: Vec::new() });
                }
            }
        }
        if ask.live {
            let sensor = SensorId::new("tower-1/ph").unwrap();
            let (at, quality) = (stamp(self.now.0), Quality::Good);
            rows.live = vec![Live { sensor, quantity: Quantity::Ph, at, value: 6.5, quality }];
        }
        rows
    }

    /// Goes on, answering the store's part, until a batch leaves.
    pub(super) fn until_sent(&mut self) -> (u64, Batch) {
        for _ in 0..200 {
            for effect in self.take() {
                match effect {
                    Effect::Send { request, body, .. } => return (request, serde_json::from_slice(&body).unwrap()),
                    Effect::Fetch(ask) => {
                        let rows = self.rows(&ask);
                        self.input(SyncInput::Fetched(rows));
                    }
                    _ => {}
                }
            }
            if self.did.is_empty() {
                self.next();
            }
        }
        panic!("nothing is ever sent: {:?}", self.engine.status());
    }

    pub(super) fn answered(&mut self, request: u64, exchange: Exchange) {
        self.input(SyncInput::Answered { request, exchange });
    }
}

pub(super) fn nothing(id: u64) -> Rows {
    Rows { id, stream: STREAM, lanes: Lanes::default(), live: Vec::new() }
}

pub(super) fn confirm(lane: Lane, seq: u64) -> Effect {
    Effect::Store(StoreCommand::Confirm { stream: STREAM, confirmed: BTreeMap::from([(lane, seq)]) })
}
