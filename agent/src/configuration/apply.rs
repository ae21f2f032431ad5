//! The only way of a configuration into force, from files or from a bundle.

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::active::ActiveConfig;
use super::reporter::ConfigReporter;
use crate::decide::{Command, Configured};
use crate::output::tell;
use crate::sense::Sources;

/// Brings configurations into force.
#[derive(Debug)]
pub(crate) struct Applier {
    pub(super) active: ActiveConfig,
    pub(super) reporter: ConfigReporter,
    pub(super) commands: mpsc::Sender<Command>,
    /// To the task that reads the sensors: what to read from now on.
    pub(super) sources: mpsc::Sender<Sources>,
}

impl Applier {
    /// Hands a configuration to the tasks that work by it. Says whether it is another one: the same content changes nothing.
    pub(super) async fn hand_over(&mut self, configured: Configured, sources: Sources) -> bool {
        let is_another = self.active.set_hash(&configured.hash);
        if is_another {
            let _ = self.commands.send(Command::Plan(Box::new(configured))).await;
            let _ = self.sources.send(sources).await;
        }
        is_another
    }

    /// Waits until decide works by what was handed over; `None` where the process ends instead.
    pub(super) async fn taken(&self) -> Option<()> {
        let (done, taken) = oneshot::channel();
        let _ = self.commands.send(Command::Taken(done)).await;
        taken.await.ok()
    }

    /// Rejects the configuration in the folder; the one in force stays.
    pub(super) async fn reject(&self, problems: Vec<String>) {
        error!("the changed configuration is refused; the running one stays:");
        problems.iter().for_each(tell);
        self.diagnose(rejection(&problems)).await;
        self.reporter.status.rejected(problems);
    }

    /// Tells the hub what became of files.
    pub(super) async fn diagnose(&self, body: Value) {
        if let Value::Object(body) = body {
            let _ = self.commands.send(Command::Diagnose("configuration", body)).await;
        }
    }

    /// Tells the hub what became of a bundle.
    pub(super) async fn tell_of_bundle(&self, body: Value) {
        if let Value::Object(body) = body {
            let _ = self.commands.send(Command::Happened("bundle", body)).await;
        }
    }
}

/// The files in the folder are rejected: for the hub.
pub(super) fn rejection(problems: &[String]) -> Value {
    json!({ "state": "refused", "problems": problems })
}
