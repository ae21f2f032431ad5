//! Pulse counter: falling edges of a pin that is sampled every millisecond (flow, rain, wind).
//!
//! A level of a sensor that does not bounce (Hall sensor, open collector) counts once two samples in a row agree: pulses of up to 250 Hz, which
//! are 33 L/min of a flow sensor with 7.5 Hz for each L/min. A level of a reed contact counts once it lasted for [`CONTACT_MS`].

/// How long a level of a contact must last to count, in milliseconds. The reed contacts of rain gauges bounce for up to 15 ms, and their buckets
/// hold them closed, and then open, for longer than twice this.
pub const CONTACT_MS: u8 = 16;

/// A counter of falling edges. A pin that is low from the first sample on has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    count: u32,
    /// The bits below, and above them the milliseconds for which the level of the sample before has lasted, of a contact.
    state: u8,
}

/// Whether the level of the sample before is high.
const LAST: u8 = 1;

/// Whether the level that counts is high.
const COUNTS: u8 = 2;

/// Whether the sensor is a contact, which bounces.
const CONTACT: u8 = 4;

/// A millisecond of the time that a level has lasted.
const MILLISECOND: u8 = 8;

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Self {
        Self { count: 0, state: 0 }
    }

    /// Takes a sample.
    pub fn sample(&mut self, high: bool) {
        if (self.state & LAST != 0) != high {
            self.state = (self.state ^ LAST) & (LAST | COUNTS | CONTACT);
            return;
        }
        if self.state & CONTACT != 0 && self.state < (CONTACT_MS - 1) * MILLISECOND {
            self.state += MILLISECOND;
            return;
        }
        if (self.state & COUNTS != 0) != high {
            self.state ^= COUNTS;
            if !high {
                self.count = self.count.wrapping_add(1);
            }
        }
    }

    /// Falling edges so far; after `u32::MAX` comes 0. From now on they are those of a contact, or of a sensor that does not bounce.
    pub fn count(&mut self, is_contact: bool) -> u32 {
        self.state = self.state & !CONTACT | if is_contact { CONTACT } else { 0 };
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
        assert_eq!(counter.count(false), expected, "falling edges of {samples}");
    }

    /// Counts the tips of a bucket by levels and their lengths in milliseconds, high first.
    fn check_contact(lengths: &[usize], expected: u32) {
        let mut counter = Counter::new();
        counter.count(true);
        for (number, length) in lengths.iter().enumerate() {
            (0..*length).for_each(|_| counter.sample(number % 2 == 0));
        }
        assert_eq!(counter.count(true), expected, "tips of {lengths:?}");
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

    #[test]
    fn a_contact_that_bounces_is_counted_once() {
        check_contact(&[100, 100, 100, 100, 100], 2);
        // A contact that bounces for 15 ms as it closes and as it opens.
        check_contact(&[100, 3, 4, 1, 5, 80, 2, 3, 5, 5, 60, 2, 9, 50, 4, 1, 30], 2);
        check_contact(&[100, 16, 100, 16, 100], 0);
        check_contact(&[100, 17, 17, 17, 17], 2);
    }

    /// What a board keeps or an agent sets takes effect from then on, and loses no pulse.
    #[test]
    fn a_counter_goes_on_when_its_sensor_becomes_a_contact() {
        let mut counter = Counter::new();
        let mut counted = |samples: &str, is_contact| {
            samples.chars().for_each(|sample| counter.sample(sample == '-'));
            counter.count(is_contact)
        };
        assert_eq!(counted("--__--", true), 1);
        assert_eq!(counted("__--", false), 1, "expected 16 ms of a contact");
        assert_eq!(counted("__", true), 2);
    }
}
