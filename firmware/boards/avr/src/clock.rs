//! Board time: milliseconds since the start, counted by Timer 0 (section 19).

use core::cell::Cell;

use avr_device::interrupt::{CriticalSection, Mutex, free};

use crate::chip::TC0;
use crate::{CPU_HZ, pulse};

const PRESCALER: u32 = 64;

/// Counts of the timer in a millisecond, less one.
const TOP: u8 = (CPU_HZ / PRESCALER / 1_000 - 1) as u8;

static MILLISECONDS: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));

/// The clock that the board's loop asks.
#[derive(Debug)]
pub struct Clock(());

impl Clock {
    /// Starts the clock at 0. It runs once interrupts are on.
    pub fn start(timer: &TC0) -> Self {
        timer.tccr0a().write(|w| w.wgm0().ctc());
        // SAFETY: every value of the compare register is valid.
        timer.ocr0a().write(|w| unsafe { w.bits(TOP) });
        timer.tccr0b().write(|w| w.cs0().prescale_64());
        timer.timsk0().write(|w| w.ocie0a().set_bit());
        Self(())
    }

    /// Milliseconds since the start; wraps after 49.7 days.
    pub fn now(&self) -> u32 {
        free(|section| MILLISECONDS.borrow(section).get())
    }
}

#[inline(always)]
fn tick() {
    // SAFETY: an interrupt is not interrupted.
    let section = unsafe { CriticalSection::new() };
    let milliseconds = MILLISECONDS.borrow(section);
    milliseconds.set(milliseconds.get().wrapping_add(1));
    pulse::sample(section);
}

#[cfg(feature = "atmega328p")]
#[avr_device::interrupt(atmega328p)]
fn TIMER0_COMPA() {
    tick();
}

#[cfg(feature = "atmega2560")]
#[avr_device::interrupt(atmega2560)]
fn TIMER0_COMPA() {
    tick();
}
