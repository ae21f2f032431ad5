//! The daemon's log. A thread of its own writes the lines to standard error, so that nobody who decides or pages waits for a
//! journal that is stuck: lines that it has no room for are lost, and counted in the log itself.

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
const PATIENCE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(2);

static RUNNING: OnceLock<Journal> = OnceLock::new();

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
    text: String,
    /// Hears that it was written; dropped when it was lost.
    written: Option<oneshot::Sender<io::Result<()>>>,
}

/// From here on what is told goes through the log.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start() -> io::Result<()> {
    let journal = Journal::start(io::stderr(), LINES)?;
    if RUNNING.set(journal).is_ok() {
        panic::set_hook(Box::new(|why| {
            let thread = thread::current();
            super::tell(format_args!("thread '{}' {why}", thread.name().unwrap_or_default()));
            flush();
        }));
    }
    Ok(())
}

/// The log of this process, where it keeps one.
pub(crate) fn running() -> Option<&'static Journal> {
    RUNNING.get()
}

/// Waits until everything is written, but not for long.
pub(crate) fn flush() {
    running().into_iter().for_each(|journal| journal.flush(PATIENCE));
}

impl Journal {
    fn start(out: impl Write + Send + 'static, room: usize) -> io::Result<Journal> {
        let (queue, lines) = sync_channel(room);
        let counts = Arc::<Counts>::default();
        let journal = Journal { queue, counts: Arc::clone(&counts) };
        thread::Builder::new().name("journal".to_owned()).spawn(move || write(out, &lines, &counts))?;
        Ok(journal)
    }

    /// Never waits. Whoever has to know whether it was written gives `written`.
    pub(crate) fn put(&self, text: String, written: Option<oneshot::Sender<io::Result<()>>>) {
        self.counts.waiting.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(Line { text, written }).is_err() {
            self.counts.lost.fetch_add(1, Ordering::AcqRel);
            self.counts.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn flush(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while self.counts.waiting.load(Ordering::Acquire) > 0 && Instant::now() < end {
            thread::sleep(LOOK);
        }
    }
}

fn write(mut out: impl Write, lines: &Receiver<Line>, counts: &Counts) {
    while let Ok(first) = lines.recv() {
        let mut taken = 0;
        for Line { text, written } in iter::once(first).chain(lines.try_iter()) {
            let result = out.write_all(format!("{text}\n").as_bytes());
            written.map(|written| written.send(result));
            taken += 1;
        }
        let lost = counts.lost.swap(0, Ordering::AcqRel);
        if lost > 0 {
            let were = if lost == 1 { "was" } else { "were" };
            let _ = writeln!(out, "tilth-agent: {} of the log {were} lost", counted(lost, "line"));
        }
        counts.waiting.fetch_sub(taken, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up_and_what_is_lost_is_counted() {
        let (reader, pipe) = io::pipe().unwrap();
        let journal = Journal::start(pipe, 4).unwrap();
        let long = "x".repeat(100_000);
        let began = Instant::now();
        for _ in 0..100 {
            journal.put(long.clone(), None);
        }
        let (written, mut is_written) = oneshot::channel();
        journal.put("a page".to_owned(), Some(written));
        assert!(is_written.try_recv().is_err(), "whoever gave it hears that it is lost");
        journal.flush(Duration::from_millis(10));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let mut kept = 0;
        let said = lines.by_ref().find(|line| {
            kept += u32::from(*line == long);
            *line != long
        });
        assert!((4..=5).contains(&kept), "{kept}");
        assert_eq!(said.unwrap(), format!("tilth-agent: {} lines of the log were lost", 101 - kept));
        journal.put("later".to_owned(), None);
        assert_eq!(lines.next().unwrap(), "later");
    }
}
