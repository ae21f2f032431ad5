//! The daemon's log: a thread of its own writes the lines to standard error, so that neither decide nor notify waits for a journal that is
//! stuck. Lines that it has no room for are lost, and counted in the log itself. Lines for systemd's journal begin with their priority, as
//! `<4>`.

use std::env;
use std::io::{self, Write};
use std::iter;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::counted;

/// Lines that may wait: more than a storm of alerts says before the journal takes the first.
const LINES: usize = 1024;

/// At the end the journal has so long to take what waits.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

static RUNNING: OnceLock<Journal> = OnceLock::new();

/// Priority of a line, as syslog and systemd's journal count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

/// Lines on their way to standard error.
pub(crate) struct Journal {
    queue: SyncSender<Line>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Given and neither written nor lost.
    waiting: AtomicU64,
    /// Lost, and not yet said to be.
    lost: AtomicU64,
}

struct Line {
    priority: Priority,
    text: String,
    /// Hears that the line was written; dropped when it was lost.
    written: Option<oneshot::Sender<io::Result<()>>>,
}

/// From here on what is told goes through the log.
pub(crate) fn start() -> io::Result<()> {
    let journal = Journal::start(io::stderr(), LINES, is_systemds())?;
    if RUNNING.set(journal).is_ok() {
        panic::set_hook(Box::new(|why| {
            let thread = thread::current();
            tracing::error!("thread '{}' {why}", thread.name().unwrap_or_default());
            flush();
        }));
    }
    Ok(())
}

/// The log of this process, where it keeps one.
pub(crate) fn running() -> Option<&'static Journal> {
    RUNNING.get()
}

/// Whether standard error leads to systemd's journal, which `JOURNAL_STREAM` names as DEVICE:INODE.
fn is_systemds() -> bool {
    let named = env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(io::stderr()).is_ok_and(|stream| format!("{}:{}", stream.st_dev, stream.st_ino) == named)
}

/// Waits until everything is written, but not for long.
pub(crate) fn flush() {
    running().into_iter().for_each(|journal| journal.flush(FLUSH_TIMEOUT));
}

impl Journal {
    /// With `marked` each line begins with its priority.
    fn start(out: impl Write + Send + 'static, room: usize, marked: bool) -> io::Result<Journal> {
        let (queue, lines) = sync_channel(room);
        let counts = Arc::<Counts>::default();
        let journal = Journal { queue, counts: Arc::clone(&counts) };
        thread::Builder::new().name("journal".to_owned()).spawn(move || write(out, marked, &lines, &counts))?;
        Ok(journal)
    }

    /// Queues a line and never waits. `written` gets the result, for a caller that needs it.
    pub(crate) fn put(&self, priority: Priority, text: String, written: Option<oneshot::Sender<io::Result<()>>>) {
        self.counts.waiting.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(Line { priority, text, written }).is_err() {
            self.counts.lost.fetch_add(1, Ordering::AcqRel);
            self.counts.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn flush(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        while self.counts.waiting.load(Ordering::Acquire) > 0 && Instant::now() < end {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

fn write(mut out: impl Write, marked: bool, lines: &Receiver<Line>, counts: &Counts) {
    let mut write = |priority: Priority, text: &str| {
        let mark = if marked { format!("<{}>", priority as u8) } else { String::new() };
        let lines: String = text.split('\n').map(|line| format!("{mark}{line}\n")).collect();
        out.write_all(lines.as_bytes())
    };
    while let Ok(first) = lines.recv() {
        let mut taken = 0;
        for Line { priority, text, written } in iter::once(first).chain(lines.try_iter()) {
            let result = write(priority, &text);
            written.map(|written| written.send(result));
            taken += 1;
        }
        let lost = counts.lost.swap(0, Ordering::AcqRel);
        if lost > 0 {
            let were = if lost == 1 { "was" } else { "were" };
            let said = format!("tilth-agent: {} of the log {were} lost", counted(lost, "line"));
            let _ = write(Priority::Warning, &said);
        }
        counts.waiting.fetch_sub(taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up_and_what_is_lost_is_counted() {
        let (mut reader, pipe) = io::pipe().unwrap();
        let journal = Journal::start(pipe, 4, false).unwrap();
        let long = "x".repeat(100_000);
        let began = Instant::now();
        journal.put(Priority::Info, format!(".{long}"), None);
        // The thread has this line, which the pipe does not hold.
        reader.read_exact(&mut [0]).unwrap();
        for _ in 1..100 {
            journal.put(Priority::Info, long.clone(), None);
        }
        let (written, mut is_written) = oneshot::channel();
        journal.put(Priority::Notice, "a page".to_owned(), Some(written));
        assert!(is_written.try_recv().is_err(), "its sender learns that the line is lost");
        journal.flush(Duration::from_millis(10));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let mut kept = 0;
        let said = lines.by_ref().find(|line| {
            kept += u32::from(*line == long);
            *line != long
        });
        assert_eq!(kept, 5);
        assert_eq!(said.unwrap(), "tilth-agent: 96 lines of the log were lost");
        journal.put(Priority::Info, "later".to_owned(), None);
        assert_eq!(lines.next().unwrap(), "later");
    }

    #[test]
    fn each_line_for_systemds_journal_has_its_priority() {
        let (reader, pipe) = io::pipe().unwrap();
        let journal = Journal::start(pipe, 4, true).unwrap();
        journal.put(Priority::Error, "the disk is full\nand more".to_owned(), None);
        journal.put(Priority::Debug, "bus up".to_owned(), None);
        let lines: Vec<String> = BufReader::new(reader).lines().take(3).map(Result::unwrap).collect();
        assert_eq!(lines, ["<3>the disk is full", "<3>and more", "<7>bus up"]);
    }
}
