//! How many requests a key may make: a bucket that fills steadily and gives one token a request.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

/// With this many, full buckets are dropped before another is made, since a full one is like none. Where that does not help,
/// all are: room is bounded whoever calls.
const MANY: usize = 10_000;

/// The buckets of one kind of caller. Time is what has passed since any fixed instant.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
}

/// Counts in thousandths of a token, so that filling is exact in whole milliseconds.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u64,
    at: Duration,
}

const TOKEN: u64 = 1000;

impl<K: Hash + Eq> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Buckets<K> {
        Buckets { rate, buckets: HashMap::new() }
    }

    /// Takes a token, or says how long to wait for one.
    pub(crate) fn take(&mut self, key: K, now: Duration) -> Result<(), Duration> {
        self.take_many(key, 1, now)
    }

    /// Takes some tokens, no more than a burst, or says how long to wait for them.
    pub(crate) fn take_many(&mut self, key: K, tokens: u32, now: Duration) -> Result<(), Duration> {
        let rate = self.rate;
        if self.buckets.len() >= MANY && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| bucket.filled(rate, now).level < rate.full());
            if self.buckets.len() >= MANY {
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
    pub(crate) fn give_back(&mut self, key: &K) {
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
            let taken = buckets.take("key", Duration::from_millis(at_ms));
            assert_eq!(taken, expected.map_err(Duration::from_millis), "at {at_ms}");
        }
        assert_eq!(buckets.take("another key", Duration::from_millis(60_000)), Ok(()));
    }

    #[test]
    fn a_token_that_is_given_back_can_be_taken_again() {
        let mut buckets = Buckets::new(Rate { per_second: 1, burst: 1 });
        buckets.give_back(&"key");
        for _ in 0..3 {
            assert_eq!(buckets.take("key", Duration::ZERO), Ok(()));
            buckets.give_back(&"key");
            buckets.give_back(&"key");
        }
        assert_eq!(buckets.take("key", Duration::ZERO), Ok(()));
        assert!(buckets.take("key", Duration::ZERO).is_err());
    }

    #[test]
    fn many_tokens_at_once() {
        let mut buckets = Buckets::new(Rate { per_second: 10, burst: 100 });
        for (at_ms, tokens, expected) in
            [(0, 100, Ok(())), (0, 0, Ok(())), (0, 50, Err(5_000)), (4_999, 50, Err(1)), (5_000, 50, Ok(()))]
        {
            let taken = buckets.take_many("key", tokens, Duration::from_millis(at_ms));
            assert_eq!(taken, expected.map_err(Duration::from_millis), "{tokens} at {at_ms}");
        }
    }

    #[test]
    fn many_callers_take_bounded_room() {
        let mut buckets = Buckets::new(Rate { per_second: 1, burst: 1 });
        for caller in 0..5 * MANY {
            assert_eq!(buckets.take(caller, Duration::from_secs(caller as u64 * 2)), Ok(()));
        }
        assert!(buckets.buckets.len() <= MANY);
        for caller in 0..5 * MANY {
            assert_eq!(buckets.take(caller, Duration::from_secs(1_000_000)), Ok(()));
        }
        assert!(buckets.buckets.len() <= MANY);
    }
}
