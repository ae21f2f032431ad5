//! Delays by counting cycles: for 1-Wire slots and the recovery of a bus, nothing longer.

use embedded_hal::delay::DelayNs;

/// Busy delays. An interrupt on the way makes them longer.
#[derive(Debug, Clone, Copy)]
pub struct Delay;

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        self.delay_us(ns.div_ceil(1_000));
    }

    /// At most 16 ms.
    #[inline(always)]
    fn delay_us(&mut self, us: u32) {
        quarters(us as u16 * 4);
    }
}

/// Waits for `count` times a quarter of a microsecond, at least once.
#[inline(never)]
fn quarters(count: u16) {
    // SAFETY: counts a register down; four cycles a round.
    unsafe {
        core::arch::asm!("1: sbiw {count}, 1", "brne 1b", count = inout(reg_iw) count => _, options(nomem, nostack));
    }
}
