//! Files that change under a running agent: read and checked, then applied or rejected. A change that takes something away waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tilth_config::bundle::Bundle;
use tilth_config::{Files, Loaded, Purpose};
use tilth_core::plan::Plan;
use tracing::warn;

use super::apply::Applier;
use super::bundle::{self, ignored, say_ignored};
use super::compiled::Compiled;
use super::patience::{self, Patience, QUIET, Running, Verdict, taken_out};
use crate::findings::Problems;

/// Upper limit of names in the message about what a change takes away; the rest is counted.
const NAMED: usize = 5;

/// What a change of files is compared with, and since when it waits.
pub(crate) struct FileChanges {
    folder: PathBuf,
    files: Files,
    plan: Arc<Plan>,
    patience: Patience,
    /// When the files changed last.
    changed: Instant,
    /// When a change that waits is looked at again.
    due: Option<Instant>,
    /// What the change that waits was last said to take away.
    said: Vec<String>,
}

impl FileChanges {
    /// Of an agent in which these files and this plan are in force.
    pub(super) fn new(folder: PathBuf, files: Files, plan: Arc<Plan>) -> FileChanges {
        FileChanges {
            folder,
            files,
            plan,
            patience: Patience::default(),
            changed: Instant::now(),
            due: None,
            said: Vec::new(),
        }
    }

    /// The files changed at this instant.
    pub(super) async fn changed(&mut self, at: Instant, applier: &mut Applier) {
        self.changed = at;
        self.look(applier).await;
    }

    /// Waits until a change that waits is to be looked at again; for ever where none does.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Reads the folder.
    pub(super) async fn look(&mut self, applier: &mut Applier) {
        self.due = None;
        let (folder, bundle) = (self.folder.clone(), applier.active.bundle().cloned());
        let is_bundle = bundle.is_some();
        let read = tokio::task::spawn_blocking(move || read(&folder, bundle.as_deref())).await;
        let compiled = match read {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(problems)) => return applier.reject(problems).await,
            Err(_) => return applier.reject(Problems::error("the check of the files failed".to_owned())).await,
        };
        let gone = self.taken_away(&compiled, is_bundle);
        match self.patience.judge(Instant::now(), self.changed, !gone.is_empty()) {
            Verdict::Wait(due) => {
                self.due = Some(due);
                self.say_waits(gone, applier).await;
            }
            Verdict::Apply => self.apply(compiled, applier).await,
        }
    }

    /// What a configuration takes away from the one in force. A bundle is whole by its signature, and what it takes away it
    /// means to: there only `agent.toml` can be unfinished.
    fn taken_away(&self, compiled: &Compiled, is_bundle: bool) -> Vec<String> {
        let files = &compiled.summary.files;
        if is_bundle {
            return taken_out(&self.files, files);
        }
        let before = Running { files: &self.files, plan: &self.plan };
        patience::taken_away(&before, &Running { files, plan: &compiled.configured.plan })
    }

    /// Once for each list of what goes.
    async fn say_waits(&mut self, gone: Vec<String>, applier: &Applier) {
        if self.said == gone {
            return;
        }
        let more = gone.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = gone[..gone.len().min(NAMED)].join(", ");
        warn!(
            "the changed configuration removes {named}{more}; it takes effect after {} s without further changes",
            QUIET.as_secs()
        );
        applier.diagnose(json!({ "state": "waiting", "takes_away": gone })).await;
        self.said = gone;
    }

    async fn apply(&mut self, compiled: Compiled, applier: &mut Applier) {
        let (files, plan) = (compiled.summary.files.clone(), Arc::clone(&compiled.configured.plan));
        *self = FileChanges::new(self.folder.clone(), files, plan);
        let hash = compiled.configured.hash.clone();
        let expected = applier.expect(&compiled).await;
        let (summary, is_another) = applier.hand_over(compiled, Some(expected)).await;
        if is_another {
            applier.diagnose(json!({ "hash": hash, "state": "applied" })).await;
        }
        applier.reporter.in_force(summary, is_another);
    }
}

/// The configuration as its files are now. Under a bundle `agent.toml` is read anew, and `config.d` means nothing.
///
/// # Errors
/// Every problem, in words.
fn read(folder: &Path, bundle: Option<&Bundle>) -> Result<Compiled, Problems> {
    let (loaded, compiled): (Loaded, fn(Loaded) -> Option<Compiled>) = match bundle {
        Some(bundle) => {
            say_ignored(&ignored(folder));
            (bundle::compile(bundle, bundle::site(folder), Purpose::Run), Compiled::of_bundle)
        }
        None => (tilth_config::load(folder, Purpose::Run), Compiled::of_files),
    };
    let problems = Problems::of(&loaded);
    let compiled = if loaded.has_errors() { None } else { compiled(loaded) };
    compiled.ok_or(problems)
}
