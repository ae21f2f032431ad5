//! The machine's own I2C buses, with the kernel's errors told apart: a chip that is absent, and a bus that is held.

use std::io;

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use linux_embedded_hal::I2cdev;
use linux_embedded_hal::i2cdev::linux::LinuxI2CError;
use rustix::io::Errno;

/// A bus that is open.
pub(super) struct LinuxBus(I2cdev);

impl LinuxBus {
    /// Opens the bus by its path, such as `/dev/i2c-1`.
    pub(super) fn open(path: &str) -> io::Result<LinuxBus> {
        I2cdev::new(path).map(LinuxBus).map_err(io::Error::from)
    }
}

/// What an error number of a transfer says of the bus. Adapters disagree about a chip that is absent: that of the Pi answers
/// `EREMOTEIO`, others `ENXIO` or `ENODEV` (Linux, Documentation/i2c/fault-codes.rst, and drivers/i2c/busses/i2c-bcm2835.c).
fn kind_of(number: i32) -> ErrorKind {
    match Errno::from_raw_os_error(number) {
        Errno::REMOTEIO | Errno::NXIO | Errno::NODEV => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
        Errno::AGAIN => ErrorKind::ArbitrationLoss,
        _ => ErrorKind::Bus,
    }
}

impl ErrorType for LinuxBus {
    type Error = ErrorKind;
}

impl I2c for LinuxBus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        I2c::transaction(&mut self.0, address, operations).map_err(|error| {
            let number = match error.inner() {
                LinuxI2CError::Errno(number) => Some(*number),
                LinuxI2CError::Io(error) => error.raw_os_error(),
            };
            number.map_or(ErrorKind::Other, kind_of)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_chip_and_a_held_bus_are_told_apart() {
        let absent = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown);
        for (number, expected) in [
            (Errno::REMOTEIO, absent),
            (Errno::NXIO, absent),
            (Errno::TIMEDOUT, ErrorKind::Bus),
            (Errno::BUSY, ErrorKind::Bus),
            (Errno::AGAIN, ErrorKind::ArbitrationLoss),
        ] {
            assert_eq!(kind_of(number.raw_os_error()), expected);
        }
    }

    #[test]
    fn a_bus_that_is_not_there_is_said_so() {
        assert_eq!(LinuxBus::open("/nowhere/i2c-1").err().unwrap().kind(), io::ErrorKind::NotFound);
    }
}
