//! Pulse inputs: pins whose falling edges are counted at each tick of the clock.

use core::cell::Cell;

use avr_device::interrupt::{CriticalSection, Mutex, free};
use tilth_sensors::pulse::Counter;

use crate::Pin;

/// Pins that can be counted at the same time.
pub const PULSE_INPUTS: usize = 2;

type Input = Mutex<Cell<Option<(Pin, Counter)>>>;

static INPUTS: [Input; PULSE_INPUTS] = [const { Mutex::new(Cell::new(None)) }; PULSE_INPUTS];

/// The pulse inputs, numbered from 0.
#[derive(Debug)]
pub struct PulseInputs(());

impl PulseInputs {
    /// The inputs, unused at first.
    pub const fn new() -> Self {
        Self(())
    }

    /// Counts from 0 at this pin, or stops counting.
    pub fn watch(&mut self, input: usize, pin: Option<Pin>) {
        free(|section| INPUTS[input].borrow(section).set(pin.map(|pin| (pin, Counter::new()))));
    }

    /// Falling edges so far; 0 for an input that is not used.
    pub fn count(&self, input: usize) -> u32 {
        free(|section| INPUTS[input].borrow(section).get().map_or(0, |(_, counter)| counter.count()))
    }
}

/// Samples the pins; once a millisecond, from the clock's interrupt.
#[inline(always)]
pub(crate) fn sample(section: CriticalSection<'_>) {
    for input in &INPUTS {
        let input = input.borrow(section);
        if let Some((pin, mut counter)) = input.get() {
            counter.sample(pin.is_high());
            input.set(Some((pin, counter)));
        }
    }
}
