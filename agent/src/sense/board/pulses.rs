//! Counters of pulses: how many came since the reading before, also over restarts and lost readings. Pure.

use std::collections::BTreeMap;

use tilth_wire::{Reading, Sample};

/// Pulses of a channel since its reading before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pulses {
    pub(super) count: u32,
    /// Board time in which they came, above 0.
    pub(super) millis: u32,
}

/// Counter and board time of the newest reading of each channel that counts.
pub(crate) type NewestCounts = BTreeMap<u8, (u32, u32)>;

/// The counters of one board.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) counted: NewestCounts,
    /// All readings since the board's boot were taken: a counter that was not read yet began at 0 with it.
    is_from_boot: bool,
}

impl Counters {
    /// Counters of which these readings were the newest ones.
    pub(super) fn resumed(counted: NewestCounts) -> Counters {
        Counters { counted, is_from_boot: false }
    }

    /// Counters of a board that has just booted.
    pub(super) fn of_new_boot() -> Counters {
        Counters { counted: NewestCounts::new(), is_from_boot: true }
    }

    /// Takes the next reading of a channel that counts. None where there is no reading before, or the counter restarted between them: as
    /// when its channel was set. Readings that are lost between two make the time longer, and lose no pulse.
    pub(super) fn take(&mut self, reading: &Reading) -> Option<Pulses> {
        let Sample::Value(count) = reading.sample else { return None };
        let now = (count.cast_unsigned(), reading.at);
        let before = self.counted.insert(reading.channel, now).or(self.is_from_boot.then_some((0, 0)))?;
        let (count, millis) = (now.0.wrapping_sub(before.0), now.1.wrapping_sub(before.1));
        let is_later = millis > 0 && count.cast_signed() >= 0;
        is_later.then_some(Pulses { count, millis })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(counters: &mut Counters, at: u32, count: u32) -> Option<(u32, u32)> {
        let sample = Sample::Value(count.cast_signed());
        counters.take(&Reading { seq: 0, at, channel: 5, sample }).map(|pulses| (pulses.count, pulses.millis))
    }

    #[test]
    fn pulses_are_those_since_the_reading_before_over_gaps_wraps_and_runs_of_the_agent() {
        let mut counters = Counters::default();
        assert_eq!(
            take(&mut counters, 10_000, u32::MAX - 4),
            None,
            "expected the first of a running board to say nothing"
        );
        assert_eq!(take(&mut counters, 20_000, 5), Some((10, 10_000)));
        let mut counters = Counters::resumed(counters.counted.clone());
        assert_eq!(take(&mut counters, 320_000, 305), Some((300, 300_000)));
        let fault = Reading { seq: 0, at: 330_000, channel: 5, sample: Sample::Fault(tilth_wire::Fault::Timeout) };
        assert_eq!(counters.take(&fault), None);
        assert_eq!(take(&mut counters, 340_000, 306), Some((1, 20_000)));
    }

    /// Guards against: four billion pulses, or rain that fell and is not counted, because a board was reset.
    #[test]
    fn after_a_reset_all_pulses_since_it_count_and_a_counter_that_goes_back_counts_none() {
        let mut counters = Counters::of_new_boot();
        assert_eq!(take(&mut counters, 4_000, 7), Some((7, 4_000)));
        assert_eq!(take(&mut counters, 14_000, 2), None);
        assert_eq!(take(&mut counters, 24_000, 3), Some((1, 10_000)));
        assert_eq!(take(&mut counters, 24_000, 3), None);
    }
}
