//! Confirmations, epochs, streams and quarantine.
//!
//! Guards against: a late packet that takes a confirmation back, a hub's word that gives up rows, one poison row that holds
//! a lane up, a new stream that hides what was never sent.

use std::collections::BTreeMap;

use tilth_core::time::{Span, Uptime};
use tilth_core::windows::Grain;
use tilth_protocol::RejectedRow;
use tilth_protocol::{Epoch, GapKind, Lane};

use super::farm::{Farm, Folder, booted, note, open, options};
use super::law;
use crate::store::lane::LaneState;
use crate::store::{CalibratedPlan, Commit, Options, Store};

/// A store with 20 events in it.
fn twenty() -> (Folder, Store) {
    let folder = Folder::new();
    let mut store = booted(&folder);
    let mut commit = Commit::new(Uptime(0), super::farm::calibrated(1));
    commit.events = (0..20).map(|n| note(Uptime(n), "event")).collect();
    store.commit(&commit).unwrap();
    (folder, store)
}

fn state(store: &Store) -> (u64, u64) {
    let LaneState { committed, confirmed } = store.lanes().of(Lane::Events);
    (confirmed, committed)
}

#[test]
fn a_confirmation_moves_only_forward_and_only_over_what_was_committed() {
    let (_folder, mut store) = twenty();
    for (seq, confirmed, expected) in [
        (5, 5, true),
        (5, 5, false),
        (3, 5, false),
        (21, 5, false),
        (u64::MAX, 5, false),
        (20, 20, true),
        (0, 20, false),
    ] {
        assert_eq!(store.confirm(Lane::Events, seq), expected, "{seq}");
        assert_eq!(state(&store), (confirmed, 20));
    }
    assert!(!store.confirm(Lane::Windows, 1));
}

#[test]
fn a_confirmation_is_written_with_the_next_commit_or_flush() {
    let (folder, mut store) = twenty();
    store.confirm(Lane::Events, 7);
    assert_eq!(state(&open(&folder.copy()).0), (0, 20));
    store.flush().unwrap();
    assert_eq!(state(&open(&folder.copy()).0), (7, 20));
    store.confirm(Lane::Events, 9);
    store.commit(&Commit::new(Uptime(1), super::farm::calibrated(1))).unwrap();
    assert_eq!(state(&open(&folder.copy()).0), (9, 20));
}

#[test]
fn a_new_epoch_goes_back_to_what_the_hub_has() {
    let (folder, mut store) = twenty();
    let has = |seq| BTreeMap::from([(Lane::Events, seq)]);
    store.confirm(Lane::Events, 12);
    for (epoch, hub_has, confirmed) in [(1, 12, 12), (1, 3, 12), (2, 3, 3), (2, 9, 3), (3, 99, 3), (4, 15, 15)] {
        store.rewind(Epoch(epoch), &has(hub_has)).unwrap();
        assert_eq!(state(&store), (confirmed, 20), "epoch {epoch}, the hub has {hub_has}");
    }
    store.rewind(Epoch(5), &BTreeMap::new()).unwrap();
    assert_eq!((state(&store), store.epoch()), ((0, 20), Some(Epoch(5))));
    drop(store);
    let store = open(&folder).0;
    assert_eq!((state(&store), store.epoch()), ((0, 20), Some(Epoch(5))));
}

fn poison(seq: u64) -> RejectedRow {
    RejectedRow { lane: Lane::Events, seq, reason: "poison".to_owned() }
}

/// Guards against: thousands of synced commits on a card because a hub's quota is used up.
#[test]
fn what_a_hub_refuses_at_once_is_written_at_once() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    let mut commit = Commit::new(Uptime(0), super::farm::calibrated(1));
    commit.events = (0..2000).map(|n| note(Uptime(n), "event")).collect();
    store.commit(&commit).unwrap();
    let log = || std::fs::metadata(format!("{}-wal", folder.database().display())).unwrap().len();
    let before = log();
    let reason = |seq| RejectedRow { reason: format!("over the quota of {}", seq % 2), ..poison(seq) };
    store.quarantine(&(1..=2000).map(reason).collect::<Vec<_>>()).unwrap();
    let written = log() - before;
    assert!(
        (1..400_000).contains(&written),
        "{written} bytes: a page of 512 bytes and its header for each row are a million"
    );
    assert_eq!(law::events(store.reader(), Lane::Events, 0).gaps.len(), 2000);
    law::holds(&store);
}

#[test]
fn a_quarantined_row_is_stated_and_stays_out_of_the_way() {
    let (_folder, mut store) = twenty();
    store.confirm(Lane::Events, 4);
    store.quarantine(&[6, 7, 7, 4, 21, 9].map(poison)).unwrap();
    let told = law::events(store.reader(), Lane::Events, 4);
    let gaps: Vec<_> = told.gaps.iter().map(|gap| (gap.first, gap.last, gap.kind, gap.reason.as_str())).collect();
    let kind = GapKind::Quarantined;
    assert_eq!(gaps, [(6, 7, kind, "poison"), (9, 9, kind, "poison")]);
    assert_eq!(told.rows.len(), 13);
    law::holds(&store);
}

#[test]
fn a_new_stream_states_what_the_old_one_had_and_sends_the_rest_again() {
    let (folder, mut store) = twenty();
    let old = store.stream();
    store.quarantine(&[poison(2)]).unwrap();
    store.quarantine(&[poison(11)]).unwrap();
    store.confirm(Lane::Events, 10);
    let new = store.new_stream("two agents use this key").unwrap();
    assert_ne!(new, old);
    assert_eq!(state(&store), (0, 20));
    let told = law::events(store.reader(), Lane::Events, 0);
    let gaps: Vec<_> = told.gaps.iter().map(|gap| (gap.first, gap.last, gap.kind)).collect();
    assert_eq!(gaps, [(1, 10, GapKind::Replaced), (11, 11, GapKind::Quarantined)]);
    assert!(told.gaps[0].reason.contains(&old.to_string()));
    assert!(told.rows.keys().copied().eq(12..=20));
    drop(store);
    assert_eq!(open(&folder).0.stream(), new);
}

#[test]
fn what_is_withheld_is_one_gap_and_names_nobody() {
    let (folder, mut store) = twenty();
    let old = store.stream();
    store.quarantine(&[poison(11)]).unwrap();
    store.confirm(Lane::Events, 10);
    let new = store.withhold().unwrap();
    let is_withheld = |store: &Store| {
        assert_eq!((store.stream(), state(store)), (new, (0, 20)));
        let told = law::events(store.reader(), Lane::Events, 0);
        let gaps: Vec<_> = told.gaps.iter().map(|gap| (gap.first, gap.last, gap.kind)).collect();
        assert_eq!((gaps, told.rows.len()), (vec![(1, 20, GapKind::Replaced)], 0));
        assert!(!told.gaps[0].reason.contains(&old.to_string()), "{}", told.gaps[0].reason);
        law::holds(store);
    };
    is_withheld(&store);
    drop(store);
    is_withheld(&open(&folder).0);
}

#[test]
fn a_database_on_another_machine_goes_on_under_a_new_stream() {
    let (folder, store) = twenty();
    let stream = store.stream();
    drop(store);
    assert_eq!(open(&folder).0.stream(), stream);
    let other = Options { machine: Some("machine-2".to_owned()), ..options() };
    let (store, opened) = Store::open(&folder.database(), &other).unwrap();
    assert_ne!(store.stream(), stream);
    assert_eq!(opened.new_stream, Some("the machine is another one"));
    drop(store);
    assert_eq!(Store::open(&folder.database(), &other).unwrap().1.new_stream, None);
}

/// Sensors of a plan that changed get series of their own; rows of before keep what they were.
#[test]
fn rows_say_what_they_were_measured_as() {
    use std::sync::Arc;
    use tilth_core::plan::Plan;
    use tilth_core::sensor::Sensor;
    use tilth_core::site::SiteState;
    use tilth_core::value::Resolution;

    let (folder, mut farm) = (Folder::new(), Farm::new(1));
    let mut store = booted(&folder);
    farm.read(0, 21.5, Span(0));
    farm.wait(Span::from_mins(1));
    store.commit(&farm.take()).unwrap();
    let sensors = farm.calibrated.plan.sensors().iter().cloned();
    let coarse = sensors.map(|sensor| Sensor { resolution: Resolution::new(0.5).unwrap(), ..sensor }).collect();
    let plan = Arc::new(Plan::new(coarse, Vec::new()).unwrap());
    // What closes with the change is still counted as before it: a commit of its own.
    farm.tell(tilth_core::engine::Input::Plan(Arc::clone(&plan)));
    store.commit(&farm.take()).unwrap();
    farm.calibrated = Arc::new(CalibratedPlan::new(plan, "coarse".to_owned(), &SiteState::default()));
    farm.commit = Commit::new(farm.now, Arc::clone(&farm.calibrated));
    farm.read(0, 21.5, Span(0));
    farm.wait(Span::from_mins(1));
    store.commit(&farm.take()).unwrap();
    let told = law::windows(store.reader(), 0);
    let rows: Vec<_> = told.rows.values().map(|row| (row.grain, row.resolution, row.sums.unwrap().last)).collect();
    assert_eq!(rows, [(Grain::Minute, 0.01, 2150), (Grain::Quarter, 0.01, 2150), (Grain::Minute, 0.5, 43)]);
}
