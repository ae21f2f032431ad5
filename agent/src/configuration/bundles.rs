//! Bundles as they come from the hub: judged, tried, and kept or rejected.
//!
//! ```text
//! bytes -> judge -> staged -> trial noted -> compile -> decide takes the plan -> bundle.good
//!             |        `---------'-- the disk fails:  |      the last good one stays, and the bundle comes again
//!             `---------------------------------------'-- rejected: remembered by hash, said to people and to the hub
//! ```
//!
//! A disk that fails is no fault of a bundle: it counts as no trial.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tilth_config::bundle::{Bundle, TrustedKey};
use tilth_config::sha256;
use tilth_sync::engine::Holding;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::apply::Applier;
use super::bundle::{self, Judged, Rejection, say_ignored};
use super::bundle_files::{BundleFiles, BundleState, RejectedBundle, Trial};
use super::compiled::Compiled;
use super::enrolment::Enrolment;
use super::status::RunningBundle;
use crate::clock::Source;

/// A bundle that the agent did not outlive so often is rejected.
const TRIES: u32 = 3;

/// Between two tries to keep a bundle that is in force.
pub(super) const KEEP_AGAIN: Duration = Duration::from_secs(60);

/// A bundle that the hub sent.
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// The key that must have signed it.
    pub(crate) key: TrustedKey,
    /// Answered once the bundle is dealt with: what the hub is told from now on, where that is news.
    pub(crate) answer: oneshot::Sender<Option<Holding>>,
}

/// Tries the bundles of one hub.
#[derive(Debug)]
pub(crate) struct BundleTrials {
    enrolment: Enrolment,
    source: Source,
    files: BundleFiles,
    state: BundleState,
    /// Whether that is what the file says: one that cannot be read must not be replaced.
    is_known: bool,
    /// The bundle in force, where it could not be kept.
    unkept: Option<Arc<Vec<u8>>>,
}

impl BundleTrials {
    /// Of this device, with what is remembered of bundles before; `None` where that cannot be read yet.
    pub(super) fn new(enrolment: Enrolment, source: Source, state: Option<BundleState>) -> BundleTrials {
        let files = BundleFiles::new(&enrolment.data);
        let is_known = state.is_some();
        BundleTrials { files, enrolment, source, state: state.unwrap_or_default(), is_known, unkept: None }
    }

    /// Shows what was rejected, and writes down what a start learnt: where the state was lost, the last good bundle has the
    /// highest version.
    pub(super) async fn begin(&mut self, applier: &Applier) {
        let refused = self.state.refused.clone();
        applier.reporter.status.bundle(|status| status.refused = refused);
        let highest = applier.active.highest();
        if self.is_known && self.state.highest < highest {
            self.state.highest = highest;
            self.remember().await;
        }
    }

    /// Reads what is remembered, where a start could not.
    ///
    /// # Errors
    /// In words.
    async fn recall(&mut self, applier: &mut Applier) -> Result<(), String> {
        if self.is_known {
            return Ok(());
        }
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || files.state()).await.map_err(|error| error.to_string())?;
        self.state = read.map_err(|unreadable| format!("bundle.state {}", unreadable.why()))?;
        self.is_known = true;
        applier.active.raise_highest(self.state.highest);
        applier.reporter.status.bundle(|status| status.forgotten = None);
        self.begin(applier).await;
        Ok(())
    }

    /// Whether the bundle in force is not on the disk yet.
    pub(super) fn has_unkept(&self) -> bool {
        self.unkept.is_some()
    }

    /// Tries a bundle and answers.
    pub(super) async fn receive(&mut self, received: Received, applier: &mut Applier) {
        let Received { bytes, key, answer } = received;
        let _ = answer.send(self.take(bytes, key, applier).await);
    }

    async fn take(&mut self, bytes: Vec<u8>, key: TrustedKey, applier: &mut Applier) -> Option<Holding> {
        if let Err(why) = self.recall(applier).await {
            say_wait(&format!("a bundle waits: {why}"), applier);
            return Some(Holding { etag: None, ..applier.active.holding() });
        }
        let (hash, trusted) = (hex::encode(sha256(&bytes)), key.id().to_string());
        // With another key it may be good.
        let is_it = |refused: &RejectedBundle| refused.hash == hash && refused.trusted == trusted;
        if self.state.refused.as_ref().is_some_and(is_it) {
            return None;
        }
        let of = Of { hash, trusted, bytes: Arc::new(bytes) };
        let (bytes, enrolment) = (Arc::clone(&of.bytes), self.enrolment.clone());
        let (running, highest) = (applier.active.version(), applier.active.highest());
        let judged = on_thread(None, move || bundle::judge(&bytes, &key, &enrolment, running, highest)).await;
        match judged {
            Err(rejection) => self.reject(of, rejection, applier).await,
            Ok(Judged::Known) => None,
            Ok(Judged::SameContent(bundle)) => self.renumber(*bundle, of, applier).await,
            Ok(Judged::New(bundle)) => self.attempt(*bundle, of, applier).await,
        }
    }

    /// From its content on, all is a trial: the agent may not outlive even to read it.
    async fn attempt(&mut self, bundle: Bundle, of: Of, applier: &mut Applier) -> Option<Holding> {
        let times = self.state.trial.as_ref().filter(|trial| trial.hash == of.hash).map_or(0, |trial| trial.times);
        if times >= TRIES {
            let reason = format!("the agent did not outlive it {times} times");
            return self.reject(of, Rejection { version: Some(bundle.version), reason }, applier).await;
        }
        let trial = Trial { hash: of.hash.clone(), times: times + 1 };
        if let Err(why) = self.note_trial(trial, Arc::clone(&of.bytes)).await {
            return Some(wait_for_disk(bundle.version, &why, applier));
        }
        let (version, bundle) = (bundle.version, Arc::new(bundle));
        let (enrolment, source) = (self.enrolment.clone(), self.source);
        let (to_read, before) = (Arc::clone(&bundle), applier.reporter.site());
        let compiled =
            on_thread(Some(version), move || bundle::try_compile(&to_read, &enrolment, source, before)).await;
        match compiled {
            Err(rejection) => self.reject(of, rejection, applier).await,
            Ok(compiled) => self.apply(bundle, compiled, of.bytes, applier).await,
        }
    }

    async fn reject(&mut self, of: Of, rejection: Rejection, applier: &Applier) -> Option<Holding> {
        let (Of { hash, trusted, .. }, Rejection { version, reason }) = (of, rejection);
        let named = version.map_or("a bundle".to_owned(), |version| format!("bundle {version}"));
        error!(target: "sync", "{named} is refused and the running configuration stays: {reason}");
        let body = json!({ "version": version, "hash": hash, "outcome": "refused", "reason": reason });
        applier.tell_of_bundle(body).await;
        applier.reporter.status.rejected(vec![format!("{named}: {reason}")]);
        let refused = Some(RejectedBundle { hash, trusted, version, reason });
        applier.reporter.status.bundle(|status| status.refused.clone_from(&refused));
        self.state = BundleState { refused, trial: None, ..self.state };
        self.remember().await;
        None
    }

    /// What runs has another number from now on; nothing starts anew.
    async fn renumber(&mut self, bundle: Bundle, of: Of, applier: &mut Applier) -> Option<Holding> {
        let bytes = of.bytes;
        if let Err(why) = self.on_disk(move |files| files.put_good(&bytes)).await {
            return Some(wait_for_disk(bundle.version, &why, applier));
        }
        self.unkept = None;
        Some(self.follow(Arc::new(bundle), "same-content", applier).await)
    }

    async fn apply(
        &mut self,
        bundle: Arc<Bundle>,
        compiled: Compiled,
        bytes: Arc<Vec<u8>>,
        applier: &mut Applier,
    ) -> Option<Holding> {
        let Compiled { configured, sources, summary, .. } = compiled;
        let is_another = applier.hand_over(configured, sources).await;
        // The process may end here; the trial is counted.
        applier.taken().await?;
        let (version, kept) = (bundle.version, self.on_disk(BundleFiles::keep_staged).await);
        applier.reporter.in_force(summary, is_another);
        let holding = self.follow(bundle, "applied", applier).await;
        self.unkept = kept.is_err().then_some(bytes);
        if let Err(why) = kept {
            say_wait(&format!("bundle {version} is in force, and kept once the disk takes it: {why}"), applier);
        }
        Some(holding)
    }

    /// Counted before the bundle is tried, for the agent may not outlive it; only once it is staged, for a trial that did
    /// not take place must not count.
    async fn note_trial(&mut self, trial: Trial, bytes: Arc<Vec<u8>>) -> Result<(), String> {
        let state = BundleState { trial: Some(trial), ..self.state.clone() };
        let noted = state.clone();
        self.on_disk(move |files| files.stage(&bytes).and_then(|()| files.remember(&noted))).await?;
        self.state = state;
        Ok(())
    }

    /// Until then a start begins with the bundle before, which the hub replaces as soon as it is reached.
    pub(super) async fn keep_again(&mut self, applier: &Applier) {
        let Some(bytes) = self.unkept.clone() else { return };
        if self.on_disk(move |files| files.put_good(&bytes)).await.is_ok() {
            self.unkept = None;
            applier.reporter.status.bundle(|status| status.waits = None);
            info!(target: "sync", "the disk took the bundle that is in force");
            self.remember().await;
        }
    }

    /// A bundle is in force: for people, the hub and the next start.
    async fn follow(&mut self, bundle: Arc<Bundle>, outcome: &str, applier: &mut Applier) -> Holding {
        let (version, hash) = (bundle.version, bundle.hash.to_string());
        applier.active.set_bundle(bundle);
        let folder = self.enrolment.folder.clone();
        let ignored = tokio::task::spawn_blocking(move || bundle::ignored(&folder)).await.unwrap_or_default();
        info!(target: "sync", "bundle {version} is in force ({outcome}, content {})", &hash[..8]);
        say_ignored(&ignored);
        let body = json!({ "version": version, "hash": hash, "outcome": outcome, "reason": null });
        applier.tell_of_bundle(body).await;
        applier.reporter.status.bundle(|status| {
            status.follows(RunningBundle { version, hash }, ignored);
            status.refused = None;
        });
        self.state = BundleState { highest: applier.active.highest(), ..BundleState::default() };
        self.remember().await;
        applier.active.holding()
    }

    async fn remember(&self) {
        let state = self.state.clone();
        if let Err(why) = self.on_disk(move |files| files.remember(&state)).await {
            warn!(target: "sync", "what became of a bundle cannot be kept: {why}");
        }
    }

    /// A disk that hangs holds up a thread of its own, not decide.
    async fn on_disk(&self, what: impl FnOnce(&BundleFiles) -> io::Result<()> + Send + 'static) -> Result<(), String> {
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || what(&files)).await;
        done.map_err(io::Error::other).flatten().map_err(|error| error.to_string())
    }
}

/// A bundle on its way.
struct Of {
    /// SHA-256 of its bytes.
    hash: String,
    /// Id of the key that must have signed it.
    trusted: String,
    bytes: Arc<Vec<u8>>,
}

/// Not rejected: the bundle comes again with the next pull, which no tag keeps from bringing it.
fn wait_for_disk(version: u64, why: &str, applier: &Applier) -> Holding {
    say_wait(&format!("bundle {version} waits until the disk takes it: {why}"), applier);
    Holding { etag: None, ..applier.active.holding() }
}

/// A disk may be full for weeks: once for each reason.
fn say_wait(why: &str, applier: &Applier) {
    let before = applier.reporter.status.bundle(|status| status.waits.replace(why.to_owned()));
    if before.as_deref() != Some(why) {
        warn!(target: "sync", "{why}");
    }
}

/// Runs what takes its time on a thread of its own.
async fn on_thread<T: Send + 'static>(
    version: Option<u64>,
    what: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Rejection> {
    let failed = |_| Err(Rejection { version, reason: "checking it failed".to_owned() });
    tokio::task::spawn_blocking(what).await.unwrap_or_else(failed)
}

#[cfg(test)]
mod tests;
