//! Pulse inputs: pins whose falling edges a board counts at each tick of its clock.

use tilth_sensors::pulse::Counter;

/// At most `N` pins `P` that are counted at the same time.
#[derive(Debug)]
pub struct PulseInputs<P, const N: usize>([Input<P>; N]);

// Numbered from 0, so that free ones are of zeros.
#[derive(Debug)]
#[repr(u8)]
enum Input<P> {
    Free,
    At(P, Counter),
}

impl<P: Copy + PartialEq, const N: usize> PulseInputs<P, N> {
    /// No pin.
    pub const fn new() -> Self {
        Self([const { Input::Free }; N])
    }

    /// Falling edges at a pin since this was first asked, when `start` makes the pin an input; `None` when all inputs are in use at
    /// other pins. From now on the pin has a contact, which bounces, or not.
    pub fn count(&mut self, pin: P, is_contact: bool, start: impl FnOnce(P)) -> Option<u32> {
        if self.input(pin).is_none() {
            let free = self.0.iter_mut().find(|input| matches!(input, Input::Free))?;
            start(pin);
            *free = Input::At(pin, Counter::new());
        }
        match self.input(pin) {
            Some(Input::At(_, counter)) => Some(counter.count(is_contact)),
            _ => None,
        }
    }

    /// Ends counting at a pin, which now measures something else.
    pub fn forget(&mut self, pin: P) {
        if let Some(input) = self.input(pin) {
            *input = Input::Free;
        }
    }

    /// The input that counts at a pin.
    fn input(&mut self, pin: P) -> Option<&mut Input<P>> {
        self.0.iter_mut().find(|input| matches!(input, Input::At(at, _) if *at == pin))
    }

    /// Samples the pins; to be called once a millisecond.
    pub fn sample(&mut self, is_high: impl Fn(P) -> bool) {
        for input in &mut self.0 {
            if let Input::At(pin, counter) = input {
                counter.sample(is_high(*pin));
            }
        }
    }
}

impl<P: Copy + PartialEq, const N: usize> Default for PulseInputs<P, N> {
    fn default() -> Self {
        Self::new()
    }
}
