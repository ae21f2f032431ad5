//! ADS1115 of Texas Instruments: four voltages against ground, up to 4.096 V, one after the other.
//!
//! Source: ADS1115 datasheet (SBAS444), section "Register map".

use std::time::Duration;

use embedded_hal::i2c::I2c;

use super::chip::{Step, Values};
use super::chip_io::{ChipIo, Fault};

const CONVERSION: u8 = 0;
const CONFIG: u8 = 1;
const FIELDS: [&str; 4] = ["a0", "a1", "a2", "a3"];

/// Start of a single conversion of channel 0 against ground: 4.096 V, 128 a second, comparator off. Differs from the power-on value,
/// 0x8583, in channel and range.
const START: u16 = 0xc383;
/// Set while no conversion runs.
const IS_DONE: u16 = 0x8000;
/// A conversion takes 7.8 ms, and the chip's clock may be 10 % slow.
const TAKES: Duration = Duration::from_millis(9);
const VOLTS: f64 = 4.096;
/// Polls of a conversion before it is given up.
const MAX_POLLS: u8 = 5;

/// The chip's channels that sensors read, and where the reading is.
#[derive(Debug)]
pub(super) struct Ads1115 {
    channels: Vec<usize>,
    values: Values,
    /// Polls of the running conversion; none before it is started.
    polls: Option<u8>,
}

impl Ads1115 {
    pub(super) fn new(fields: &[&'static str]) -> Ads1115 {
        let channels = (0..FIELDS.len()).filter(|channel| fields.contains(&FIELDS[*channel])).collect();
        Ads1115 { channels, values: Vec::new(), polls: None }
    }

    pub(super) fn restart(&mut self) {
        self.values.clear();
        self.polls = None;
    }

    pub(super) fn step<B: I2c>(&mut self, io: &mut ChipIo<'_, B>) -> Result<Step, Fault> {
        let Some(&channel) = self.channels.get(self.values.len()) else {
            return Ok(Step::Done(std::mem::take(&mut self.values)));
        };
        let start = START | (channel as u16) << 12;
        let Some(polls) = self.polls else {
            let [high, low] = start.to_be_bytes();
            io.write(&[CONFIG, high, low])?;
            self.polls = Some(0);
            return Ok(Step::Again(TAKES));
        };
        let config = u16::from_be_bytes(io.registers(CONFIG)?);
        if config & !IS_DONE != start & !IS_DONE {
            return Err(Fault::PowerLost);
        }
        if config & IS_DONE == 0 {
            self.polls = Some(polls + 1);
            return if polls + 1 < MAX_POLLS { Ok(Step::Again(TAKES)) } else { Err(Fault::NotReady) };
        }
        let counts = i16::from_be_bytes(io.registers(CONVERSION)?);
        if counts == i16::MAX || counts == i16::MIN {
            return Err(Fault::OutOfRange(format!("{VOLTS} V or more at {}", FIELDS[channel])));
        }
        self.polls = None;
        self.values.push((FIELDS[channel], f64::from(counts) * VOLTS / 32768.0));
        Ok(if self.values.len() < self.channels.len() {
            Step::Again(Duration::ZERO)
        } else {
            Step::Done(std::mem::take(&mut self.values))
        })
    }
}
