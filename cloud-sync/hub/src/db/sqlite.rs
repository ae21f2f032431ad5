//! The hub's one SQLite file: opened, brought to the newest schema, written by one thread and read by several.
//!
//! Each file below holds the statements of one kind of thing and decides nothing.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod boots;
pub(crate) mod bundles;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod lanes;
pub(crate) mod live;
pub(crate) mod merged;
pub(crate) mod rows;
pub(crate) mod streams;
pub(crate) mod windows;
mod workers;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use tilth_config::plain_file;
use tilth_core::time::WallTime;
use tilth_protocol::Epoch;

pub(crate) use self::workers::Owner;
use self::workers::{Room, Workers};

/// Each step brings the schema from one version to the next; the version is the number of steps done.
const MIGRATIONS: [&str; 4] = [
    include_str!("sqlite/schema-1.sql"),
    include_str!("sqlite/schema-2.sql"),
    include_str!("sqlite/schema-3.sql"),
    include_str!("sqlite/schema-4.sql"),
];

/// A command beside a running hub writes in a moment; longer is trouble.
const BUSY: Duration = Duration::from_secs(5);

/// A batch and what SQLite writes beside it. With less on the disk batches are refused.
const LEAST_ROOM: u64 = 1 << 20;

/// One question at a time each; questions are short, and a disk answers few at once.
const READERS: usize = 3;

/// Waiting batches, at most 1 MiB each. More are refused, and agents come again.
const WRITES: Room = Room { shared: 64, each: 16, most: 256 };

/// Waiting questions.
const READS: Room = Room { shared: 256, each: 64, most: 512 };

/// The most steps of SQLite's machine that one batch or question may take: some seconds on a small machine, and a hundred times
/// what the largest ordinary batch takes. Whatever a batch multiplies, it cannot hold the writer for longer.
const MAX_STEPS: u64 = 50_000_000;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{}: there is no hub here; `tilth-hub init` makes one", .0.display())]
    Missing(PathBuf),
    #[error("{}: made by a newer version of the hub (schema {found}, this one knows {})", path.display(), MIGRATIONS.len())]
    Newer { path: PathBuf, found: usize },
    #[error("{}: the database is empty; what was in it is gone: put a backup back with `tilth-hub restore FILE`", .0.display())]
    Empty(PathBuf),
    #[error("no backup of a hub, or a damaged one ({0}); nothing was changed")]
    NoBackup(String),
    #[error("{}: {found}", path.display())]
    NoFile { path: PathBuf, found: io::Error },
    #[error("too many requests wait for the disk")]
    Busy,
    #[error("the hub is stopping")]
    Stopping,
    #[error("this takes the hub too long: send or ask for less at once")]
    TooCostly,
    #[error("the database: {0}")]
    Sql(rusqlite::Error),
    #[error("the database holds something damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether the disk took nothing.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        use rusqlite::ErrorCode::{DiskFull, ReadOnly, SystemIoFailure};
        let StoreError::Sql(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(DiskFull | ReadOnly | SystemIoFailure))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => StoreError::TooCostly,
            _ => StoreError::Sql(error),
        }
    }
}

/// The store of a serving hub.
#[derive(Debug)]
pub(crate) struct Store {
    writer: Workers,
    readers: Workers,
    path: PathBuf,
}

/// Makes a new store in an empty file.
pub(crate) fn create(path: &Path, epoch: Epoch, now: WallTime) -> Result<(), StoreError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    migrate(&mut connection, path)?;
    connection.execute("INSERT INTO hub (id, epoch, created) VALUES (1, ?1, ?2)", (epoch.to_string(), now.0))?;
    Ok(())
}

/// Opens the store to write.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    match plain_file::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(StoreError::NoFile { path: path.to_owned(), found: error });
        }
        _ => {}
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Migrated, it would be a hub that knows nobody and refuses every device.
    if version(&connection)? == 0 {
        return Err(StoreError::Empty(path.to_owned()));
    }
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// How many migrations a database has had; none where nothing is in it.
fn version(connection: &Connection) -> Result<usize, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    // Without a write: a hub on a full disk can still be read.
    if version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > MIGRATIONS.len() {
        return Err(StoreError::Newer { path: path.to_owned(), found });
    }
    for migration in &MIGRATIONS[found..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    Ok(transaction.commit()?)
}

/// The life of this database.
pub(crate) fn epoch(connection: &Connection) -> Result<Epoch, StoreError> {
    let text: Option<String> = connection.query_row("SELECT epoch FROM hub", [], |row| row.get(0)).optional()?;
    let text = text.ok_or_else(|| StoreError::Damaged("it has no epoch".to_owned()))?;
    text.parse().map_err(|_| StoreError::Damaged(format!("its epoch is {text:?}")))
}

/// Begins another life, after a backup was put back.
pub(crate) fn set_epoch(connection: &Connection, epoch: Epoch) -> Result<(), StoreError> {
    connection.execute("UPDATE hub SET epoch = ?1", [epoch.to_string()])?;
    connection.execute("UPDATE devices SET epoch = NULL, restored = 1", [])?;
    Ok(())
}

impl Store {
    /// Starts the threads over a store that exists.
    pub(crate) fn start(path: &Path) -> Result<Store, StoreError> {
        let writer = open(path)?;
        let readers = (0..READERS).map(|_| {
            let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            reader.pragma_update(None, "query_only", true)?;
            Ok(reader)
        });
        let readers = readers.collect::<Result<_, StoreError>>()?;
        Ok(Store {
            writer: Workers::start("write", vec![writer], WRITES, MAX_STEPS)?,
            readers: Workers::start("read", readers, READS, MAX_STEPS)?,
            path: path.to_owned(),
        })
    }

    /// Whether the disk has room for what devices send next; also where it does not say.
    pub(crate) fn has_room(&self) -> bool {
        let disk = rustix::fs::statvfs(&self.path);
        disk.map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= LEAST_ROOM)
    }

    /// Runs a job on the write thread, in one transaction that is committed where the job succeeds.
    pub(crate) async fn write<T, E>(
        &self,
        owner: Owner,
        job: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let in_transaction = |connection: &mut Connection| {
            let sql = |error| E::from(StoreError::from(error));
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
            let done = job(&transaction)?;
            transaction.commit().map_err(sql)?;
            Ok(done)
        };
        self.writer.run(owner, in_transaction).await?
    }

    /// Runs a job on a reading thread, over one state of the database.
    pub(crate) async fn read<T, E>(
        &self,
        owner: Owner,
        job: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let in_transaction = |connection: &mut Connection| {
            let transaction = connection.transaction().map_err(|error| E::from(StoreError::from(error)))?;
            job(&transaction)
        };
        self.readers.run(owner, in_transaction).await?
    }

    /// Ends the threads once they have done what waits, if that is soon enough.
    pub(crate) fn stop(self, until: Instant) {
        self.readers.stop(until);
        self.writer.stop(until);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A store in memory with the newest schema.
    pub(crate) fn in_memory() -> Connection {
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
        assert_eq!(error.to_string(), "hub.db: made by a newer version of the hub (schema 5, this one knows 4)");
    }
}
