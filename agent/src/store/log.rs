//! The write-ahead log as it lies on the disk, looked at before SQLite opens it: SQLite takes what it can use of a log and drops
//! the rest without a word.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#walformat>.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// A larger one is not looked into: reading it would hold up the start.
const MOST_BYTES: u64 = 64 << 20;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A transaction that was being written when the power went may leave one torn commit. More than this many after a torn frame
/// were complete once.
const TORN: usize = 1;

/// How a log lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// There is none, as after a clean end.
    Absent,
    /// A file without a byte.
    Empty,
    /// The header is not what SQLite wrote: SQLite ignores the whole log.
    Unreadable,
    /// Number of commits behind a damaged place, which SQLite will drop.
    Damaged(usize),
    /// The file ends within a transaction: it was cut, or the process was ended in the instant in which it wrote.
    Unfinished,
    /// No damage found.
    Whole,
}

/// How the log beside a database lies there.
pub(super) fn look(path: &Path) -> Log {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Log::Absent,
        // What cannot be looked at says nothing; opening says what is wrong.
        Err(_) => return Log::Whole,
        Ok(file) if file.len() == 0 => return Log::Empty,
        Ok(file) if file.len() > MOST_BYTES => return Log::Whole,
        Ok(_) => {}
    }
    fs::read(path).map_or(Log::Whole, |bytes| of(&bytes))
}

fn of(bytes: &[u8]) -> Log {
    let Some(header) = Header::read(bytes) else { return Log::Unreadable };
    let frames: Vec<&[u8]> = bytes[HEADER..].chunks_exact(FRAME_HEADER + header.page).collect();
    let mut before = header.sum;
    let is_good =
        |frame: &[u8], before: (u32, u32)| frame[8..16] == header.salts && header.seal(frame, before) == sum(frame);
    let good = frames
        .iter()
        .take_while(|frame| {
            let is_good = is_good(frame, before);
            before = sum(frame);
            is_good
        })
        .count();
    // Frames of this log behind the first bad one: each follows from the one before it. Older ones have other salts.
    let behind = frames.iter().zip(frames.iter().skip(1)).skip(good);
    let commits = behind.filter(|(before, frame)| is_good(frame, sum(before)) && word(frame, 4) > 0).count();
    if commits > TORN {
        Log::Damaged(commits)
    } else if header.ends_unfinished(bytes, &frames, good) {
        Log::Unfinished
    } else {
        Log::Whole
    }
}

/// What the first bytes of a log say.
struct Header {
    /// Checksums are of words of this byte order.
    is_big_endian: bool,
    /// Bytes of a page.
    page: usize,
    /// Another pair after each time that the log begins anew.
    salts: [u8; 8],
    sum: (u32, u32),
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..HEADER)?;
        let is_big_endian = match word(bytes, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page = word(bytes, 8) as usize;
        let header = Header {
            is_big_endian,
            page,
            salts: bytes[16..24].try_into().ok()?,
            sum: (word(bytes, 24), word(bytes, 28)),
        };
        let is_whole = page.is_power_of_two() && (512..=65_536).contains(&page);
        (is_whole && header.add(&bytes[..24], (0, 0)) == header.sum).then_some(header)
    }

    /// Whether the file ends behind a good frame that commits nothing, or within another frame of this log.
    fn ends_unfinished(&self, bytes: &[u8], frames: &[&[u8]], good: usize) -> bool {
        if good < frames.len() {
            return false;
        }
        let rest = bytes[HEADER..].chunks_exact(FRAME_HEADER + self.page).remainder();
        let is_of_this_log = rest.get(8..16).is_none_or(|salts| salts == self.salts);
        let commits = frames.last().is_none_or(|frame| word(frame, 4) > 0);
        !commits || (!rest.is_empty() && is_of_this_log)
    }

    /// The checksum of a frame that follows another.
    fn seal(&self, frame: &[u8], before: (u32, u32)) -> (u32, u32) {
        self.add(&frame[FRAME_HEADER..], self.add(&frame[..8], before))
    }

    fn add(&self, bytes: &[u8], (mut first, mut second): (u32, u32)) -> (u32, u32) {
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| {
                let word = word(pair, at);
                if self.is_big_endian { word } else { word.swap_bytes() }
            };
            first = first.wrapping_add(word(0)).wrapping_add(second);
            second = second.wrapping_add(word(4)).wrapping_add(first);
        }
        (first, second)
    }
}

fn sum(frame: &[u8]) -> (u32, u32) {
    (word(frame, 16), word(frame, 20))
}

/// A big-endian number; 0 beyond the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Commit;
    use crate::store::aside::beside;
    use crate::store::tests::farm::{Folder, booted, note, watched};
    use tilth_core::time::Uptime;

    /// A log of twenty commits, as a kill leaves it.
    fn log() -> Vec<u8> {
        let folder = Folder::new();
        let mut store = booted(&folder);
        store.reader().0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        store.reader().0.pragma_update(None, "wal_autocheckpoint", 10_000).unwrap();
        for number in 0..20 {
            let mut commit = Commit::new(Uptime(number), watched(1));
            commit.events.push(note(Uptime(number), "a note of some length, so that there are pages to write"));
            store.commit(&commit).unwrap();
        }
        let copy = folder.copy();
        fs::read(beside(&copy.database(), "-wal")).unwrap()
    }

    /// Where the transaction before the first one of several frames ends.
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

    /// A log that began anew has older frames behind its end.
    #[test]
    fn what_is_left_of_an_older_log_is_no_damage() {
        let folder = Folder::new();
        let mut store = booted(&folder);
        store.reader().0.pragma_update(None, "wal_autocheckpoint", 40).unwrap();
        for number in 0..60 {
            let mut commit = Commit::new(Uptime(number), watched(1));
            commit.events.push(note(Uptime(number), "a note"));
            store.commit(&commit).unwrap();
            assert_eq!(look(&beside(&folder.database(), "-wal")), Log::Whole, "after {number}");
        }
    }
}
