//! Records in flash that is erased by the sector: each one is added behind those before, so that a power cut loses at most the newest.
//!
//! Two sectors take turns. A sector is a row of places of [`PLACE_LEN`] bytes; the first holds its head, the others records.
//!
//! | bytes | head | record |
//! | --- | --- | --- |
//! | 0 | `H` | slot |
//! | 1 to 28 | generation, 4 bytes; 24 of 0xFF | the record |
//! | 29, 30 | CRC-16/IBM-3740 of the bytes before, low byte first | the same |
//! | 31 | 0xFF | 0xFF |
//!
//! The sector whose head is whole and has the newest generation is in use. When it is full, the newest record of each slot is copied to
//! the other one, whose head comes last. A record that is damaged counts as absent, and the one before it as the newest.

use tilth_wire::crc16;

use crate::record::{RECORD_LEN, Record};

/// Length of a sector, in bytes: what the flash erases at once.
pub const SECTOR_LEN: usize = 4_096;

/// Length of a place, in bytes. A page, which the flash programs at once, has a whole number of places.
pub const PLACE_LEN: usize = 32;

/// Slots beyond this number are not kept.
const SLOTS: u8 = 32;

const HEAD: u8 = b'H';
const CONTENT_LEN: usize = 1 + RECORD_LEN;
const BLANK: u8 = 0xFF;

/// What to do to the flash next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Erase a sector, 0 or 1: all its bytes become 0xFF.
    Erase {
        /// The sector.
        sector: usize,
    },
    /// Program a place, which is blank.
    Program {
        /// Offset of the place in both sectors together, in bytes.
        at: usize,
        /// New contents of the place.
        bytes: [u8; PLACE_LEN],
    },
}

type Place = [u8; PLACE_LEN];

/// Both sectors as they are.
#[derive(Debug, Clone, Copy)]
pub struct Journal<'a> {
    sectors: [&'a [Place]; 2],
}

impl<'a> Journal<'a> {
    /// The journal in two sectors, which lie one behind the other.
    pub fn new(flash: &'a [u8; 2 * SECTOR_LEN]) -> Self {
        let (places, _) = flash.as_chunks();
        let (first, second) = places.split_at(SECTOR_LEN / PLACE_LEN);
        Self { sectors: [first, second] }
    }

    /// The record that a slot keeps; an empty slot has bytes of 0xFF.
    pub fn kept(&self, slot: u8) -> [u8; RECORD_LEN] {
        self.in_use().and_then(|(sector, _)| self.newest(sector, slot)).unwrap_or([BLANK; RECORD_LEN])
    }

    /// The next step towards keeping a record; `None` once it is kept. The power may be cut before, in or after any step.
    pub fn next_step(&self, record: &Record) -> Option<Step> {
        if record.slot >= SLOTS {
            return None;
        }
        let Some((sector, generation)) = self.in_use() else { return self.fill(0, None, 0, record) };
        if self.newest(sector, record.slot) == Some(record.bytes) {
            return None;
        }
        let free = self.sectors[sector].iter().rposition(|place| !is_blank(place))? + 1;
        if free < SECTOR_LEN / PLACE_LEN {
            return Some(program(sector, free, &packed(record.slot, record.bytes)));
        }
        self.fill(1 - sector, Some(sector), generation.wrapping_add(1), record)
    }

    /// The next step towards a sector that holds the newest records of another one, and this one. What a power cut left in it is erased.
    fn fill(&self, sector: usize, from: Option<usize>, generation: u32, record: &Record) -> Option<Step> {
        let wanted = |slot: u8| match from {
            _ if slot == record.slot => Some(record.bytes),
            Some(from) => self.newest(from, slot),
            None => None,
        };
        let mut at = 1;
        for (slot, bytes) in (0..SLOTS).filter_map(|slot| Some((slot, wanted(slot)?))) {
            let (wanted, place) = (packed(slot, bytes), &self.sectors[sector][at]);
            if *place != wanted {
                let is_free = self.sectors[sector][at..].iter().all(is_blank) && is_blank(&self.sectors[sector][0]);
                return Some(if is_free { program(sector, at, &wanted) } else { Step::Erase { sector } });
            }
            at += 1;
        }
        let is_clean = self.sectors[sector][at..].iter().all(is_blank) && is_blank(&self.sectors[sector][0]);
        Some(if is_clean { program(sector, 0, &head(generation)) } else { Step::Erase { sector } })
    }

    /// The sector in use and its generation.
    fn in_use(&self) -> Option<(usize, u32)> {
        let generations = self.sectors.map(|sector| generation(&sector[0]));
        match generations {
            [Some(first), Some(second)] if second.wrapping_sub(first) as i32 > 0 => Some((1, second)),
            [Some(first), _] => Some((0, first)),
            [None, Some(second)] => Some((1, second)),
            [None, None] => None,
        }
    }

    /// The newest whole record of a slot.
    fn newest(&self, sector: usize, slot: u8) -> Option<[u8; RECORD_LEN]> {
        let of_slot = |place: &&Place| place[0] == slot && is_whole(place);
        let place = self.sectors[sector][1..].iter().rfind(of_slot)?;
        place[1..CONTENT_LEN].try_into().ok()
    }
}

fn program(sector: usize, place: usize, bytes: &Place) -> Step {
    Step::Program { at: sector * SECTOR_LEN + place * PLACE_LEN, bytes: *bytes }
}

fn head(generation: u32) -> Place {
    let mut content = [BLANK; RECORD_LEN];
    content[..4].copy_from_slice(&generation.to_le_bytes());
    packed(HEAD, content)
}

fn packed(first: u8, content: [u8; RECORD_LEN]) -> Place {
    let mut place = [BLANK; PLACE_LEN];
    place[0] = first;
    place[1..CONTENT_LEN].copy_from_slice(&content);
    let checksum = crc16(&place[..CONTENT_LEN]).to_le_bytes();
    place[CONTENT_LEN..CONTENT_LEN + 2].copy_from_slice(&checksum);
    place
}

fn generation(place: &Place) -> Option<u32> {
    let [first, a, b, c, d, ..] = *place;
    (first == HEAD && is_whole(place)).then(|| u32::from_le_bytes([a, b, c, d]))
}

fn is_whole(place: &Place) -> bool {
    place[CONTENT_LEN..CONTENT_LEN + 2] == crc16(&place[..CONTENT_LEN]).to_le_bytes()
}

fn is_blank(place: &Place) -> bool {
    place.iter().all(|byte| *byte == BLANK)
}

#[cfg(test)]
mod tests;
