//! What the engine remembers and what people did on site: one row each, replaced with what follows from it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rusqlite::{Connection, OptionalExtension};
use tilth_core::site::SiteState;

use super::error::StoreError;
use super::row::{int, uint};
use super::varint::checksum;
use crate::checkpoint::Checkpoint;

/// A snapshot fills whole units of this many bytes: SQLite overwrites a row of the same length in place and writes only the
/// pages that differ.
const UNIT: usize = 512;

/// Larger ones are not believed.
const MOST_BYTES: u64 = 64 << 20;

/// Before the content: its length and its checksum.
const HEAD: usize = 8;

/// What a restart continues from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCheckpoint {
    /// A [`Checkpoint`] as JSON.
    pub(crate) bytes: Vec<u8>,
    /// The last raw block that the checkpoint contains; feed the readings after it ([`super::Reader::readings_after`]).
    pub(crate) position: u64,
}

pub(super) fn write(connection: &Connection, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(checkpoint).map_err(|error| StoreError::Unexpected(error.to_string()))?;
    connection
        .prepare_cached(
            "INSERT INTO snapshot (id, raw, body) VALUES (1, (SELECT id FROM newest_raw), ?1)
             ON CONFLICT (id) DO UPDATE SET raw = excluded.raw, body = excluded.body",
        )?
        .execute([pack(&bytes)])?;
    Ok(())
}

pub(super) fn read(connection: &Connection) -> Result<Option<StoredCheckpoint>, StoreError> {
    let row = connection
        .query_row("SELECT raw, body FROM snapshot", [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    let Some((position, body)) = row else { return Ok(None) };
    let bytes = unpack(&body).ok_or_else(|| StoreError::Damaged("the snapshot is not what was written".to_owned()))?;
    Ok(Some(StoredCheckpoint { bytes, position: uint(position) }))
}

/// The block up to which raw readings are in the snapshot; all of them, while there is none.
pub(super) fn position(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT raw FROM snapshot", [], |row| row.get(0)).optional()?.unwrap_or(int(u64::MAX)))
}

pub(super) fn write_site(connection: &Connection, site: &SiteState) -> Result<(), StoreError> {
    let body = serde_json::to_string(site).map_err(|error| StoreError::Unexpected(error.to_string()))?;
    connection.execute("INSERT OR REPLACE INTO site (id, body) VALUES (1, ?)", [body])?;
    Ok(())
}

pub(super) fn read_site(connection: &Connection) -> Result<Option<SiteState>, StoreError> {
    let body: Option<String> = connection.query_row("SELECT body FROM site", [], |row| row.get(0)).optional()?;
    let site = body.map(|body| serde_json::from_str(&body)).transpose();
    site.map_err(|error| StoreError::Damaged(format!("the site state: {error}")))
}

/// Length and checksum of the deflated bytes, these, and zeros up to a whole unit.
fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![0; HEAD], Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    let mut packed = written.expect("memory takes whatever is written");
    let length = (packed.len() - HEAD) as u32;
    let sum = checksum(&packed[HEAD..]);
    packed[..4].copy_from_slice(&length.to_le_bytes());
    packed[4..HEAD].copy_from_slice(&sum.to_le_bytes());
    packed.resize(packed.len().next_multiple_of(UNIT), 0);
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
        fn snapshots_come_back_and_damaged_ones_are_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..5000), at: prop::sample::Index, flip in 1u8..
        ) {
            let packed = pack(&bytes);
            prop_assert_eq!(packed.len() % UNIT, 0);
            prop_assert_eq!(unpack(&packed), Some(bytes.clone()));
            let mut changed = packed;
            let at = at.index(changed.len());
            changed[at] ^= flip;
            // A change in the filling is none.
            prop_assert!(unpack(&changed).is_none_or(|read| read == bytes));
        }
    }
}
