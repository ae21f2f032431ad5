//! Board time: milliseconds since the board started, wrapping after 49.7 days.

/// Longest wait that a wrapping clock can tell from a past one, in milliseconds: 24.8 days.
const MAX_WAIT: u32 = i32::MAX as u32;

/// An instant of the board's clock. Instants are compared within 24.8 days of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoardTime(u32);

impl BoardTime {
    /// The instant at which the board's clock shows this many milliseconds.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// What the board's clock shows, in milliseconds.
    pub const fn millis(self) -> u32 {
        self.0
    }

    /// Adds a wait, in milliseconds, to this instant; a wait of more than 24.8 days is taken as that.
    #[must_use]
    #[inline(never)]
    pub fn after(self, wait: u32) -> Self {
        Self(self.0.wrapping_add(wait.min(MAX_WAIT)))
    }

    /// Whether `due` is now or past.
    #[inline(never)]
    pub const fn has_reached(self, due: Self) -> bool {
        self.0.wrapping_sub(due.0) <= MAX_WAIT
    }

    /// Milliseconds since `earlier`; of one that is later, the time until the clock wraps round to it.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The earlier of two instants.
    #[must_use]
    pub const fn earlier(self, other: Self) -> Self {
        if other.has_reached(self) { self } else { other }
    }
}

/// Whether a time, in milliseconds, is at least as long as another one. A function: where an AVR's compiler compares 32 bits to branch, it
/// takes twice the bytes of a call.
#[inline(never)]
pub(crate) const fn is_at_least(time: u32, other: u32) -> bool {
    time >= other
}

/// Whether two numbers are the same; a function for the same reason.
#[inline(never)]
pub(crate) const fn is_same(number: u32, other: u32) -> bool {
    number == other
}

/// Sets a time, in milliseconds; whether that changes it.
#[inline(never)]
pub(crate) fn renew(time: &mut u32, new: u32) -> bool {
    !is_same(core::mem::replace(time, new), new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_compared_over_the_wrap() {
        let before = BoardTime::from_millis(u32::MAX - 99);
        let after = before.after(300);
        assert_eq!(after.millis(), 200);
        assert!(after.has_reached(before) && !before.has_reached(after));
        assert_eq!((after.since(before), after.earlier(before)), (300, before));
        assert!(before.has_reached(before));
    }

    #[test]
    fn a_wait_too_long_for_the_clock_stays_in_the_future() {
        let now = BoardTime::from_millis(5);
        assert!(!now.has_reached(now.after(u32::MAX)));
    }
}
