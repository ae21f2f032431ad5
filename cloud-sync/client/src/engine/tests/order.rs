//! A day's backlog over a bad line: what arrives when, how often, and what the engine keeps meanwhile.

use std::collections::BTreeSet;

use tilth_core::time::{Span, Uptime};
use tilth_protocol::Lane;

use super::bench::{broken, reply, setup};
use super::model::{Hub, Store};
use crate::engine::limits::MAX_ROWS;
use crate::engine::*;
use crate::transport::TransportErrorKind;

const SENSORS: u64 = 20;
const DAY: i64 = 24 * 60;

struct Line {
    store: Store,
    hub: Hub,
    engine: SyncEngine,
    now: Uptime,
    requests: u64,
    largest: usize,
    most_ranges: usize,
    /// Which requests get lost on their way up.
    loses: fn(u64) -> bool,
}

impl Line {
    fn after_a_day_offline(loses: fn(u64) -> bool) -> Line {
        let mut store = Store::new(1);
        for minute in 0..DAY {
            store.make_many(SENSORS, Lane::Windows, minute * 60_000);
        }
        store.make_many(30, Lane::Events, 0);
        store.make_many(5, Lane::Diagnostics, 0);
        let now = Uptime(DAY * 60_000);
        let engine = SyncEngine::new(now, setup(), &store.outbox(), NewestBundle::default());
        Line { store, hub: Hub::new(), engine, now, requests: 0, largest: 0, most_ranges: 0, loses }
    }

    /// Runs until all is at the hub, with a minute of windows each minute; how long that took.
    fn run(&mut self) -> Span {
        let begun = self.now;
        let mut minute = self.now;
        while !self.is_done() {
            assert!(self.now - begun < Span::from_mins(600), "{:?}", self.engine.status());
            while minute <= self.now {
                self.store.make_many(SENSORS, Lane::Windows, minute.0);
                minute = minute + Span::from_mins(1);
                self.input(SyncInput::Committed(self.store.heads()));
            }
            self.now = self.engine.deadline().unwrap().clamp(self.now, minute);
            self.input(SyncInput::Tick);
        }
        self.now - begun
    }

    fn is_done(&self) -> bool {
        Lane::ALL.iter().all(|lane| {
            let ledger = &self.store.lanes[lane];
            ledger.confirmed == ledger.cells.len() as u64
        })
    }

    fn input(&mut self, input: SyncInput) {
        self.engine.handle(self.now, input);
        while let Some(effect) = self.engine.poll() {
            let input = match effect {
                Effect::Fetch(ask) => SyncInput::Fetched(self.store.fetch(&ask)),
                Effect::Send { request, body, .. } => {
                    self.requests += 1;
                    self.largest = self.largest.max(body.len());
                    let exchange = if (self.loses)(self.requests) {
                        self.now = self.now + Span::from_secs(5);
                        broken(TransportErrorKind::CutOff)
                    } else {
                        self.now = self.now + Span::from_secs(2);
                        self.hub.take(&body)
                    };
                    SyncInput::Answered { request, exchange }
                }
                Effect::PullBundle { request, .. } => SyncInput::Pulled { request, exchange: reply(304, "") },
                Effect::Store(StoreCommand::Confirm { stream, confirmed }) => {
                    self.store.confirm(stream, &confirmed);
                    continue;
                }
                Effect::Store(StoreCommand::Rewind { stream, epoch, confirmed }) => {
                    self.store.epoch = Some(epoch);
                    self.store.confirm(stream, &confirmed);
                    continue;
                }
                _ => continue,
            };
            self.most_ranges = self.most_ranges.max(self.engine.progress.windows.ranges());
            self.engine.handle(self.now, input);
        }
    }
}

#[test]
fn the_newest_hour_first_then_the_rest_from_its_beginning_each_once() {
    for loses in [|_| false, |request| request % 3 != 0, |request| request % 7 > 3] {
        let loses: fn(u64) -> bool = loses;
        let mut line = Line::after_a_day_offline(loses);
        let offline = DAY as u64 * SENSORS;
        let took = line.run();

        let lanes: Vec<Lane> = line.hub.order.iter().map(|&(lane, _)| lane).collect();
        assert!(lanes[..30].iter().all(|&lane| lane == Lane::Events), "events go first");
        let windows: Vec<u64> = line
            .hub
            .order
            .iter()
            .filter(|(lane, seq)| *lane == Lane::Windows && *seq <= offline)
            .map(|&(_, seq)| seq)
            .collect();
        let distinct: BTreeSet<u64> = windows.iter().copied().collect();
        assert_eq!((windows.len() as u64, distinct.len() as u64), (offline, offline));
        assert_eq!(line.hub.repeats, 0, "what arrived is not sent again");

        // What was of the last hour when the line came back is there before anything of two hours ago, but for the rows at its
        // edge, which grow old while the line is bad; then the backlog comes in rising order.
        let hour = offline - 45 * SENSORS;
        let last_of_hour = windows.iter().rposition(|&seq| seq > hour).unwrap();
        let early: Vec<u64> = windows[..last_of_hour].iter().copied().filter(|&seq| seq <= hour).collect();
        assert!(early.len() <= MAX_ROWS, "{} rows of the backlog overtook the newest hour", early.len());
        assert!(early.iter().all(|&seq| seq > hour - 60 * SENSORS));
        let backlog: Vec<u64> = windows.iter().copied().filter(|&seq| seq <= offline - 120 * SENSORS).collect();
        assert!(backlog.is_sorted());

        assert!(line.largest < 300_000, "{} bytes at once", line.largest);
        assert!(line.most_ranges <= 4, "{} ranges", line.most_ranges);
        assert!(took < Span::from_mins(200), "{took}");
        let traffic = line.engine.status().traffic;
        assert!(traffic.of(TrafficKind::Backlog).up > traffic.of(TrafficKind::Windows).up);
    }
}

#[test]
fn minutes_that_close_during_a_backlog_do_not_wait_for_its_end() {
    let mut line = Line::after_a_day_offline(|request| request % 2 == 0);
    line.run();
    let offline = DAY as u64 * SENSORS;
    let first_new = line.hub.order.iter().position(|(lane, seq)| *lane == Lane::Windows && *seq > offline).unwrap();
    let last_old = line.hub.order.iter().rposition(|(lane, seq)| *lane == Lane::Windows && *seq <= offline).unwrap();
    assert!(first_new < last_old / 4, "{first_new} of {last_old}");
}

#[test]
fn a_restart_in_the_middle_repeats_at_most_what_went_ahead() {
    let mut line = Line::after_a_day_offline(|_| false);
    for _ in 0..9 {
        line.now = line.engine.deadline().unwrap().max(line.now);
        line.input(SyncInput::Tick);
    }
    assert!(!line.is_done());
    let ahead = line.hub.order.len() as u64 - line.store.lanes.values().map(|ledger| ledger.confirmed).sum::<u64>();
    line.engine = SyncEngine::new(line.now, setup(), &line.store.outbox(), NewestBundle::default());
    line.run();
    assert!(line.hub.repeats <= ahead, "{} of {ahead}", line.hub.repeats);
    assert!(ahead <= 60 * SENSORS + MAX_ROWS as u64);
}

#[test]
fn a_hub_that_keeps_nothing_ahead_of_its_prefix_still_gets_all() {
    let mut line = Line::after_a_day_offline(|_| false);
    // This hub forgets after each batch what is not contiguous.
    let mut rounds = 0;
    while !line.is_done() {
        let next = line.engine.deadline().unwrap().max(line.now);
        line.now = next;
        line.input(SyncInput::Tick);
        for ((stream, lane), accounts) in &mut line.hub.accounts.clone() {
            let prefix = line.hub.prefix(*stream, *lane);
            accounts.retain(|&seq, _| seq <= prefix);
            line.hub.accounts.insert((*stream, *lane), accounts.clone());
        }
        rounds += 1;
        assert!(rounds < 2_000, "{:?}", line.engine.status());
    }
}
