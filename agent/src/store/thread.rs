//! The thread that owns the store: it gathers, commits, answers, and says what it could not do.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tilth_core::time::{Span, Uptime, WallTime};
use tilth_protocol::{Lane, Stream};

use super::buffer::{Buffer, Losses};
use super::error::StoreError;
use super::handle::StoreJob;
pub(crate) use super::handle::{QUEUE, StoreHandle, StoreWriter};
use super::inspection::Closed;
use super::lane::LaneStates;
use super::last_known::NoteSchedule;
use super::open::{Found, Opened, Options};
pub(crate) use super::progress::Progress;
use super::questions::{Questions, ReadAccess};
use super::retention::{Policy, Step};
use super::{CurrentBoot, EarlierState, Store};

/// Interval of the check whether rows must be deleted.
const RETENTION_INTERVAL: Span = Span::from_mins(1);

/// Steps of retention after one commit: deleting keeps up with adding, and no commit waits long.
const STEPS: u32 = 4;

pub(crate) struct Settings {
    /// How long readings gather before they are committed.
    pub(crate) interval: Span,
    pub(crate) policy: Policy,
    /// As the store was opened.
    pub(crate) options: Options,
    /// Bytes free on the disk, if that can be said.
    pub(crate) free_bytes: Box<dyn FnMut() -> Option<u64> + Send>,
    /// Takes what happens, on the store's thread; it must not wait.
    pub(crate) report: Box<dyn FnMut(StoreReport<'_>) + Send>,
}

#[derive(Debug)]
pub(crate) enum StoreReport<'a> {
    /// Rows were committed: the lanes of this stream stand so.
    Committed(Stream, LaneStates),
    /// Writing fails; what comes gathers in memory. Reported once for each error.
    WriteFailed(&'a StoreError),
    Recovered,
    /// A database was opened after a start without one.
    OpenedLate(EarlierState, &'a Opened),
    /// Rows dropped so far that no commit has recorded; empty once one has.
    Dropped(&'a Losses),
    /// A commit recorded what was dropped.
    DropsRecorded(&'a Losses),
    /// Kind of rows whose oldest are deleted from now on, and why room is short.
    DeletesOldest(&'static str, &'a str),
    /// Another database is written to, or the same one that has lost rows: it needs the clock anchor and the site state again.
    Replaced(&'a Opened),
    /// Another file was put in the place of the database in use; recording goes on in it.
    FileReplaced,
}

/// The store at the start of its thread.
pub(crate) enum InitialStore {
    /// An open store in which a boot has begun.
    Open(Box<Store>),
    /// No database yet, and why; the thread goes on trying to open it.
    NotOpen(CurrentBoot, StoreError),
}

/// Starts the thread, whose first work is to `open` the database: a disk that hangs holds up only this thread. What is
/// recorded meanwhile waits.
pub(crate) fn start(
    open: impl FnOnce() -> InitialStore + Send + 'static,
    settings: Settings,
) -> Result<(StoreWriter, StoreHandle, JoinHandle<()>), std::io::Error> {
    let (jobs, received) = mpsc::sync_channel(QUEUE);
    let store_writer = StoreWriter::new(jobs.clone(), settings.interval);
    let progress = store_writer.progress();
    let access = ReadAccess::default();
    let questions = Questions::start(access.clone())?;
    let handle = StoreHandle { jobs, questions, progress: store_writer.progress() };
    let run = move || StoreThread::new(open(), settings, received, progress, access).run();
    let thread = std::thread::Builder::new().name("store".to_owned()).spawn(run)?;
    Ok((store_writer, handle, thread))
}

struct StoreThread {
    /// Absent where none could be opened at the start, or none be made after a damage.
    store: Option<Store>,
    boot: CurrentBoot,
    /// The connection cannot write any more and only answers questions.
    must_reopen: bool,
    /// The database that was written to last, until the next one is in use.
    closed: Option<Closed>,
    /// The stream of the database that was written to last.
    stream: Option<Stream>,
    /// How a database was found that is not reported yet, since its first transaction failed.
    unreported: Option<Opened>,
    /// Why nothing can be written, as it was said last.
    problem: Option<String>,
    buffer: Buffer,
    jobs: Receiver<StoreJob>,
    /// The latest instant of a commit.
    now: Uptime,
    /// When something to record came last, on the machine's clock; or, in silence, when it was tried to commit.
    recorded: Instant,
    retention_at: Option<Uptime>,
    has_more_to_delete: bool,
    notes: NoteSchedule,
    progress: Progress,
    access: ReadAccess,
    settings: Settings,
}

impl StoreThread {
    fn new(
        initial: InitialStore,
        settings: Settings,
        jobs: Receiver<StoreJob>,
        progress: Progress,
        access: ReadAccess,
    ) -> StoreThread {
        let (store, boot, problem) = match initial {
            InitialStore::Open(store) => {
                access.open(&store);
                progress.state().lanes = store.lanes();
                let boot = store.boot.clone();
                (Some(*store), boot, None)
            }
            InitialStore::NotOpen(boot, error) => (None, boot, Some(error.to_string())),
        };
        StoreThread {
            boot,
            store,
            must_reopen: false,
            closed: None,
            stream: None,
            unreported: None,
            problem,
            buffer: Buffer::new(settings.interval),
            jobs,
            now: Uptime(i64::MIN),
            recorded: Instant::now(),
            retention_at: None,
            has_more_to_delete: false,
            notes: NoteSchedule::default(),
            progress,
            access,
            settings,
        }
    }

    fn run(mut self) {
        let wait = Duration::from_millis(self.settings.interval.0.clamp(1, 60_000).unsigned_abs());
        loop {
            let has_more = self.buffer.is_due(self.now);
            let timeout = if has_more { Duration::ZERO } else { wait.saturating_sub(self.recorded.elapsed()) };
            let mut goes_on = match self.jobs.recv_timeout(timeout) {
                Ok(job) => self.handle(job),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            // What has come meanwhile goes into the same transaction.
            for _ in 0..QUEUE {
                let Ok(job) = self.jobs.try_recv() else { break };
                goes_on &= self.handle(job);
            }
            if !goes_on {
                self.commit_all();
                if self.buffer.is_empty() {
                    self.note_known(false);
                }
                self.access.close();
                return;
            }
            // Sensors fell silent: what waits is committed, although other requests go on.
            let is_silent = self.recorded.elapsed() >= wait;
            if is_silent {
                self.recorded = Instant::now();
            }
            if is_silent || self.buffer.is_due(self.now) {
                self.commit();
            }
        }
    }

    /// Does a job; says whether to go on.
    fn handle(&mut self, job: StoreJob) -> bool {
        match job {
            StoreJob::Record(commits, lost) => {
                self.recorded = Instant::now();
                self.buffer.add_lost(&lost);
                for commit in commits {
                    self.now = self.now.max(commit.now);
                    self.buffer.add(commit);
                }
            }
            StoreJob::Change(change) => {
                if let Some(store) = &mut self.store {
                    change(store);
                    self.progress.state().lanes = store.lanes();
                }
            }
            StoreJob::Flush(answer) => {
                self.commit_all();
                answer(self.problem.is_none() && self.buffer.is_empty());
            }
            StoreJob::Stop => return false,
        }
        true
    }

    /// Commits all that waits, or what the disk takes of it.
    fn commit_all(&mut self) {
        self.commit();
        while self.problem.is_none() && !self.buffer.is_empty() {
            self.commit();
        }
    }

    /// One transaction.
    fn commit(&mut self) {
        let mut written = self.write();
        if let Err(StoreError::Damaged(reason)) = &written
            && self.start_anew(reason.clone())
        {
            written = self.write();
        }
        match written {
            Ok(lanes) => {
                if !self.buffer.lost().is_empty() {
                    (self.settings.report)(StoreReport::DropsRecorded(self.buffer.lost()));
                    (self.settings.report)(StoreReport::Dropped(&Losses::default()));
                }
                let until = self.buffer.committed(self.buffer.next_transaction());
                self.progress.written(until.unwrap_or(self.now));
                if let Some(store) = &self.store {
                    let mut state = self.progress.state();
                    (state.lanes, state.alerts_through) = (store.lanes(), store.alerts_through());
                }
                if self.problem.take().is_some() {
                    (self.settings.report)(StoreReport::Recovered);
                }
                if let Some((stream, lanes)) = lanes {
                    if self.notes.is_due(self.now, lanes.of(Lane::Events).committed) {
                        self.note_known(true);
                    }
                    (self.settings.report)(StoreReport::Committed(stream, lanes));
                }
            }
            Err(error) => {
                self.buffer.failed(self.now);
                self.buffer.set_drop_cause(error.drop_cause());
                self.progress.state().cause = Some(error.drop_cause());
                if !self.buffer.lost().is_empty() {
                    (self.settings.report)(StoreReport::Dropped(self.buffer.lost()));
                }
                if self.store.is_some() && error.needs_reopening() {
                    self.must_reopen = true;
                    self.access.leave_to_store_thread();
                }
                let said = error.to_string();
                if self.problem.as_ref() != Some(&said) {
                    (self.settings.report)(StoreReport::WriteFailed(&error));
                    self.problem = Some(said);
                }
            }
        }
        // With a problem, too: the disk may lack room.
        self.apply_retention();
    }

    /// Returns the state of the lanes, if there was anything to write.
    fn write(&mut self) -> Result<Option<(Stream, LaneStates)>, StoreError> {
        // The file was deleted, or another one was put in its place: what is written to it is lost with it.
        if let Some(store) = self.store.take_if(|store| !store.is_in_place()) {
            self.stream = None;
            self.access.close();
            self.note_closed(&store, true);
        }
        if self.store.is_none() || self.must_reopen {
            self.open()?;
        }
        let Some(store) = &mut self.store else { return Ok(None) };
        let (commits, lost) = self.buffer.waiting();
        if commits.is_empty() {
            store.flush()?;
            return Ok(None);
        }
        let lanes = store.commit_all(&commits[..self.buffer.next_transaction()], lost)?;
        store.checkpoint_early();
        Ok(Some((store.stream(), lanes)))
    }

    fn note_known(&self, is_open: bool) {
        if let Some(store) = &self.store {
            store.note_known(self.wall_of(store), is_open);
        }
    }

    /// The time of day, as the database knows it; none before anything was recorded.
    fn wall_of(&self, store: &Store) -> Option<WallTime> {
        let zero = store.wall_at_zero().ok().flatten().filter(|_| self.now > Uptime(i64::MIN))?;
        Some(WallTime(zero.0.saturating_add(self.now.0)))
    }

    /// Opens the database again, or at last. One that can only be read stays for those who ask.
    fn open(&mut self) -> Result<(), StoreError> {
        // Closed before: connections of one process share what they know of a file, such as that it is read-only.
        self.access.close();
        if let Some(store) = self.store.take() {
            self.note_closed(&store, false);
            if self.unreported.is_none() {
                self.stream = Some(store.stream());
            }
        }
        let (mut store, opened) = Store::open_after(&self.boot.path, &self.settings.options, self.closed.as_ref())?;
        if self.closed.is_some() && store.owes_stream {
            // Its numbers would be given out again under a stream in which the hub may have other rows.
            self.must_reopen = true;
            self.use_store(store);
            return Err(StoreError::ReadOnly);
        }
        if self.closed.take().is_some_and(|closed| closed.is_gone) && opened.found == Found::Database {
            (self.settings.report)(StoreReport::FileReplaced);
        }
        if self.boot.number > 0 {
            let resumed = store.resume(&self.boot);
            let is_another = self.stream != Some(store.stream());
            self.use_store(store);
            let found = self.unreported.take().filter(|_| opened.found == Found::Database).unwrap_or(opened);
            if let Err(error) = resumed {
                // The file has no row of this boot yet: nothing else is written to it before.
                (self.must_reopen, self.unreported) = (true, is_another.then_some(found));
                return Err(error);
            }
            if is_another {
                (self.settings.report)(StoreReport::Replaced(&found));
            }
        } else {
            let begun = store.begin_late(&self.boot);
            if begun.is_err() && opened.lost.is_none() {
                // Closed in order, which takes the log away: the next opening is not to miss it.
                self.note_closed(&store, false);
            }
            let earlier = begun?;
            self.boot = store.boot.clone();
            (self.settings.report)(StoreReport::OpenedLate(earlier, &opened));
            self.use_store(store);
        }
        self.must_reopen = false;
        self.note_known(true);
        Ok(())
    }

    /// Notes what is known of a database that is closed; of one that has lost rows, what was known before that.
    fn note_closed(&mut self, store: &Store, is_gone: bool) {
        // A start has seen the loss by what lies beside the file: the next opening looks there again.
        if store.owes_stream && self.closed.is_none() {
            return;
        }
        let known = store.known(self.wall_of(store), true);
        self.closed.get_or_insert(Closed { known, is_gone: false }).is_gone |= is_gone;
    }

    fn use_store(&mut self, store: Store) {
        self.access.open(&store);
        self.store = Some(store);
    }

    /// Says whether there is a database again.
    fn start_anew(&mut self, reason: String) -> bool {
        self.access.close();
        let Some(store) = self.store.take() else { return false };
        self.note_closed(&store, false);
        self.stream = None;
        let Ok((store, opened)) = store.start_anew(&self.settings.options, reason) else { return false };
        self.closed = None;
        self.use_store(store);
        (self.settings.report)(StoreReport::Replaced(&opened));
        true
    }

    /// Deletes rows once a minute, and on while more must go.
    fn apply_retention(&mut self) {
        let is_time = self.retention_at.is_none_or(|retention_at| self.now - retention_at >= RETENTION_INTERVAL);
        let wall = self.store.as_ref().and_then(|store| self.wall_of(store));
        let Some(store) = self.store.as_mut().filter(|_| is_time || self.has_more_to_delete || self.problem.is_some())
        else {
            return;
        };
        self.retention_at = Some(self.now);
        let free_bytes = (self.settings.free_bytes)();
        for _ in 0..STEPS {
            match store.delete_step(&self.settings.policy, wall, free_bytes) {
                Ok(Step::Rest) => {
                    self.has_more_to_delete = false;
                    return;
                }
                Ok(_) => {
                    self.has_more_to_delete = true;
                    if let Some((what, reason)) = store.started_deleting.take() {
                        (self.settings.report)(StoreReport::DeletesOldest(what, reason));
                    }
                }
                // The next commit says what is wrong.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
