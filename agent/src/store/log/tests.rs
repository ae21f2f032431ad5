use super::*;
use crate::store::Commit;
use crate::store::damaged_files::beside;
use crate::store::tests::farm::{Folder, booted, calibrated, note};
use tilth_core::time::Uptime;

/// A log of twenty commits, as a kill leaves it.
fn log() -> Vec<u8> {
    let folder = Folder::new();
    let mut store = booted(&folder);
    store.reader().0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    store.reader().0.pragma_update(None, "wal_autocheckpoint", 10_000).unwrap();
    for number in 0..20 {
        let mut commit = Commit::new(Uptime(number), calibrated(1));
        commit.events.push(note(Uptime(number), "a note of some length, so that there are pages to write"));
        store.commit(&commit).unwrap();
    }
    let copy = folder.copy();
    fs::read(beside(&copy.database(), "-wal")).unwrap()
}

/// Offset behind the transaction before the first one of several frames.
fn behind_a_commit(log: &[u8]) -> usize {
    let frame = FRAME_HEADER + Header::read(log).unwrap().page;
    let commits = |at: usize| word(&log[HEADER + at * frame..], 4) > 0;
    let last = (0..).find(|at| commits(*at) && !commits(at + 1)).unwrap();
    HEADER + frame * (last + 1)
}

#[test]
fn what_lies_there() {
    let whole = log();
    let (middle, end) = (whole.len() / 2, whole.len());
    type Harm = fn(&mut Vec<u8>, usize);
    let table: [(&str, Harm, usize, bool); 9] = [
        ("whole", |_, _| (), 0, false),
        ("a bit flipped in the middle", |bytes, at| bytes[at] ^= 1, middle, true),
        ("a page of zeros", |bytes, at| bytes[at..at + 512].fill(0), middle, true),
        ("zeros from the middle on are an end", |bytes, at| bytes[at..].fill(0), middle, false),
        ("cut in the middle", Vec::truncate, middle, true),
        ("cut behind a commit", Vec::truncate, behind_a_commit(&whole), false),
        ("torn at the very end", |bytes, at| bytes[at - 40..].fill(7), end, false),
        ("a bit of the header flipped", |bytes, at| bytes[at] ^= 1, 18, true),
        ("all zeros", |bytes, _| bytes.fill(0), 0, true),
    ];
    for (what, harm, at, is_seen) in table {
        let mut bytes = whole.clone();
        harm(&mut bytes, at);
        let found = of(&bytes);
        assert_eq!(found != Log::Whole, is_seen, "{what}: {found:?}");
    }
    assert!(matches!(
        of(&{
            let mut b = whole.clone();
            b[40] ^= 4;
            b
        }),
        Log::Damaged(15..)
    ));
}

#[test]
fn a_log_that_ends_within_a_transaction_is_unfinished() {
    let whole = log();
    let frame = FRAME_HEADER + Header::read(&whole).unwrap().page;
    let committed = behind_a_commit(&whole);
    for (what, until, expected) in [
        ("behind a commit", committed, Log::Whole),
        ("within the header of the next frame", committed + 4, Log::Unfinished),
        ("within the page of the next frame", committed + 100, Log::Unfinished),
        ("behind the next frame, which commits nothing", committed + frame, Log::Unfinished),
        ("behind the header of the log", HEADER, Log::Whole),
    ] {
        assert_eq!(of(&whole[..until]), expected, "{what}");
    }
    // What is left there of an older log says nothing.
    let mut older = whole[..committed + frame - 10].to_vec();
    older[committed + 8] ^= 1;
    assert_eq!(of(&older), Log::Whole);
}

/// A log that is written from its beginning again has older frames behind its end.
#[test]
fn what_is_left_of_an_older_log_is_no_damage() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    store.reader().0.pragma_update(None, "wal_autocheckpoint", 40).unwrap();
    for number in 0..60 {
        let mut commit = Commit::new(Uptime(number), calibrated(1));
        commit.events.push(note(Uptime(number), "a note"));
        store.commit(&commit).unwrap();
        assert_eq!(inspect(&beside(&folder.database(), "-wal")), Log::Whole, "after {number}");
    }
}
