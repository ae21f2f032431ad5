//! Damaged files: one is moved aside under a name that says when, and kept for inspection; never more than a few.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;
use super::open::ALONE;

/// How many damaged files are kept: enough to see that it happens again, too few to fill the disk.
const MOST_KEPT: usize = 2;

/// Moves a file aside; a database with its log. `suffix` goes into the name: the time, as far as it is known.
pub(crate) fn move_aside(path: &Path, suffix: &str) -> Result<PathBuf, StoreError> {
    let stuck = |error: io::Error| StoreError::Stuck { path: path.to_owned(), reason: error.to_string() };
    let to = (0..)
        .map(|number| match number {
            0 => beside(path, &format!(".damaged-{suffix}")),
            number => beside(path, &format!(".damaged-{suffix}-{number}")),
        })
        .find(|to| !to.exists())
        .expect("numbers do not end");
    for part in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, part), beside(&to, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(stuck(error)),
            _ => {}
        }
    }
    delete_surplus(path);
    Ok(to)
}

/// The path with something after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Deletes the oldest of these files. That one cannot be deleted is no reason to stop.
fn delete_surplus(path: &Path) {
    let mut aside: Vec<(std::time::SystemTime, PathBuf)> = all(path)
        .filter(|aside| !["-wal", "-shm"].iter().any(|part| aside.to_string_lossy().ends_with(part)))
        .filter_map(|aside| Some((fs::metadata(&aside).ok()?.modified().ok()?, aside)))
        .collect();
    aside.sort();
    let surplus = aside.len().saturating_sub(MOST_KEPT);
    for (_, old) in &aside[..surplus] {
        for part in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(old, part));
        }
    }
}

/// Whether any damaged file was moved aside before.
pub(super) fn exist(path: &Path) -> bool {
    all(path).next().is_some()
}

/// Damaged files that were moved aside, with their logs.
fn all(path: &Path) -> impl Iterator<Item = PathBuf> {
    let prefix = format!("{}.damaged-", path.file_name().unwrap_or_default().to_string_lossy());
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let is_aside = move |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&prefix);
    entries.filter(is_aside).map(|entry| entry.path())
}

/// The highest boot number in a damaged file, if that can still be read: numbers must not come a second time, the hub tells
/// windows apart by them.
pub(super) fn highest_boot(path: &Path) -> Option<u32> {
    let connection = Connection::open_with_flags_and_vfs(path, OpenFlags::SQLITE_OPEN_READ_WRITE, ALONE).ok()?;
    connection.query_row("SELECT max(id) FROM boot", [], |row| row.get::<_, Option<u32>>(0)).ok()?
}
