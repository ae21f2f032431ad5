//! kill -9 of a process that writes at full speed: everything that it was told is stored is there.
//!
//! Guards against: a commit that is acknowledged before it is on its way to the disk, a half-written transaction, a
//! confirmation that is ahead of its rows.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use tilth_core::time::Span;
use tilth_protocol::Lane;

use super::farm::{Chance, Farm, Folder, booted, note, open};
use super::law;
use crate::store::{Found, LaneStates};

const FOLDER: &str = "TILTH_STORE_TEST_WRITES_IN";

fn figures(lanes: &LaneStates) -> [u64; 4] {
    let (events, windows) = (lanes.of(Lane::Events), lanes.of(Lane::Windows));
    [events.committed, windows.committed, events.confirmed, windows.confirmed]
}

/// The other process: it writes until it is killed, and says what it was told is stored.
#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (mut store, _) =
        crate::store::Store::open(&std::path::Path::new(&folder).join("tilth.db"), &super::farm::options()).unwrap();
    store.begin_boot("boot-a", 0).unwrap();
    let (mut farm, mut out) = (Farm::new(4), std::io::stdout());
    loop {
        for sensor in 0..4 {
            farm.wait(Span(5000));
            farm.read(sensor, 20.0, Span(0));
        }
        let mut commit = farm.take();
        let next = store.lanes().of(Lane::Events).committed + 1;
        commit.events.push(note(farm.now, &format!("event {next}")));
        let lanes = store.commit(&commit).unwrap();
        writeln!(out, "stored {:?}", figures(&lanes)).unwrap();
        store.confirm(Lane::Events, next / 2);
        store.confirm(Lane::Windows, lanes.of(Lane::Windows).committed / 2);
    }
}

#[test]
fn a_killed_writer_loses_nothing_that_it_was_told_is_stored() {
    let folder = Folder::new();
    drop(booted(&folder));
    let (mut chance, mut kills, mut stored) = (Chance::new(11), 0, [0; 4]);
    for _ in 0..15 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::tests::crash::writes_until_it_is_killed", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Not before it writes; then at any moment.
        let mut told = lines.by_ref().map(|line| line.unwrap()).filter(|line| line.starts_with("stored"));
        let mut last = told.next().expect("the writer tells of its first commit");
        std::thread::sleep(Duration::from_micros(chance.below(60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        if let Some(line) = told.last() {
            last = line;
        }
        let numbers: Vec<u64> = last
            .trim_start_matches("stored ")
            .trim_matches(['[', ']'])
            .split(", ")
            .map(|n| n.parse().unwrap())
            .collect();
        let (store, opened) = open(&folder);
        assert_eq!(opened.found, Found::Database);
        let found = figures(&store.lanes());
        for (found, told) in found.iter().zip(&numbers) {
            assert!(found >= told, "{found:?} of {numbers:?}");
        }
        assert!(found.iter().zip(&stored).all(|(now, before)| now >= before));
        stored = found;
        law::holds(&store);
        for (seq, event) in law::events(store.reader(), Lane::Events, 0).rows {
            assert_eq!(event.body["text"], format!("event {seq}"));
        }
    }
    assert!(kills == 15 && stored[0] > 30, "{kills} kills, {stored:?}");
}
