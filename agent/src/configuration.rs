//! Which configuration is active: what the agent starts with, how changed files and the hub's bundles are applied, and what is saved
//! for the next start.
//!
//! ```text
//! agent.toml, config.d -- watch (a thread) --> files --+
//!                                                      +--> apply --> decide: plan; sense: inputs
//! hub -- sync -- Received -----------------> bundles --+      `-----> reporter: log, status, last_good (a task)
//! ```
//!
//! A configuration takes these forms, in this order:
//!
//! 1. `Documents`: the texts of files or of a bundle, read and not yet checked (`tilth-config`);
//! 2. `Loaded`: merged and checked, with all diagnostics and, without errors, the engine's `Plan` (`tilth-config`);
//! 3. `Compiled`: without errors, in the types of the tasks that use it; from here on nothing can fail;
//! 4. `DecideConfig`: the part that goes to decide. `SensorInputs` is the part that goes to sense;
//! 5. `Plan`: sensors and rules, as the engine runs them.
//!
//! | file | holds |
//! | --- | --- |
//! | `startup` | what the agent starts with; `preview` shows it to `check` and `explain` |
//! | `active` | the active configuration |
//! | `apply` | the only place where a configuration becomes active |
//! | `files`, `watch`, `removal_guard` | changes of files: how one is noticed, and when it takes effect |
//! | `bundles`, `bundle` | bundles of the hub: checked, applied, saved, rejected or reverted |
//! | `probation` | whether sensors are good again under another configuration (pure) |
//! | `last_good` | the files that were active last, saved as `config.good` |
//! | `bundle_files` | bundles on the disk: the active one is saved as `bundle.good`, the previous one as `bundle.before` |
//! | `reporter`, `status` | what people are told |
//! | `compiled` | a configuration as the other tasks take it |
//! | `enrolment` | which device this is, where its hub is, and their keys |

mod active;
mod apply;
mod bundle;
mod bundle_files;
mod bundles;
mod compiled;
pub(crate) mod enrolment;
mod file_versions;
mod files;
mod last_good;
pub(crate) mod preview;
mod probation;
mod removal_guard;
mod reporter;
mod startup;
mod status;
mod watch;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tilth_sync::engine::NewestBundle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

use crate::decide::{DecideConfig, DecideRequest};
use crate::health::TaskHealth;
use crate::sense::SensorInputs;
use apply::{Applier, rejection};
use bundle_files::BundleFiles;
use bundles::{Bundles, SAVE_AGAIN};
use files::FileChanges;
use last_good::LastGoodWriter;
use probation::{Blame, Probation, ProbationResult};
use reporter::ConfigReporter;

pub(crate) use active::short;
pub(crate) use bundles::Received;
pub(crate) use enrolment::Enrolment;
pub(crate) use file_versions::FileVersions;
pub(crate) use last_good::last_agent_toml;
pub(crate) use reporter::restart_needed;
pub(crate) use startup::Startup;
pub(crate) use status::{BundleStatus, ConfigState, ConfigStatus};

/// Longest wait for the disk when the agent ends.
const SAVE_END: Duration = Duration::from_secs(1);

/// Interval at which the sensors of a configuration on probation are checked.
const CHECK_SENSORS: Duration = Duration::from_secs(1);

/// The task that owns which configuration is active: files and bundles take effect one after the other.
pub(crate) struct Configuration {
    applier: Applier,
    files: FileChanges,
    /// None on a farm without a hub.
    bundles: Option<Bundles>,
    changes: mpsc::Receiver<Instant>,
}

/// A person's request to try the bundle again that was rejected or reverted last; answered with its version, or why not.
pub(crate) type Retry = oneshot::Sender<Result<u64, String>>;

impl Configuration {
    /// Reports what the agent starts with, and starts to watch its files in `folder`. Returns also what decide and sense start with; what
    /// becomes active later goes `to` them.
    pub(crate) async fn begin(
        startup: Startup,
        (folder, data): (&Path, &Path),
        status: ConfigStatus,
        health: TaskHealth,
        to: (mpsc::Sender<DecideRequest>, mpsc::Sender<SensorInputs>),
    ) -> io::Result<(Configuration, DecideConfig, SensorInputs)> {
        let mode = status.clock().mode();
        let files = FileChanges::new(folder.to_owned());
        let last_good = LastGoodWriter::start(data);
        let changes = watch::start(folder.to_owned(), startup.versions)?;
        let (compiled, bundle) = (startup.compiled, startup.bundle);
        let rejected = compiled.summary.rejected.clone();
        status.update_bundle(|status| {
            (status.unavailable_reason, status.state_error) = (startup.bundle_unavailable, startup.state_unreadable);
            if let Some(bundle) = &bundle {
                status.set_active(bundle);
                status.ignored = startup.ignored;
            }
        });
        let at_start = compiled.summary.agent_toml.clone();
        let reporter = ConfigReporter { status, last_good, at_start, inventory: startup.previous };
        let mut applier = Applier::begin(&compiled, bundle, reporter, to, health);
        applier.report(compiled.summary, true);
        if !rejected.is_empty() {
            applier.store_diagnostic(rejection(&rejected)).await;
        }
        let bundles = startup.enrolment.map(|enrolment| Bundles::new(enrolment, mode, startup.state));
        Ok((Configuration { applier, files, bundles, changes }, compiled.configured, compiled.inputs))
    }

    /// The newest bundle that the agent has seen, for the hub.
    pub(crate) fn newest_bundle(&self) -> NewestBundle {
        self.bundles.as_ref().map(|bundles| bundles.state.newest_bundle(self.applier.active())).unwrap_or_default()
    }

    /// Runs until the thread that watches the files ends.
    pub(crate) async fn run(self, mut received: mpsc::Receiver<Received>, mut retries: mpsc::Receiver<Retry>) {
        let Configuration { mut applier, mut files, mut bundles, mut changes } = self;
        if let Some(bundles) = &mut bundles {
            bundles.begin(&mut applier).await;
        }
        let (mut save, mut check) = (interval(SAVE_AGAIN), interval(CHECK_SENSORS));
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let awaits_disk = bundles.as_ref().is_some_and(Bundles::awaits_disk);
            tokio::select! {
                changed = changes.recv() => match changed {
                    Some(at) => files.changed(at, &mut applier).await,
                    None => return,
                },
                () = files.due() => files.reload(&mut applier).await,
                Some(Received { bytes, key, answer }) = received.recv() => if let Some(bundles) = &mut bundles {
                    let _ = answer.send(bundles.handle(bytes, key, &mut applier).await);
                },
                Some(answer) = retries.recv() => {
                    let retried = match &mut bundles {
                        Some(bundles) => bundles.retry(&mut applier).await,
                        None => Err("this farm has no hub".to_owned()),
                    };
                    let _ = answer.send(retried);
                }
                _ = save.tick(), if awaits_disk => if let Some(bundles) = &mut bundles {
                    bundles.try_disk(&mut applier).await;
                },
                _ = check.tick(), if applier.probation.is_some() => judge(&mut applier, bundles.as_mut()).await,
            }
        }
    }
}

/// The first `most` of these texts, and how many `more` there are.
fn first_of(texts: &[String], most: usize, separator: &str, more: &str) -> String {
    let first = texts[..texts.len().min(most)].join(separator);
    match texts.len().saturating_sub(most) {
        0 => first,
        rest => format!("{first}{separator}and {rest} {more}"),
    }
}

/// Saves how the agent ends: by itself and why, which fails a bundle on probation, or because it was told to.
pub(crate) async fn save_end(data: &Path, why: Option<&anyhow::Error>) {
    let (files, why) = (BundleFiles::new(data), why.map(|why| format!("{why:#}")));
    let noted = tokio::task::spawn_blocking(move || files.save_end(why.as_deref()));
    if let Ok(Ok(Err(error))) = timeout(SAVE_END, noted).await {
        warn!(target: "sync", "saving why the agent ended failed: {error}");
    }
}

/// Judges the configuration on probation by its sensors. A bundle that fails is reverted; about files people are warned.
async fn judge(applier: &mut Applier, bundles: Option<&mut Bundles>) {
    let bundles = bundles.filter(|bundles| bundles.is_on_probation());
    let result = match bundles.as_ref().and_then(|bundles| bundles.failed()) {
        // A bundle that failed stays failed, also if its sensors are good by now: reverting it was not possible yet.
        Some(reason) => ProbationResult::Fail(Blame::Bundle, reason),
        None => applier.judge().await,
    };
    if bundles.is_some() {
        let pending = applier.probation.as_ref().map(Probation::pending);
        applier.reporter.status.update_bundle(|status| status.probation = pending);
    }
    match (result, bundles) {
        (ProbationResult::Wait, _) => {}
        (ProbationResult::Pass, Some(bundles)) => bundles.pass(applier).await,
        (ProbationResult::Pass, None) => applier.end_probation(),
        (ProbationResult::Fail(Blame::Bundle, reason), Some(bundles)) => bundles.revert(&reason, applier).await,
        (ProbationResult::Fail(Blame::Files, reason), Some(bundles)) => {
            applier.warn_about_files(&reason).await;
            bundles.exempt_sensors_of_files(applier).await;
        }
        (ProbationResult::Fail(_, reason), None) => {
            applier.warn_about_files(&reason).await;
            applier.end_probation();
        }
    }
}
