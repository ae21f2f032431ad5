//! How far the readings of each board are stored: written with them, in one transaction.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::commit::Commit;
use super::error::StoreError;
use super::{Store, StoreReader, row};
use crate::sense::store_ack::BoardPosition;

/// Writes the newest position of each board that the commits have readings of.
pub(super) fn write(connection: &Connection, commits: &[Commit]) -> Result<(), StoreError> {
    let positions = commits.iter().flat_map(|commit| &commit.acks).map(|ack| &ack.position);
    let newest: BTreeMap<[u8; 8], &BoardPosition> = positions.map(|position| (position.board, position)).collect();
    for (board, position) in newest {
        let body = serde_json::to_string(position).map_err(|error| StoreError::Unexpected(error.to_string()))?;
        let sql = "INSERT OR REPLACE INTO board (id, position) VALUES (?, ?)";
        connection.prepare_cached(sql)?.execute((board, body))?;
    }
    Ok(())
}

impl Store {
    /// How far the readings of each board are stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn board_positions(&self) -> Result<Vec<BoardPosition>, StoreError> {
        let StoreReader(connection) = &self.reader;
        if self.needs_migration {
            return Ok(Vec::new());
        }
        let bodies: Vec<String> = row::all(connection, "SELECT position FROM board", [], |row| row.get(0))?;
        // A position that cannot be read costs readings that come twice, and no start.
        Ok(bodies.iter().filter_map(|body| serde_json::from_slice(body.as_bytes()).ok()).collect())
    }
}
