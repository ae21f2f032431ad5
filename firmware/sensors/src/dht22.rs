//! DHT22 (AM2302): temperature and relative humidity over one wire of its own kind (Aosong datasheet AM2302).
//!
//! The sensor answers at its own speed: 5 ms of pulses, while interrupts stay on. Each bit is told by its high pulse being
//! longer or shorter than the low one before it, so that no clock is needed, and an interrupt of up to 20 us does no harm. It must not
//! be asked more often than every 2 s.

use embedded_hal::digital::{InputPin, OutputPin};

use crate::Fault;

/// How long the line is held down to wake the sensor, in milliseconds: 0.8 to 20 ms.
pub const WAKE_MS: u16 = 2;

/// Samples of the line after which a pulse has not come: at 0.5 us or more each this is longer than the longest pulse, 80 us.
const PATIENCE: u16 = 500;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// Temperature in thousandths of a degree Celsius, -40,000 to 80,000.
    pub temperature: i32,
    /// Relative humidity in thousandths of a percent, 0 to 100,000.
    pub humidity: i32,
}

/// Wakes the sensor: holds the line down.
pub fn start(pin: &mut impl OutputPin) {
    // Pins of a microcontroller cannot fail.
    let _ = pin.set_low();
}

/// Releases the line, [`WAKE_MS`] after [`start`], and reads the answer; takes at most 6 ms.
///
/// # Errors
/// [`Fault::Absent`] if nothing answers, [`Fault::Bus`] if the line is held down, [`Fault::Timeout`] if the answer breaks off,
/// [`Fault::Checksum`], [`Fault::Range`].
#[inline(never)]
pub fn read<P: InputPin + OutputPin>(pin: &mut P) -> Result<Measurement, Fault> {
    let _ = pin.set_high();
    pulse(pin, false).ok_or(Fault::Bus)?;
    pulse(pin, true).ok_or(Fault::Absent)?;
    pulse(pin, false).ok_or(Fault::Bus)?;
    pulse(pin, true).ok_or(Fault::Timeout)?;
    let mut bytes = [0; 5];
    for byte in &mut bytes {
        for _ in 0..8_u8 {
            let low = pulse(pin, false).ok_or(Fault::Timeout)?;
            let high = pulse(pin, true).ok_or(Fault::Timeout)?;
            *byte = *byte << 1 | u8::from(high > low);
        }
    }
    decode(bytes)
}

/// Samples for which the line keeps a level; `None` when it keeps it too long.
#[inline(never)]
fn pulse(pin: &mut impl InputPin, level: bool) -> Option<u16> {
    (0..PATIENCE).find(|_| pin.is_high().unwrap_or(!level) != level)
}

fn decode(bytes: [u8; 5]) -> Result<Measurement, Fault> {
    let [h0, h1, t0, t1, sum] = bytes;
    if h0.wrapping_add(h1).wrapping_add(t0).wrapping_add(t1) != sum {
        return Err(Fault::Checksum);
    }
    // Tenths; the temperature's highest bit is its sign.
    let humidity = i32::from(u16::from_be_bytes([h0, h1])) * 100;
    let magnitude = i32::from(u16::from_be_bytes([t0 & 0x7F, t1])) * 100;
    let temperature = if t0 & 0x80 == 0 { magnitude } else { -magnitude };
    if humidity > 100_000 || !matches!(temperature, -40_000..=80_000) {
        return Err(Fault::Range);
    }
    Ok(Measurement { temperature, humidity })
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;
    use std::vec::Vec;

    use embedded_hal::digital;

    use super::*;

    /// A line whose level at each sample is known beforehand; high at its end.
    struct Line {
        levels: Vec<bool>,
        at: usize,
    }

    impl Line {
        /// `us` samples of each level in turn, from the sensor's view, low first after the pause.
        fn of(pulses: &[(bool, usize)]) -> Self {
            let levels = pulses.iter().flat_map(|(level, us)| std::iter::repeat_n(*level, *us)).collect();
            Self { levels, at: 0 }
        }

        fn answering(bytes: [u8; 5]) -> Self {
            let mut pulses = std::vec![(true, 30), (false, 80), (true, 80)];
            for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte & (1 << bit) != 0)) {
                pulses.extend([(false, 50), (true, if bit { 70 } else { 27 })]);
            }
            pulses.push((false, 50));
            Self::of(&pulses)
        }
    }

    impl digital::ErrorType for Line {
        type Error = Infallible;
    }

    impl InputPin for Line {
        fn is_high(&mut self) -> Result<bool, Infallible> {
            let level = self.levels.get(self.at).copied().unwrap_or(true);
            self.at += 1;
            Ok(level)
        }

        fn is_low(&mut self) -> Result<bool, Infallible> {
            self.is_high().map(|level| !level)
        }
    }

    impl OutputPin for Line {
        fn set_low(&mut self) -> Result<(), Infallible> {
            Ok(())
        }

        fn set_high(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    fn with_sum(bytes: [u8; 4]) -> [u8; 5] {
        let [a, b, c, d] = bytes;
        [a, b, c, d, a.wrapping_add(b).wrapping_add(c).wrapping_add(d)]
    }

    /// The datasheet's examples: 65.2 %, 35.1 C and -10.1 C.
    #[test]
    fn measurements_of_the_datasheet_are_read() {
        let warm = read(&mut Line::answering([0x02, 0x8C, 0x01, 0x5F, 0xEE]));
        assert_eq!(warm, Ok(Measurement { temperature: 35_100, humidity: 65_200 }));
        let cold = read(&mut Line::answering(with_sum([0x02, 0x8C, 0x80, 0x65])));
        assert_eq!(cold, Ok(Measurement { temperature: -10_100, humidity: 65_200 }));
    }

    #[test]
    fn what_is_no_measurement_is_a_fault() {
        assert_eq!(read(&mut Line::of(&[])), Err(Fault::Absent));
        assert_eq!(read(&mut Line::of(&[(false, 2_000)])), Err(Fault::Bus));
        assert_eq!(read(&mut Line::of(&[(true, 30), (false, 80), (true, 80), (false, 50)])), Err(Fault::Timeout));
        assert_eq!(read(&mut Line::answering([0x02, 0x8C, 0x01, 0x5F, 0xEF])), Err(Fault::Checksum));
        assert_eq!(read(&mut Line::answering(with_sum([0x03, 0xE9, 0x01, 0x5F]))), Err(Fault::Range));
        assert_eq!(read(&mut Line::answering(with_sum([0x02, 0x8C, 0x03, 0x21]))), Err(Fault::Range));
    }
}
