use tilth_core::time::Uptime;

use super::{LEAST_COMMITS, LEAST_PAGES};
use crate::store::tests::farm::{Folder, booted, calibrated, note};
use crate::store::{Commit, damaged_files};

/// The newest row of a table in a copy of the file without its log.
fn newest_in_file(folder: &Folder, table: &str) -> rusqlite::Result<i64> {
    let copy = Folder::new();
    std::fs::copy(folder.database(), copy.database()).unwrap();
    let newest = format!("SELECT coalesce(max(seq), 0) FROM {table}");
    rusqlite::Connection::open(copy.database()).and_then(|copy| copy.query_row(&newest, [], |row| row.get(0)))
}

/// Guards against: an empty backup, and a log that never grows, on which a full disk goes unnoticed.
#[test]
fn the_file_follows_its_log_which_goes_on_growing() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    let length = || std::fs::metadata(damaged_files::beside(&folder.database(), "-wal")).unwrap().len();
    let mut before = 0;
    for number in 0..100 {
        let mut commit = Commit::new(Uptime(number), calibrated(1));
        commit.events.push(note(Uptime(number), "a note of some length, so that there is something to write"));
        store.commit(&commit).unwrap();
        store.checkpoint_early();
        assert!(length() > before, "the log grows");
        before = length();
        let events = newest_in_file(&folder, "event");
        // A commit is at least a page of the log.
        let behind = LEAST_PAGES as i64;
        let is_near = events.as_ref().is_ok_and(|events| *events + behind >= number);
        assert!(number < behind || is_near, "{number}: {events:?}");
    }
    for number in 0..1000 {
        let mut commit = Commit::new(Uptime(number), calibrated(1));
        commit.events.push(note(Uptime(number), &"a long note ".repeat(40)));
        store.commit(&commit).unwrap();
        store.checkpoint_early();
    }
    assert!(
        length() < 2 << 20,
        "no longer young: the log is written from its beginning again at its usual length, not at {}",
        length()
    );
    drop(store);
    assert!(!damaged_files::beside(&folder.database(), "-wal").exists(), "a clean end leaves no log");
}

/// Guards against: as many bytes for copies as for commits, as long as the database is young.
#[test]
fn a_copy_is_worth_many_commits_or_an_event() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    let mut seen = Vec::new();
    for number in 0..i64::from(2 * LEAST_COMMITS + 12) {
        let mut commit = Commit::new(Uptime(number), calibrated(1));
        commit.diagnostics.push(note(Uptime(number), &"no event ".repeat(40 * 50)));
        store.commit(&commit).unwrap();
        store.checkpoint_early();
        seen.push(newest_in_file(&folder, "diagnostic").unwrap());
    }
    seen.dedup();
    assert_eq!(seen, [1, 17, 33], "commits that were copied");
    let mut commit = Commit::new(Uptime(100), calibrated(1));
    commit.events.push(note(Uptime(100), "the pump failed"));
    store.commit(&commit).unwrap();
    store.checkpoint_early();
    assert_eq!(newest_in_file(&folder, "event"), Ok(1));
}
