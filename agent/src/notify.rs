//! The notify task: sends notifications by the configured channels.
//!
//! [`dispatch`] chooses the channels; the queues of `tilth-notify` decide when a message goes, and its clients send it. No channel
//! waits for another. Secrets and certificates are read in tasks of their own: a missing one holds up its channel alone.

pub(crate) mod dispatch;
mod outcomes;

use std::collections::BTreeMap;
use std::future::ready;
use std::mem;
use std::sync::Arc;

use tilth_config::{Channel, Target};
use tilth_core::id::Id;
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};
use tilth_notify::HttpClients;
use tilth_notify::client::{ChannelClient, UNAVAILABLE_RETRY};
use tilth_notify::message::{DeliveryStatus, Failure, Message, Outcome, Retry};
use tilth_notify::queue::{self, Next};
use tilth_notify::secret::Secrets;
use tilth_notify::text::Text;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id as TaskId, JoinError, JoinSet};
use tracing::warn;

use crate::clock::Clock;
use crate::output::journal::Priority;
use crate::output::{self, counted};
use dispatch::{Dispatch, Input, Request};
use outcomes::Outcomes;

/// Most commands that wait; requests beyond it wait with decide.
pub(crate) const COMMANDS: usize = 1024;

const USER_AGENT: &str = concat!("tilth-agent/", env!("CARGO_PKG_VERSION"));

#[derive(Debug)]
pub(crate) enum Command {
    /// A notification, or a change of how they are sent.
    Request(Request),
    Status(oneshot::Sender<Vec<ChannelStatus>>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelStatus {
    pub(crate) channel: Id,
    /// Server, without anything secret; none for the log.
    pub(crate) server: Option<String>,
    pub(crate) waiting: usize,
    pub(crate) next: Option<Next>,
    /// Why the channel cannot be used: its secret, or the machine's certificates.
    pub(crate) unavailable: Option<String>,
    pub(crate) failure: Option<LastFailure>,
}

/// A failed attempt at a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastFailure {
    /// First failure since the last delivery.
    pub(crate) since: Uptime,
    /// Time of the attempt.
    pub(crate) at: Uptime,
    pub(crate) notification: String,
    pub(crate) reason: String,
    /// First delivery after it.
    pub(crate) over: Option<Uptime>,
}

#[derive(Debug, Default)]
struct Failures(BTreeMap<Id, LastFailure>);

impl Failures {
    fn note(&mut self, channel: &Id, outcome: &Outcome, now: Uptime) {
        let before = self.0.get_mut(channel);
        match (&outcome.reason, outcome.status) {
            (_, DeliveryStatus::Sent) => {
                if let Some(failure) = before {
                    failure.over.get_or_insert(now);
                }
            }
            (Some(reason), _) => {
                let since = before.filter(|failure| failure.over.is_none()).map_or(now, |failure| failure.since);
                let (notification, reason) = (outcome.notification.clone(), reason.clone());
                self.0.insert(channel.clone(), LastFailure { since, at: now, notification, reason, over: None });
            }
            (None, _) => {}
        }
    }

    /// Forgets failures of channels that are gone or have another target.
    fn forget(&mut self, before: &BTreeMap<Id, Channel>, now: &BTreeMap<Id, Channel>) {
        self.0.retain(|id, _| before.get(id).zip(now.get(id)).is_some_and(|(before, now)| now.leads_where(before)));
    }
}

/// Result of a notification on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) channel: Id,
    pub(crate) outcome: Outcome,
}

/// Runs until all senders of commands are gone; messages in flight are given up then.
pub(crate) async fn run(
    secrets: Secrets,
    clock: Clock,
    mut commands: mpsc::Receiver<Command>,
    deliveries: mpsc::Sender<Delivery>,
) {
    let mut channels = Channels {
        sender: Sender::new(secrets, clock.clone()),
        clock: clock.clone(),
        dispatch: Dispatch::default(),
        failures: Failures::default(),
        outcomes: Outcomes::default(),
    };
    loop {
        channels.perform();
        let Channels { sender, dispatch, outcomes, .. } = &mut channels;
        let due = dispatch.deadline();
        let input = tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Status(answer)) => {
                    let _ = answer.send(channels.statuses());
                    continue;
                }
                Some(Command::Request(request)) => Input::Request(request),
                None => return,
            },
            input = sender.landed(), if !sender.is_idle() => input,
            () = clock.sleep_until(due) => Input::Tick,
            permit = deliveries.reserve(), if !outcomes.is_empty() => {
                match (permit, outcomes.pop()) {
                    (Ok(permit), Some(outcome)) => permit.send(outcome),
                    _ => outcomes.clear(),
                }
                outcomes.say_dropped();
                continue;
            }
        };
        channels.handle(input);
    }
}

/// State of all channels, and results on their way to decide.
struct Channels {
    clock: Clock,
    sender: Sender,
    dispatch: Dispatch,
    failures: Failures,
    outcomes: Outcomes,
}

impl Channels {
    fn handle(&mut self, input: Input) {
        if let Input::Request(Request::Channels(channels, _)) = &input {
            self.failures.forget(&self.dispatch.channels, channels);
            self.sender.set_clients(channels);
        }
        self.dispatch.handle(self.clock.uptime(), input);
    }

    fn perform(&mut self) {
        while let Some((channel, effect)) = self.dispatch.poll() {
            match effect {
                queue::Effect::Send(message) => self.sender.send(channel, message),
                queue::Effect::Outcome(outcome) | queue::Effect::GivenUp(_, outcome) => {
                    if outcome.status.is_given_up() {
                        warn!(notify = %channel, "{}", given_up(&outcome));
                    }
                    self.failures.note(&channel, &outcome, self.clock.uptime());
                    self.outcomes.push(Delivery { channel, outcome });
                }
            }
        }
    }

    fn statuses(&self) -> Vec<ChannelStatus> {
        let status_of = |(channel, waiting, next): (&Id, usize, Option<Next>)| ChannelStatus {
            channel: channel.clone(),
            server: self.sender.clients.get(channel).and_then(|client| client.as_ref()?.server()),
            waiting,
            next,
            unavailable: self.sender.unavailable.get(channel).cloned(),
            failure: self.failures.0.get(channel).cloned(),
        };
        self.dispatch.waiting().map(status_of).collect()
    }
}

/// Log line about a notification that a channel gave up.
fn given_up(outcome: &Outcome) -> String {
    let Outcome { notification, attempts, reason, instead, .. } = outcome;
    let reason = reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
    let instead = match instead {
        Some(channel) => format!("channel {channel} sends it instead"),
        None => "no other channel can send it".to_owned(),
    };
    format!(
        "notification {notification} given up after {}{reason}; {instead}",
        counted(u64::from(*attempts), "attempt")
    )
}

/// Clients of the configured channels, and messages in flight.
struct Sender {
    secrets: Secrets,
    clock: Clock,
    http: Arc<HttpClients>,
    /// None for the log.
    clients: BTreeMap<Id, Option<Arc<ChannelClient>>>,
    /// Why channels cannot be used, found before the first page.
    unavailable: BTreeMap<Id, String>,
    preparing: JoinSet<(Id, Arc<ChannelClient>, Result<(), String>)>,
    in_flight: JoinSet<Result<(), Failure>>,
    /// Channel of each sending task.
    to: BTreeMap<TaskId, Id>,
}

impl Sender {
    fn new(secrets: Secrets, clock: Clock) -> Sender {
        Sender {
            secrets,
            clock,
            http: Arc::new(HttpClients::new(USER_AGENT)),
            clients: BTreeMap::new(),
            unavailable: BTreeMap::new(),
            preparing: JoinSet::new(),
            in_flight: JoinSet::new(),
            to: BTreeMap::new(),
        }
    }

    fn set_clients(&mut self, channels: &BTreeMap<Id, Channel>) {
        let before = mem::take(&mut self.clients);
        self.preparing = JoinSet::new();
        self.unavailable.retain(|id, _| channels.contains_key(id));
        for (id, channel) in channels {
            let client = (channel.target != Target::Log).then(|| {
                let before = before.get(id).and_then(Option::as_deref);
                Arc::new(ChannelClient::new(channel.clone(), &self.secrets, &self.http, before))
            });
            if let Some(client) = client.clone() {
                self.prepare(id.clone(), client, Span::ZERO);
            }
            self.clients.insert(id.clone(), client);
        }
    }

    fn prepare(&mut self, id: Id, client: Arc<ChannelClient>, after: Span) {
        let clock = self.clock.clone();
        self.preparing.spawn(async move {
            if after > Span::ZERO {
                clock.sleep_until(clock.uptime() + after).await;
            }
            let prepared = client.prepare().await;
            (id, client, prepared)
        });
    }

    /// Logs at once that a channel is unavailable, and tries again until it is not.
    fn prepared(&mut self, id: Id, client: Arc<ChannelClient>, prepared: Result<(), String>) {
        let Err(unavailable) = prepared else {
            self.unavailable.remove(&id);
            return;
        };
        if self.unavailable.get(&id) != Some(&unavailable) {
            warn!("channel {id} unavailable: {unavailable}; alerts go to the other channels");
            self.unavailable.insert(id.clone(), unavailable);
        }
        self.prepare(id, client, UNAVAILABLE_RETRY);
    }

    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.preparing.is_empty()
    }

    fn send(&mut self, id: Id, message: Message) {
        let task = match self.clients.get(&id).cloned() {
            Some(Some(client)) => {
                let now = self.clock.now().1;
                self.in_flight.spawn(async move { client.send(&message, now).await })
            }
            Some(None) => self.in_flight.spawn(log(&message)),
            None => {
                let reason = format!("there is no channel {id} any more");
                let failure = Failure { reason, retry: Retry::Never, retry_after: None, may_have_arrived: false };
                self.in_flight.spawn(ready(Err(failure)))
            }
        };
        self.to.insert(task.id(), id);
    }

    /// Waits for the result of a message in flight. Cancel-safe.
    async fn landed(&mut self) -> Input {
        let landed = tokio::select! {
            Some(landed) = self.in_flight.join_next_with_id() => landed,
            Some(prepared) = self.preparing.join_next() => {
                if let Ok((id, client, prepared)) = prepared {
                    self.prepared(id, client, prepared);
                }
                return Input::Tick;
            }
            else => return Input::Tick,
        };
        let (task, result) = landed.unwrap_or_else(|error: JoinError| {
            let reason = "sending failed inside the agent".to_owned();
            (error.id(), Err(Failure { reason, retry: Retry::UntilExpired, retry_after: None, may_have_arrived: true }))
        });
        let Some(channel) = self.to.remove(&task) else { return Input::Tick };
        match result {
            Ok(()) => {
                self.unavailable.remove(&channel);
                Input::Sent(channel)
            }
            Err(failure) => Input::Failed(channel, failure),
        }
    }
}

/// Priority of a message in the log: that of its most severe page; of resolved alerts `Notice`.
fn priority(message: &Message) -> Priority {
    let first = message.items.first().map(|item| &item.notification);
    match first.filter(|first| first.is_page()).map(|page| page.report.severity) {
        Some(Severity::Critical | Severity::Urgent) => Priority::Error,
        Some(Severity::Warning) => Priority::Warning,
        Some(Severity::Preventive) | None => Priority::Notice,
    }
}

/// Sends a message of a channel of kind `log`: a line that is queued when this returns.
fn log(message: &Message) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
    let text = Text::of(message);
    let line = format!("notify {}: {} ({})", message.id(), text.title, text.body.replace('\n', "; "));
    let written = output::tell_for_certain(priority(message), line);
    async {
        written.await.map_err(|error| Failure {
            reason: format!("standard error: {error}"),
            retry: Retry::UntilExpired,
            retry_after: None,
            may_have_arrived: false,
        })
    }
}

#[cfg(test)]
mod tests;
