//! Bodies: integers, options and byte strings in the format of postcard 1.0 (<https://postcard.jamesmunns.com/wire-format>).
//!
//! Written out by hand: derived code takes 11 KB of an Uno's flash, this takes two. The tests hold every message against postcard
//! itself. An overflow or a wrong byte is remembered until the end, so that messages are written and read without a branch a field.

/// Bits of a byte of a varint that belong to the number; the highest says that another byte follows.
const VARINT_BITS: u8 = 7;

/// Shift of the fifth byte of a varint, which has the highest four bits of 32.
const LAST_SHIFT: u8 = 28;

/// Writes integers one after the other.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    /// Bytes written; more than `out` holds when they did not fit.
    length: usize,
}

impl<'a> Writer<'a> {
    /// Writes to these bytes.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, length: 0 }
    }

    /// Writes to these bytes, behind the first `length` ones.
    pub(crate) fn after(out: &'a mut [u8], length: usize) -> Self {
        Self { out, length }
    }

    /// One byte as it is.
    #[inline(never)]
    pub fn byte(&mut self, byte: u8) {
        if let Some(place) = self.out.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    /// A varint: groups of seven bits, the lowest first.
    #[inline(never)]
    pub fn u32(&mut self, mut number: u32) {
        while number >= 1 << VARINT_BITS {
            self.byte(number as u8 | 0x80);
            number >>= VARINT_BITS;
        }
        self.byte(number as u8);
    }

    /// Zigzag, then a varint: small numbers of either sign are short.
    pub(crate) fn i32(&mut self, number: i32) {
        self.u32(zigzag(number));
    }

    /// The length, then the bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.raw(bytes);
    }

    /// The bytes without their length.
    #[inline(never)]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// Replaces a byte that was written.
    pub(crate) fn replace(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.out.get_mut(at) {
            *place = byte;
        }
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Bytes for which there is room.
    pub(crate) fn left(&self) -> usize {
        self.out.len().saturating_sub(self.length)
    }

    /// What was written so far, as far as it fitted.
    pub(crate) fn written(&self) -> &[u8] {
        self.out.get(..self.length).unwrap_or_default()
    }

    /// What was written; `None` when it did not fit.
    pub(crate) fn written_mut(&mut self) -> Option<&mut [u8]> {
        self.out.get_mut(..self.length)
    }

    /// What was written; `None` when it did not fit.
    pub fn finish(self) -> Option<&'a mut [u8]> {
        self.out.get_mut(..self.length)
    }
}

/// Reads integers one after the other. After a failure every number is 0, and [`Reader::rest`] is `None`.
#[derive(Debug)]
pub struct Reader<'a> {
    /// What is not yet read; `None` after a failure.
    bytes: Option<&'a [u8]>,
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Some(bytes) }
    }

    /// One byte as it is.
    #[inline(never)]
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.and_then(<[u8]>::split_first) else {
            self.fail();
            return 0;
        };
        self.bytes = Some(rest);
        *first
    }

    /// A varint.
    #[inline(never)]
    pub fn u32(&mut self) -> u32 {
        let mut number = 0;
        let mut shift = 0_u8;
        loop {
            let byte = self.byte();
            if shift == LAST_SHIFT && byte > 0x0F {
                self.fail();
                return 0;
            }
            number |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return number;
            }
            shift += VARINT_BITS;
        }
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::try_from(self.u32()).unwrap_or_else(|_| {
            self.fail();
            0
        })
    }

    pub(crate) fn i32(&mut self) -> i32 {
        unzigzag(self.u32())
    }

    /// A byte that is 0 or 1.
    pub(crate) fn bool(&mut self) -> bool {
        let byte = self.byte();
        if byte > 1 {
            self.fail();
        }
        byte == 1
    }

    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::try_from(self.u32()).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.bytes.and_then(|bytes| bytes.split_at_checked(length)) else {
            self.fail();
            return &[];
        };
        self.bytes = Some(rest);
        bytes
    }

    /// The next `N` bytes, which have no length before them.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        for byte in &mut array {
            *byte = self.byte();
        }
        array
    }

    pub(crate) fn fail(&mut self) {
        self.bytes = None;
    }

    /// Whether everything was right, and nothing follows.
    pub(crate) fn is_read(&self) -> bool {
        self.bytes.is_some_and(<[u8]>::is_empty)
    }

    /// What follows; `None` when something before it was wrong.
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.bytes
    }
}

/// 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4.
const fn zigzag(number: i32) -> u32 {
    ((number << 1) ^ (number >> 31)) as u32
}

/// Undoes [`zigzag`].
const fn unzigzag(number: u32) -> i32 {
    (number >> 1) as i32 ^ -((number & 1) as i32)
}
