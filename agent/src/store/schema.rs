//! The tables, and how a file of an older version gets them.

use rusqlite::{Connection, Transaction};

use super::error::StoreError;

/// Each takes the file one layout further; `PRAGMA user_version` counts them. A released one is never changed.
const MIGRATIONS: &[&str] = &[FIRST, SECOND, THIRD, FOURTH, FIFTH];

/// Keys are whole numbers that rise, so that adding touches the last page and deleting frees the first ones. The indexes
/// are of (boot, start) once a minute, of the few readings that came late, and of gaps.
const FIRST: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    stream BLOB NOT NULL,
    machine TEXT NOT NULL,
    epoch BLOB,
    least_boot INTEGER NOT NULL
) STRICT;
-- Sequences below next are taken, whether or not their rows are still there.
CREATE TABLE lane (id INTEGER PRIMARY KEY, next INTEGER NOT NULL, confirmed INTEGER NOT NULL) STRICT;
CREATE TABLE boot (
    id INTEGER PRIMARY KEY, os_boot TEXT NOT NULL, wall_at_zero INTEGER, source TEXT, error INTEGER
) STRICT;
CREATE TABLE plan (id INTEGER PRIMARY KEY, hash TEXT NOT NULL) STRICT;
CREATE TABLE calibration (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE series (
    id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, quantity TEXT NOT NULL, resolution TEXT NOT NULL
) STRICT;
-- 'at' is when the block was committed. Readings far behind that have a block of their own, with late = 1.
CREATE TABLE raw (
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    at INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    late INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    block BLOB NOT NULL
) STRICT;
CREATE INDEX raw_late ON raw (boot, last) WHERE late = 1;
-- One block of the lane windows: its rows have the sequences seq to last.
CREATE TABLE minute (
    seq INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    start INTEGER NOT NULL,
    wall_at_zero INTEGER,
    block BLOB NOT NULL
) STRICT;
CREATE INDEX minute_start ON minute (boot, start);
CREATE TABLE quarter (
    seq INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    start INTEGER NOT NULL,
    wall_at_zero INTEGER,
    block BLOB NOT NULL
) STRICT;
CREATE INDEX quarter_start ON quarter (boot, start);
-- 'about' names the alert's key, 'alert' its number; 'ends' says that the alert is over with this.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    wall INTEGER,
    kind TEXT NOT NULL,
    about TEXT,
    alert INTEGER,
    ends INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE diagnostic (
    seq INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    uptime INTEGER NOT NULL,
    wall INTEGER,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE gap (
    id INTEGER PRIMARY KEY,
    lane INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX gap_first ON gap (lane, first);
-- Holds every reading up to the raw block 'raw'.
CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1), raw INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
-- The number of the newest raw block, also when all of them are gone: the snapshot's 'raw' must stay behind those that come.
CREATE VIEW newest_raw AS SELECT max(
    (SELECT coalesce(max(id), 0) FROM raw), (SELECT coalesce(max(raw), 0) FROM snapshot)
) AS id;
CREATE TABLE site (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL) STRICT;
";

/// Numbers of alerts up to `alerts_until` may be in use, also where the snapshot ends before.
const SECOND: &str = "ALTER TABLE meta ADD COLUMN alerts_until INTEGER NOT NULL DEFAULT 0;";

/// The name tells this database from another one in its place. A loss is what was given up or lost, and why: counted from
/// one instant of a boot to another, and by the time of day where that is known.
const THIRD: &str = "
ALTER TABLE meta ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE meta SET name = lower(hex(randomblob(8)));
CREATE TABLE loss (
    id INTEGER PRIMARY KEY,
    what TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    first INTEGER,
    last INTEGER,
    from_wall INTEGER,
    to_wall INTEGER
) STRICT;
";

/// What changed in the snapshot since it was written, oldest first: many events cost one whole snapshot.
const FOURTH: &str = "
CREATE TABLE snapshot_change (id INTEGER PRIMARY KEY, raw INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
DROP VIEW newest_raw;
CREATE VIEW newest_raw AS SELECT max(
    (SELECT coalesce(max(id), 0) FROM raw),
    (SELECT coalesce(max(raw), 0) FROM snapshot),
    (SELECT coalesce(max(raw), 0) FROM snapshot_change)
) AS id;
";

/// How far the readings of each board are stored: a board that was not told so before a kill sends them again.
const FIFTH: &str = "CREATE TABLE board (id BLOB PRIMARY KEY, position TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/// The layout that this version writes. A file names by its layout the oldest version that may open it: one that knows the layout.
pub(crate) const LAYOUT: u32 = MIGRATIONS.len() as u32;

/// A whole number that SQLite says of the file.
pub(super) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

pub(super) fn layout(connection: &Connection) -> Result<u32, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Brings the file to this version's layout in one transaction, and `fill` writes the first rows of a new one with it: a power
/// cut leaves it as it was, or whole.
pub(super) fn migrate(
    connection: &mut Connection,
    fill: impl FnOnce(&Transaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let found = layout(connection)?;
    let todo = MIGRATIONS.get(found as usize..).ok_or(StoreError::Newer { found, known: LAYOUT })?;
    if todo.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in todo {
        transaction.execute_batch(step)?;
    }
    if found == 0 {
        fill(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    Ok(())
}
