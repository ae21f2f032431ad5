//! Pulse inputs: pins whose falling edges are counted at each tick of the clock.

use core::cell::UnsafeCell;

use avr_device::interrupt::{CriticalSection, Mutex, free};
use tilth_sensors::pulse::Counter;

use crate::Pin;

/// Pins that can be counted at the same time.
const PULSE_INPUTS: usize = 2;

struct Input {
    pin: Option<Pin>,
    counter: Counter,
}

const UNUSED: Input = Input { pin: None, counter: Counter::new() };

static INPUTS: Mutex<UnsafeCell<[Input; PULSE_INPUTS]>> = Mutex::new(UnsafeCell::new([const { UNUSED }; PULSE_INPUTS]));

/// Falling edges at a pin since this was first asked; `None` when all inputs are in use at other pins.
pub(crate) fn count(pin: Pin) -> Option<u32> {
    free(|section| {
        // SAFETY: within a critical section nothing else has the inputs.
        let inputs = unsafe { &mut *INPUTS.borrow(section).get() };
        if let Some(input) = inputs.iter().find(|input| input.pin == Some(pin)) {
            return Some(input.counter.count());
        }
        let input = inputs.iter_mut().find(|input| input.pin.is_none())?;
        pin.pull_up();
        input.pin = Some(pin);
        Some(0)
    })
}

/// Ends counting at a pin, which now measures something else.
pub(crate) fn forget(pin: Pin) {
    free(|section| {
        // SAFETY: within a critical section nothing else has the inputs.
        let inputs = unsafe { &mut *INPUTS.borrow(section).get() };
        if let Some(input) = inputs.iter_mut().find(|input| input.pin == Some(pin)) {
            *input = UNUSED;
        }
    });
}

/// Samples the pins; once a millisecond, from the clock's interrupt.
#[inline(always)]
pub(crate) fn sample(section: CriticalSection<'_>) {
    // SAFETY: within a critical section nothing else has the inputs.
    let inputs = unsafe { &mut *INPUTS.borrow(section).get() };
    for input in inputs {
        if let Some(pin) = input.pin {
            input.counter.sample(pin.is_high());
        }
    }
}
