//! Clocks of boots: which observation outweighs another, and which boots of two streams are the same. Pure.

use std::ops::RangeInclusive;

use tilth_core::time::Span;

/// Two boots with one number that began within this time are the same. Replacing a card takes longer; a trusted clock errs by less.
const SAME_BOOT: Span = Span::from_mins(2);

/// A device's statement of the time of day at uptime 0 of a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClockObservation {
    /// Milliseconds since 1970.
    pub(crate) offset: i64,
    /// True for a clock event, false for the stamp of a row.
    pub(crate) is_anchor: bool,
    /// Uptime of the statement, in milliseconds.
    pub(crate) said_at: i64,
    pub(crate) source: Option<String>,
    pub(crate) error_ms: Option<i64>,
}

impl ClockObservation {
    /// Observation from the stamp of a row.
    pub(crate) fn of_stamp(offset: i64, said_at: i64) -> ClockObservation {
        ClockObservation { offset, is_anchor: false, said_at, source: None, error_ms: None }
    }

    /// Clock events outweigh stamps, later observations earlier ones.
    pub(crate) fn outweighs(&self, known: Option<&ClockObservation>) -> bool {
        known.is_none_or(|known| (self.is_anchor, self.said_at) > (known.is_anchor, known.said_at))
    }
}

/// Times of beginning, in ms since 1970, by which a boot is the same as one of its number that began at `offset`.
pub(crate) fn same_boot(offset: i64) -> RangeInclusive<i64> {
    offset.saturating_sub(SAME_BOOT.0)..=offset.saturating_add(SAME_BOOT.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_observations_and_clock_events_weigh_more() {
        let stamp = |said_at| ClockObservation::of_stamp(0, said_at);
        let anchor = |said_at| ClockObservation { is_anchor: true, ..stamp(said_at) };
        for (new, known, expected) in [
            (stamp(5), None, true),
            (stamp(5), Some(stamp(4)), true),
            (stamp(5), Some(stamp(5)), false),
            (stamp(9), Some(anchor(5)), false),
            (anchor(1), Some(stamp(5)), true),
            (anchor(5), Some(anchor(6)), false),
            (anchor(7), Some(anchor(6)), true),
        ] {
            assert_eq!(new.outweighs(known.as_ref()), expected, "{new:?} over {known:?}");
        }
    }

    #[test]
    fn boots_that_began_together_are_one() {
        for (one, other, expected) in
            [(0, 0, true), (0, 120_000, true), (120_001, 0, false), (i64::MIN, i64::MAX, false)]
        {
            assert_eq!(same_boot(one).contains(&other), expected, "{one} {other}");
            assert_eq!(same_boot(other).contains(&one), expected, "{other} {one}");
        }
    }
}
