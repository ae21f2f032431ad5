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
        body.byte(2);
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

/// Longest item, in bytes: two varints, the channel, and whether there is a value.
const ITEM_LEN: usize = 12;

/// What follows the items: the checksum and the closing zero.
const END_LEN: usize = 3;

/// A batch that is being packed, straight into its frame: an Uno has no memory for both.
#[derive(Debug)]
pub struct BatchFrame<'a> {
    frame: Writer<'a>,
    /// Offset of the items in the frame, after their length.
    items: usize,
    /// Board time of the last reading.
    last_at: u32,
}

impl<'a> BatchFrame<'a> {
    /// A batch whose first reading has the sequence number `first` and was taken at the board time `at`.
    pub fn new(frame: &'a mut [u8], first: u32, at: u32) -> Self {
        let mut batch = Self { frame: Writer::frame(frame), items: 0, last_at: at };
        batch.frame.byte(2);
        batch.frame.u32(first);
        batch.frame.u32(at);
        // The place of the items' length.
        batch.frame.byte(0);
        batch.items = batch.frame.len();
        batch
    }

    /// Adds the reading with the next sequence number, if there is room; whether there was.
    pub fn push(&mut self, at: u32, channel: u8, sample: Sample) -> bool {
        let has_room = self.has_room();
        if has_room {
            let after = at.wrapping_sub(core::mem::replace(&mut self.last_at, at));
            match sample {
                Sample::Value(value) => self.push_value(after, channel, value),
                Sample::Fault(fault) => self.push_fault(after, channel, fault.number()),
            }
        }
        has_room
    }

    /// Whether one more reading fits in any case.
    pub fn has_room(&self) -> bool {
        self.frame.len() - self.items <= ITEMS_LEN - ITEM_LEN && self.frame.left() >= ITEM_LEN + END_LEN
    }

    /// Adds a reading that has a value, taken so many milliseconds after the one before (0 for the first), while there is room.
    pub fn push_value(&mut self, after: u32, channel: u8, value: i32) {
        self.frame.u32(after);
        self.frame.byte(channel);
        self.frame.byte(0);
        self.frame.i32(value);
    }

    /// Adds a reading that has a fault, by its number, as [`BatchFrame::push_value`] does.
    pub fn push_fault(&mut self, after: u32, channel: u8, fault: u8) {
        self.frame.u32(after);
        self.frame.byte(channel);
        self.frame.byte(1);
        self.frame.byte(fault);
    }

    /// The frame of what was added, closing zero included.
    pub fn finish(&mut self) -> &[u8] {
        self.close();
        self.frame.written()
    }

    /// Ends the frame of what was added; its length, closing zero included.
    pub fn close(&mut self) -> usize {
        // A varint of one byte: items are shorter than 128 bytes.
        let length = self.frame.len() - self.items;
        self.frame.replace(self.items - 1, length as u8);
        // The longest batch fits a frame.
        self.frame.close().unwrap_or_default()
    }
}
