//! Damaged files are moved aside, and recording goes on.
//!
//! Guards against: an agent that does not start because of a bad sector, boot numbers that come a second time, a disk that
//! fills with damaged copies.

use std::fs;

use tilth_core::time::{Span, Uptime};
use tilth_protocol::Lane;

use super::farm::{Chance, Farm, Folder, booted, note, open, options};
use super::law;
use crate::store::{Commit, Found, Options, Store, StoreError};

/// A file of some hours, with its log copied into it.
fn some_hours(folder: &Folder) {
    let (mut store, mut farm) = (booted(folder), Farm::new(8));
    for minute in 0..120 {
        farm.wait(Span::from_mins(1));
        (0..8).for_each(|sensor| farm.read(sensor, f64::from(minute), Span(0)));
        store.commit(&farm.take()).unwrap();
    }
    store.begin_boot("boot-b", 0).unwrap();
    store.reader().0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[test]
fn a_damaged_file_is_put_aside_and_a_new_one_made() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("the header is overwritten", |bytes| bytes[..16].fill(b'x')),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("pages of zeros", |bytes| bytes[4096..].fill(0)),
        ("not a database", |bytes| *bytes = b"hello, this is no database at all\n".repeat(300)),
    ];
    for (what, damage) in damages {
        let folder = Folder::new();
        some_hours(&folder);
        let stream = open(&folder).0.stream();
        let mut bytes = fs::read(folder.database()).unwrap();
        damage(&mut bytes);
        fs::write(folder.database(), &bytes).unwrap();
        let (mut store, opened) = open(&folder);
        let Found::Damaged { reason, moved_to } = opened.found else { panic!("{what}: {opened:?}") };
        assert!(!reason.is_empty() && fs::metadata(&moved_to).unwrap().len() > 0, "{what}");
        assert!(moved_to.to_string_lossy().contains("damaged-now"), "{moved_to:?}");
        assert_ne!(store.stream(), stream, "{what}");
        assert!(store.begin_boot("boot-c", 0).unwrap().0 > 2, "{what}: boot numbers go on");
        store.commit(&Commit::new(Uptime(0), super::farm::calibrated(1))).unwrap();
        drop(store);
        assert_eq!(open(&folder).1.found, Found::Database, "{what}");
    }
}

/// Any change anywhere: opening and reading never panics, and what opens keeps the law.
#[test]
fn random_damage_never_panics() {
    let folder = Folder::new();
    some_hours(&folder);
    let whole = fs::read(folder.database()).unwrap();
    let (mut chance, mut damaged) = (Chance::new(5), 0);
    for _ in 0..40 {
        let copy = folder.copy();
        let mut bytes = whole.clone();
        for _ in 0..1 + chance.below(3) {
            let at = chance.below(bytes.len() as u64) as usize;
            let end = bytes.len().min(at + 1 + chance.below(600) as usize);
            bytes[at..end].fill(chance.below(256) as u8);
        }
        fs::write(copy.database(), bytes).unwrap();
        let opened = Store::open(&copy.database(), &options());
        let (store, opened) = opened.unwrap();
        damaged += u32::from(matches!(opened.found, Found::Damaged { .. }));
        let _ = (store.checkpoint(), store.site(), store.reader().readings_after(0));
        let _ = store.reader().windows(1..=u64::MAX, law::LIMIT);
    }
    assert!(damaged > 5, "{damaged} of 40 were noticed when opened");
}

#[test]
fn few_damaged_files_are_kept() {
    let folder = Folder::new();
    for round in 0..5 {
        fs::write(folder.database(), b"not a database, but longer than the header of one would be".repeat(40)).unwrap();
        let options = Options { suffix: format!("round-{round}"), ..options() };
        let (_, opened) = Store::open(&folder.database(), &options).unwrap();
        assert!(matches!(opened.found, Found::Damaged { .. }), "{opened:?}");
    }
    let aside = fs::read_dir(folder.path()).unwrap();
    let names = aside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains("damaged")).count(), 2);
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let folder = Folder::new();
    drop(booted(&folder));
    let store = open(&folder).0;
    store.reader().0.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let error = Store::open(&folder.database(), &options()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert!(!error.is_passing());
}

/// A block that rotted leaves a gap that is stated, and nothing else.
#[test]
fn a_rotten_block_is_a_stated_gap() {
    let (folder, mut farm) = (Folder::new(), Farm::new(4));
    let mut store = booted(&folder);
    for _ in 0..5 {
        (0..4).for_each(|sensor| farm.read(sensor, 20.0, Span(0)));
        farm.wait(Span::from_mins(1));
        let mut commit = farm.take();
        commit.events.push(note(farm.now, "a minute"));
        store.commit(&commit).unwrap();
    }
    let spoil = "UPDATE minute SET block = zeroblob(length(block)) WHERE seq = 5";
    assert_eq!(store.reader().0.execute(spoil, []).unwrap(), 1);
    store.reader().0.execute("UPDATE raw SET block = zeroblob(9) WHERE id = 2", []).unwrap();
    let told = law::windows(store.reader(), 0);
    assert!(told.rows.keys().copied().eq((1..=4).chain(9..=20)));
    assert_eq!((told.gaps[0].first, told.gaps[0].last), (5, 8));
    assert_eq!(store.reader().readings_after(0).unwrap().len(), 16);
    assert_eq!(store.lanes().of(Lane::Windows).committed, 20);
}

/// Damage that is found while it runs: the same boot goes on in a new file.
#[test]
fn a_running_store_starts_anew() {
    let folder = Folder::new();
    some_hours(&folder);
    let mut store = open(&folder).0;
    let boot = store.begin_boot("boot-b", 0).unwrap().0;
    let stream = store.stream();
    let (mut store, opened) = store.start_anew(&options(), "a page could not be read".to_owned()).unwrap();
    assert!(matches!(opened.found, Found::Damaged { .. }));
    assert_eq!(store.boot.number, boot);
    assert_ne!(store.stream(), stream);
    assert!(store.begin_boot("boot-c", 0).unwrap().0 > boot);
}

/// An older copy in its place knows fewer numbers than were given out.
#[test]
fn numbers_of_alerts_go_on_above_all_that_were_known() {
    let folder = Folder::new();
    let reserve = |store: &mut Store, until| {
        let commit = Commit { alerts_through: Some(until), ..Commit::new(Uptime(0), super::farm::calibrated(1)) };
        store.commit(&commit).unwrap();
        store.note_known(None, false);
        store.reader().0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    };
    let mut store = booted(&folder);
    reserve(&mut store, 500);
    drop(store);
    let older = folder.copy();
    let mut store = open(&folder).0;
    store.begin_boot("boot-b", 500).unwrap();
    reserve(&mut store, 640_000);
    drop(store);
    fs::copy(older.database(), folder.database()).unwrap();

    let (store, opened) = open(&folder);
    assert!(opened.lost.is_some(), "{opened:?}");
    assert_eq!(store.alerts_through(), 640_000);
}
