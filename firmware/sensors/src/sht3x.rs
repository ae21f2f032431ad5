//! SHT30, SHT31, SHT35: temperature and relative humidity over I2C (datasheet SHT3x-DIS, version 7).

use embedded_hal::i2c::I2c;

use crate::{Fault, crc8};

/// I2C address with pin ADDR at ground.
pub const ADDRESS: u8 = 0x44;

/// I2C address with pin ADDR at the supply.
pub const ADDRESS_HIGH: u8 = 0x45;

/// Longest measurement at high repeatability, in milliseconds (table 4: 15.5 ms).
pub const MEASUREMENT_MS: u16 = 16;

/// Single shot, high repeatability, no clock stretching (table 9).
const MEASURE: [u8; 2] = [0x24, 0x00];

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// Temperature in thousandths of a degree Celsius, -40,000 to 125,000.
    pub temperature: i32,
    /// Relative humidity in thousandths of a percent, 0 to 100,000.
    pub humidity: i32,
}

/// Begins a measurement.
///
/// # Errors
/// [`Fault::Absent`] if the sensor does not acknowledge, [`Fault::Bus`] otherwise.
#[inline(never)]
pub fn start(bus: &mut impl I2c, address: u8) -> Result<(), Fault> {
    // On the stack: a constant would stand in an AVR's memory.
    let [high, low] = MEASURE;
    bus.write(address, &[high, low]).map_err(|error| Fault::of_i2c(&error, Fault::Absent))
}

/// Fetches the measurement that [`start`] began at least [`MEASUREMENT_MS`] ago.
///
/// # Errors
/// [`Fault::Timeout`] if the sensor has none (it lost its power since, for one), [`Fault::Checksum`], [`Fault::Range`], [`Fault::Bus`].
#[inline(never)]
pub fn read(bus: &mut impl I2c, address: u8) -> Result<Measurement, Fault> {
    let mut answer = [0; 6];
    bus.read(address, &mut answer).map_err(|error| Fault::of_i2c(&error, Fault::Timeout))?;
    if !(is_whole(&answer[..3]) && is_whole(&answer[3..])) {
        return Err(Fault::Checksum);
    }
    let [t0, t1, _, h0, h1, _] = answer;
    let (raw, humidity) = (u16::from_be_bytes([t0, t1]), humidity(u16::from_be_bytes([h0, h1])));
    if !matches!(raw, COLDEST..=HOTTEST) {
        return Err(Fault::Range);
    }
    Ok(Measurement { temperature: temperature(raw), humidity })
}

/// Ends of the measuring range, -40 and 125 C, as raw values.
const COLDEST: u16 = 1_873;
const HOTTEST: u16 = 63_662;

/// Whether a word is followed by its checksum.
fn is_whole(word: &[u8]) -> bool {
    word.split_last().is_some_and(|(checksum, word)| crc8::sensirion(word) == *checksum)
}

/// Thousandths of a degree: -45,000 + 175,000 * raw / 65,535 (section 4.13), rounded, in 32 bits.
fn temperature(raw: u16) -> i32 {
    // 175,000 = 2 * 65,535 + 43,930, which keeps the product below 2^32.
    (2 * u32::from(raw) + part(raw, 43_930)) as i32 - 45_000
}

/// Thousandths of a percent: 100,000 * raw / 65,535 (section 4.13), rounded, in 32 bits.
fn humidity(raw: u16) -> i32 {
    // 100,000 = 65,535 + 34,465, as above.
    (u32::from(raw) + part(raw, 34_465)) as i32
}

/// `full` * raw / 65,535, rounded.
#[inline(never)]
fn part(raw: u16, full: u16) -> u32 {
    let product = u32::from(full) * u32::from(raw) + 32_767;
    // As 2^16 / 65,535 is 1 + 1 / 65,535: a division in two shifts, exact for these products.
    (product + (product >> 16) + 1) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_raw_value_is_converted_to_the_nearest_thousandth() {
        for raw in 0..=u16::MAX {
            let exact = f64::from(raw) / 65_535.0;
            assert_eq!(temperature(raw), (-45_000.0 + 175_000.0 * exact).round() as i32, "temperature of {raw}");
            assert_eq!(humidity(raw), (100_000.0 * exact).round() as i32, "humidity of {raw}");
        }
    }
}
