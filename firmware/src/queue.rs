//! Send queue: readings that the agent has not confirmed, packed into a ring of bytes. When it is full the oldest go, counted.
//!
//! A reading takes about three bytes: a header, the time since the reading before unless the header says it, and the difference to the
//! channel's value before.
//!
//! | part | holds |
//! | --- | --- |
//! | header | bits 0 to 3: channel; bit 4: fault; bits 5 and 6: time, 0 as the reading before, 1 by the same gap again, 2 by a gap that follows |
//! | gap | varint of milliseconds, if the header says so |
//! | value | zigzag varint of the difference to the channel's last value, or the fault's number |

use tilth_wire::{BatchFrame, Fault, MAX_FRAME, Reading, Sample};

use crate::time::BoardTime;

const CHANNEL_BITS: u8 = 0x0F;
const FAULT_BIT: u8 = 0x10;

/// The reading was taken at the same time as the one before.
const SAME_TIME: u8 = 0x00;
/// As long after the reading before as the last gap was: a round of an interval after the round before.
const SAME_GAP: u8 = 0x20;
/// The gap follows.
const NEW_GAP: u8 = 0x40;

/// Longest packed reading, in bytes: a header and two varints.
const MAX_PACKED: usize = 11;

/// A place in the queue, with what is known of the readings before it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Cursor<const CHANNELS: usize> {
    offset: u16,
    /// Sequence number of the next reading.
    seq: u32,
    /// Board time of the last reading.
    at: BoardTime,
    /// The last time between two readings that differed in time, in milliseconds.
    gap: u32,
    /// Last value of each channel.
    values: [i32; CHANNELS],
}

/// Readings of at most `CHANNELS` channels, packed into `BYTES` bytes.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Queue<const BYTES: usize, const CHANNELS: usize> {
    /// Offset behind the newest reading.
    end: u16,
    /// Sequence number of the next reading to add.
    next: u32,
    /// Sequence number of the next reading to send.
    send: u32,
    /// Readings that were dropped unconfirmed.
    lost: u32,
    /// At the oldest reading.
    oldest: Cursor<CHANNELS>,
    bytes: [u8; BYTES],
}

impl<const BYTES: usize, const CHANNELS: usize> Queue<BYTES, CHANNELS> {
    pub(crate) fn new() -> Self {
        const { assert!(BYTES > 2 * MAX_PACKED && BYTES <= i16::MAX as usize, "a queue has 23 to 32,767 bytes") };
        let oldest = Cursor { offset: 0, seq: 0, at: BoardTime::from_millis(0), gap: 0, values: [0; CHANNELS] };
        Self { end: 0, next: 0, send: 0, lost: 0, oldest, bytes: [0; BYTES] }
    }

    /// Sequence number of the next reading.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// Sequence number of the oldest reading that is held; that of the next one if none is.
    pub(crate) fn oldest(&self) -> u32 {
        self.oldest.seq
    }

    /// Readings that were dropped unconfirmed because the queue was full.
    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    /// Adds a reading; drops the oldest ones until there is room.
    pub(crate) fn push(&mut self, at: BoardTime, channel: u8, sample: Sample) {
        if usize::from(channel) >= CHANNELS {
            return;
        }
        while self.free() < MAX_PACKED {
            self.drop_oldest();
            self.lost = self.lost.wrapping_add(1);
        }
        if self.oldest.seq == self.next {
            self.oldest.at = at;
        }
        let mut before = self.oldest;
        walk(&self.bytes, &mut before, self.next);
        let gap = at.since(before.at);
        let time = match gap {
            0 => SAME_TIME,
            _ if gap == before.gap => SAME_GAP,
            _ => NEW_GAP,
        };
        let (fault, number) = match sample {
            Sample::Value(value) => (0, zigzag(value.wrapping_sub(before.values[usize::from(channel)]))),
            Sample::Fault(fault) => (FAULT_BIT, u32::from(fault.number())),
        };
        self.put(channel | fault | time);
        if time == NEW_GAP {
            self.put_varint(gap);
        }
        self.put_varint(number);
        self.next = self.next.wrapping_add(1);
    }

    /// Forgets all readings up to a sequence number. One that is confirmed already, or was never given, changes nothing.
    pub(crate) fn confirm(&mut self, through: u32) {
        if is_before(through, self.next) {
            while is_before(self.oldest.seq, through.wrapping_add(1)) {
                self.drop_oldest();
            }
        }
    }

    /// Sends everything that is held once more.
    pub(crate) fn rewind(&mut self) {
        self.send = self.oldest.seq;
    }

    /// The next reading to send, if no other one waits.
    #[inline(never)]
    pub(crate) fn next_reading(&mut self) -> Option<Reading> {
        if self.next.wrapping_sub(self.send) != 1 {
            return None;
        }
        let mut cursor = self.oldest;
        walk(&self.bytes, &mut cursor, self.send);
        self.send = self.next;
        Some(step(&self.bytes, &mut cursor))
    }

    /// Packs the next readings to send into a frame, as many as fit; its length, 0 if there are none.
    #[inline(never)]
    pub(crate) fn next_batch(&mut self, frame: &mut [u8; MAX_FRAME]) -> u8 {
        if self.send == self.next {
            return 0;
        }
        let mut cursor = self.oldest;
        walk(&self.bytes, &mut cursor, self.send);
        let mut reading = step(&self.bytes, &mut cursor);
        let mut batch = BatchFrame::new(frame, reading.seq, reading.at);
        while batch.push(reading.at, reading.channel, reading.sample) {
            self.send = cursor.seq;
            if self.send == self.next {
                break;
            }
            reading = step(&self.bytes, &mut cursor);
        }
        batch.finish().len() as u8
    }

    fn drop_oldest(&mut self) {
        let is_unsent = self.send == self.oldest.seq;
        step(&self.bytes, &mut self.oldest);
        if is_unsent {
            self.send = self.oldest.seq;
        }
    }

    /// Bytes that are free; one always is, by which a full ring differs from an empty one.
    fn free(&self) -> usize {
        let (oldest, end) = (usize::from(self.oldest.offset), usize::from(self.end));
        if oldest > end { oldest - end - 1 } else { BYTES - 1 + oldest - end }
    }

    fn put(&mut self, byte: u8) {
        self.bytes[usize::from(self.end)] = byte;
        self.end = after::<BYTES>(self.end);
    }

    #[inline(never)]
    fn put_varint(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.put(number as u8 | 0x80);
            number >>= 7;
        }
        self.put(number as u8);
    }
}

/// Moves a place on to a sequence number that is held, or to the end.
#[inline(never)]
fn walk<const BYTES: usize, const N: usize>(bytes: &[u8; BYTES], cursor: &mut Cursor<N>, seq: u32) {
    while cursor.seq != seq {
        step(bytes, cursor);
    }
}

/// Unpacks the reading at a place and moves the place behind it.
#[inline(never)]
fn step<const BYTES: usize, const N: usize>(bytes: &[u8; BYTES], cursor: &mut Cursor<N>) -> Reading {
    let header = take(bytes, cursor);
    let channel = header & CHANNEL_BITS;
    if header & NEW_GAP != 0 {
        cursor.gap = take_varint(bytes, cursor);
    }
    if header & (NEW_GAP | SAME_GAP) != 0 {
        cursor.at = BoardTime::from_millis(cursor.at.millis().wrapping_add(cursor.gap));
    }
    let number = take_varint(bytes, cursor);
    let sample = if header & FAULT_BIT == 0 {
        let value = &mut cursor.values[usize::from(channel)];
        *value = value.wrapping_add(unzigzag(number));
        Sample::Value(*value)
    } else {
        Sample::Fault(Fault::from_number(number as u8).unwrap_or(Fault::Bus))
    };
    let seq = cursor.seq;
    cursor.seq = seq.wrapping_add(1);
    Reading { seq, at: cursor.at.millis(), channel, sample }
}

fn take<const BYTES: usize, const N: usize>(bytes: &[u8; BYTES], cursor: &mut Cursor<N>) -> u8 {
    let byte = bytes[usize::from(cursor.offset)];
    cursor.offset = after::<BYTES>(cursor.offset);
    byte
}

#[inline(never)]
fn take_varint<const BYTES: usize, const N: usize>(bytes: &[u8; BYTES], cursor: &mut Cursor<N>) -> u32 {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let byte = take(bytes, cursor);
        number |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
        shift += 7;
    }
}

/// The next offset round a ring.
const fn after<const BYTES: usize>(offset: u16) -> u16 {
    if offset + 1 == BYTES as u16 { 0 } else { offset + 1 }
}

/// Whether a sequence number comes before another one, over the wrap.
const fn is_before(seq: u32, other: u32) -> bool {
    (seq.wrapping_sub(other) as i32) < 0
}

/// 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4.
const fn zigzag(number: i32) -> u32 {
    ((number << 1) ^ (number >> 31)) as u32
}

/// Undoes [`zigzag`].
const fn unzigzag(number: u32) -> i32 {
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use tilth_wire::{Decoder, FromBoard};

    use super::*;

    /// What happens to a queue.
    #[derive(Debug, Clone)]
    enum Step {
        Push { after: u32, channel: u8, sample: Sample },
        Confirm(u32),
        Rewind,
        Send,
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let fault = proptest::sample::select(Fault::ALL).prop_map(Sample::Fault);
        prop_oneof![6 => (-200_i32..200).prop_map(Sample::Value), 1 => any::<i32>().prop_map(Sample::Value), 1 => fault]
    }

    fn step() -> impl Strategy<Value = Step> {
        let after = prop_oneof![Just(0), 0_u32..1_500, 0_u32..100_000_000];
        prop_oneof![
            8 => (after, 0_u8..6, sample()).prop_map(|(after, channel, sample)| Step::Push { after, channel, sample }),
            2 => (0_u32..8).prop_map(Step::Confirm),
            1 => Just(Step::Rewind),
            4 => Just(Step::Send),
        ]
    }

    fn send(queue: &mut Queue<64, 5>) -> Option<std::vec::Vec<Reading>> {
        if let Some(reading) = queue.next_reading() {
            return Some(std::vec![reading]);
        }
        let mut frame = [0; MAX_FRAME];
        let length = queue.next_batch(&mut frame);
        let mut decoder = Decoder::<{ MAX_FRAME - 1 }>::new();
        let frame = &frame[..usize::from(length)];
        frame.iter().find_map(|byte| match FromBoard::decode(decoder.push(*byte)?.unwrap()).unwrap() {
            FromBoard::Batch(batch) => Some(batch.readings().collect()),
            other => panic!("expected a batch, not {other:?}"),
        })
    }

    proptest! {
        /// Against a plain list: what was pushed comes out in order as it was, or is counted as lost.
        #[test]
        fn readings_are_held_sent_confirmed_or_counted(steps in vec(step(), 1..200)) {
            let mut queue = Queue::<64, 5>::new();
            let mut held: VecDeque<Reading> = VecDeque::new();
            let (mut at, mut next, mut sent, mut confirmed) = (0_u32, 0_u32, 0_u32, 0_u32);
            for step in steps {
                match step {
                    Step::Push { after, channel, sample } => {
                        at = at.wrapping_add(after);
                        queue.push(BoardTime::from_millis(at), channel, sample);
                        if channel < 5 {
                            held.push_back(Reading { seq: next, at, channel, sample });
                            next += 1;
                        }
                    }
                    Step::Confirm(ahead) => {
                        let through = queue.oldest().wrapping_add(ahead);
                        queue.confirm(through);
                        if through < next {
                            confirmed = through + 1;
                        }
                    }
                    Step::Rewind => {
                        queue.rewind();
                        sent = 0;
                    }
                    Step::Send => {
                        while let Some(readings) = send(&mut queue) {
                            for reading in readings {
                                let held = held.iter().find(|held| held.seq == reading.seq).unwrap();
                                prop_assert!(reading.seq >= sent, "{} after {sent}", reading.seq);
                                sent = reading.seq + 1;
                                prop_assert_eq!(&reading, held);

                            }
                        }
                        prop_assert!(sent == next || next == queue.oldest());
                    }
                }
                held.retain(|reading| reading.seq >= queue.oldest());
                prop_assert_eq!(held.len() as u32, queue.next() - queue.oldest());
                prop_assert!(queue.oldest() >= confirmed);
                prop_assert!(queue.lost() <= queue.oldest());
            }
        }
    }
}
