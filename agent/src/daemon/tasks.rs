//! The running tasks. Whichever ends first, by an error or a panic, the agent stops in stages, so that readings that are not yet
//! written are kept.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use tilth_core::time::Span;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tracing::error;

use super::systemd::Notifier;
use crate::act::Outputs;
use crate::clock::Clock;
use crate::decide::DecideRequest;
use crate::health::TaskHealth;
use crate::sense::{BusTasks, SensorInputs};
use crate::store::thread::{Progress, StoreHandle};

/// Longest time for all stages of a stop.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// Longest time for switching outputs off before the buses are closed.
const OUTPUTS: Duration = Duration::from_millis(500);

/// Interval of the check that the store's thread still runs.
const CHECK: Duration = Duration::from_secs(5);

/// Name of the sync task in the error about its end.
const SYNC: &str = "sync";

pub(super) struct Tasks {
    pub(super) senses: BusTasks,
    /// Changes of what the senses read.
    pub(super) inputs: mpsc::Receiver<SensorInputs>,
    pub(super) health: TaskHealth,
    pub(super) clock: Clock,
    pub(super) progress: Progress,
    pub(super) to_decide: mpsc::Sender<DecideRequest>,
    pub(super) outputs: Outputs,
    pub(super) configuring: JoinHandle<()>,
    pub(super) deciding: JoinHandle<()>,
    pub(super) notifying: JoinHandle<()>,
    /// None without a hub.
    pub(super) syncing: Option<JoinHandle<anyhow::Error>>,
    /// Empty without a control socket.
    pub(super) api: JoinSet<()>,
    pub(super) notifier: Option<Arc<Notifier>>,
    /// Reports health to systemd; none where the agent was started otherwise.
    pub(super) reporting: Option<JoinHandle<()>>,
    pub(super) store: StoreHandle,
    pub(super) storing: thread::JoinHandle<()>,
}

impl Tasks {
    /// Runs until `asked` to stop.
    ///
    /// # Errors
    /// Why one of the tasks ended.
    pub(super) async fn run(&mut self, asked: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::pin!(asked);
        loop {
            let inputs = tokio::select! {
                () = &mut asked => return Ok(()),
                next = self.next() => next?,
            };
            self.read(inputs);
        }
    }

    pub(super) fn read(&mut self, inputs: SensorInputs) {
        self.senses.read(inputs);
        self.health.posted().buses = self.senses.buses().collect();
    }

    /// Waits for new inputs, or for the end of a task, which is the error. Cancel-safe.
    async fn next(&mut self) -> anyhow::Result<SensorInputs> {
        let Tasks { inputs, configuring, deciding, notifying, syncing, api, reporting, storing, .. } = self;
        let no_reason = |()| None;
        Err(tokio::select! {
            Some(inputs) = inputs.recv() => return Ok(inputs),
            ended = configuring => why("configuration", ended.map(no_reason)),
            ended = deciding => why("decide", ended.map(no_reason)),
            ended = notifying => why("notify", ended.map(no_reason)),
            ended = end_of_task(syncing) => why(SYNC, ended.map(Some)),
            ended = end_of_task(reporting) => why("health", ended.map(no_reason)),
            Some(ended) = api.join_next(), if !api.is_empty() => why("control socket", ended.map(no_reason)),
            () = end_of(storing) => anyhow!("the store's thread ended").context("store"),
        })
    }

    /// Stops the tasks that still run, stage by stage: outputs, sense, decide, notify, sync and configuration, store. After [`GRACE`] the
    /// rest is abandoned, and unwritten readings are logged.
    pub(super) async fn stop(mut self) {
        let (progress, clock) = (self.progress, self.clock);
        let stages = async {
            self.notifier.iter().for_each(|notifier| notifier.stopping());
            self.reporting.iter().for_each(JoinHandle::abort);
            switch_off(&self.to_decide, &self.outputs).await;
            drop(self.senses);
            self.api.shutdown().await;
            let (done, stopped) = oneshot::channel();
            // If decide has ended, the answer is dropped.
            let _ = self.to_decide.send(DecideRequest::Stop(done)).await;
            let _ = stopped.await;
            finish(&mut self.deciding).await;
            finish(&mut self.notifying).await;
            if let Some(syncing) = &mut self.syncing {
                syncing.abort();
                finish(syncing).await;
            }
            self.configuring.abort();
            finish(&mut self.configuring).await;
            self.store.stop();
            let _ = spawn_blocking(move || self.storing.join()).await;
        };
        if timeout(GRACE, stages).await.is_err() {
            error!("stop timed out after {} s: unsaved state is lost", GRACE.as_secs());
        }
        if let Some(from) = progress.unwritten_from() {
            let secs = Span::from_secs((clock.uptime() - from).0 / 1000 + 1);
            error!(target: "store", "readings of the last {secs} lost: nothing could be written");
        }
    }
}

/// Switches every output off while the tasks of their buses still run.
async fn switch_off(to_decide: &mpsc::Sender<DecideRequest>, outputs: &Outputs) {
    let (done, ordered) = oneshot::channel();
    let off = async {
        // If decide has ended, the answer is dropped.
        let _ = to_decide.send(DecideRequest::SwitchOff(done)).await;
        let _ = ordered.await;
        outputs.taken().await;
    };
    if timeout(OUTPUTS, off).await.is_err() {
        error!("outputs do not take the order to switch off; boards do so when the link is lost");
    }
}

/// Waits for the end of a task; forever where there is none.
async fn end_of_task<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Waits for a task whose end may have been awaited already.
async fn finish<T>(task: &mut JoinHandle<T>) {
    if !task.is_finished() {
        let _ = task.await;
    }
}

/// Waits for the end of a thread, which nothing reports.
async fn end_of(thread: &thread::JoinHandle<()>) {
    while !thread.is_finished() {
        sleep(CHECK).await;
    }
}

pub(super) fn is_of_sync(error: &anyhow::Error) -> bool {
    error.downcast_ref::<&'static str>() == Some(&SYNC)
}

fn why(task: &'static str, ended: Result<Option<anyhow::Error>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(None) => anyhow!("it ended").context(task),
        Ok(Some(error)) => error.context(task),
        Err(panicked) => anyhow::Error::from(panicked).context(task),
    }
}

#[cfg(test)]
mod tests {
    use tilth_core::reading::{Quality, Reading, SensorIx};
    use tilth_core::time::Uptime;
    use tilth_core::value::Steps;

    use super::*;
    use crate::clock::ClockMode;
    use crate::sense::RestoredBuses;
    use crate::sense::host::Machine;
    use crate::sense::queue::Queue;
    use crate::sense::released::Ports;
    use crate::store::tests::farm::{Folder, booted, calibrated, open, options};
    use crate::store::thread::{self as store_thread, InitialStore, Settings, StoreWriter};
    use crate::store::{BLOCK_INTERVAL, Commit, Policy};

    /// A store's thread with a reading that waits for its block, as after any second of the thirty before a commit.
    fn store_with_a_reading(folder: &Folder) -> (StoreWriter, StoreHandle, thread::JoinHandle<()>) {
        let settings = Settings {
            interval: BLOCK_INTERVAL,
            policy: Policy {
                keep_days: 1,
                has_hub: true,
                most_bytes: 1 << 30,
                least_free_bytes: 0,
                events_bytes: 1 << 20,
            },
            options: options(),
            free_bytes: Box::new(|| None),
            report: Box::new(|_| ()),
        };
        let store = Box::new(booted(folder));
        let (mut store_writer, handle, storing) = store_thread::start(|| InitialStore::Open(store), settings).unwrap();
        let watched = calibrated(1);
        let mut commit = Commit::new(Uptime(1000), Arc::clone(&watched));
        let reading = Reading {
            sensor: SensorIx(0),
            at: Uptime(1000),
            steps: Steps(2150),
            raw: 21.5,
            quality: Quality::Good,
            late: false,
        };
        commit.readings.push(reading);
        store_writer.record(commit);
        (store_writer, handle, storing)
    }

    fn senses() -> BusTasks {
        let clock = Clock::new(ClockMode::EventTime);
        BusTasks::new(
            clock,
            Queue::new(1),
            Outputs::new().0,
            Ports::default(),
            Machine { root: "/nowhere".into(), disk: "/nowhere".into() },
            RestoredBuses::default(),
        )
    }

    /// As decide does it: it hands over what it has when it is told to stop.
    async fn decide(mut requests: mpsc::Receiver<DecideRequest>, store_writer: StoreWriter) {
        while let Some(request) = requests.recv().await {
            if let DecideRequest::Stop(done) = request {
                let _ = spawn_blocking(move || store_writer.stop()).await;
                let _ = done.send(());
                return;
            }
        }
    }

    /// Guards against: up to 30 s of readings lost because a task that has nothing to do with them ended.
    #[tokio::test]
    async fn whichever_task_ends_first_what_was_read_is_kept() {
        for ends in
            ["configuration", "sync by an error", "sync by a panic", "notify", "control socket", "health", "decide"]
        {
            let folder = Folder::new();
            let (store_writer, store, storing) = store_with_a_reading(&folder);
            let (to_decide, heard) = mpsc::channel(4);
            let goes_on = || tokio::spawn(std::future::pending::<()>());
            let (_inputs, inputs) = mpsc::channel(1);
            let mut tasks = Tasks {
                senses: senses(),
                inputs,
                health: TaskHealth::new(Clock::new(ClockMode::EventTime)),
                clock: Clock::new(ClockMode::EventTime),
                progress: store_writer.progress(),
                outputs: Outputs::new().0,
                to_decide,
                configuring: goes_on(),
                deciding: tokio::spawn(decide(heard, store_writer)),
                notifying: goes_on(),
                syncing: Some(tokio::spawn(std::future::pending())),
                api: JoinSet::new(),
                notifier: None,
                reporting: Some(goes_on()),
                store,
                storing,
            };
            match ends {
                "sync by an error" => tasks.syncing = Some(tokio::spawn(async { anyhow!("the driver ended") })),
                "sync by a panic" => tasks.syncing = Some(tokio::spawn(async { panic!("a slip in sync") })),
                "configuration" => tasks.configuring = tokio::spawn(async {}),
                "health" => tasks.reporting = Some(tokio::spawn(async {})),
                "notify" => tasks.notifying = tokio::spawn(async {}),
                "control socket" => drop(tasks.api.spawn(async { panic!("a slip in the API") })),
                _ => {
                    tasks.deciding.abort();
                    tasks.deciding = tokio::spawn(async { panic!("a slip in decide") });
                }
            }
            let ended =
                timeout(Duration::from_secs(60), tasks.run(std::future::pending())).await.expect("it is noticed");
            let why = ended.expect_err("it must not end");
            let why = format!("{why:#}");
            assert!(why.starts_with(ends.split(" by ").next().unwrap()), "{ends}: {why}");
            if ends != "notify" {
                tasks.notifying.abort();
            }
            tasks.stop().await;
            let (store, _) = open(&folder);
            let kept = store.reader().readings_after(0).unwrap();
            assert_eq!(kept.len(), 1, "{ends}");
        }
    }

    #[test]
    fn the_end_of_sync_is_told_from_that_of_others() {
        assert!(is_of_sync(&why(SYNC, Ok(None))));
        assert!(is_of_sync(&why(SYNC, Ok(Some(anyhow!("a certificate expired").context("TLS"))))));
        assert!(!is_of_sync(&why("decide", Ok(None))));
        assert!(!is_of_sync(&why("decide", Ok(Some(anyhow!("sync"))))));
    }
}
