//! How a command ends, as whoever called it is told.

use std::process::ExitCode;
use tracing::error;

use crate::output::Closed;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// As it should.
    Done,
    /// It failed, and has said why.
    Failed,
    /// The configuration or the command line is bad, and it has said how.
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
        if error.is::<Closed>() {
            return Exit::Done;
        }
        error!("{error:#}");
        Exit::Failed
    });
    exit.into()
}
