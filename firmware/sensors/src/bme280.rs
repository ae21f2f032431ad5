//! BME280: temperature, relative humidity and air pressure over I2C (Bosch datasheet BST-BME280-DS002, revision 1.6).
//!
//! The sensor measures on command (forced mode). Its calibration is read again with each measurement: 33 bytes on the stack for
//! a moment in place of 33 bytes of memory for good, and a sensor that was exchanged brings its own.

use embedded_hal::i2c::I2c;

use crate::Fault;

mod compensation;

pub use compensation::{Calibration, Measurement, Raw};

/// I2C address with pin SDO at ground.
pub const ADDRESS: u8 = 0x76;

/// I2C address with pin SDO at the supply.
pub const ADDRESS_HIGH: u8 = 0x77;

/// Longest measurement with each quantity sampled once, in milliseconds (section 9.1: 9.3 ms).
pub const MEASUREMENT_MS: u16 = 10;

const CHIP_ID: u8 = 0x60;

/// Registers (section 5.3, table 18).
mod register {
    pub(super) const CALIBRATION_LOW: u8 = 0x88;
    pub(super) const ID: u8 = 0xD0;
    pub(super) const CALIBRATION_HIGH: u8 = 0xE1;
    /// Followed by `status` and `ctrl_meas`.
    pub(super) const CTRL_HUM: u8 = 0xF2;
    pub(super) const CTRL_MEAS: u8 = 0xF4;
    pub(super) const CONFIG: u8 = 0xF5;
    pub(super) const DATA: u8 = 0xF7;
}

/// Humidity sampled once (`ctrl_hum`).
const HUMIDITY_ONCE: u8 = 0b001;

/// Bits of `ctrl_hum` that are not reserved (section 5.4.3).
const HUMIDITY: u8 = 0b111;

/// Temperature and pressure sampled once, forced mode (`ctrl_meas`).
const FORCED_ONCE: u8 = (0b001 << 5) | (0b001 << 2) | 0b01;

/// Bits of `ctrl_meas` that are 0 again after a measurement: the mode.
const MODE: u8 = 0b11;

/// `status`: a measurement is under way, or the calibration is being copied after power-on.
const BUSY: u8 = 0b1001;

/// Begins a measurement.
///
/// # Errors
/// [`Fault::Absent`] if no BME280 answers at the address, [`Fault::Bus`] otherwise.
#[inline(never)]
pub fn start(bus: &mut impl I2c, address: u8) -> Result<(), Fault> {
    let mut id = [0];
    read_registers(bus, address, register::ID, &mut id)?;
    if id[0] != CHIP_ID {
        return Err(Fault::Absent);
    }
    // `ctrl_hum` takes effect with the write of `ctrl_meas`, which therefore comes last (section 5.4.3). The filter stays off.
    let settings = [register::CTRL_HUM, HUMIDITY_ONCE, register::CONFIG, 0, register::CTRL_MEAS, FORCED_ONCE];
    bus.write(address, &settings).map_err(|error| Fault::of_i2c(&error, Fault::Absent))
}

/// Fetches the measurement that [`start`] began at least [`MEASUREMENT_MS`] ago.
///
/// # Errors
/// [`Fault::Timeout`] while the sensor still measures, [`Fault::PowerOn`] if it has not measured since its power came on,
/// [`Fault::Range`] outside of what it can measure, [`Fault::Absent`], [`Fault::Bus`].
#[inline(never)]
pub fn read(bus: &mut impl I2c, address: u8) -> Result<Measurement, Fault> {
    let mut control = [0; 3];
    read_registers(bus, address, register::CTRL_HUM, &mut control)?;
    let [humidity, status, others] = control;
    if status & BUSY != 0 {
        return Err(Fault::Timeout);
    }
    // A quantity that is not sampled shows its reset value, which is an ordinary one as well.
    if humidity & HUMIDITY != HUMIDITY_ONCE || others & !MODE != FORCED_ONCE & !MODE {
        return Err(Fault::PowerOn);
    }
    let mut data = [0; 8];
    read_registers(bus, address, register::DATA, &mut data)?;
    let raw = Raw::of_registers(data)?;
    let mut low = [0; 26];
    read_registers(bus, address, register::CALIBRATION_LOW, &mut low)?;
    let mut high = [0; 7];
    read_registers(bus, address, register::CALIBRATION_HIGH, &mut high)?;
    Calibration::of_registers(&low, &high)?.compensate(raw)
}

#[inline(never)]
fn read_registers(bus: &mut impl I2c, address: u8, first: u8, into: &mut [u8]) -> Result<(), Fault> {
    bus.write_read(address, &[first], into).map_err(|error| Fault::of_i2c(&error, Fault::Absent))
}
