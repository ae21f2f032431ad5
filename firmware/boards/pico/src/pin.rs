//! Digital pins, named by their GPIO number, as the wiring table lists them (section 2.19).

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use rp2040_hal::pac::io_bank0::gpio::gpio_ctrl::FUNCSEL_A;
use rp2040_hal::pac::{IO_BANK0, PADS_BANK0, SIO, sio};

use crate::CPU_HZ;
use crate::delay::delay_cycles;

/// Cycles of the processor in half a microsecond.
const HALF_A_MICROSECOND: u32 = CPU_HZ / 2_000_000;

/// A pin of the chip, GPIO 0 to 29.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin(u8);

impl Pin {
    /// Pin GPIO `number`.
    pub(crate) const fn new(number: u8) -> Self {
        assert!(number < 30, "GPIO 0 to 29");
        Self(number)
    }

    /// Whether the level at the pin is high.
    pub(crate) fn is_high(self) -> bool {
        sio().gpio_in().read().bits() & self.mask() != 0
    }

    /// Makes the pin an input with its pull-up, which an open contact needs.
    pub(crate) fn pull_up(self) {
        self.set_output(false);
        self.set_function(FUNCSEL_A::SIO, true);
    }

    /// Makes the pin an output with this level, which it has from the first instant.
    pub(crate) fn drive(self, high: bool) {
        self.set_level(high);
        self.set_output(true);
        self.set_function(FUNCSEL_A::SIO, false);
    }

    fn set_level(self, high: bool) {
        // SAFETY: these registers set or clear the bits that are written as ones, and each pin has one.
        unsafe {
            if high {
                sio().gpio_out_set().write(|w| w.bits(self.mask()));
            } else {
                sio().gpio_out_clr().write(|w| w.bits(self.mask()));
            }
        }
    }

    fn set_output(self, on: bool) {
        // SAFETY: as above.
        unsafe {
            if on {
                sio().gpio_oe_set().write(|w| w.bits(self.mask()));
            } else {
                sio().gpio_oe_clr().write(|w| w.bits(self.mask()));
            }
        }
    }

    /// Gives the pin to a peripheral, with the pull-up or without.
    pub(crate) fn set_function(self, function: FUNCSEL_A, pull_up: bool) {
        // SAFETY: each pin has registers of its own, and no interrupt changes them.
        let (pads, pins) = unsafe { (&*PADS_BANK0::ptr(), &*IO_BANK0::ptr()) };
        pads.gpio(self.0.into()).modify(|_, w| w.ie().set_bit().od().clear_bit().pue().bit(pull_up).pde().clear_bit());
        pins.gpio(self.0.into()).gpio_ctrl().write(|w| w.funcsel().variant(function));
    }

    /// Gives the pin to the analog converter: no pull, no digital input.
    pub(crate) fn make_analog(self) {
        // SAFETY: as above.
        let pads = unsafe { &*PADS_BANK0::ptr() };
        pads.gpio(self.0.into()).modify(|_, w| w.ie().clear_bit().od().set_bit().pue().clear_bit().pde().clear_bit());
    }

    const fn mask(self) -> u32 {
        1 << self.0
    }
}

fn sio() -> &'static sio::RegisterBlock {
    // SAFETY: registers that set and clear single bits at once.
    unsafe { &*SIO::ptr() }
}

/// A pin that drives low or is released; a resistor on the line pulls it up.
#[derive(Debug)]
pub(crate) struct OpenDrain(Pin);

impl OpenDrain {
    /// Releases the pin.
    pub(crate) fn new(pin: Pin) -> Self {
        pin.set_output(false);
        pin.set_level(false);
        pin.set_function(FUNCSEL_A::SIO, false);
        Self(pin)
    }
}

impl ErrorType for OpenDrain {
    type Error = Infallible;
}

impl OutputPin for OpenDrain {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.set_output(true);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.set_output(false);
        Ok(())
    }
}

impl InputPin for OpenDrain {
    /// Takes half a microsecond, by which drivers tell the length of a pulse.
    fn is_high(&mut self) -> Result<bool, Infallible> {
        delay_cycles(HALF_A_MICROSECOND);
        Ok(self.0.is_high())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}
