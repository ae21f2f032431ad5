//! `config.d` is watched: what changes there is checked and takes effect, or is refused with the running one kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use notify_watch::{RecommendedWatcher, RecursiveMode, Watcher};
use serde_json::{Map, Value, json};
use tilth_config::{Level, Purpose};
use tokio::sync::{Notify, mpsc};

use super::Farm;
use crate::decide::Command;
use crate::desk::facts::Facts;
use crate::findings;
use crate::output::tell;
use crate::sense::Sources;
use crate::sync::bundle::{Ruling, compile, ignored, say_ignored};

/// An editor writes a file in several steps: they are one change if nothing follows for this long.
const SETTLE: Duration = Duration::from_millis(200);

/// Watches a configuration folder.
pub(super) struct Reload {
    folder: PathBuf,
    commands: mpsc::Sender<Command>,
    touched: Arc<Notify>,
    facts: Facts,
    /// What runs.
    ruling: Ruling,
    watcher: RecommendedWatcher,
}

impl Reload {
    pub(super) fn new(
        folder: PathBuf,
        ruling: Ruling,
        commands: mpsc::Sender<Command>,
        facts: Facts,
    ) -> anyhow::Result<Reload> {
        let touched = Arc::new(Notify::new());
        let touch = Arc::clone(&touched);
        let mut watcher = notify_watch::recommended_watcher(move |event: notify_watch::Result<notify_watch::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                touch.notify_one();
            }
        })
        .context("watching files")?;
        // The folders and not the files: editors replace a file by another one.
        watcher.watch(&folder, RecursiveMode::NonRecursive).with_context(|| folder.display().to_string())?;
        let mut reload = Reload { folder, commands, touched, facts, ruling, watcher };
        reload.watch_inner();
        Ok(reload)
    }

    /// `config.d` may be made, or another one be put in its place, at any time: that is a change of the outer folder.
    fn watch_inner(&mut self) {
        let inner = self.folder.join("config.d");
        if inner.is_dir()
            && let Err(error) = self.watcher.watch(&inner, RecursiveMode::NonRecursive)
        {
            tell(format_args!("tilth-agent: {}: changes are not noticed: {error}", inner.display()));
        }
    }

    /// Waits for a change; gives what is to be read from now on, where the change took effect. Cancelling is safe.
    pub(super) async fn changed(&mut self) -> Option<Sources> {
        self.touched.notified().await;
        self.watch_inner();
        while tokio::time::timeout(SETTLE, self.touched.notified()).await.is_ok() {}
        let loaded = match self.ruling.bundle() {
            // `agent.toml` is read anew; what is in `config.d` means nothing while a bundle rules.
            Some(bundle) => {
                say_ignored(&ignored(&self.folder));
                compile(&bundle, &self.folder)
            }
            None => tilth_config::load(&self.folder, Purpose::Run),
        };
        let problems: Vec<String> = findings::shown(&loaded, false).collect();
        let refused = loaded.diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error);
        match Farm::of(loaded) {
            Some(farm) if !refused => {
                let hash = &farm.configured.hash;
                self.facts.applied(hash);
                if !self.ruling.run(hash) {
                    return None;
                }
                tell(format_args!("tilth-agent: configuration {}: in force", &hash[..8]));
                self.say(json!({ "hash": hash, "state": "applied" })).await;
                let _ = self.commands.send(Command::Plan(Box::new(farm.configured))).await;
                Some(farm.sources)
            }
            _ => {
                tell("tilth-agent: the changed configuration is refused; the running one stays:");
                problems.iter().for_each(tell);
                self.facts.refused(problems.clone());
                self.say(json!({ "state": "refused", "problems": problems })).await;
                None
            }
        }
    }

    async fn say(&self, body: Value) {
        let body = match body {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        let _ = self.commands.send(Command::Diagnose("configuration", body)).await;
    }
}
