//! BME280 of Bosch: air temperature, humidity and pressure. The chip has no checksum; its settings are read back with each value.
//!
//! Source: BME280 datasheet (BST-BME280-DS002), sections 4.2, 5.3 and 5.4, and 8.1 for the formulas in floating point.

use std::time::Duration;

use embedded_hal::i2c::I2c;

use super::chip::{Step, within};
use super::chip_io::{ChipIo, Fault};

const ID: u8 = 0xd0;
const IS_BME280: u8 = 0x60;
/// First registers of the two parts of the calibration.
const CALIBRATION: u8 = 0x88;
const CALIBRATION_HUMIDITY: u8 = 0xe1;
const CTRL_HUM: u8 = 0xf2;
const STATUS: u8 = 0xf3;
const CTRL_MEAS: u8 = 0xf4;
const DATA: u8 = 0xf7;
/// Each value measured once.
const HUMIDITY_ONCE: u8 = 0x01;
/// Temperature and pressure once; the last two bits start the measurement and go back to 0 after it.
const ONCE_FORCED: u8 = 0x25;
const MODE: u8 = 0x03;
/// Bits of the status register while the chip measures, and while it copies its calibration after power-on.
const BUSY: u8 = 0x09;
/// Longest time of one measurement of each value (9.3 ms, datasheet section 9.1).
const TAKES: Duration = Duration::from_millis(10);
const MAX_POLLS: u8 = 5;

/// ```text
///   no calibration --id and calibration--> idle --start--> measuring --value--> idle
///          ^                                                  | any fault
///          +--------------------------------------------------+
/// ```
#[derive(Debug, Default)]
pub(super) struct Bme280 {
    calibration: Option<Calibration>,
    /// Polls of the running measurement; none before it is started.
    polls: Option<u8>,
}

/// Factory calibration, by the names of the datasheet (`dig_T1` and so on).
#[derive(Debug, Clone, PartialEq)]
struct Calibration {
    t: [f64; 3],
    p: [f64; 9],
    h: [f64; 6],
}

impl Bme280 {
    pub(super) fn step<B: I2c>(&mut self, io: &mut ChipIo<'_, B>) -> Result<Step, Fault> {
        let Some(calibration) = &self.calibration else {
            let [id] = io.registers(ID)?;
            if id != IS_BME280 {
                let found = if id == 0x58 { "a BMP280, without humidity".to_owned() } else { format!("id {id:#04x}") };
                return Err(Fault::OtherChip { expected: "a BME280", found });
            }
            let [status] = io.registers(STATUS)?;
            if status & BUSY != 0 {
                return Err(Fault::NotReady);
            }
            self.calibration =
                Some(Calibration::of(&io.registers(CALIBRATION)?, &io.registers(CALIBRATION_HUMIDITY)?)?);
            return Ok(Step::Again(Duration::ZERO));
        };
        let Some(polls) = self.polls else {
            // The setting of humidity takes effect with the write that follows it.
            io.write(&[CTRL_HUM, HUMIDITY_ONCE])?;
            io.write(&[CTRL_MEAS, ONCE_FORCED])?;
            self.polls = Some(0);
            return Ok(Step::Again(TAKES));
        };
        let [humidity, status, measured] = io.registers(CTRL_HUM)?;
        if humidity & 0x07 != HUMIDITY_ONCE || measured & !MODE != ONCE_FORCED & !MODE {
            return Err(Fault::PowerLost);
        }
        if status & BUSY != 0 || measured & MODE != 0 {
            self.polls = Some(polls + 1);
            return if polls + 1 < MAX_POLLS { Ok(Step::Again(TAKES)) } else { Err(Fault::NotReady) };
        }
        let values = calibration.values(io.registers(DATA)?)?;
        self.polls = None;
        Ok(Step::Done(values))
    }
}

impl Calibration {
    fn of(first: &[u8; 26], humidity: &[u8; 7]) -> Result<Calibration, Fault> {
        let unsigned = |at: usize| f64::from(u16::from_le_bytes([first[at], first[at + 1]]));
        let signed = |at: usize| f64::from(i16::from_le_bytes([first[at], first[at + 1]]));
        let [h2_low, h2_high, h3, h4, h45, h5, h6] = *humidity;
        let twelve = |high: u8, low: u8| f64::from(i16::from(high.cast_signed()) * 16 + i16::from(low));
        let calibration = Calibration {
            t: [unsigned(0), signed(2), signed(4)],
            p: std::array::from_fn(|ix| if ix == 0 { unsigned(6) } else { signed(6 + 2 * ix) }),
            h: [
                f64::from(first[25]),
                f64::from(i16::from_le_bytes([h2_low, h2_high])),
                f64::from(h3),
                twelve(h4, h45 & 0x0f),
                twelve(h5, h45 >> 4),
                f64::from(h6.cast_signed()),
            ],
        };
        // A bus that is held or not driven reads as zeros or ones.
        let is_blank = |value: f64| value == 0.0 || value == 65535.0;
        if is_blank(calibration.t[0]) || is_blank(calibration.p[0]) {
            return Err(Fault::Answer("blank calibration".to_owned()));
        }
        Ok(calibration)
    }

    fn values(&self, data: [u8; 8]) -> Result<Vec<(&'static str, f64)>, Fault> {
        let twenty =
            |at: usize| u32::from(data[at]) << 12 | u32::from(data[at + 1]) << 4 | u32::from(data[at + 2]) >> 4;
        let (pressure, temperature) = (twenty(0), twenty(3));
        let humidity = u16::from_be_bytes([data[6], data[7]]);
        // The registers have all these values from power-on until the first measurement; one alone is a value, such as 26 C. Which are
        // measured the settings say, which are read before.
        if (pressure, temperature, humidity) == (0x80000, 0x80000, 0x8000) {
            return Err(Fault::PowerLost);
        }
        let fine = self.fine(f64::from(temperature));
        let temperature = within(fine / 5120.0, -40.0..=85.0, "C")?;
        let humidity = self.humidity(f64::from(humidity), fine);
        let pressure = within(self.pressure(f64::from(pressure), fine) / 100.0, 300.0..=1100.0, "hPa")?;
        Ok(vec![("temperature", temperature), ("humidity", humidity), ("pressure", pressure)])
    }

    /// Temperature as the other formulas need it, in C / 5120.
    fn fine(&self, raw: f64) -> f64 {
        let [t1, t2, t3] = self.t;
        (raw / 16384.0 - t1 / 1024.0) * t2 + (raw / 131_072.0 - t1 / 8192.0).powi(2) * t3
    }

    /// Pascals; not a number where the calibration is impossible.
    fn pressure(&self, raw: f64, fine: f64) -> f64 {
        let [p1, p2, p3, p4, p5, p6, p7, p8, p9] = self.p;
        let from_25 = fine / 2.0 - 64_000.0;
        let offset = from_25 * from_25 * p6 / 32_768.0 + from_25 * p5 * 2.0;
        let offset = offset / 4.0 + p4 * 65_536.0;
        let factor = (p3 * from_25 * from_25 / 524_288.0 + p2 * from_25) / 524_288.0;
        let factor = (1.0 + factor / 32_768.0) * p1;
        let pressure = (1_048_576.0 - raw - offset / 4096.0) * 6250.0 / factor;
        pressure + (p9 * pressure * pressure / 2_147_483_648.0 + pressure * p8 / 32_768.0 + p7) / 16.0
    }

    /// Relative humidity in %, held within what is possible as the datasheet does.
    fn humidity(&self, raw: f64, fine: f64) -> f64 {
        let [h1, h2, h3, h4, h5, h6] = self.h;
        let from_15 = fine - 76_800.0;
        let offset = h4 * 64.0 + h5 / 16_384.0 * from_15;
        let factor = h2 / 65_536.0 * (1.0 + h6 / 67_108_864.0 * from_15 * (1.0 + h3 / 67_108_864.0 * from_15));
        let humidity = (raw - offset) * factor;
        (humidity * (1.0 - h1 * humidity / 524_288.0)).clamp(0.0, 100.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_those_of_bosch() {
        // The worked example that Bosch gives for the formulas (BMP280 datasheet, section 3.12).
        let calibration = Calibration {
            t: [27504.0, 26435.0, -1000.0],
            p: [36477.0, -10685.0, 3024.0, 2855.0, 140.0, -7.0, 15500.0, -14600.0, 6000.0],
            h: [0.0; 6],
        };
        let fine = calibration.fine(519_888.0);
        assert!((fine / 5120.0 - 25.08).abs() < 0.005, "{fine}");
        let pressure = calibration.pressure(415_148.0, fine);
        assert!((pressure - 100_653.27).abs() < 0.1, "{pressure}");
    }

    proptest! {
        /// Chips differ in their calibration: held to the formulas in whole numbers of the datasheet, section 4.2.3.
        #[test]
        fn values_of_any_chip_are_those_of_the_formulas_in_whole_numbers(
            (t1, t2, t3) in (26_000..29_000_i64, 25_000..28_000_i64, -1_500..100_i64),
            (p1, p2, p3) in (35_000..40_000_i64, -11_500..-9_500_i64, 2_500..3_500_i64),
            (p4, p5, p6) in (0..10_000_i64, -300..300_i64, -20..20_i64),
            (p7, p8, p9) in (9_000..16_000_i64, -16_000..-9_000_i64, 3_000..7_000_i64),
            (h1, h2, h3) in (50..100_i64, 300..420_i64, 0..10_i64),
            (h4, h5, h6) in (200..400_i64, -50..100_i64, 20..40_i64),
            (temperature, pressure, humidity) in (430_000..600_000_i64, 250_000..450_000_i64, 15_000..45_000_i64),
        ) {
            let of = |all: &[i64]| all.iter().map(|value| *value as f64).collect::<Vec<_>>();
            let calibration = Calibration {
                t: of(&[t1, t2, t3]).try_into().unwrap(),
                p: of(&[p1, p2, p3, p4, p5, p6, p7, p8, p9]).try_into().unwrap(),
                h: of(&[h1, h2, h3, h4, h5, h6]).try_into().unwrap(),
            };
            let from_t1 = (temperature >> 4) - t1;
            let fine = ((((temperature >> 3) - (t1 << 1)) * t2) >> 11) + ((((from_t1 * from_t1) >> 12) * t3) >> 14);
            let found = calibration.fine(temperature as f64);
            prop_assert!((found - fine as f64).abs() < 60.0, "fine {found}, expected {fine}");

            let from_25 = fine - 128_000;
            let offset = from_25 * from_25 * p6 + ((from_25 * p5) << 17) + (p4 << 35);
            let factor = ((from_25 * from_25 * p3) >> 8) + ((from_25 * p2) << 12);
            let factor = (((1_i64 << 47) + factor) * p1) >> 33;
            let first = (((1_048_576 - pressure) << 31) - offset) * 3125 / factor;
            let second = (p9 * (first >> 13) * (first >> 13)) >> 25;
            let expected = (((first + second + ((p8 * first) >> 19)) >> 8) + (p7 << 4)) as f64 / 256.0;
            let found = calibration.pressure(pressure as f64, fine as f64);
            prop_assert!((found - expected).abs() < 2.0, "{found} Pa, expected {expected}");

            let from_15 = fine - 76_800;
            let offset = ((humidity << 14) - (h4 << 20) - h5 * from_15 + 16_384) >> 15;
            let factor = (((((from_15 * h6) >> 10) * (((from_15 * h3) >> 11) + 32_768)) >> 10) + 2_097_152) * h2;
            let first = offset * ((factor + 8192) >> 14);
            let expected = first - (((((first >> 15) * (first >> 15)) >> 7) * h1) >> 4);
            let expected = (expected.clamp(0, 419_430_400) >> 12) as f64 / 1024.0;
            let found = calibration.humidity(humidity as f64, fine as f64);
            prop_assert!((found - expected).abs() < 0.1, "{found} %, expected {expected}");
        }
    }

    #[test]
    fn the_calibration_has_signs_and_halves_of_bytes() {
        let mut first = [0; 26];
        first[..6].copy_from_slice(&[0x70, 0x6b, 0x43, 0x67, 0x18, 0xfc]);
        (first[6], first[7], first[25]) = (0x7d, 0x8e, 75);
        let calibration = Calibration::of(&first, &[0x6d, 0x01, 0, 0x13, 0x29, 0x03, 0x1e]).unwrap();
        assert_eq!(calibration.t, [27504.0, 26435.0, -1000.0]);
        assert_eq!(calibration.h, [75.0, 365.0, 0.0, 313.0, 50.0, 30.0]);
        let negative = Calibration::of(&first, &[0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!(negative.h[3..], [-1.0, -1.0, -1.0]);
        assert!(Calibration::of(&[0; 26], &[0; 7]).is_err() && Calibration::of(&[0xff; 26], &[0xff; 7]).is_err());
    }
}
