//! What is done to an agent's disk, and what that cost.

use std::fs;
use std::path::Path;

use anyhow::Context;
use rusqlite::{Connection, OpenFlags};
use tilth_tests::agent::Folder;

/// What happens to the disk around a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Nothing: a power cut.
    None,
    /// The disk is full before the kill, at it, and at the start.
    Full,
    LogDeleted,
    LogZeroed,
    LogCut,
    LogFlipped,
    DatabaseDeleted,
    DatabaseZeroed,
    FolderDeleted,
    /// While the agent runs.
    FolderDeletedUnderWay,
    /// A copy of an earlier day, with its log, takes the place of what is there.
    Older,
}

impl Damage {
    /// In the order of the first rounds: every other one is a plain kill or a full disk, so that there is something to lose again.
    pub(super) const ALL: [Damage; 20] = [
        Damage::None,
        Damage::LogDeleted,
        Damage::Full,
        Damage::LogZeroed,
        Damage::None,
        Damage::DatabaseZeroed,
        Damage::None,
        Damage::LogFlipped,
        Damage::Full,
        Damage::DatabaseDeleted,
        Damage::None,
        Damage::LogCut,
        Damage::None,
        Damage::Older,
        Damage::Full,
        Damage::FolderDeleted,
        Damage::None,
        Damage::FolderDeletedUnderWay,
        Damage::Full,
        Damage::None,
    ];

    pub(super) fn fills(self) -> bool {
        self == Damage::Full
    }

    /// Whether it is done while the agent runs.
    pub(super) fn is_under_way(self) -> bool {
        self == Damage::FolderDeletedUnderWay
    }

    /// Whether nothing on the device shows that it had a life before.
    pub(super) fn takes_all(self) -> bool {
        matches!(self, Damage::FolderDeleted | Damage::FolderDeletedUnderWay)
    }

    /// Does it to a data folder.
    pub(crate) fn does(self, data: &Path, older: Option<&Folder>) -> anyhow::Result<()> {
        let (database, log) = (data.join("tilth.db"), data.join("tilth.db-wal"));
        let remove = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let change = |path: &Path, with: fn(&mut Vec<u8>)| -> anyhow::Result<()> {
            let Ok(mut bytes) = fs::read(path) else { return Ok(()) };
            with(&mut bytes);
            fs::write(path, bytes).with_context(|| path.display().to_string())
        };
        match self {
            Damage::None | Damage::Full => {}
            Damage::LogDeleted => remove(&log)?,
            Damage::LogZeroed => change(&log, |bytes| bytes.fill(0))?,
            Damage::LogCut => change(&log, |bytes| bytes.truncate(bytes.len() / 2))?,
            Damage::LogFlipped => change(&log, |bytes| {
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 0x5a;
                }
            })?,
            Damage::DatabaseDeleted => remove(&database)?,
            Damage::DatabaseZeroed => change(&database, |bytes| bytes.fill(0))?,
            // A disk may be mounted at the folder.
            Damage::FolderDeleted | Damage::FolderDeletedUnderWay => empty(data)?,
            Damage::Older => {
                empty(data)?;
                copy(older.context("no older database")?.path(), data)?;
            }
        }
        Ok(())
    }
}

fn empty(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().context("a name")?))?;
        }
    }
    Ok(())
}

/// A copy of a data folder.
pub(crate) fn copy_of(data: &Path) -> anyhow::Result<Folder> {
    let folder = Folder::new("kill-older");
    copy(data, folder.path())?;
    Ok(folder)
}

/// What a database holds: its stream, and the newest of each kind of row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    stream: Vec<u8>,
    newest: Vec<i64>,
}

impl Held {
    /// Of the database in a folder, read from a copy. Nothing where there is none that can be read.
    pub(super) fn of(data: &Path) -> Option<Held> {
        let copied = copy_of(data).ok()?;
        let path = copied.path().join("tilth.db");
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
        let stream = connection.query_row("SELECT stream FROM meta", [], |row| row.get(0)).ok()?;
        let newest = ["seq FROM event", "last FROM minute", "last FROM quarter", "seq FROM diagnostic", "id FROM raw"];
        let newest = newest.iter().map(|of| {
            let (key, table) = of.split_once(' ')?;
            let sql = format!("SELECT coalesce(max({key}), 0) {table}");
            connection.query_row(&sql, [], |row| row.get(0)).ok()
        });
        Some(Held { stream, newest: newest.collect::<Option<_>>()? })
    }
}
