//! Backup and restore.
//!
//! A backup is a SQLite file with all tables as they were at one moment, and one more with the hub's signing key: without the key no
//! device would accept a configuration again.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde::Serialize;
use tilth_core::time::WallTime;
use tilth_protocol::Epoch;

use super::{DbError, audit, connect, enrolment_codes, migrate, set_epoch};
use crate::db::context::Actor;

/// Origin of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackupInfo {
    /// Time of the backup.
    pub(crate) at: WallTime,
    /// Text of the signing key's file.
    pub(crate) signing_key: String,
}

/// Result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restored {
    /// None for a plain copy of the database.
    pub(crate) made: Option<BackupInfo>,
    pub(crate) tenants: u64,
    pub(crate) devices: u64,
}

/// What the replaced database had and the backup lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CarriedOver {
    /// Number of keys that were revoked since; they stay revoked.
    pub(crate) revoked: u64,
    /// Devices that were added since, as `TENANT/DEVICE`; they must be added again.
    pub(crate) devices: Vec<String>,
    /// Configurations that were put since; they must be put again.
    pub(crate) configurations: Vec<LostConfiguration>,
}

/// The newest configuration of a device, which the backup lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LostConfiguration {
    /// `TENANT/DEVICE`.
    pub(crate) device: String,
    pub(crate) version: u64,
    /// Newest version in the backup.
    pub(crate) instead: Option<u64>,
}

/// First bytes of a SQLite database (<https://www.sqlite.org/fileformat2.html>, section 1.3).
const HEADER: &[u8; 16] = b"SQLite format 3\0";

/// True for a database or an empty file.
pub(crate) fn is_database(file: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(file)?.take(HEADER.len() as u64).read_to_end(&mut begin)?;
    Ok(begin.is_empty() || begin == HEADER)
}

/// Writes the database and the key to an empty file.
pub(super) fn write(store: &Connection, file: &Path, made: &BackupInfo) -> Result<(), DbError> {
    let path = file.to_str().ok_or_else(|| DbError::Damaged(format!("{}: expected UTF-8", file.display())))?;
    store.execute("VACUUM INTO ?1", [path])?;
    let backup = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    backup.pragma_update(None, "journal_mode", "delete")?;
    backup.execute_batch(
        "CREATE TABLE backup (id INTEGER PRIMARY KEY CHECK (id = 1), made INTEGER NOT NULL, signing_key TEXT NOT NULL) STRICT",
    )?;
    backup.execute("INSERT INTO backup (id, made, signing_key) VALUES (1, ?1, ?2)", (made.at.0, &made.signing_key))?;
    Ok(())
}

/// Prepares a copy of a backup for use: checks and migrates it, and begins a new epoch.
pub(crate) fn prepare(file: &Path, epoch: Epoch, who: &str, now: WallTime) -> Result<Restored, DbError> {
    let no_backup =
        |why: &str| DbError::Unusable(format!("no backup of a hub, or a damaged one ({why}); nothing was changed"));
    let damaged = |error: rusqlite::Error| no_backup(&error.to_string());
    let mut store = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| no_backup(&error.to_string()))?;
    let check: String = store.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
    if check != "ok" {
        return Err(no_backup(&check));
    }
    let has = |name: &str| -> Result<bool, DbError> {
        let found =
            store.query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1", [name], |_| Ok(()));
        Ok(found.optional()?.is_some())
    };
    if !has("hub")? || !has("devices")? {
        return Err(no_backup("it has other tables"));
    }
    let made = if has("backup")? {
        let made = store.query_row("SELECT made, signing_key FROM backup", [], |row| {
            Ok(BackupInfo { at: WallTime(row.get(0)?), signing_key: row.get(1)? })
        });
        let made = made.optional()?;
        // From now on the key has its own file.
        store.pragma_update(None, "secure_delete", true)?;
        store.execute_batch("DROP TABLE backup")?;
        made
    } else {
        None
    };
    migrate(&mut store, file)?;
    set_epoch(&store, epoch)?;
    enrolment_codes::revoke_all(&store, now)?;
    let actor = Actor { who: who.to_owned(), origin: "local".to_owned() };
    audit::insert(&store, &actor, None, "database restored: new epoch", now)?;
    let count = |sql: &str| store.query_row(sql, [], |row| row.get(0));
    let (tenants, devices) = (count("SELECT count(*) FROM tenants")?, count("SELECT count(*) FROM devices")?);
    close_as_one_file(store, file)?;
    Ok(Restored { made, tenants, devices })
}

/// Carries revoked keys over from the replaced database, and lists what the backup lacks.
pub(crate) fn carry_over(before: &Path, store: &Path) -> Result<CarriedOver, DbError> {
    let path = before.to_str().ok_or_else(|| DbError::Damaged("expected UTF-8".to_owned()))?;
    let connection = connect(store, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute("ATTACH ?1 AS before", [path])?;
    let revoked = connection.execute(
        "UPDATE keys SET revoked = (SELECT old.revoked FROM before.keys AS old WHERE old.id = keys.id)
         WHERE revoked IS NULL AND id IN (SELECT id FROM before.keys WHERE revoked IS NOT NULL)",
        [],
    )?;
    let mut select = connection.prepare(
        "SELECT tenants.name || '/' || devices.name FROM before.devices JOIN before.tenants ON tenants.id = devices.tenant
         EXCEPT SELECT tenants.name || '/' || devices.name FROM main.devices JOIN main.tenants ON tenants.id = devices.tenant
         ORDER BY 1",
    )?;
    let devices = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    drop(select);
    let configurations = lost_configurations(&connection)?;
    connection.execute_batch("DETACH before")?;
    close_as_one_file(connection, store)?;
    Ok(CarriedOver { revoked: revoked as u64, devices, configurations })
}

/// Configurations that the backup lacks, of devices in both databases.
fn lost_configurations(connection: &Connection) -> Result<Vec<LostConfiguration>, DbError> {
    let mut select = connection.prepare(
        "SELECT tenants.name || '/' || devices.name AS device,
            (SELECT max(version) FROM before.bundles AS lost WHERE lost.device = old.id) AS version,
            (SELECT max(version) FROM main.bundles WHERE bundles.device = devices.id) AS instead
         FROM main.devices JOIN main.tenants ON tenants.id = devices.tenant
         JOIN before.tenants AS client ON client.name = tenants.name
         JOIN before.devices AS old ON old.tenant = client.id AND old.name = devices.name
         WHERE version > coalesce(instead, 0) ORDER BY device",
    )?;
    let rows = select.query_map([], |row| {
        Ok(LostConfiguration { device: row.get(0)?, version: row.get(1)?, instead: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Closes a database so that one file has all of it.
fn close_as_one_file(store: Connection, file: &Path) -> Result<(), DbError> {
    store.pragma_update(None, "journal_mode", "delete")?;
    store.close().map_err(|(_, error)| error)?;
    let damaged = |error: std::io::Error| DbError::Damaged(error.to_string());
    fs::File::open(file).and_then(|file| file.sync_all()).map_err(damaged)
}
