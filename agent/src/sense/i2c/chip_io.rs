//! One chip as its driver sees it: reads and writes at its address, and why they fail.

use std::thread;
use std::time::Duration;

use embedded_hal::i2c::{Error, ErrorKind, I2c};

/// Why a chip has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("no chip answers at {0:#04x}; is it wired and powered?")]
    Absent(u8),
    #[error("the bus is held low or disturbed; a chip that hangs keeps it until its power is cut")]
    Bus,
    #[error("wrong checksum; is the cable long or close to a motor's?")]
    Checksum,
    #[error("the chip lost its power since it was asked")]
    PowerLost,
    #[error("no measurement in time")]
    NotReady,
    #[error("another chip answers: expected {expected}, got {found}")]
    OtherChip { expected: &'static str, found: String },
    #[error("{0} is outside what the chip can measure")]
    OutOfRange(String),
    #[error("no probe is connected to the circuit")]
    NoProbe,
    #[error("the circuit did not understand {0:?}")]
    NotUnderstood(String),
    #[error("unusable answer {0:?}")]
    Answer(String),
}

/// A chip on a bus.
pub(super) struct ChipIo<'a, B> {
    bus: &'a mut B,
    address: u8,
    /// Bytes that the chip answered.
    pub(super) bytes: u64,
}

impl<B: I2c> ChipIo<'_, B> {
    pub(super) fn new(bus: &mut B, address: u8) -> ChipIo<'_, B> {
        ChipIo { bus, address, bytes: 0 }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let done = self.bus.write(self.address, bytes);
        done.map_err(|error| self.fault(&error))
    }

    pub(super) fn read<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        let done = self.bus.read(self.address, &mut bytes);
        done.map_err(|error| self.fault(&error))?;
        self.bytes += N as u64;
        Ok(bytes)
    }

    /// Bytes from a register on.
    pub(super) fn registers<const N: usize>(&mut self, first: u8) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        let done = self.bus.write_read(self.address, &[first], &mut bytes);
        done.map_err(|error| self.fault(&error))?;
        self.bytes += N as u64;
        Ok(bytes)
    }

    /// Sends a command of a Sensirion chip and reads what it answers after a millisecond.
    pub(super) fn ask<const N: usize>(&mut self, command: [u8; 2]) -> Result<[u8; N], Fault> {
        self.write(&command)?;
        thread::sleep(Duration::from_millis(1));
        self.read()
    }

    fn fault(&self, error: &B::Error) -> Fault {
        match error.kind() {
            ErrorKind::NoAcknowledge(_) => Fault::Absent(self.address),
            _ => Fault::Bus,
        }
    }
}

/// Words of two bytes, each followed by its CRC-8 (polynomial 0x31, start 0xff), as Sensirion's chips send them (SHT3x datasheet,
/// section 4.12).
pub(super) fn checked_words<const N: usize>(bytes: &[u8]) -> Result<[u16; N], Fault> {
    let mut words = [0; N];
    let (groups, _) = bytes.as_chunks::<3>();
    if groups.len() != N {
        return Err(Fault::Checksum);
    }
    for (word, &[high, low, crc]) in words.iter_mut().zip(groups) {
        if crc8([high, low]) != crc {
            return Err(Fault::Checksum);
        }
        *word = u16::from_be_bytes([high, low]);
    }
    Ok(words)
}

pub(super) fn crc8(bytes: [u8; 2]) -> u8 {
    bytes.iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| if crc & 0x80 == 0 { crc << 1 } else { (crc << 1) ^ 0x31 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_a_wrong_checksum_is_no_word() {
        // The example of the SHT3x datasheet, section 4.12.
        assert_eq!(crc8([0xbe, 0xef]), 0x92);
        assert_eq!(checked_words([0xbe, 0xef, 0x92].as_slice()), Ok([0xbeef]));
        assert_eq!(checked_words::<1>(&[0xbe, 0xee, 0x92]), Err(Fault::Checksum));
        assert_eq!(checked_words::<1>(&[0xff; 3]), Err(Fault::Checksum), "a bus that is not driven");
        assert_eq!(checked_words::<1>(&[0; 3]), Err(Fault::Checksum), "a bus that is held");
    }
}
