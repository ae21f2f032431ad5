//! Opening the store: the state that it restores, and the reports of its thread.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use serde_json::json;
use tilth_core::plan::Plan;
use tilth_core::time::{Uptime, WallTime};
use tilth_protocol::{Lane, Stream};
use tilth_sync::engine::Heads;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::checkpoint;
use crate::clock::{Anchor, Clock, Trust};
use crate::configuration::ConfigStatus;
use crate::console::listed;
use crate::decide::{DecideRequest, RestoredState, StoreReplaced};
use crate::health::{self, TaskHealth};
use crate::random;
use crate::store::thread::{self, InitialStore, Settings, StoreHandle, StoreReport, StoreWriter};
use crate::store::{
    BLOCK_INTERVAL, CurrentBoot, Found, LaneStates, LossAmount, Losses, LostHistory, Opened, Options, Policy, Store,
    StoreError, StoredCheckpoint,
};

/// Retention without a tier: that of silver.
pub(crate) const DEFAULT_POLICY: Policy =
    Policy { keep_days: 30, has_hub: true, most_bytes: 4 << 30, least_free_bytes: 256 << 20, events_bytes: 64 << 20 };

/// Upper limit of actuators that a remark names.
const MAX_NAMED: usize = 8;

pub(super) struct OpenStore {
    pub(super) restored: RestoredState,
    pub(super) store_writer: StoreWriter,
    pub(super) handle: StoreHandle,
    /// Last committed sequence of each lane.
    pub(super) heads: watch::Receiver<Heads>,
    pub(super) replaced: watch::Receiver<StoreReplaced>,
    pub(super) thread: JoinHandle<()>,
}

/// Starts the store's thread, which opens the database in a folder, and waits `until` then for the state that it restores. A damaged
/// database is moved aside. Where none can be opened, or the disk hangs, the thread keeps trying and the agent starts without.
/// `has_run` says that something other than the database shows that this device ran before; `has_hub` that a hub confirms rows.
pub(super) async fn open(
    data: &Path,
    clock: &Clock,
    health: TaskHealth,
    config: ConfigStatus,
    (has_run, has_hub): (bool, bool),
    to_decide: mpsc::Sender<DecideRequest>,
    until: Instant,
) -> anyhow::Result<OpenStore> {
    let options = Options { has_run, ..Options::new(clock.time_suffix()) };
    let (replaced_by, replaced) = watch::channel(StoreReplaced::default());
    let monitor = Arc::new(StoreMonitor {
        path: database(data),
        options: options.clone(),
        os_boot: clock.boot_id().context("boot id")?,
        clock: clock.clone(),
        health,
        config,
        heads: watch::Sender::new(heads_of(Stream(0), &LaneStates::default())),
        replaced: replaced_by,
        to_decide,
    });
    let (opening, listening, folder) = (Arc::clone(&monitor), Arc::clone(&monitor), data.to_owned());
    let settings = Settings {
        interval: BLOCK_INTERVAL,
        policy: Policy { has_hub, ..DEFAULT_POLICY },
        options,
        free_bytes: Box::new(move || free_bytes(&folder)),
        report: Box::new(move |report| listening.handle(report)),
    };
    let (answer, answered) = oneshot::channel();
    let (store_writer, handle, thread) =
        thread::start(move || opening.open(answer), settings).context("store thread")?;
    let restored = match timeout_at(until, answered).await {
        Ok(Ok(restored)) => restored,
        Ok(Err(_)) | Err(_) => monitor.without(&hangs()),
    };
    monitor.health.posted().progress = store_writer.progress();
    Ok(OpenStore { restored, store_writer, handle, heads: monitor.heads.subscribe(), replaced, thread })
}

fn hangs() -> StoreError {
    StoreError::Unreachable("it does not answer".to_owned())
}

pub(crate) fn database(data: &Path) -> PathBuf {
    data.join("tilth.db")
}

/// Opens the database and begins a boot in it.
fn begin(path: &Path, options: &Options, os_boot: &str, clock: &Clock) -> Result<(RestoredState, Store), StoreError> {
    let (mut store, opened) = Store::open(path, options)?;
    let mut remarks = remarks(&opened);
    let kept = store.checkpoint().unwrap_or_else(|error| {
        remarks.push(checkpoint::unreadable(&error));
        None
    });
    let (boot, alerts) = store.begin_boot(os_boot, last_number(&store, &opened, kept.as_ref()))?;
    restore_time(&store, clock);
    // What was lost is noted with decide's first commit, which has what follows from it: until then each start finds it.
    if opened.lost.is_none() {
        store.note_known(clock.now().1, true);
    }
    let after = match &kept {
        Some(kept) => store.reader().readings_after(kept.position).unwrap_or_else(|error| {
            remarks.push(error.to_string());
            Vec::new()
        }),
        None => Vec::new(),
    };
    let positions = store.board_positions().unwrap_or_else(|error| {
        remarks.push(error.to_string());
        Vec::new()
    });
    // Also where the run before was killed before it had written anything.
    let doses_unknown = kept.is_none() && opened.found == Found::Database;
    let (checkpoint, new_stream, lost) = (kept.map(|kept| kept.checkpoint), opened.new_stream.is_some(), opened.lost);
    Ok((RestoredState { boot, checkpoint, after, positions, alerts, new_stream, lost, doses_unknown, remarks }, store))
}

/// What a first start says where actuators have totals: an empty data folder is that of a new device, or of one whose card was replaced, and
/// nothing tells the two apart.
pub(super) fn unknown_totals(restored: &RestoredState, plan: &Plan) -> Option<String> {
    let is_first = restored.boot == 1 && restored.checkpoint.is_none() && restored.lost.is_none();
    let doses: Vec<&str> = plan.actuators().values().filter(|of| of.has_total()).map(|of| of.id.as_str()).collect();
    (is_first && !restored.doses_unknown && !doses.is_empty()).then(|| {
        let (names, hold) = (listed(doses, MAX_NAMED), "tilth-agent hold ZONE --for 24h");
        format!("the data folder is new: what {names} dosed within the last day is not known and counts as 0; if this is a new card, {hold}")
    })
}

/// Highest alert number that may be in use; a random one where that is not known.
fn last_number(store: &Store, opened: &Opened, kept: Option<&StoredCheckpoint>) -> u64 {
    let last = kept.map_or(0, |kept| kept.checkpoint.engine.last_number().0).max(store.alerts_through());
    let is_unknown = opened.lost.is_some() || (last == 0 && opened.found != Found::Nothing);
    if is_unknown { random::alert_number(last) } else { last }
}

/// Sets the time of day that an earlier run of this boot learnt, until something better is known. A simulated one goes on over a restart
/// as well.
fn restore_time(store: &Store, clock: &Clock) {
    let trust = match clock.anchor() {
        None => Trust::Stated,
        Some(Anchor { trust: Trust::Simulated, .. }) => Trust::Simulated,
        Some(_) => return,
    };
    if let Ok(Some(offset)) = store.wall_at_zero() {
        clock.trust(Anchor { offset_ms: offset.0, trust, error: None });
    }
}

fn remarks(opened: &Opened) -> Vec<String> {
    let damaged = match &opened.found {
        Found::Damaged { reason, moved_to } => {
            Some(format!("database damaged ({reason}); moved to {}, a new one was created", moved_to.display()))
        }
        Found::Nothing | Found::Database => None,
    };
    let stream = opened.new_stream.map(|why| format!("a new stream begins: {why}"));
    damaged.into_iter().chain(stream).collect()
}

fn log(remarks: &[String]) {
    remarks.iter().for_each(|remark| warn!(target: "store", "{remark}"));
}

/// The daemon's part on the store's thread: opens the database, and handles the reports of the thread.
struct StoreMonitor {
    path: PathBuf,
    options: Options,
    os_boot: String,
    clock: Clock,
    health: TaskHealth,
    config: ConfigStatus,
    heads: watch::Sender<Heads>,
    replaced: watch::Sender<StoreReplaced>,
    to_decide: mpsc::Sender<DecideRequest>,
}

impl StoreMonitor {
    /// Opens the database and answers with the state that it restores. If the answer is no longer awaited, the agent has started without a
    /// database, and this one is found later.
    fn open(&self, answer: oneshot::Sender<RestoredState>) -> InitialStore {
        let none =
            |error| InitialStore::NotOpen(CurrentBoot::uncounted(self.path.clone(), self.os_boot.clone()), error);
        match begin(&self.path, &self.options, &self.os_boot, &self.clock) {
            Ok((restored, store)) => {
                let is_awaited = !answer.is_closed();
                if is_awaited {
                    self.opened(&restored, &store);
                }
                let Err(restored) = answer.send(restored) else { return InitialStore::Open(Box::new(store)) };
                // Closed in order, which takes the log away: the next opening is not to miss it.
                if restored.lost.is_none_or(|lost| lost.amount == LossAmount::PerhapsNone) {
                    store.note_known(self.clock.now().1, false);
                }
                none(hangs())
            }
            Err(error) => {
                let _ = answer.send(self.without(&error));
                none(error)
            }
        }
    }

    /// Posts the condition of an opened database, and its lanes.
    fn opened(&self, restored: &RestoredState, store: &Store) {
        log(&restored.remarks);
        // Lost history of earlier starts too: a person who looks has often restarted the agent since.
        let before = store.reader().said_lost(health::MOST_LOST).unwrap_or_default();
        before.into_iter().rev().for_each(|said| self.health.history_lost(said));
        self.say_lost(restored.lost.as_ref());
        self.heads.send_replace(heads_of(store.stream(), &store.lanes()));
    }

    fn without(&self, error: &StoreError) -> RestoredState {
        self.health.store_problem(Some(error.to_string()));
        let remarks = vec![format!("{error}; starting with empty alert and rule state, monitoring and paging run")];
        log(&remarks);
        RestoredState { remarks, ..RestoredState::default() }
    }

    fn say_lost(&self, lost: Option<&LostHistory>) {
        if let Some(lost) = lost {
            self.health.say_lost(lost, self.clock.now().1, &self.config.local());
        }
    }

    fn handle(&self, report: StoreReport<'_>) {
        let StoreMonitor { clock, health, config, heads, replaced, to_decide, .. } = self;
        match report {
            StoreReport::Committed(stream, lanes) => {
                heads.send_replace(heads_of(stream, &lanes));
            }
            StoreReport::WriteFailed(error) => {
                health.store_problem(Some(error.to_string()));
                error!(target: "store", "{error}; alerts and pages go on, recording resumes by itself");
            }
            StoreReport::Recovered => {
                health.store_problem(None);
                info!(target: "store", "recording works again");
            }
            StoreReport::Dropped(losses) => {
                let dropped = describe_losses(losses, clock, |at| at.to_string()).collect();
                health.posted().dropped = dropped;
            }
            StoreReport::DropsRecorded(losses) => {
                let local = config.local();
                let lost = describe_losses(losses, clock, |at| local.second(at));
                lost.for_each(|lost| warn!(target: "store", "given up: {lost}"));
            }
            StoreReport::DeletesOldest(what, reason) => {
                warn!(target: "store", "{reason}: the oldest {what} are deleted from now on");
                // If the queue is full, the log and `status` have it.
                let _ =
                    to_decide.try_send(DecideRequest::StoreEvent("lost", json!({ "what": what, "reason": reason })));
            }
            StoreReport::FileReplaced => {
                warn!(target: "store", "another file is in the place of tilth.db; recording continues in it");
            }
            StoreReport::Replaced(opened) => {
                log(&remarks(opened));
                self.say_lost(opened.lost.as_ref());
                replaced.send_modify(|replaced| replaced.lost.clone_from(&opened.lost));
            }
            StoreReport::OpenedLate(earlier, opened) => {
                let new_stream = if earlier.has_boots { ", under a new stream" } else { "" };
                info!(target: "store", "database available again; continuing as boot {}{new_stream}", earlier.boot);
                self.say_lost(opened.lost.as_ref());
                replaced.send_replace(StoreReplaced { earlier: Some(earlier), lost: opened.lost.clone() });
            }
        }
    }
}

/// Dropped rows in words: how many of what, time span and cause. `shown` prints a time.
fn describe_losses<'a>(
    losses: &'a Losses,
    clock: &'a Clock,
    shown: impl Fn(WallTime) -> String + 'a,
) -> impl Iterator<Item = String> + 'a {
    let at = |at: Option<Uptime>| clock.wall_at(at?);
    losses.iter().map(move |(cause, lost)| {
        let counts: Vec<String> = lost.counts().map(|(what, count)| format!("{count} {what}")).collect();
        let span = match (at(lost.from), at(lost.to)) {
            (Some(from), Some(to)) => format!(" from {} to {}", shown(from), shown(to)),
            _ => String::new(),
        };
        format!("{}{span}: {}", counts.join(", "), cause)
    })
}

fn heads_of(stream: Stream, lanes: &LaneStates) -> Heads {
    Heads { stream, lanes: Lane::ALL.map(|lane| (lane, lanes.of(lane).committed)).into() }
}

/// Bytes that a user may still write to the disk of a folder; `None` where the system does not say.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use tilth_core::local::Local;

    use super::*;
    use crate::clock::ClockMode;
    use crate::store::Commit;
    use crate::store::tests::farm::{Folder, booted, boots, calibrated, checkpoint, note, open, options};

    /// Guards against: a boot that an engine which began without a database never hears of, and rows without one.
    #[test]
    fn a_database_that_opens_after_the_start_went_on_without_it_is_found_later() {
        let folder = Folder::new();
        drop(booted(&folder));
        let clock = Clock::new(ClockMode::EventTime);
        let monitor = Arc::new(StoreMonitor {
            path: folder.database(),
            options: options(),
            os_boot: "boot-b".to_owned(),
            config: ConfigStatus::new(clock.clone(), String::new(), Local::UTC),
            health: TaskHealth::new(clock.clone()),
            clock,
            heads: watch::Sender::new(heads_of(Stream(0), &LaneStates::default())),
            replaced: watch::Sender::new(StoreReplaced::default()),
            to_decide: mpsc::channel(1).0,
        });
        let (opening, listening) = (Arc::clone(&monitor), Arc::clone(&monitor));
        let settings = Settings {
            interval: BLOCK_INTERVAL,
            policy: DEFAULT_POLICY,
            options: options(),
            free_bytes: Box::new(|| None),
            report: Box::new(move |report| listening.handle(report)),
        };
        let (answer, answered) = oneshot::channel();
        drop(answered);
        let (mut store_writer, _, thread) = thread::start(move || opening.open(answer), settings).unwrap();
        let mut commit = Commit::new(Uptime(1000), calibrated(1));
        commit.events.push(note(Uptime(1000), "before the boot was counted"));
        store_writer.record(commit);
        store_writer.stop();
        thread.join().unwrap();
        let earlier = monitor.replaced.borrow().earlier.clone().expect("the engine is told");
        assert_eq!(monitor.replaced.borrow().lost, None, "it was closed in order meanwhile");
        assert_eq!(earlier.boot, 2);
        assert!(earlier.has_boots && earlier.outputs.is_none(), "the boot before kept nothing");
        let (store, _) = open(&folder);
        assert!(boots(&store).into_keys().eq([1, 2]));
        assert_eq!(store.lanes().of(Lane::Events).committed, 1, "what waited is stored");
    }

    /// Guards against: totals and pauses that begin at zero where the checkpoint is damaged.
    #[test]
    fn doses_are_unknown_where_the_memory_of_an_earlier_run_cannot_be_read() {
        let (folder, clock) = (Folder::new(), Clock::new(ClockMode::EventTime));
        let doses_unknown = || {
            let found = begin(&folder.database(), &options(), "boot-a", &clock);
            found.unwrap_or_else(|error| panic!("{error}")).0.doses_unknown
        };
        assert!(!doses_unknown(), "nothing was there before");
        assert!(doses_unknown(), "the run before was killed before it kept anything");
        let mut commit = Commit::new(Uptime(1000), calibrated(1));
        commit.checkpoint = Some(checkpoint("kept"));
        booted(&folder).commit(&commit).unwrap();
        assert!(!doses_unknown());
        let database = rusqlite::Connection::open(folder.database()).unwrap();
        database.execute("UPDATE snapshot SET body = x'00'", []).unwrap();
        assert!(doses_unknown());
    }

    /// Guards against: a start that is killed before it has kept that doses are unknown, and a next one that finds nothing lost.
    #[test]
    fn what_is_lost_is_found_by_each_start_until_one_has_kept_what_follows() {
        let (folder, clock) = (Folder::new(), Clock::new(ClockMode::EventTime));
        let record = |text: &str| {
            let mut commit = Commit::new(Uptime(1000), calibrated(1));
            commit.events.push(note(Uptime(1000), text));
            commit.checkpoint = Some(checkpoint(text));
            let mut store = booted(&folder);
            store.commit(&commit).unwrap();
            store.note_known(None, false);
        };
        record("kept");
        let older = std::fs::read(folder.database()).unwrap();
        record("lost");
        std::fs::write(folder.database(), older).unwrap();
        for start in 1..=2 {
            let found = begin(&folder.database(), &options(), "boot-b", &clock);
            let (restored, store) = found.unwrap_or_else(|error| panic!("{error}"));
            assert!(restored.lost.is_some(), "start {start}");
            // A kill leaves the log.
            std::mem::forget(store);
        }
    }

    /// Guards against: a restart that sets the time of day of a scaled clock back to the machine's.
    #[test]
    fn a_scaled_time_of_day_goes_on_over_a_restart() {
        let folder = Folder::new();
        let mut store = booted(&folder);
        let mut commit = Commit::new(Uptime(1000), calibrated(1));
        let simulated = Anchor { offset_ms: 5_000, trust: Trust::Simulated, error: None };
        commit.anchor = Some(simulated);
        store.commit(&commit).unwrap();
        let clock = Clock::new(ClockMode::Scaled(60));
        restore_time(&store, &clock);
        assert_eq!(clock.anchor(), Some(simulated));
    }
}
