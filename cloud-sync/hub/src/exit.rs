//! Exit codes, and output of commands.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Exit code 0.
    Done = 0,
    /// Exit code 1.
    Failed = 1,
    /// Bad configuration or usage, already reported: exit code 2.
    Usage = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The exit code of a command, after printing its error.
pub(crate) fn code(ended: anyhow::Result<Exit>) -> ExitCode {
    let exit = ended.unwrap_or_else(|error| {
        tell(format_args!("tilth-hub: {error:#}"));
        Exit::Failed
    });
    exit.into()
}

/// Prints a line on standard output, at once. A reader that closed its end, such as `head`, is not an error.
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output"),
    }
}

/// A count with its noun, in the plural unless it is 1.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Prints an object as one line of JSON.
pub(crate) fn json(object: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(object)?)
}

/// Prints a line on standard error; a closed standard error is ignored.
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
