//! Pulse counter: falling edges of a pin that is sampled every millisecond (flow, rain, wind).
//!
//! A level counts once two samples in a row agree, which leaves out contacts that bounce for less than a millisecond. Pulses
//! of up to 250 Hz are counted: 33 L/min of a flow sensor with 7.5 Hz for each L/min.

/// A counter of falling edges. A pin that is low from the first sample on has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    count: u32,
    /// Whether levels are high, as bits.
    levels: u8,
}

/// Level of the sample before.
const LAST: u8 = 1;

/// Level that counts.
const COUNTS: u8 = 2;

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Self {
        Self { count: 0, levels: 0 }
    }

    /// Takes a sample.
    pub fn sample(&mut self, high: bool) {
        if (self.levels & LAST != 0) != high {
            self.levels ^= LAST;
            return;
        }
        if (self.levels & COUNTS != 0) != high {
            self.levels ^= COUNTS;
            if !high {
                self.count = self.count.wrapping_add(1);
            }
        }
    }

    /// Falling edges so far; after `u32::MAX` comes 0.
    pub fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the falling edges of samples written as `-` (high) and `_` (low).
    fn check(samples: &str, expected: u32) {
        let mut counter = Counter::new();
        samples.chars().for_each(|sample| counter.sample(sample == '-'));
        assert_eq!(counter.count(), expected, "falling edges of {samples}");
    }

    #[test]
    fn falling_edges_are_counted_once() {
        check("----____----____----", 2);
        check("--__--__--__", 3);
    }

    #[test]
    fn a_level_of_one_sample_is_a_bounce() {
        check("----_----", 0);
        check("---_-_-____-_-_---", 1);
    }

    #[test]
    fn a_pin_that_is_low_at_the_start_has_no_edge() {
        check("______", 0);
        check("____---___", 1);
    }
}
