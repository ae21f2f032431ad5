//! Exit codes of commands.

use std::process::ExitCode;

use tracing::error;

use crate::console::{Closed, tell};

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

/// Bad configuration or usage: the reason, and what was expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// Exit code of a command, whose error is logged here.
pub(crate) fn code(ended: anyhow::Result<Exit>) -> ExitCode {
    match ended {
        Ok(exit) => exit.into(),
        Err(error) if error.is::<Closed>() => Exit::Done.into(),
        Err(error) if error.is::<Refused>() => {
            tell(format_args!("tilth-agent: {error}"));
            Exit::Refused.into()
        }
        Err(error) => {
            error!("{error:#}");
            Exit::Failed.into()
        }
    }
}
