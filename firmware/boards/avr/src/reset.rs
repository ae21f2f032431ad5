//! Why the board started: the chip's flags, and a word of memory that a reset leaves as it is.
//!
//! The bootloader of the Uno clears the flags. Then memory still tells a start with power (the word is as good as random) from one
//! without: such a reset counts as external, though it may be the watchdog's.

use core::cell::UnsafeCell;

use avr_device::interrupt::{Mutex, free};
use tilth_wire::ResetCause;

use crate::chip::CPU;

/// The firmware runs.
const RUNS: u16 = 0x7117;

/// The firmware panicked.
const PANICKED: u16 = 0x8AD0;

/// In a section that is not cleared at the start.
#[unsafe(link_section = ".noinit")]
static STATE: Mutex<UnsafeCell<u16>> = Mutex::new(UnsafeCell::new(0));

/// Why the board started. To be asked once, before the watchdog starts: it cannot be changed while its own flag is set.
pub fn cause(processor: &CPU) -> ResetCause {
    let flags = processor.mcusr().read();
    // SAFETY: clears the flags.
    processor.mcusr().write(|w| unsafe { w.bits(0) });
    let state = replace(RUNS);
    if flags.porf().bit_is_set() {
        return ResetCause::PowerOn;
    }
    if state == PANICKED {
        return ResetCause::Panic;
    }
    if flags.wdrf().bit_is_set() {
        return ResetCause::Watchdog;
    }
    if flags.borf().bit_is_set() {
        return ResetCause::BrownOut;
    }
    if flags.extrf().bit_is_set() || state == RUNS { ResetCause::External } else { ResetCause::PowerOn }
}

/// Waits for the watchdog to restart a board whose firmware panicked. Its relays must be off already.
pub fn panicked() -> ! {
    replace(PANICKED);
    loop {
        core::hint::spin_loop();
    }
}

fn replace(state: u16) -> u16 {
    free(|section| {
        let place = STATE.borrow(section).get();
        // SAFETY: within a critical section nothing else has the word; it outlives the program, so that no write may be left out.
        unsafe {
            let before = place.read_volatile();
            place.write_volatile(state);
            before
        }
    })
}
