//! Boots: each has a number, and the time of day at its uptime zero where that was learnt.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use tilth_core::site::Site;
use tilth_core::time::{Stamp, WallTime};

use super::error::StoreError;
use super::{Reader, Store};

/// A boot of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Its number.
    pub(crate) number: u32,
    /// The time of day at its uptime zero, as it is known by now.
    pub(crate) wall_at_zero: Option<WallTime>,
}

/// What must go on when the database is another one, or was not there when the boot began.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    path: PathBuf,
    /// 0 as long as no database has counted it.
    boot: u32,
    os_boot: String,
}

impl Running {
    /// A boot that no database has counted yet.
    pub(crate) fn uncounted(path: PathBuf, os_boot: String) -> Running {
        Running { path, boot: 0, os_boot }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_counted(&self) -> bool {
        self.boot > 0
    }
}

/// What a database that was not there at the start remembers of before.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// Whether it holds earlier boots; else it is a new one.
    pub(crate) is_known: bool,
    /// What people did on site.
    pub(crate) site: Option<Site>,
}

impl Store {
    /// The number of the boot that runs. The operating system's boot id tells whether only this program was started again.
    /// On a disk that is full or read-only the boot begins all the same: its row comes with the first commit.
    ///
    /// # Errors
    /// [`StoreError`]; then no boot began.
    pub(crate) fn begin_boot(&mut self, os_boot: &str) -> Result<u32, StoreError> {
        let last: Option<(u32, String)> = self
            .reader
            .0
            .query_row("SELECT id, os_boot FROM boot ORDER BY id DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let least: u32 = self.reader.0.query_row("SELECT least_boot FROM meta", [], |row| row.get(0))?;
        let number = match last {
            Some((number, os_id)) if os_id == os_boot => number,
            Some((number, _)) => least.max(number + 1),
            None => least,
        };
        (self.boot, self.os_boot) = (number, os_boot.to_owned());
        self.boot_unwritten = match write(&self.reader.0, number, os_boot) {
            Ok(()) => false,
            Err(error) if error.is_passing() => true,
            Err(error) => return Err(error),
        };
        Ok(number)
    }

    /// Begins the boot in a database that was not there at the start. Alerts that are known by their numbers there are not
    /// those of this engine, so it goes on under a new stream.
    ///
    /// # Errors
    /// [`StoreError`]; then it is to be opened again.
    pub(super) fn begin_late(&mut self, running: &Running) -> Result<Before, StoreError> {
        let is_known = !boots(&self.reader.0)?.is_empty();
        let site = self.site().unwrap_or_default();
        if is_known {
            self.new_stream("the device began without its database")?;
        }
        self.begin_boot(&running.os_boot)?;
        Ok(Before { is_known, site })
    }

    pub(crate) fn running(&self) -> Running {
        Running { path: self.path.clone(), boot: self.boot, os_boot: self.os_boot.clone() }
    }

    /// Goes on with a boot that began in another database.
    pub(super) fn resume(&mut self, running: &Running) -> Result<(), StoreError> {
        (self.boot, self.os_boot) = (running.boot, running.os_boot.clone());
        write(&self.reader.0, self.boot, &self.os_boot)
    }

    /// The time of day at this boot's uptime zero, if it was learnt.
    pub(super) fn wall_at_zero(&self) -> Result<Option<WallTime>, StoreError> {
        let sql = "SELECT wall_at_zero FROM boot WHERE id = ?";
        let zero: Option<Option<i64>> = self.reader.0.query_row(sql, [self.boot], |row| row.get(0)).optional()?;
        Ok(zero.flatten().map(WallTime))
    }

    /// The number of the boot that runs; 0 before [`Store::begin_boot`].
    pub(crate) fn boot(&self) -> u32 {
        self.boot
    }
}

impl Reader {
    /// All boots, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn boots(&self) -> Result<Vec<Boot>, StoreError> {
        boots(&self.0)
    }
}

/// A stamp that was made before its boot was counted gets the boot's number.
pub(super) fn counted(at: Stamp, boot: u32) -> Stamp {
    if at.boot == 0 { Stamp { boot, ..at } } else { at }
}

pub(super) fn write(connection: &Connection, boot: u32, os_boot: &str) -> Result<(), StoreError> {
    connection.execute("INSERT OR IGNORE INTO boot (id, os_boot) VALUES (?, ?)", (boot, os_boot))?;
    Ok(())
}

pub(super) fn boots(connection: &Connection) -> Result<Vec<Boot>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, wall_at_zero FROM boot ORDER BY id")?;
    let boots = statement.query_map([], |row| {
        Ok(Boot { number: row.get(0)?, wall_at_zero: row.get::<_, Option<i64>>(1)?.map(WallTime) })
    })?;
    Ok(boots.collect::<Result<_, _>>()?)
}
