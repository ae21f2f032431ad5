//! Pulse inputs, sampled by the tick of the clock.

use core::cell::RefCell;

use critical_section::Mutex;
use tilth_firmware::PulseInputs;

use crate::pin::Pin;

/// Pins that can be counted at the same time.
const PULSE_INPUTS: usize = 4;

static INPUTS: Mutex<RefCell<PulseInputs<Pin, PULSE_INPUTS>>> = Mutex::new(RefCell::new(PulseInputs::new()));

/// Falling edges at a pin since this was first asked, of a contact or not; `None` when all inputs are in use at other pins.
pub(crate) fn count(pin: Pin, is_contact: bool) -> Option<u32> {
    critical_section::with(|section| INPUTS.borrow_ref_mut(section).count(pin, is_contact, Pin::pull_up))
}

/// Ends counting at a pin, which now measures something else.
pub(crate) fn forget(pin: Pin) {
    critical_section::with(|section| INPUTS.borrow_ref_mut(section).forget(pin));
}

/// Samples the pins; once a millisecond.
pub(crate) fn sample() {
    critical_section::with(|section| INPUTS.borrow_ref_mut(section).sample(Pin::is_high));
}
