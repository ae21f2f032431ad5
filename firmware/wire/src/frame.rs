//! Frames: where a message begins and ends on the line, and whether its bytes arrived whole.
//!
//! Byte stuffing is COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999); the checksum is CRC-16/IBM-3740 of the body,
//! low byte first. A zero byte ends a frame. Frames are shorter than one COBS block of 254 bytes, so stuffing adds exactly one byte and
//! is done in place.

use crate::body::Writer;

/// Longest body of a message, in bytes.
pub const MAX_BODY: usize = 60;

/// Longest frame, in bytes: code byte, body, checksum, closing zero.
pub const MAX_FRAME: usize = 1 + MAX_BODY + CRC_LEN + 1;

const CRC_LEN: usize = 2;

/// Why the bytes between two zeros are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes than the receiver's buffer holds.
    #[error("longer than a frame")]
    TooLong,
    /// Not COBS, or shorter than one byte and its checksum.
    #[error("not a frame")]
    Malformed,
    /// The checksum does not match the body.
    #[error("wrong checksum")]
    Checksum,
}

/// A message does not fit a body of [`MAX_BODY`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is longer than a frame")]
pub struct TooLong;

/// CRC-16/IBM-3740 (polynomial 0x1021, initial value 0xFFFF), a byte at a time without a table, which would take a quarter of an Uno's
/// memory. The shifts are what eight steps of the polynomial come to.
#[inline(never)]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(u16::MAX, |crc, byte| {
        let mut high = (crc >> 8) as u8 ^ byte;
        high ^= high >> 4;
        let high = u16::from(high);
        (crc << 8) ^ (high << 12) ^ (high << 5) ^ high
    })
}

impl<'a> Writer<'a> {
    /// Begins a frame, whose body is to be written next, behind the place of the first code.
    pub fn frame(out: &'a mut [u8]) -> Self {
        Self::after(out, 1)
    }

    /// Ends a frame that [`Writer::frame`] began; its length, closing zero included. `None` when the frame does not fit.
    #[inline(never)]
    pub fn close(&mut self) -> Option<usize> {
        let [low, high] = crc16(self.written().get(1..)?).to_le_bytes();
        self.byte(low);
        self.byte(high);
        self.byte(0);
        let frame = self.written_mut()?;
        stuff(frame);
        Some(frame.len())
    }
}

/// COBS in place, of at most 255 bytes: each zero becomes the distance to the next one. The first byte is the place of the first code, the
/// last one the closing zero.
fn stuff(frame: &mut [u8]) {
    let Some((code, frame)) = frame.split_first_mut() else { return };
    let mut distance = 0;
    for byte in frame.iter_mut().rev() {
        if *byte == 0 {
            *byte = distance;
            distance = 0;
        }
        distance += 1;
    }
    *code = distance;
}

/// Undoes [`stuff`] in place; the result begins at the second byte.
fn unstuff(frame: &mut [u8]) -> Option<&[u8]> {
    let mut distance = 0;
    for byte in &mut *frame {
        if distance == 0 {
            // Never 0, which would have ended the frame; and 255, a block without a zero after it, leads beyond any frame.
            distance = core::mem::take(byte);
        }
        distance = distance.wrapping_sub(1);
    }
    if distance == 0 { frame.get(1..) } else { None }
}

/// Finds frames in bytes as they come; `N` is the longest frame that it takes, without the closing zero, at most 254.
///
/// After any bytes at all the next whole frame is found, if a zero stands before it: a zero always ends what came before.
#[derive(Debug, Clone)]
pub struct Decoder<const N: usize> {
    buffer: [u8; N],
    /// Bytes since the last zero; more than `N` when they did not fit.
    length: u8,
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Decoder<N> {
    /// A decoder that has seen no byte.
    pub const fn new() -> Self {
        assert!(N < u8::MAX as usize, "a frame is at most 254 bytes long");
        Self { buffer: [0; N], length: 0 }
    }

    /// Takes the next byte of the line; at the end of a frame returns its body, or why it is none.
    ///
    /// Zeros that follow each other enclose no frame.
    ///
    /// # Errors
    ///
    /// When the bytes since the last zero are no frame. The decoder goes on with the next one.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        if byte != 0 {
            if let Some(place) = self.buffer.get_mut(usize::from(self.length)) {
                *place = byte;
            }
            self.length = (self.length + 1).min(N as u8 + 1);
            return None;
        }
        let length = usize::from(core::mem::take(&mut self.length));
        match self.buffer.get_mut(..length) {
            Some([]) => None,
            Some(frame) => Some(checked(frame)),
            None => Some(Err(FrameError::TooLong)),
        }
    }
}

/// The body of a frame whose checksum matches.
fn checked(frame: &mut [u8]) -> Result<&[u8], FrameError> {
    let (body, checksum) = unstuff(frame).and_then(<[u8]>::split_last_chunk).ok_or(FrameError::Malformed)?;
    if body.is_empty() {
        return Err(FrameError::Malformed);
    }
    if crc16(body) != u16::from_le_bytes(*checksum) {
        return Err(FrameError::Checksum);
    }
    Ok(body)
}
