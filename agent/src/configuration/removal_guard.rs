//! Guards against accidental removals: a change of files takes effect at once, unless it removes something. Pure.
//!
//! A file that is written in two pieces, emptied for a moment or moved aside looks like one from which rules were removed. So a change
//! that removes something waits until the files have not changed for [`QUIET`].

use std::time::{Duration, Instant};

use tilth_config::Files;
use tilth_core::plan::Plan;

/// Time without a change after which files count as complete.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// Longest wait: files that keep changing take effect after it.
const LONGEST: Duration = Duration::from_secs(300);

/// A change that waits, or none.
#[derive(Debug, Default)]
pub(super) struct RemovalGuard {
    /// When the first of the changes was noticed.
    since: Option<Instant>,
}

impl RemovalGuard {
    /// When a changed configuration is to be checked again, unless with the next change; `None` where it takes effect now. `changed` is when
    /// the files changed last.
    pub(super) fn wait_until(&mut self, now: Instant, changed: Instant, removes: bool) -> Option<Instant> {
        if removes {
            let since = *self.since.get_or_insert(changed);
            let due = (changed + QUIET).min(since + LONGEST);
            if now < due {
                return Some(due);
            }
        }
        self.since = None;
        None
    }
}

/// What a changed configuration removes from the running one, in words; empty where it only adds and changes.
pub(super) fn removals((files_before, plan_before): (&Files, &Plan), (files, plan): (&Files, &Plan)) -> Vec<String> {
    let mut gone = removed_from_files(files_before, files);
    if gone.is_empty() {
        // For example by enabled = false, or a selector that fits fewer sensors.
        let rules = plan_before.rules().filter(|rule| plan.rule(&rule.key).is_none());
        gone.extend(rules.map(|rule| format!("{} of {}", rule.key.rule, rule.key.sensor)));
    }
    gone
}

/// What changed files no longer have, in words. Under a hub's bundle the only file is `agent.toml`.
pub(super) fn removed_from_files(before: &Files, now: &Files) -> Vec<String> {
    let unfinished = now.unfinished(before).into_iter().map(|file| format!("the end of {file}"));
    unfinished.chain(now.removed_since(before)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_something_away_waits_for_quiet_files_and_what_does_not_is_never_late() {
        let zero = Instant::now();
        let at = |secs: u64| zero + Duration::from_secs(secs);
        let mut removal_guard = RemovalGuard::default();
        assert_eq!(removal_guard.wait_until(at(0), at(0), false), None);
        // Emptied, and written again a moment later.
        assert_eq!(removal_guard.wait_until(at(1), at(1), true), Some(at(11)));
        assert_eq!(removal_guard.wait_until(at(3), at(3), false), None);
        // Taken out for good, in three steps.
        assert_eq!(removal_guard.wait_until(at(20), at(20), true), Some(at(30)));
        assert_eq!(removal_guard.wait_until(at(25), at(25), true), Some(at(35)));
        assert_eq!(removal_guard.wait_until(at(30), at(25), true), Some(at(35)), "it is no reason to be woken");
        assert_eq!(removal_guard.wait_until(at(35), at(25), true), None);
        // A file that something writes to without end.
        let waits =
            (0..).map(|n| at(100 + n * 5)).take_while(|now| removal_guard.wait_until(*now, *now, true).is_some());
        assert_eq!(waits.count(), 60);
        assert_eq!(removal_guard.wait_until(at(1000), at(1000), true), Some(at(1010)), "and the next one waits again");
    }
}
