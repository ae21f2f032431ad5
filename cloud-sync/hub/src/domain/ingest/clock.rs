//! What is known of a boot's clock: which word of a device weighs more, and when two boots are one.

use std::ops::RangeInclusive;

use tilth_core::time::Span;

/// Two boots of one number whose beginnings lie closer together are the same. A store that is made anew is a card changed
/// and a restart, which takes longer; a trusted clock errs by less.
const SAME_BOOT: Span = Span::from_mins(2);

/// The time of day at uptime zero, as a device says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// In milliseconds since 1970.
    pub(crate) offset: i64,
    /// A clock event; else it follows from the stamp of a row.
    pub(crate) is_anchor: bool,
    /// The uptime at which it was said, in milliseconds.
    pub(crate) said_at: i64,
    pub(crate) source: Option<String>,
    pub(crate) error_ms: Option<i64>,
}

impl Word {
    /// The word of a row's stamp.
    pub(crate) fn of_stamp(offset: i64, said_at: i64) -> Word {
        Word { offset, is_anchor: false, said_at, source: None, error_ms: None }
    }

    /// A clock event weighs more than a stamp, and what was said later more than what was said earlier.
    pub(crate) fn outweighs(&self, known: Option<&Word>) -> bool {
        known.is_none_or(|known| (self.is_anchor, self.said_at) > (known.is_anchor, known.said_at))
    }
}

/// The times of day at which a boot began that is the same as one of this number that began at `offset`, in ms.
pub(crate) fn same_boot(offset: i64) -> RangeInclusive<i64> {
    offset.saturating_sub(SAME_BOOT.0)..=offset.saturating_add(SAME_BOOT.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_words_and_clock_events_weigh_more() {
        let stamp = |said_at| Word::of_stamp(0, said_at);
        let anchor = |said_at| Word { is_anchor: true, ..stamp(said_at) };
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
