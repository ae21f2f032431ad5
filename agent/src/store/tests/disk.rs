//! Full and read-only disks: typed errors, nothing half done, and on again by itself.

use std::path::Path;
use std::process::Command;

use tilth_core::time::{Span, Uptime, WallTime};
use tilth_protocol::{GapKind, Lane};

use super::farm::{Chance, Farm, Folder, WALL, alert, booted, calibrated, note, open, options};
use super::law;
use crate::clock::{Anchor, Trust};
use crate::store::buffer::Buffer;
use crate::store::retention::{RowKind, Step};
use crate::store::{BLOCK_INTERVAL, Commit, Options, Policy, Store, StoreError};

const ROOMY: Policy =
    Policy { keep_days: 7, has_hub: true, most_bytes: u64::MAX, least_free_bytes: 0, events_bytes: u64::MAX };

fn minute(farm: &mut Farm, chance: &mut Chance) -> Commit {
    for sensor in 0..8 {
        farm.wait(Span(7500));
        farm.read(sensor, chance.below(10_000) as f64 / 100.0, Span(0));
    }
    let mut commit = farm.take();
    commit.events.push(note(farm.now, "a minute"));
    commit
}

#[test]
fn a_full_disk_is_an_ordinary_state() {
    let folder = Folder::new();
    let options = Options { most_pages: Some(480), ..options() };
    let (mut store, _) = Store::open(&folder.database(), &options).unwrap();
    store.begin_boot("boot-a", 0).unwrap();
    let (mut farm, mut chance, mut buffer) = (Farm::new(8), Chance::new(2), Buffer::new(BLOCK_INTERVAL));
    let (mut made, mut failed) = (0, 0);
    for _ in 0..2000 {
        let commit = minute(&mut farm, &mut chance);
        made += 1;
        buffer.add(commit);
        let (commits, lost) = buffer.waiting();
        let before = store.lanes();
        match store.commit_all(commits, lost) {
            Ok(_) => {
                buffer.committed(buffer.waiting().0.len());
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Full) && error.is_passing(), "{error}");
                assert_eq!(store.lanes(), before);
                failed += 1;
            }
        }
        if failed == 20 {
            break;
        }
    }
    assert_eq!(failed, 20);
    law::holds(&store);
    let policy = Policy { most_bytes: 100_000, ..ROOMY };
    while store.delete_step(&policy, None, None).unwrap() != Step::Rest {}
    let (commits, lost) = buffer.waiting();
    store.commit_all(commits, lost).unwrap();
    assert_eq!(store.lanes().of(Lane::Events).committed, made);
    law::holds(&store);
}

/// In order: raw, minutes whose quarters are kept, quarters; what the hub misses is stated, and rows of open alerts stay.
#[test]
fn over_the_cap_things_are_given_up_in_order() {
    let folder = Folder::new();
    let (mut store, mut farm, mut chance) = (booted(&folder), Farm::new(8), Chance::new(4));
    for n in 0..400 {
        let mut commit = minute(&mut farm, &mut chance);
        commit.events.push(alert(farm.now, "z/high/s1", n / 4, n % 4 == 3 && n < 396));
        store.commit(&commit).unwrap();
    }
    store.confirm(Lane::Windows, 500);
    let policy = Policy { most_bytes: 1, events_bytes: 10_000, ..ROOMY };
    let mut steps = Vec::new();
    loop {
        let step = store.delete_step(&policy, None, None).unwrap();
        if step == Step::Rest {
            break;
        }
        law::holds(&store);
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }
    let expected = [
        Step::Collapse,
        Step::Confirmed(RowKind::Raw),
        Step::Lose(RowKind::Raw),
        Step::Confirmed(RowKind::Minutes),
        Step::Confirmed(RowKind::Quarters),
        Step::ReplaceMinutes,
        Step::Lose(RowKind::Quarters),
        Step::Lose(RowKind::Events),
    ];
    assert_eq!(steps, expected);
    let windows = law::windows(store.reader(), 500);
    assert!(
        windows.in_gaps(GapKind::Replaced) > 1000 && windows.in_gaps(GapKind::Lost) > 20,
        "{:?}",
        windows.gaps.len()
    );
    let events = law::events(store.reader(), Lane::Events, 0);
    let open: Vec<_> = events.rows.values().map(|event| event.at.uptime).collect();
    assert_eq!(open.len(), 4, "the four of the alert that is open");
    assert!(events.in_gaps(GapKind::Replaced) >= 396);
    let copy = folder.copy();
    assert_eq!(super::farm::open(&copy).0.lanes(), store.lanes());

    let gaps = |store: &Store| -> i64 {
        let sql = "SELECT count(*) FROM gap WHERE lane = 2";
        store.reader().0.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert!(gaps(&store) > 1, "{}", gaps(&store));
    store.commit(&minute(&mut farm, &mut chance)).unwrap();
    for lane in Lane::ALL {
        store.confirm(lane, store.lanes().of(lane).committed);
    }
    while store.delete_step(&policy, None, None).unwrap() != Step::Rest {}
    assert_eq!(gaps(&store), 0, "what is confirmed and gone needs no account");
    law::holds(&store);
}

#[test]
fn repeats_of_an_alert_become_a_counted_row() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    let mut commit = Commit::new(Uptime(0), calibrated(1));
    for n in 0..60 {
        commit.events.push(alert(Uptime(n), "z/high/s1", 1 + n as u64 / 3, n % 3 == 2));
    }
    commit.events.push(note(Uptime(60), "stays"));
    commit.events.push(alert(Uptime(61), "z/high/s1", 99, false));
    store.commit(&commit).unwrap();
    let policy = Policy { events_bytes: 1000, ..ROOMY };
    assert_eq!(store.delete_step(&policy, None, None).unwrap(), Step::Collapse);
    assert_eq!(store.delete_step(&policy, None, None).unwrap(), Step::Rest);
    let told = law::events(store.reader(), Lane::Events, 0);
    let rows: Vec<_> = told.rows.values().map(|event| (event.seq, event.kind.as_str())).collect();
    assert_eq!(rows, [(61, "note"), (62, "alert"), (63, "digest")]);
    assert_eq!(told.rows[&63].body["events"], 60);
    assert_eq!(told.rows[&63].body["alerts"], 20);
    assert_eq!(told.in_gaps(GapKind::Replaced), 60);
    let tighter = Policy { events_bytes: 1, ..ROOMY };
    assert_eq!(store.delete_step(&tighter, None, None).unwrap(), Step::Rest, "no repeats are left");
    law::holds(&store);
}

#[test]
fn confirmed_rows_go_with_age_and_others_stay() {
    let folder = Folder::new();
    let (mut store, mut farm, mut chance) = (booted(&folder), Farm::new(8), Chance::new(4));
    let mut first = farm.take();
    first.anchor = Some(Anchor { offset_ms: WALL.0, trust: Trust::Synchronised, error: Some(Span(1)) });
    store.commit(&first).unwrap();
    for _ in 0..120 {
        store.commit(&minute(&mut farm, &mut chance)).unwrap();
    }
    store.confirm(Lane::Windows, 400);
    store.confirm(Lane::Events, 10);
    let later = |days: i64| Some(WallTime(WALL.0 + days * 86_400_000));
    let untouched = [(None, "an untrusted clock"), (later(6), "six of seven days")];
    for (wall, what) in untouched {
        assert_eq!(store.delete_step(&ROOMY, wall, None).unwrap(), Step::Rest, "{what}");
    }
    let mut gone = std::collections::BTreeSet::new();
    while let Step::Outdated(rows) = store.delete_step(&ROOMY, later(30), None).unwrap() {
        gone.insert(rows);
    }
    assert!(gone.is_superset(&[RowKind::Raw, RowKind::Minutes, RowKind::Events].into()), "{gone:?}");
    law::holds(&store);
    let count = |table: &str| -> i64 {
        store.reader().0.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("event"), 110);
    assert!((60..80).contains(&count("raw")), "{}", count("raw"));
    drop(store);
    assert_eq!(open(&folder).0.lanes().of(Lane::Events).committed, 120);
}

/// Guards against: a farm without a hub that gives up its history for what a flapping adapter wrote.
#[test]
fn diagnostics_go_by_age_where_no_hub_reads_them_and_at_the_cap_before_history() {
    let folder = Folder::new();
    let (mut store, mut farm, mut chance) = (booted(&folder), Farm::new(8), Chance::new(4));
    let mut first = farm.take();
    first.anchor = Some(Anchor { offset_ms: WALL.0, trust: Trust::Synchronised, error: Some(Span(1)) });
    store.commit(&first).unwrap();
    let mut hour = |store: &mut Store| {
        for _ in 0..60 {
            let mut commit = minute(&mut farm, &mut chance);
            commit.diagnostics.push(note(farm.now, "the adapter is back"));
            store.commit(&commit).unwrap();
        }
    };
    let count = |store: &Store, table: &str| -> i64 {
        store.reader().0.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let later = Some(WallTime(WALL.0 + 30 * 86_400_000));
    hour(&mut store);
    assert_eq!(store.delete_step(&ROOMY, later, None).unwrap(), Step::Rest, "the hub has none of them yet");
    while store.delete_step(&Policy { has_hub: false, ..ROOMY }, later, None).unwrap() != Step::Rest {}
    assert_eq!((count(&store, "diagnostic"), count(&store, "event")), (0, 60));
    law::holds(&store);
    hour(&mut store);
    let tight = Policy { most_bytes: 1, ..ROOMY };
    while store.delete_step(&tight, None, None).unwrap() != Step::Lose(RowKind::Diagnostics) {}
    let quarters = count(&store, "quarter");
    while store.delete_step(&tight, None, None).unwrap() == Step::Lose(RowKind::Diagnostics) {}
    assert_eq!((count(&store, "diagnostic"), count(&store, "event")), (0, 120));
    assert!(quarters > 0);
    law::holds(&store);
}

/// Guards against: sequences that come a second time when no row is left to count from.
#[test]
fn sequences_go_on_when_every_row_is_gone() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    let mut commit = Commit::new(Uptime(0), calibrated(1));
    commit.events = (0..20).map(|n| note(Uptime(n), "event")).collect();
    commit.anchor = Some(Anchor { offset_ms: WALL.0, trust: Trust::Synchronised, error: Some(Span(1)) });
    store.commit(&commit).unwrap();
    store.confirm(Lane::Events, 20);
    let later = Some(WallTime(WALL.0 + 30 * 86_400_000));
    while store.delete_step(&ROOMY, later, None).unwrap() != Step::Rest {}
    assert!(law::events(store.reader(), Lane::Events, 0).rows.is_empty());
    drop(store);
    let (mut store, _) = open(&folder);
    store.begin_boot("boot-a", 0).unwrap();
    assert_eq!(store.commit(&commit).unwrap().of(Lane::Events).committed, 40);
}

/// Guards against: blocks that name series which were rolled back with the transaction that made them.
#[test]
fn what_a_failed_commit_named_is_named_again() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(60));
    let pages: i64 = store.reader().0.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let mut failed = 0;
    (0..60).for_each(|sensor| farm.read(sensor, 20.0, Span(0)));
    let commit = farm.take();
    // A page more each time: it fails at one place after the other.
    for most in pages.. {
        store.reader().0.pragma_update(None, "max_page_count", most).unwrap();
        // Another list of the same sensors: nothing is known of it.
        match store.commit(&Commit { calibrated: calibrated(60), ..commit.clone() }) {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, StoreError::Full), "{error}"),
        }
        failed += 1;
    }
    assert!(failed > 3, "{failed}");
    assert_eq!(store.reader().readings_after(0).unwrap().len(), 60);
    drop(store);
    assert_eq!(open(&folder).0.reader().readings_after(0).unwrap().len(), 60);
}

const FOLDER: &str = "TILTH_STORE_TEST_SMALL_DISK";

/// The other process, in a world of its own where the folder is a small disk: full, then emptied, then read-only.
#[test]
fn lives_on_a_small_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let database = folder.join("tilth.db");
    let (mut store, _) = Store::open(&database, &options()).unwrap();
    store.begin_boot("boot-a", 0).unwrap();
    let (mut farm, mut chance, mut buffer) = (Farm::new(8), Chance::new(2), Buffer::new(BLOCK_INTERVAL));
    let mut made = 0;
    let mut go_on = |store: &mut Store, rounds: u32| -> Vec<Result<(), StoreError>> {
        let round = |_| {
            buffer.add(minute(&mut farm, &mut chance));
            made += 1;
            let (commits, lost) = buffer.waiting();
            let done = store.commit_all(commits, lost).map(|_| ());
            if done.is_ok() {
                buffer.committed(buffer.waiting().0.len());
                assert_eq!(store.lanes().of(Lane::Events).committed, made);
            }
            done
        };
        (0..rounds).map(round).collect()
    };
    assert!(go_on(&mut store, 10).iter().all(Result::is_ok));
    // Somebody else fills the disk.
    let ballast = folder.join("ballast");
    let _ = std::fs::write(&ballast, vec![1; 8 << 20]);
    let full = go_on(&mut store, 200);
    assert!(matches!(full.last(), Some(Err(StoreError::Full))), "{:?}", full.last());
    law::holds(&store);
    std::fs::remove_file(&ballast).unwrap();
    assert!(go_on(&mut store, 10).iter().all(Result::is_ok));
    let remount = |mode: &str| {
        let done = Command::new("mount").args(["-o", &format!("remount,{mode}")]).arg(folder).status().unwrap();
        done.success()
    };
    law::holds(&store);
    drop(store);
    assert!(remount("ro"));
    // The store still has its state, and begins a boot whose row comes later.
    let (mut store, _) = Store::open(&database, &options()).unwrap();
    assert_eq!(store.begin_boot("boot-b", 0).unwrap().0, 2);
    assert!(store.checkpoint().is_ok());
    law::holds(&store);
    let error = store.commit(&minute(&mut farm, &mut chance)).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly) && error.is_passing(), "{error:?}");
    drop(store);
    assert!(remount("rw"));
    let (mut store, _) = Store::open(&database, &options()).unwrap();
    law::holds(&store);
    assert_eq!(store.begin_boot("boot-b", 0).unwrap().0, 2);
    println!("small disk: passed");
}

/// Needs to mount; where that is not allowed it says so and is done: `a_full_disk_is_an_ordinary_state` runs everywhere.
#[test]
fn a_small_disk_fills_up_empties_and_turns_read_only() {
    let folder = Folder::new();
    let script = "mount -t tmpfs -o size=2m tmpfs \"$1\" && \
        exec \"$2\" store::tests::disk::lives_on_a_small_disk --exact --nocapture";
    let done = Command::new("unshare")
        .args(["--mount", "--map-root-user", "--user", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output();
    match done {
        Ok(output) => {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let began = out.contains("running 1 test");
            assert!(!began || out.contains("small disk: passed"), "{out}\n{err}");
            println!("{}", if began { "tried" } else { "not tried: it may not mount here" });
        }
        Err(error) => println!("not tried: {error}"),
    }
}

/// As a disk turns that the system no longer trusts; it cannot be mounted so under an open file.
#[test]
fn a_disk_that_turns_read_only_is_an_ordinary_state() {
    let folder = Folder::new();
    let (mut store, mut farm, mut chance) = (booted(&folder), Farm::new(8), Chance::new(2));
    store.commit(&minute(&mut farm, &mut chance)).unwrap();
    store.reader().0.pragma_update(None, "query_only", true).unwrap();
    let commit = minute(&mut farm, &mut chance);
    for _ in 0..3 {
        let error = store.commit(&commit).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly) && error.is_passing(), "{error}");
        assert!(store.delete_step(&Policy { most_bytes: 1, ..ROOMY }, None, None).is_err());
    }
    store.reader().0.pragma_update(None, "query_only", false).unwrap();
    store.commit(&commit).unwrap();
    assert_eq!(store.lanes().of(Lane::Events).committed, 2);
    law::holds(&store);
}
