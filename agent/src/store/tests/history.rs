//! Months in random order, copied as a power cut would leave them after each step, and opened again.
//!
//! Guards against: a row that was committed and is gone, a sequence that nothing accounts for, a confirmation ahead of what
//! was committed, a window that a restart counts twice.

use std::collections::BTreeMap;

use tilth_core::time::Span;
use tilth_protocol::RejectedRow;
use tilth_protocol::{Epoch, Event, GapKind, Lane, WindowRow};

use super::farm::{Chance, Farm, Folder, alert, booted, note, open};
use super::law;
use crate::store::{Found, Store};

/// What must be there, by sequence.
#[derive(Default)]
struct Truth {
    windows: BTreeMap<u64, WindowRow>,
    events: BTreeMap<u64, Event>,
}

impl Truth {
    /// Learns what a commit added, and that nothing else changed.
    fn learn(&mut self, store: &Store) {
        let after = self.windows.keys().last().copied().unwrap_or(0);
        self.windows.extend(law::windows(store.reader(), after).rows);
        let after = self.events.keys().last().copied().unwrap_or(0);
        self.events.extend(law::events(store.reader(), Lane::Events, after).rows);
    }

    fn check(&self, store: &Store, quarantined: &[u64]) {
        let after = |lane| store.lanes().of(lane).confirmed;
        let windows = law::windows(store.reader(), after(Lane::Windows));
        let expected = self.windows.range(after(Lane::Windows) + 1..).filter(|row| !quarantined.contains(row.0));
        assert!(windows.rows.iter().eq(expected));
        let events = law::events(store.reader(), Lane::Events, after(Lane::Events));
        assert!(events.rows.iter().eq(self.events.range(after(Lane::Events) + 1..)));
    }
}

/// Says how many rows were checked.
fn random_history(seed: u64, steps: u32) -> usize {
    let mut chance = Chance::new(seed);
    let (folder, mut farm, mut truth) = (Folder::new(), Farm::new(6), Truth::default());
    let mut store = booted(&folder);
    let (mut quarantined, mut readings, mut checked) = (Vec::new(), 0, 0);
    for step in 0..steps {
        match chance.below(12) {
            0..8 => {
                for _ in 0..chance.below(40) {
                    farm.wait(Span(chance.below(8000) as i64));
                    let behind = if chance.one_in(9) { chance.below(2_000_000) } else { chance.below(3) };
                    farm.read(chance.below(6) as u32, chance.below(3000) as f64 / 100.0, Span(behind as i64));
                }
                let mut commit = farm.take();
                if chance.one_in(3) {
                    commit.events.push(note(farm.now, &format!("step {step}")));
                    commit.diagnostics.push(note(farm.now, "fine"));
                }
                readings += commit.readings.len();
                store.commit(&commit).unwrap();
                truth.learn(&store);
            }
            8 => {
                let lane = Lane::ALL[chance.below(3) as usize];
                let state = store.lanes().of(lane);
                let seq = chance.below(state.committed + 3);
                let expected = seq > state.confirmed && seq <= state.committed;
                assert_eq!(store.confirm(lane, seq), expected);
            }
            9 => store.flush().unwrap(),
            10 if chance.one_in(4) => {
                let lane = store.lanes().of(Lane::Windows);
                let seq = lane.confirmed + 1 + chance.below(lane.waiting() + 1);
                let row = RejectedRow { lane: Lane::Windows, seq, reason: "poison".to_owned() };
                store.quarantine(&[row]).unwrap();
                quarantined.extend((seq <= lane.committed).then_some(seq));
            }
            10 => {
                let confirmed = store.lanes().confirmed();
                let back = confirmed.into_iter().map(|(lane, seq)| (lane, chance.below(seq + 1)));
                store.rewind(Epoch(u128::from(step)), &back.collect()).unwrap();
            }
            _ => {
                store.flush().unwrap();
                let machine = if chance.one_in(2) { "machine-1" } else { "machine-2" };
                drop(store);
                let options = crate::store::Options { machine: Some(machine.to_owned()), ..super::farm::options() };
                store = Store::open(&folder.database(), &options).unwrap().0;
                assert_eq!(store.begin_boot("boot-a", 0).unwrap().0, 1);
                // Under a new stream everything before it is one gap, and is no longer told.
            }
        }
        law::holds(&store);
        let copy = folder.copy();
        let machine = store.reader().0.query_row("SELECT machine FROM meta", [], |row| row.get(0)).unwrap();
        let options = crate::store::Options { machine, ..super::farm::options() };
        let (cut, opened) = Store::open(&copy.database(), &options).unwrap();
        assert_eq!((opened.found, opened.new_stream), (Found::Database, None));
        assert_eq!(cut.stream(), store.stream());
        for lane in Lane::ALL {
            let (cut, live) = (cut.lanes().of(lane), store.lanes().of(lane));
            assert_eq!(cut.committed, live.committed);
            assert!(cut.confirmed <= live.confirmed);
        }
        law::holds(&cut);
        let gaps = law::windows(store.reader(), 0).gaps;
        let told =
            |seq: &u64| !gaps.iter().any(|gap| gap.kind == GapKind::Replaced && (gap.first..=gap.last).contains(seq));
        truth.windows.retain(|seq, _| told(seq) || quarantined.contains(seq));
        let gaps = law::events(store.reader(), Lane::Events, 0).gaps;
        truth.events.retain(|seq, _| !gaps.iter().any(|gap| (gap.first..=gap.last).contains(seq)));
        truth.check(&cut, &quarantined);
        assert_eq!(cut.reader().readings_after(0).unwrap().len(), readings);
        checked += law::windows(cut.reader(), 0).rows.len();
    }
    checked
}

#[test]
fn every_committed_row_is_there_after_a_cut_at_any_step() {
    let checked: usize = (0..4).map(|seed| random_history(seed, 60)).sum();
    assert!(checked > 10_000, "{checked} rows");
}

/// A log that ends anywhere opens as an earlier moment, never as a damaged file or with a hole.
#[test]
fn a_torn_log_loses_only_its_end() {
    let (folder, mut farm) = (Folder::new(), Farm::new(3));
    let mut store = booted(&folder);
    for minute in 0..6 {
        for _ in 0..20 {
            farm.wait(Span(3000));
            farm.read(minute % 3, 20.0, Span(0));
        }
        let mut commit = farm.take();
        commit.events.push(alert(farm.now, "z/high/s0", 1, false));
        store.commit(&commit).unwrap();
    }
    let whole = store.lanes();
    let log = std::fs::read(folder.path().join("tilth.db-wal")).unwrap();
    let mut chance = Chance::new(7);
    let mut earlier = 0;
    for _ in 0..60 {
        let copy = folder.copy();
        let length = chance.below(log.len() as u64) as usize;
        std::fs::write(copy.path().join("tilth.db-wal"), &log[..length]).unwrap();
        let (cut, opened) = open(&copy);
        assert!(!matches!(opened.found, Found::Damaged { .. }), "{opened:?}");
        assert!(cut.lanes().of(Lane::Windows).committed <= whole.of(Lane::Windows).committed);
        earlier += u32::from(cut.lanes() != whole);
        law::holds(&cut);
    }
    assert!(earlier > 10, "{earlier} of 60 cuts lost something");
}
