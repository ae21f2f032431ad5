//! Pulse inputs: pins whose falling edges are counted at each tick of the clock.

use core::cell::UnsafeCell;

use avr_device::interrupt::{CriticalSection, Mutex, free};
use tilth_firmware::PulseInputs;

use crate::Pin;

/// Pins that can be counted at the same time.
const PULSE_INPUTS: usize = 2;

type Inputs = PulseInputs<Pin, PULSE_INPUTS>;

static INPUTS: Mutex<UnsafeCell<Inputs>> = Mutex::new(UnsafeCell::new(Inputs::new()));

/// Falling edges at a pin since this was first asked, of a contact or not; `None` when all inputs are in use at other pins.
pub(crate) fn count(pin: Pin, is_contact: bool) -> Option<u32> {
    free(|section| inputs(section).count(pin, is_contact, Pin::pull_up))
}

/// Ends counting at a pin, which now measures something else.
pub(crate) fn forget(pin: Pin) {
    free(|section| inputs(section).forget(pin));
}

/// Samples the pins; once a millisecond, from the clock's interrupt.
#[inline(always)]
pub(crate) fn sample(section: CriticalSection<'_>) {
    inputs(section).sample(Pin::is_high);
}

#[inline(always)]
fn inputs(section: CriticalSection<'_>) -> &mut Inputs {
    // SAFETY: within a critical section nothing else has the inputs, and each of the functions above takes them once.
    unsafe { &mut *INPUTS.borrow(section).get() }
}
