//! Delays by counting cycles: for 1-Wire slots and the recovery of a bus, nothing longer.

use embedded_hal::delay::DelayNs;

use crate::CPU_HZ;

/// Busy delays. An interrupt on the way makes them longer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delay;

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        self.delay_us(ns.div_ceil(1_000));
    }

    fn delay_us(&mut self, us: u32) {
        delay_cycles(us * (CPU_HZ / 1_000_000));
    }
}

/// Waits for this many cycles of the processor.
pub(crate) fn delay_cycles(cycles: u32) {
    // A round of this loop is made for two cycles, and takes three on a Cortex-M0+.
    cortex_m::asm::delay(cycles / 3 * 2);
}
