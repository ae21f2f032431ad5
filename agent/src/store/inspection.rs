//! Inspects the data folder before a database is opened, for opening changes it; afterwards says which history was lost.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::last_known::{LastKnown, LossAmount, LostHistory};
use super::log::{self, Log};
use super::{Found, Opened, Options, Store, boot, damaged_files};

/// State of the data folder before the database is opened.
pub(super) struct Inspection {
    pub(super) known: Option<LastKnown>,
    log: Log,
    /// There is no file, or one without a byte.
    pub(super) is_new: bool,
    /// New path of a log whose database is not there.
    log_aside: Option<PathBuf>,
    has_run: bool,
}

impl Inspection {
    /// A log without its database would be deleted by SQLite: it is moved aside.
    pub(super) fn of(path: &Path, options: &Options) -> Inspection {
        let log = log::inspect(&damaged_files::beside(path, "-wal"));
        let is_new = fs::metadata(path).map_or_else(
            |error| error.kind() == ErrorKind::NotFound,
            |metadata| metadata.is_file() && metadata.len() == 0,
        );
        let has_log = !matches!(log, Log::Absent | Log::Empty);
        let log_aside = (is_new && has_log).then(|| damaged_files::move_aside(path, &options.suffix).ok()).flatten();
        let known = path.parent().and_then(LastKnown::read);
        let has_run = options.has_run || has_log || damaged_files::exist(path);
        Inspection { known, log, is_new, log_aside, has_run }
    }

    /// What was there before and is not any more.
    pub(super) fn lost(&self, store: &Store, opened: &Opened) -> Result<Option<LostHistory>, StoreError> {
        let until = self.known.as_ref().and_then(|known| known.at);
        match &opened.found {
            Found::Damaged { reason, .. } => {
                Ok(Some(LostHistory::all(format!("the database was damaged ({reason})"), until)))
            }
            Found::Nothing if self.known.is_some() || self.has_run => {
                let aside = self.log_aside.as_ref().map(|to| format!("; its log lies in {}-wal", to.display()));
                let reason = format!("tilth.db was not there, or empty{}", aside.unwrap_or_default());
                Ok(Some(LostHistory::all(reason, until)))
            }
            Found::Nothing => Ok(None),
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
}

impl Store {
    /// What a file lacks of one that was in use before it, and `what` happened to that. Its log may have what the file itself has not.
    pub(super) fn lost_since(&self, known: &LastKnown, what: &str) -> Result<Option<LostHistory>, StoreError> {
        // A file of an older layout has no name before a disk takes one.
        let is_named = !known.database.is_empty();
        let Some(lost) = known.lost_in(&self.found()?, Log::Whole).filter(|_| is_named) else { return Ok(None) };
        Ok(Some(if lost.amount == LossAmount::All {
            LostHistory { reason: what.to_owned(), ..lost }
        } else {
            LostHistory { reason: format!("{what}: {}", lost.reason), from: self.newest_wall()?, ..lost }
        }))
    }

    fn found(&self) -> Result<LastKnown, StoreError> {
        Ok(LastKnown { boot: boot::newest(&self.reader.0)?, ..self.known(None, true) })
    }
}
