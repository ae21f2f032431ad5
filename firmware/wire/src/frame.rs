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

/// CRC-16/IBM-3740 (polynomial 0x1021, initial value 0xFFFF), bit by bit: a table would take a quarter of an Uno's memory.
pub fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = u16::MAX;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc
}

/// Writes the frame of the body that `write` writes to `out` and returns it, closing zero included.
pub(crate) fn encode(out: &mut [u8; MAX_FRAME], write: impl FnOnce(&mut Writer<'_>)) -> Result<&[u8], TooLong> {
    let mut body = Writer::new(&mut out[1..=MAX_BODY]);
    write(&mut body);
    let length = body.finish().ok_or(TooLong)?;
    Ok(close(out, length))
}

/// Adds checksum and closing zero to a body of `length` bytes, and stuffs it.
#[inline(never)]
pub(crate) fn close(out: &mut [u8; MAX_FRAME], length: usize) -> &[u8] {
    let end = 1 + length;
    let checksum = crc16(&out[1..end]).to_le_bytes();
    out[end..end + CRC_LEN].copy_from_slice(&checksum);
    let frame = &mut out[..=end + CRC_LEN];
    stuff(frame);
    frame
}

/// COBS in place, of at most 254 bytes: the first byte of `frame` is free for the first code, the last for the closing zero.
fn stuff(frame: &mut [u8]) {
    let end = frame.len() - 1;
    frame[end] = 0;
    let mut code_at = 0;
    for at in 1..=end {
        if frame[at] == 0 {
            frame[code_at] = (at - code_at) as u8;
            code_at = at;
        }
    }
}

/// Undoes [`stuff`] in place, of a frame without its closing zero; the result begins at its second byte.
fn unstuff(frame: &mut [u8]) -> Option<&[u8]> {
    let mut code_at = 0;
    while let Some(code) = frame.get_mut(code_at) {
        // 255 is a block without a zero after it: longer than any frame.
        let length = usize::from(core::mem::take(code));
        if length == 0 || length == 0xFF {
            return None;
        }
        code_at += length;
    }
    if code_at == frame.len() { frame.get(1..) } else { None }
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
