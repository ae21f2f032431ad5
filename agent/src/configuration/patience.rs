//! When a changed configuration takes effect: at once, unless it takes something away. Pure.
//!
//! A file that is written in two pieces, emptied for a moment or moved aside looks like one from which rules were taken out. So
//! what takes something away waits until the files were quiet, and takes effect then, if it still does.

use std::time::{Duration, Instant};

use tilth_config::Files;
use tilth_core::plan::Plan;

/// Files that nobody touched for this long are as they are meant to be.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// Files that never come to rest take effect all the same.
const LONGEST: Duration = Duration::from_secs(300);

/// What is known of a change that waits.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// When the first of the changes was noticed.
    since: Option<Instant>,
}

/// What is to be done with a changed configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It takes effect now.
    Apply,
    /// It is looked at again at this instant, or with the next change.
    Wait(Instant),
}

impl Patience {
    /// `changed` is when the files changed last.
    pub(super) fn judge(&mut self, now: Instant, changed: Instant, takes_away: bool) -> Verdict {
        if takes_away {
            let since = *self.since.get_or_insert(changed);
            let due = (changed + QUIET).min(since + LONGEST);
            if now < due {
                return Verdict::Wait(due);
            }
        }
        self.since = None;
        Verdict::Apply
    }
}

/// A configuration as far as a later one is held against it.
#[derive(Debug)]
pub(super) struct Running<'a> {
    pub(super) files: &'a Files,
    pub(super) plan: &'a Plan,
}

/// What a changed configuration takes away from the one that runs, in words; nothing where it only adds and changes.
pub(super) fn taken_away(before: &Running<'_>, now: &Running<'_>) -> Vec<String> {
    let mut gone = taken_out(before.files, now.files);
    if gone.is_empty() {
        // Such as by enabled = false, or a selector that fits fewer sensors.
        let is_gone = |rule: &&tilth_core::plan::Rule| now.plan.rule(&rule.key).is_none();
        let rules = before.plan.rules().filter(is_gone);
        gone.extend(rules.map(|rule| format!("{} of {}", rule.key.rule, rule.key.sensor)));
    }
    gone
}

/// What changed files say no more, in words. Of a configuration that is a hub's bundle they are `agent.toml` alone.
pub(super) fn taken_out(before: &Files, now: &Files) -> Vec<String> {
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
        let mut patience = Patience::default();
        assert_eq!(patience.judge(at(0), at(0), false), Verdict::Apply);
        // Emptied, and written again a moment later.
        assert_eq!(patience.judge(at(1), at(1), true), Verdict::Wait(at(11)));
        assert_eq!(patience.judge(at(3), at(3), false), Verdict::Apply);
        // Taken out for good, in three steps.
        assert_eq!(patience.judge(at(20), at(20), true), Verdict::Wait(at(30)));
        assert_eq!(patience.judge(at(25), at(25), true), Verdict::Wait(at(35)));
        assert_eq!(patience.judge(at(30), at(25), true), Verdict::Wait(at(35)), "it is no reason to be woken");
        assert_eq!(patience.judge(at(35), at(25), true), Verdict::Apply);
        // A file that something writes to without end.
        let waits = (0..).map(|n| at(100 + n * 5)).take_while(|now| patience.judge(*now, *now, true) != Verdict::Apply);
        assert_eq!(waits.count(), 60);
        assert_eq!(patience.judge(at(1000), at(1000), true), Verdict::Wait(at(1010)), "and the next one waits anew");
    }
}
