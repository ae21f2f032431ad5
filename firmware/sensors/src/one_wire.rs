//! 1-Wire master at standard speed, on a pin with an open drain (Maxim application note 126).
//!
//! A slot lasts 70 us without interrupts: shorter than the time in which a serial line at 115,200 baud fills its receiver.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};

use crate::Fault;

/// Command to all devices on the line: the only one on its pin needs no address.
pub const SKIP_ROM: u8 = 0xCC;

/// A 1-Wire line. Its pin drives low, and is released where it is set high: a resistor of 4.7 kOhm pulls the line up.
pub struct OneWire<P, D> {
    pin: P,
    delay: D,
}

impl<P: InputPin + OutputPin, D: DelayNs> OneWire<P, D> {
    /// A line at this pin.
    pub fn new(pin: P, delay: D) -> Self {
        Self { pin, delay }
    }

    /// Resets the devices on the line, which takes 1 ms.
    ///
    /// # Errors
    /// [`Fault::Absent`] if no device answers, [`Fault::Bus`] if the line is held down.
    pub fn reset(&mut self) -> Result<(), Fault> {
        self.release();
        self.delay.delay_us(5);
        if self.is_low() {
            return Err(Fault::Bus);
        }
        self.pull();
        self.delay.delay_us(480);
        let answered = critical_section::with(|_| {
            self.release();
            self.delay.delay_us(70);
            self.is_low()
        });
        self.delay.delay_us(410);
        if self.is_low() {
            return Err(Fault::Bus);
        }
        if answered { Ok(()) } else { Err(Fault::Absent) }
    }

    /// Writes a byte, least significant bit first.
    pub fn write(&mut self, byte: u8) {
        for bit in 0..8_u8 {
            self.slot(byte >> bit & 1 != 0);
        }
    }

    /// Reads a byte, least significant bit first.
    pub fn read(&mut self) -> u8 {
        // To read is to write ones: a device that sends a zero holds the line down.
        (0..8_u8).fold(0, |byte, _| byte >> 1 | (u8::from(self.slot(true)) << 7))
    }

    /// One bit; what the line was 15 us after the slot began.
    fn slot(&mut self, bit: bool) -> bool {
        critical_section::with(|_| {
            self.pull();
            self.delay.delay_us(if bit { 4 } else { 60 });
            self.release();
            self.delay.delay_us(if bit { 8 } else { 6 });
            let level = !self.is_low();
            self.delay.delay_us(if bit { 55 } else { 1 });
            level
        })
    }

    // Pins of a microcontroller cannot fail: what embedded-hal allows to fail is a pin behind a bus.

    fn pull(&mut self) {
        let _ = self.pin.set_low();
    }

    fn release(&mut self) {
        let _ = self.pin.set_high();
    }

    fn is_low(&mut self) -> bool {
        self.pin.is_low().unwrap_or(true)
    }
}
