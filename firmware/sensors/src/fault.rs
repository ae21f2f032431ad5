//! Faults: why a sensor gave no value.

use embedded_hal::i2c::{Error, ErrorKind};

/// Why a sensor gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No answer: not connected, or without power.
    Absent,
    /// Checksum of the answer is wrong.
    Checksum,
    /// The answer is what the sensor holds after power-on, not a measurement.
    PowerOn,
    /// The value lies outside what the sensor can measure.
    Range,
    /// The measurement did not end in time.
    Timeout,
    /// The line is held down, or another device disturbs it.
    Bus,
}

impl Fault {
    /// Fault of an I2C transaction that failed, where `no_answer` stands for a device that did not acknowledge.
    pub(crate) fn of_i2c(error: &impl Error, no_answer: Self) -> Self {
        match error.kind() {
            ErrorKind::NoAcknowledge(_) => no_answer,
            _ => Self::Bus,
        }
    }
}
