//! Closed windows on their way into blocks; what came late is merged into the newest row of its window.

use rusqlite::Connection;
use tilth_core::windows::{Closed, Row};

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
        let here = self.blocks.iter().rev().filter(same);
        if let Some(row) = here.filter_map(|block| newest_of(series, &block.entries)).next() {
            return Ok(Some(row));
        }
        let table = table(start.grain);
        let sql = format!("SELECT block FROM {table} WHERE boot = ? AND start = ? ORDER BY seq DESC");
        let mut statement = self.connection.prepare_cached(&sql)?;
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
}

fn newest_of(series: u32, entries: &[Entry]) -> Option<Row> {
    entries.iter().rev().find(|entry| entry.series == series).map(|entry| entry.row)
}
