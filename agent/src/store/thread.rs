//! The thread that owns the store: it gathers, commits, answers, and says what it could not do.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use tilth_core::time::{Span, Uptime, WallTime};
use tilth_protocol::Stream;

use super::buffer::{Buffer, Lost};
use super::commit::Commit;
use super::error::StoreError;
use super::lane::LaneStates;
use super::open::{Opened, Options};
use super::retention::{Policy, Step};
use super::{Store, boot};

/// Commands that wait for the thread. When it is full, commits gather on the recorder's side under the same limits as in
/// the thread, and questions are refused: whoever asks comes again.
pub(crate) const QUEUE: usize = 256;

/// Between looks at whether something must be given up.
const LOOK: Span = Span::from_mins(1);

/// Steps of giving up after one commit: deleting keeps up with adding, and no commit waits long.
const STEPS: u32 = 4;

/// How it works.
pub(crate) struct Settings {
    /// How long readings gather before they are committed.
    pub(crate) interval: Span,
    /// What is kept.
    pub(crate) policy: Policy,
    /// As the store was opened.
    pub(crate) options: Options,
    /// Bytes free on the disk, if that can be said.
    pub(crate) free_bytes: Box<dyn FnMut() -> Option<u64> + Send>,
    /// Hears what happens, on the store's thread; it must not wait.
    pub(crate) news: Box<dyn FnMut(News<'_>) + Send>,
}

/// What the thread has to say.
#[derive(Debug)]
pub(crate) enum News<'a> {
    /// Rows were committed: the lanes of this stream stand so.
    Rows(Stream, LaneStates),
    /// Nothing can be written; what comes gathers in memory. Said once for each trouble.
    Trouble(&'a StoreError),
    /// Writing works again.
    Recovered,
    /// The database was damaged and a new one was begun: tell it the clock anchor and the site state again.
    Anew(&'a Opened),
}

enum Command {
    Record(Vec<Commit>, Lost),
    Ask(Box<dyn FnOnce(&mut Store) + Send>),
    /// Commits what waits, then answers whether everything is on the disk.
    Flush(Box<dyn FnOnce(bool) + Send>),
    Stop,
}

/// The end that decide holds. Recording never waits.
pub(crate) struct Recorder {
    commands: SyncSender<Command>,
    overflow: Buffer,
    interval: Span,
}

/// The end for questions and confirmations.
#[derive(Clone)]
pub(crate) struct Desk {
    commands: SyncSender<Command>,
}

/// The queue is full, or the thread has ended: nothing was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is busy")]
pub(crate) struct Refused;

/// Starts the thread over an open store in which a boot has begun.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(store: Store, settings: Settings) -> Result<(Recorder, Desk, JoinHandle<()>), std::io::Error> {
    let (commands, heard) = mpsc::sync_channel(QUEUE);
    let interval = settings.interval;
    let keeper = Keeper {
        running: store.running(),
        store: Some(store),
        buffer: Buffer::new(interval),
        heard,
        now: Uptime(i64::MIN),
        looked: None,
        more_to_give_up: false,
        in_trouble: false,
        settings,
    };
    let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || keeper.run())?;
    let recorder = Recorder { commands: commands.clone(), overflow: Buffer::new(interval), interval };
    Ok((recorder, Desk { commands }, thread))
}

impl Recorder {
    /// Hands a commit over. With the queue full it stays here until the next one; beyond the limits the oldest is dropped
    /// and counted.
    pub(crate) fn record(&mut self, commit: Commit) {
        self.overflow.add(commit);
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let (commits, lost) = self.overflow.take();
        if let Err(TrySendError::Full(Command::Record(commits, lost))) =
            self.commands.try_send(Command::Record(commits, lost))
        {
            let mut overflow = Buffer::new(self.interval);
            overflow.add_lost(&lost);
            commits.into_iter().for_each(|commit| overflow.add(commit));
            self.overflow = overflow;
        }
    }

    /// Hands over what is left and lets the thread commit everything and end. Waits for room in the queue.
    pub(crate) fn stop(mut self) {
        let (commits, lost) = self.overflow.take();
        let _ = self.commands.send(Command::Record(commits, lost));
        let _ = self.commands.send(Command::Stop);
    }
}

impl Desk {
    /// Runs a question on the store's thread; it answers by whatever channel it holds. While the database cannot be opened
    /// questions are dropped, and with them their channel.
    ///
    /// # Errors
    /// [`Refused`] when the queue is full: ask again later.
    pub(crate) fn ask(&self, question: impl FnOnce(&mut Store) + Send + 'static) -> Result<(), Refused> {
        self.commands.try_send(Command::Ask(Box::new(question))).map_err(|_| Refused)
    }

    /// Commits what waits and answers whether all of it is on the disk; for dosing, which waits for that.
    ///
    /// # Errors
    /// [`Refused`] when the queue is full: whatever waits for it does not happen.
    pub(crate) fn flush(&self, answer: impl FnOnce(bool) + Send + 'static) -> Result<(), Refused> {
        self.commands.try_send(Command::Flush(Box::new(answer))).map_err(|_| Refused)
    }
}

struct Keeper {
    /// Absent after a damage that no new database could be made after.
    store: Option<Store>,
    running: boot::Running,
    buffer: Buffer,
    heard: Receiver<Command>,
    /// The latest instant of a commit.
    now: Uptime,
    looked: Option<Uptime>,
    more_to_give_up: bool,
    in_trouble: bool,
    settings: Settings,
}

impl Keeper {
    fn run(mut self) {
        let wait = Duration::from_millis(self.settings.interval.0.clamp(1, 60_000).unsigned_abs());
        loop {
            let mut goes_on = match self.heard.recv_timeout(wait) {
                Ok(command) => self.hear(command),
                Err(RecvTimeoutError::Timeout) => {
                    // Sensors fell silent: what waits is not left waiting.
                    self.commit();
                    true
                }
                Err(RecvTimeoutError::Disconnected) => false,
            };
            // What has come meanwhile goes into the same transaction.
            for _ in 0..QUEUE {
                let Ok(command) = self.heard.try_recv() else { break };
                goes_on &= self.hear(command);
            }
            if !goes_on {
                self.commit();
                return;
            }
            if self.buffer.is_due(self.now) {
                self.commit();
            }
        }
    }

    /// Says whether to go on.
    fn hear(&mut self, command: Command) -> bool {
        match command {
            Command::Record(commits, lost) => {
                self.buffer.add_lost(&lost);
                for commit in commits {
                    self.now = self.now.max(commit.now);
                    self.buffer.add(commit);
                }
            }
            Command::Ask(question) => {
                if let Some(store) = &mut self.store {
                    question(store);
                }
            }
            Command::Flush(answer) => {
                self.commit();
                answer(!self.in_trouble && self.buffer.is_empty());
            }
            Command::Stop => return false,
        }
        true
    }

    fn commit(&mut self) {
        let mut written = self.write();
        if let Err(StoreError::Damaged(reason)) = &written
            && self.start_anew(reason.clone())
        {
            written = self.write();
        }
        match written {
            Ok(lanes) => {
                self.buffer.committed();
                if std::mem::take(&mut self.in_trouble) {
                    (self.settings.news)(News::Recovered);
                }
                if let Some((stream, lanes)) = lanes {
                    (self.settings.news)(News::Rows(stream, lanes));
                }
            }
            Err(error) => {
                self.buffer.failed(self.now);
                if !std::mem::replace(&mut self.in_trouble, true) {
                    (self.settings.news)(News::Trouble(&error));
                }
            }
        }
        // In trouble, too: room may be what is missing.
        self.give_up();
    }

    /// Where the lanes stand, if there was anything to write.
    fn write(&mut self) -> Result<Option<(Stream, LaneStates)>, StoreError> {
        let store = match &mut self.store {
            Some(store) => store,
            None => {
                let (mut store, opened) = Store::open(self.running.path(), &self.settings.options)?;
                store.resume(&self.running)?;
                (self.settings.news)(News::Anew(&opened));
                self.store.insert(store)
            }
        };
        let (commits, lost) = self.buffer.waiting();
        if commits.is_empty() {
            store.flush()?;
            return Ok(None);
        }
        let lanes = store.commit_all(commits, lost)?;
        Ok(Some((store.stream(), lanes)))
    }

    /// Says whether there is a database again.
    fn start_anew(&mut self, reason: String) -> bool {
        let Some(store) = self.store.take() else { return false };
        let Ok((store, opened)) = store.start_anew(&self.settings.options, reason) else { return false };
        self.store = Some(store);
        (self.settings.news)(News::Anew(&opened));
        true
    }

    /// Once a minute, and on while there is more to give up.
    fn give_up(&mut self) {
        let is_time = self.looked.is_none_or(|looked| self.now - looked >= LOOK);
        let Some(store) = self.store.as_mut().filter(|_| is_time || self.more_to_give_up || self.in_trouble) else {
            return;
        };
        self.looked = Some(self.now);
        let free_bytes = (self.settings.free_bytes)();
        let wall = store.wall_at_zero().ok().flatten().map(|zero| WallTime(zero.0.saturating_add(self.now.0)));
        for _ in 0..STEPS {
            match store.give_up(&self.settings.policy, wall, free_bytes) {
                Ok(Step::Rest) => {
                    self.more_to_give_up = false;
                    return;
                }
                Ok(_) => self.more_to_give_up = true,
                // The next commit says what is wrong.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
