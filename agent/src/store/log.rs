//! The write-ahead log as it lies on the disk, looked at before SQLite opens it: SQLite takes what it can use of a log and drops
//! the rest without a word.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#walformat>.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::last_known::LossAmount;

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

impl Log {
    /// Damage of the log, in words; independent of the database.
    pub(super) fn damage(self) -> Option<String> {
        match self {
            Log::Unreadable => Some("its log tilth.db-wal was overwritten".to_owned()),
            Log::Damaged(commits) => Some(format!("its log tilth.db-wal was damaged, {commits} commits from its end")),
            Log::Unfinished => Some(
                "its log tilth.db-wal ends within a transaction: it was cut, or the agent was ended while it wrote"
                    .to_owned(),
            ),
            Log::Absent | Log::Empty | Log::Whole => None,
        }
    }

    /// How much was lost where the log alone says so.
    pub(super) fn loss(self) -> LossAmount {
        if self == Log::Unfinished { LossAmount::PerhapsNone } else { LossAmount::PerhapsPart }
    }
}

/// How the log beside a database lies there.
pub(super) fn inspect(path: &Path) -> Log {
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
    /// Another pair after each time that the log is written from its beginning again.
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
mod tests;
