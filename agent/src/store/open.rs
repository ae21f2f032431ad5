//! How a database is opened: made, taken over, or put aside and made anew.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction};
use tilth_protocol::{Epoch, Lane, Stream};

use super::aside;
use super::boot;
use super::error::StoreError;
use super::lane::LaneStates;
use super::names::Names;
use super::row::lane_id;
use super::schema;
use super::snapshot::{self, KeptSnapshot};
use super::{Reader, Store};
use tilth_core::site::Site;

/// Files up to this size are checked page by page when they are opened; larger ones would take seconds on an SD card, and
/// say so when a page is read.
const CHECKED_BYTES: u64 = 8 << 20;

/// The log is cut back to this when it was longer, after a reader held it.
const LOG_BYTES: i64 = 4 << 20;

/// This process alone has the file, and the log's index is in its memory. As a mapped file beside it the index would be written
/// back twice a minute, 20 KiB each time: as much again as everything else (docs/decisions/2026-11-20-store-layout.md).
pub(super) const ALONE: &str = "unix-excl";

/// Without locks: a file that can only be read refuses them. With the locking mode "exclusive" the log's index is in memory (<https://www.sqlite.org/vfs.html>, <https://www.sqlite.org/wal.html#noshm>).
const UNLOCKED: &str = "unix-none";

/// Pages in memory, per connection.
const CACHE_KIB: i64 = 512;

/// What the caller knows, and what was measured (docs/decisions/2026-11-20-store-layout.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Tells this machine from others; a database that comes from another one goes on under a new stream.
    pub(crate) machine: String,
    /// Goes into the name of a damaged file: the time, as far as it is known.
    pub(crate) mark: String,
    /// Bytes of a page, of a new file.
    pub(crate) page_size: u32,
    /// Pages in the log before they are copied into the file.
    pub(crate) checkpoint_pages: u32,
    /// A ceiling for the file, beyond which the disk counts as full.
    pub(crate) most_pages: Option<u32>,
}

impl Options {
    /// With the measured choices.
    pub(crate) fn new(machine: impl Into<String>, mark: impl Into<String>) -> Options {
        Options { machine: machine.into(), mark: mark.into(), page_size: 512, checkpoint_pages: 2048, most_pages: None }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    /// What was there.
    pub(crate) found: Found,
    /// Why the stream is a new one, if it is and there was an old one.
    pub(crate) new_stream: Option<&'static str>,
}

/// What was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing: a new database.
    Nothing,
    /// A database; it goes on.
    Database,
    /// A damaged one: it lies aside, and a new one was made.
    Damaged {
        /// What was wrong.
        reason: String,
        /// Where it lies now.
        moved_to: PathBuf,
    },
}

impl Store {
    /// Opens the database, or makes it with the folder it is in. One that is damaged is put aside and made anew: that is an ordinary thing, and in
    /// what this returns.
    ///
    /// # Errors
    /// [`StoreError`] when the disk cannot be used, or a later version wrote the file.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<(Store, Opened), StoreError> {
        make_folder(path)?;
        match connect(path, options, 1) {
            Err(StoreError::Damaged(reason)) => Store::replace(path, options, reason),
            Err(StoreError::Unreachable(reason)) => {
                read_only(path, options).map_err(|_| StoreError::Unreachable(in_words(path, reason)))
            }
            other => other,
        }
    }

    /// Puts a damaged file aside and makes a new one, whose boots are numbered on from the old ones.
    fn replace(path: &Path, options: &Options, reason: String) -> Result<(Store, Opened), StoreError> {
        let moved_to = aside::put_aside(path, &options.mark)?;
        let least_boot = aside::highest_boot(&moved_to).map(|boot| boot.saturating_add(1));
        let (mut store, _) = connect(path, options, least_boot.unwrap_or(1))?;
        if least_boot.is_none() {
            store.draw_least_boot()?;
        }
        let new_stream = Some("the database was damaged");
        Ok((store, Opened { found: Found::Damaged { reason, moved_to }, new_stream }))
    }

    /// Puts this database aside while it runs, and goes on in a new one, in the same boot. On an error the old one is gone;
    /// open it again later.
    ///
    /// # Errors
    /// [`StoreError`] when the disk cannot be used.
    pub(crate) fn start_anew(self, options: &Options, reason: String) -> Result<(Store, Opened), StoreError> {
        let running = self.running();
        drop(self);
        let (mut store, opened) = Store::replace(running.path(), options, reason)?;
        store.resume(&running)?;
        Ok((store, opened))
    }

    /// A first boot number from a hat, where those of before cannot be known: they must not come again.
    fn draw_least_boot(&mut self) -> Result<(), StoreError> {
        self.reader.0.execute("UPDATE meta SET least_boot = 1000 * (1 + abs(random() % 1000000))", [])?;
        Ok(())
    }

    /// Brings a file of an older layout to this version's, which the disk did not take when it was opened.
    pub(super) fn bring_up_to_date(&mut self) -> Result<(), StoreError> {
        if self.is_old {
            // It has its first rows.
            schema::migrate(&mut self.reader.0, |_| Ok(()))?;
            self.is_old = false;
        }
        Ok(())
    }

    /// What a restart continues from, if anything was kept.
    ///
    /// # Errors
    /// [`StoreError`]; also when it is damaged. Then the engine begins anew.
    pub(crate) fn snapshot(&self) -> Result<Option<KeptSnapshot>, StoreError> {
        snapshot::read(&self.reader.0)
    }

    /// What people did on site, if they ever did.
    ///
    /// # Errors
    /// [`StoreError`]; also when it is damaged.
    pub(crate) fn site(&self) -> Result<Option<Site>, StoreError> {
        snapshot::read_site(&self.reader.0)
    }
}

/// How long a lock of another connection is waited for; ours hold theirs for milliseconds.
const BUSY: std::time::Duration = std::time::Duration::from_secs(2);

fn connect(path: &Path, options: &Options, least_boot: u32) -> Result<(Store, Opened), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let is_new = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    take(Connection::open_with_flags_and_vfs(path, flags, ALONE)?, is_new, path, options, least_boot)
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|error| match error.kind() {
        ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::Unreachable(format!("{}: {error}", folder.display())),
    })
}

/// Why a file cannot be opened, as the system says it; SQLite does not.
fn in_words(path: &Path, reason: String) -> String {
    match File::options().read(true).append(true).create(true).open(path) {
        Ok(_) => reason,
        Err(error) => format!("{}: {error}", path.display()),
    }
}

/// Reads a database on a disk that takes no log, no index of it and no lock, so that a restart remembers what is in it.
/// Nothing is written this way: it is opened again before anything is.
fn read_only(path: &Path, options: &Options) -> Result<(Store, Opened), StoreError> {
    let has_log = fs::metadata(aside::beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let name = path.to_str().ok_or(StoreError::ReadOnly)?;
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let name = format!("file:{name}{}", if has_log { "" } else { "?immutable=1" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(name, flags, UNLOCKED)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    take(connection, false, path, options, 1)
}

fn take(
    mut connection: Connection,
    is_new: bool,
    path: &Path,
    options: &Options,
    least_boot: u32,
) -> Result<(Store, Opened), StoreError> {
    prepare(&connection, options)?;
    let migrated = schema::migrate(&mut connection, |transaction| fill(transaction, options, least_boot));
    let is_old = match migrated {
        Ok(()) => false,
        // An older file on a disk that takes nothing is read as it is, until it does.
        Err(error) if error.is_passing() && schema::layout(&connection)? > 0 => true,
        Err(error) => return Err(error),
    };
    if is_new && let Some(folder) = path.parent() {
        // The file's name is on the disk only when its folder is.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    check(&connection)?;
    let (machine, epoch): (String, Option<[u8; 16]>) = connection
        .query_row("SELECT machine, epoch FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(missing)?;
    let lanes = LaneStates::read(&connection).map_err(|error| match error {
        StoreError::Unexpected(reason) => StoreError::Damaged(reason),
        other => other,
    })?;
    let mut store = Store {
        stream: stream(&connection)?,
        epoch: epoch.map(|bytes| Epoch(u128::from_be_bytes(bytes))),
        lanes,
        confirmed_unwritten: false,
        names: Names::load(&connection)?,
        boot: 0,
        os_boot: String::new(),
        boot_unwritten: false,
        alerts_until: boot::reserved(&connection, is_old)?,
        is_old,
        is_stale: false,
        reader: Reader(connection),
        path: path.to_owned(),
    };
    let found = if is_new { Found::Nothing } else { Found::Database };
    let mut opened = Opened { found, new_stream: None };
    if machine != options.machine {
        let reason = "the machine is another one";
        store.new_stream(reason)?;
        store.reader.0.execute("UPDATE meta SET machine = ?", [&options.machine])?;
        opened.new_stream = Some(reason);
    }
    Ok((store, opened))
}

fn prepare(connection: &Connection, options: &Options) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY)?;
    // The first two hold from the first page on; nothing is given back to the disk, freed pages are used again.
    connection.pragma_update(None, "page_size", options.page_size)?;
    connection.pragma_update(None, "auto_vacuum", "NONE")?;
    if !connection.is_readonly("main")? {
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Unreachable(format!("it allows no write-ahead log (journal mode {mode})")));
        }
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", options.checkpoint_pages)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(most) = options.most_pages {
        connection.pragma_update(None, "max_page_count", most)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// The first rows of a new database.
fn fill(transaction: &Transaction, options: &Options, least_boot: u32) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO meta (id, stream, machine, least_boot) VALUES (1, randomblob(16), ?, ?)",
        (&options.machine, least_boot),
    )?;
    for lane in Lane::ALL {
        transaction.execute("INSERT INTO lane (id, next, confirmed) VALUES (?, 1, 0)", [lane_id(lane)])?;
    }
    Ok(())
}

fn check(connection: &Connection) -> Result<(), StoreError> {
    let pages: u64 = connection.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    let page_size: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    if pages * page_size > CHECKED_BYTES {
        return Ok(());
    }
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged(found)) }
}

pub(super) fn stream(connection: &Connection) -> Result<Stream, StoreError> {
    let bytes: [u8; 16] = connection.query_row("SELECT stream FROM meta", [], |row| row.get(0)).map_err(missing)?;
    Ok(Stream(u128::from_be_bytes(bytes)))
}

/// A database without its first rows is none of ours.
fn missing(error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Unexpected(reason) => StoreError::Damaged(reason),
        other => other,
    }
}
