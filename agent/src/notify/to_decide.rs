//! What channels tell decide, and what they ask it for, each with its answer.

use std::collections::BTreeMap;

use serde_json::Value;
use tilth_core::alert::AlertId;
use tilth_core::id::Id;
use tilth_core::time::Span;
use tilth_notify::modem::OpenAlert;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that wait for decide.
const REQUESTS: usize = 64;

/// Why each modem cannot send; `None` for one that can. A modem that was not asked yet is absent.
pub(crate) type ModemProblems = BTreeMap<Id, Option<String>>;

/// What a channel asks decide for.
#[derive(Debug)]
pub(crate) enum ChannelRequest {
    /// Somebody takes an alert on, for a time where they say so; or wants to know which are open.
    Acknowledge { alert: Option<(AlertId, Option<Span>)>, by: String, answer: oneshot::Sender<Acknowledged> },
    /// Sound a siren for a page, or shortly for a test; answered once it is audible, or with why not.
    Siren { channel: Id, is_test: bool, answer: oneshot::Sender<SirenResult> },
    /// Store a row of this kind in the lane of events; its body is an object.
    Event(&'static str, Value),
}

/// Whether a siren is audible, or why not.
pub(crate) type SirenResult = Result<(), String>;

/// Answer to an acknowledgement.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    /// How long the alert is quiet, such as `until 22:40`; none where it is not open.
    pub(crate) quiet: Option<String>,
    /// Open alerts, the worst first.
    pub(crate) open: Vec<OpenAlert>,
}

/// The end of the channels: what they ask, and why modems cannot send.
pub(crate) type ToDecide = (mpsc::Sender<ChannelRequest>, watch::Sender<ModemProblems>);

/// The end of decide.
pub(crate) type FromChannels = (mpsc::Receiver<ChannelRequest>, watch::Receiver<ModemProblems>);

/// The way from channels to decide.
pub(crate) fn channel() -> (ToDecide, FromChannels) {
    let ((to_decide, requests), (problems, changed)) = (mpsc::channel(REQUESTS), watch::channel(ModemProblems::new()));
    ((to_decide, problems), (requests, changed))
}
