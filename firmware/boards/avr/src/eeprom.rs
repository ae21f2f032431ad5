//! EEPROM: bytes that outlive a power cut (section 12.4). A byte takes 3.4 ms to write, which the loop need not wait for.

use avr_device::interrupt::free;

use crate::chip::EEPROM;

/// The EEPROM: 1,024 bytes of the ATmega328P, 4,096 of the ATmega2560.
pub struct Eeprom(EEPROM);

impl Eeprom {
    /// Takes the EEPROM into use.
    pub fn new(eeprom: EEPROM) -> Self {
        Self(eeprom)
    }

    /// Whether no byte is being written.
    pub fn is_ready(&self) -> bool {
        self.0.eecr().read().eepe().bit_is_clear()
    }

    /// Reads a byte. While another one is being written, waits for that.
    pub fn read(&self, address: u16) -> u8 {
        while !self.is_ready() {}
        self.select(address);
        self.0.eecr().write(|w| w.eere().set_bit());
        self.0.eedr().read().bits()
    }

    /// Whether a byte is written. If another one is there, begins to write it. To be called while the EEPROM is ready; it wears by writing
    /// only.
    pub fn is_written(&mut self, address: u16, byte: u8) -> bool {
        if self.read(address) == byte {
            return true;
        }
        // SAFETY: every byte may be written.
        self.0.eedr().write(|w| unsafe { w.bits(byte) });
        // The second write must follow within four cycles (section 12.5.4): two instructions, and no interrupt between them.
        free(|_| {
            // SAFETY: sets EEMPE and then EEPE of EECR, which is at I/O address 0x1F of both chips.
            unsafe { core::arch::asm!("sbi 0x1f, 2", "sbi 0x1f, 1", options(nostack, preserves_flags)) }
        });
        false
    }

    fn select(&self, address: u16) {
        // SAFETY: addresses beyond the end wrap.
        self.0.eear().write(|w| unsafe { w.bits(address) });
    }
}
