//! The console: standard output, a line of progress on the terminal, and the log.

pub(crate) mod journal;
pub(crate) mod log;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;
use tokio::sync::oneshot;

use journal::Priority;

/// Bytes gathered before a write; a pipe takes as much at once.
const BUFFER_BYTES: usize = 1 << 16;

/// The reader of standard output has gone away, as `head` does: the end, and no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct Closed;

/// Lines on standard output, and on a terminal a line of progress that gets out of their way.
pub(crate) struct Console {
    buffer: Vec<u8>,
    /// Progress on the terminal; none without a terminal.
    progress: Option<String>,
}

impl Console {
    pub(crate) fn new() -> Console {
        Console { buffer: Vec::with_capacity(BUFFER_BYTES), progress: None }
    }

    /// Lines, and progress where standard error is a terminal.
    pub(crate) fn with_progress() -> Console {
        Console { progress: io::stderr().is_terminal().then(String::new), ..Console::new() }
    }

    pub(crate) fn line(&mut self, line: impl Display) -> anyhow::Result<()> {
        writeln!(self.buffer, "{line}").context("standard output")?;
        self.flush_full()
    }

    pub(crate) fn json(&mut self, object: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.buffer, object).context("standard output")?;
        self.buffer.push(b'\n');
        self.flush_full()
    }

    /// Shows progress, after the lines gathered so far.
    pub(crate) fn progress(&mut self, progress: impl Display) -> anyhow::Result<()> {
        let Some(shown) = &self.progress else { return Ok(()) };
        let progress = progress.to_string();
        if *shown == progress {
            return Ok(());
        }
        self.flush()?;
        let _ = write_stderr(format_args!("\r\x1b[2K{progress}"), "");
        self.progress = Some(progress);
        Ok(())
    }

    /// Writes the gathered lines over the line of progress.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(shown) = &mut self.progress
            && !shown.is_empty()
        {
            shown.clear();
            let _ = write_stderr(format_args!("\r\x1b[2K"), "");
        }
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.buffer).and_then(|()| stdout.flush());
        self.buffer.clear();
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
            other => other.context("standard output"),
        }
    }

    fn flush_full(&mut self) -> anyhow::Result<()> {
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }
}

/// `1 alert`, `2 alerts`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The first `most` of these separated by commas, and how many more there are.
pub(crate) fn listed(names: impl IntoIterator<Item = impl Display>, most: usize) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(most).map(|name| name.to_string()).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Text for people on standard error, at every level of the log; while the daemon runs, lines of its log.
pub(crate) fn tell(text: impl Display) {
    put(Priority::Warning, text.to_string());
}

/// As [`tell`]; the future says whether the line was written. The line is queued when this returns.
pub(crate) fn tell_for_certain(
    priority: Priority,
    line: String,
) -> impl Future<Output = io::Result<()>> + Send + use<> {
    let (written, result) = oneshot::channel();
    match journal::running() {
        Some(journal) => journal.put(priority, line, Some(written)),
        None => drop(written.send(write_stderr(line, "\n"))),
    }
    async { result.await.unwrap_or_else(|_| Err(io::Error::other("the journal takes no lines"))) }
}

/// Writes a line of the log; an error is ignored, since there is nowhere to report it.
fn put(priority: Priority, line: String) {
    drop(tell_for_certain(priority, line));
}

fn write_stderr(text: impl Display, end: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{text}{end}").and_then(|()| stderr.flush())
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn a_long_list_ends_with_the_number_of_the_others() {
        assert_eq!(listed(1..=30, 12), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 18 more");
        assert_eq!(listed(["a", "b"], 2), "a, b");
    }
}
