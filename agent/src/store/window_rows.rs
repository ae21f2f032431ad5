//! Closed windows on their way into blocks; what came late is merged into the newest row of its window.

use rusqlite::Connection;
use tilth_core::time::Uptime;
use tilth_core::windows::{Closed, Grain, Row};

use super::boot;
use super::error::StoreError;
use super::row::{WindowStart, table};
use super::window_block::{self, Entry};

#[derive(Debug)]
pub(super) struct WindowBlock {
    pub(super) start: WindowStart,
    pub(super) entries: Vec<Entry>,
}

/// The blocks of one transaction, one for each window that closes in it.
pub(super) struct WindowBlocks<'a> {
    connection: &'a Connection,
    boot: u32,
    /// In the order in which their windows closed.
    pub(super) blocks: Vec<WindowBlock>,
}

impl WindowBlocks<'_> {
    /// `boot` is that of windows whose boot was not counted when they closed.
    pub(super) fn new(connection: &Connection, boot: u32) -> WindowBlocks<'_> {
        WindowBlocks { connection, boot, blocks: Vec::new() }
    }

    pub(super) fn add(&mut self, series: u32, closed: &Closed) -> Result<(), StoreError> {
        let start = WindowStart::of(closed.grain, boot::counted(closed.start, self.boot));
        let before = if closed.late { self.newest(&start, series)? } else { None };
        let entry = Entry { series, row: Row::amend(before, closed.window) };
        match self.blocks.iter_mut().rev().find(|block| block.start == start) {
            Some(block) => block.entries.push(entry),
            None => self.blocks.push(WindowBlock { start, entries: vec![entry] }),
        }
        Ok(())
    }

    /// The row of a window so far: in this transaction or before it.
    fn newest(&self, start: &WindowStart, series: u32) -> Result<Option<Row>, StoreError> {
        let same = |block: &&WindowBlock| {
            (block.start.grain, block.start.boot, block.start.start) == (start.grain, start.boot, start.start)
        };
        let here = self.blocks.iter().rev().filter(same).flat_map(|block| block.entries.iter().rev());
        match here.into_iter().find(|entry| entry.series == series) {
            Some(entry) => Ok(Some(entry.row)),
            None => newest_row(self.connection, start.grain, start.boot, start.start, series),
        }
    }
}

/// The row of a window with the highest revision. A block that is damaged has none.
fn newest_row(
    connection: &Connection,
    grain: Grain,
    boot: u32,
    start: Uptime,
    series: u32,
) -> Result<Option<Row>, StoreError> {
    let table = table(grain);
    let mut statement = connection
        .prepare_cached(&format!("SELECT block FROM {table} WHERE boot = ? AND start = ? ORDER BY seq DESC"))?;
    let mut rows = statement.query((boot, start.0))?;
    while let Some(row) = rows.next()? {
        let entries = window_block::decode(start, row.get_ref("block")?.as_blob().unwrap_or_default());
        if let Some(entry) = entries.unwrap_or_default().iter().rev().find(|entry| entry.series == series) {
            return Ok(Some(entry.row));
        }
    }
    Ok(None)
}
