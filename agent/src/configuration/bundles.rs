//! Bundles of the hub: checked, tried, and saved, rejected or reverted.
//!
//! ```text
//!             .--------------------- a person says retry -----------------------.
//!             v                                                                 |
//! bytes --> check --> saved ---> attempt saved -> compile --> decide takes it --> on probation --> passed
//!             |         |            |              |         (bundle.good)       |
//!             |         `------------'---------------- the disk fails: the active one stays, and the bundle comes again
//!             |                                     |                             |
//!             `-------------------------------------'--> rejected                 `--> reverted: the previous one returns
//! ```
//!
//! A rejected or reverted bundle is remembered by its hash and reported to people and to the hub. It is tried again only when another
//! version comes or a person says retry. A failing disk is no fault of a bundle and counts as no attempt.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tilth_config::bundle::{Bundle, BundleOrder, TrustedKey};
use tilth_config::sha256;
use tilth_sync::engine::NewestBundle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::active::short;
use super::apply::{Applier, anonymous_memory};
use super::bundle::{self, Rejection, log_ignored};
use super::bundle_files::{
    ApplyAttempt, BundleFiles, BundleState, MAX_ATTEMPTS, OnProbation, RejectedBundle, Reverted,
};
use super::compiled::Compiled;
use super::enrolment::Enrolment;
use super::probation::{Blame, Probation};
use super::startup::Startup;
use crate::clock::ClockMode;
use crate::durable::Unreadable;
use crate::findings::Problems;

/// Interval at which saving an active bundle, or reading `bundle.state`, is tried again.
pub(super) const SAVE_AGAIN: Duration = Duration::from_secs(60);

/// Longest wait for `bundle.state`.
const READ_STATE: Duration = Duration::from_secs(1);

/// A bundle that the hub sent.
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// The key that must have signed it.
    pub(crate) key: TrustedKey,
    /// Answered once the bundle is handled: version and ETag for the hub, where they changed.
    pub(crate) answer: oneshot::Sender<Option<NewestBundle>>,
}

/// Bundles of the hub, and the state of earlier ones.
#[derive(Debug)]
pub(crate) struct Bundles {
    enrolment: Enrolment,
    mode: ClockMode,
    files: BundleFiles,
    pub(super) state: BundleState,
    /// Whether `state` is the content of its file: a file that cannot be read must not be replaced.
    is_loaded: bool,
    /// The read of that file, while it goes on.
    reading: Option<JoinHandle<Result<BundleState, Unreadable>>>,
    /// The active bundle, where it could not be saved.
    unsaved: Option<Arc<Vec<u8>>>,
}

impl Bundles {
    /// Starts with the content of `bundle.state`; `None` where that cannot be read yet.
    pub(super) fn new(enrolment: Enrolment, mode: ClockMode, state: Option<BundleState>) -> Bundles {
        let files = BundleFiles::new(&enrolment.data);
        let is_loaded = state.is_some();
        Bundles { files, enrolment, mode, state: state.unwrap_or_default(), is_loaded, reading: None, unsaved: None }
    }

    /// Shows what was rejected, resumes a probation, and saves the highest version: where the state was lost, it is that of the active
    /// bundle.
    pub(super) async fn begin(&mut self, applier: &mut Applier) {
        let rejected = self.state.rejected.clone();
        applier.reporter.status.update_bundle(|status| status.rejected = rejected);
        if let Some(OnProbation { version, failed, sensors, .. }) = &self.state.probation {
            let is_active = applier.active().version().is_some_and(|(active, _)| active == *version);
            match failed.clone() {
                // A bundle that has failed and could not be reverted before the start is reverted with the first judgement.
                _ if is_active => {
                    applier.probation = Some(Probation::new(sensors.clone(), Blame::Bundle, None));
                }
                Some(reason) => self.finish_revert(&reason, applier).await,
                // The agent ended before the bundle began, and it comes again.
                None => {
                    self.state.probation = None;
                    self.save_current_state().await;
                }
            }
        }
        let highest = self.state.highest(applier.active());
        if self.is_loaded && self.state.highest < highest {
            self.state.highest = highest;
            self.save_current_state().await;
        }
    }

    /// Reads `bundle.state`, where the start could not. A disk that hangs holds up one thread and this task for [`READ_STATE`].
    async fn load_state(&mut self, applier: &mut Applier) -> Result<(), String> {
        if self.is_loaded {
            return Ok(());
        }
        let read = self.reading.get_or_insert_with(|| {
            let files = self.files.clone();
            tokio::task::spawn_blocking(move || {
                let mut state = files.state()?;
                files.resume_probation(&mut state);
                Ok(state)
            })
        });
        let read = timeout(READ_STATE, read).await.map_err(|_| "bundle.state: the data folder does not answer")?;
        self.reading = None;
        let read = read.map_err(|error| error.to_string())?;
        self.state = read.map_err(|unreadable| format!("bundle.state {unreadable}"))?;
        self.is_loaded = true;
        info!(target: "sync", "bundle.state can be read again");
        applier.reporter.status.update_bundle(|status| status.state_error = None);
        self.begin(applier).await;
        Ok(())
    }

    /// Whether something waits for the disk: the active bundle to be saved, or the state to be read.
    pub(super) fn awaits_disk(&self) -> bool {
        self.unsaved.is_some() || !self.is_loaded
    }

    /// Handles a received bundle; returns version and ETag for the hub, where they changed.
    pub(super) async fn handle(
        &mut self,
        bytes: Vec<u8>,
        key: TrustedKey,
        applier: &mut Applier,
    ) -> Option<NewestBundle> {
        if let Err(why) = self.load_state(applier).await {
            return self.defer(&format!("a bundle waits: {why}"), applier);
        }
        let signed = UnverifiedBytes::new(bytes, &key);
        // With another signing key the same bytes may be good.
        let is_it = |rejected: &RejectedBundle| rejected.hash == signed.hash && rejected.trusted == signed.trusted;
        if self.state.rejected.as_ref().is_some_and(is_it) {
            // The hub may have been told before the state could be read.
            return Some(self.state.newest_bundle(applier.active()));
        }
        self.check(signed, key, applier).await.unwrap_or_else(|NotSaved { version, why }| {
            self.defer(&format!("bundle {version} waits: saving it failed, will retry: {why}"), applier)
        })
    }

    /// Leaves a bundle pending, without rejecting it: without the ETag the hub sends it again with the next pull.
    fn defer(&self, why: &str, applier: &Applier) -> Option<NewestBundle> {
        log_deferred(why, applier);
        Some(NewestBundle { etag: None, ..self.state.newest_bundle(applier.active()) })
    }

    /// Checks a bundle, and tries one that is newer.
    async fn check(
        &mut self,
        signed: UnverifiedBytes,
        key: TrustedKey,
        applier: &mut Applier,
    ) -> Result<Option<NewestBundle>, NotSaved> {
        let (bytes, enrolment) = (Arc::clone(&signed.bytes), self.enrolment.clone());
        let (active, highest) = (applier.active().version(), self.state.highest(applier.active()));
        let check = move || bundle::check(&bytes, &key, &enrolment, active, highest);
        match blocking_check(None, check).await {
            Err(rejection) => Ok(self.reject(signed, rejection, applier).await),
            Ok((bundle, BundleOrder::Newer)) => {
                let content = Some(bundle.hash.to_string());
                self.attempt(bundle, UnverifiedBytes { content, ..signed }, applier).await
            }
            Ok((bundle, BundleOrder::SameContent)) => self.take_version(bundle, signed, applier).await.map(Some),
            Ok((_, BundleOrder::Active | BundleOrder::Older)) => Ok(None),
        }
    }

    /// Tries a bundle. The attempt is counted before the content is read, for that may end the agent, too.
    async fn attempt(
        &mut self,
        bundle: Bundle,
        signed: UnverifiedBytes,
        applier: &mut Applier,
    ) -> Result<Option<NewestBundle>, NotSaved> {
        let memory = anonymous_memory();
        let before = self.state.attempt.as_ref().filter(|attempt| attempt.hash == signed.hash);
        let attempts = before.map_or(0, |attempt| attempt.attempts);
        if attempts >= MAX_ATTEMPTS {
            let reason = format!("the agent ended {attempts} times while applying it");
            return Ok(self.reject(signed, Rejection { version: Some(bundle.version), reason }, applier).await);
        }
        let attempt = Some(ApplyAttempt { hash: signed.hash.clone(), attempts: attempts + 1 });
        let (bytes, state) = (Arc::clone(&signed.bytes), BundleState { attempt, ..self.state.clone() });
        let (version, bundle) = (bundle.version, Arc::new(bundle));
        // An attempt counts once the next bundle is saved, and before it begins: the agent may end within it.
        self.save(state, move |files| files.save_next(&bytes)).await.map_err(|why| NotSaved { version, why })?;
        let (enrolment, mode) = (self.enrolment.clone(), self.mode);
        let (to_read, active) = (Arc::clone(&bundle), applier.active().files.agent_toml());
        let compiled =
            blocking_check(Some(version), move || bundle::try_compile(&to_read, &enrolment, mode, active)).await;
        match compiled {
            Err(rejection) => Ok(self.reject(signed, rejection, applier).await),
            Ok(compiled) => self.apply(bundle, compiled, signed, memory, applier).await,
        }
    }

    async fn reject(
        &mut self,
        signed: UnverifiedBytes,
        rejection: Rejection,
        applier: &mut Applier,
    ) -> Option<NewestBundle> {
        let (UnverifiedBytes { hash, trusted, content, .. }, Rejection { version, reason }) = (signed, rejection);
        let is_signed = content.is_some();
        let named = version.map_or("a bundle".to_owned(), |version| format!("bundle {version}"));
        let active = applier.active().name();
        error!(target: "sync", "{named} rejected; still running configuration {active}: {reason}");
        applier.reporter.status.set_rejected(Problems::error(format!("{named}: {reason}")));
        self.record_rejected(RejectedBundle { hash, trusted, version, reason, content, reverted: None }, applier).await;
        is_signed.then(|| self.state.newest_bundle(applier.active()))
    }

    /// Reports a bundle that is not active to the hub and to people, and remembers it.
    async fn record_rejected(&mut self, rejected: RejectedBundle, applier: &mut Applier) {
        let RejectedBundle { version, hash, reason, .. } = &rejected;
        let active = applier.active().version().map_or(0, |(version, _)| version);
        let body = json!({
            "version": version, "hash": hash, "outcome": "refused", "reason": reason, "running": active,
        });
        applier.store_bundle_event(body).await;
        let rejected = Some(rejected);
        applier.reporter.status.update_bundle(|status| status.rejected.clone_from(&rejected));
        self.state.rejected = rejected;
        self.state.attempt = None;
        self.save_current_state().await;
    }

    /// Takes the version of a bundle with the content of the active one; nothing restarts.
    async fn take_version(
        &mut self,
        bundle: Bundle,
        signed: UnverifiedBytes,
        applier: &mut Applier,
    ) -> Result<NewestBundle, NotSaved> {
        let (bytes, mut state) = (signed.bytes, self.state.clone());
        if let Some(probation) = &mut state.probation {
            (probation.hash, probation.trusted, probation.version) = (signed.hash, signed.trusted, bundle.version);
        }
        let saved = state.clone();
        let save = move |files: &BundleFiles| files.save_state(&saved).and_then(|()| files.save_active(&bytes));
        self.blocking_files(save).await.map_err(|why| NotSaved { version: bundle.version, why })?;
        (self.state, self.unsaved) = (state, None);
        let bundle = Arc::new(bundle);
        applier.take_version(Arc::clone(&bundle));
        Ok(self.report_active(&bundle, "same-content", applier).await)
    }

    async fn apply(
        &mut self,
        bundle: Arc<Bundle>,
        compiled: Compiled,
        signed: UnverifiedBytes,
        memory: Option<u64>,
        applier: &mut Applier,
    ) -> Result<Option<NewestBundle>, NotSaved> {
        let expected = applier.expected_sensors(&compiled, Blame::Bundle).await;
        let probation = OnProbation::begin(signed.hash, signed.trusted, &bundle, expected.clone());
        // A bundle that comes while another one is on probation returns to the one before both.
        let is_first = self.state.probation.is_none();
        let state = BundleState { probation: Some(probation), rejected: None, ..self.state.clone() };
        let save_previous = move |files: &BundleFiles| if is_first { files.save_previous() } else { Ok(()) };
        let version = bundle.version;
        self.save(state, save_previous).await.map_err(|why| NotSaved { version, why })?;
        let probation = Probation::new(expected, Blame::Bundle, memory);
        let (summary, is_changed) = applier.activate(compiled, Some(Arc::clone(&bundle)), Some(probation)).await;
        // The process may end here; the attempt is already counted.
        let Some(()) = applier.wait_until_active().await else { return Ok(None) };
        let kept = self.blocking_files(BundleFiles::activate_next).await;
        applier.report(summary, is_changed);
        let newest = self.report_active(&bundle, "applied", applier).await;
        self.unsaved = kept.is_err().then_some(signed.bytes);
        if !is_changed {
            self.pass(applier).await;
        }
        if let Err(why) = kept {
            log_deferred(&format!("bundle {version} applied; saving it failed, will retry: {why}"), applier);
        }
        Ok(Some(newest))
    }

    /// Saves the next state once `first` is done; in memory it changes only then.
    async fn save(
        &mut self,
        state: BundleState,
        first: impl FnOnce(&BundleFiles) -> io::Result<()> + Send + 'static,
    ) -> Result<(), String> {
        let saved = state.clone();
        self.blocking_files(move |files| first(files).and_then(|()| files.save_state(&saved))).await?;
        self.state = state;
        Ok(())
    }

    pub(super) fn is_on_probation(&self) -> bool {
        self.state.probation.is_some()
    }

    /// Why the active bundle has failed its probation, where reverting it was not possible yet.
    pub(super) fn failed(&self) -> Option<String> {
        self.state.probation.as_ref().and_then(|probation| probation.failed.clone())
    }

    /// Exempts the sensors that changed files silenced: they are no fault of the bundle, also after a restart.
    pub(super) async fn exempt_sensors_of_files(&mut self, applier: &mut Applier) {
        if let (Some(judged), Some(saved)) = (&mut applier.probation, &mut self.state.probation) {
            judged.exempt_sensors_of_files();
            saved.sensors.clone_from(&judged.expected);
            self.save_current_state().await;
        }
    }

    /// The active bundle has passed its probation.
    pub(super) async fn pass(&mut self, applier: &mut Applier) {
        applier.end_probation();
        if let Some(OnProbation { version, .. }) = self.state.probation.take() {
            info!(target: "sync", "bundle {version} passed its probation");
        }
        self.save_current_state().await;
        // A copy that cannot be deleted is replaced with the next probation.
        let _ = self.blocking_files(BundleFiles::delete_previous).await;
    }

    /// The active bundle has failed its probation: what was active before returns.
    pub(super) async fn revert(&mut self, reason: &str, applier: &mut Applier) {
        let Some(probation) = &mut self.state.probation else { return };
        let (version, hash) = (probation.version, probation.hash.clone());
        if probation.failed.is_none() {
            probation.failed = Some(reason.to_owned());
            self.save_current_state().await;
        }
        let failed = |why: String, applier: &Applier| {
            let said =
                format!("bundle {version} failed its probation ({reason}); reverting it failed, will retry: {why}");
            log_deferred(&said, applier);
        };
        let to_restore = hash.clone();
        if let Err(why) = self.blocking_files(move |files| files.restore_previous(&to_restore)).await {
            return failed(why, applier);
        }
        let (folder, data) = (self.enrolment.folder.clone(), self.enrolment.data.clone());
        let clock = applier.reporter.status.clock().clone();
        let again = tokio::task::spawn_blocking(move || Startup::again(&folder, &data, &clock)).await;
        let Ok(Some(Startup { compiled, bundle, bundle_unavailable, ignored, .. })) = again else {
            // So that the disk has what runs, too.
            if let Err(why) = self.blocking_files(move |files| files.restore_reverted(&hash)).await {
                return failed(why, applier);
            }
            error!(target: "sync", "bundle {version} failed its probation and keeps running, for no earlier configuration can be used: {reason}");
            return self.pass(applier).await;
        };
        let (summary, is_changed) = applier.activate(compiled, bundle, None).await;
        if applier.wait_until_active().await.is_none() {
            return;
        }
        self.unsaved = None;
        applier.reporter.status.update_bundle(|status| match &applier.active().bundle {
            Some(bundle) => {
                status.set_active(bundle);
                status.ignored = ignored;
            }
            None => status.returns_to_files(bundle_unavailable),
        });
        applier.report(summary, is_changed);
        self.finish_revert(reason, applier).await;
    }

    /// Reports a bundle that failed its probation, after the configuration before it returned.
    async fn finish_revert(&mut self, reason: &str, applier: &mut Applier) {
        applier.end_probation();
        let Some(OnProbation { hash, trusted, version, content, .. }) = self.state.probation.take() else { return };
        let active = applier.active().version();
        let now = active.map_or("the configuration before it".to_owned(), |(version, _)| format!("bundle {version}"));
        error!(target: "sync", "bundle {version} reverted, {now} is running again: {reason}");
        let reason = format!("reverted: {reason}");
        let (version, content, reverted) = (Some(version), None, Some(Reverted { content }));
        self.record_rejected(RejectedBundle { hash, trusted, version, reason, content, reverted }, applier).await;
    }

    /// Tries the bundle that was rejected or reverted last once more; returns its version, or why it is not tried or was rejected
    /// again, in words.
    pub(super) async fn retry(&mut self, applier: &mut Applier) -> Result<u64, String> {
        self.load_state(applier).await?;
        let rejected = self.state.rejected.clone().ok_or("no bundle is rejected")?;
        let (files, enrolment, hash) = (self.files.clone(), self.enrolment.clone(), rejected.hash.clone());
        let read = move || (files.rejected(&hash), enrolment.trusted_key());
        let (bytes, key) = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        let bytes =
            bytes.ok_or("the rejected bundle is no longer on this device; the hub's next version will be applied")?;
        let key = key.map_err(|error| format!("{error:#}"))?;
        // The hub already knows the version that this device has seen, and does not send it again: the bundle stays rejected in the
        // file, too, until its outcome is saved.
        let checked = self.check(UnverifiedBytes::new(bytes, &key), key, applier).await;
        checked.map_err(|NotSaved { why, .. }| format!("it stays rejected, for saving it failed: {why}"))?;
        match (&self.state.rejected, applier.active().version()) {
            (None, Some((version, _))) => Ok(version),
            (again, _) => Err(format!("rejected again: {}", again.as_ref().unwrap_or(&rejected).reason)),
        }
    }

    /// Shows which files are ignored because of the active bundle, which itself is shown already: the disk of the files may hang.
    async fn show_ignored(&self, applier: &Applier) {
        let folder = self.enrolment.folder.clone();
        let ignored = tokio::task::spawn_blocking(move || bundle::ignored(&folder)).await.unwrap_or_default();
        log_ignored(&ignored);
        applier.reporter.status.update_bundle(|status| status.ignored = ignored);
    }

    /// Tries again to read the state, and to save the active bundle. As long as that is not saved, an agent that
    /// is started again runs the bundle before, until the hub sends this one again.
    pub(super) async fn try_disk(&mut self, applier: &mut Applier) {
        // Why not is in the status since the start.
        let _ = self.load_state(applier).await;
        let Some(bytes) = self.unsaved.clone() else { return };
        if self.blocking_files(move |files| files.save_active(&bytes)).await.is_ok() {
            self.unsaved = None;
            applier.reporter.status.update_bundle(|status| status.deferred_reason = None);
            info!(target: "sync", "running bundle saved");
            self.save_current_state().await;
        }
    }

    /// Reports an active bundle to people and to the hub, and remembers it.
    async fn report_active(&mut self, bundle: &Bundle, outcome: &str, applier: &mut Applier) -> NewestBundle {
        let (version, hash) = (bundle.version, bundle.hash.to_string());
        applier.reporter.status.update_bundle(|status| {
            status.set_active(bundle);
            status.rejected = None;
        });
        info!(target: "sync", "bundle {version} is running ({outcome}, content {})", short(&hash));
        self.show_ignored(applier).await;
        let body = json!({ "version": version, "hash": hash, "outcome": outcome, "reason": null });
        applier.store_bundle_event(body).await;
        let (highest, probation) = (self.state.highest(applier.active()), self.state.probation.take());
        self.state = BundleState { highest, probation, ..BundleState::default() };
        self.save_current_state().await;
        self.state.newest_bundle(applier.active())
    }

    async fn save_current_state(&self) {
        let state = self.state.clone();
        if let Err(why) = self.blocking_files(move |files| files.save_state(&state)).await {
            warn!(target: "sync", "saving bundle.state failed: {why}");
        }
    }

    /// Runs work on the disk on a blocking thread: a disk that hangs must not stop this task.
    async fn blocking_files(
        &self,
        what: impl FnOnce(&BundleFiles) -> io::Result<()> + Send + 'static,
    ) -> Result<(), String> {
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || what(&files)).await;
        done.map_err(io::Error::other).flatten().map_err(|error| error.to_string())
    }
}

/// Bytes of a received bundle.
struct UnverifiedBytes {
    /// SHA-256 of the bytes.
    hash: String,
    /// Id of the key that must have signed them.
    trusted: String,
    /// Hash of its content, once its signature was found good.
    content: Option<String>,
    bytes: Arc<Vec<u8>>,
}

impl UnverifiedBytes {
    fn new(bytes: Vec<u8>, key: &TrustedKey) -> UnverifiedBytes {
        let (hash, trusted) = (hex::encode(sha256(&bytes)), key.id().to_string());
        UnverifiedBytes { hash, trusted, content: None, bytes: Arc::new(bytes) }
    }
}

/// A bundle that the disk did not take, and why. Nothing has changed.
struct NotSaved {
    version: u64,
    why: String,
}

/// Shows why a bundle waits; logged once for each reason, for a disk may be full for weeks.
fn log_deferred(why: &str, applier: &Applier) {
    let before = applier.reporter.status.update_bundle(|status| status.deferred_reason.replace(why.to_owned()));
    if before.as_deref() != Some(why) {
        warn!(target: "sync", "{why}");
    }
}

/// Runs a slow check on a blocking thread.
async fn blocking_check<T: Send + 'static>(
    version: Option<u64>,
    what: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Rejection> {
    let failed = |_| Err(Rejection { version, reason: "the check of the bundle failed".to_owned() });
    tokio::task::spawn_blocking(what).await.unwrap_or_else(failed)
}

#[cfg(test)]
mod tests;
