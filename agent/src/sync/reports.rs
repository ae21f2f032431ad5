//! Handles the driver's reports: bundles go to the task of the configuration, problems to people and the hub.

use serde_json::json;
use tilth_config::bundle::TrustedKey;
use tilth_core::time::Uptime;
use tilth_sync::engine::{ProblemKind, Report, StateName, Status, SyncInput};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use super::status::SyncStatus;
use crate::configuration::Received;
use crate::decide::DecideRequest;
use crate::health::TaskHealth;

pub(super) struct ReportReceiver {
    pub(super) trusted: watch::Receiver<TrustedKey>,
    pub(super) bundles: mpsc::Sender<Received>,
    pub(super) to_decide: mpsc::Sender<DecideRequest>,
    pub(super) inputs: mpsc::Sender<SyncInput>,
    pub(super) health: TaskHealth,
    pub(super) status: SyncStatus,
    pub(super) last: LastReported,
}

/// State that was reported last.
#[derive(Debug, Default)]
pub(super) struct LastReported {
    /// Whether the hub accepts this device, as sent to decide.
    accepts: Option<bool>,
    /// When the hub accepted a batch last.
    last_success: Option<Uptime>,
}

impl ReportReceiver {
    /// Runs until the driver reports nothing any more.
    pub(super) async fn run(mut self, mut reported: mpsc::Receiver<Report>) {
        while let Some(report) = reported.recv().await {
            self.handle(report).await;
        }
    }

    async fn handle(&mut self, report: Report) {
        match report {
            Report::Bundle(bytes) => self.bundle(bytes).await,
            Report::Status(status) => {
                let has_answered = status.last_success.is_some();
                self.post_health(&status);
                self.status.send_modify(|shown| shown.engine = Some(*status));
                if has_answered && self.is_accepted() {
                    self.send_accepts(true).await;
                }
            }
            Report::Problem(problem) => self.problem(problem.kind, Some(problem.reason)).await,
            Report::ProblemOver(kind) => self.problem(kind, None).await,
        }
    }

    /// Posts to health why the hub accepts no rows, until it accepts some.
    fn post_health(&mut self, status: &Status) {
        let is_accepted = status.last_success > self.last.last_success;
        self.last.last_success = status.last_success;
        let problem = match status.state {
            StateName::Offline => "hub unreachable",
            StateName::BackingOff => "waiting to try again",
            StateName::Rejected | StateName::Conflict => "hub rejects this device",
            StateName::Idle => return self.health.sync_problem(None),
            StateName::Gathering | StateName::Fetching | StateName::Sending if is_accepted => {
                return self.health.sync_problem(None);
            }
            StateName::Gathering | StateName::Fetching | StateName::Sending => return,
        };
        self.health.sync_problem(Some((problem, status.why.clone())));
    }

    async fn bundle(&mut self, bytes: Vec<u8>) {
        let (answer, answered) = oneshot::channel();
        let key = *self.trusted.borrow();
        if self.bundles.send(Received { bytes, key, answer }).await.is_ok()
            && let Ok(Some(newest)) = answered.await
        {
            let _ = self.inputs.send(SyncInput::NewestBundle(newest)).await;
        }
    }

    /// Sends to decide whether the hub accepts this device, once for each change.
    async fn send_accepts(&mut self, accepts: bool) {
        if self.last.accepts.replace(accepts) != Some(accepts) {
            let _ = self.to_decide.send(DecideRequest::Hub { accepts }).await;
        }
    }

    /// Handles a problem, or the end of one where there is no reason.
    async fn problem(&mut self, kind: ProblemKind, reason: Option<String>) {
        self.status.send_modify(|status| {
            match reason.clone() {
                Some(reason) => status.problems.insert(kind, reason),
                None => status.problems.remove(&kind),
            };
        });
        if blocks_rows(kind) {
            self.send_accepts(self.is_accepted()).await;
        }
        let name = json!(kind);
        let name = name.as_str().unwrap_or_default();
        match &reason {
            Some(reason) => warn!(target: "sync", "{name}: {reason}"),
            None => info!(target: "sync", "{name} is over"),
        }
        let body = json!({ "alert": name, "over": reason.is_none(), "reason": reason });
        let _ = self.to_decide.send(DecideRequest::StoreDiagnostic("sync", body)).await;
    }

    /// Whether there is no problem because of which the hub accepts no rows.
    fn is_accepted(&self) -> bool {
        !self.status.borrow().problems.keys().any(|kind| blocks_rows(*kind))
    }
}

/// Whether the hub takes no rows because of a problem: of all but quarantined rows, which are for the developers.
fn blocks_rows(kind: ProblemKind) -> bool {
    kind != ProblemKind::RowsQuarantined
}

#[cfg(test)]
mod tests;
