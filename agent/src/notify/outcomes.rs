//! Outcomes of deliveries on their way to decide. Bounded: when full, the oldest go, first those of attempts that are repeated, last
//! those that were given up. Pure.

use std::collections::VecDeque;

use tracing::warn;

use super::Delivery;
use crate::console::counted;

/// Outcomes that may wait: those of every channel's full queue, several times over.
pub(super) const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Oldest first.
    pub(super) waiting: VecDeque<Delivery>,
    unlogged: u64,
}

impl Outcomes {
    /// Beyond [`MOST`] one is dropped and counted. A page whose end is dropped is sent again after a restart, as a repeat.
    pub(super) fn push(&mut self, delivery: Delivery) {
        if self.waiting.len() >= MOST {
            let is_tried_again = |delivery: &Delivery| !delivery.outcome.status.is_final();
            let is_known = |delivery: &Delivery| !delivery.outcome.status.is_given_up();
            let least = self.waiting.iter().position(is_tried_again).or_else(|| self.waiting.iter().position(is_known));
            let least = least.unwrap_or(0);
            self.waiting.remove(least);
            self.unlogged += 1;
        }
        self.waiting.push_back(delivery);
    }

    /// Logs how many were dropped since the last time, once none waits any more.
    pub(super) fn log_dropped(&mut self) {
        if let Some(dropped) = self.take_unlogged() {
            let dropped = counted(dropped, "outcome");
            warn!(target: "notify", "{dropped} of deliveries not noted, the agent was too busy: after a restart these notices may \
                 come again, as repeats");
        }
    }

    fn take_unlogged(&mut self) -> Option<u64> {
        (self.waiting.is_empty() && self.unlogged > 0).then(|| std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use tilth_core::id::Id;
    use tilth_notify::message::{DeliveryStatus, Outcome};

    use super::*;

    fn delivery(number: usize, status: DeliveryStatus) -> Delivery {
        let outcome =
            Outcome { notification: format!("pi-{number}-1"), status, attempts: 1, reason: None, instead: None };
        Delivery { channel: Id::new("phone").unwrap(), outcome }
    }

    #[test]
    fn when_full_what_says_least_goes_first_and_is_counted() {
        let mut outcomes = Outcomes::default();
        for number in 0..MOST {
            let status = if number == 7 { DeliveryStatus::Retrying } else { DeliveryStatus::Sent };
            outcomes.push(delivery(number, status));
        }
        assert_eq!(outcomes.take_unlogged(), None);
        outcomes.push(delivery(MOST, DeliveryStatus::Sent));
        outcomes.push(delivery(MOST + 1, DeliveryStatus::Sent));
        let left: Vec<String> = outcomes.waiting.drain(..).map(|delivery| delivery.outcome.notification).collect();
        assert_eq!(left.len(), MOST);
        assert_eq!(left[0], "pi-1-1", "the oldest went second");
        assert!(!left.contains(&"pi-7-1".to_owned()), "what is tried again went first");
        assert_eq!((outcomes.take_unlogged(), outcomes.take_unlogged()), (Some(2), None));
    }
}
