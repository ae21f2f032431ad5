//! Exit codes of commands.

use std::process::ExitCode;

use tracing::error;

use crate::console::Closed;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    /// Failed, with the reason printed.
    Failed = 1,
    /// Bad configuration or usage, with the reason printed.
    Refused = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Exit code of a command, whose error is logged here.
pub(crate) fn code(ended: anyhow::Result<Exit>) -> ExitCode {
    match ended {
        Ok(exit) => exit.into(),
        Err(error) if error.is::<Closed>() => Exit::Done.into(),
        Err(error) => {
            error!("{error:#}");
            Exit::Failed.into()
        }
    }
}
