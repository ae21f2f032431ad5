//! Boots: each has a number, and the time of day at its uptime zero where that was learnt.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior};
use tilth_core::site::SiteState;
use tilth_core::time::{Stamp, WallTime};

use super::Store;
use super::error::StoreError;
use super::row::{self, int};
use crate::checkpoint::OutputsBefore;
use crate::random;

/// The boot that runs, and the database in which it is counted. Goes on when that database is replaced, or comes late.
#[derive(Debug, Clone)]
pub(crate) struct CurrentBoot {
    pub(super) path: PathBuf,
    /// 0 as long as no database has counted it.
    pub(super) number: u32,
    pub(super) os_boot: String,
    /// Numbers of alerts up to this one are reserved, as far as the database holds.
    pub(super) alerts_through: u64,
}

/// Numbers of alerts: those above `after` and through `through` are reserved, and not in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AlertNumberRange {
    pub(crate) after: u64,
    pub(crate) through: u64,
}

/// Numbers of alerts that are reserved when a boot begins, so that the first alert waits for no disk.
const RESERVED: u64 = 100;

impl CurrentBoot {
    /// A boot that no database has counted yet.
    pub(crate) fn uncounted(path: PathBuf, os_boot: String) -> CurrentBoot {
        CurrentBoot { path, number: 0, os_boot, alerts_through: 0 }
    }
}

/// What is in a database that was not there at the start.
#[derive(Debug, Clone)]
pub(crate) struct EarlierState {
    /// Number of the boot that runs.
    pub(crate) boot: u32,
    /// Whether it holds earlier boots; else it is a new one.
    pub(crate) has_boots: bool,
    /// What people did on site, such as silences and calibrations.
    pub(crate) site: Option<SiteState>,
    /// Totals of actuators.
    pub(crate) outputs: Option<Box<OutputsBefore>>,
    pub(crate) alerts: AlertNumberRange,
}

impl Store {
    /// The number of the boot that runs, and the numbers that its alerts may have, above `after`. The operating system's boot
    /// id tells whether only this program was started again. On a disk that is full or read-only the boot begins all the
    /// same: its row comes with the first commit, and until then no numbers are reserved. On any other error no boot began.
    pub(crate) fn begin_boot(&mut self, os_boot: &str, after: u64) -> Result<(u32, AlertNumberRange), StoreError> {
        let newest = "SELECT id, os_boot FROM boot ORDER BY id DESC LIMIT 1";
        let read = |row: &Row| Ok((row.get(0)?, row.get(1)?));
        let last: Option<(u32, String)> = self.reader.0.query_row(newest, [], read).optional()?;
        let least: u32 = self.reader.0.query_row("SELECT least_boot FROM meta", [], |row| row.get(0))?;
        let number = match last {
            Some((number, os_id)) if os_id == os_boot => number,
            Some((number, _)) => least.max(number + 1),
            None => least,
        };
        (self.boot.number, self.boot.os_boot) = (number, os_boot.to_owned());
        let through = match self.write_beginning(after + RESERVED) {
            Ok(()) => after + RESERVED,
            Err(error) if error.is_passing() => after,
            Err(error) => return Err(error),
        };
        self.boot_unwritten = through == after;
        Ok((number, AlertNumberRange { after, through }))
    }

    fn write_beginning(&mut self, alerts_through: u64) -> Result<(), StoreError> {
        self.bring_up_to_date()?;
        let transaction = self.reader.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        write(&transaction, &self.boot)?;
        reserve(&transaction, alerts_through)?;
        transaction.commit()?;
        self.boot.alerts_through = alerts_through;
        Ok(())
    }

    /// Numbers of alerts up to this one may be in use, as far as the file says.
    pub(crate) fn alerts_through(&self) -> u64 {
        self.boot.alerts_through
    }

    /// Begins the boot in a database that was not there at the start. Alerts that are known by their numbers there are not
    /// those of this engine, so it goes on under a new stream. On an error it is to be opened again.
    pub(super) fn begin_late(&mut self, boot: &CurrentBoot) -> Result<EarlierState, StoreError> {
        let has_boots = !boots(&self.reader.0)?.is_empty();
        let site = self.site().unwrap_or_default();
        let outputs = self.checkpoint().unwrap_or_default().map(|kept| OutputsBefore::of(&kept.checkpoint));
        if has_boots {
            self.new_stream("the device began without its database")?;
        }
        // Without a word of earlier numbers: from where none of them was.
        let after = if self.boot.alerts_through > 0 { self.boot.alerts_through } else { random::alert_number(0) };
        let (boot, alerts) = self.begin_boot(&boot.os_boot, after)?;
        Ok(EarlierState { boot, has_boots, site, outputs, alerts })
    }

    /// Goes on with a boot that began in another database.
    pub(super) fn resume(&mut self, boot: &CurrentBoot) -> Result<(), StoreError> {
        (self.boot.number, self.boot.os_boot) = (boot.number, boot.os_boot.clone());
        self.boot_unwritten = true;
        self.write_beginning(boot.alerts_through.max(self.boot.alerts_through))?;
        self.boot_unwritten = false;
        Ok(())
    }

    /// The time of day at this boot's uptime zero, if it was learnt.
    pub(crate) fn wall_at_zero(&self) -> Result<Option<WallTime>, StoreError> {
        let sql = "SELECT wall_at_zero FROM boot WHERE id = ?";
        let zero: Option<Option<i64>> =
            self.reader.0.query_row(sql, [self.boot.number], |row| row.get(0)).optional()?;
        Ok(zero.flatten().map(WallTime))
    }
}

/// A stamp that was made before its boot was counted gets the boot's number.
pub(super) fn counted(at: Stamp, boot: u32) -> Stamp {
    if at.boot == 0 { Stamp { boot, ..at } } else { at }
}

pub(super) fn write(connection: &Connection, boot: &CurrentBoot) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO boot (id, os_boot) VALUES (?, ?)";
    connection.execute(sql, (boot.number, &boot.os_boot))?;
    Ok(())
}

pub(super) fn reserve(connection: &Connection, through: u64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE meta SET alerts_until = ?")?.execute([int(through)])?;
    Ok(())
}

/// The highest number of a boot; 0 before the first.
pub(super) fn newest(connection: &Connection) -> Result<u32, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(id), 0) FROM boot", [], |row| row.get(0))?)
}

/// All boots, each with the time of day at its uptime zero, as it is known by now.
pub(super) fn boots(connection: &Connection) -> Result<BTreeMap<u32, Option<WallTime>>, StoreError> {
    let boot = |row: &Row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(WallTime)));
    row::all(connection, "SELECT id, wall_at_zero FROM boot", [], boot)
}
