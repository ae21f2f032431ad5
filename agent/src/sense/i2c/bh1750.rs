//! BH1750 of ROHM: light in lux. The chip has no checksum and no register to read back.
//!
//! Source: BH1750FVI technical note, "Instruction set" and "Measurement sequence".

use std::time::Duration;

use embedded_hal::i2c::I2c;

use super::chip::Step;
use super::chip_io::{ChipIo, Fault};

const POWER_ON: u8 = 0x01;
/// One measurement at 1 lux, after which the chip sleeps.
const ONCE: u8 = 0x20;
const TAKES: Duration = Duration::from_millis(180);
/// Counts per lux at the usual measurement time.
const COUNTS_PER_LUX: f64 = 1.2;

#[derive(Debug, Default)]
pub(super) struct Bh1750 {
    is_measuring: bool,
    /// The last measurement was 0, as a chip says in the dark and after its power was lost: only one that is 0 again is the dark.
    was_zero: bool,
}

impl Bh1750 {
    pub(super) fn step<B: I2c>(&mut self, io: &mut ChipIo<'_, B>) -> Result<Step, Fault> {
        if !self.is_measuring {
            io.write(&[POWER_ON])?;
            io.write(&[ONCE])?;
            self.is_measuring = true;
            return Ok(Step::Again(TAKES));
        }
        let counts = u16::from_be_bytes(io.read()?);
        self.is_measuring = false;
        if counts == 0 && !self.was_zero {
            self.was_zero = true;
            return Ok(Step::Again(Duration::ZERO));
        }
        self.was_zero = false;
        let lux = f64::from(counts) / COUNTS_PER_LUX;
        if counts == u16::MAX {
            return Err(Fault::OutOfRange(format!("{lux:.0} lux or more")));
        }
        Ok(Step::Done(vec![("light", lux)]))
    }
}
