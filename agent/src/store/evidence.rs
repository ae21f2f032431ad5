//! What shows, before a database is opened, what was in it, and afterwards that some of it is missing.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tilth_protocol::Lane;

use super::error::StoreError;
use super::known::{Known, Less, Missing, Present, damage};
use super::log::{self, Log};
use super::{Found, Opened, Options, Store, aside, boot};

/// What lies there before a database is opened: opening it changes that.
pub(super) struct Evidence {
    pub(super) known: Option<Known>,
    log: Log,
    /// There is no file, or one without a byte.
    pub(super) is_new: bool,
    /// Where the log of a file that is not there lies now.
    log_aside: Option<PathBuf>,
    has_run: bool,
}

impl Evidence {
    /// A log without its database would be deleted by SQLite: it is put aside.
    pub(super) fn of(path: &Path, options: &Options) -> Evidence {
        let log = log::look(&aside::beside(path, "-wal"));
        let is_new = fs::metadata(path).map_or_else(
            |error| error.kind() == ErrorKind::NotFound,
            |metadata| metadata.is_file() && metadata.len() == 0,
        );
        let has_log = !matches!(log, Log::Absent | Log::Empty);
        let log_aside = (is_new && has_log).then(|| aside::put_aside(path, &options.mark).ok()).flatten();
        let known = path.parent().and_then(Known::read);
        let has_run = options.has_run || has_log || aside::is_any(path);
        Evidence { known, log, is_new, log_aside, has_run }
    }

    /// Whether all that shows is a log that ends within a transaction, as a kill may leave it. Then the stream goes on: where the hub has
    /// confirmed what was cut off, it refuses the sequences that come again, and another stream begins.
    pub(super) fn is_perhaps_a_kill(&self, opened: &Opened) -> bool {
        self.log == Log::Unfinished && opened.missing.as_ref().is_some_and(|missing| !missing.is_certain)
    }

    /// What was there before and is not any more.
    pub(super) fn missing(&self, store: &Store, opened: &Opened) -> Result<Option<Missing>, StoreError> {
        let until = self.known.as_ref().and_then(|known| known.at);
        let all = |reason| Missing { reason, from: None, until, is_all: true, is_certain: true };
        match &opened.found {
            Found::Damaged { reason, .. } => Ok(Some(all(format!("the database was damaged ({reason})")))),
            Found::Nothing if self.known.is_some() || self.has_run => {
                let aside = self.log_aside.as_ref().map(|to| format!("; its log lies in {}-wal", to.display()));
                Ok(Some(all(format!("tilth.db was not there, or empty{}", aside.unwrap_or_default()))))
            }
            Found::Nothing => Ok(None),
            Found::Database => {
                let found = store.present(self.log)?;
                let known = self.known.as_ref().filter(|_| !store.name.is_empty());
                let of_log = || damage(self.log).map(|reason| Less { reason, is_all: false, is_certain: false });
                let Some(less) = known.map_or_else(of_log, |known| known.less(&found)) else { return Ok(None) };
                let Less { reason, is_all, is_certain } = less;
                Ok(Some(Missing { reason, from: store.newest_wall()?, until, is_all, is_certain }))
            }
        }
    }
}

impl Store {
    /// What a file lacks that was put in the place of one in use. Its log may have what the file itself has not.
    pub(super) fn missing_since(&self, known: &Known) -> Result<Option<Missing>, StoreError> {
        let Some(Less { reason, is_all, is_certain }) = known.less(&self.present(Log::Whole)?) else { return Ok(None) };
        let what = "another database was put in the place of tilth.db while the agent ran";
        if is_all {
            let (reason, from) = (what.to_owned(), None);
            return Ok(Some(Missing { reason, from, until: known.at, is_all, is_certain }));
        }
        let reason = format!("{what}: {reason}");
        Ok(Some(Missing { reason, from: self.newest_wall()?, until: known.at, is_all, is_certain }))
    }

    fn present(&self, log: Log) -> Result<Present<'_>, StoreError> {
        Ok(Present {
            database: &self.name,
            boot: boot::newest(&self.reader.0)?,
            lanes: Lane::ALL.map(|lane| (lane, self.lanes.of(lane).committed)).into(),
            log,
        })
    }
}
