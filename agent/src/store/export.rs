//! An export: the rows of a span decoded into an SQLite file with views that plain SQLite shows, or on their way to CSV or a replay.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use tilth_core::id::SensorId;
use tilth_core::reading::Quality;
use tilth_core::time::WallTime;
use tilth_core::value::{Steps, Value};
use tilth_core::windows::{Grain, Sums};
use tilth_protocol::Event;

use super::error::StoreError;
use super::history::{BootPart, tenths};
use super::pages::{Contents, StoredRow, Table};
use super::raw_block;
use super::read::Arrivals;
use super::row::{Series, int};
use super::schema;
use super::window_block;

const SCHEMA: &str = include_str!("export.sql");

/// `PRAGMA application_id` of an export: "Tlth".
const APPLICATION: u32 = 0x546c_7468;

/// What SQLite holds of an export in memory: a scratch that is larger goes on in a file.
const CACHE_KIB: i64 = 2000;

/// Raised when a view changes so that a query over the one before misunderstands it.
const VERSION: u32 = 1;

/// Decoded rows of a store.
#[derive(Debug)]
pub(crate) struct Export {
    connection: Connection,
    boots: HashMap<u32, BootPart>,
    series: HashMap<u32, Series>,
    arrivals: Arrivals,
    pub(crate) counts: Counts,
}

/// What went into an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) readings: u64,
    pub(crate) windows: u64,
    pub(crate) events: u64,
    /// Rows of these whose time of day is not known.
    pub(crate) undated: u64,
    /// Blocks that cannot be read.
    pub(crate) damaged: u64,
}

/// A reading of an export, as a replay takes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ExportedReading<'a> {
    pub(crate) sensor: &'a str,
    /// None where the time of day is not known.
    pub(crate) at: Option<WallTime>,
    pub(crate) value: f64,
    pub(crate) quality: Quality,
}

impl Export {
    /// An empty one for this process alone: in memory while it is small, then in a file without a name.
    pub(crate) fn scratch() -> Result<Export, StoreError> {
        Export::new(Connection::open("")?)
    }

    /// An empty one in a new file. It is whole once [`Export::finish`] has returned.
    pub(crate) fn create(path: &Path) -> Result<Export, StoreError> {
        Export::new(Connection::open(path)?)
    }

    fn new(connection: Connection) -> Result<Export, StoreError> {
        // A file that is not whole is deleted: nothing is ever rolled back.
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        connection.pragma_update(None, "user_version", VERSION)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Export::of(connection))
    }

    fn of(connection: Connection) -> Export {
        let (boots, series, arrivals) = (HashMap::new(), HashMap::new(), Arrivals::default());
        Export { connection, boots, series, arrivals, counts: Counts::default() }
    }

    /// Opens a file that [`Export::create`] made; `None` where it is another one, which SQLite is not to touch: it may be the database of an agent.
    pub(crate) fn open(path: &Path) -> Result<Option<Export>, StoreError> {
        let unreadable = |error: io::Error| StoreError::Unreachable(error.to_string());
        let mut header = Vec::new();
        File::open(path).and_then(|file| file.take(72).read_to_end(&mut header)).map_err(unreadable)?;
        // <https://www.sqlite.org/fileformat2.html#database_header>
        if header.get(68..72) != Some(APPLICATION.to_be_bytes().as_slice()) {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        match schema::layout(&connection)? {
            found if found > VERSION => Err(StoreError::Newer { found, known: VERSION }),
            _ => Ok(Some(Export::of(connection))),
        }
    }

    /// Notes what the file says of itself.
    pub(crate) fn note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.connection.execute("INSERT INTO about (name, value) VALUES (?, ?)", (name, value))?;
        Ok(())
    }

    /// Says what the rows that follow refer to; only those of these sensors are taken, of all where there are none.
    pub(crate) fn begin(&mut self, contents: &Contents, wanted: &BTreeSet<SensorId>) -> Result<(), StoreError> {
        for (boot, part) in &contents.boots {
            let zero = part.zero.map(|zero| zero.0);
            self.connection.execute("INSERT INTO boot (id, wall_at_zero) VALUES (?, ?)", (boot, zero))?;
            self.boots.insert(*boot, part.clone());
        }
        let is_wanted = |series: &Series| wanted.is_empty() || wanted.contains(&series.sensor);
        for (number, series) in contents.series.iter().filter(|(_, series)| is_wanted(series)) {
            let Series { sensor, quantity, .. } = series;
            self.connection.execute(
                "INSERT INTO series (id, sensor, quantity, unit) VALUES (?, ?, ?, ?)",
                (number, sensor.as_str(), quantity.name(), quantity.unit()),
            )?;
            self.series.insert(*number, series.clone());
        }
        Ok(())
    }

    /// Takes rows of a table, in the order of their keys.
    pub(crate) fn add(&mut self, table: Table, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN")?;
        // Readings far behind the commit that they came in are in a block behind its others, though they came before most of those.
        let commits = rows.chunk_by(|one, next| (one.boot, one.start) == (next.boot, next.start));
        for row in commits.flat_map(|rows| rows.iter().rev()) {
            match table {
                Table::Raw => self.add_readings(row)?,
                Table::Minute => self.add_windows(row, Grain::Minute)?,
                Table::Quarter => self.add_windows(row, Grain::Quarter)?,
                Table::Event => self.add_event(row)?,
            }
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }

    fn add_readings(&mut self, row: &StoredRow) -> Result<(), StoreError> {
        let Some(part) = self.boots.get(&row.boot) else { return Ok(()) };
        let Some(block) = raw_block::decode(&row.content) else {
            self.counts.damaged += 1;
            return Ok(());
        };
        let mut points = Vec::new();
        for column in block.columns {
            let Some(series) = self.series.get(&column.series) else { continue };
            for point in column.points.into_iter().filter(|point| part.uptimes.contains(&point.at)) {
                let place = self.arrivals.place(&series.sensor, (row.boot, point.at));
                points.push((place, column.series, series.resolution, point));
            }
        }
        points.sort_by_key(|(place, ..)| *place);
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO reading (series, boot, uptime, value, quality, before_calibration) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        self.counts.readings += points.len() as u64;
        self.counts.undated += if part.zero.is_none() { points.len() as u64 } else { 0 };
        for (_, series, resolution, point) in points {
            let value = Value { steps: point.steps, resolution }.to_f64();
            insert.execute((series, row.boot, point.at.0, value, point.quality.name(), point.raw))?;
        }
        Ok(())
    }

    fn add_windows(&mut self, row: &StoredRow, grain: Grain) -> Result<(), StoreError> {
        let Some(part) = self.boots.get(&row.boot).filter(|part| part.uptimes.contains(&row.start)) else {
            return Ok(());
        };
        let Some(entries) = window_block::decode(row.start, &row.content) else {
            self.counts.damaged += 1;
            return Ok(());
        };
        // What came late made another row of the same window, which holds all of it.
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO \"window\" (minutes, boot, uptime, series, revision, count, bad, lowest, mean, highest, last, spread)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET revision = excluded.revision, count = excluded.count, bad = excluded.bad,
                 lowest = excluded.lowest, mean = excluded.mean, highest = excluded.highest, last = excluded.last,
                 spread = excluded.spread
             WHERE excluded.revision > revision",
        )?;
        let minutes = grain.span().0 / 60_000;
        for entry in entries {
            let Some(Series { resolution, .. }) = self.series.get(&entry.series) else { continue };
            let (window, resolution) = (entry.row.window, *resolution);
            let value = |steps: fn(&Sums) -> Steps| Some(Value { steps: steps(&window.good?), resolution }.to_f64());
            let fine = |steps: fn(&Sums) -> f64| Some(tenths(steps(&window.good?), resolution).to_f64());
            insert.execute(rusqlite::params![
                minutes,
                row.boot,
                row.start.0,
                entry.series,
                entry.row.revision,
                window.good.map_or(0, |sums| sums.count),
                window.bad,
                value(|sums| sums.min),
                fine(Sums::mean),
                value(|sums| sums.max),
                value(|sums| sums.last),
                fine(Sums::spread),
            ])?;
            let is_new = entry.row.revision == 0;
            self.counts.windows += u64::from(is_new);
            self.counts.undated += u64::from(is_new && part.zero.is_none());
        }
        Ok(())
    }

    fn add_event(&mut self, row: &StoredRow) -> Result<(), StoreError> {
        let Ok(Event { seq, at, kind, body }) = serde_json::from_slice::<Event>(&row.content) else {
            self.counts.damaged += 1;
            return Ok(());
        };
        let Some(part) = self.boots.get(&at.boot).filter(|part| part.uptimes.contains(&at.uptime)) else {
            return Ok(());
        };
        let alert = body.get("alert").and_then(serde_json::Value::as_u64).map(int);
        let body = serde_json::Value::Object(body).to_string();
        self.connection
            .prepare_cached("INSERT INTO event (seq, boot, uptime, kind, alert, body) VALUES (?, ?, ?, ?, ?, ?)")?
            .execute((int(seq), at.boot, at.uptime.0, kind, alert, body))?;
        self.counts.events += 1;
        self.counts.undated += u64::from(part.zero.is_none());
        Ok(())
    }

    /// Shows the rows of a view as text, the names of its columns first; what is not there is empty.
    pub(crate) fn show<E>(
        &self,
        view: &str,
        mut row: impl FnMut(&[String]) -> Result<(), E>,
    ) -> Result<Result<(), E>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT * FROM {view}"))?;
        let mut cells: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([])?;
        loop {
            if let Err(error) = row(&cells) {
                return Ok(Err(error));
            }
            let Some(found) = rows.next()? else { return Ok(Ok(())) };
            for (index, cell) in cells.iter_mut().enumerate() {
                *cell = match found.get_ref(index)? {
                    ValueRef::Null | ValueRef::Blob(_) => String::new(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                };
            }
        }
    }

    /// Shows the readings in the order in which they came. Those of boot `clockless` count their time from its beginning.
    pub(crate) fn readings<E>(
        &self,
        clockless: Option<u32>,
        mut reading: impl FnMut(ExportedReading) -> Result<(), E>,
    ) -> Result<Result<(), E>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT s.sensor, CASE t.boot WHEN ? THEN t.uptime ELSE b.wall_at_zero + t.uptime END, t.value, t.quality
             FROM reading AS t CROSS JOIN series AS s ON s.id = t.series CROSS JOIN boot AS b ON b.id = t.boot",
        )?;
        let mut rows = statement.query([clockless])?;
        while let Some(row) = rows.next()? {
            let quality = row.get_ref(3)?.as_str().unwrap_or_default();
            let shown = reading(ExportedReading {
                sensor: row.get_ref(0)?.as_str().unwrap_or_default(),
                at: row.get::<_, Option<i64>>(1)?.map(WallTime),
                value: row.get(2)?,
                quality: Quality::from_name(quality).unwrap_or(Quality::Good),
            });
            if shown.is_err() {
                return Ok(shown);
            }
        }
        Ok(Ok(()))
    }

    /// The newest boot, where the time of day of none is known.
    pub(crate) fn clockless_boot(&self) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT CASE count(wall_at_zero) WHEN 0 THEN max(id) END FROM boot";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// The time of the first window.
    pub(crate) fn first_window(&self) -> Result<Option<WallTime>, StoreError> {
        let sql = "SELECT min(b.wall_at_zero + t.uptime) FROM \"window\" AS t JOIN boot AS b ON b.id = t.boot";
        Ok(self.connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?.map(WallTime))
    }

    /// Forgets readings and windows, and keeps what later ones refer to.
    pub(crate) fn clear(&self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("DELETE FROM reading; DELETE FROM \"window\";")?)
    }

    /// Whether a scratch takes room on the disk of the temporary folder.
    pub(crate) fn is_on_disk(&self) -> Result<bool, StoreError> {
        let bytes = schema::pragma(&self.connection, "page_count")? * schema::pragma(&self.connection, "page_size")?;
        Ok(bytes > CACHE_KIB.unsigned_abs() << 10)
    }

    /// Has the disk hold the file at this path.
    pub(crate) fn finish(self, path: &Path) -> Result<Counts, StoreError> {
        self.connection.close().map_err(|(_, error)| error)?;
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::Unreachable(error.to_string()))?;
        Ok(self.counts)
    }
}

#[cfg(test)]
mod tests;
