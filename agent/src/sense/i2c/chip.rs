//! The driver of a chip, whichever it is: one step at a time, so that a bus waits for no conversion.

use std::time::Duration;

use embedded_hal::i2c::I2c;
use tilth_config::I2cChip;

use super::ads1115::Ads1115;
use super::atlas::Ezo;
use super::bh1750::Bh1750;
use super::bme280::Bme280;
use super::chip_io::{ChipIo, Fault};
use super::scd4x::Scd4x;
use super::sht::Sht;

/// Values of one reading, by the names of their fields.
pub(super) type Values = Vec<(&'static str, f64)>;

/// What a step of a reading led to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// The chip measures; the next step is due after this.
    Again(Duration),
    /// The reading is complete.
    Done(Values),
}

/// A chip's driver. It starts without knowing the state of the chip.
#[derive(Debug)]
pub(super) enum Driver {
    Bme280(Bme280),
    Sht(Sht),
    Scd4x(Scd4x),
    Ads1115(Ads1115),
    Bh1750(Bh1750),
    Ezo(Ezo),
}

impl Driver {
    /// `fields` are those that sensors read.
    pub(super) fn new(chip: I2cChip, fields: &[&'static str]) -> Driver {
        match chip {
            I2cChip::Bme280 => Driver::Bme280(Bme280::default()),
            I2cChip::Sht3x => Driver::Sht(Sht::sht3x()),
            I2cChip::Sht4x => Driver::Sht(Sht::sht4x()),
            I2cChip::Scd4x => Driver::Scd4x(Scd4x::default()),
            I2cChip::Ads1115 => Driver::Ads1115(Ads1115::new(fields)),
            I2cChip::Bh1750 => Driver::Bh1750(Bh1750::default()),
            I2cChip::EzoPh | I2cChip::EzoEc | I2cChip::EzoRtd | I2cChip::EzoDo => Driver::Ezo(Ezo::new(chip)),
        }
    }

    /// Does the next step of a reading. After a fault the next step begins a new reading.
    pub(super) fn step<B: I2c>(&mut self, io: &mut ChipIo<'_, B>) -> Result<Step, Fault> {
        let done = match self {
            Driver::Bme280(chip) => chip.step(io),
            Driver::Sht(chip) => chip.step(io),
            Driver::Scd4x(chip) => chip.step(io),
            Driver::Ads1115(chip) => chip.step(io),
            Driver::Bh1750(chip) => chip.step(io),
            Driver::Ezo(chip) => chip.step(io),
        };
        if let Err(fault) = &done {
            self.failed(fault);
        }
        done
    }

    /// The circuit, of a driver of an EZO.
    pub(super) fn ezo(&mut self) -> Option<&mut Ezo> {
        if let Driver::Ezo(ezo) = self { Some(ezo) } else { None }
    }

    fn failed(&mut self, fault: &Fault) {
        match self {
            Driver::Bme280(chip) => *chip = Bme280::default(),
            Driver::Scd4x(chip) => chip.failed(fault),
            Driver::Ads1115(chip) => chip.restart(),
            // Each step leaves it as before a measurement.
            Driver::Sht(_) => {}
            Driver::Bh1750(chip) => *chip = Bh1750::default(),
            Driver::Ezo(chip) => chip.failed(fault),
        }
    }
}

/// A value, or the fault that the chip cannot have measured it.
pub(super) fn within(value: f64, range: std::ops::RangeInclusive<f64>, unit: &str) -> Result<f64, Fault> {
    if range.contains(&value) { Ok(value) } else { Err(Fault::OutOfRange(format!("{value:.1} {unit}"))) }
}
