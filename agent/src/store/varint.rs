//! Whole numbers in as few bytes as they need: seven bits a byte, the lowest first, signs folded in by zigzag.
//!
//! Reading gives none where a block ends too early, its lengths contradict each other, it is not what was written, or a version wrote it
//! that lays blocks out otherwise.

pub(super) fn put(out: &mut Vec<u8>, number: u64) {
    put_wide(out, u128::from(number));
}

pub(super) fn put_wide(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, fold(number));
}

/// The sign folded into the lowest bit.
fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unfold(folded: u64) -> i64 {
    (folded >> 1) as i64 ^ -((folded & 1) as i64)
}

/// Numbers of one list, each in as many bits as the largest needs: the width, then the bits, the lowest first. A list of
/// zeros costs one byte.
pub(super) fn put_packed(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64> + Clone) {
    let width = 64 - numbers.clone().fold(0, |all, number| all | fold(number)).leading_zeros();
    out.push(width as u8);
    let (mut bits, mut filled) = (0u128, 0);
    for number in numbers {
        bits |= u128::from(fold(number)) << filled;
        filled += width;
        while filled >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(bits as u8);
    }
}

/// Ends a block, which begins with its layout, with its checksum.
pub(super) fn seal(block: &mut Vec<u8>) {
    let checksum = checksum(block);
    block.extend(checksum.to_le_bytes());
}

/// What is between layout and checksum of a block, if both are right.
pub(super) fn unseal(block: &[u8], layout: u8) -> Option<Cursor<'_>> {
    let (content, sum) = block.split_last_chunk::<4>()?;
    let mut cursor = Cursor(content);
    (checksum(content) == u32::from_le_bytes(*sum) && cursor.byte()? == layout).then_some(cursor)
}

pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        self.0.split_off(..length)
    }

    /// The `value` that was read, if nothing is left.
    pub(super) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }

    pub(super) fn wide(&mut self) -> Option<u128> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn number<N: TryFrom<u128>>(&mut self) -> Option<N> {
        N::try_from(self.wide()?).ok()
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        self.number().map(unfold)
    }

    /// A list of so many packed numbers.
    pub(super) fn packed(&mut self, count: usize) -> Option<impl Iterator<Item = i64> + use<'a>> {
        let width = Some(u32::from(self.byte()?)).filter(|width| *width <= 64)?;
        let length = count.checked_mul(width as usize)?.div_ceil(8);
        let mut bytes = self.take(length)?.iter();
        let (mut bits, mut filled) = (0u128, 0);
        let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
        Some((0..count).map(move |_| {
            while filled < width {
                // As many bytes were taken as the numbers need.
                bits |= u128::from(bytes.next().copied().unwrap_or(0)) << filled;
                filled += 8;
            }
            let number = bits as u64 & mask;
            (bits, filled) = (bits >> width, filled - width);
            unfold(number)
        }))
    }

    /// A count of things that take at least `least` bytes each: never more than can follow.
    pub(super) fn count(&mut self, least: usize) -> Option<usize> {
        self.number().filter(|count| *count <= self.0.len() / least)
    }
}

#[cfg(test)]
mod tests;
