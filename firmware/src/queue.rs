//! Send queue: readings that the agent has not confirmed, packed one after the other. When there is no more room the oldest go, counted.
//!
//! A reading takes two or three bytes: a header, the time since the reading before unless the header says it, and the difference to
//! the channel's value before.
//!
//! | part | holds |
//! | --- | --- |
//! | header | bits 0 to 3: channel; bit 4: fault; bits 5 and 6: time, 0 as the reading before, 1 by the same gap again, 2 by a gap that follows; bit 7: the value fell |
//! | gap | varint of milliseconds, if the header says so |
//! | value | varint of how much the value rose or fell, or the fault's number |

use tilth_wire::{BatchFrame, Reader, Sample, Writer};

use crate::time::{BoardTime, is_at_least, is_same};

const CHANNEL_BITS: u8 = 0x0F;
const FAULT_BIT: u8 = 0x10;

/// The reading was taken at the same time as the one before.
const SAME_TIME: u8 = 0x00;
/// As long after the reading before as the last gap was: a round of an interval after the round before.
const SAME_GAP: u8 = 0x20;
/// The gap follows.
const NEW_GAP: u8 = 0x40;

/// The value is below the one before.
const FALL_BIT: u8 = 0x80;

/// Longest packed reading, in bytes: a header and two varints.
const MAX_PACKED: usize = 11;

/// What a reading is packed against: what is known after the reading before.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Before<const CHANNELS: usize> {
    /// Board time of the reading before.
    at: BoardTime,
    /// The last time between two readings that differed in time, in milliseconds.
    gap: u32,
    /// Last value of each channel.
    values: [i32; CHANNELS],
}

/// A place between two readings of the queue.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Place<const CHANNELS: usize> {
    /// Readings before it, from the oldest, and the bytes that they take.
    readings: u16,
    bytes: u16,
    /// What the reading behind it is packed against.
    before: Before<CHANNELS>,
}

/// Readings of at most `CHANNELS` channels, packed into `BYTES` bytes.
///
/// Only the place of the oldest reading is known at any time; others are found by unpacking all that lies between. `KNOWN` places, 2 or none,
/// are remembered where they were found last, so that the way from there is short. A short queue needs none.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Queue<const BYTES: usize, const CHANNELS: usize, const KNOWN: usize> {
    /// Bytes in use.
    length: u16,
    /// Readings that are held.
    held: u16,
    /// Readings of these that are sent, from the oldest.
    sent: u16,
    /// Sequence number of the oldest reading.
    oldest: u32,
    /// Readings that were dropped unconfirmed.
    lost: u32,
    /// What the oldest reading is packed against.
    before: Before<CHANNELS>,
    known: [Place<CHANNELS>; KNOWN],
    bytes: [u8; BYTES],
}

/// The remembered place before the newest reading.
const NEWEST: usize = 0;
/// The remembered place before the first reading of the batch that was sent last.
const SENT_LAST: usize = 1;

impl<const BYTES: usize, const CHANNELS: usize, const KNOWN: usize> Queue<BYTES, CHANNELS, KNOWN> {
    pub(crate) const EMPTY: Self = {
        assert!(BYTES >= MAX_PACKED && BYTES <= u16::MAX as usize, "a queue has 11 to 65,535 bytes");
        let before = Before { at: BoardTime::from_millis(0), gap: 0, values: [0; CHANNELS] };
        let known = [Place { readings: 0, bytes: 0, before }; KNOWN];
        Self { length: 0, held: 0, sent: 0, oldest: 0, lost: 0, before, known, bytes: [0; BYTES] }
    };

    /// Sequence number of the next reading.
    pub(crate) fn next(&self) -> u32 {
        self.oldest.wrapping_add(u32::from(self.held))
    }

    /// Sequence number of the oldest reading that is held; that of the next one if none is.
    pub(crate) fn oldest(&self) -> u32 {
        self.oldest
    }

    /// Readings that were dropped unconfirmed because the queue was full.
    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    /// Adds a reading; drops the oldest ones until there is room.
    #[inline(never)]
    pub(crate) fn push(&mut self, at: BoardTime, channel: u8, sample: Sample) {
        if usize::from(channel) >= CHANNELS {
            return;
        }
        let place = self.place(self.held);
        self.remember(NEWEST, &place);
        loop {
            let length = usize::from(self.length);
            let mut packed = Writer::new(&mut self.bytes[length..]);
            place.before.pack(at, channel, &sample, &mut packed);
            if let Some(packed) = packed.finish() {
                self.length += packed.len() as u16;
                break;
            }
            self.forget(1);
            self.lost = self.lost.wrapping_add(1);
        }
        self.held += 1;
    }

    /// Forgets all readings up to a sequence number. One that is confirmed already, or was never given, changes nothing.
    pub(crate) fn confirm(&mut self, through: u32) {
        let behind = through.wrapping_sub(self.oldest);
        if !is_at_least(behind, u32::from(self.held)) {
            self.forget(behind as u16 + 1);
        }
    }

    /// Sends everything that is held once more.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Writes the next readings to send into a frame, as many as fit. Its length, 0 if there are none.
    #[inline(never)]
    pub(crate) fn write(&mut self, frame: &mut [u8]) -> u8 {
        if self.sent == self.held {
            return 0;
        }
        let mut place = self.place(self.sent);
        self.remember(SENT_LAST, &place);
        let mut packed = self.packed(place.bytes);
        let first = self.oldest.wrapping_add(u32::from(self.sent));
        let (count, length) = place.before.write_batch(first, self.held - self.sent, &mut packed, frame);
        self.sent += u16::from(count);
        length
    }

    /// The place behind so many readings.
    #[inline(never)]
    fn place(&self, readings: u16) -> Place<CHANNELS> {
        let mut place = Place { readings: 0, bytes: 0, before: self.before };
        for known in &self.known {
            if (place.readings..=readings).contains(&known.readings) {
                place = *known;
            }
        }
        let mut packed = self.packed(place.bytes);
        while place.readings != readings {
            place.before.unpack(&mut packed);
            place.readings += 1;
        }
        place.bytes = self.length - packed.rest().map_or(0, <[u8]>::len) as u16;
        place
    }

    fn remember(&mut self, which: usize, place: &Place<CHANNELS>) {
        if let Some(known) = self.known.get_mut(which) {
            *known = *place;
        }
    }

    #[inline(never)]
    fn packed(&self, from: u16) -> Reader<'_> {
        Reader::new(&self.bytes[usize::from(from)..usize::from(self.length)])
    }

    /// Forgets the oldest readings, so many of those that are held.
    #[inline(never)]
    fn forget(&mut self, count: u16) {
        let place = self.place(count);
        self.before = place.before;
        for known in &mut self.known {
            if known.readings < count {
                *known = place;
            }
            known.readings -= count;
            known.bytes -= place.bytes;
        }
        self.bytes.copy_within(usize::from(place.bytes)..usize::from(self.length), 0);
        self.length -= place.bytes;
        self.held -= count;
        self.sent = self.sent.saturating_sub(count);
        self.oldest = self.oldest.wrapping_add(u32::from(count));
    }
}

impl<const CHANNELS: usize> Before<CHANNELS> {
    #[inline(never)]
    fn pack(&self, at: BoardTime, channel: u8, sample: &Sample, packed: &mut Writer<'_>) {
        let gap = at.since(self.at);
        let time = if is_same(gap, 0) {
            SAME_TIME
        } else if is_same(gap, self.gap) {
            SAME_GAP
        } else {
            NEW_GAP
        };
        let (header, number) = match *sample {
            Sample::Fault(fault) => (FAULT_BIT, u32::from(fault.number())),
            Sample::Value(value) => {
                let rise = value.wrapping_sub(self.value(channel));
                (if rise < 0 { FALL_BIT } else { 0 }, rise.unsigned_abs())
            }
        };
        packed.byte(channel | time | header);
        if time == NEW_GAP {
            packed.u32(gap);
        }
        packed.u32(number);
    }

    /// Writes the next readings into a batch, as many of `count` as fit; how many, and the length of the batch's frame. A function of its
    /// own, so that the locals of neither go beyond the 64 bytes that an AVR reaches at once.
    #[inline(never)]
    fn write_batch(&mut self, first: u32, count: u16, packed: &mut Reader<'_>, frame: &mut [u8]) -> (u8, u8) {
        let mut unpacked = self.unpack(packed);
        let mut batch = BatchFrame::new(frame, first, self.at.millis());
        let mut after = 0;
        let mut written = 0;
        loop {
            let channel = unpacked.channel();
            if unpacked.header & FAULT_BIT == 0 {
                batch.push_value(after, channel, self.value(channel));
            } else {
                batch.push_fault(after, channel, unpacked.fault);
            }
            written += 1;
            if u16::from(written) == count || !batch.has_room() {
                break;
            }
            unpacked = self.unpack(packed);
            after = if unpacked.header & (NEW_GAP | SAME_GAP) == 0 { 0 } else { self.gap };
        }
        (written, batch.close() as u8)
    }

    /// Takes the next reading from the bytes; goes on to the one behind it.
    #[inline(never)]
    fn unpack(&mut self, packed: &mut Reader<'_>) -> Unpacked {
        let header = packed.byte();
        if header & NEW_GAP != 0 {
            self.gap = packed.u32();
        }
        if header & (NEW_GAP | SAME_GAP) != 0 {
            self.at = BoardTime::from_millis(self.at.millis().wrapping_add(self.gap));
        }
        let number = packed.u32();
        if header & FAULT_BIT == 0 {
            let rise = if header & FALL_BIT == 0 { number } else { number.wrapping_neg() };
            if let Some(value) = self.values.get_mut(usize::from(header & CHANNEL_BITS)) {
                *value = value.wrapping_add(rise as i32);
            }
        }
        Unpacked { header, fault: number as u8 }
    }

    /// Last value of a channel.
    fn value(&self, channel: u8) -> i32 {
        self.values.get(usize::from(channel)).copied().unwrap_or_default()
    }
}

/// A reading's header, and the number of its fault if it has one. Its value is the channel's newest.
#[derive(Debug, Clone, Copy)]
struct Unpacked {
    header: u8,
    fault: u8,
}

impl Unpacked {
    fn channel(self) -> u8 {
        self.header & CHANNEL_BITS
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use tilth_wire::{Decoder, Fault, FromBoard, MAX_FRAME, Reading};

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

    fn send<const KNOWN: usize>(queue: &mut Queue<64, 5, KNOWN>) -> Option<std::vec::Vec<Reading>> {
        let mut frame = [0; MAX_FRAME];
        let length = queue.write(&mut frame);
        let mut decoder = Decoder::<{ MAX_FRAME - 1 }>::new();
        let frame = &frame[..usize::from(length)];
        frame.iter().find_map(|byte| match FromBoard::decode(decoder.push(*byte)?.unwrap()).unwrap() {
            FromBoard::Reading(reading) => Some(std::vec![reading]),
            FromBoard::Batch(batch) => Some(batch.readings().collect()),
            other => panic!("expected a batch, not {other:?}"),
        })
    }

    /// Against a plain list: what was pushed comes out in order as it was, or is counted as lost.
    fn check<const KNOWN: usize>(steps: &[Step]) -> Result<(), TestCaseError> {
        let mut queue = Queue::<64, 5, KNOWN>::EMPTY;
        let mut held: VecDeque<Reading> = VecDeque::new();
        let (mut at, mut next, mut sent, mut confirmed) = (0_u32, 0_u32, 0_u32, 0_u32);
        for step in steps.iter().cloned() {
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
                            prop_assert_eq!(reading.seq, sent.max(queue.oldest()));
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
        Ok(())
    }

    proptest! {
        #[test]
        fn readings_are_held_sent_confirmed_or_counted(steps in vec(step(), 1..200)) {
            check::<0>(&steps)?;
            check::<2>(&steps)?;
        }
    }
}
