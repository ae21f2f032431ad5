//! Batches: readings that follow each other, packed into one message.

use crate::body::{Reader, Writer};
use crate::reading::{Reading, Sample};

/// Longest items of a batch, in bytes: about eight readings.
pub const ITEMS_LEN: usize = 48;

/// Readings that follow each other, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
pub struct Batch<'a> {
    /// Sequence number of the first reading; each further one has the next.
    pub first: u32,
    /// Board time of the first reading, in milliseconds.
    pub at: u32,
    /// The readings, packed; [`Batch::readings`] unpacks them.
    pub items: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The readings of the batch, up to the first that cannot be unpacked.
    pub const fn readings(&self) -> Readings<'a> {
        Readings { seq: self.first, at: self.at, items: self.items }
    }

    pub(crate) fn write(&self, body: &mut Writer<'_>) {
        body.u32(self.first);
        body.u32(self.at);
        body.bytes(self.items);
    }

    pub(crate) fn read(body: &mut Reader<'a>) -> Self {
        Self { first: body.u32(), at: body.u32(), items: body.bytes() }
    }

    /// Whether every byte of the items belongs to a reading, and there is one.
    pub(crate) fn is_whole(&self) -> bool {
        let mut readings = self.readings();
        let count = readings.by_ref().count();
        count > 0 && readings.items.is_empty()
    }
}

/// Readings of a [`Batch`], oldest first.
#[derive(Debug, Clone)]
pub struct Readings<'a> {
    seq: u32,
    at: u32,
    items: &'a [u8],
}

impl Iterator for Readings<'_> {
    type Item = Reading;

    fn next(&mut self) -> Option<Reading> {
        let mut item = Reader::new(self.items);
        let (after, channel, sample) = (item.u32(), item.byte(), Sample::read(&mut item));
        self.items = item.rest()?;
        self.at = self.at.wrapping_add(after);
        let reading = Reading { seq: self.seq, at: self.at, channel, sample };
        self.seq = self.seq.wrapping_add(1);
        Some(reading)
    }
}

/// Packs readings into the items of a [`Batch`].
#[derive(Debug, Clone)]
pub struct BatchItems {
    bytes: [u8; ITEMS_LEN],
    length: u8,
    first: u32,
    at: u32,
    /// Board time of the last reading.
    last_at: u32,
}

impl BatchItems {
    /// A batch whose first reading has the sequence number `first` and was taken at the board time `at`.
    pub const fn new(first: u32, at: u32) -> Self {
        Self { bytes: [0; ITEMS_LEN], length: 0, first, at, last_at: at }
    }

    /// Adds the reading with the next sequence number; false when it does not fit, which leaves the batch as it was.
    pub fn push(&mut self, at: u32, channel: u8, sample: Sample) -> bool {
        let Some(free) = self.bytes.get_mut(usize::from(self.length)..) else { return false };
        let mut item = Writer::new(free);
        item.u32(at.wrapping_sub(self.last_at));
        item.byte(channel);
        sample.write(&mut item);
        let Some(packed) = item.finish() else { return false };
        self.length += packed as u8;
        self.last_at = at;
        true
    }

    /// The batch of what was added.
    pub fn batch(&self) -> Batch<'_> {
        Batch { first: self.first, at: self.at, items: &self.bytes[..usize::from(self.length)] }
    }
}
