//! What the engine remembers, as a whole and as changes since, and what people did on site.

use std::io::{Read, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tilth_core::site::SiteState;

use super::error::StoreError;
use super::row::{self, int, uint};
use super::varint::checksum;
use crate::checkpoint::Checkpoint;

/// A whole checkpoint fills whole units of this many bytes: SQLite overwrites a row of the same length in place and writes only the
/// pages that differ.
const UNIT: usize = 512;

/// Larger ones are not believed.
const MOST_BYTES: u64 = 64 << 20;

/// Before the content: its length and its checksum.
const HEAD: usize = 8;

/// What a restart continues from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredCheckpoint {
    pub(crate) checkpoint: Checkpoint,
    /// The last raw block that the checkpoint contains; feed the readings after it ([`super::StoreReader::readings_after`]).
    pub(crate) position: u64,
}

/// The checkpoint that the file holds, and in how many bytes: the whole in one row, the changes since in rows of their own.
#[derive(Debug)]
pub(super) struct LastCheckpoint {
    checkpoint: Arc<Checkpoint>,
    whole: usize,
    changes: usize,
}

/// Writes what changed since the last checkpoint; or the whole, if the file holds none that is known or the changes grow longer than
/// the whole. So a start reads at most twice the whole.
pub(super) fn write(
    connection: &Connection,
    checkpoint: &Arc<Checkpoint>,
    last: Option<LastCheckpoint>,
) -> Result<LastCheckpoint, StoreError> {
    let may_have_changes = last.as_ref().is_none_or(|last| last.changes > 0);
    if let Some(last) = last
        && let Some(changes) = checkpoint.changes_since(&last.checkpoint)
    {
        let body = pack(&json(&changes)?);
        let changes = last.changes + body.len();
        if changes <= last.whole {
            connection
                .prepare_cached("INSERT INTO snapshot_change (raw, body) SELECT id, ? FROM newest_raw")?
                .execute([body])?;
            return Ok(LastCheckpoint { checkpoint: Arc::clone(checkpoint), changes, ..last });
        }
    }
    let mut body = pack(&json(checkpoint.as_ref())?);
    body.resize(body.len().next_multiple_of(UNIT), 0);
    let whole = body.len();
    connection
        .prepare_cached(
            "INSERT INTO snapshot (id, raw, body) VALUES (1, (SELECT id FROM newest_raw), ?1)
             ON CONFLICT (id) DO UPDATE SET raw = excluded.raw, body = excluded.body",
        )?
        .execute([body])?;
    if may_have_changes {
        connection.execute("DELETE FROM snapshot_change", [])?;
    }
    Ok(LastCheckpoint { checkpoint: Arc::clone(checkpoint), whole, changes: 0 })
}

/// The whole with its changes. A file of an older layout has no changes.
pub(super) fn read(connection: &Connection, needs_migration: bool) -> Result<Option<StoredCheckpoint>, StoreError> {
    let body = |row: &Row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
    let mut wholes: Vec<_> = row::all(connection, "SELECT raw, body FROM snapshot", [], body)?;
    let Some((mut position, whole)) = wholes.pop() else { return Ok(None) };
    let mut checkpoint: Checkpoint = parse(&whole)?;
    let changes = "SELECT raw, body FROM snapshot_change ORDER BY id";
    let changes = if needs_migration { Vec::new() } else { row::all(connection, changes, [], body)? };
    for (raw, body) in changes {
        checkpoint.apply(parse(&body)?);
        position = raw;
    }
    Ok(Some(StoredCheckpoint { checkpoint, position: uint(position) }))
}

/// The block up to which raw readings are in the checkpoint; all of them, while there is none.
pub(super) fn position(connection: &Connection, needs_migration: bool) -> Result<i64, StoreError> {
    let changes = if needs_migration { "" } else { "UNION ALL SELECT raw FROM snapshot_change" };
    let sql = format!("SELECT max(raw) FROM (SELECT raw FROM snapshot {changes})");
    Ok(connection.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(int(u64::MAX)))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Unexpected(error.to_string()))
}

fn parse<T: DeserializeOwned>(packed: &[u8]) -> Result<T, StoreError> {
    let bytes =
        unpack(packed).ok_or_else(|| StoreError::Damaged("the checkpoint is not what was written".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged(format!("the checkpoint: {error}")))
}

pub(super) fn write_site(connection: &Connection, site: &SiteState) -> Result<(), StoreError> {
    let body = serde_json::to_string(site).map_err(|error| StoreError::Unexpected(error.to_string()))?;
    connection.execute("INSERT OR REPLACE INTO site (id, body) VALUES (1, ?)", [body])?;
    Ok(())
}

pub(super) fn read_site(connection: &Connection) -> Result<Option<SiteState>, StoreError> {
    let body: Option<String> = connection.query_row("SELECT body FROM site", [], |row| row.get(0)).optional()?;
    let site = body.map(|body| serde_json::from_slice(body.as_bytes())).transpose();
    site.map_err(|error| StoreError::Damaged(format!("the site state: {error}")))
}

/// Length and checksum of the deflated bytes, and these.
fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![0; HEAD], Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    let mut packed = written.expect("a write to memory succeeds");
    let length = (packed.len() - HEAD) as u32;
    let sum = checksum(&packed[HEAD..]);
    packed[..4].copy_from_slice(&length.to_le_bytes());
    packed[4..HEAD].copy_from_slice(&sum.to_le_bytes());
    packed
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = packed.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let content = rest.get(..u32::from_le_bytes(*length) as usize)?;
    if checksum(content) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut bytes = Vec::new();
    DeflateDecoder::new(content).take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn checkpoints_come_back_and_damaged_ones_are_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..5000), at: prop::sample::Index, flip in 1u8..
        ) {
            let mut packed = pack(&bytes);
            prop_assert_eq!(unpack(&packed), Some(bytes.clone()));
            packed.resize(packed.len().next_multiple_of(UNIT), 0);
            prop_assert_eq!(unpack(&packed), Some(bytes.clone()));
            let mut changed = packed;
            let at = at.index(changed.len());
            changed[at] ^= flip;
            // A change in the filling is none.
            prop_assert!(unpack(&changed).is_none_or(|read| read == bytes));
        }
    }
}
