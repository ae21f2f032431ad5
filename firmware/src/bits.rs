//! Bits of a byte, by their number. An AVR shifts by one bit at a time, so each of these is a function that is called, not one that is copied
//! to where it is used.

/// The bit of a number, of which the lowest three bits count.
#[inline(never)]
pub(crate) const fn bit(number: u8) -> u8 {
    1 << (number & 7)
}

/// Number of the lowest bit that is set.
#[inline(never)]
pub(crate) fn lowest(mut bits: u8) -> Option<u8> {
    if bits == 0 {
        return None;
    }
    let mut number = 0;
    while bits & 1 == 0 {
        bits >>= 1;
        number += 1;
    }
    Some(number)
}
