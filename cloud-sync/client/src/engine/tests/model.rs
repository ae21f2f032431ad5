//! A store and a hub, as naive as they can be: a list of cells here, a map of sequences there.

use std::collections::{BTreeMap, BTreeSet};

use tilth_protocol::{
    Batch, Epoch, ErrorCode, Event, Extent, Gap, GapKind, Lane, Lanes, RejectedRow, Sequenced, Stream, WindowRow,
};

use super::bench::{answer, event, refusal, window};
use crate::engine::{Heads, LaneRange, LaneState, Outbox, Rows, RowsRequest};
use crate::transport::Exchange;

/// State of one sequence at the store. Each row has a number of its own, over all streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Row { id: u32, start: i64 },
    Lost,
    Quarantined { id: u32 },
}

#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub(super) confirmed: u64,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) stream: Stream,
    pub(super) epoch: Option<Epoch>,
    pub(super) lanes: BTreeMap<Lane, Ledger>,
    pub(super) last_id: u32,
}

impl Store {
    pub(super) fn new(stream: u128) -> Store {
        let lanes = Lane::ALL.map(|lane| (lane, Ledger::default())).into();
        Store { stream: Stream(stream), epoch: None, lanes, last_id: 0 }
    }

    /// Commits a row that began at `start`.
    pub(super) fn make(&mut self, lane: Lane, start: i64) -> u32 {
        self.last_id += 1;
        let cell = Cell::Row { id: self.last_id, start };
        self.lanes.get_mut(&lane).unwrap().cells.push(cell);
        self.last_id
    }

    pub(super) fn make_many(&mut self, count: u64, lane: Lane, start: i64) {
        for _ in 0..count {
            self.make(lane, start);
        }
    }

    pub(super) fn heads(&self) -> Heads {
        let lanes = self.lanes.iter().map(|(&lane, ledger)| (lane, ledger.cells.len() as u64)).collect();
        Heads { stream: self.stream, lanes }
    }

    pub(super) fn outbox(&self) -> Outbox {
        let state = |ledger: &Ledger| LaneState { confirmed: ledger.confirmed, head: ledger.cells.len() as u64 };
        let lanes = self.lanes.iter().map(|(&lane, ledger)| (lane, state(ledger))).collect();
        Outbox { stream: self.stream, epoch: self.epoch, lanes }
    }

    pub(super) fn fetch(&self, ask: &RowsRequest) -> Rows {
        let mut lanes = Lanes::default();
        for wanted in &ask.lanes {
            match wanted.lane {
                Lane::Events => lanes.events = Some(self.extent(wanted, note)),
                Lane::Windows => lanes.windows = Some(self.extent(wanted, minute)),
                Lane::Diagnostics => lanes.diagnostics = Some(self.extent(wanted, note)),
            }
        }
        Rows { id: ask.id, stream: self.stream, lanes, live: Vec::new() }
    }

    fn extent<R>(&self, wanted: &LaneRange, row: fn(u64, u32, i64) -> R) -> Extent<R> {
        let cells = &self.lanes[&wanted.lane].cells;
        let mut extent = Extent { first: wanted.first, last: wanted.first, rows: Vec::new(), gaps: Vec::new() };
        for seq in wanted.first..=wanted.last {
            let kind = match cells[seq as usize - 1] {
                Cell::Row { .. } if extent.rows.len() == wanted.max_rows => break,
                Cell::Row { id, start } => {
                    extent.rows.push(row(seq, id, start));
                    extent.last = seq;
                    continue;
                }
                Cell::Lost => GapKind::Lost,
                Cell::Quarantined { .. } => GapKind::Quarantined,
            };
            extent.last = seq;
            match extent.gaps.last_mut().filter(|gap: &&mut Gap| gap.last + 1 == seq && gap.kind == kind) {
                Some(gap) => gap.last = seq,
                None => extent.gaps.push(Gap { first: seq, last: seq, kind, reason: "gone".to_owned() }),
            }
        }
        extent
    }

    pub(super) fn confirm(&mut self, stream: Stream, confirmed: &BTreeMap<Lane, u64>) {
        for (lane, &seq) in confirmed.iter().filter(|_| stream == self.stream) {
            self.lanes.get_mut(lane).unwrap().confirmed = seq;
        }
    }

    pub(super) fn quarantine(&mut self, stream: Stream, lane: Lane, seq: u64) {
        let cell = &mut self.lanes.get_mut(&lane).unwrap().cells[seq as usize - 1];
        if let Cell::Row { id, .. } = *cell
            && stream == self.stream
        {
            *cell = Cell::Quarantined { id };
        }
    }

    /// Retention: confirmed rows go.
    pub(super) fn trim(&mut self) {
        for ledger in self.lanes.values_mut() {
            ledger.cells[..ledger.confirmed as usize].fill(Cell::Lost);
        }
    }

    /// What is not confirmed goes on under a new name, in the same order.
    pub(super) fn new_stream(&mut self, stream: u128) {
        self.stream = Stream(stream);
        for ledger in self.lanes.values_mut() {
            ledger.cells.drain(..ledger.confirmed as usize);
            ledger.confirmed = 0;
        }
    }
}

/// An event that carries its row's number.
fn note(seq: u64, id: u32, _: i64) -> Event {
    let mut event = event(seq);
    event.body.insert("id".to_owned(), id.into());
    event
}

/// A window that carries its row's number in a field that means nothing here.
fn minute(seq: u64, id: u32, start: i64) -> WindowRow {
    WindowRow { bad: id, ..window(seq, start) }
}

/// What the hub knows of one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    Row(u32),
    Gap(GapKind),
}

#[derive(Debug, Clone)]
pub(super) struct Hub {
    pub(super) epoch: Epoch,
    pub(super) accounts: BTreeMap<(Stream, Lane), BTreeMap<u64, Account>>,
    /// Numbers of rows that it cannot store.
    pub(super) rejected: BTreeSet<u32>,
    /// Whether it names rejected rows in its answer, or fails to read the batch.
    pub(super) names_rejected: bool,
    /// Rows in the order in which they first came.
    pub(super) order: Vec<(Lane, u64)>,
    /// Rows that it had.
    pub(super) repeats: u64,
    /// Every row that it ever had, also before it was restored.
    pub(super) ever: BTreeSet<u32>,
    /// A sequence came with another row than the one it had.
    pub(super) had_other_row: bool,
}

impl Hub {
    pub(super) fn new() -> Hub {
        let (accounts, rejected, order) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let (names_rejected, had_other_row) = (false, false);
        let ever = BTreeSet::new();
        Hub { epoch: Epoch(1), accounts, rejected, names_rejected, order, repeats: 0, ever, had_other_row }
    }

    /// Takes a batch, whole or not at all.
    pub(super) fn take(&mut self, body: &[u8]) -> Exchange {
        let batch: Batch = serde_json::from_slice(body).expect("the engine writes batches");
        batch.check().expect("the engine sends no batch that is not accounted for");
        let incoming = incoming(&batch.lanes);
        let is_rejected = |account: &Account| matches!(account, Account::Row(id) if self.rejected.contains(id));
        let bad: Vec<(Lane, u64)> =
            incoming.iter().filter(|(_, _, account)| is_rejected(account)).map(|&(lane, seq, _)| (lane, seq)).collect();
        if !bad.is_empty() && !self.names_rejected {
            return refusal(ErrorCode::BadRequest);
        }
        for &(lane, seq, account) in &incoming {
            let known = self.accounts.get(&(batch.stream, lane)).and_then(|lane| lane.get(&seq));
            if let (Account::Row(_), Some(&known)) = (account, known)
                && known != account
            {
                self.had_other_row |= matches!(known, Account::Row(_));
                return refusal(ErrorCode::StreamConflict);
            }
        }
        for (lane, seq, account) in incoming.into_iter().filter(|(lane, seq, _)| !bad.contains(&(*lane, *seq))) {
            let accounts = self.accounts.entry((batch.stream, lane)).or_default();
            let std::collections::btree_map::Entry::Vacant(place) = accounts.entry(seq) else {
                self.repeats += 1;
                continue;
            };
            place.insert(account);
            if let Account::Row(id) = account {
                self.ever.insert(id);
                self.order.push((lane, seq));
            }
        }
        let confirmed: Vec<(Lane, u64)> =
            Lane::ALL.into_iter().map(|lane| (lane, self.prefix(batch.stream, lane))).collect();
        let reason = || "never".to_owned();
        let rejected = bad.into_iter().map(|(lane, seq)| RejectedRow { lane, seq, reason: reason() }).collect();
        answer(self.epoch, &confirmed, rejected)
    }

    pub(super) fn prefix(&self, stream: Stream, lane: Lane) -> u64 {
        let Some(accounts) = self.accounts.get(&(stream, lane)) else { return 0 };
        if accounts.last_key_value().is_some_and(|(&last, _)| last == accounts.len() as u64) {
            return accounts.len() as u64;
        }
        (1..).zip(accounts.keys()).take_while(|(expected, seq)| expected == *seq).count() as u64
    }

    /// Every row's number, over all streams.
    pub(super) fn ids(&self) -> BTreeSet<u32> {
        let rows = self.accounts.values().flat_map(BTreeMap::values);
        rows.filter_map(|account| if let Account::Row(id) = account { Some(*id) } else { None }).collect()
    }
}

fn incoming(lanes: &Lanes) -> Vec<(Lane, u64, Account)> {
    fn of<R: Sequenced>(
        lane: Lane,
        extent: Option<&Extent<R>>,
        id: fn(&R) -> u32,
        all: &mut Vec<(Lane, u64, Account)>,
    ) {
        let Some(extent) = extent else { return };
        all.extend(extent.rows.iter().map(|row| (lane, row.seq(), Account::Row(id(row)))));
        for gap in &extent.gaps {
            all.extend((gap.first..=gap.last).map(|seq| (lane, seq, Account::Gap(gap.kind))));
        }
    }
    let note = |event: &Event| event.body["id"].as_u64().unwrap() as u32;
    let mut all = Vec::new();
    of(Lane::Events, lanes.events.as_ref(), note, &mut all);
    of(Lane::Windows, lanes.windows.as_ref(), |row| row.bad, &mut all);
    of(Lane::Diagnostics, lanes.diagnostics.as_ref(), note, &mut all);
    all
}
