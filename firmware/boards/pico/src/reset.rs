//! Why the board started, and the resets of single peripherals (sections 2.12, 2.14 and 4.7).
//!
//! A word that only a loss of power or the pin RUN clears tells a reset by the watchdog of this firmware from one by the boot ROM, which
//! starts a new image so.

use rp2040_hal::pac::{RESETS, VREG_AND_CHIP_RESET, WATCHDOG, watchdog};
use tilth_wire::ResetCause;

/// The firmware runs.
const RUNS: u32 = 0x7117_7117;

/// The firmware panicked.
const PANICKED: u32 = 0x8AD0_8AD0;

/// Why the board started. To be asked once. A supply voltage that fell too low cannot be told from power that came on.
pub(crate) fn cause(watchdog: &WATCHDOG, chip: &VREG_AND_CHIP_RESET) -> ResetCause {
    let reason = watchdog.reason().read();
    let state = watchdog.scratch0().read().bits();
    set_state(watchdog, RUNS);
    if reason.timer().bit_is_set() || reason.force().bit_is_set() {
        return match state {
            PANICKED => ResetCause::Panic,
            RUNS => ResetCause::Watchdog,
            _ => ResetCause::External,
        };
    }
    if chip.chip_reset().read().had_run().bit_is_set() { ResetCause::External } else { ResetCause::PowerOn }
}

/// Waits for the watchdog to restart a board whose firmware panicked. Its relays must be off already.
pub(crate) fn panicked() -> ! {
    // SAFETY: nothing else runs any more.
    set_state(unsafe { &*WATCHDOG::ptr() }, PANICKED);
    loop {
        // An interrupt wakes it, and the watchdog goes on.
        cortex_m::asm::wfi();
    }
}

fn set_state(watchdog: &watchdog::RegisterBlock, state: u32) {
    // SAFETY: a register of the program's own.
    watchdog.scratch0().write(|w| unsafe { w.bits(state) });
}

/// A peripheral that is held in reset until it is used, by its bit in the registers of resets.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Peripheral {
    Adc = 0,
    I2c0 = 3,
    Pins = 5,
    Pads = 8,
    Uart0 = 22,
}

/// Puts a peripheral into the state it has after a reset of the chip, ready for use.
pub(crate) fn restart(peripheral: Peripheral) {
    let bit = 1 << peripheral as u8;
    // SAFETY: only the loop changes resets, and every bit may be set or cleared.
    unsafe {
        let resets = &*RESETS::ptr();
        resets.reset().modify(|r, w| w.bits(r.bits() | bit));
        resets.reset().modify(|r, w| w.bits(r.bits() & !bit));
        while resets.reset_done().read().bits() & bit == 0 {}
    }
}
