//! One file per command.

pub(crate) mod backup;
pub(crate) mod config;
mod content;
pub(crate) mod device;
mod enroll;
pub(crate) mod init;
mod paging;
pub(crate) mod serve;
pub(crate) mod tenant;

use crate::data_dir::DataDir;
use crate::db::{DbError, LocalDatabase};

/// Opens the database of a hub's folder.
fn open(data: &DataDir) -> Result<LocalDatabase, DbError> {
    LocalDatabase::open(&data.database(), &user())
}

/// Name of the user, for the audit trail.
fn user() -> String {
    std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "unknown".to_owned())
}
