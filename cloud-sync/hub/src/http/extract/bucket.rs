//! Token buckets: a caller's bucket fills steadily, and each request takes a token. Pure.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// How fast a bucket fills, and how many tokens it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) per_second: u32,
    pub(super) burst: u32,
}

/// Most buckets of one limit. Then full ones are dropped, since a new bucket is full; where that is not enough, all are.
const MAX_BUCKETS: usize = 10_000;

/// The buckets of one kind of caller. Times are counted from any fixed instant.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
}

/// A bucket, in thousandths of a token: filling is then exact in whole milliseconds.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u64,
    at: Duration,
}

const TOKEN: u64 = 1000;

impl<K: Hash + Eq> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Buckets<K> {
        Buckets { rate, buckets: HashMap::new() }
    }

    /// Takes tokens, at most a burst of them, or says how long to wait for them.
    pub(super) fn take(&mut self, key: K, tokens: u32, now: Duration) -> Result<(), Duration> {
        let rate = self.rate;
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| bucket.filled(rate, now).level < rate.full());
            if self.buckets.len() >= MAX_BUCKETS {
                self.buckets.clear();
            }
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket { level: rate.full(), at: now });
        *bucket = bucket.filled(rate, now);
        let wanted = u64::from(tokens) * TOKEN;
        match bucket.level.checked_sub(wanted) {
            Some(left) => {
                bucket.level = left;
                Ok(())
            }
            None => Err(Duration::from_millis((wanted - bucket.level).div_ceil(u64::from(rate.per_second)))),
        }
    }

    /// Gives a token back.
    pub(super) fn give_back(&mut self, key: &K) {
        let full = self.rate.full();
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.level = (bucket.level + TOKEN).min(full);
        }
    }
}

impl Rate {
    fn full(self) -> u64 {
        u64::from(self.burst) * TOKEN
    }
}

impl Bucket {
    fn filled(self, rate: Rate, now: Duration) -> Bucket {
        let passed = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        let level = passed.saturating_mul(u64::from(rate.per_second)).saturating_add(self.level);
        Bucket { level: level.min(rate.full()), at: self.at.max(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_steady_rate() {
        let mut buckets = Buckets::new(Rate { per_second: 2, burst: 3 });
        for (at_ms, expected) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(500)),
            (499, Err(1)),
            (500, Ok(())),
            (500, Err(500)),
            // Time that goes back gives nothing.
            (0, Err(500)),
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_000, Err(500)),
        ] {
            let taken = buckets.take("key", 1, Duration::from_millis(at_ms));
            assert_eq!(taken, expected.map_err(Duration::from_millis), "at {at_ms}");
        }
        assert_eq!(buckets.take("another key", 1, Duration::from_millis(60_000)), Ok(()));
    }

    #[test]
    fn a_token_that_is_given_back_can_be_taken_again() {
        let mut buckets = Buckets::new(Rate { per_second: 1, burst: 1 });
        buckets.give_back(&"key");
        for _ in 0..3 {
            assert_eq!(buckets.take("key", 1, Duration::ZERO), Ok(()));
            buckets.give_back(&"key");
            buckets.give_back(&"key");
        }
        assert_eq!(buckets.take("key", 1, Duration::ZERO), Ok(()));
        assert!(buckets.take("key", 1, Duration::ZERO).is_err());
    }

    #[test]
    fn many_tokens_at_once() {
        let mut buckets = Buckets::new(Rate { per_second: 10, burst: 100 });
        for (at_ms, tokens, expected) in
            [(0, 100, Ok(())), (0, 0, Ok(())), (0, 50, Err(5_000)), (4_999, 50, Err(1)), (5_000, 50, Ok(()))]
        {
            let taken = buckets.take("key", tokens, Duration::from_millis(at_ms));
            assert_eq!(taken, expected.map_err(Duration::from_millis), "{tokens} at {at_ms}");
        }
    }

    #[test]
    fn many_callers_take_bounded_room() {
        let mut buckets = Buckets::new(Rate { per_second: 1, burst: 1 });
        for caller in 0..5 * MAX_BUCKETS {
            assert_eq!(buckets.take(caller, 1, Duration::from_secs(caller as u64 * 2)), Ok(()));
        }
        assert!(buckets.buckets.len() <= MAX_BUCKETS);
        for caller in 0..5 * MAX_BUCKETS {
            assert_eq!(buckets.take(caller, 1, Duration::from_secs(1_000_000)), Ok(()));
        }
        assert!(buckets.buckets.len() <= MAX_BUCKETS);
    }
}
