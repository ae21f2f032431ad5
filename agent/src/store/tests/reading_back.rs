//! What was stored reads back: raw, windows, checkpoints, boots.

use std::collections::BTreeMap;

use tilth_core::effect::Effect;
use tilth_core::engine::{Engine, Input, Start};
use tilth_core::id::SensorId;
use tilth_core::reading::{Raw, Reading};
use tilth_core::time::{Span, Uptime, WallTime};
use tilth_core::value::Steps;
use tilth_core::windows::{Grain, Sums, Window};
use tilth_protocol::{Lane, WindowRow};

use super::farm::{Chance, Farm, Folder, WALL, booted, boots, checkpoint, note, open, remembered};
use super::law;
use crate::checkpoint::Checkpoint;
use crate::clock::{Anchor, Trust};
use crate::resume::KeptReading;
use crate::sense::store_ack::{AckRequest, BoardPosition};
use crate::store::buffer::{Buffer, Losses};
use crate::store::checkpoint::StoredCheckpoint;
use crate::store::raw_block;
use crate::store::retention::Step;
use crate::store::{BLOCK_INTERVAL, Commit, Policy};

/// An hour of random readings, some of them late, committed every ten seconds: the store and what it was given.
fn an_hour(folder: &Folder) -> (crate::store::Store, Farm, Vec<Reading>) {
    let (mut store, mut farm, mut chance) = (booted(folder), Farm::new(5), Chance::new(3));
    let mut given = Vec::new();
    for _ in 0..360 {
        for _ in 0..chance.below(9) {
            farm.wait(Span(chance.below(2000) as i64));
            let behind = if chance.one_in(20) { chance.below(1_000_000) } else { 0 };
            farm.read(chance.below(5) as u32, chance.below(5000) as f64 / 100.0, Span(behind as i64));
        }
        let mut commit = farm.take();
        commit.now = farm.now;
        given.extend(commit.readings.iter().copied());
        store.commit(&commit).unwrap();
    }
    (store, farm, given)
}

#[test]
fn readings_read_back_as_they_were_given() {
    let folder = Folder::new();
    let (store, _, given) = an_hour(&folder);
    let number = |reading: &KeptReading| reading.sensor.as_str()["z/s".len()..].parse().unwrap();
    let read = store.reader().readings_after(0).unwrap();
    let mut read: Vec<(u32, _, _)> =
        read.iter().map(|reading| (number(reading), reading.at, reading.value.0.to_bits())).collect();
    let mut select = store.reader().0.prepare("SELECT block FROM raw").unwrap();
    let blocks = select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let columns = blocks.flat_map(|block| raw_block::decode(&block.unwrap()).unwrap().columns);
    let points = columns.flat_map(|column| column.points);
    let mut steps: Vec<_> = points.map(|point| (point.at, point.steps)).collect();
    let mut given_steps: Vec<_> = given.iter().map(|reading| (reading.at, reading.steps)).collect();
    steps.sort_unstable();
    given_steps.sort_unstable();
    assert_eq!(steps, given_steps);
    let mut given: Vec<_> = given.iter().map(|reading| (reading.sensor.0, reading.at, reading.raw.to_bits())).collect();
    read.sort_unstable();
    given.sort_unstable();
    assert_eq!(read, given);
    assert!(read.len() > 500, "{}", read.len());
    let rates = store.reader().rates().unwrap().expect("an hour is enough to judge by");
    // Blocks of about 40 bytes every five seconds.
    assert!((300_000.0..2_000_000.0).contains(&rates.raw) && rates.minutes > 50_000.0, "{rates:?}");
    assert!(rates.quarters > 0.0 && rates.events == 0.0, "{rates:?}");
    assert!(store.reader().used_bytes().unwrap() > 20_000);
}

fn sensor(number: u32) -> SensorId {
    SensorId::new(&format!("z/s{number}")).unwrap()
}

fn window(row: &WindowRow) -> Window {
    let good = row.sums.map(|figures| Sums {
        count: row.count,
        sum: figures.sum,
        sum_sq: figures.sum_sq,
        min: Steps(figures.min),
        max: Steps(figures.max),
        last: Steps(figures.last),
        last_at: figures.last_at,
    });
    Window { bad: row.bad, good }
}

/// The newest row of each window is the sum of its readings, late ones included.
#[test]
fn windows_are_the_sums_of_their_readings() {
    let folder = Folder::new();
    let (mut store, mut farm, mut given) = an_hour(&folder);
    farm.wait(Span::from_mins(30));
    let last = farm.take();
    given.extend(last.readings.iter().copied());
    store.commit(&last).unwrap();
    let (mut revised, mut newest) = (0, BTreeMap::new());
    for row in law::windows(store.reader(), 0).rows.into_values() {
        revised += usize::from(row.revision > 0);
        newest.insert((row.sensor.clone(), row.grain, row.start.uptime), window(&row));
    }
    for (grain, number) in [Grain::Minute, Grain::Quarter].into_iter().flat_map(|grain| (0..5).map(move |n| (grain, n)))
    {
        let mut truth = BTreeMap::<Uptime, Window>::new();
        for reading in given.iter().filter(|reading| reading.sensor.0 == number) {
            let one = Window::of(reading.steps, reading.at, reading.quality);
            let start = grain.start(reading.at, WALL.0);
            truth.entry(start).and_modify(|window| *window = window.merge(one)).or_insert(one);
        }
        let of_it = |(sensor, of, _): &(SensorId, Grain, Uptime)| *sensor == self::sensor(number) && *of == grain;
        let read = newest.iter().filter(|(key, _)| of_it(key)).map(|((.., start), window)| (*start, *window));
        assert!(read.eq(truth), "{grain} of {number}");
    }
    assert!(revised > 20, "{revised}");
}

/// Guards against: doses of before that a kill makes forgotten, since decide had not heard of them when a late database was opened.
#[test]
fn a_checkpoint_of_a_boot_that_was_not_counted_leaves_that_of_before() {
    let folder = Folder::new();
    let (mut store, farm) = (booted(&folder), Farm::new(1));
    let commit = |boot: u32, text: &str| {
        let engine = Engine::new(farm.calibrated.plan.clone(), Start { boot, at: Uptime(0), wall: None });
        let mut commit = Commit::new(Uptime(1000), farm.calibrated.clone());
        commit.events.push(note(Uptime(1000), text));
        commit.checkpoint = Some(remembered(&engine, text));
        commit
    };
    for (boot, text, kept) in [(1, "before", "before"), (0, "not counted", "before"), (2, "counted", "counted")] {
        store.commit(&commit(boot, text)).unwrap();
        let found = store.checkpoint().unwrap().unwrap().checkpoint;
        assert!(found.acknowledged_by.values().eq([kept]), "{text}");
    }
    assert_eq!(law::events(store.reader(), Lane::Events, 0).rows.len(), 3);
}

/// A restart from the last checkpoint and the readings after it knows what the engine knew, but for the order between
/// sensors.
#[test]
fn a_restart_continues_from_the_checkpoint_and_the_readings_after_it() {
    let folder = Folder::new();
    let (mut store, mut farm, _) = an_hour(&folder);
    // Readings that wait for their minute are not in the last checkpoint.
    farm.wait(Span(1500));
    farm.read(2, 17.0, Span(0));
    farm.wait(Span(500));
    farm.read(3, 18.0, Span(0));
    let commit = farm.take();
    let seen = commit.readings.len();
    store.commit(&commit).unwrap();
    drop(store);
    let store = open(&folder).0;
    let kept = store.checkpoint().unwrap().unwrap();
    let mut engine = Engine::restore(farm.calibrated.plan.clone(), &kept.checkpoint.engine).unwrap();
    let after = store.reader().readings_after(kept.position).unwrap();
    assert!(after.len() >= seen.min(1));
    for reading in after {
        let sensor = engine.plan().sensor_ix(reading.sensor.as_str()).unwrap();
        let raw = Raw { sensor, at: reading.at, value: reading.value.0, quality: reading.quality };
        engine.handle(reading.at, Input::Reading(raw));
    }
    engine.handle(farm.now, Input::Tick);
    assert_eq!(engine.snapshot(), farm.engine.snapshot());
}

/// Guards against: windows that are lost or come twice when the power goes while a backlog is written.
#[test]
fn a_power_cut_within_a_backlog_neither_loses_nor_repeats_a_window() {
    let folder = Folder::new();
    let (mut store, mut farm, mut buffer) = (booted(&folder), Farm::new(60), Buffer::new(BLOCK_INTERVAL));
    for minute in 0..120 {
        (0..60).for_each(|sensor| farm.read(sensor, f64::from(minute % 40), Span(0)));
        farm.wait(Span::from_mins(1));
        buffer.add(farm.take());
    }
    let (commits, lost) = buffer.waiting();
    let (first, rest) = commits.split_at(buffer.next_transaction());
    store.commit_all(first, lost).unwrap();

    let copy = folder.copy();
    let cut = open(&copy).0;
    let kept = cut.checkpoint().unwrap().unwrap();
    let mut engine = Engine::restore(farm.calibrated.plan.clone(), &kept.checkpoint.engine).unwrap();
    assert_eq!(cut.reader().readings_after(kept.position).unwrap().len(), 0);
    for commit in rest {
        for &Reading { sensor, at, raw, quality, .. } in &commit.readings {
            engine.handle(at, Input::Reading(Raw { sensor, at, value: raw, quality }));
        }
        engine.handle(commit.now, Input::Tick);
    }
    let mut windows = Vec::new();
    while let Some(effect) = engine.poll() {
        windows.extend(if let Effect::Window(closed) = effect { Some(closed) } else { None });
    }
    let expected: Vec<_> = rest.iter().flat_map(|commit| commit.windows.clone()).collect();
    assert!(expected.len() > 1000, "{}", expected.len());
    assert_eq!(windows, expected);
}

/// A checkpoint and readings that it never saw may wait for one commit, and its position outlives every block.
#[test]
fn readings_that_a_checkpoint_never_saw_come_after_it() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(1));
    let reading = |farm: &mut Farm, value| {
        farm.wait(Span(1000));
        farm.read(0, value, Span(0));
        farm.take()
    };
    let after = |store: &crate::store::Store| -> Vec<f64> {
        let position = store.checkpoint().unwrap().unwrap().position;
        store.reader().readings_after(position).unwrap().iter().map(|reading| reading.value.0).collect()
    };
    let remembered = Commit { checkpoint: Some(checkpoint("1")), ..reading(&mut farm, 17.0) };
    let commits = [remembered, reading(&mut farm, 18.0), reading(&mut farm, 19.0)];
    store.commit_all(&commits, &Losses::default()).unwrap();
    assert_eq!(after(&store), [18.0, 19.0]);
    let remembered = Commit { checkpoint: Some(checkpoint("2")), ..reading(&mut farm, 20.0) };
    store.commit(&remembered).unwrap();
    assert!(after(&store).is_empty());
    let everything = Policy { keep_days: 7, has_hub: true, most_bytes: 1, least_free_bytes: 0, events_bytes: u64::MAX };
    while store.delete_step(&everything, None, None).unwrap() != Step::Rest {}
    assert_eq!(store.reader().readings_after(0).unwrap().len(), 0);
    store.commit(&reading(&mut farm, 21.0)).unwrap();
    assert_eq!(after(&store), [21.0]);
}

/// Guards against: changes that were written on top of a checkpoint that the file does not hold.
#[test]
fn a_checkpoint_is_read_as_it_was_taken_also_after_failures_and_restarts() {
    let folder = Folder::new();
    let (mut store, mut farm, mut chance) = (booted(&folder), Farm::new(9), Chance::new(21));
    let changes = |store: &crate::store::Store| -> u32 {
        store.reader().0.query_row("SELECT count(*) FROM snapshot_change", [], |row| row.get(0)).unwrap()
    };
    let (mut with_changes, mut wholes) = (0, 0);
    for round in 0..400 {
        for _ in 0..chance.below(4) {
            farm.wait(Span(chance.below(1500) as i64));
            farm.read(chance.below(9) as u32, chance.below(5000) as f64 / 100.0, Span(0));
        }
        let mut commit = farm.take();
        commit.events.push(note(farm.now, "something happened"));
        commit.checkpoint = Some(remembered(&farm.engine, &(round / 7).to_string()));
        if chance.one_in(10) {
            store.reader().0.pragma_update(None, "query_only", true).unwrap();
            store.commit(&commit).unwrap_err();
            store.reader().0.pragma_update(None, "query_only", false).unwrap();
        }
        store.commit(&commit).unwrap();
        if chance.one_in(20) {
            drop(store);
            store = booted(&folder);
        }
        let kept = store.checkpoint().unwrap().unwrap();
        assert_eq!(Some(&kept.checkpoint), commit.checkpoint.as_deref(), "round {round}");
        assert!(store.reader().readings_after(kept.position).unwrap().is_empty(), "round {round}");
        if changes(&store) > 0 { with_changes += 1 } else { wholes += 1 }
    }
    assert!(with_changes > 100 && wholes > 20, "{with_changes} with changes, {wholes} without");
}

#[test]
fn boots_are_counted_and_know_their_time_of_day() {
    let folder = Folder::new();
    let mut store = open(&folder).0;
    for (os_boot, number) in [("a", 1), ("a", 1), ("b", 2), ("a", 3)] {
        assert_eq!(store.begin_boot(os_boot, 0).unwrap().0, number);
    }
    drop(store);
    let mut store = open(&folder).0;
    assert_eq!(store.begin_boot("a", 0).unwrap().0, 3);
    let mut commit = Commit::new(Uptime(0), super::farm::calibrated(1));
    let anchor = |ms| Anchor { offset_ms: ms, trust: Trust::Synchronised, error: Some(Span(20)) };
    commit.anchor = Some(anchor(1000));
    store.commit(&commit).unwrap();
    store.begin_boot("c", 0).unwrap();
    commit.anchor = Some(anchor(5000));
    store.commit(&commit).unwrap();
    let zeros: Vec<_> = boots(&store).into_values().collect();
    assert_eq!(zeros, [None, None, Some(WallTime(1000)), Some(WallTime(5000))]);
}

#[test]
fn site_state_and_checkpoint_are_replaced() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(1));
    assert_eq!((store.checkpoint().unwrap(), store.site().unwrap()), (None, None));
    for length in [10usize, 4000, 20] {
        let mut commit = farm.take();
        commit.checkpoint =
            Some(checkpoint(&(0..length).map(|n| char::from(b'a' + (n * n % 23) as u8)).collect::<String>()));
        commit.site = Some(farm.engine.site().clone());
        store.commit(&commit).unwrap();
        let checkpoint = Checkpoint::clone(&commit.checkpoint.unwrap());
        assert_eq!(store.checkpoint().unwrap(), Some(StoredCheckpoint { checkpoint, position: 0 }));
        assert_eq!(store.site().unwrap(), commit.site);
    }
}

/// Guards against: readings that are stored twice, because a kill came between them and the word that they are stored.
#[test]
fn the_position_of_a_board_is_stored_with_its_readings_or_not_at_all() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    let told = tokio::sync::watch::Sender::default();
    let ack = |through: u64| AckRequest::new(through, BoardPosition::made(through as u32), &told);
    let mut farm = Farm::new(1);
    farm.read(0, 1.0, Span::ZERO);
    let commit = |farm: &mut Farm, acks| Commit { acks, ..farm.take() };
    store.commit(&commit(&mut farm, vec![ack(4), ack(9)])).unwrap();
    store
        .reader()
        .0
        .execute_batch("CREATE TEMP TRIGGER t BEFORE INSERT ON raw BEGIN SELECT RAISE(FAIL, 'no'); END")
        .unwrap();
    farm.read(0, 2.0, Span::ZERO);
    store.commit(&commit(&mut farm, vec![ack(12)])).unwrap_err();
    drop(store);
    assert_eq!(open(&folder).0.board_positions().unwrap(), [BoardPosition::made(9)]);
}
