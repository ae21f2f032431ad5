//! Closed windows on their way into blocks; what came late is merged into the newest row of its window.

use rusqlite::Connection;
use tilth_core::windows::{Closed, Row};

use super::boot;
use super::error::StoreError;
use super::row::{WindowStart, table};
use super::window_block::{self, Entry};

/// The blocks of one transaction, one for each window that closes in it, in the order in which the windows closed.
pub(super) type WindowBlocks = Vec<(WindowStart, Vec<Entry>)>;

/// Adds the window of a series. `boot` is that of windows whose boot was not counted when they closed.
pub(super) fn add(
    blocks: &mut WindowBlocks,
    connection: &Connection,
    boot: u32,
    series: u32,
    closed: &Closed,
) -> Result<(), StoreError> {
    let start = WindowStart::of(closed.grain, boot::counted(closed.start, boot));
    let before = if closed.late { newest(blocks, connection, &start, series)? } else { None };
    let entry = Entry { series, row: Row::amend(before, closed.window) };
    match blocks.iter_mut().rev().find(|(of, _)| *of == start) {
        Some((_, entries)) => entries.push(entry),
        None => blocks.push((start, vec![entry])),
    }
    Ok(())
}

/// The row of a window so far: in this transaction or before it.
fn newest(
    blocks: &WindowBlocks,
    connection: &Connection,
    start: &WindowStart,
    series: u32,
) -> Result<Option<Row>, StoreError> {
    let same = |of: &WindowStart| (of.grain, of.boot, of.start) == (start.grain, start.boot, start.start);
    let here = blocks.iter().rev().filter(|(of, _)| same(of));
    if let Some(row) = here.filter_map(|(_, entries)| newest_of(series, entries)).next() {
        return Ok(Some(row));
    }
    let table = table(start.grain);
    let sql = format!("SELECT block FROM {table} WHERE boot = ? AND start = ? ORDER BY seq DESC");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((start.boot, start.start.0))?;
    while let Some(row) = rows.next()? {
        // A block that is damaged has none.
        let entries = window_block::decode(start.start, row.get_ref("block")?.as_blob().unwrap_or_default());
        if let Some(row) = newest_of(series, &entries.unwrap_or_default()) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

fn newest_of(series: u32, entries: &[Entry]) -> Option<Row> {
    entries.iter().rev().find(|entry| entry.series == series).map(|entry| entry.row)
}
