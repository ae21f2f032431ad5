//! Deleted and dropped rows with the reason, shown on site: one row for what was lost for one reason within a day.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use tilth_core::time::{Span, Uptime, WallTime};

use super::StoreReader;
use super::boot;
use super::error::StoreError;
use super::row::{self, int, uint};

/// Losses of one kind within so long of each other are one row.
const TOGETHER: Span = Span::from_mins(24 * 60);

/// The newest rows that are kept.
const MOST: u32 = 200;

/// Something that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loss<'a> {
    /// `readings`, `windows`, `events` ...
    pub(super) what: &'a str,
    pub(super) reason: &'a str,
    pub(super) count: usize,
    /// The boot in which it was given up.
    pub(super) boot: u32,
    /// From when to when it was from.
    pub(super) span: (Uptime, Uptime),
}

/// Something that was given up, as `status` shows it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RecordedLoss {
    /// `readings`, `windows`, `minutes`, `quarters`, `events` or `diagnostics`.
    pub(crate) what: String,
    pub(crate) reason: String,
    pub(crate) count: u64,
    /// Time span of the rows, RFC 3339 in UTC; none where the clock was not trusted.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

/// Adds to the newest row of its kind, or makes one. Says whether it made one.
pub(super) fn add(connection: &Connection, loss: &Loss<'_>) -> Result<bool, StoreError> {
    let Loss { what, reason, count, boot, span: (first, last) } = *loss;
    let longer = connection
        .prepare_cached(
            "UPDATE loss SET count = count + ?1, last = max(last, ?2), first = min(first, ?3) WHERE id = (
                SELECT id FROM loss WHERE what = ?4 AND reason = ?5 ORDER BY id DESC LIMIT 1
             ) AND boot = ?6 AND last >= ?3 - ?7",
        )?
        .execute((int(count as u64), last.0, first.0, what, reason, boot, TOGETHER.0))?;
    if longer > 0 {
        return Ok(false);
    }
    connection
        .prepare_cached("INSERT INTO loss (what, reason, count, boot, first, last) VALUES (?, ?, ?, ?, ?, ?)")?
        .execute((what, reason, int(count as u64), boot, first.0, last.0))?;
    connection.execute("DELETE FROM loss WHERE id <= (SELECT max(id) FROM loss) - ?", [MOST])?;
    Ok(true)
}

impl StoreReader {
    /// What was given up, the newest first.
    pub(crate) fn recorded_losses(&self, most: u32) -> Result<Vec<RecordedLoss>, StoreError> {
        let has_table = "SELECT 1 FROM sqlite_master WHERE name = 'loss'";
        if self.0.query_row(has_table, [], |_| Ok(())).optional()?.is_none() {
            return Ok(Vec::new());
        }
        let boots = boot::boots(&self.0)?;
        let wall = |number: u32, at: Option<i64>| {
            let zero = boots.get(&number).copied().flatten()?;
            at.map(|at| WallTime(zero.0.saturating_add(at)).to_string())
        };
        let sql = "SELECT what, reason, count, boot, first, last FROM loss ORDER BY id DESC LIMIT ?";
        row::all(&self.0, sql, [most], |row| {
            let (boot, first, last) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let (what, reason, count) = (row.get(0)?, row.get(1)?, uint(row.get(2)?));
            Ok(RecordedLoss { what, reason, count, from: wall(boot, first), to: wall(boot, last) })
        })
    }
}
