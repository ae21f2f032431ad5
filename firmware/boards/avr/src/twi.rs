//! I2C master at 100 kHz (section 26). Every wait is bounded, so that a bus which is held down stops nothing else.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::i2c::{Error, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use crate::chip::TWI;
use crate::{Delay, OpenDrain, Pin, Port};

/// 16 MHz / (16 + 2 * 72) = 100 kHz (section 26.5.2).
const BIT_RATE: u8 = 72;

/// Rounds of waiting for one step: about 1 ms, ten times a byte at 100 kHz; a chip that stretches the clock longer is a fault.
const PATIENCE: u16 = 2_000;

/// Bits of TWCR.
mod control {
    pub(super) const INTERRUPT: u8 = 1 << 7;
    pub(super) const ACKNOWLEDGE: u8 = 1 << 6;
    pub(super) const START: u8 = 1 << 5;
    pub(super) const STOP: u8 = 1 << 4;
    pub(super) const ENABLE: u8 = 1 << 2;
}

/// Values of TWSR (tables 26-3 and 26-4).
mod status {
    pub(super) const START: u8 = 0x08;
    pub(super) const REPEATED_START: u8 = 0x10;
    pub(super) const WRITE_ADDRESS_ACK: u8 = 0x18;
    pub(super) const WRITE_ADDRESS_NACK: u8 = 0x20;
    pub(super) const DATA_SENT_ACK: u8 = 0x28;
    pub(super) const DATA_SENT_NACK: u8 = 0x30;
    pub(super) const READ_ADDRESS_ACK: u8 = 0x40;
    pub(super) const READ_ADDRESS_NACK: u8 = 0x48;
    pub(super) const DATA_READ_ACK: u8 = 0x50;
    pub(super) const DATA_READ_NACK: u8 = 0x58;
}

#[cfg(feature = "atmega328p")]
const SDA: Pin = Pin::new(Port::C, 4);
#[cfg(feature = "atmega328p")]
const SCL: Pin = Pin::new(Port::C, 5);
#[cfg(feature = "atmega2560")]
const SDA: Pin = Pin::new(Port::D, 1);
#[cfg(feature = "atmega2560")]
const SCL: Pin = Pin::new(Port::D, 0);

/// Why a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusError {
    /// No chip acknowledged the address or a byte.
    NoAcknowledge,
    /// The bus is held down, or did not come to an end in time.
    Bus,
}

impl Error for BusError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAcknowledge => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            Self::Bus => ErrorKind::Bus,
        }
    }
}

/// The I2C bus. A transaction blocks for 90 us a byte.
pub struct Twi(TWI);

impl Twi {
    /// Takes the bus into use, with the pins' pull-ups beside those of the sensors.
    pub fn start(twi: TWI) -> Self {
        SDA.pull_up();
        SCL.pull_up();
        // SAFETY: every bit rate is valid.
        twi.twbr().write(|w| unsafe { w.bits(BIT_RATE) });
        Self(twi)
    }

    fn run(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        let mut reading = None;
        for operation in operations {
            let reads = matches!(operation, Operation::Read(_));
            if reading.replace(reads) != Some(reads) {
                self.address(address << 1 | u8::from(reads))?;
            }
            match operation {
                Operation::Write(bytes) => self.write_all(bytes)?,
                // Each read ends with a NACK: two reads in a row would need to know of each other, and no driver does that.
                Operation::Read(into) => self.read_all(into)?,
            }
        }
        Ok(())
    }

    /// Ends a transaction that went so far; a bus that does not come free is recovered.
    fn end(&mut self, outcome: Result<(), BusError>) -> Result<(), BusError> {
        let outcome = if outcome == Err(BusError::Bus) { outcome } else { outcome.and(self.stop()) };
        if outcome == Err(BusError::Bus) {
            self.recover();
        }
        outcome
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        bytes.iter().try_for_each(|byte| self.write_byte(*byte))
    }

    fn address(&mut self, address: u8) -> Result<(), BusError> {
        if !matches!(self.step(control::START)?, status::START | status::REPEATED_START) {
            return Err(BusError::Bus);
        }
        self.set_data(address);
        match self.step(0)? {
            status::WRITE_ADDRESS_ACK | status::READ_ADDRESS_ACK => Ok(()),
            status::WRITE_ADDRESS_NACK | status::READ_ADDRESS_NACK => Err(BusError::NoAcknowledge),
            _ => Err(BusError::Bus),
        }
    }

    fn write_byte(&mut self, byte: u8) -> Result<(), BusError> {
        self.set_data(byte);
        match self.step(0)? {
            status::DATA_SENT_ACK => Ok(()),
            status::DATA_SENT_NACK => Err(BusError::NoAcknowledge),
            _ => Err(BusError::Bus),
        }
    }

    fn read_all(&mut self, into: &mut [u8]) -> Result<(), BusError> {
        let mut left = into.len();
        for byte in into {
            left -= 1;
            match self.step(if left == 0 { 0 } else { control::ACKNOWLEDGE })? {
                status::DATA_READ_ACK | status::DATA_READ_NACK => *byte = self.0.twdr().read().bits(),
                _ => return Err(BusError::Bus),
            }
        }
        Ok(())
    }

    fn set_data(&mut self, byte: u8) {
        // SAFETY: every byte may be sent.
        self.0.twdr().write(|w| unsafe { w.bits(byte) });
    }

    /// Lets the hardware take the next step; its status after that.
    fn step(&mut self, bits: u8) -> Result<u8, BusError> {
        self.set_control(control::INTERRUPT | control::ENABLE | bits);
        self.wait_for(|control| control & control::INTERRUPT != 0)?;
        Ok(self.0.twsr().read().bits() & 0xF8)
    }

    fn stop(&mut self) -> Result<(), BusError> {
        self.set_control(control::INTERRUPT | control::ENABLE | control::STOP);
        self.wait_for(|control| control & control::STOP == 0)
    }

    /// Frees a bus on which a chip that missed a clock holds SDA: nine clocks end any byte (UM10204, section 3.1.16).
    fn recover(&mut self) {
        self.set_control(0);
        let mut data = OpenDrain::new(SDA);
        let mut clock = OpenDrain::new(SCL);
        for _ in 0..9_u8 {
            half_clock(&mut clock, false);
            half_clock(&mut clock, true);
        }
        // A stop: SDA rises while SCL is high.
        half_clock(&mut clock, false);
        half_clock(&mut data, false);
        half_clock(&mut clock, true);
        half_clock(&mut data, true);
        SDA.pull_up();
        SCL.pull_up();
    }

    fn wait_for(&self, reached: impl Fn(u8) -> bool) -> Result<(), BusError> {
        (0..PATIENCE).any(|_| reached(self.0.twcr().read().bits())).then_some(()).ok_or(BusError::Bus)
    }

    fn set_control(&mut self, bits: u8) {
        // SAFETY: combinations of the bits above.
        self.0.twcr().write(|w| unsafe { w.bits(bits) });
    }
}

fn half_clock(line: &mut OpenDrain, high: bool) {
    let Ok(()) = if high { line.set_high() } else { line.set_low() };
    Delay.delay_us(5);
}

impl ErrorType for Twi {
    type Error = BusError;
}

// What is read or written at once is simpler than a transaction, which an image has only if a driver in it needs one.
impl I2c for Twi {
    fn read(&mut self, address: u8, into: &mut [u8]) -> Result<(), BusError> {
        let outcome = self.address(address << 1 | 1).and_then(|()| self.read_all(into));
        self.end(outcome)
    }

    fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), BusError> {
        let outcome = self.address(address << 1).and_then(|()| self.write_all(bytes));
        self.end(outcome)
    }

    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        let outcome = self.run(address, operations);
        self.end(outcome)
    }
}
