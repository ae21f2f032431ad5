//! How long to wait after a failure: growing, jittered, bounded. The delays are backon's.

use std::fmt;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tilth_core::time::Span;

/// The wait after the first failure, before jitter.
const FIRST: Duration = Duration::from_secs(1);

/// A series of waits that starts over after each success. The jitter follows from the seed alone, so that a run can be had again; devices
/// differ by their seeds, so that a hub that comes back is not met by all farms at once.
pub(super) struct Backoff {
    longest: Span,
    seed: u64,
    series: u64,
    delays: Option<ExponentialBackoff>,
}

impl Backoff {
    /// Waits of at most `longest`, jitter included.
    pub(super) fn new(longest: Span, seed: u64) -> Backoff {
        Backoff { longest, seed, series: 0, delays: None }
    }

    /// The next wait of this series.
    pub(super) fn next(&mut self) -> Span {
        let (longest, seed) = (self.longest, self.seed.wrapping_add(self.series.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let delays = self.delays.get_or_insert_with(|| {
            // Jitter adds up to the delay itself, so half the bound is the longest delay before it.
            ExponentialBuilder::new()
                .with_min_delay(FIRST)
                .with_max_delay(Duration::from_millis(longest.0.unsigned_abs() / 2))
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(seed)
                .build()
        });
        let delay = delays.next().expect("a series without a limit does not end");
        Span(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX).min(longest.0))
    }

    /// A success: the next failure begins a new series.
    pub(super) fn reset(&mut self) {
        if self.delays.take().is_some() {
            self.series = self.series.wrapping_add(1);
        }
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backoff(at most {}, series {})", self.longest, self.series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(seed: u64) -> Vec<i64> {
        let mut backoff = Backoff::new(Span::from_mins(5), seed);
        (0..12).map(|_| backoff.next().0).collect()
    }

    #[test]
    fn waits_double_with_jitter_up_to_the_bound_and_follow_from_the_seed() {
        let waits = series(7);
        for (step, wait) in waits.iter().enumerate() {
            let base = (1000_i64 << step).min(150_000);
            assert!((base..=2 * base).contains(wait), "{step}: {wait}");
        }
        assert_eq!(waits, series(7));
        assert_ne!(waits, series(8));
    }

    #[test]
    fn a_success_begins_a_new_series_with_other_jitter() {
        let mut backoff = Backoff::new(Span::from_mins(5), 1);
        let before: Vec<i64> = (0..3).map(|_| backoff.next().0).collect();
        backoff.reset();
        let after: Vec<i64> = (0..3).map(|_| backoff.next().0).collect();
        assert!(after[0] <= 2000);
        assert_ne!(before, after);
    }
}
