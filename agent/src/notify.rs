//! The notify task: sends notifications by the configured channels.
//!
//! A *notification* is one thing that people are told: a *page* (an alert: somebody must act), that an alert is over, or a test. A
//! *message* is what one channel sends at once: one notification, or several as a digest. [`dispatch`] takes the requests of decide and
//! chooses the channels; the queues of `tilth-notify` decide when a message goes, and its clients send it. No channel
//! waits for another. Secrets and certificates are read in tasks of their own: one that is not found holds up its channel alone.

pub(crate) mod dispatch;
mod log;
mod modem;
mod outcomes;
mod siren;
pub(crate) mod to_decide;

use std::collections::BTreeMap;
use std::future::ready;
use std::mem;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use tilth_config::{Channel, Target};
use tilth_core::id::Id;
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};
use tilth_notify::client::{ChannelClient, UNAVAILABLE_RETRY};
use tilth_notify::kinds::siren::Status;
use tilth_notify::message::{DeliveryStatus, Failure, Message, Outcome, Retry};
use tilth_notify::notification::Notification;
use tilth_notify::queue::{self, Next};
use tilth_notify::secret::Secrets;
use tilth_notify::{HttpClients, kinds};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id as TaskId, JoinError, JoinSet};
use tracing::warn;

use crate::clock::Clock;
use crate::console::counted;
use crate::sense::endpoint::Endpoint;
use crate::sense::released::Ports;
use dispatch::{Dispatch, Input, Request};
use modem::{Modem, Sent};
use outcomes::Outcomes;
use to_decide::ToDecide;

/// Most requests that wait; those beyond it wait with decide.
pub(crate) const REQUESTS: usize = 1024;

/// Inputs from modems that wait for this task.
const MODEM_INPUTS: usize = 64;

const USER_AGENT: &str = concat!("tilth-agent/", env!("CARGO_PKG_VERSION"));

#[derive(Debug)]
pub(crate) enum NotifyRequest {
    /// A notification, or a change of how they are sent.
    Dispatch(Request),
    Status(oneshot::Sender<Vec<ChannelStatus>>),
    /// A notification beside the queue of its channel; answered with a line about each number of a modem, or why it was not delivered.
    Test(Id, Box<Notification>, oneshot::Sender<Result<Vec<String>, String>>),
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

/// Result of a notification on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) channel: Id,
    pub(crate) outcome: Outcome,
}

/// Runs until all senders of requests are gone; messages in flight are given up then. `data` is the data folder.
pub(crate) async fn run(
    (secrets, data): (Secrets, PathBuf),
    clock: Clock,
    ports: Ports,
    mut requests: mpsc::Receiver<NotifyRequest>,
    deliveries: mpsc::Sender<Delivery>,
    asking: ToDecide,
) {
    let mut channels = Channels {
        sender: Sender::new((secrets, data), clock.clone(), ports, asking),
        clock: clock.clone(),
        dispatch: Dispatch::default(),
        failures: BTreeMap::new(),
        outcomes: Outcomes::default(),
    };
    loop {
        channels.perform();
        let Channels { sender, dispatch, outcomes, .. } = &mut channels;
        let due = dispatch.deadline();
        let input = tokio::select! {
            request = requests.recv() => match request {
                Some(NotifyRequest::Status(answer)) => {
                    let _ = answer.send(channels.statuses());
                    continue;
                }
                Some(NotifyRequest::Test(channel, notification, answer)) => {
                    let result = sender.send_test(&channel, Message::of(*notification, clock.uptime()));
                    tokio::spawn(async { answer.send(result.await) });
                    continue;
                }
                Some(NotifyRequest::Dispatch(request)) => Input::Request(request),
                None => return,
            },
            input = sender.next_input() => input,
            () = clock.sleep_until(due) => Input::Tick,
            permit = deliveries.reserve(), if !outcomes.waiting.is_empty() => {
                match (permit, outcomes.waiting.pop_front()) {
                    (Ok(permit), Some(outcome)) => permit.send(outcome),
                    // Decide has ended.
                    _ => outcomes.waiting.clear(),
                }
                outcomes.log_dropped();
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
    failures: BTreeMap<Id, LastFailure>,
    outcomes: Outcomes,
}

impl Channels {
    fn handle(&mut self, input: Input) {
        if let Input::Request(Request::Channels(channels, _)) = &input {
            let (before, now) = (&self.dispatch.channels, channels);
            let leads_there = |id: &Id| before.get(id).zip(now.get(id)).is_some_and(|(of, to)| to.leads_where(of));
            // Failures of channels that are gone or have another target are forgotten.
            self.failures.retain(|id, _| leads_there(id));
            self.sender.set_clients(channels);
        }
        if let Input::Request(Request::Sirens(sirens)) = input {
            self.sender.sirens = sirens;
            return;
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
                    self.note_failure(&channel, &outcome);
                    self.outcomes.push(Delivery { channel, outcome });
                }
            }
        }
    }

    fn note_failure(&mut self, channel: &Id, outcome: &Outcome) {
        let (now, before) = (self.clock.uptime(), self.failures.get_mut(channel));
        match (&outcome.reason, outcome.status) {
            (_, DeliveryStatus::Sent) => {
                if let Some(failure) = before {
                    failure.over.get_or_insert(now);
                }
            }
            (Some(reason), _) => {
                let since = before.filter(|failure| failure.over.is_none()).map_or(now, |failure| failure.since);
                let (notification, reason) = (outcome.notification.clone(), reason.clone());
                self.failures.insert(channel.clone(), LastFailure { since, at: now, notification, reason, over: None });
            }
            (None, _) => {}
        }
    }

    fn statuses(&self) -> Vec<ChannelStatus> {
        let status_of = |(channel, waiting, next): (&Id, usize, Option<Next>)| {
            let problem = self.sender.sirens.get(channel).and_then(|siren| siren.problem.clone());
            let problem = problem.or_else(|| self.sender.context.problems.borrow().get(channel).cloned().flatten());
            ChannelStatus {
                channel: channel.clone(),
                server: self.sender.server(channel),
                waiting,
                next,
                unavailable: problem.or_else(|| self.sender.unavailable.get(channel).cloned()),
                failure: self.failures.get(channel).cloned(),
            }
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

/// A message on its way, with its result.
type Sending = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// What sends the messages of a channel.
enum Client {
    Log,
    Server(Arc<ChannelClient>),
    Modem(Modem),
    /// Sounds this actuator.
    Siren(Id),
}

/// Clients of the configured channels, and messages in flight.
struct Sender {
    clock: Clock,
    http: Arc<HttpClients>,
    /// What the tasks of modems share with this one.
    context: modem::Context,
    clients: BTreeMap<Id, Client>,
    /// What decide says of its sirens.
    sirens: BTreeMap<Id, Status>,
    /// Inputs from modems: delivery reports, and that one works again.
    modem_inputs: mpsc::Receiver<(Id, queue::Input)>,
    /// Why channels cannot be used, found before the first page.
    unavailable: BTreeMap<Id, String>,
    preparing: JoinSet<(Id, Arc<ChannelClient>, Result<(), String>)>,
    in_flight: JoinSet<Sent>,
    /// Channel of each sending task.
    to: BTreeMap<TaskId, Id>,
}

impl Sender {
    fn new((secrets, data): (Secrets, PathBuf), clock: Clock, ports: Ports, (to_decide, problems): ToDecide) -> Sender {
        let (notify, modem_inputs) = mpsc::channel(MODEM_INPUTS);
        Sender {
            clock,
            context: modem::Context { secrets, data, ports, to_decide, notify, problems },
            modem_inputs,
            http: Arc::new(HttpClients::new(USER_AGENT)),
            clients: BTreeMap::new(),
            sirens: BTreeMap::new(),
            unavailable: BTreeMap::new(),
            preparing: JoinSet::new(),
            in_flight: JoinSet::new(),
            to: BTreeMap::new(),
        }
    }

    fn set_clients(&mut self, channels: &BTreeMap<Id, Channel>) {
        let mut before = mem::take(&mut self.clients);
        self.preparing = JoinSet::new();
        self.unavailable.retain(|id, _| channels.contains_key(id));
        for (id, channel) in channels {
            let client = self.client(id, channel, before.remove(id));
            if let Client::Server(client) = &client {
                self.prepare(id.clone(), Arc::clone(client), Span::ZERO);
            }
            self.clients.insert(id.clone(), client);
        }
        let is_modem = |id: &Id| matches!(self.clients.get(id), Some(Client::Modem(_)));
        self.context.problems.send_modify(|problems| problems.retain(|id, _| is_modem(id)));
    }

    /// Server, modem or actuator of a channel.
    fn server(&self, channel: &Id) -> Option<String> {
        match self.clients.get(channel)? {
            Client::Log => None,
            Client::Server(client) => client.server(),
            Client::Modem(modem) => Some(modem.state()),
            Client::Siren(actuator) => {
                let worst = self.sirens.get(channel).and_then(|siren| siren.worst);
                let state = worst.map_or("quiet".to_owned(), |worst| format!("sounds, {worst}"));
                Some(format!("actuator {actuator}, {state}"))
            }
        }
    }

    /// Client of a channel; `before` is the one that it had until now.
    fn client(&self, id: &Id, channel: &Channel, before: Option<Client>) -> Client {
        match (&channel.target, before) {
            (Target::Log, _) => Client::Log,
            (Target::Modem { address, numbers }, before) => {
                let Some(endpoint) = Endpoint::of(address) else { return Client::Log };
                let settings = modem::Settings { endpoint, numbers: numbers.clone(), pin: channel.secret.clone() };
                match before {
                    Some(Client::Modem(modem)) if modem.settings == settings => Client::Modem(modem),
                    _ => Client::Modem(Modem::start(id.clone(), settings, self.context.clone())),
                }
            }
            (Target::Siren { actuator, .. }, _) => Client::Siren(actuator.clone()),
            // All others have a server, which `kinds::request` sends to.
            (_, before) => {
                let before = match &before {
                    Some(Client::Server(client)) => Some(&**client),
                    _ => None,
                };
                Client::Server(Arc::new(ChannelClient::new(channel.clone(), &self.context.secrets, &self.http, before)))
            }
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

    fn send(&mut self, id: Id, message: Message) {
        let severity = message.severity();
        let task = self.in_flight.spawn(self.sending(&id, message, severity));
        self.to.insert(task.id(), id);
    }

    /// Sends a test message by a channel: by a modem to all numbers.
    fn send_test(&self, id: &Id, message: Message) -> impl Future<Output = Result<Vec<String>, String>> + Send + use<> {
        let sending = self.sending(id, message, Severity::Urgent);
        async move {
            let (result, numbers) = sending.await;
            let said = |failure: Failure| [vec![failure.reason], numbers.clone()].concat().join("; ");
            result.map_err(said).map(|()| numbers)
        }
    }

    /// Sends a message by a channel; by a modem to the numbers that are told at a severity.
    fn sending(&self, id: &Id, message: Message, severity: Severity) -> Sending {
        let without_lines = |result| (result, Vec::new());
        match self.clients.get(id) {
            Some(Client::Server(client)) => {
                let (client, now) = (Arc::clone(client), self.clock.now().1);
                Box::pin(async move { without_lines(client.send(&message, now).await) })
            }
            Some(Client::Modem(modem)) => Box::pin(modem.send(message.id(), kinds::modem::text(&message), severity)),
            Some(Client::Siren(_)) => Box::pin(siren::send(id, &message, &self.context.to_decide).map(without_lines)),
            Some(Client::Log) => Box::pin(log::send(&message).map(without_lines)),
            None => {
                let reason = format!("there is no channel {id} any more");
                let failure = Failure { reason, retry: Retry::Never, retry_after: None, may_have_arrived: false };
                Box::pin(ready(without_lines(Err(failure))))
            }
        }
    }

    /// Waits for the result of a message in flight, or for an input from a modem. Cancel-safe.
    async fn next_input(&mut self) -> Input {
        let result = tokio::select! {
            Some(result) = self.in_flight.join_next_with_id() => result,
            Some(prepared) = self.preparing.join_next() => {
                if let Ok((id, client, prepared)) = prepared {
                    self.prepared(id, client, prepared);
                }
                return Input::Tick;
            }
            Some((channel, input)) = self.modem_inputs.recv() => return Input::Channel(channel, input),
            else => return Input::Tick,
        };
        let (task, (result, _)) = result.unwrap_or_else(|error: JoinError| {
            let reason = "sending failed inside the agent".to_owned();
            let failure = Failure { reason, retry: Retry::UntilExpired, retry_after: None, may_have_arrived: true };
            (error.id(), (Err(failure), Vec::new()))
        });
        let Some(channel) = self.to.remove(&task) else { return Input::Tick };
        match result {
            Ok(()) => {
                self.unavailable.remove(&channel);
                Input::Channel(channel, queue::Input::Sent)
            }
            Err(failure) => Input::Channel(channel, queue::Input::Failed(failure)),
        }
    }
}

#[cfg(test)]
mod tests;
