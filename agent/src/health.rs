//! Health of the agent: marks that its tasks post, and what follows from them for systemd. [`health`] is pure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tilth_config::BusKind;
use tilth_core::id::Id;
use tilth_core::local::Local;
use tilth_core::time::{Span, Uptime, WallTime};
use tracing::warn;

use crate::clock::Clock;
use crate::sense::Calibrations;
use crate::sense::bus::HealthHandle;
use crate::store::thread::Progress;
use crate::store::{BLOCK_INTERVAL, LostHistory, Meter};

/// Upper limit of messages about missing history in `status`, the newest first.
pub(crate) const MOST_MISSING: usize = 5;

/// Longest time that a probe stays in decide's queue while decide works; a burst takes milliseconds.
const PROBE_PATIENCE: Span = Span::from_secs(10);

/// Longest time from recording to writing while the disk works: one interval, and most of another on a slow card.
const WRITE_PATIENCE: Span = Span(2 * BLOCK_INTERVAL.0);

/// Marks of all tasks at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Marks {
    pub(crate) probe: Probe,
    /// Why the store cannot write.
    pub(crate) store: Option<Trouble>,
    /// Time of the oldest row that is not on the disk.
    pub(crate) unwritten_from: Option<Uptime>,
    /// Why no rows reach the hub.
    pub(crate) sync: Option<Trouble>,
    pub(crate) buses: Vec<(Id, Trouble)>,
}

/// Last probe of decide: a command that decide answers at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Decide has not begun.
    #[default]
    NotSent,
    /// In decide's queue since then.
    Waiting(Uptime),
    CameThrough,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) what: &'static str,
    pub(crate) why: Option<String>,
    pub(crate) since: Uptime,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// Whether systemd's watchdog is fed now. Follows decide alone: an agent that decides is not killed for its disk or link.
    pub(crate) watchdog: bool,
    decide: &'static str,
    troubles: Vec<(String, Trouble)>,
}

pub(crate) fn health(now: Uptime, marks: &Marks) -> Health {
    let mut troubles = Vec::new();
    let mut add = |part: &str, trouble: Option<Trouble>| troubles.extend(trouble.map(|it| (part.to_owned(), it)));
    let decide = match marks.probe {
        Probe::NotSent => "starting",
        Probe::Waiting(since) if now - since >= PROBE_PATIENCE => {
            add("decide", Some(Trouble { what: "no answer", why: None, since }));
            "not monitoring"
        }
        Probe::Waiting(_) | Probe::CameThrough => "monitoring",
    };
    let hangs = marks.unwritten_from.filter(|from| now - *from >= WRITE_PATIENCE);
    let hangs = hangs.map(|since| Trouble { what: "nothing written", why: Some("the disk hangs".to_owned()), since });
    add("store", marks.store.clone().or(hangs));
    add("sync", marks.sync.clone());
    for (bus, trouble) in &marks.buses {
        add(&format!("bus {bus}"), Some(trouble.clone()));
    }
    Health { watchdog: marks.probe == Probe::CameThrough, decide, troubles }
}

impl Health {
    /// One line for people; `since` says when a trouble began.
    pub(crate) fn status(&self, since: impl Fn(Uptime) -> String) -> String {
        let mut status = self.decide.to_owned();
        for (part, trouble) in &self.troubles {
            let why = trouble.why.as_ref().map_or(String::new(), |why| format!(" ({})", why.replace('\n', "; ")));
            status += &format!("; {part}: {} {}{why}", trouble.what, since(trouble.since));
        }
        status
    }
}

/// Marks that tasks post and others read. Clones share them; the lock is held only to copy something in or out.
#[derive(Debug, Clone)]
pub(crate) struct HealthBoard {
    clock: Clock,
    posted: Arc<Mutex<Posted>>,
}

#[derive(Debug, Default)]
pub(crate) struct Posted {
    /// Those of decide, store and sync; the others follow from buses and progress.
    marks: Marks,
    pub(crate) buses: Vec<Bus>,
    pub(crate) progress: Progress,
    /// Rows dropped since the last write, in words.
    pub(crate) dropped: Vec<String>,
    /// Messages about missing history, the newest first.
    pub(crate) missing: Vec<String>,
    pub(crate) meter: Meter,
}

#[derive(Debug, Clone)]
pub(crate) struct Bus {
    pub(crate) id: Id,
    pub(crate) kind: BusKind,
    pub(crate) port: String,
    pub(crate) health: HealthHandle,
    pub(crate) calibrations: Calibrations,
}

impl HealthBoard {
    pub(crate) fn new(clock: Clock) -> HealthBoard {
        HealthBoard { clock, posted: Arc::default() }
    }

    pub(crate) fn probe_sent(&self) {
        self.posted().marks.probe = Probe::Waiting(self.clock.uptime());
    }

    pub(crate) fn probe_came_through(&self) {
        self.posted().marks.probe = Probe::CameThrough;
    }

    /// Posts why the store cannot write; `None` once it can.
    pub(crate) fn store_trouble(&self, why: Option<String>) {
        let now = self.clock.uptime();
        set(&mut self.posted().marks.store, why.map(|why| ("nothing written", Some(why))), now);
    }

    /// Posts what keeps rows from the hub, and why; `None` where they reach it again.
    pub(crate) fn sync_trouble(&self, trouble: Option<(&'static str, Option<String>)>) {
        let now = self.clock.uptime();
        set(&mut self.posted().marks.sync, trouble, now);
    }

    pub(crate) fn missing(&self, said: String) {
        let mut posted = self.posted();
        posted.missing.truncate(MOST_MISSING - 1);
        posted.missing.insert(0, said);
    }

    /// As [`HealthBoard::missing`], and in the log, in local time. Decide makes it an event.
    pub(crate) fn say_missing(&self, missing: &LostHistory, now: Option<WallTime>, local: &Local) {
        warn!(target: "store", "{}", missing.said(now, |at| local.second(at)));
        self.missing(missing.said(now, |at| at.to_string()));
    }

    pub(crate) fn posted(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn marks(&self) -> Marks {
        let posted = self.posted();
        let down = |bus: &Bus| {
            let health = bus.health.get();
            let why = Some(health.state.reason()?.to_owned());
            Some((bus.id.clone(), Trouble { what: "down", why, since: health.since? }))
        };
        let (unwritten_from, buses) =
            (posted.progress.unwritten_from(), posted.buses.iter().filter_map(down).collect());
        Marks { unwritten_from, buses, ..posted.marks.clone() }
    }
}

impl Posted {
    /// Why the store cannot write.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.marks.store.as_ref().and_then(|trouble| trouble.why.clone())
    }
}

/// A trouble that changes its reason lasts since its first one.
fn set(mark: &mut Option<Trouble>, trouble: Option<(&'static str, Option<String>)>, now: Uptime) {
    let since = mark.as_ref().map_or(now, |before| before.since);
    *mark = trouble.map(|(what, why)| Trouble { what, why, since });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockMode;

    fn at(secs: i64) -> Uptime {
        Uptime(secs * 1000)
    }

    fn trouble(what: &'static str, why: &str, since: i64) -> Option<Trouble> {
        Some(Trouble { what, why: Some(why.to_owned()), since: at(since) })
    }

    /// Seconds, a mark that changes then, and what follows from all marks: whether the watchdog is fed, and the status.
    type Moment = (i64, fn(&mut Marks), bool, &'static str);

    #[track_caller]
    fn check(timeline: &[Moment]) {
        let mut marks = Marks::default();
        for (now, change, watchdog, status) in timeline {
            change(&mut marks);
            let health = health(at(*now), &marks);
            let said = health.status(|since| format!("since {}", since.0 / 1000));
            assert_eq!((health.watchdog, said.as_str()), (*watchdog, *status), "at {now} s");
        }
    }

    #[test]
    fn the_watchdog_is_fed_when_a_probe_came_through_and_by_nothing_else() {
        check(&[
            (0, |_| (), false, "starting"),
            (1, |marks| marks.probe = Probe::Waiting(at(1)), false, "monitoring"),
            (1, |marks| marks.probe = Probe::CameThrough, true, "monitoring"),
            (6, |marks| marks.probe = Probe::Waiting(at(6)), false, "monitoring"),
            (15, |_| (), false, "monitoring"),
            (16, |_| (), false, "not monitoring; decide: no answer since 6"),
            (900, |_| (), false, "not monitoring; decide: no answer since 6"),
            (901, |marks| marks.probe = Probe::CameThrough, true, "monitoring"),
        ]);
    }

    #[test]
    fn a_hanging_disk_and_a_dead_link_are_said_and_leave_the_watchdog_alone() {
        check(&[
            (1, |marks| marks.probe = Probe::CameThrough, true, "monitoring"),
            (2, |marks| marks.unwritten_from = Some(at(2)), true, "monitoring"),
            (61, |_| (), true, "monitoring"),
            (62, |_| (), true, "monitoring; store: nothing written since 2 (the disk hangs)"),
            (
                70,
                |marks| marks.store = trouble("nothing written", "disk full", 69),
                true,
                "monitoring; store: nothing written since 69 (disk full)",
            ),
            (
                80,
                |marks| {
                    (marks.store, marks.unwritten_from) = (None, None);
                    marks.sync = trouble("hub unreachable", "connection\nrefused", 75);
                    marks.buses =
                        vec![(Id::new("gateway").unwrap(), trouble("down", "no such file", 78).expect("one"))];
                },
                true,
                "monitoring; sync: hub unreachable since 75 (connection; refused); \
                 bus gateway: down since 78 (no such file)",
            ),
            (
                90,
                |marks| {
                    marks.sync = None;
                    marks.buses.clear();
                },
                true,
                "monitoring",
            ),
        ]);
    }

    #[test]
    fn a_trouble_lasts_since_its_first_reason() {
        let clock = Clock::new(ClockMode::Input);
        let marks = HealthBoard::new(clock.clone());
        for (secs, why) in [(10, Some("disk full")), (20, Some("read-only")), (30, None), (40, Some("disk full"))] {
            clock.observe(WallTime(secs * 1000));
            marks.store_trouble(why.map(str::to_owned));
            let since = match secs {
                40 => 40,
                _ => 10,
            };
            let expected = why.and_then(|why| trouble("nothing written", why, since));
            assert_eq!(marks.marks().store, expected, "at {secs} s");
        }
    }
}
