//! SHT3x and SHT4x of Sensirion: air temperature and humidity, each with a checksum.
//!
//! Sources: SHT3x-DIS datasheet, sections 4.3 and 4.13; SHT4x datasheet, sections 4.5 and 4.6.

use std::time::Duration;

use embedded_hal::i2c::I2c;

use super::chip::{Step, within};
use super::chip_io::{ChipIo, Fault, checked_words};

/// A chip of either family.
#[derive(Debug)]
pub(super) struct Sht {
    /// Single shot, high repeatability, without clock stretching.
    measure: &'static [u8],
    /// Longest time that a measurement takes.
    takes: Duration,
    /// Humidity in % at 0, and the span above it.
    humidity: (f64, f64),
    is_measuring: bool,
}

impl Sht {
    pub(super) fn sht3x() -> Sht {
        let takes = Duration::from_millis(16);
        Sht { measure: &[0x24, 0x00], takes, humidity: (0.0, 100.0), is_measuring: false }
    }

    pub(super) fn sht4x() -> Sht {
        let takes = Duration::from_millis(10);
        Sht { measure: &[0xfd], takes, humidity: (-6.0, 125.0), is_measuring: false }
    }

    pub(super) fn step<B: I2c>(&mut self, io: &mut ChipIo<'_, B>) -> Result<Step, Fault> {
        if !std::mem::take(&mut self.is_measuring) {
            io.write(self.measure)?;
            self.is_measuring = true;
            return Ok(Step::Again(self.takes));
        }
        let [temperature, humidity] = checked_words(&io.read::<6>()?)?;
        let share = |word: u16| f64::from(word) / 65535.0;
        let temperature = within(-45.0 + 175.0 * share(temperature), -40.0..=125.0, "C")?;
        let (lowest, span) = self.humidity;
        let humidity = (lowest + span * share(humidity)).clamp(0.0, 100.0);
        Ok(Step::Done(vec![("temperature", temperature), ("humidity", humidity)]))
    }
}
