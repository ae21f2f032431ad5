//! SCD40 and SCD41 of Sensirion: carbon dioxide, air temperature and humidity, measured every 5 s.
//!
//! Source: SCD4x datasheet, sections 3.5 to 3.9.

use std::time::Duration;

use embedded_hal::i2c::I2c;

use super::chip::{Step, within};
use super::chip_io::{ChipIo, Fault, checked_words};

const STOP: [u8; 2] = [0x3f, 0x86];
const START: [u8; 2] = [0x21, 0xb1];
const IS_READY: [u8; 2] = [0xe4, 0xb8];
const READ: [u8; 2] = [0xec, 0x05];
/// Time that the chip takes to stop.
const STOPS: Duration = Duration::from_millis(500);
const MEASURES: Duration = Duration::from_secs(5);
const POLL_AGAIN: Duration = Duration::from_millis(500);
/// Polls for a measurement, over twice the time of one; a chip that was restarted never has one.
const MAX_POLLS: u8 = 20;

/// ```text
///   Unknown --stop--> Stopping --start--> Running --value--> Running
///      ^                                    | no measurement, power lost, chip absent
///      +------------------------------------+
/// ```
#[derive(Debug, Default, PartialEq)]
enum State {
    /// The chip may be measuring since before the agent's start.
    #[default]
    Unknown,
    /// Told to stop.
    Stopping,
    /// Measures by itself; so many polls since the last value.
    Running { polls: u8 },
}

#[derive(Debug, Default)]
pub(super) struct Scd4x {
    state: State,
}

impl Scd4x {
    pub(super) fn step<B: I2c>(&mut self, io: &mut ChipIo<'_, B>) -> Result<Step, Fault> {
        match self.state {
            State::Unknown => {
                io.write(&STOP)?;
                self.state = State::Stopping;
                Ok(Step::Again(STOPS))
            }
            State::Stopping => {
                io.write(&START)?;
                self.state = State::Running { polls: 0 };
                Ok(Step::Again(MEASURES))
            }
            State::Running { polls } => {
                let [ready] = checked_words(&io.ask::<3>(IS_READY)?)?;
                if ready & 0x07ff == 0 {
                    self.state = State::Running { polls: polls + 1 };
                    return if polls + 1 < MAX_POLLS { Ok(Step::Again(POLL_AGAIN)) } else { Err(Fault::NotReady) };
                }
                self.state = State::Running { polls: 0 };
                measurement(checked_words(&io.ask::<9>(READ)?)?)
            }
        }
    }

    /// After noise alone the chip measures on.
    pub(super) fn failed(&mut self, fault: &Fault) {
        if !matches!(fault, Fault::Checksum | Fault::OutOfRange(_)) {
            self.state = State::Unknown;
        }
    }
}

fn measurement([co2, temperature, humidity]: [u16; 3]) -> Result<Step, Fault> {
    // No air is without it: this is the value before the first measurement.
    let co2 = within(f64::from(co2), 1.0..=40_000.0, "ppm")?;
    let temperature = within(-45.0 + 175.0 * f64::from(temperature) / 65535.0, -10.0..=60.0, "C")?;
    let humidity = 100.0 * f64::from(humidity) / 65535.0;
    Ok(Step::Done(vec![("co2", co2), ("temperature", temperature), ("humidity", humidity)]))
}
