//! DS18B20: temperature over 1-Wire, alone on its pin (datasheet DS18B20, revision 6).

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};

use crate::one_wire::{OneWire, SKIP_ROM};
use crate::{Fault, crc8};

/// Longest conversion, at 12 bits, in milliseconds (AC electrical characteristics).
pub const CONVERSION_MS: u16 = 750;

const CONVERT: u8 = 0x44;
const READ_SCRATCHPAD: u8 = 0xBE;

/// Length of the scratchpad, its checksum included (figure 9).
const SCRATCHPAD: u8 = 9;

/// Raw temperature after power-on: 85 C.
const POWER_ON: u16 = 0x0550;

/// Ends of the measuring range, -55 and 125 C, in sixteenths of a degree.
const COLDEST: i16 = -55 * 16;
const HOTTEST: i16 = 125 * 16;

/// Begins a conversion; takes 2 ms.
///
/// # Errors
/// [`Fault::Absent`] if no sensor answers, [`Fault::Bus`] if the line is held down.
pub fn start(line: &mut OneWire<impl InputPin + OutputPin, impl DelayNs>) -> Result<(), Fault> {
    line.reset()?;
    line.write(SKIP_ROM);
    line.write(CONVERT);
    Ok(())
}

/// A scratchpad that is being read, a byte at a time so that nothing else waits for the whole of it.
#[derive(Debug)]
pub struct Reader {
    read: u8,
    crc: u8,
    raw: u16,
    configuration: u8,
}

impl Reader {
    /// Asks for the conversion that [`start`] began at least [`CONVERSION_MS`] ago; takes 2 ms.
    ///
    /// # Errors
    /// [`Fault::Absent`] if no sensor answers, [`Fault::Bus`] if the line is held down.
    pub fn begin(line: &mut OneWire<impl InputPin + OutputPin, impl DelayNs>) -> Result<Self, Fault> {
        line.reset()?;
        line.write(SKIP_ROM);
        line.write(READ_SCRATCHPAD);
        Ok(Self { read: 0, crc: 0, raw: 0, configuration: 0 })
    }

    /// Reads the next byte, which takes 0.6 ms; after the last one, thousandths of a degree Celsius, -55,000 to 125,000.
    pub fn poll(&mut self, line: &mut OneWire<impl InputPin + OutputPin, impl DelayNs>) -> Option<Result<i32, Fault>> {
        self.take(line.read())
    }

    fn take(&mut self, byte: u8) -> Option<Result<i32, Fault>> {
        match self.read {
            0 => self.raw = u16::from(byte),
            1 => self.raw |= u16::from(byte) << 8,
            4 => self.configuration = byte,
            _ => {}
        }
        self.crc = crc8::one_wire(self.crc, byte);
        self.read += 1;
        (self.read == SCRATCHPAD).then(|| self.temperature())
    }

    fn temperature(&self) -> Result<i32, Fault> {
        if self.crc != 0 {
            return Err(Fault::Checksum);
        }
        // Five bits of the configuration are always 1 and one is 0 (figure 10): a line that is held down reads as nine zeros,
        // whose checksum is right.
        if self.configuration & 0x9F != 0x1F {
            return Err(Fault::Bus);
        }
        if self.raw == POWER_ON {
            return Err(Fault::PowerOn);
        }
        // Sixteenths of a degree; bits below the sensor's resolution are undefined (table 1) and left out.
        let undefined_bits = 3 - ((self.configuration >> 5) & 3);
        let sixteenths = (self.raw as i16) >> undefined_bits << undefined_bits;
        if !matches!(sixteenths, COLDEST..=HOTTEST) {
            return Err(Fault::Range);
        }
        // Thousandths, 125 to two sixteenths: counted from the coldest, in numbers without a sign.
        let above = (u32::from((sixteenths - COLDEST) as u16) * 125) >> 1;
        Ok(above as i32 - 55_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(scratchpad: [u8; 9]) -> Result<i32, Fault> {
        let mut reader = Reader { read: 0, crc: 0, raw: 0, configuration: 0 };
        let answers = scratchpad.map(|byte| reader.take(byte));
        assert!(answers[..8].iter().all(Option::is_none), "expected a value after the ninth byte, got {answers:?}");
        answers[8].unwrap()
    }

    fn with_checksum(bytes: [u8; 8]) -> [u8; 9] {
        let crc = bytes.iter().fold(0, |crc, byte| crc8::one_wire(crc, *byte));
        let mut scratchpad = [0; 9];
        scratchpad[..8].copy_from_slice(&bytes);
        scratchpad[8] = crc;
        scratchpad
    }

    fn at(raw: i16, configuration: u8) -> [u8; 9] {
        let [low, high] = raw.to_le_bytes();
        with_checksum([low, high, 0x4B, 0x46, configuration, 0xFF, 0x0C, 0x10])
    }

    /// Table 1 of the datasheet, without its 85 C.
    #[test]
    fn temperatures_of_the_datasheet_are_read() {
        let table = [
            (0x07D0, 125_000),
            (0x0191, 25_062),
            (0x00A2, 10_125),
            (0x0008, 500),
            (0, 0),
            (-8, -500),
            (-162, -10_125),
            (-401, -25_063),
            (-880, -55_000),
        ];
        for (raw, expected) in table {
            assert_eq!(read(at(raw, 0x7F)), Ok(expected), "raw {raw:#06x}");
        }
    }

    #[test]
    fn bits_below_the_resolution_do_not_count() {
        let nine_to_twelve_bits = [(0x1F, 25_000), (0x3F, 25_250), (0x5F, 25_375), (0x7F, 25_437)];
        for (configuration, expected) in nine_to_twelve_bits {
            assert_eq!(read(at(0x0197, configuration)), Ok(expected), "configuration {configuration:#04x}");
        }
    }

    /// Scratchpads that sensors in the field gave, as Linux shows them.
    #[test]
    fn scratchpads_of_sensors_in_the_field_are_read() {
        let folder = std::env::var("TILTH_DATA").unwrap_or_else(|_| std::string::String::from("../shared/data"));
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let Ok(text) = std::fs::read_to_string(root.join(&folder).join("devices/ds18b20_w1_slave.json")) else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no shared data at {folder}");
            return;
        };
        let all: std::vec::Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let mut seen = 0;
        for sensor in &all {
            let bytes = sensor["text"].as_str().unwrap().split(" : ").next().unwrap();
            let bytes = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
            let scratchpad: std::vec::Vec<u8> = bytes.collect();
            let expected = sensor["expect_c"].as_f64().map(|celsius| (celsius * 1000.0).round() as i32);
            let found = read(scratchpad.try_into().unwrap());
            // Linux cuts what we round: sixteenths have four places after the point.
            let is_near = |found: i32| expected.is_none_or(|expected| (found - expected).abs() <= 1);
            assert!(found.is_ok_and(is_near), "{sensor}: {found:?}");
            seen += 1;
        }
        assert!(seen >= 3, "{seen}");
    }

    #[test]
    fn what_is_no_measurement_is_a_fault() {
        // The scratchpad after power-on, with its checksum (figure 9 and known dumps).
        assert_eq!(read([0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10, 0x1C]), Err(Fault::PowerOn));
        assert_eq!(read([0; 9]), Err(Fault::Bus));
        assert_eq!(read([0xFF; 9]), Err(Fault::Checksum));
        assert_eq!(read(at(0x07D1, 0x7F)), Err(Fault::Range));
        let mut flipped = at(0x0191, 0x7F);
        flipped[0] ^= 0x10;
        assert_eq!(read(flipped), Err(Fault::Checksum));
    }
}
