//! Pulse inputs: pins whose falling edges a board counts at each tick of its clock.

use tilth_sensors::pulse::Counter;

/// At most `N` pins `P` that are counted at the same time.
#[derive(Debug)]
pub struct PulseInputs<P, const N: usize>([Option<(P, Counter)>; N]);

impl<P: Copy + PartialEq, const N: usize> PulseInputs<P, N> {
    /// No pin.
    pub const fn new() -> Self {
        Self([const { None }; N])
    }

    /// Falling edges at a pin since this was first asked, when `start` makes the pin an input; `None` when all inputs are in use at
    /// other pins.
    pub fn count(&mut self, pin: P, start: impl FnOnce(P)) -> Option<u32> {
        if let Some((_, counter)) = self.0.iter().flatten().find(|(at, _)| *at == pin) {
            return Some(counter.count());
        }
        let free = self.0.iter_mut().find(|input| input.is_none())?;
        start(pin);
        *free = Some((pin, Counter::new()));
        Some(0)
    }

    /// Ends counting at a pin, which now measures something else.
    pub fn forget(&mut self, pin: P) {
        let is_at = |input: &&mut Option<(P, Counter)>| matches!(input, Some((at, _)) if *at == pin);
        if let Some(input) = self.0.iter_mut().find(is_at) {
            *input = None;
        }
    }

    /// Samples the pins; to be called once a millisecond.
    pub fn sample(&mut self, is_high: impl Fn(P) -> bool) {
        for (pin, counter) in self.0.iter_mut().flatten() {
            counter.sample(is_high(*pin));
        }
    }
}

impl<P: Copy + PartialEq, const N: usize> Default for PulseInputs<P, N> {
    fn default() -> Self {
        Self::new()
    }
}
