//! How a command ends, and what it says on its way.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done: exit code 0.
    Done,
    /// Failed: exit code 1.
    Failed,
    /// Bad configuration or usage, already stated: exit code 2.
    Refused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Refused => 2,
        })
    }
}

/// The exit code of a command, after saying what it has not said itself.
pub(crate) fn code(ended: anyhow::Result<Exit>) -> ExitCode {
    let exit = ended.unwrap_or_else(|error| {
        tell(format_args!("tilth-hub: {error:#}"));
        Exit::Failed
    });
    exit.into()
}

/// A line on standard output, at once. A reader that has gone away, as `head` does, has enough of it.
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output"),
    }
}

/// A count with its noun, which has an `s` unless there is one.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// One JSON object on a line.
pub(crate) fn json(object: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(object)?)
}

/// A line on standard error. Where even that is closed there is nobody left to tell.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_of_a_kind_has_no_s() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "key")), ["0 keys", "1 key", "2 keys"]);
    }
}
