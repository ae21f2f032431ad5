//! What became of notices, on its way to the task that decides. Bounded: when decide does not take them, the oldest go, first those that
//! say no more than that it is tried again, last those of which another channel is to tell. Pure.

use std::collections::VecDeque;

use super::Told;

/// Outcomes that may wait: those of every channel's full queue, several times over.
pub(super) const MOST: usize = 4096;

/// Outcomes that wait.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    waiting: VecDeque<Told>,
    unsaid: u64,
}

impl Outcomes {
    /// Beyond [`MOST`] one is dropped and counted. A page whose end is dropped is told again after a restart, as a repeat.
    pub(super) fn push(&mut self, told: Told) {
        if self.waiting.len() >= MOST {
            let is_tried_again = |told: &Told| !told.outcome.fate.is_final();
            let is_known = |told: &Told| !told.outcome.fate.is_given_up();
            let least = self.waiting.iter().position(is_tried_again).or_else(|| self.waiting.iter().position(is_known));
            let least = least.unwrap_or(0);
            self.waiting.remove(least);
            self.unsaid += 1;
        }
        self.waiting.push_back(told);
    }

    pub(super) fn pop(&mut self) -> Option<Told> {
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Nobody takes them any more.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How many were dropped since the last time, once none waits any more.
    pub(super) fn take_unsaid(&mut self) -> Option<u64> {
        (self.is_empty() && self.unsaid > 0).then(|| std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use tilth_core::id::Id;
    use tilth_notify::queue::{Fate, Outcome};

    use super::*;

    fn told(number: usize, fate: Fate) -> Told {
        let outcome = Outcome { notice: format!("pi-{number}-1"), fate, attempts: 1, reason: None, instead: None };
        Told { channel: Id::new("phone").unwrap(), outcome }
    }

    #[test]
    fn when_full_what_says_least_goes_first_and_is_counted() {
        let mut outcomes = Outcomes::default();
        for number in 0..MOST {
            let fate = if number == 7 { Fate::Retrying } else { Fate::Sent };
            outcomes.push(told(number, fate));
        }
        assert_eq!(outcomes.take_unsaid(), None);
        outcomes.push(told(MOST, Fate::Sent));
        outcomes.push(told(MOST + 1, Fate::Sent));
        let mut left: Vec<String> = Vec::new();
        while let Some(told) = outcomes.pop() {
            left.push(told.outcome.notice);
        }
        assert_eq!(left.len(), MOST);
        assert_eq!(left[0], "pi-1-1", "the oldest went second");
        assert!(!left.contains(&"pi-7-1".to_owned()), "what is tried again went first");
        assert_eq!((outcomes.take_unsaid(), outcomes.take_unsaid()), (Some(2), None));
    }
}
