//! Digital pins, named by port and bit, as boards' wiring tables list them (section 18).

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};

/// A port, by the address of its register PINx; DDRx and PORTx follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "atmega328p", repr(u8))]
#[cfg_attr(feature = "atmega2560", repr(u16))]
#[expect(missing_docs, reason = "ports have letters")]
pub enum Port {
    #[cfg(feature = "atmega2560")]
    A = 0x20,
    B = 0x23,
    C = 0x26,
    D = 0x29,
    #[cfg(feature = "atmega2560")]
    E = 0x2C,
    #[cfg(feature = "atmega2560")]
    G = 0x32,
    #[cfg(feature = "atmega2560")]
    H = 0x100,
    #[cfg(feature = "atmega2560")]
    J = 0x103,
    #[cfg(feature = "atmega2560")]
    L = 0x109,
}

/// A pin of the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    port: Port,
    mask: u8,
}

impl Pin {
    /// Pin `bit` of `port`.
    pub const fn new(port: Port, bit: u8) -> Self {
        assert!(bit < 8, "a port has eight pins");
        Self { port, mask: 1 << bit }
    }

    /// Whether the level at the pin is high.
    #[inline(always)]
    pub fn is_high(self) -> bool {
        // SAFETY: PINx of an existing port; reading has no effect.
        unsafe { (self.port as usize as *const u8).read_volatile() & self.mask != 0 }
    }

    /// Makes the pin an input with its pull-up, which an open contact needs.
    pub fn pull_up(self) {
        self.change(DDR, false);
        self.change(PORT, true);
    }

    /// Makes the pin an output with this level, which it has from the first instant.
    pub fn drive(self, high: bool) {
        self.change(PORT, high);
        self.change(DDR, true);
    }

    /// Sets or clears the pin's bit in one of its port's registers.
    #[inline(never)]
    fn change(self, register: usize, set: bool) {
        let address = (self.port as usize + register) as *mut u8;
        // SAFETY: DDRx or PORTx of an existing port. No interrupt writes to ports, so that nothing comes between read and write.
        unsafe {
            let before = address.read_volatile();
            address.write_volatile(if set { before | self.mask } else { before & !self.mask });
        }
    }
}

const DDR: usize = 1;
const PORT: usize = 2;

/// A pin that drives low or is released; a resistor on the line pulls it up.
#[derive(Debug)]
pub struct OpenDrain(Pin);

impl OpenDrain {
    /// Releases the pin.
    pub fn new(pin: Pin) -> Self {
        pin.change(DDR, false);
        pin.change(PORT, false);
        Self(pin)
    }
}

impl ErrorType for OpenDrain {
    type Error = Infallible;
}

impl OutputPin for OpenDrain {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.change(DDR, true);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.change(DDR, false);
        Ok(())
    }
}

impl InputPin for OpenDrain {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.is_high())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.is_high())
    }
}
