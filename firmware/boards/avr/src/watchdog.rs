//! Watchdog: resets a board whose loop makes no progress for a second (section 15.9). After a reset all pins are inputs, and
//! relays fall.

use avr_device::interrupt::free;

use crate::chip::WDT;

/// Change enable and system reset enable, which must be written together first.
const UNLOCK: u8 = 1 << 4 | 1 << 3;

/// System reset after 1.0 s (table 15-2).
const RESET_AFTER_1_S: u8 = 1 << 3 | 0b110;

/// The watchdog, which cannot be stopped once it runs.
pub struct Watchdog(());

impl Watchdog {
    /// Starts the watchdog.
    pub fn start(watchdog: &WDT) -> Self {
        free(|_| {
            avr_device::asm::wdr();
            // SAFETY: the sequence of section 15.9.2; the second write comes within four cycles of the first.
            unsafe {
                watchdog.wdtcsr().write(|w| w.bits(UNLOCK));
                watchdog.wdtcsr().write(|w| w.bits(RESET_AFTER_1_S));
            }
        });
        Self(())
    }

    /// Says that the loop went round.
    pub fn feed(&mut self) {
        avr_device::asm::wdr();
    }
}
