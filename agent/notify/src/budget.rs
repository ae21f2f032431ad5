//! How many notifications a channel may send in an hour: half of them at once, the others spread over the hour, so that in
//! no hour there are more, and an urgent one never waits for long.

use tilth_core::time::{Span, Uptime};

const HOUR: Span = Span::from_mins(60);

/// A channel's rate cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Notifications that may go at once.
    burst: i64,
    /// After the burst, one in each span of this length.
    every: Span,
    /// When the whole burst is available again.
    full_at: Uptime,
}

impl Budget {
    pub(crate) fn per_hour(most: u32) -> Budget {
        let most = i64::from(most.max(1));
        let burst = (most + 1) / 2;
        // Of a cap of one, all is in the burst; the hour is then the wait.
        let spread = (most - burst).max(1);
        let every = Span((HOUR.0 + spread - 1) / spread);
        Budget { burst, every, full_at: Uptime(i64::MIN) }
    }

    /// How many may go now.
    pub(crate) fn left(&self, now: Uptime) -> i64 {
        let missing = (self.full_at - now).0.max(0);
        (self.burst * self.every.0 - missing) / self.every.0
    }

    /// When one may go.
    pub(crate) fn next(&self) -> Uptime {
        self.full_at - Span(self.every.0 * (self.burst - 1))
    }

    /// Counts one that goes.
    pub(crate) fn take(&mut self, now: Uptime) {
        self.full_at = self.full_at.max(now) + self.every;
    }

    /// Takes back one that was counted and did not arrive.
    pub(crate) fn give_back(&mut self) {
        self.full_at = self.full_at - self.every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hour_has_more_than_the_cap_and_none_waits_long() {
        for most in [1, 2, 3, 7, 30, 60, 3600] {
            let mut budget = Budget::per_hour(most);
            let mut sent: Vec<i64> = Vec::new();
            for second in 0..4 * 3600 {
                let now = Uptime(second * 1000);
                while budget.left(now) > 0 {
                    budget.take(now);
                    sent.push(now.0);
                }
                assert!(budget.next() > now, "{most}");
            }
            let in_hour = |from: i64| sent.iter().filter(|at| (from..from + HOUR.0).contains(at)).count();
            let fullest = sent.iter().map(|from| in_hour(*from)).max().unwrap();
            assert!(fullest <= most as usize, "{most}: {fullest}");
            assert!(sent.len() >= 3 * (most as usize / 2), "{most}: {}", sent.len());
        }
        let mut budget = Budget::per_hour(30);
        let now = Uptime(5000);
        let before = budget.left(now);
        budget.take(now);
        assert_eq!(budget.left(now), before - 1);
        budget.give_back();
        assert_eq!(budget.left(now), before);
    }
}
