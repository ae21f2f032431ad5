//! Errors of the disk, by what they mean for recording.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::buffer::Cause;

/// The most characters of what SQLite says.
const MOST_SAID: usize = 200;

/// Why nothing was stored or read. What was to be stored is still with the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// No room: goes on by itself when there is some.
    #[error("the disk is full")]
    Full,
    /// The disk takes no writes: goes on by itself when it does.
    #[error("the disk is read-only")]
    ReadOnly,
    /// The disk does not answer, or the file cannot be reached.
    #[error("the disk cannot be used: {0} (sudo tilth-agent doctor says what to do)")]
    Unreachable(String),
    #[error("the database is in use by another program")]
    Busy,
    /// What is on the disk is not what was written there.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A later version of this program wrote the file.
    #[error("the database has layout {found}; this version knows up to {known}")]
    Newer { found: u32, known: u32 },
    /// A damaged file stays in its place.
    #[error("cannot move {path} aside: {reason}")]
    Stuck { path: PathBuf, reason: String },
    /// Anything else; a mistake in here.
    #[error("unexpected answer of the database: {0}")]
    Unexpected(String),
}

impl StoreError {
    /// Whether a connection that said so may be of no use even when the disk works again.
    pub(super) fn needs_reopening(&self) -> bool {
        matches!(self, StoreError::ReadOnly | StoreError::Unreachable(_))
    }

    /// Why rows were dropped as long as this lasted.
    pub(super) fn drop_cause(&self) -> Cause {
        match self {
            StoreError::Full => "the disk was full",
            StoreError::ReadOnly => "the disk was read-only",
            StoreError::Unreachable(_) => "the disk could not be used",
            StoreError::Busy => "the database was in use by another program",
            StoreError::Damaged(_)
            | StoreError::Newer { .. }
            | StoreError::Stuck { .. }
            | StoreError::Unexpected(_) => "the database could not be used",
        }
    }

    /// Whether waiting may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, StoreError::Full | StoreError::ReadOnly | StoreError::Unreachable(_) | StoreError::Busy)
    }
}

/// SQLite adds the statement, which may be the whole layout.
fn first_line(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    line.split_once(" in CREATE ").map_or(line, |(line, _)| line).chars().take(MOST_SAID).collect()
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(error.to_string()),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                StoreError::Unreachable(error.to_string())
            }
            _ => StoreError::Unexpected(first_line(&error.to_string())),
        }
    }
}
