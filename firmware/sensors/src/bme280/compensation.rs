//! From raw counts to values: the datasheet's compensation in 32-bit integers (section 4.2.3; pressure: section 8.2).
//!
//! Formulas keep the datasheet's shifts. They wrap where its C code would overflow: only a calibration that no sensor has does
//! that, and its values are then refused by their range.

use crate::Fault;

/// Raw counts of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw {
    /// Pressure, 20 bits.
    pub pressure: i32,
    /// Temperature, 20 bits.
    pub temperature: i32,
    /// Humidity, 16 bits.
    pub humidity: i32,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// Temperature in thousandths of a degree Celsius, -40,000 to 85,000.
    pub temperature: i32,
    /// Relative humidity in thousandths of a percent, 0 to 100,000.
    pub humidity: i32,
    /// Air pressure in pascals, 30,000 to 110,000.
    pub pressure: i32,
}

/// Calibration that the factory wrote into the sensor (table 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the datasheet names these words by number and says no more about them")]
pub struct Calibration {
    pub t1: u16,
    pub t2: i16,
    pub t3: i16,
    pub p1: u16,
    pub p2: i16,
    pub p3: i16,
    pub p4: i16,
    pub p5: i16,
    pub p6: i16,
    pub p7: i16,
    pub p8: i16,
    pub p9: i16,
    pub h1: u8,
    pub h2: i16,
    pub h3: u8,
    pub h4: i16,
    pub h5: i16,
    pub h6: i8,
}

/// What the data registers hold before the first measurement (sections 5.4.7 to 5.4.9). Each alone is an ordinary value: 0x80000 is
/// 26 degrees, and 0x8000 about 70 % of humidity.
const NOT_MEASURED: i32 = 0x8_0000;
const HUMIDITY_NOT_MEASURED: i32 = 0x8000;

impl Raw {
    /// Counts of registers 0xF7 to 0xFE.
    ///
    /// # Errors
    /// [`Fault::PowerOn`] if nothing was measured since the sensor's power came on.
    pub fn of_registers(data: [u8; 8]) -> Result<Self, Fault> {
        let twenty_bits =
            |high: u8, low: u8, rest: u8| (i32::from(high) << 12) | (i32::from(low) << 4) | (i32::from(rest) >> 4);
        let raw = Self {
            pressure: twenty_bits(data[0], data[1], data[2]),
            temperature: twenty_bits(data[3], data[4], data[5]),
            humidity: (i32::from(data[6]) << 8) | i32::from(data[7]),
        };
        let missing =
            raw.pressure == NOT_MEASURED && raw.temperature == NOT_MEASURED && raw.humidity == HUMIDITY_NOT_MEASURED;
        if missing { Err(Fault::PowerOn) } else { Ok(raw) }
    }
}

impl Calibration {
    /// Calibration of registers 0x88 to 0xA1 and 0xE1 to 0xE7.
    ///
    /// # Errors
    /// [`Fault::Checksum`] if these are the registers of a sensor that does not answer properly: a temperature or a pressure without scale.
    pub fn of_registers(low: &[u8; 26], high: &[u8; 7]) -> Result<Self, Fault> {
        let unsigned = |at: usize| u16::from_le_bytes([low[at], low[at + 1]]);
        let signed = |at: usize| i16::from_le_bytes([low[at], low[at + 1]]);
        let calibration = Self {
            t1: unsigned(0),
            t2: signed(2),
            t3: signed(4),
            p1: unsigned(6),
            p2: signed(8),
            p3: signed(10),
            p4: signed(12),
            p5: signed(14),
            p6: signed(16),
            p7: signed(18),
            p8: signed(20),
            p9: signed(22),
            h1: low[25],
            h2: i16::from_le_bytes([high[0], high[1]]),
            h3: high[2],
            // Twelve bits each, which share register 0xE5; the sign is in the high byte.
            h4: (i16::from(high[3] as i8) << 4) | i16::from(high[4] & 0x0F),
            h5: (i16::from(high[5] as i8) << 4) | i16::from(high[4] >> 4),
            h6: high[6] as i8,
        };
        let blank = [0, u16::MAX];
        if blank.contains(&calibration.t1) || blank.contains(&calibration.p1) {
            return Err(Fault::Checksum);
        }
        Ok(calibration)
    }

    /// Values of the raw counts.
    ///
    /// # Errors
    /// [`Fault::Range`] outside of what the sensor can measure.
    pub fn compensate(&self, raw: Raw) -> Result<Measurement, Fault> {
        let fine = self.fine_temperature(raw.temperature);
        // Hundredths: (t_fine * 5 + 128) >> 8; thousandths keep what that drops.
        let temperature = fine.wrapping_mul(50).wrapping_add(128) >> 8;
        let pressure = self.pressure(raw.pressure, fine).ok_or(Fault::Range)?;
        let humidity = (self.humidity(raw.humidity, fine) * 125) >> 7;
        if !matches!(temperature, -40_000..=85_000) || !matches!(pressure, 30_000..=110_000) {
            return Err(Fault::Range);
        }
        Ok(Measurement { temperature, humidity, pressure })
    }

    /// The temperature in 1/5120 of a degree, which all three formulas share (`t_fine`).
    fn fine_temperature(&self, raw: i32) -> i32 {
        let t1 = i32::from(self.t1);
        let linear = ((raw >> 3) - (t1 << 1)).wrapping_mul(i32::from(self.t2)) >> 11;
        let offset = (raw >> 4) - t1;
        let square = (offset.wrapping_mul(offset) >> 12).wrapping_mul(i32::from(self.t3)) >> 14;
        linear.wrapping_add(square)
    }

    /// Pascals; `None` where the formula would divide by zero.
    fn pressure(&self, raw: i32, fine: i32) -> Option<i32> {
        let half = (fine >> 1) - 64_000;
        let square = (half >> 2).wrapping_mul(half >> 2);
        let mut offset = (square >> 11).wrapping_mul(i32::from(self.p6));
        offset = offset.wrapping_add(half.wrapping_mul(i32::from(self.p5)) << 1);
        offset = (offset >> 2).wrapping_add(i32::from(self.p4) << 16);
        let curved = i32::from(self.p3).wrapping_mul(square >> 13) >> 3;
        let sloped = i32::from(self.p2).wrapping_mul(half) >> 1;
        let scale = curved.wrapping_add(sloped) >> 18;
        let scale = scale.wrapping_add(32_768).wrapping_mul(i32::from(self.p1)) >> 15;
        if scale == 0 {
            return None;
        }
        let counts = (1_048_576 - raw).wrapping_sub(offset >> 12) as u32;
        let counts = counts.wrapping_mul(3_125);
        let scale = scale as u32;
        let pressure = if counts < 0x8000_0000 { (counts << 1) / scale } else { (counts / scale).wrapping_mul(2) };
        let eighth = pressure >> 3;
        let square = (eighth.wrapping_mul(eighth) >> 13) as i32;
        let curved = i32::from(self.p9).wrapping_mul(square) >> 12;
        let sloped = ((pressure >> 2) as i32).wrapping_mul(i32::from(self.p8)) >> 13;
        let correction = curved.wrapping_add(sloped).wrapping_add(i32::from(self.p7)) >> 4;
        Some((pressure as i32).wrapping_add(correction))
    }

    /// Relative humidity in 1/1024 of a percent, 0 to 102,400.
    fn humidity(&self, raw: i32, fine: i32) -> i32 {
        let fine = fine.wrapping_sub(76_800);
        let offset = (i32::from(self.h4) << 20).wrapping_add(i32::from(self.h5).wrapping_mul(fine));
        let counts = (raw << 14).wrapping_sub(offset).wrapping_add(16_384) >> 15;
        let curved = fine.wrapping_mul(i32::from(self.h6)) >> 10;
        let sloped = (fine.wrapping_mul(i32::from(self.h3)) >> 11).wrapping_add(32_768);
        let factor = (curved.wrapping_mul(sloped) >> 10).wrapping_add(2_097_152);
        let factor = factor.wrapping_mul(i32::from(self.h2)).wrapping_add(8_192) >> 14;
        let linear = counts.wrapping_mul(factor);
        let square = (linear >> 15).wrapping_mul(linear >> 15) >> 7;
        let humidity = linear.wrapping_sub(square.wrapping_mul(i32::from(self.h1)) >> 4);
        humidity.clamp(0, 419_430_400) >> 12
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Calibration and counts of the worked example of Bosch's datasheet of the BMP280 (BST-BMP280-DS001, section 3.12), whose
    /// temperature and pressure are compensated alike; humidity words of a BME280.
    const EXAMPLE: Calibration = Calibration {
        t1: 27_504,
        t2: 26_435,
        t3: -1_000,
        p1: 36_477,
        p2: -10_685,
        p3: 3_024,
        p4: 2_855,
        p5: 140,
        p6: -7,
        p7: 15_500,
        p8: -14_600,
        p9: 6_000,
        h1: 75,
        h2: 362,
        h3: 0,
        h4: 313,
        h5: 50,
        h6: 30,
    };

    #[test]
    fn the_worked_example_of_the_datasheet_has_its_values() {
        let raw = Raw { temperature: 519_888, pressure: 415_148, humidity: 30_000 };
        assert_eq!(EXAMPLE.fine_temperature(raw.temperature), 128_422);
        let measured = EXAMPLE.compensate(raw).unwrap();
        assert_eq!(measured.temperature / 10, 2_508);
        assert!((measured.pressure - 100_653).abs() <= 4, "expected 100653 Pa within 4, got {}", measured.pressure);
    }

    #[test]
    fn a_sensor_that_has_not_measured_since_power_on_is_a_fault() {
        let reset = [0x80, 0, 0, 0x80, 0, 0, 0x80, 0];
        assert_eq!(Raw::of_registers(reset), Err(Fault::PowerOn));
    }

    #[test]
    fn one_value_as_after_power_on_is_a_value() {
        let raw = |data| Raw::of_registers(data).map(|raw| (raw.pressure, raw.temperature, raw.humidity));
        assert_eq!(raw([0x65, 0x5A, 0xC0, 0x80, 0, 0, 0x75, 0x30]), Ok((415_148, 0x8_0000, 30_000)));
        assert_eq!(raw([0x80, 0, 0, 0x7E, 0xED, 0, 0x80, 0]), Ok((0x8_0000, 519_888, 0x8000)));
    }

    #[test]
    fn calibration_of_a_line_that_is_held_is_a_fault() {
        for level in [0, 0xFF] {
            assert_eq!(Calibration::of_registers(&[level; 26], &[level; 7]), Err(Fault::Checksum), "all {level:#x}");
        }
    }

    #[test]
    fn words_of_twelve_bits_keep_their_sign() {
        let mut low = [1; 26];
        low[25] = 75;
        let calibration = Calibration::of_registers(&low, &[0x6A, 0x01, 0, 0x13, 0x29, 0x03, 0x1E]).unwrap();
        assert_eq!((calibration.h2, calibration.h4, calibration.h5, calibration.h6), (362, 0x139, 0x32, 30));
        let negative = Calibration::of_registers(&low, &[0, 0, 0, 0xFF, 0xFF, 0xFF, 0xE2]).unwrap();
        assert_eq!((negative.h4, negative.h5, negative.h6), (-1, -1, -30));
    }

    /// The datasheet's compensation in floating point (section 8.1): degrees, percent, pascals.
    fn in_floating_point(c: &Calibration, raw: Raw) -> (f64, f64, f64) {
        let adc = f64::from(raw.temperature);
        let linear = (adc / 16_384.0 - f64::from(c.t1) / 1_024.0) * f64::from(c.t2);
        let square = (adc / 131_072.0 - f64::from(c.t1) / 8_192.0).powi(2) * f64::from(c.t3);
        let fine = linear + square;

        let mut a = fine / 2.0 - 64_000.0;
        let mut b = a * a * f64::from(c.p6) / 32_768.0;
        b += a * f64::from(c.p5) * 2.0;
        b = b / 4.0 + f64::from(c.p4) * 65_536.0;
        a = (f64::from(c.p3) * a * a / 524_288.0 + f64::from(c.p2) * a) / 524_288.0;
        a = (1.0 + a / 32_768.0) * f64::from(c.p1);
        let mut pressure = 1_048_576.0 - f64::from(raw.pressure);
        pressure = (pressure - b / 4_096.0) * 6_250.0 / a;
        a = f64::from(c.p9) * pressure * pressure / 2_147_483_648.0;
        b = pressure * f64::from(c.p8) / 32_768.0;
        pressure += (a + b + f64::from(c.p7)) / 16.0;

        let mut h = fine - 76_800.0;
        h = (f64::from(raw.humidity) - (f64::from(c.h4) * 64.0 + f64::from(c.h5) / 16_384.0 * h))
            * (f64::from(c.h2) / 65_536.0
                * (1.0 + f64::from(c.h6) / 67_108_864.0 * h * (1.0 + f64::from(c.h3) / 67_108_864.0 * h)));
        h *= 1.0 - f64::from(c.h1) * h / 524_288.0;
        (fine / 5_120.0, h.clamp(0.0, 100.0), pressure)
    }

    proptest! {
        /// Calibrations around those of real sensors, and all counts.
        #[test]
        fn integers_agree_with_the_datasheets_floating_point(
            t1 in 26_000_u16..29_000, t2 in 25_000_i16..27_500, t3 in -1_000_i16..100,
            p1 in 35_000_u16..39_000, p2 in -11_000_i16..-10_000,
            h2 in 340_i16..390, h4 in 270_i16..350, h5 in 0_i16..60,
            temperature in 400_000_i32..620_000, pressure in 250_000_i32..500_000, humidity in 15_000_i32..45_000,
        ) {
            let calibration = Calibration { t1, t2, t3, p1, p2, h2, h4, h5, ..EXAMPLE };
            let raw = Raw { pressure, temperature, humidity };
            let Ok(measured) = calibration.compensate(raw) else { return Ok(()) };
            let (t, h, p) = in_floating_point(&calibration, raw);
            prop_assert!((f64::from(measured.temperature) / 1000.0 - t).abs() < 0.01, "{measured:?} is not {t} C");
            prop_assert!((f64::from(measured.humidity) / 1000.0 - h).abs() < 0.1, "{measured:?} is not {h} %");
            prop_assert!((f64::from(measured.pressure) - p).abs() < 20.0, "{measured:?} is not {p} Pa");
        }

        #[test]
        fn any_registers_give_a_value_in_range_or_a_fault(
            low in prop::array::uniform32(any::<u8>()), high in prop::array::uniform7(any::<u8>()),
            data in prop::array::uniform8(any::<u8>()),
        ) {
            let Ok(raw) = Raw::of_registers(data) else { return Ok(()) };
            let mut calibration = [0; 26];
            calibration.copy_from_slice(&low[..26]);
            let Ok(calibration) = Calibration::of_registers(&calibration, &high) else { return Ok(()) };
            if let Ok(measured) = calibration.compensate(raw) {
                prop_assert!((-40_000..=85_000).contains(&measured.temperature));
                prop_assert!((0..=100_000).contains(&measured.humidity));
                prop_assert!((30_000..=110_000).contains(&measured.pressure));
            }
        }
    }
}
