//! Contact at a pin (door, float, leak): its level once it has stopped bouncing.

/// How long a level must last before it counts, in milliseconds: reed contacts bounce for up to 5 ms, switches for up to 20.
pub const DEBOUNCE_MS: u16 = 30;

/// How long a contact is given to come to rest, in milliseconds. One that still bounces has the level it shows then.
pub const PATIENCE_MS: u16 = 200;

/// A contact whose level is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling {
    began: u16,
    open: bool,
    since: u16,
}

impl Settling {
    /// Begins at `now`, the low 16 bits of a clock in milliseconds, with the level at that time.
    pub fn new(now: u16, open: bool) -> Self {
        Self { began: now, open, since: now }
    }

    /// Takes a sample; whether the contact is open, once it is at rest.
    pub fn sample(&mut self, now: u16, open: bool) -> Option<bool> {
        if open != self.open {
            self.open = open;
            self.since = now;
        }
        let rests = now.wrapping_sub(self.since) >= DEBOUNCE_MS || now.wrapping_sub(self.began) >= PATIENCE_MS;
        rests.then_some(self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples (time, open) after a first one at their first time that is closed; the level, and when it counted.
    fn check(samples: &[(u16, bool)], expected: Option<(u16, bool)>) {
        let mut contact = Settling::new(samples[0].0, false);
        let settled = samples.iter().find_map(|(at, open)| Some((*at, contact.sample(*at, *open)?)));
        assert_eq!(settled, expected, "level of {samples:?}");
    }

    #[test]
    fn a_level_counts_after_it_lasted() {
        check(&[(0, true), (29, true), (30, true)], Some((30, true)));
        check(&[(0, false), (29, false), (30, false)], Some((30, false)));
    }

    #[test]
    fn a_bounce_begins_the_wait_anew() {
        check(&[(0, true), (20, false), (21, true), (50, true), (51, true)], Some((51, true)));
    }

    #[test]
    fn a_contact_that_never_rests_has_a_level_all_the_same() {
        let samples: std::vec::Vec<_> = (0..=20).map(|n| (n * 10, n % 2 == 0)).collect();
        check(&samples, Some((200, true)));
    }

    #[test]
    fn the_short_clock_may_wrap() {
        check(&[(65_530, true), (23, true), (24, true)], Some((24, true)));
    }
}
