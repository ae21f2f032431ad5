//! Inspects the data folder before a database is opened, for opening changes it; afterwards says which history was lost.
//!
//! A start compares what it finds with `history.last`, which may be behind the database, and with the log that lies there. An agent that opens
//! its database again knows exactly what it had written, and compares with that alone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::last_known::{LastKnown, LossAmount, LostHistory};
use super::log::{self, Log};
use super::{Found, Opened, Options, Store, boot, damaged_files};

/// A database that this process wrote to and has closed.
pub(super) struct Closed {
    pub(super) known: LastKnown,
    /// The file was not in its place any more: deleted, or another one put there.
    pub(super) is_gone: bool,
}

/// State of the data folder before the database is opened.
pub(super) struct Inspection {
    pub(super) known: Option<LastKnown>,
    /// Whether the file of the database that this process closed was gone; `None` at a start.
    was_gone: Option<bool>,
    log: Log,
    /// There is no file, or one without a byte.
    pub(super) is_new: bool,
    /// New path of a log whose database is not there.
    log_aside: Option<PathBuf>,
    has_run: bool,
}

impl Inspection {
    /// A log without its database would be deleted by SQLite: it is moved aside.
    pub(super) fn of(path: &Path, options: &Options, closed: Option<&Closed>) -> Inspection {
        let log = log::inspect(&damaged_files::beside(path, "-wal"));
        let is_new = fs::metadata(path).map_or_else(
            |error| error.kind() == ErrorKind::NotFound,
            |metadata| metadata.is_file() && metadata.len() == 0,
        );
        let has_log = !matches!(log, Log::Absent | Log::Empty);
        let log_aside = (is_new && has_log).then(|| damaged_files::move_aside(path, &options.suffix).ok()).flatten();
        let known = match closed {
            Some(closed) => Some(closed.known.clone()),
            None => path.parent().and_then(LastKnown::read),
        };
        let was_gone = closed.map(|closed| closed.is_gone);
        let has_run = options.has_run || has_log || damaged_files::exist(path);
        Inspection { known, was_gone, log, is_new, log_aside, has_run }
    }

    /// What was there before and is not any more.
    pub(super) fn lost(&self, store: &Store, opened: &Opened) -> Result<Option<LostHistory>, StoreError> {
        let until = self.known.as_ref().and_then(|known| known.at);
        match &opened.found {
            Found::Damaged { reason, .. } => {
                Ok(Some(LostHistory::all(format!("the database was damaged ({reason})"), until)))
            }
            Found::Nothing if self.was_gone == Some(true) => {
                Ok(Some(LostHistory::all("tilth.db was deleted while the agent ran".to_owned(), until)))
            }
            Found::Nothing if self.known.is_some() || self.has_run => {
                let aside = self.log_aside.as_ref().map(|to| format!("; its log lies in {}-wal", to.display()));
                let reason = format!("tilth.db was not there, or empty{}", aside.unwrap_or_default());
                Ok(Some(LostHistory::all(reason, until)))
            }
            Found::Nothing => Ok(None),
            Found::Database if self.was_gone.is_some() => self.lost_since(store),
            Found::Database => {
                let lost = match self.known.as_ref().filter(|_| !store.name.is_empty()) {
                    Some(known) => known.lost_in(&store.found()?, self.log),
                    None => {
                        let amount = self.log.loss();
                        self.log.damage().map(|reason| LostHistory { reason, from: None, until, amount })
                    }
                };
                lost.map(|lost| Ok(LostHistory { from: store.newest_wall()?, ..lost })).transpose()
            }
        }
    }

    /// What the file lacks of what this process had written. Its log may have what the file itself has not.
    fn lost_since(&self, store: &Store) -> Result<Option<LostHistory>, StoreError> {
        // A file of an older layout has no name before a disk takes one.
        let known = self.known.as_ref().filter(|known| !known.database.is_empty() && !store.name.is_empty());
        let Some(known) = known else { return Ok(None) };
        let Some(lost) = known.lost_in(&store.found()?, Log::Whole) else { return Ok(None) };
        let what = if self.was_gone == Some(true) || lost.amount == LossAmount::All {
            "another database was put in the place of tilth.db while the agent ran"
        } else {
            "the disk lost what was written while the agent ran"
        };
        Ok(Some(if lost.amount == LossAmount::All {
            LostHistory { reason: what.to_owned(), ..lost }
        } else {
            LostHistory { reason: format!("{what}: {}", lost.reason), from: store.newest_wall()?, ..lost }
        }))
    }
}

impl Store {
    fn found(&self) -> Result<LastKnown, StoreError> {
        Ok(LastKnown { boot: boot::newest(&self.reader.0)?, ..self.known(None, true) })
    }
}
