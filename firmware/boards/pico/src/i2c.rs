//! I2C master at 100 kHz on GPIO 4 and 5 (section 4.3). Every wait is bounded, so that a bus which is held down stops nothing else; that
//! of rp2040-hal waits for good.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::i2c::{self, Error, ErrorKind, ErrorType, NoAcknowledgeSource, Operation};
use rp2040_hal::pac::I2C0;
use rp2040_hal::pac::i2c0::RegisterBlock;
use rp2040_hal::pac::io_bank0::gpio::gpio_ctrl::FUNCSEL_A;

use crate::CPU_HZ;
use crate::delay::Delay;
use crate::pin::{OpenDrain, Pin};
use crate::reset::{self, Peripheral};

const SDA: Pin = Pin::new(4);
const SCL: Pin = Pin::new(5);

/// Cycles of the processor in a clock of the bus.
const PERIOD: u32 = CPU_HZ / 100_000;

/// Cycles that SCL is low in each: three fifths (table 10 of UM10204 asks for 4.7 us of 10).
const LOW: u32 = PERIOD * 3 / 5;

/// Cycles that SDA is held after SCL fell: 300 ns (section 4.3.14.2).
const HOLD: u32 = CPU_HZ / 10_000_000 * 3 + 1;

/// Rounds of waiting for one step: over 1 ms, ten times a byte at 100 kHz; a chip that stretches the clock longer is a fault.
const PATIENCE: u32 = 10_000;

/// Why a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BusError {
    /// No chip acknowledged the address or a byte.
    NoAcknowledge,
    /// The bus is held down, or did not come to an end in time.
    Bus,
}

impl Error for BusError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAcknowledge => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            Self::Bus => ErrorKind::Bus,
        }
    }
}

/// The I2C bus. A transaction blocks for 90 us a byte.
pub(crate) struct I2c(I2C0);

impl I2c {
    /// Takes the bus into use, with the pins' pull-ups beside those of the sensors.
    pub(crate) fn start(i2c: I2C0) -> Self {
        let this = Self(i2c);
        this.configure();
        this
    }

    fn configure(&self) {
        reset::restart(Peripheral::I2c0);
        // The registers of fast mode hold the timing of any speed up to 400 kHz. TX_EMPTY then tells that the last bit is sent.
        self.0.ic_con().write(|w| {
            w.speed().fast();
            w.master_mode().enabled().ic_slave_disable().slave_disabled();
            w.ic_restart_en().enabled().tx_empty_ctrl().enabled()
        });
        // SAFETY: at 125 MHz all four are within their fields.
        unsafe {
            self.0.ic_fs_scl_lcnt().write(|w| w.ic_fs_scl_lcnt().bits(LOW as u16));
            self.0.ic_fs_scl_hcnt().write(|w| w.ic_fs_scl_hcnt().bits((PERIOD - LOW) as u16));
            self.0.ic_fs_spklen().write(|w| w.ic_fs_spklen().bits((LOW / 16) as u8));
            self.0.ic_sda_hold().write(|w| w.ic_sda_tx_hold().bits(HOLD as u16));
        }
        SDA.set_function(FUNCSEL_A::I2C, true);
        SCL.set_function(FUNCSEL_A::I2C, true);
    }

    fn run(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        self.select(address);
        let length = |operation: &Operation<'_>| match operation {
            Operation::Write(bytes) => bytes.len(),
            Operation::Read(into) => into.len(),
        };
        // The last byte carries the stop. The controller sends a start of its own where the direction changes.
        let mut left = operations.iter().map(length).sum::<usize>();
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    for byte in bytes.iter() {
                        left -= 1;
                        self.write(*byte, left == 0)?;
                    }
                }
                Operation::Read(into) => {
                    for byte in &mut **into {
                        left -= 1;
                        *byte = self.read(left == 0)?;
                    }
                }
            }
        }
        self.wait_for_stop()
    }

    fn select(&self, address: u8) {
        self.0.ic_enable().write(|w| w.enable().disabled());
        // SAFETY: addresses of seven bits are within the field.
        self.0.ic_tar().write(|w| unsafe { w.ic_tar().bits(address.into()) });
        self.0.ic_enable().write(|w| w.enable().enabled());
        // Reading clears what the transaction before left.
        self.0.ic_clr_intr().read();
    }

    fn write(&self, byte: u8, last: bool) -> Result<(), BusError> {
        // SAFETY: every byte may be sent.
        self.0.ic_data_cmd().write(|w| unsafe { w.cmd().write().stop().bit(last).dat().bits(byte) });
        self.step(|i2c| i2c.ic_raw_intr_stat().read().tx_empty().is_active())
    }

    fn read(&self, last: bool) -> Result<u8, BusError> {
        self.0.ic_data_cmd().write(|w| w.cmd().read().stop().bit(last));
        self.step(|i2c| i2c.ic_rxflr().read().bits() > 0)?;
        Ok(self.0.ic_data_cmd().read().dat().bits())
    }

    /// Waits until a step is done, or given up by the controller.
    fn step(&self, is_done: impl Fn(&RegisterBlock) -> bool) -> Result<(), BusError> {
        let is_aborted = || self.0.ic_raw_intr_stat().read().tx_abrt().is_active();
        let ended = (0..PATIENCE).any(|_| is_aborted() || is_done(&self.0));
        if is_aborted() {
            let source = self.0.ic_tx_abrt_source().read();
            self.0.ic_clr_tx_abrt().read();
            let refused = source.abrt_7b_addr_noack().bit_is_set() || source.abrt_txdata_noack().bit_is_set();
            return Err(if refused { BusError::NoAcknowledge } else { BusError::Bus });
        }
        ended.then_some(()).ok_or(BusError::Bus)
    }

    /// Waits for the end of the transaction, which the controller also brings about after a refusal.
    fn wait_for_stop(&self) -> Result<(), BusError> {
        self.step(|i2c| i2c.ic_raw_intr_stat().read().stop_det().is_active())
    }

    /// Frees a bus on which a chip that missed a clock holds SDA: nine clocks end any byte (UM10204, section 3.1.16).
    fn recover(&mut self) {
        let mut data = OpenDrain::new(SDA);
        let mut clock = OpenDrain::new(SCL);
        for _ in 0..9 {
            half_clock(&mut clock, false);
            half_clock(&mut clock, true);
        }
        // A stop: SDA rises while SCL is high.
        half_clock(&mut clock, false);
        half_clock(&mut data, false);
        half_clock(&mut clock, true);
        half_clock(&mut data, true);
        self.configure();
    }
}

fn half_clock(line: &mut OpenDrain, high: bool) {
    let Ok(()) = if high { line.set_high() } else { line.set_low() };
    Delay.delay_us(5);
}

impl ErrorType for I2c {
    type Error = BusError;
}

impl i2c::I2c for I2c {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        let outcome = match self.run(address, operations) {
            Err(BusError::NoAcknowledge) => self.wait_for_stop().and(Err(BusError::NoAcknowledge)),
            outcome => outcome,
        };
        if outcome == Err(BusError::Bus) {
            self.recover();
        }
        outcome
    }
}
