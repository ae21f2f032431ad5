//! Which configuration is in force: what a start begins with, what a change of files or a bundle of the hub comes to, and what is
//! kept of it on the disk.
//!
//! ```text
//! agent.toml, config.d -- watch (a thread) --> files --+
//!                                                      +--> apply --> decide: plan; senses: sources
//! hub -- sync -- Received -----------------> bundles --+      `-----> reporter: log, status, last_good (a thread)
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `startup` | what the agent begins with |
//! | `active` | the configuration in force |
//! | `apply` | the only way into force |
//! | `files`, `patience`, `watch` | files that change: when a change is noticed, and when it takes effect |
//! | `bundles`, `bundle` | bundles of the hub: judged, tried, kept, rejected or reverted |
//! | `probation` | whether sensors are good again under another configuration (pure) |
//! | `last_good`, `bundle_files` | what is kept on the disk |
//! | `reporter`, `status` | what people are told |
//! | `compiled` | a configuration in the terms of the tasks that work by it |
//! | `enrolment` | which device this is, where its hub is, and their keys |

mod active;
mod apply;
mod bundle;
mod bundle_files;
mod bundles;
mod compiled;
pub(crate) mod enrolment;
mod file_stamps;
mod files;
pub(crate) mod in_force;
mod last_good;
mod patience;
mod probation;
mod reporter;
mod startup;
mod status;
mod watch;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tilth_sync::engine::Holding;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

use crate::clock::Source;
use crate::decide::{Command, Configured};
use crate::health::SharedMarks;
use crate::sense::Sources;
use apply::{Applier, rejection};
use bundle_files::BundleFiles;
use bundles::{BundleTrials, KEEP_AGAIN};
use files::FileChanges;
use last_good::Keeper;
use probation::{Probation, Verdict};
use reporter::ConfigReporter;

pub(crate) use active::short;
pub(crate) use bundles::Received;
pub(crate) use enrolment::Enrolment;
pub(crate) use file_stamps::FileStamps;
pub(crate) use reporter::said_later;
pub(crate) use startup::Startup;
pub(crate) use status::{BundleStatus, ConfigStatus, Rejected, Shown};

/// Longest wait for the disk at the end of the agent.
const NOTING: Duration = Duration::from_secs(1);

/// Between two looks at the sensors of a configuration on probation.
const LOOK: Duration = Duration::from_secs(1);

/// The task that owns which configuration is in force: files and bundles take effect one after the other.
pub(crate) struct Configuration {
    applier: Applier,
    files: FileChanges,
    /// None on a farm without a hub.
    bundles: Option<BundleTrials>,
    /// When the files changed.
    changes: mpsc::Receiver<Instant>,
}

/// A person wants the bundle that was rejected or reverted last tried once more; answered with its version, or why not.
pub(crate) type Retry = oneshot::Sender<Result<u64, String>>;

/// The folders, the clock, and the tasks that work by a configuration.
pub(crate) struct Surroundings<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) data: &'a Path,
    pub(crate) source: Source,
    pub(crate) status: ConfigStatus,
    /// How the buses are.
    pub(crate) health: SharedMarks,
    pub(crate) commands: mpsc::Sender<Command>,
    /// To the task that reads the sensors: what to read from now on.
    pub(crate) sources: mpsc::Sender<Sources>,
}

impl Configuration {
    /// Reports what the agent begins with, and begins to watch its files. Returns what decide and the senses begin with, too.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) async fn begin(
        startup: Startup,
        around: Surroundings<'_>,
    ) -> io::Result<(Configuration, Configured, Sources)> {
        let Startup { compiled, enrolment, active, state, forgotten, lost, had, stamps } = startup;
        let Surroundings { folder, data, source, status, health, commands, sources } = around;
        let files =
            FileChanges::new(folder.to_owned(), compiled.summary.files.clone(), Arc::clone(&compiled.configured.plan));
        let (keeper, changes) = (Keeper::start(data)?, watch::start(folder.to_owned(), stamps)?);
        let rejected = compiled.summary.rejected.clone();
        status.bundle(|status| {
            (status.lost, status.forgotten) = (lost, forgotten);
            if let Some(bundle) = active.bundle() {
                status.follows(bundle.as_ref().into(), bundle::ignored(folder));
            }
        });
        let clock = status.clock().clone();
        let mut reporter = ConfigReporter::new(status, keeper);
        reporter.begin(compiled.summary, had);
        let applier = Applier { active, reporter, commands, sources, clock, health, probation: None };
        if !rejected.lines.is_empty() {
            applier.diagnose(rejection(&rejected)).await;
        }
        let bundles = enrolment.map(|enrolment| BundleTrials::new(enrolment, source, state));
        Ok((Configuration { applier, files, bundles, changes }, compiled.configured, compiled.sources))
    }

    /// What the hub is told of the bundle in force.
    pub(crate) fn holding(&self) -> Holding {
        self.applier.active.holding()
    }

    /// Runs until nobody notices changes of files any more.
    pub(crate) async fn run(self, mut received: mpsc::Receiver<Received>, mut retries: mpsc::Receiver<Retry>) {
        let Configuration { mut applier, mut files, mut bundles, mut changes } = self;
        if let Some(bundles) = &mut bundles {
            bundles.begin(&mut applier).await;
        }
        let (mut again, mut look) = (interval(KEEP_AGAIN), interval(LOOK));
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_unkept = bundles.as_ref().is_some_and(BundleTrials::has_unkept);
            tokio::select! {
                changed = changes.recv() => match changed {
                    Some(at) => files.changed(at, &mut applier).await,
                    None => return,
                },
                () = files.due() => files.look(&mut applier).await,
                Some(received) = received.recv() => if let Some(bundles) = &mut bundles {
                    bundles.receive(received, &mut applier).await;
                },
                Some(answer) = retries.recv() => {
                    let retried = match &mut bundles {
                        Some(bundles) => bundles.retry(&mut applier).await,
                        None => Err("this farm has no hub".to_owned()),
                    };
                    let _ = answer.send(retried);
                }
                _ = again.tick(), if has_unkept => if let Some(bundles) = &mut bundles {
                    bundles.keep_again(&applier).await;
                },
                _ = look.tick(), if applier.probation.is_some() => judge(&mut applier, bundles.as_mut()).await,
            }
        }
    }
}

/// Notes how the agent ends: by itself and why, for which a bundle on probation is blamed, or because it was told to.
pub(crate) async fn note_end(data: &Path, why: Option<&anyhow::Error>) {
    let (files, why) = (BundleFiles::new(data), why.map(|why| format!("{why:#}")));
    let noted = tokio::task::spawn_blocking(move || files.note_end(why.as_deref()));
    if let Ok(Ok(Err(error))) = timeout(NOTING, noted).await {
        warn!(target: "sync", "saving why the agent ended failed: {error}");
    }
}

/// Looks at the sensors of the configuration that is on probation. A bundle that fails is reverted; of files people are told.
async fn judge(applier: &mut Applier, bundles: Option<&mut BundleTrials>) {
    let verdict = applier.judge().await;
    let bundles = bundles.filter(|bundles| bundles.is_on_probation());
    if bundles.is_some() {
        let awaited = applier.probation.as_ref().map(Probation::awaited);
        applier.reporter.status.bundle(|status| status.probation = awaited);
    }
    match (verdict, bundles) {
        (Verdict::Wait, _) => {}
        (Verdict::Pass, Some(bundles)) => bundles.pass(applier).await,
        (Verdict::Pass, None) => applier.end_probation(),
        (Verdict::Fail(reason), Some(bundles)) => bundles.revert(&reason, applier).await,
        (Verdict::Fail(reason), None) => applier.warn(&reason).await,
    }
}
