//! The hub's SQLite file: opening, migration, one writing thread and several reading ones.
//!
//! Each file below has the statements of one kind of row and the operations on it. An operation is one transaction.

pub(in crate::db) mod alerts;
mod audit;
pub(crate) mod backup;
mod boots;
mod bundles;
mod devices;
pub(in crate::db) mod enrolment_codes;
pub(in crate::db) mod events;
mod health;
mod ingest;
mod keys;
mod lanes;
pub(in crate::db) mod latest;
pub(in crate::db) mod local;
mod merge;
mod paging;
mod quarantine;
mod retention;
mod rows;
mod streams;
pub(in crate::db) mod windows;
mod workers;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use tilth_config::plain_file;
use tilth_core::id::Id;
use tilth_core::time::WallTime;
use tilth_protocol::Epoch;

use self::workers::{Owner, QueueLimits, Workers};
use crate::data_dir::NO_HUB;
use crate::db::context::TenantContext;
use crate::domain::configs::ConfigError;
use crate::reach;

/// Each step brings the schema from one version to the next; the version is the number of steps done.
const MIGRATIONS: [&str; 8] = [
    include_str!("sqlite/schema-1.sql"),
    include_str!("sqlite/schema-2.sql"),
    include_str!("sqlite/schema-3.sql"),
    include_str!("sqlite/schema-4.sql"),
    include_str!("sqlite/schema-5.sql"),
    include_str!("sqlite/schema-6.sql"),
    include_str!("sqlite/schema-7.sql"),
    include_str!("sqlite/schema-8.sql"),
];

/// Busy timeout for commands while the hub serves.
const BUSY: Duration = Duration::from_secs(5);

/// Minimum free space for a batch and its journal, in bytes.
const LEAST_ROOM: u64 = 1 << 20;

/// Longest wait for the free space of the disk.
const ROOM_KNOWN: Duration = Duration::from_secs(5);

/// Number of reading threads: queries are short, and a disk answers few at once.
const READERS: usize = 3;

/// Waiting batches, at most 1 MiB each. Agents retry rejected ones.
const WRITES: QueueLimits = QueueLimits { shared: 64, each: 16, most: 256 };

/// Waiting queries.
const READS: QueueLimits = QueueLimits { shared: 256, each: 64, most: 512 };

/// Maximum number of steps of SQLite's virtual machine per batch or query: some seconds on a small machine, a hundred times what the
/// largest ordinary batch takes.
const MAX_STEPS: u64 = 50_000_000;

/// Error of an operation. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    /// Error of a command, with what to do.
    #[error("{0}")]
    Unusable(String),
    #[error("{client} has no device {device}; `tilth-hub device add {device} --client {client}` adds it")]
    NoDevice { client: Id, device: String },
    #[error("there is no sensor {0}")]
    NoSensor(String),
    #[error("several devices have a sensor {sensor}: expected device={}", devices.join(" or device="))]
    AmbiguousSensor { sensor: String, devices: Vec<String> },
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    #[error("too many requests wait for the disk")]
    Busy,
    #[error("the hub is stopping")]
    Stopping,
    #[error("the request takes the hub too long: send or ask for less at once")]
    TooCostly,
    #[error("the database: {0}")]
    Sql(rusqlite::Error),
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

impl DbError {
    /// True if the disk cannot be written.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        use rusqlite::ErrorCode::{DiskFull, ReadOnly, SystemIoFailure};
        let DbError::Sql(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(DiskFull | ReadOnly | SystemIoFailure))
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> DbError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => DbError::TooCostly,
            _ => DbError::Sql(error),
        }
    }
}

/// The storage of a serving hub: one thread that writes, several that read, and a bounded queue before each.
pub(crate) struct Database {
    writer: Workers,
    readers: Workers,
    path: PathBuf,
}

/// Creates a database in an empty file.
fn create(path: &Path, epoch: Epoch, now: WallTime) -> Result<(), DbError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    migrate(&mut connection, path)?;
    connection.execute("INSERT INTO hub (id, epoch, created) VALUES (1, ?1, ?2)", (epoch.to_string(), now.0))?;
    Ok(())
}

/// Opens a database, and migrates it.
fn open(path: &Path) -> Result<Connection, DbError> {
    opened(path).map_err(|error| match error {
        DbError::Sql(error) => DbError::Unusable(not_opened(path, &error)),
        other => other,
    })
}

/// Why a database cannot be opened, in more words than SQLite has.
fn not_opened(path: &Path, error: &rusqlite::Error) -> String {
    let path_shown = path.display();
    match (reach::obstacle(path), error.sqlite_error_code()) {
        (Some(why), _) => format!("the database {path_shown} cannot be opened: {why}"),
        (None, Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)) => {
            format!("the database {path_shown} is damaged ({error}); put a backup in its place: tilth-hub restore FILE")
        }
        (None, _) => format!("the database {path_shown} cannot be opened: {error}"),
    }
}

fn opened(path: &Path) -> Result<Connection, DbError> {
    let unusable = |why: &str| Err(DbError::Unusable(format!("{}: {why}", path.display())));
    match plain_file::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return unusable(NO_HUB),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return unusable(&error.to_string()),
        _ => {}
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Migrated, it would be a hub without tenants, which rejects every device.
    if version(&connection)? == 0 {
        return unusable("the database is empty, its data is lost; restore a backup with `tilth-hub restore FILE`");
    }
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, DbError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Number of migrations that a database had; 0 if it is empty.
fn version(connection: &Connection) -> Result<usize, DbError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), DbError> {
    // Without a write, so that a hub on a full disk can be read.
    if version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > MIGRATIONS.len() {
        let (path, known) = (path.display(), MIGRATIONS.len());
        let message = format!("{path}: made by a newer version of the hub (schema {found}, this one knows {known})");
        return Err(DbError::Unusable(message));
    }
    for migration in &MIGRATIONS[found..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    Ok(transaction.commit()?)
}

/// Epoch of the database.
fn epoch(connection: &Connection) -> Result<Epoch, DbError> {
    let text: Option<String> = connection.query_row("SELECT epoch FROM hub", [], |row| row.get(0)).optional()?;
    let text = text.ok_or_else(|| DbError::Damaged("it has no epoch".to_owned()))?;
    text.parse().map_err(|_| DbError::Damaged(format!("its epoch is {text:?}")))
}

/// Begins a new epoch, after a restore.
fn set_epoch(connection: &Connection, epoch: Epoch) -> Result<(), DbError> {
    connection.execute("UPDATE hub SET epoch = ?1", [epoch.to_string()])?;
    connection.execute("UPDATE devices SET epoch = NULL, restored = 1", [])?;
    Ok(())
}

impl Database {
    /// Starts the threads over a database that exists.
    pub(crate) fn start(path: &Path) -> Result<Database, DbError> {
        let writer = open(path)?;
        let readers = (0..READERS).map(|_| {
            let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            reader.pragma_update(None, "query_only", true)?;
            Ok(reader)
        });
        let readers = readers.collect::<Result<_, DbError>>()?;
        Ok(Database {
            writer: Workers::start("write", vec![writer], WRITES, MAX_STEPS)?,
            readers: Workers::start("read", readers, READS, MAX_STEPS)?,
            path: path.to_owned(),
        })
    }

    /// True if the disk has space for batches, or the system does not tell; false if the disk does not answer in time.
    pub(crate) async fn has_room(&self) -> bool {
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&path));
        let Ok(disk) = tokio::time::timeout(ROOM_KNOWN, asked).await else { return false };
        let disk = disk.ok().and_then(Result::ok);
        disk.is_none_or(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= LEAST_ROOM)
    }

    /// Epoch of the hub; reading it shows that the database answers.
    pub(crate) async fn epoch(&self) -> Result<Epoch, DbError> {
        self.read(Owner::Hub, epoch).await
    }

    /// Runs a job on the writing thread, in one transaction that is committed if the job succeeds.
    async fn write<T: Send + 'static>(
        &self,
        owner: impl Into<Owner>,
        job: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let in_transaction = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = job(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        self.writer.run(owner.into(), in_transaction).await?
    }

    /// Runs a job on a reading thread, over one state of the database.
    async fn read<T: Send + 'static>(
        &self,
        owner: impl Into<Owner>,
        job: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        self.readers.run(owner.into(), |connection| job(&*connection.transaction()?)).await?
    }

    /// Stops the threads after their waiting jobs, at the latest at `until`.
    pub(crate) fn stop(self, until: Instant) {
        self.readers.stop(until);
        self.writer.stop(until);
    }
}

impl From<&TenantContext> for Owner {
    fn from(tenant: &TenantContext) -> Owner {
        Owner::Tenant(tenant.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store in memory with the newest schema.
    pub(super) fn in_memory() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        migrate(&mut connection, Path::new("memory")).unwrap();
        connection.execute("INSERT INTO hub (id, epoch, created) VALUES (1, ?1, 0)", [Epoch(7).to_string()]).unwrap();
        connection
    }

    #[test]
    fn a_store_of_a_newer_hub_is_left_alone() {
        let mut connection = in_memory();
        migrate(&mut connection, Path::new("again")).unwrap();
        assert_eq!(epoch(&connection).unwrap(), Epoch(7));
        connection.pragma_update(None, "user_version", MIGRATIONS.len() + 1).unwrap();
        let error = migrate(&mut connection, Path::new("hub.db")).unwrap_err();
        assert_eq!(error.to_string(), "hub.db: made by a newer version of the hub (schema 9, this one knows 8)");
    }
}
