//! Records: settings as a board keeps them over power loss, one in each slot of its EEPROM or flash.
//!
//! | bytes | hold |
//! | --- | --- |
//! | 0 to 11 | three numbers, low byte first |
//! | 12 | one more byte |
//! | 13 | format of the record, 1 |
//! | 14, 15 | CRC-16/IBM-3740 of the bytes before, low byte first |
//!
//! Slot 0 holds the board's id, the next ones a channel each (interval, kind, oversampling), the last ones a relay each (maximum on-time,
//! minimum off-time, link timeout; excluded relays).

use tilth_wire::crc16;

/// Length of a record, in bytes.
pub const RECORD_LEN: usize = 16;

const FORMAT: u8 = 1;
const CHECKED_LEN: usize = 14;

/// A setting to keep over power loss. An empty slot, or one whose bytes are damaged, is as good as none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where to keep it: a number below 1 + channels + relays.
    pub slot: u8,
    /// What to keep.
    pub bytes: [u8; RECORD_LEN],
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) numbers: [u32; 3],
    pub(crate) byte: u8,
}

impl Content {
    pub(crate) fn pack(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(self.numbers) {
            *place = number.to_le_bytes();
        }
        bytes[CHECKED_LEN - 2] = self.byte;
        bytes[CHECKED_LEN - 1] = FORMAT;
        let checksum = crc16(&bytes[..CHECKED_LEN]).to_le_bytes();
        bytes[CHECKED_LEN..].copy_from_slice(&checksum);
        bytes
    }

    /// The content of a record; `None` if it is empty, damaged or of another format.
    pub(crate) fn unpack(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        let [low, high] = crc16(&bytes[..CHECKED_LEN]).to_le_bytes();
        if bytes[CHECKED_LEN - 1..] != [FORMAT, low, high] {
            return None;
        }
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Self { numbers: [number(0), number(4), number(8)], byte: bytes[CHECKED_LEN - 2] })
    }
}
