//! How a database is opened: made, taken over, or moved aside and replaced by an empty one.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction};
use tilth_protocol::{Epoch, Lane, Stream};

use super::boot;
use super::checkpoint::{self, StoredCheckpoint};
use super::damaged_files;
use super::early_checkpoint::EarlyCheckpoint;
use super::error::StoreError;
use super::inspection::{Closed, Inspection};
use super::lane::LaneStates;
use super::last_known::{LastKnown, LossAmount, LostHistory};
use super::names::Names;
use super::row::{lane_id, uint};
use super::schema;
use super::{CurrentBoot, Store, StoreReader};
use tilth_core::site::SiteState;
use tilth_core::time::WallTime;

/// Files up to this size are checked page by page when they are opened; larger ones would take seconds on an SD card, and
/// say so when a page is read.
const CHECKED_BYTES: u64 = 8 << 20;

/// The log is cut back to this when it was longer, after a reader held it.
const LOG_BYTES: i64 = 4 << 20;

/// VFS under which this process alone has the file, and the log's index is in its memory. As a mapped file beside it the index would be
/// written back twice a minute, 20 KiB each time: as much again as everything else (docs/decisions/2026-11-20-store-layout.md).
pub(super) const ALONE: &str = "unix-excl";

/// Without locks: a file that can only be read refuses them. With the locking mode "exclusive" the log's index is in memory (<https://www.sqlite.org/vfs.html>, <https://www.sqlite.org/wal.html#noshm>).
const UNLOCKED: &str = "unix-none";

/// Pages in memory, per connection.
const CACHE_KIB: i64 = 512;

/// What the caller knows, and what was measured (docs/decisions/2026-11-20-store-layout.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Tells this machine from others; a database that comes from another one goes on under a new stream. Where it is none the store's
    /// thread reads it from `/etc/machine-id`.
    pub(crate) machine: Option<String>,
    /// Goes into the name of a damaged file: the time, as far as it is known.
    pub(crate) suffix: String,
    /// Bytes of a page, of a new file.
    pub(crate) page_size: u32,
    /// Pages in the log before they are copied into the file.
    pub(crate) checkpoint_pages: u32,
    /// A ceiling for the file, beyond which the disk counts as full.
    pub(crate) most_pages: Option<u32>,
    /// Something other than the database shows that this device ran before.
    pub(crate) has_run: bool,
}

impl Options {
    /// With the measured choices.
    pub(crate) fn new(suffix: impl Into<String>) -> Options {
        let suffix = suffix.into();
        Options { machine: None, suffix, page_size: 512, checkpoint_pages: 2048, most_pages: None, has_run: false }
    }

    fn machine(&self) -> String {
        let read = || fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned();
        self.machine.clone().unwrap_or_else(read)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) found: Found,
    /// Why the stream is a new one, if it is and there was an old one.
    pub(crate) new_stream: Option<&'static str>,
    pub(crate) lost: Option<LostHistory>,
}

/// What was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A new database: there was no file, or an empty one.
    Nothing,
    /// A database; it goes on.
    Database,
    /// A damaged one: it lies aside, and a new one was made.
    Damaged {
        reason: String,
        /// Path of the damaged file now.
        moved_to: PathBuf,
    },
}

impl Store {
    /// Opens the database, or makes it with the folder it is in. A damaged one is moved aside and replaced by an empty one, which is no
    /// error; a disk that cannot be used is one, and a file that a later version wrote.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<(Store, Opened), StoreError> {
        Store::open_after(path, options, None)
    }

    /// As [`Store::open`], after this process has `closed` a database.
    pub(super) fn open_after(
        path: &Path,
        options: &Options,
        closed: Option<&Closed>,
    ) -> Result<(Store, Opened), StoreError> {
        make_folder(path)?;
        refuse_devices(path)?;
        let before = Inspection::of(path, options, closed);
        let least_boot = before.known.as_ref().filter(|_| before.is_new).map_or(1, |known| known.boot + 1);
        let judge = |opened: (Store, Opened)| Store::judge(opened, &before);
        match connect(path, options, least_boot).and_then(judge) {
            Err(StoreError::Damaged(reason)) => Store::replace(path, options, reason).and_then(judge),
            Err(StoreError::Unreachable(reason)) => {
                let opened = read_only(path, options).map_err(|_| StoreError::Unreachable(in_words(path, reason)));
                opened.and_then(judge)
            }
            other => other,
        }
    }

    /// Says what an opened database has lost, and goes on after that.
    fn judge((mut store, mut opened): (Store, Opened), before: &Inspection) -> Result<(Store, Opened), StoreError> {
        opened.lost = before.lost(&store, &opened)?;
        if let Some(history) = &opened.lost {
            // Numbers that were given out are not given out again, even where the older database knows less of them.
            let known = before.known.as_ref().map_or(0, |known| known.alerts_through);
            store.boot.alerts_through = store.boot.alerts_through.max(known);
            // After a kill the stream goes on: where the hub has confirmed what was cut off, it rejects the sequences that come again,
            // and another stream begins.
            if history.amount != LossAmount::PerhapsNone {
                store.go_on_after_a_loss(before, &mut opened)?;
            }
        }
        Ok((store, opened))
    }

    /// Boots and sequences of what was lost are not used again.
    fn go_on_after_a_loss(&mut self, before: &Inspection, opened: &mut Opened) -> Result<(), StoreError> {
        let gone = match (opened.found == Found::Database, &before.known) {
            // On a disk that takes nothing the next opening finds it again.
            _ if self.reader.0.is_readonly("main")? => {
                self.owes_stream = true;
                return Ok(());
            }
            (true, known) => {
                let reason = "part of the history is missing";
                self.new_stream(reason)?;
                opened.new_stream = Some(reason);
                known.as_ref().map(|known| known.boot + 1)
            }
            (false, Some(known)) => Some(known.boot + 1),
            (false, None) if opened.found == Found::Nothing => return self.draw_least_boot(),
            (false, None) => None,
        };
        if let Some(least) = gone {
            self.reader.0.execute("UPDATE meta SET least_boot = max(least_boot, ?)", [least])?;
        }
        Ok(())
    }

    /// Moves a damaged file aside and makes a new one, whose boots are numbered on from the old ones.
    fn replace(path: &Path, options: &Options, reason: String) -> Result<(Store, Opened), StoreError> {
        let moved_to = damaged_files::move_aside(path, &options.suffix)?;
        let least_boot = damaged_files::highest_boot(&moved_to).map(|boot| boot.saturating_add(1));
        let (mut store, _) = connect(path, options, least_boot.unwrap_or(1))?;
        if least_boot.is_none() {
            store.draw_least_boot()?;
        }
        let new_stream = Some("the database was damaged");
        Ok((store, Opened { found: Found::Damaged { reason, moved_to }, new_stream, lost: None }))
    }

    /// Moves this database aside while it runs, and goes on in a new one, in the same boot. On an error the old one is gone;
    /// open it again later.
    pub(crate) fn start_anew(self, options: &Options, reason: String) -> Result<(Store, Opened), StoreError> {
        let boot = self.boot.clone();
        drop(self);
        let (mut store, opened) = Store::replace(&boot.path, options, reason)?;
        store.resume(&boot)?;
        Ok((store, opened))
    }

    /// A first boot number from a hat, where those of before cannot be known: they must not come again.
    fn draw_least_boot(&mut self) -> Result<(), StoreError> {
        self.reader.0.execute("UPDATE meta SET least_boot = 1000 * (1 + abs(random() % 1000000))", [])?;
        Ok(())
    }

    /// Whether the file that is written to is still the one in its place: not deleted, and no other one put there.
    pub(super) fn is_in_place(&self) -> bool {
        match fs::metadata(&self.boot.path) {
            Ok(file) => self.file.is_none_or(|known| known == FileId(file.dev(), file.ino())),
            // Other errors show when the file is written.
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    /// After a commit: copies the log of a young database into its file now and then. What fails is tried again.
    pub(super) fn checkpoint_early(&mut self) {
        let (connection, events) = (&self.reader.0, self.lanes.of(Lane::Events).committed);
        self.early_checkpoint.take_if(|early| !early.grew(connection, events));
    }

    /// What is known of it, for the file beside it, or to compare the next one with. A boot whose row no disk has taken yet is not known.
    pub(super) fn known(&self, at: Option<WallTime>, is_open: bool) -> LastKnown {
        LastKnown {
            database: self.name.clone(),
            boot: if self.boot_unwritten { 0 } else { self.boot.number },
            lanes: Lane::ALL.map(|lane| (lane, self.lanes.of(lane).committed)).into(),
            alerts_through: self.boot.alerts_through,
            at,
            is_open,
        }
    }

    /// Notes what is known beside the database. A disk that does not take it is no problem of its own.
    pub(crate) fn note_known(&self, at: Option<WallTime>, is_open: bool) {
        if let Some(folder) = self.boot.path.parent().filter(|_| !self.boot_unwritten && !self.name.is_empty()) {
            let _ = self.known(at, is_open).write(folder);
        }
    }

    /// The time of day of the newest event or minute, where that is known.
    pub(super) fn newest_wall(&self) -> Result<Option<WallTime>, StoreError> {
        let newest = |sql: &str| -> Result<Option<(u32, i64)>, StoreError> {
            let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?));
            Ok(self.reader.0.query_row(sql, [], read).optional()?)
        };
        let event = newest("SELECT boot, uptime FROM event ORDER BY seq DESC LIMIT 1")?;
        let minute = newest("SELECT boot, start + 60000 FROM minute ORDER BY seq DESC LIMIT 1")?;
        let Some((boot, uptime)) = event.into_iter().chain(minute).max() else { return Ok(None) };
        let zero = boot::boots(&self.reader.0)?.remove(&boot).flatten();
        Ok(zero.map(|zero| WallTime(zero.0.saturating_add(uptime))))
    }

    /// Brings a file of an older layout to this version's, which the disk did not take when it was opened.
    pub(super) fn bring_up_to_date(&mut self) -> Result<(), StoreError> {
        if self.needs_migration {
            // The file has its first rows.
            schema::migrate(&mut self.reader.0, |_| Ok(()))?;
            self.name = self.reader.0.query_row("SELECT name FROM meta", [], |row| row.get(0))?;
            self.needs_migration = false;
        }
        Ok(())
    }

    /// What a restart continues from, if anything was kept. Damage is an error; the engine starts without saved state then.
    pub(crate) fn checkpoint(&self) -> Result<Option<StoredCheckpoint>, StoreError> {
        checkpoint::read(&self.reader.0, self.needs_migration)
    }

    /// What people did on site, if they ever did. Damage is an error.
    pub(crate) fn site(&self) -> Result<Option<SiteState>, StoreError> {
        checkpoint::read_site(&self.reader.0)
    }
}

/// How long a lock of another connection is waited for; ours hold theirs for milliseconds.
pub(super) const BUSY: std::time::Duration = std::time::Duration::from_secs(2);

fn connect(path: &Path, options: &Options, least_boot: u32) -> Result<(Store, Opened), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let is_new = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    load(Connection::open_with_flags_and_vfs(path, flags, ALONE)?, is_new, path, options, least_boot)
}

/// Device and inode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// The file that is at a path now, where that can be said.
    pub(super) fn of(path: &Path) -> Option<FileId> {
        fs::metadata(path).ok().map(|file| FileId(file.dev(), file.ino()))
    }
}

/// Reading a named pipe or a device in the place of a file may wait for ever.
fn refuse_devices(path: &Path) -> Result<(), StoreError> {
    for file in [path.to_owned(), damaged_files::beside(path, "-wal"), damaged_files::beside(path, "-journal")] {
        // Not opened: closing it would take away locks of this process.
        let Ok(there) = fs::metadata(&file).map(|metadata| metadata.file_type()) else { continue };
        if !there.is_file() && !there.is_dir() {
            let what = if there.is_fifo() { "a named pipe" } else { "a device or socket" };
            return Err(StoreError::Unreachable(format!("{}: {what} is there; expected a file", file.display())));
        }
    }
    Ok(())
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
/// A database opened this way is not written: it is opened again before anything is.
pub(super) fn read_only(path: &Path, options: &Options) -> Result<(Store, Opened), StoreError> {
    let has_log = fs::metadata(damaged_files::beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let name = path.to_str().ok_or(StoreError::ReadOnly)?;
    let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let name = format!("file:{name}{}", if has_log { "" } else { "?immutable=1" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(name, flags, UNLOCKED)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    load(connection, false, path, options, 1)
}

fn load(
    mut connection: Connection,
    is_new: bool,
    path: &Path,
    options: &Options,
    least_boot: u32,
) -> Result<(Store, Opened), StoreError> {
    set_pragmas(&connection, options)?;
    let migrated = schema::migrate(&mut connection, |transaction| insert_first_rows(transaction, options, least_boot));
    let needs_migration = match migrated {
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
    // An older layout has neither name nor reserved numbers.
    let newer = if needs_migration { "'', 0" } else { "name, alerts_until" };
    let meta = format!("SELECT machine, epoch, {newer} FROM meta");
    let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let (machine, epoch, name, reserved): (String, Option<[u8; 16]>, _, _) =
        connection.query_row(&meta, [], read).map_err(missing)?;
    let lanes = LaneStates::read(&connection).map_err(missing)?;
    let mut store = Store {
        stream: stream(&connection)?,
        epoch: epoch.map(|bytes| Epoch(u128::from_be_bytes(bytes))),
        lanes,
        confirmed_unwritten: false,
        names: Names::load(&connection)?,
        boot: CurrentBoot { alerts_through: uint(reserved), ..CurrentBoot::uncounted(path.to_owned(), String::new()) },
        boot_unwritten: false,
        owes_stream: false,
        name,
        file: FileId::of(path),
        early_checkpoint: EarlyCheckpoint::of(path, &connection, options.checkpoint_pages),
        started_deleting: None,
        needs_migration,
        last_checkpoint: None,
        needs_reload: false,
        reader: StoreReader(connection),
    };
    let found = if is_new { Found::Nothing } else { Found::Database };
    let mut opened = Opened { found, new_stream: None, lost: None };
    let this_machine = options.machine();
    if machine != this_machine {
        let reason = "the machine is another one";
        store.new_stream(reason)?;
        store.reader.0.execute("UPDATE meta SET machine = ?", [&this_machine])?;
        opened.new_stream = Some(reason);
    }
    Ok((store, opened))
}

fn set_pragmas(connection: &Connection, options: &Options) -> Result<(), StoreError> {
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
fn insert_first_rows(transaction: &Transaction, options: &Options, least_boot: u32) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO meta (id, stream, machine, least_boot, name)
            VALUES (1, randomblob(16), ?, ?, lower(hex(randomblob(8))))",
        (options.machine(), least_boot),
    )?;
    for lane in Lane::ALL {
        transaction.execute("INSERT INTO lane (id, next, confirmed) VALUES (?, 1, 0)", [lane_id(lane)])?;
    }
    Ok(())
}

fn check(connection: &Connection) -> Result<(), StoreError> {
    if schema::pragma(connection, "page_count")? * schema::pragma(connection, "page_size")? > CHECKED_BYTES {
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
fn missing(error: impl Into<StoreError>) -> StoreError {
    match error.into() {
        StoreError::Unexpected(reason) => StoreError::Damaged(reason),
        other => other,
    }
}
