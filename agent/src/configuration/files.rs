//! Files that change under a running agent: read and checked, then applied or rejected. A change that takes something away waits.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use tilth_config::bundle::Bundle;
use tilth_config::{Files, Loaded, Purpose};
use tracing::warn;

use super::active::ActiveConfig;
use super::apply::Applier;
use super::bundle::{self, ignored, log_ignored};
use super::compiled::Compiled;
use super::first_of;
use super::probation::{Blame, Probation};
use super::removal_guard::{self, QUIET, RemovalGuard, removed_from_files};
use crate::findings::Problems;

/// Upper limit of removals in the message; the rest is counted.
const MAX_NAMED: usize = 5;

/// Changes of files, and the one that waits.
pub(crate) struct FileChanges {
    folder: PathBuf,
    removal_guard: RemovalGuard,
    changed: Instant,
    /// When the waiting change is checked again.
    due: Option<Instant>,
    /// Removals of the waiting change that the log already names.
    logged: Vec<String>,
}

impl FileChanges {
    pub(super) fn new(folder: PathBuf) -> FileChanges {
        let (removal_guard, changed) = (RemovalGuard::default(), Instant::now());
        FileChanges { folder, removal_guard, changed, due: None, logged: Vec::new() }
    }

    pub(super) async fn changed(&mut self, at: Instant, applier: &mut Applier) {
        self.changed = at;
        self.reload(applier).await;
    }

    /// Waits until the waiting change is due; forever where there is none.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Reads the folder: applies it, rejects it or waits.
    pub(super) async fn reload(&mut self, applier: &mut Applier) {
        self.due = None;
        let (folder, bundle) = (self.folder.clone(), applier.active().bundle.clone());
        let read = tokio::task::spawn_blocking(move || read(&folder, bundle.as_deref())).await;
        let compiled = match read {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(problems)) => return applier.reject(problems).await,
            Err(_) => return applier.reject(Problems::error("the check of the files failed".to_owned())).await,
        };
        let removed = removals(applier.active(), &compiled);
        self.due = self.removal_guard.wait_until(Instant::now(), self.changed, !removed.is_empty());
        match self.due {
            Some(_) => self.log_waiting_change(removed, applier).await,
            None => self.apply(compiled, applier).await,
        }
    }

    /// Logs a waiting change, once for each list of removals.
    async fn log_waiting_change(&mut self, removed: Vec<String>, applier: &Applier) {
        if self.logged == removed {
            return;
        }
        let named = first_of(&removed, MAX_NAMED, ", ", "more");
        warn!(
            "the changed configuration removes {named}; it takes effect after {} s without further changes",
            QUIET.as_secs()
        );
        applier.store_diagnostic(json!({ "state": "waiting", "takes_away": removed })).await;
        self.logged = removed;
    }

    async fn apply(&mut self, compiled: Compiled, applier: &mut Applier) {
        *self = FileChanges::new(self.folder.clone());
        let hash = compiled.configured.hash.clone();
        let expected = applier.expected_sensors(&compiled, Blame::Files).await;
        let probation = Probation::new(expected, Blame::Files, None);
        let bundle = applier.active().bundle.clone();
        let (summary, is_changed) = applier.activate(compiled, bundle, Some(probation)).await;
        if is_changed {
            applier.store_diagnostic(json!({ "hash": hash, "state": "applied" })).await;
        }
        applier.report(summary, is_changed);
    }
}

/// What a configuration removes from the active one. A bundle is whole by its signature, so under it only `agent.toml` can be
/// unfinished.
fn removals(active: &ActiveConfig, compiled: &Compiled) -> Vec<String> {
    let files = &compiled.summary.files;
    if active.bundle.is_some() {
        return removed_from_files(&active.files, files);
    }
    removal_guard::removals((&active.files, &active.sensors.plan), (files, &compiled.configured.plan))
}

/// Reads the current files. Under a bundle only `agent.toml` counts, and `config.d` is ignored.
fn read(folder: &Path, bundle: Option<&Bundle>) -> Result<Compiled, Problems> {
    let (loaded, files): (Loaded, fn(&Loaded) -> Files) = match bundle {
        Some(bundle) => {
            log_ignored(&ignored(folder));
            (bundle::compile(bundle, bundle::agent_toml(folder), Purpose::Run), Files::of_agent_toml)
        }
        None => (tilth_config::load(folder, Purpose::Run), Files::of),
    };
    let problems = Problems::of(&loaded);
    Compiled::of(loaded, files).ok_or(problems)
}
