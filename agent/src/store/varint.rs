//! Whole numbers in as few bytes as they need: seven bits a byte, the lowest first, signs folded in by zigzag.

/// Why a block cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlockError {
    /// The block ends too early, or its lengths contradict each other.
    #[error("its content contradicts itself")]
    Content,
    /// The block is not what was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// Written by a version that lays blocks out otherwise.
    #[error("it has layout {0}, which this version does not know")]
    Layout(u8),
}

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
pub(super) fn unseal(block: &[u8], layout: u8) -> Result<Cursor<'_>, BlockError> {
    let (content, sum) = block.split_last_chunk::<4>().ok_or(BlockError::Content)?;
    if checksum(content) != u32::from_le_bytes(*sum) {
        return Err(BlockError::Checksum);
    }
    let mut cursor = Cursor(content);
    let found = cursor.byte()?;
    if found == layout { Ok(cursor) } else { Err(BlockError::Layout(found)) }
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
    pub(super) fn byte(&mut self) -> Result<u8, BlockError> {
        let (first, rest) = self.0.split_first().ok_or(BlockError::Content)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], BlockError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BlockError::Content)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The `value` that was read, if nothing is left.
    pub(super) fn end<T>(self, value: T) -> Result<T, BlockError> {
        if self.0.is_empty() { Ok(value) } else { Err(BlockError::Content) }
    }

    pub(super) fn wide(&mut self) -> Result<u128, BlockError> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return Err(BlockError::Content);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(BlockError::Content)
    }

    pub(super) fn number<N: TryFrom<u128>>(&mut self) -> Result<N, BlockError> {
        N::try_from(self.wide()?).map_err(|_| BlockError::Content)
    }

    pub(super) fn signed(&mut self) -> Result<i64, BlockError> {
        Ok(unfold(self.number()?))
    }

    /// A list of so many packed numbers.
    pub(super) fn packed(&mut self, count: usize) -> Result<impl Iterator<Item = i64> + use<'a>, BlockError> {
        let width = u32::from(self.byte()?);
        if width > 64 {
            return Err(BlockError::Content);
        }
        let length = count.checked_mul(width as usize).ok_or(BlockError::Content)?.div_ceil(8);
        let mut bytes = self.take(length)?.iter();
        let (mut bits, mut filled) = (0u128, 0);
        let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
        Ok((0..count).map(move |_| {
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
    pub(super) fn count(&mut self, least: usize) -> Result<usize, BlockError> {
        let count: usize = self.number()?;
        if count > self.0.len() / least { Err(BlockError::Content) } else { Ok(count) }
    }
}

#[cfg(test)]
mod tests;
