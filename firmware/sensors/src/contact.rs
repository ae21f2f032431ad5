//! Contact at a pin (door, float, leak), with its bouncing left out.

/// How long a level must last before it counts, in milliseconds: reed contacts bounce for up to 5 ms, switches for up to 20.
pub const DEBOUNCE_MS: u16 = 30;

/// A contact that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    open: bool,
    candidate: bool,
    since: u16,
}

impl Contact {
    /// A contact whose level is taken as it is, at `now`, the low 16 bits of a clock in milliseconds.
    pub fn new(now: u16, open: bool) -> Self {
        Self { open, candidate: open, since: now }
    }

    /// Takes a sample; whether the contact changed by it. To be called at least every 30 s, for the clock is short.
    pub fn sample(&mut self, now: u16, open: bool) -> bool {
        if open != self.candidate {
            self.candidate = open;
            self.since = now;
        }
        let changed = self.candidate != self.open && now.wrapping_sub(self.since) >= DEBOUNCE_MS;
        if changed {
            self.open = self.candidate;
        }
        changed
    }

    /// Whether the contact is open.
    pub fn is_open(&self) -> bool {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples (time, open, changed) of a contact that is closed at first.
    fn check(samples: &[(u16, bool, bool)]) {
        let mut contact = Contact::new(samples[0].0, false);
        for (at, open, changed) in samples {
            assert_eq!(contact.sample(*at, *open), *changed, "at {at} ms");
        }
    }

    #[test]
    fn a_level_counts_after_it_lasted() {
        check(&[(0, true, false), (29, true, false), (30, true, true), (31, true, false)]);
    }

    #[test]
    fn a_bounce_begins_the_wait_anew() {
        check(&[(0, true, false), (20, false, false), (21, true, false), (50, true, false), (51, true, true)]);
    }

    #[test]
    fn the_short_clock_may_wrap() {
        check(&[(65_530, true, false), (23, true, false), (24, true, true)]);
    }
}
