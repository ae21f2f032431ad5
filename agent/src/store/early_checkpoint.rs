//! Early in its life a database's file holds nothing and its log everything, for the log is copied into the file only when it has its
//! usual length. Until then it is copied now and then, so that a copy of the file is never an empty backup.
//!
//! The log goes on growing meanwhile, as it does otherwise: a read that is open all the time keeps SQLite from writing it from its
//! beginning again, and a file that still grows notices a full disk at once.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::damaged_files;
use super::open::ALONE;
use super::schema::pragma;

/// The log is copied when so many pages have come to it, or a quarter of what the file has ..
const LEAST_PAGES: u64 = 32;
const SHARE: u64 = 4;

/// .. and an event with them, or so many commits, eight minutes of a quiet farm: a copy costs the disk as much as a minute of commits.
const LEAST_COMMITS: u32 = 16;

/// Before each page in a log.
const FRAME_HEADER: u64 = 24;

/// What keeps the log of a young database.
#[derive(Debug)]
pub(super) struct EarlyCheckpoint {
    reading: Connection,
    log: PathBuf,
    page_size: u64,
    /// Pages of the log when it was copied last.
    copied: u64,
    /// Commits since then.
    commits: u32,
    /// The newest event then.
    events: u64,
    /// With so many pages in its log the database is no longer young.
    until: u64,
}

impl EarlyCheckpoint {
    /// None for a file that is larger than its log gets, or that cannot be opened twice.
    pub(super) fn of(path: &Path, connection: &Connection, until: u32) -> Option<EarlyCheckpoint> {
        let (pages, page_size) = (pragma(connection, "page_count").ok()?, pragma(connection, "page_size").ok()?);
        if pages >= u64::from(until) || connection.is_readonly("main").unwrap_or(true) {
            return None;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reading = Connection::open_with_flags_and_vfs(path, flags, ALONE).ok()?;
        reading.pragma_update(None, "cache_size", -16).ok()?;
        let log = damaged_files::beside(path, "-wal");
        // The first copy waits for no commits: a new file holds not even its tables.
        let (copied, commits, events) = (0, LEAST_COMMITS, 0);
        Some(EarlyCheckpoint { reading, log, page_size, copied, commits, events, until: u64::from(until) })
    }

    /// After a commit, with the newest event. Says whether the database is still young. A copy that fails is tried again with the next.
    pub(super) fn grew(&mut self, connection: &Connection, events: u64) -> bool {
        let length = fs::metadata(&self.log).map_or(0, |log| log.len());
        let pages = length / (FRAME_HEADER + self.page_size);
        if pages >= self.until {
            return false;
        }
        let in_file = pragma(connection, "page_count").unwrap_or(0);
        self.commits += 1;
        let is_worth_it = events > self.events || self.commits >= LEAST_COMMITS;
        let is_due = is_worth_it && pages >= self.copied + LEAST_PAGES.max(in_file / SHARE);
        if is_due && self.copy(connection).is_ok() {
            (self.copied, self.commits, self.events) = (pages, 0, events);
        }
        true
    }

    fn copy(&self, connection: &Connection) -> rusqlite::Result<()> {
        if !self.reading.is_autocommit() {
            self.reading.execute_batch("COMMIT")?;
        }
        self.reading.execute_batch("BEGIN")?;
        self.reading.query_row("SELECT id FROM meta", [], |_| Ok(()))?;
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }
}

#[cfg(test)]
mod tests;
