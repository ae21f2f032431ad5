//! Boots: each has a number, and the time of day at its uptime zero where that was learnt.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tilth_core::time::{Uptime, WallTime};

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

/// A span of one boot, both ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BootSpan {
    /// The boot.
    pub(crate) boot: u32,
    /// From this uptime.
    pub(crate) from: Uptime,
    /// Up to this one.
    pub(crate) to: Uptime,
}

/// What must go on when the database is another one.
#[derive(Debug, Clone)]
pub(super) struct Running {
    path: PathBuf,
    boot: u32,
    os_boot: String,
}

impl Running {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Store {
    /// The number of the boot that runs. The operating system's boot id tells whether only this program was started again.
    ///
    /// # Errors
    /// [`StoreError`]; then no boot began.
    pub(crate) fn begin_boot(&mut self, os_boot: &str) -> Result<u32, StoreError> {
        let transaction = self.reader.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last: Option<(u32, String)> = transaction
            .query_row("SELECT id, os_boot FROM boot ORDER BY id DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let least: u32 = transaction.query_row("SELECT least_boot FROM meta", [], |row| row.get(0))?;
        let number = match last {
            Some((number, os_id)) if os_id == os_boot => number,
            Some((number, _)) => least.max(number + 1),
            None => least,
        };
        transaction.execute("INSERT OR IGNORE INTO boot (id, os_boot) VALUES (?, ?)", (number, os_boot))?;
        transaction.commit()?;
        (self.boot, self.os_boot) = (number, os_boot.to_owned());
        Ok(number)
    }

    pub(super) fn running(&self) -> Running {
        Running { path: self.path.clone(), boot: self.boot, os_boot: self.os_boot.clone() }
    }

    /// Goes on with a boot that began in another database.
    pub(super) fn resume(&mut self, running: &Running) -> Result<(), StoreError> {
        let sql = "INSERT OR IGNORE INTO boot (id, os_boot) VALUES (?, ?)";
        self.reader.0.execute(sql, (running.boot, &running.os_boot))?;
        (self.boot, self.os_boot) = (running.boot, running.os_boot.clone());
        Ok(())
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

    /// Where a span of the day's time lies in boots, both ends in it, oldest first. A boot that never learnt the time of
    /// day is in none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn spans(&self, from: WallTime, to: WallTime) -> Result<Vec<BootSpan>, StoreError> {
        let boots = boots(&self.0)?.into_iter();
        Ok(boots
            .filter_map(|boot| {
                let zero = boot.wall_at_zero?;
                let (from, to) = (Uptime((from - zero).0), Uptime((to - zero).0));
                Some(BootSpan { boot: boot.number, from, to })
            })
            .collect())
    }
}

pub(super) fn boots(connection: &Connection) -> Result<Vec<Boot>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, wall_at_zero FROM boot ORDER BY id")?;
    let boots = statement.query_map([], |row| {
        Ok(Boot { number: row.get(0)?, wall_at_zero: row.get::<_, Option<i64>>(1)?.map(WallTime) })
    })?;
    Ok(boots.collect::<Result<_, _>>()?)
}
