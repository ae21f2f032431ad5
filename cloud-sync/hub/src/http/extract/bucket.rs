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

    /// Takes tokens, at most a burst, or returns the time to wait for them.
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
mod tests;
