//! The rows of a span, in pages. A row never changes once it is written, and keys rise: pages that are read one after the other show the store as
//! it was when [`Contents`] was read, while the agent goes on writing. Only retention may have deleted the oldest rows meanwhile, which each
//! page shows.

use std::collections::BTreeMap;
use std::time::Instant;

use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tilth_core::time::{Span, Uptime, WallTime};
use tilth_protocol::Stream;

use super::StoreReader;
use super::boot::boots;
use super::error::StoreError;
use super::history::{BootPart, Period};
use super::names::series_by_number;
use super::row::{self, Series, int, uint};

/// Most bytes of one page: while it is encoded the agent does nothing else, for a few milliseconds.
const PAGE_BYTES: usize = 128 << 10;

/// Twice as much as readings may be before or after the commit that they are in; those that are further behind are in blocks of their own.
const AROUND: Span = Span::from_mins(5);

/// How much later than its span a table begins before that is said: a window, and what a commit holds.
const LATE: Span = Span::from_mins(16);

/// A table whose rows are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Table {
    Raw,
    Minute,
    Quarter,
    Event,
}

impl Table {
    pub(crate) fn name(self) -> &'static str {
        self.names().0
    }

    /// Name, key, and the instant by which keys rise; windows that came late break that order.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Table::Raw => ("raw", "id", "at"),
            Table::Minute => ("minute", "seq", "start"),
            Table::Quarter => ("quarter", "seq", "start"),
            Table::Event => ("event", "seq", "uptime"),
        }
    }
}

pub(crate) const TABLES: [Table; 4] = [Table::Raw, Table::Minute, Table::Quarter, Table::Event];

/// First and last key.
pub(crate) type Keys = (u64, u64);

/// What the store holds of a span at one instant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) stream: Stream,
    /// Boots that the span touches.
    pub(crate) boots: BTreeMap<u32, BootPart>,
    /// Boots left out of the span, since their time of day was never learnt.
    pub(crate) undated: Vec<u32>,
    pub(crate) series: BTreeMap<u32, Series>,
    pub(crate) keys: BTreeMap<Table, Vec<Keys>>,
}

impl Contents {
    /// When a table begins, where that is well after the span does and its first page of the span, or of all, shows that nothing older is there.
    /// None within: the time of day is not known.
    pub(crate) fn late_begin(&self, table: Table, first: &Page) -> Option<Option<WallTime>> {
        let from = self.keys.get(&table).and_then(|keys| keys.first()).map_or(0, |(key, _)| *key);
        let row = first.rows.first().filter(|_| first.oldest.is_some_and(|oldest| oldest >= from))?;
        let BootPart { zero, uptimes, .. } = self.boots.get(&row.boot)?;
        let is_late = row.start.0.saturating_sub(uptimes.start().0) > LATE.0;
        is_late.then(|| zero.map(|zero| WallTime(zero.0.saturating_add(row.start.0))))
    }
}

/// Some rows of a table, in the order of their keys.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Page {
    /// Of the database that was read, which is another one where it was replaced meanwhile.
    pub(crate) stream: Stream,
    /// The oldest key that the table still has.
    pub(crate) oldest: Option<u64>,
    pub(crate) rows: Vec<StoredRow>,
    /// Key from which the next page goes on; none after the last.
    pub(crate) next: Option<u64>,
}

/// A row as it is stored: a block, or an event in JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredRow {
    pub(crate) boot: u32,
    /// Start of the windows of a block; the commit of readings; the time of an event.
    pub(crate) start: Uptime,
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub(crate) content: Vec<u8>,
}

impl StoreReader {
    /// What there is of a period, or of all time. After `deadline` it names all keys of a table instead of those of the period: rows of
    /// another time are left out where they are read. To be read within one transaction.
    pub(crate) fn contents(&self, period: Option<&Period>, deadline: Instant) -> Result<Contents, StoreError> {
        let mut all = boots(&self.0)?;
        let oldest = TABLES.iter().map(|table| self.oldest_boot(*table)).collect::<Result<Vec<_>, _>>()?;
        let oldest = oldest.into_iter().flatten().min().unwrap_or(u32::MAX);
        all.retain(|boot, _| *boot >= oldest);
        let mut boots = match period {
            Some(period) => self.parts(period)?,
            None => all.iter().map(|(boot, zero)| (*boot, BootPart::whole(*zero))).collect(),
        };
        boots.retain(|boot, _| *boot >= oldest);
        let left_out = |(boot, zero): &(&u32, &Option<WallTime>)| zero.is_none() && !boots.contains_key(boot);
        let undated = all.iter().filter(left_out).map(|(boot, _)| *boot).collect();
        let mut keys = BTreeMap::new();
        for table in TABLES {
            let found = match table {
                Table::Raw | Table::Event => self.keys_by_instant(table, &boots, deadline),
                Table::Minute | Table::Quarter => self.keys_by_start(table, &boots, deadline),
            };
            let found = match found? {
                Some(found) => found,
                None => self.ends(table)?.into_iter().collect(),
            };
            keys.insert(table, found);
        }
        let series = series_by_number(&self.0)?.into_iter().collect();
        Ok(Contents { stream: self.stream()?, boots, undated, series, keys })
    }

    fn oldest_boot(&self, table: Table) -> Result<Option<u32>, StoreError> {
        let (table, key, _) = table.names();
        let sql = format!("SELECT boot FROM {table} ORDER BY {key} LIMIT 1");
        Ok(self.0.query_row(&sql, [], |row| row.get(0)).optional()?)
    }

    /// The first and the last key of a table that has rows.
    fn ends(&self, table: Table) -> Result<Option<Keys>, StoreError> {
        let (table, key, _) = table.names();
        // SQLite reads the whole table for two of these in one SELECT.
        let sql = format!("SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})");
        let ends = |row: &Row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?));
        Ok(self.0.prepare_cached(&sql)?.query_row([], ends)?.map(|(first, last)| (uint(first), uint(last))))
    }

    /// None where it takes longer than until `deadline`.
    fn keys_by_instant(
        &self,
        table: Table,
        boots: &BTreeMap<u32, BootPart>,
        deadline: Instant,
    ) -> Result<Option<Vec<Keys>>, StoreError> {
        let mut keys: Vec<Keys> = Vec::new();
        for (boot, part) in boots {
            if deadline <= Instant::now() {
                return Ok(None);
            }
            let first = self.first_key(table, *boot, part.uptimes.start().0.saturating_sub(AROUND.0))?;
            let end = self.first_key(table, *boot, part.uptimes.end().0.saturating_add(AROUND.0))?;
            keys.extend((first < end).then(|| (first, end - 1)));
            if table == Table::Raw {
                let late = "SELECT id FROM raw WHERE late = 1 AND boot = ? AND last >= ? AND first <= ? AND id >= ?";
                let within = (boot, part.uptimes.start().0, part.uptimes.end().0, int(end));
                let late: Vec<i64> = row::all(&self.0, late, within, |row| row.get(0))?;
                keys.extend(late.into_iter().map(|id| (uint(id), uint(id))));
            }
        }
        Ok(Some(keys))
    }

    /// The first key whose row is of this instant or later, found by halving; one above the last where there is none.
    fn first_key(&self, table: Table, boot: u32, uptime: i64) -> Result<u64, StoreError> {
        let (mut low, mut high) = self.ends(table)?.map_or((1, 1), |(first, last)| (int(first), int(last) + 1));
        let (table, key, at) = table.names();
        let sql = format!("SELECT {key}, (boot, {at}) >= (?, ?) FROM {table} WHERE {key} >= ? ORDER BY {key} LIMIT 1");
        let mut statement = self.0.prepare_cached(&sql)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let (found, is_from): (i64, bool) =
                statement.query_row((boot, uptime, middle), |row| Ok((row.get(0)?, row.get(1)?)))?;
            (low, high) = if is_from { (low, middle) } else { (found + 1, high) };
        }
        Ok(uint(low))
    }

    /// None where it takes longer than until `deadline`.
    fn keys_by_start(
        &self,
        table: Table,
        boots: &BTreeMap<u32, BootPart>,
        deadline: Instant,
    ) -> Result<Option<Vec<Keys>>, StoreError> {
        let (table, ..) = table.names();
        let sql = format!("SELECT min(seq), max(seq) FROM {table} WHERE boot = ? AND start BETWEEN ? AND ?");
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut keys: Option<Keys> = None;
        for (boot, part) in boots {
            if deadline <= Instant::now() {
                return Ok(None);
            }
            let within = (boot, part.uptimes.start().0, part.uptimes.end().0);
            let ends: (Option<i64>, Option<i64>) = statement.query_row(within, |row| Ok((row.get(0)?, row.get(1)?)))?;
            if let (Some(first), Some(last)) = ends {
                let (low, high) = keys.unwrap_or((u64::MAX, 0));
                keys = Some((low.min(uint(first)), high.max(uint(last))));
            }
        }
        Ok(Some(keys.into_iter().collect()))
    }

    /// The rows of a table from one key through another, up to [`PAGE_BYTES`] or `deadline`; at least one, where there is one.
    pub(crate) fn page(&self, table: Table, (from, through): Keys, deadline: Instant) -> Result<Page, StoreError> {
        let (name, key, at) = table.names();
        let content = if table == Table::Event { "wall, kind, body" } else { "block" };
        let oldest = self.ends(table)?.map(|(oldest, _)| oldest);
        let sql = format!("SELECT {key}, boot, {at}, {content} FROM {name} WHERE {key} BETWEEN ? AND ? ORDER BY {key}");
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query((int(from), int(through)))?;
        let mut page = Page { stream: self.stream()?, oldest, rows: Vec::new(), next: None };
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let (boot, start) = (row.get(1)?, Uptime(row.get(2)?));
            // The blocks of one commit stay together.
            let is_next = page.rows.last().is_some_and(|last| (last.boot, last.start) != (boot, start));
            if is_next && (bytes >= PAGE_BYTES || deadline <= Instant::now()) {
                page.next = Some(uint(row.get(0)?));
                break;
            }
            let content = if table == Table::Event { event(row)? } else { row.get("block")? };
            bytes += content.len();
            page.rows.push(StoredRow { boot, start, content });
        }
        Ok(page)
    }
}

fn event(row: &Row) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&row::event(row)?).map_err(|error| StoreError::Unexpected(error.to_string()))
}

fn to_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    hex::decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
