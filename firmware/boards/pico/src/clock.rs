//! Board time from the microsecond timer, and the tick that wakes the loop (sections 2.4.5 and 4.6).
//!
//! The timer goes on while interrupts are off for long, as during the erasure of a sector of the flash; a count of ticks would not.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use rp2040_hal::Timer;

use crate::{CPU_HZ, pulse, uart};

/// The clock that the board's loop asks, more often than once in an hour.
pub(crate) struct Clock {
    timer: Timer,
    /// Milliseconds that are counted, and the timer's microseconds up to there.
    milliseconds: u32,
    counted: u32,
}

impl Clock {
    /// Starts the tick, once a millisecond. The timer runs already.
    pub(crate) fn start(timer: Timer, mut systick: SYST) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(CPU_HZ / 1_000 - 1);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
        Self { timer, milliseconds: 0, counted: timer.get_counter_low() }
    }

    /// Milliseconds since the start; wraps after 49.7 days.
    pub(crate) fn now(&mut self) -> u32 {
        let passed = self.timer.get_counter_low().wrapping_sub(self.counted) / 1_000;
        self.milliseconds = self.milliseconds.wrapping_add(passed);
        self.counted = self.counted.wrapping_add(passed * 1_000);
        self.milliseconds
    }
}

#[exception]
fn SysTick() {
    pulse::sample();
    uart::take_received();
}
