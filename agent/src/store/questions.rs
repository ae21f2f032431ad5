//! Questions of people and of sync: each is read in one transaction, on a connection and a thread of their own, so that a question does
//! not wait for a commit, nor a commit for a question.
//!
//! The connection is opened for one question and closed after it. So each question reads the file that is in use by then, no read
//! transaction outlives its question, and between questions their memory is free. A file that can only be read is open without
//! locks: there the store's thread answers on its own connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tilth_protocol::Stream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::error::StoreError;
use super::handle::StoreHandle;
use super::open::{self, ALONE, FileId};
use super::schema::{self, LAYOUT};
use super::{Store, StoreReader};

/// Questions that wait at most; with more the store is busy.
const QUEUE: usize = 16;

/// Longest time in which one question reads rows: as long as a transaction reads, the log grows behind it.
const READ_TIME: Duration = Duration::from_secs(2);

/// Longest time in which a question reads the database of a stopped agent. An agent that starts meanwhile waits [`open::BUSY`] for it, and
/// begins with empty alert state after that.
const STOPPED_READ_TIME: Duration = Duration::from_millis(500);

const _: () = assert!(STOPPED_READ_TIME.as_millis() * 4 <= open::BUSY.as_millis());

/// Longest wait for an answer, with its time in the queue.
const ANSWER_TIME: Duration = Duration::from_secs(3);

/// Longest wait for the log while the writer goes back to its beginning, which takes milliseconds.
const LOCK_TIME: Duration = Duration::from_secs(1);

/// Pages in memory while a question is read.
const CACHE_KIB: i64 = 256;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// Too many questions wait: ask again.
    #[error("the store is busy")]
    Busy,
    /// No answer within [`ANSWER_TIME`].
    #[error("the disk does not answer")]
    Late,
    /// No database is open, or it was just replaced.
    #[error("the store has no database")]
    NoDatabase,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A question with the channel for its answer.
type Question = Box<dyn FnOnce(Result<&StoreReader, Unanswered>) + Send>;

/// The connection that reads questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Source {
    /// No database is open.
    #[default]
    None,
    /// On a connection of their own, from this file.
    File(PathBuf, FileId),
    /// On the connection of the store's thread.
    StoreThread,
}

/// What the store's thread says of [`Source`], and whether a question runs: before the file is closed the thread waits for that.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadAccess(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    source: Source,
    is_reading: bool,
}

impl ReadAccess {
    /// Questions may be read from the file of this store.
    pub(super) fn open(&self, store: &Store) {
        let is_writable = store.reader.0.is_readonly("main").is_ok_and(|is_readonly| !is_readonly);
        let file = store.file.filter(|_| is_writable);
        self.state().source = file.map_or(Source::StoreThread, |file| Source::File(store.boot.path.clone(), file));
    }

    /// Questions are left to the store's thread: its connection is of no use any more but to those who ask.
    pub(super) fn leave_to_store_thread(&self) {
        self.state().source = Source::StoreThread;
    }

    /// Ends reading before the file is closed. A question that hangs in the disk is waited for no longer than it may read: SQLite
    /// keeps apart what it has open.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.source = Source::None;
        let _ = self.0.1.wait_timeout_while(state, READ_TIME, |state| state.is_reading);
    }

    fn begin(&self) -> Option<(PathBuf, FileId)> {
        let mut state = self.state();
        let Source::File(path, file) = state.source.clone() else { return None };
        state.is_reading = true;
        Some((path, file))
    }

    fn end(&self) {
        self.state().is_reading = false;
        self.0.1.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way of questions to the thread that answers them. It ends with the last clone.
#[derive(Clone)]
pub(super) struct Questions {
    queue: SyncSender<Question>,
    access: ReadAccess,
}

impl Questions {
    pub(super) fn start(access: ReadAccess) -> std::io::Result<Questions> {
        let (queue, queued) = mpsc::sync_channel(QUEUE);
        let answering = access.clone();
        std::thread::Builder::new().name("store-reader".to_owned()).spawn(move || answer_all(&queued, &answering))?;
        Ok(Questions { queue, access })
    }
}

fn answer_all(queued: &Receiver<Question>, access: &ReadAccess) {
    while let Ok(question) = queued.recv() {
        let Some((path, file)) = access.begin() else {
            question(Err(Unanswered::NoDatabase));
            continue;
        };
        // A question that panics costs no more than its answer.
        let _ = catch_unwind(AssertUnwindSafe(|| match StoreReader::open(&path, file) {
            Ok(reader) => question(Ok(&reader)),
            Err(error) => question(Err(error)),
        }));
        access.end();
    }
}

impl StoreHandle {
    /// Has a question read in one transaction, which shows one instant of the database. The question stops reading rows at the instant
    /// that it is given, and its answer says so. Answered at the latest after [`ANSWER_TIME`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&StoreReader, Instant) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.put(Box::new(move |reader| {
            // A question that is no longer awaited costs no time.
            if !answer.is_closed() {
                let _ = answer.send(reader.and_then(|reader| Ok(reader.answer(READ_TIME, question)?)));
            }
        }))?;
        match timeout(ANSWER_TIME, answered).await {
            Ok(answered) => answered.unwrap_or(Err(Unanswered::NoDatabase)),
            Err(_) => Err(Unanswered::Late),
        }
    }

    fn put(&self, question: Question) -> Result<(), Unanswered> {
        if self.questions.access.state().source == Source::StoreThread {
            return self.change(|store| question(Ok(&store.reader)));
        }
        self.questions.queue.try_send(question).map_err(|_| Unanswered::Busy)
    }
}

impl StoreReader {
    /// A connection beside the writer's, which never writes and leaves the log alone when it is closed.
    pub(super) fn open(path: &Path, file: FileId) -> Result<StoreReader, Unanswered> {
        // With `unix-excl`, only connections that could write share the index of the log.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(path, flags, ALONE).map_err(StoreError::from)?;
        if FileId::of(path) != Some(file) {
            return Err(Unanswered::NoDatabase);
        }
        let prepare = || -> rusqlite::Result<()> {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.busy_timeout(LOCK_TIME)?;
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)
        };
        prepare().map_err(StoreError::from)?;
        Ok(StoreReader(connection))
    }

    /// Reads a question from the database of an agent that is not running. As long as it is open no agent opens it.
    pub(crate) fn read_stopped<T>(
        path: &Path,
        question: impl FnOnce(&StoreReader, Instant) -> Result<T, StoreError>,
    ) -> Result<T, Unanswered> {
        let reader = StoreReader::open(path, FileId::of(path).ok_or(Unanswered::NoDatabase)?)?;
        match schema::layout(&reader.0)? {
            found if found > LAYOUT => Err(StoreError::Newer { found, known: LAYOUT }.into()),
            _ => Ok(reader.answer(STOPPED_READ_TIME, question)?),
        }
    }

    /// Reads a question in one transaction.
    fn answer<T>(
        &self,
        time: Duration,
        question: impl FnOnce(&StoreReader, Instant) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _transaction = self.0.unchecked_transaction()?;
        question(self, Instant::now() + time)
    }

    pub(crate) fn stream(&self) -> Result<Stream, StoreError> {
        open::stream(&self.0)
    }
}

#[cfg(test)]
mod tests;
