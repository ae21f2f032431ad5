//! Health of the agent: states that its tasks post, and what follows from them for systemd. [`health`] is pure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_core::id::Id;
use tilth_core::local::Local;
use tilth_core::time::{Span, Uptime, WallTime};
use tracing::warn;

use crate::clock::Clock;
use crate::sense::Bus;
use crate::store::thread::Progress;
use crate::store::{BLOCK_INTERVAL, LostHistory, Meter};

/// Upper limit of messages about lost history in `status`, the newest first.
pub(crate) const MOST_LOST: usize = 5;

/// Longest time that a ping stays in decide's queue while decide works; a burst takes milliseconds.
const PING_PATIENCE: Span = Span::from_secs(10);

/// Longest time from recording to writing while the disk works: one interval, and most of another on a slow card.
const WRITE_PATIENCE: Span = Span(2 * BLOCK_INTERVAL.0);

/// States of all tasks at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TaskStates {
    pub(crate) ping: Ping,
    /// Why the store cannot write.
    pub(crate) store: Option<Problem>,
    /// Time of the oldest row that is not on the disk.
    pub(crate) unwritten_from: Option<Uptime>,
    /// Why no rows reach the hub.
    pub(crate) sync: Option<Problem>,
    pub(crate) buses: Vec<(Id, Problem)>,
}

/// Last ping of decide: a command that decide answers at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ping {
    /// Decide has not begun.
    #[default]
    NotSent,
    /// In decide's queue since then.
    Waiting(Uptime),
    CameThrough,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) what: &'static str,
    pub(crate) why: Option<String>,
    pub(crate) since: Uptime,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// Whether systemd's watchdog is fed now. Follows decide alone: an agent that decides is not killed for its disk or link.
    pub(crate) watchdog: bool,
    decide: &'static str,
    problems: Vec<(String, Problem)>,
}

pub(crate) fn health(now: Uptime, states: &TaskStates) -> Health {
    let mut problems = Vec::new();
    let mut add = |part: &str, problem: Option<Problem>| problems.extend(problem.map(|it| (part.to_owned(), it)));
    let decide = match states.ping {
        Ping::NotSent => "starting",
        Ping::Waiting(since) if now - since >= PING_PATIENCE => {
            add("decide", Some(Problem { what: "no answer", why: None, since }));
            "not monitoring"
        }
        Ping::Waiting(_) | Ping::CameThrough => "monitoring",
    };
    let hangs = states.unwritten_from.filter(|from| now - *from >= WRITE_PATIENCE);
    let hangs = hangs.map(|since| Problem { what: "nothing written", why: Some("the disk hangs".to_owned()), since });
    add("store", states.store.clone().or(hangs));
    add("sync", states.sync.clone());
    for (bus, problem) in &states.buses {
        add(&format!("bus {bus}"), Some(problem.clone()));
    }
    Health { watchdog: states.ping == Ping::CameThrough, decide, problems }
}

impl Health {
    /// One line for people; `since` says when a problem began.
    pub(crate) fn status(&self, since: impl Fn(Uptime) -> String) -> String {
        let mut status = self.decide.to_owned();
        for (part, problem) in &self.problems {
            let why = problem.why.as_ref().map_or(String::new(), |why| format!(" ({})", why.replace('\n', "; ")));
            status += &format!("; {part}: {} {}{why}", problem.what, since(problem.since));
        }
        status
    }
}

/// States that tasks post and others read. Clones share them; the lock is held only to copy something in or out.
#[derive(Debug, Clone)]
pub(crate) struct TaskHealth {
    clock: Clock,
    posted: Arc<Mutex<Posted>>,
}

#[derive(Debug, Default)]
pub(crate) struct Posted {
    /// States of decide, store and sync; those of other tasks follow from buses and progress.
    states: TaskStates,
    pub(crate) buses: Vec<Bus>,
    pub(crate) progress: Progress,
    /// Rows dropped since the last write, in words.
    pub(crate) dropped: Vec<String>,
    /// Messages about lost history, the newest first.
    pub(crate) lost_history: Vec<String>,
    pub(crate) meter: Meter,
}

impl TaskHealth {
    pub(crate) fn new(clock: Clock) -> TaskHealth {
        TaskHealth { clock, posted: Arc::default() }
    }

    pub(crate) fn ping_sent(&self) {
        self.posted().states.ping = Ping::Waiting(self.clock.uptime());
    }

    pub(crate) fn ping_came_through(&self) {
        self.posted().states.ping = Ping::CameThrough;
    }

    /// Posts why the store cannot write; `None` once it can.
    pub(crate) fn store_problem(&self, why: Option<String>) {
        let now = self.clock.uptime();
        set(&mut self.posted().states.store, why.map(|why| ("nothing written", Some(why))), now);
    }

    /// Posts what keeps rows from the hub, and why; `None` where they reach it again.
    pub(crate) fn sync_problem(&self, problem: Option<(&'static str, Option<String>)>) {
        let now = self.clock.uptime();
        set(&mut self.posted().states.sync, problem, now);
    }

    pub(crate) fn history_lost(&self, said: String) {
        let mut posted = self.posted();
        posted.lost_history.truncate(MOST_LOST - 1);
        posted.lost_history.insert(0, said);
    }

    /// As [`TaskHealth::history_lost`], and in the log, in local time. Decide makes it an event.
    pub(crate) fn say_lost(&self, lost: &LostHistory, now: Option<WallTime>, local: &Local) {
        warn!(target: "store", "{}", lost.said(now, |at| local.second(at)));
        self.history_lost(lost.said(now, |at| at.to_string()));
    }

    pub(crate) fn posted(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn states(&self) -> TaskStates {
        let posted = self.posted();
        let down = |bus: &Bus| {
            let health = bus.health.get();
            let why = Some(health.state.reason()?.to_owned());
            Some((bus.id.clone(), Problem { what: "down", why, since: health.since? }))
        };
        let (unwritten_from, buses) =
            (posted.progress.unwritten_from(), posted.buses.iter().filter_map(down).collect());
        TaskStates { unwritten_from, buses, ..posted.states.clone() }
    }
}

impl Posted {
    /// Why the store cannot write.
    pub(crate) fn problem(&self) -> Option<String> {
        self.states.store.as_ref().and_then(|problem| problem.why.clone())
    }
}

/// A problem that changes its reason lasts since its first one.
fn set(state: &mut Option<Problem>, problem: Option<(&'static str, Option<String>)>, now: Uptime) {
    let since = state.as_ref().map_or(now, |before| before.since);
    *state = problem.map(|(what, why)| Problem { what, why, since });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockMode;

    fn at(secs: i64) -> Uptime {
        Uptime(secs * 1000)
    }

    fn problem(what: &'static str, why: &str, since: i64) -> Option<Problem> {
        Some(Problem { what, why: Some(why.to_owned()), since: at(since) })
    }

    /// Seconds, a state that changes then, and what follows from all: whether the watchdog is fed, and the status.
    type Moment = (i64, fn(&mut TaskStates), bool, &'static str);

    #[track_caller]
    fn check(timeline: &[Moment]) {
        let mut states = TaskStates::default();
        for (now, change, watchdog, status) in timeline {
            change(&mut states);
            let health = health(at(*now), &states);
            let said = health.status(|since| format!("since {}", since.0 / 1000));
            assert_eq!((health.watchdog, said.as_str()), (*watchdog, *status), "at {now} s");
        }
    }

    #[test]
    fn the_watchdog_is_fed_when_a_ping_came_through_and_by_nothing_else() {
        check(&[
            (0, |_| (), false, "starting"),
            (1, |states| states.ping = Ping::Waiting(at(1)), false, "monitoring"),
            (1, |states| states.ping = Ping::CameThrough, true, "monitoring"),
            (6, |states| states.ping = Ping::Waiting(at(6)), false, "monitoring"),
            (15, |_| (), false, "monitoring"),
            (16, |_| (), false, "not monitoring; decide: no answer since 6"),
            (900, |_| (), false, "not monitoring; decide: no answer since 6"),
            (901, |states| states.ping = Ping::CameThrough, true, "monitoring"),
        ]);
    }

    #[test]
    fn a_hanging_disk_and_a_dead_link_are_said_and_leave_the_watchdog_alone() {
        check(&[
            (1, |states| states.ping = Ping::CameThrough, true, "monitoring"),
            (2, |states| states.unwritten_from = Some(at(2)), true, "monitoring"),
            (61, |_| (), true, "monitoring"),
            (62, |_| (), true, "monitoring; store: nothing written since 2 (the disk hangs)"),
            (
                70,
                |states| states.store = problem("nothing written", "disk full", 69),
                true,
                "monitoring; store: nothing written since 69 (disk full)",
            ),
            (
                80,
                |states| {
                    (states.store, states.unwritten_from) = (None, None);
                    states.sync = problem("hub unreachable", "connection\nrefused", 75);
                    states.buses =
                        vec![(Id::new("gateway").unwrap(), problem("down", "no such file", 78).expect("one"))];
                },
                true,
                "monitoring; sync: hub unreachable since 75 (connection; refused); \
                 bus gateway: down since 78 (no such file)",
            ),
            (
                90,
                |states| {
                    states.sync = None;
                    states.buses.clear();
                },
                true,
                "monitoring",
            ),
        ]);
    }

    #[test]
    fn a_problem_lasts_since_its_first_reason() {
        let clock = Clock::new(ClockMode::EventTime);
        let health = TaskHealth::new(clock.clone());
        for (secs, why) in [(10, Some("disk full")), (20, Some("read-only")), (30, None), (40, Some("disk full"))] {
            clock.observe(WallTime(secs * 1000));
            health.store_problem(why.map(str::to_owned));
            let since = if secs == 40 { 40 } else { 10 };
            let expected = why.and_then(|why| problem("nothing written", why, since));
            assert_eq!(health.states().store, expected, "at {secs} s");
        }
    }
}
