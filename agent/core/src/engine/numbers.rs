//! The numbers that people know alerts by: short, consecutive, and never given to two alerts, also by a process that remembers
//! nothing of the one before.
//!
//! A number is given only once the disk has recorded that it may be used (the reserved range), so the next process starts above
//! it. Where nothing can be reserved, numbers come from a second range with a random start.

use serde::{Deserialize, Serialize};

use crate::alert::AlertId;

/// Numbers that are reserved ahead, beside one for each rule: all of them may fire before a commit is through, and a disk may be
/// slow. Few enough that a power cut, which leaves them unused, costs no long numbers.
const AHEAD: u64 = 100;

/// Which numbers may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// The highest number that is reserved on the disk.
    #[serde(rename = "until")]
    pub through: AlertId,
    /// The last number of the random range, which numbers the alerts beyond the reserved one.
    #[serde(rename = "spare")]
    pub fallback: AlertId,
}

/// Counts alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    /// The last number of the reserved range that was given.
    pub(super) last: AlertId,
    /// Reserved numbers; none where nothing is remembered anywhere, such as in a replay: every number may be given.
    pub(super) reserve: Option<Reserve>,
}

impl Numbers {
    pub(super) fn begin(&mut self, after: AlertId, reserve: Option<Reserve>) {
        self.last = self.last.max(after);
        self.reserve = reserve;
    }

    pub(super) fn reserved(&mut self, after: AlertId, through: AlertId) {
        self.last = self.last.max(after);
        if let Some(reserve) = &mut self.reserve {
            reserve.through = reserve.through.max(through);
        }
    }

    /// The number of an alert that fires.
    pub(super) fn next(&mut self) -> AlertId {
        match &mut self.reserve {
            Some(reserve) if self.last >= reserve.through => {
                reserve.fallback.0 += 1;
                reserve.fallback
            }
            _ => {
                self.last.0 += 1;
                self.last
            }
        }
    }

    /// The highest number that should be reserved by now, where so many rules may fire: once a quarter of those ahead is given.
    pub(super) fn wanted(&self, rules: usize) -> AlertId {
        let through = self.reserve.map_or(AlertId(0), |reserve| reserve.through);
        let ahead = AHEAD + rules as u64;
        if self.last.0 + ahead - ahead / 4 > through.0 { AlertId(self.last.0 + ahead) } else { through }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(numbers: &mut Numbers, count: usize) -> Vec<u64> {
        (0..count).map(|_| numbers.next().0).collect()
    }

    #[test]
    fn a_number_is_given_only_once_it_is_reserved() {
        let mut numbers = Numbers::default();
        numbers.begin(AlertId(7), Some(Reserve { through: AlertId(9), fallback: AlertId(500_000) }));
        assert_eq!(next(&mut numbers, 4), [8, 9, 500_001, 500_002]);
        assert_eq!(numbers.wanted(0), AlertId(109));
        numbers.reserved(AlertId(0), AlertId(109));
        assert_eq!(next(&mut numbers, 2), [10, 11], "the reserved range goes on once the disk takes it");
        // An answer of the disk that comes late takes nothing back.
        numbers.reserved(AlertId(0), AlertId(50));
        assert_eq!((next(&mut numbers, 1), numbers.wanted(0)), (vec![12], AlertId(109)));
        // A database was found that knows more alerts.
        numbers.reserved(AlertId(300), AlertId(400));
        assert_eq!(next(&mut numbers, 1), [301]);
    }

    #[test]
    fn more_are_reserved_before_there_are_none_left() {
        let mut numbers = Numbers { last: AlertId(40), reserve: None };
        numbers.begin(AlertId(0), Some(Reserve { through: AlertId(140), fallback: AlertId(500_000) }));
        for (rules, given, wanted) in [(0, 25, 140), (0, 1, 166), (300, 0, 466)] {
            next(&mut numbers, given);
            assert_eq!(numbers.wanted(rules), AlertId(wanted), "{rules} rules");
        }
    }

    #[test]
    fn a_replay_counts_from_one() {
        assert_eq!(next(&mut Numbers::default(), 3), [1, 2, 3]);
    }
}
