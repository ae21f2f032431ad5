//! Health of a new version: whether it does what the old one did. Pure.

use serde::{Deserialize, Serialize};
use tilth_core::time::{Span, Uptime};

use crate::api::rows::StatusRow;

/// How long one process must do everything: the watchdog ends an agent that does not decide after 60 s, so one that runs for longer decides.
pub(super) const PROVEN: Span = Span::from_secs(75);

/// Patience with sensors and the hub, in multiples of the time that proves: 10 minutes.
const PATIENCE: i64 = 8;

/// A bus that gave values within this time worked.
const RECENT_S: f64 = 300.0;

/// Processes that may end in a trial.
const MOST_ENDED: u32 = 3;

/// What worked before an update, and must work after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Working {
    /// Buses that gave values.
    pub(super) buses: Vec<String>,
    /// The store takes what is measured.
    pub(super) store: bool,
    /// The hub answers.
    pub(super) hub: bool,
}

/// A running agent.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) process: i32,
    pub(super) working: Working,
}

/// Trial of a new version.
pub(super) struct Trial {
    proven_after: Span,
    began: Uptime,
    /// The process that was seen last, when it was seen first and last, and how many it followed.
    process: Option<i32>,
    since: Uptime,
    answered: Uptime,
    ended: u32,
}

impl Working {
    /// What works by the agent's own account.
    pub(super) fn of(status: &StatusRow) -> Working {
        let gives = |last_s: Option<f64>| last_s.is_some_and(|last_s| last_s <= RECENT_S);
        let buses = status.buses.iter().filter(|bus| bus.used > 0 && gives(bus.last_message_s));
        let hub = status.sync.as_ref().is_some_and(|sync| {
            let has_answered = sync.last_success.or(sync.config.last_success).is_some();
            has_answered && sync.why.is_none()
        });
        Working {
            buses: buses.map(|bus| bus.bus.clone()).collect(),
            store: status.store.trouble.is_none() && !status.store.path.is_empty(),
            hub,
        }
    }

    /// What worked before and does not now, in words; none where everything does.
    fn lacks(&self, now: &Working) -> Option<String> {
        let silent = self.buses.iter().filter(|bus| !now.buses.contains(bus));
        let mut lacks: Vec<String> = silent.map(|bus| format!("bus {bus} gives no values")).collect();
        if self.store && !now.store {
            lacks.push("the store takes nothing".to_owned());
        }
        if self.hub && !now.hub {
            lacks.push("the hub is not reached".to_owned());
        }
        (!lacks.is_empty()).then(|| lacks.join(", "))
    }
}

impl Trial {
    /// A trial that is passed after so long at the earliest.
    pub(super) fn begin(now: Uptime, proven_after: Span) -> Trial {
        Trial { proven_after, began: now, process: None, since: now, answered: now, ended: 0 }
    }

    /// Takes what is seen of the new version now. The result once there is one: passed, or why not.
    pub(super) fn look(&mut self, now: Uptime, before: &Working, seen: Option<&Seen>) -> Option<Result<(), String>> {
        if let Some(seen) = seen {
            if self.process != Some(seen.process) {
                self.ended += u32::from(self.process.is_some());
                (self.process, self.since) = (Some(seen.process), now);
            }
            self.answered = now;
        }
        let (in_all, silent) = (now - self.began, now - self.answered);
        let longest = Span(self.proven_after.0 * PATIENCE);
        if self.ended > MOST_ENDED {
            return Some(Err(format!("it ended {} times in {}", self.ended, in_all.in_words())));
        }
        // A farm that nobody watches waits for less.
        if silent.0 > longest.0 / 5 {
            return Some(Err(format!("it has not answered for {}", silent.in_words())));
        }
        let lacks = before.lacks(&seen?.working);
        match lacks {
            None if now - self.since >= self.proven_after => Some(Ok(())),
            Some(lacks) if in_all >= longest => Some(Err(format!("{lacks} after {}", in_all.in_words()))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rows::{BusState, SyncState};

    fn working(buses: &[&str], store: bool, hub: bool) -> Working {
        Working { buses: buses.iter().map(|bus| (*bus).to_owned()).collect(), store, hub }
    }

    /// A trial as a timeline: at each second a process that does this, or none. The second of the verdict, and the verdict.
    fn verdict(before: &Working, at: impl Fn(i64) -> Option<(i32, Working)>) -> (i64, Result<(), String>) {
        let mut trial = Trial::begin(Uptime(5000), PROVEN);
        let looked = (0..1000).find_map(|second| {
            let seen = at(second).map(|(process, working)| Seen { process, working });
            Some((second, trial.look(Uptime(5000 + second * 1000), before, seen.as_ref())?))
        });
        looked.expect("a trial ends")
    }

    fn failed(why: &str) -> Result<(), String> {
        Err(why.to_owned())
    }

    #[test]
    fn a_version_is_proven_once_one_process_has_outlived_the_watchdog_and_everything_works_again() {
        let before = working(&["gateway", "chips"], true, true);
        assert_eq!(verdict(&before, |at| (at >= 3).then(|| (7, before.clone()))), (78, Ok(())));
        // A slow sensor and the hub come later.
        let slow = |at: i64| match at {
            0..200 => working(&["chips"], true, false),
            200..300 => working(&["chips", "gateway"], true, false),
            _ => before.clone(),
        };
        assert_eq!(verdict(&before, |at| Some((7, slow(at)))), (300, Ok(())));
        // One that is started again begins anew.
        assert_eq!(verdict(&before, |at| Some((i32::from(at >= 70), before.clone()))), (145, Ok(())));
        // What did not work before is not asked for.
        assert_eq!(verdict(&working(&[], false, false), |_| Some((7, Working::default()))), (75, Ok(())));
    }

    #[test]
    fn a_version_that_does_less_is_not_proven() {
        let before = working(&["gateway", "chips"], true, true);
        let of = |working: &Working| verdict(&before, |_| Some((7, working.clone())));
        for (now, lacks) in [
            (working(&["chips"], true, true), "bus gateway gives no values after 10 min"),
            (working(&["gateway", "chips"], false, true), "the store takes nothing after 10 min"),
            (
                working(&[], true, false),
                "bus gateway gives no values, bus chips gives no values, the hub is not reached after 10 min",
            ),
        ] {
            assert_eq!(of(&now), (600, failed(lacks)));
        }
    }

    /// Guards against: a farm that is watched by nobody for as long as a slow sensor may take.
    #[test]
    fn a_version_that_does_not_run_is_noticed_soon() {
        let before = working(&[], true, false);
        assert_eq!(verdict(&before, |_| None), (121, failed("it has not answered for 2 min 1 s")));
        let hangs = |at: i64| (at < 20).then(|| (7, before.clone()));
        assert_eq!(verdict(&before, hangs), (140, failed("it has not answered for 2 min 1 s")));
        // The watchdog ends each after a minute.
        let process = |at: i64| i32::try_from(at / 60).unwrap();
        assert_eq!(
            verdict(&before, |at| Some((process(at), before.clone()))),
            (240, failed("it ended 4 times in 4 min"))
        );
    }

    #[test]
    fn what_works_is_read_from_status() {
        let mut status = StatusRow::default();
        assert_eq!(Working::of(&status), Working::default());
        let bus = |name: &str, used, last_message_s| BusState {
            bus: name.to_owned(),
            used,
            last_message_s,
            ..BusState::default()
        };
        status.buses =
            vec![bus("a", 5, Some(2.0)), bus("b", 5, Some(900.0)), bus("c", 0, Some(1.0)), bus("d", 0, None)];
        status.store.path = "/var/lib/tilth/tilth.db".to_owned();
        status.sync = Some(SyncState { last_success: Some(Uptime(1)), ..SyncState::default() });
        assert_eq!(Working::of(&status), working(&["a"], true, true));
        status.store.trouble = Some("the disk is full".to_owned());
        status.sync = status.sync.map(|sync| SyncState { why: Some("no route to host".to_owned()), ..sync });
        assert_eq!(Working::of(&status), working(&["a"], false, false));
    }
}
