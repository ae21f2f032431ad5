//! What the driver reports: bundles go to the task of the configuration, troubles to people and the hub.

use std::collections::BTreeSet;

use serde_json::json;
use tilth_config::bundle::TrustedKey;
use tilth_core::time::Uptime;
use tilth_sync::engine::{AlertKind, Input, Report, StateName, Status};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use super::status::SyncStatus;
use crate::configuration::Received;
use crate::decide::Command;
use crate::health::SharedMarks;

/// Hears the driver.
pub(super) struct Events {
    pub(super) trusted: watch::Receiver<TrustedKey>,
    pub(super) bundles: mpsc::Sender<Received>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) orders: mpsc::Sender<Input>,
    pub(super) health: SharedMarks,
    pub(super) status: SyncStatus,
    pub(super) said: Said,
}

/// What was last said of whether the hub accepts anything.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Why the hub takes nothing.
    refusals: BTreeSet<AlertKind>,
    /// What decide was told.
    accepts: Option<bool>,
    /// When the hub took a batch last.
    last_success: Option<Uptime>,
}

impl Events {
    /// Runs until the driver reports nothing any more.
    pub(super) async fn run(mut self, mut reported: mpsc::Receiver<Report>) {
        while let Some(event) = reported.recv().await {
            self.hear(event).await;
        }
    }

    async fn hear(&mut self, event: Report) {
        match event {
            Report::Bundle(bytes) => self.bundle(bytes).await,
            Report::Status(status) => {
                let is_heard = status.last_success.is_some();
                self.mark(&status);
                self.status.engine(*status);
                if is_heard && self.said.refusals.is_empty() {
                    self.tell_accepts(true).await;
                }
            }
            Report::LocalAlert(alert) => self.alert(alert.kind, Some(alert.reason)).await,
            Report::AllClear(kind) => self.alert(kind, None).await,
        }
    }

    /// Posts what keeps rows from the hub, until the hub takes some.
    fn mark(&mut self, status: &Status) {
        let is_taken = status.last_success > self.said.last_success;
        self.said.last_success = status.last_success;
        let trouble = match status.state {
            StateName::Offline => "hub unreachable",
            StateName::BackingOff => "waiting to try again",
            StateName::Refused | StateName::Conflict => "hub rejects this device",
            StateName::Idle => return self.health.sync_trouble(None),
            StateName::Gathering | StateName::Fetching | StateName::Sending if is_taken => {
                return self.health.sync_trouble(None);
            }
            StateName::Gathering | StateName::Fetching | StateName::Sending => return,
        };
        self.health.sync_trouble(Some((trouble, status.why.clone())));
    }

    async fn bundle(&mut self, bytes: Vec<u8>) {
        let (answer, answered) = oneshot::channel();
        let key = *self.trusted.borrow();
        if self.bundles.send(Received { bytes, key, answer }).await.is_ok()
            && let Ok(Some(holding)) = answered.await
        {
            let _ = self.orders.send(Input::Holding(holding)).await;
        }
    }

    /// Once for each change.
    async fn tell_accepts(&mut self, accepts: bool) {
        if self.said.accepts.replace(accepts) != Some(accepts) {
            let _ = self.commands.send(Command::Hub { accepts }).await;
        }
    }

    async fn alert(&mut self, kind: AlertKind, reason: Option<String>) {
        // Quarantined rows are for whoever mends the program; the others wait for somebody on the farm.
        if kind != AlertKind::RowsQuarantined {
            match reason {
                Some(_) => self.said.refusals.insert(kind),
                None => self.said.refusals.remove(&kind),
            };
            let accepts = self.said.refusals.is_empty();
            self.tell_accepts(accepts).await;
        }
        let word = json!(kind);
        let word = word.as_str().unwrap_or_default();
        match &reason {
            Some(reason) => warn!(target: "sync", "{word}: {reason}"),
            None => info!(target: "sync", "{word} is over"),
        }
        if let (AlertKind::ConfirmedUnknown, Some(_)) = (kind, &reason) {
            self.say_history_is_missing().await;
        }
        let body = json!({ "alert": word, "over": reason.is_none(), "reason": reason });
        let _ = self.commands.send(Command::Diagnose("sync", body)).await;
        self.status.alert(kind, reason);
    }

    /// The hub has more of this stream than the database here: it is an older copy, which nothing on this machine may show.
    async fn say_history_is_missing(&self) {
        let reason = "the hub has more of it than the database here, which is an older copy";
        let message = format!("history is missing: {reason}");
        let body = json!({ "message": message, "reason": reason, "certain": true });
        let _ = self.commands.send(Command::Event("history-missing", body)).await;
        warn!(target: "sync", "{message}");
        self.health.missing(message);
    }
}

#[cfg(test)]
mod tests;
