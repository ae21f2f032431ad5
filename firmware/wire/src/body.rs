//! Bodies: integers, options and byte strings in the format of postcard 1.0 (<https://postcard.jamesmunns.com/wire-format>).
//!
//! Written out by hand: derived code takes 11 KB of an Uno's flash, this takes three. The tests hold every message against postcard
//! itself. An overflow or a wrong byte is remembered until the end, so that messages are written and read without a branch a field.

/// Bits of a byte of a varint that belong to the number; the highest says that another byte follows.
const VARINT_BITS: u32 = 7;

/// Writes a body.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    /// Bytes written; more than `out` holds when they did not fit.
    length: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { out, length: 0 }
    }

    #[inline(never)]
    pub(crate) fn byte(&mut self, byte: u8) {
        if let Some(place) = self.out.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    /// A varint: groups of seven bits, the lowest first.
    #[inline(never)]
    pub(crate) fn u32(&mut self, mut number: u32) {
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
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// The number of bytes written; `None` when they did not fit.
    pub(crate) fn finish(self) -> Option<usize> {
        (self.length <= self.out.len()).then_some(self.length)
    }
}

/// Reads a body. After a failure every number is 0, and [`Reader::rest`] is `None`.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    failed: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, failed: false }
    }

    #[inline(never)]
    pub(crate) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => {
                self.fail();
                0
            }
        }
    }

    /// A varint of at most five bytes; the fifth has the highest four bits.
    #[inline(never)]
    pub(crate) fn u32(&mut self) -> u32 {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte();
            if shift == 4 * VARINT_BITS && byte > 0x0F {
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
        match self.byte() {
            0 => false,
            1 => true,
            _ => {
                self.fail();
                false
            }
        }
    }

    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::try_from(self.u32()).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.bytes.split_at_checked(length) else {
            self.fail();
            return &[];
        };
        self.bytes = rest;
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
        self.failed = true;
        self.bytes = &[];
    }

    /// What follows; `None` when something before it was wrong.
    pub(crate) fn rest(&self) -> Option<&'a [u8]> {
        (!self.failed).then_some(self.bytes)
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
