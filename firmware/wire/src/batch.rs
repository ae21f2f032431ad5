//! Batches: readings that follow each other, packed into one message.

use crate::body::{Reader, Writer};
use crate::frame::MAX_FRAME;
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

/// A batch that is being packed, straight into its frame: an Uno has no memory for both.
#[derive(Debug)]
pub struct BatchFrame<'a> {
    frame: Writer<'a>,
    /// Where the items begin in the frame, after their length.
    items: usize,
    /// Board time of the last reading.
    last_at: u32,
}

impl<'a> BatchFrame<'a> {
    /// A batch whose first reading has the sequence number `first` and was taken at the board time `at`.
    pub fn new(frame: &'a mut [u8; MAX_FRAME], first: u32, at: u32) -> Self {
        let mut frame = Writer::frame(frame);
        Batch { first, at, items: &[] }.write(&mut frame);
        Self { items: frame.len(), frame, last_at: at }
    }

    /// Adds the reading with the next sequence number; false when it does not fit, which leaves the batch as it was.
    pub fn push(&mut self, at: u32, channel: u8, sample: Sample) -> bool {
        let before = self.frame.len();
        self.frame.u32(at.wrapping_sub(self.last_at));
        self.frame.byte(channel);
        sample.write(&mut self.frame);
        let fits = self.frame.len() - self.items <= ITEMS_LEN;
        if fits {
            self.last_at = at;
        } else {
            self.frame.truncate(before);
        }
        fits
    }

    /// The frame of what was added, closing zero included.
    pub fn finish(mut self) -> &'a [u8] {
        // A varint of one byte: items are shorter than 128 bytes.
        let length = self.frame.len() - self.items;
        self.frame.replace(self.items - 1, length as u8);
        // The longest batch fits a frame.
        self.frame.close().unwrap_or_default()
    }
}
