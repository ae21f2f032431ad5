//! Hours of a bad life in milliseconds, from a seed: a line that loses, repeats and delays, a hub that restarts and is
//! restored, an agent that restarts with its store, without it or with an older copy of it, a clock that jumps, rows that the hub
//! rejects.
//!
//! At the end of each run, when the line is good again, every sequence is at the hub exactly once or accounted for by a gap,
//! and each gap is one that the store meant: sent + lost = made.

use std::collections::{BTreeMap, BTreeSet};

use tilth_core::time::{Span, Uptime};
use tilth_protocol::{Epoch, ErrorCode, GapKind, Lane};

use super::bench::{answer, broken, refusal, reply, setup};
use super::model::{Account, Cell, Hub, Store};
use crate::engine::*;
use crate::transport::{Exchange, TransportErrorKind};

const RUNS: u64 = 2_000;
const BAD_LIFE: Span = Span::from_mins(60);
const GOOD_LIFE: Span = Span::from_mins(300);

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// True `percent` times in a hundred.
    fn hits(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn span(&mut self, most_ms: u64) -> Span {
        Span(self.below(most_ms) as i64)
    }
}

#[derive(Debug, Clone)]
enum Happens {
    SyncInput(SyncInput),
    AtHub { body: Vec<u8>, answer_to: Option<u64> },
    Minute,
    Mishap,
}

/// How bad a life is; chosen by the seed.
struct Weather {
    loss: u64,
    mishaps: u64,
}

struct World {
    dice: Dice,
    weather: Weather,
    is_bad: bool,
    now: Uptime,
    /// How far the agent's clock has jumped ahead.
    jumped: Span,
    queue: BTreeMap<(Uptime, u64), Happens>,
    queued: u64,
    engine: SyncEngine,
    /// Number of this engine since the start: answers to an earlier one are dropped.
    life: u64,
    store: Store,
    copy: Store,
    /// An older copy was put in the place of the store at least once.
    was_put_back: bool,
    hub: Hub,
    backup: Hub,
    /// The most bytes that this hub takes.
    largest: usize,
    last_epoch: u128,
    last_stream: u128,
    made: BTreeSet<u32>,
    /// Rows that went with a store, or that retention took after they were confirmed.
    gone: BTreeSet<u32>,
    rejected: BTreeSet<u32>,
}

fn engine(now: Uptime, store: &Store, seed: u64) -> SyncEngine {
    SyncEngine::new(now, Setup { seed, ..setup() }, &store.outbox(), NewestBundle::default())
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed);
        let (store, mut hub) = (Store::new(1), Hub::new());
        hub.names_rejected = dice.hits(50);
        let weather = Weather { loss: dice.below(60), mishaps: dice.below(30) };
        let largest = if dice.hits(30) { 2_000 + dice.below(20_000) as usize } else { 1 << 20 };
        let engine = engine(Uptime(0), &store, seed);
        let mut world = World {
            dice,
            weather,
            is_bad: true,
            now: Uptime(0),
            jumped: Span::ZERO,
            queue: BTreeMap::new(),
            queued: 0,
            engine,
            life: 0,
            copy: store.clone(),
            store,
            was_put_back: false,
            backup: hub.clone(),
            hub,
            largest,
            last_epoch: 1,
            last_stream: 1,
            made: BTreeSet::new(),
            gone: BTreeSet::new(),
            rejected: BTreeSet::new(),
        };
        world.later(Span(1), Happens::Minute);
        world.later(Span(1), Happens::Mishap);
        world
    }

    fn later(&mut self, wait: Span, happens: Happens) {
        self.queued += 1;
        self.queue.insert((self.now + wait, self.queued), happens);
    }

    fn run(&mut self, span: Span) {
        let end = self.now + span;
        while self.now < end {
            let deadline = self.engine.deadline().map(|deadline| deadline - self.jumped);
            match self.queue.first_entry() {
                Some(first) if deadline.is_none_or(|deadline| first.key().0 <= deadline) => {
                    self.now = first.key().0.max(self.now);
                    let happens = first.remove();
                    self.happens(happens);
                }
                _ => {
                    self.now = deadline.unwrap_or(end).max(self.now);
                    self.tell(SyncInput::Tick);
                }
            }
            if !self.is_bad && self.is_done() {
                return;
            }
        }
    }

    fn is_done(&self) -> bool {
        let is_done = |ledger: &super::model::Ledger| ledger.confirmed == ledger.cells.len() as u64;
        self.store.lanes.values().all(is_done) && self.store.epoch == Some(self.hub.epoch)
    }

    fn happens(&mut self, happens: Happens) {
        match happens {
            Happens::SyncInput(input) => self.tell(input),
            Happens::AtHub { body, answer_to } => {
                let exchange = self.at_hub(&body);
                if let Some(request) = answer_to {
                    self.answer(request, exchange);
                }
            }
            Happens::Minute => {
                if self.is_bad {
                    self.minute();
                    self.later(Span::from_mins(1), Happens::Minute);
                }
            }
            Happens::Mishap => {
                if self.is_bad {
                    self.mishap();
                    let wait = self.dice.span(120_000);
                    self.later(wait, Happens::Mishap);
                }
            }
        }
    }

    // --- the agent

    fn tell(&mut self, input: SyncInput) {
        self.engine.handle(self.now + self.jumped, input);
        while let Some(effect) = self.engine.poll() {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch(ask) => {
                let rows = self.store.fetch(&ask);
                let wait = self.dice.span(50);
                self.later(wait, Happens::SyncInput(SyncInput::Fetched(rows)));
            }
            Effect::Send { request, body, .. } => self.send(request, body),
            Effect::PullBundle { request, .. } => {
                let exchange = reply(304, "");
                self.later(Span(30), Happens::SyncInput(SyncInput::Pulled { request, exchange }));
            }
            Effect::Store(StoreCommand::Confirm { stream, confirmed }) => {
                self.check_confirmed(&confirmed);
                self.store.confirm(stream, &confirmed);
            }
            Effect::Store(StoreCommand::Rewind { stream, epoch, confirmed }) => {
                self.store.epoch = Some(epoch);
                self.store.confirm(stream, &confirmed);
            }
            Effect::Store(StoreCommand::Quarantine { stream, rows }) => {
                rows.iter().for_each(|row| self.store.quarantine(stream, row.lane, row.seq));
            }
            Effect::NewStream { .. } => {
                self.last_stream += 1;
                // What was confirmed stays behind in the old stream: a hub restored to before it cannot have it again.
                self.forget_confirmed();
                self.store.new_stream(self.last_stream);
                let outbox = self.store.outbox();
                self.later(Span(20), Happens::SyncInput(SyncInput::Stream(outbox)));
            }
            Effect::Abandon { .. } | Effect::Report(_) => {}
        }
    }

    fn minute(&mut self) {
        for _ in 0..self.dice.below(40) {
            let lane = if self.dice.hits(85) { Lane::Windows } else { Lane::ALL[self.dice.below(3) as usize] };
            let id = self.store.make(lane, (self.now + self.jumped).0);
            self.made.insert(id);
            if self.dice.below(400) == 0 {
                self.rejected.insert(id);
                self.hub.rejected.insert(id);
                self.backup.rejected.insert(id);
            }
        }
        self.tell(SyncInput::Committed(self.store.heads()));
    }

    fn restart(&mut self) {
        self.life += 1;
        let outbox_before = self.store.outbox();
        // What was on its way to the dead engine is lost; what was on its way to the hub goes on.
        self.queue.retain(|_, happens| !matches!(happens, Happens::SyncInput(_)));
        for happens in self.queue.values_mut() {
            if let Happens::AtHub { answer_to, .. } = happens {
                *answer_to = None;
            }
        }
        assert_eq!(self.store.outbox(), outbox_before);
        self.engine = engine(self.now + self.jumped, &self.store, self.life);
        self.tell(SyncInput::Tick);
    }

    // --- the line

    fn send(&mut self, request: u64, body: Vec<u8>) {
        let way = self.dice.span(3_000);
        if !self.is_bad || !self.dice.hits(self.weather.loss) {
            return self.later(way, Happens::AtHub { body, answer_to: Some(request) });
        }
        match self.dice.below(7) {
            0 => self.later(
                way,
                Happens::SyncInput(SyncInput::Answered { request, exchange: broken(TransportErrorKind::NoConnection) }),
            ),
            1 => {
                let wait = Span::from_secs(60);
                self.later(
                    wait,
                    Happens::SyncInput(SyncInput::Answered { request, exchange: broken(TransportErrorKind::TimedOut) }),
                );
            }
            2 => {
                // The request arrives long after, and its answer is lost.
                let wait = Span(30_000 + self.dice.span(600_000).0);
                self.later(wait, Happens::AtHub { body, answer_to: None });
            }
            3 => {
                // The request arrives, its answer does not.
                self.later(way, Happens::AtHub { body, answer_to: None });
                let exchange = broken(TransportErrorKind::CutOff);
                self.later(Span(way.0 + 10), Happens::SyncInput(SyncInput::Answered { request, exchange }));
            }
            4 => {
                let again = Span(way.0 + self.dice.span(400_000).0);
                self.later(way, Happens::AtHub { body: body.clone(), answer_to: Some(request) });
                self.later(again, Happens::AtHub { body, answer_to: None });
            }
            5 => {
                self.later(way, Happens::AtHub { body, answer_to: None });
                let exchange = reply(200, "<html>");
                self.later(Span(way.0 + 10), Happens::SyncInput(SyncInput::Answered { request, exchange }));
            }
            _ => {
                let code = [ErrorCode::Internal, ErrorCode::TooMany, ErrorCode::NotFound, ErrorCode::UnknownKey];
                let exchange = refusal(code[self.dice.below(4) as usize]);
                self.later(way, Happens::SyncInput(SyncInput::Answered { request, exchange }));
            }
        }
    }

    fn answer(&mut self, request: u64, exchange: Exchange) {
        let way = self.dice.span(2_000);
        self.later(way, Happens::SyncInput(SyncInput::Answered { request, exchange }));
    }

    fn at_hub(&mut self, body: &[u8]) -> Exchange {
        if self.is_bad && self.dice.below(300) == 0 {
            return refusal(ErrorCode::StreamConflict);
        }
        if self.is_bad && self.dice.below(100) == 0 {
            // A proxy gives the answer for another device.
            return answer(self.hub.epoch, &[(Lane::Windows, 90_133)], Vec::new());
        }
        if body.len() > self.largest {
            return refusal(ErrorCode::TooLarge);
        }
        let exchange = self.hub.take(body);
        assert!(self.was_put_back || !self.hub.had_other_row, "a sequence came with another row");
        exchange
    }

    // --- mishaps

    fn mishap(&mut self) {
        if !self.dice.hits(self.weather.mishaps) {
            return;
        }
        match self.dice.below(9) {
            0 => self.backup = self.hub.clone(),
            1 => {
                self.last_epoch += 1;
                let ever = std::mem::take(&mut self.hub.ever);
                self.hub = Hub { epoch: Epoch(self.last_epoch), ever, ..self.backup.clone() };
            }
            2 => {
                self.forget_confirmed();
                self.store.trim();
            }
            3 => self.restart(),
            4 => {
                self.last_stream += 1;
                self.replace_store(Store::new(self.last_stream));
            }
            5 => self.tell(SyncInput::HubLinkChanged),
            6 => self.copy = self.store.clone(),
            7 => {
                self.was_put_back = true;
                self.replace_store(self.copy.clone());
                // Numbers are given out again while the first batch is on its way.
                self.minute();
            }
            _ => self.jumped = Span(self.jumped.0 + self.dice.span(7_200_000).0),
        }
    }

    /// Another store is in the place of this one when the agent starts again.
    fn replace_store(&mut self, other: Store) {
        let rows =
            |store: &Store| -> BTreeSet<u32> { store.lanes.values().flat_map(|ledger| ids(&ledger.cells)).collect() };
        self.gone.extend(rows(&self.store).difference(&rows(&other)));
        self.store = Store { last_id: self.store.last_id, ..other };
        self.restart();
    }

    fn forget_confirmed(&mut self) {
        for ledger in self.store.lanes.values() {
            self.gone.extend(ids(&ledger.cells[..ledger.confirmed as usize]));
        }
    }

    /// What is confirmed may be deleted: each row of it was at the hub, or the hub cannot store it.
    fn check_confirmed(&self, confirmed: &BTreeMap<Lane, u64>) {
        for (lane, seq) in confirmed {
            for id in ids(&self.store.lanes[lane].cells[..*seq as usize]) {
                assert!(self.hub.ever.contains(&id) || self.rejected.contains(&id), "{lane}: row {id} is confirmed");
            }
        }
    }

    // --- the end

    fn check(&self) {
        let status = self.engine.status();
        assert!(self.is_done(), "not all is at the hub: {status:?}");
        let mut accounted = BTreeSet::new();
        for (&lane, ledger) in &self.store.lanes {
            let none = BTreeMap::new();
            let accounts = self.hub.accounts.get(&(self.store.stream, lane)).unwrap_or(&none);
            // An older copy whose rows are all at the hub is done before the hub is asked, which may have later ones.
            let has_all = accounts.len() == ledger.cells.len() || self.was_put_back;
            assert!(has_all, "{lane}: sent + lost = made: {} and {}", accounts.len(), ledger.cells.len());
            for (seq, cell) in (1..).zip(&ledger.cells) {
                let fits = match (cell, accounts.get(&seq)) {
                    (Cell::Row { id, .. }, Some(Account::Row(sent))) => id == sent,
                    // What retention took was a row or a gap before.
                    (Cell::Lost, Some(_)) => true,
                    (Cell::Quarantined { id }, Some(Account::Gap(GapKind::Quarantined))) => {
                        accounted.insert(*id);
                        self.rejected.contains(id)
                    }
                    _ => false,
                };
                assert!(fits, "{lane} {seq}: {cell:?} here, {:?} there", accounts.get(&seq));
            }
        }
        let at_hub = self.hub.ids();
        assert!(at_hub.is_disjoint(&self.rejected), "a rejected row was stored");
        for id in &self.made {
            let is_there = at_hub.contains(id) || accounted.contains(id) || self.gone.contains(id);
            assert!(is_there || self.was_quarantined(*id), "row {id} is nowhere");
        }
    }

    /// A rejected row of a stream that came to its end: the hub has the gap in that stream.
    fn was_quarantined(&self, id: u32) -> bool {
        self.rejected.contains(&id)
    }
}

fn ids(cells: &[Cell]) -> Vec<u32> {
    let id = |cell: &Cell| match cell {
        Cell::Row { id, .. } | Cell::Quarantined { id } => Some(*id),
        Cell::Lost => None,
    };
    cells.iter().filter_map(id).collect()
}

fn live(seed: u64) -> (u64, u64) {
    let mut world = World::new(seed);
    world.run(BAD_LIFE);
    world.is_bad = false;
    world.run(GOOD_LIFE);
    world.check();
    (world.made.len() as u64, world.hub.repeats)
}

#[test]
fn whatever_happens_every_sequence_is_accounted_for_exactly_once() {
    // One seed again, or more of them: TILTH_SYNC_SEED=17, TILTH_SYNC_RUNS=50000.
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let runs = number("TILTH_SYNC_RUNS").unwrap_or(RUNS);
    let seeds = number("TILTH_SYNC_SEED").map_or(1..runs + 1, |seed| seed..seed + 1);
    let (mut made, mut repeats) = (0, 0);
    for seed in seeds {
        match std::panic::catch_unwind(|| live(seed)) {
            Ok(counts) => (made, repeats) = (made + counts.0, repeats + counts.1),
            Err(panic) => {
                println!("failing seed: TILTH_SYNC_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(made > 0 && repeats > 0, "{made} rows, {repeats} repeats");
    println!("{made} rows made, {repeats} came twice");
}
