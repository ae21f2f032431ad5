//! Telling people: the task that sends what the engine wants told, by whatever channels there are.
//!
//! What is told, by whom and when is decided in [`dispatch`], which is pure, and in the queues of `tilth-notify`, which sends
//! it. No channel waits for another. Secrets and certificates are read beside the task: one that is missing holds up its own
//! channel alone.

pub(crate) mod dispatch;
mod outcomes;

use std::collections::BTreeMap;
use std::future::ready;
use std::mem;
use std::sync::Arc;

use tilth_config::{Channel, Target};
use tilth_core::id::Id;
use tilth_core::time::{Span, Uptime};
use tilth_notify::Clients;
use tilth_notify::client::{LACK_WAIT, Way};
use tilth_notify::queue::{self, Again, Failure, Fate, Next, Outcome, Parcel};
use tilth_notify::secret::Secrets;
use tilth_notify::text::Text;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id as TaskId, JoinError, JoinSet};

use crate::clock::Clock;
use crate::output::{self, counted, tell};
use dispatch::{Dispatch, Input, Request};
use outcomes::Outcomes;

/// Commands that may wait. The task takes them whatever is under way, so they do not pile up; what does not fit waits with
/// decide.
pub(crate) const COMMANDS: usize = 1024;

/// How servers see this program.
const USER_AGENT: &str = concat!("tilth-agent/", env!("CARGO_PKG_VERSION"));

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Something is to be told, or changes how.
    Request(Request),
    /// Somebody asks how each channel is.
    Look(oneshot::Sender<Vec<Look>>),
}

/// How a channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// Which.
    pub(crate) channel: Id,
    /// Where it leads, without anything secret; none for the log.
    pub(crate) server: Option<String>,
    /// Notices that it has not told.
    pub(crate) waiting: usize,
    /// When the next of them goes.
    pub(crate) next: Option<Next>,
    /// Why it can tell nothing now: its secret, or the machine's certificates.
    pub(crate) lack: Option<String>,
    /// What it last could not tell.
    pub(crate) failure: Option<LastFailure>,
}

/// A notice that could not be told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastFailure {
    /// Since when nothing could be told.
    pub(crate) since: Uptime,
    /// When.
    pub(crate) at: Uptime,
    /// Which.
    pub(crate) notice: String,
    /// Why.
    pub(crate) reason: String,
    /// Since when something could be told again.
    pub(crate) over: Option<Uptime>,
}

/// The last failure of each channel.
#[derive(Debug, Default)]
struct Failures(BTreeMap<Id, LastFailure>);

impl Failures {
    fn note(&mut self, channel: &Id, outcome: &Outcome, now: Uptime) {
        let before = self.0.get_mut(channel);
        match (&outcome.reason, outcome.fate) {
            (_, Fate::Sent) => {
                if let Some(failure) = before {
                    failure.over.get_or_insert(now);
                }
            }
            (Some(reason), _) => {
                let since = before.filter(|failure| failure.over.is_none()).map_or(now, |failure| failure.since);
                let (notice, reason) = (outcome.notice.clone(), reason.clone());
                self.0.insert(channel.clone(), LastFailure { since, at: now, notice, reason, over: None });
            }
            (None, _) => {}
        }
    }

    /// Those of channels that are gone or lead elsewhere say nothing any more.
    fn forget(&mut self, before: &BTreeMap<Id, Channel>, now: &BTreeMap<Id, Channel>) {
        self.0.retain(|id, _| before.get(id).zip(now.get(id)).is_some_and(|(before, now)| now.leads_where(before)));
    }
}

/// What became of a notice on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The channel.
    pub(crate) channel: Id,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

/// Runs until nobody can give commands any more; what is under way then is given up.
pub(crate) async fn run(
    secrets: Secrets,
    clock: Clock,
    mut commands: mpsc::Receiver<Command>,
    told: mpsc::Sender<Told>,
) {
    let mut sender = Sender {
        secrets,
        clock: clock.clone(),
        clients: Arc::new(Clients::new(USER_AGENT)),
        ways: BTreeMap::new(),
        lacks: BTreeMap::new(),
        preparing: JoinSet::new(),
        flights: JoinSet::new(),
        to: BTreeMap::new(),
    };
    let mut dispatch = Dispatch::default();
    let mut outcomes = Outcomes::default();
    let mut failures = Failures::default();
    loop {
        while let Some((channel, effect)) = dispatch.poll() {
            match effect {
                queue::Effect::Send(parcel) => sender.send(channel, parcel),
                queue::Effect::Outcome(outcome) | queue::Effect::GivenUp(_, outcome) => {
                    if outcome.fate.is_given_up() {
                        tell(format_args!("tilth-agent: notify {channel}: {}", given_up(&outcome)));
                    }
                    failures.note(&channel, &outcome, clock.uptime());
                    outcomes.push(Told { channel, outcome });
                }
            }
        }
        let due = dispatch.deadline();
        let input = tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Look(answer)) => {
                    let _ = answer.send(looks(&dispatch, &sender, &failures));
                    continue;
                }
                Some(Command::Request(request)) => Input::Request(request),
                None => return,
            },
            input = sender.landed(), if !sender.is_idle() => input,
            () = async { match due {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            } } => Input::Tick,
            permit = told.reserve(), if !outcomes.is_empty() => {
                match (permit, outcomes.pop()) {
                    (Ok(permit), Some(outcome)) => permit.send(outcome),
                    _ => outcomes.clear(),
                }
                if let Some(dropped) = outcomes.take_unsaid() {
                    let dropped = counted(dropped, "outcome");
                    tell(format_args!(
                        "tilth-agent: notify: {dropped} of deliveries not noted, the agent was too busy: after a restart these \
                         notices may come again, as repeats"
                    ));
                }
                continue;
            }
        };
        if let Input::Request(Request::Channels(channels, _)) = &input {
            failures.forget(dispatch.channels(), channels);
            sender.set_ways(channels);
        }
        dispatch.handle(clock.uptime(), input);
    }
}

/// What the log says of a notice that a channel will not tell.
fn given_up(outcome: &Outcome) -> String {
    let Outcome { notice, attempts, reason, instead, .. } = outcome;
    let reason = reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
    let instead = match instead {
        Some(channel) => format!("channel {channel} tells it instead"),
        None => "no other channel tells it".to_owned(),
    };
    format!("notification {notice} given up after {}{reason}; {instead}", counted(u64::from(*attempts), "attempt"))
}

fn looks(dispatch: &Dispatch, sender: &Sender, failures: &Failures) -> Vec<Look> {
    let look = |(channel, waiting, next): (&Id, usize, Option<Next>)| Look {
        channel: channel.clone(),
        server: sender.ways.get(channel).and_then(|way| way.as_ref()?.server()),
        waiting,
        next,
        lack: sender.lacks.get(channel).cloned(),
        failure: failures.0.get(channel).cloned(),
    };
    dispatch.waiting().map(look).collect()
}

/// The channels as they are configured, and what is under way.
struct Sender {
    secrets: Secrets,
    clock: Clock,
    clients: Arc<Clients>,
    /// None for the log.
    ways: BTreeMap<Id, Option<Arc<Way>>>,
    /// Why channels can tell nothing, said before anybody is to be told.
    lacks: BTreeMap<Id, String>,
    preparing: JoinSet<(Id, Arc<Way>, Result<(), String>)>,
    flights: JoinSet<Result<(), Failure>>,
    /// Which channel each flight is of.
    to: BTreeMap<TaskId, Id>,
}

impl Sender {
    fn set_ways(&mut self, channels: &BTreeMap<Id, Channel>) {
        let before = mem::take(&mut self.ways);
        self.preparing = JoinSet::new();
        self.lacks.retain(|id, _| channels.contains_key(id));
        for (id, channel) in channels {
            let way = (channel.target != Target::Log).then(|| {
                let before = before.get(id).and_then(Option::as_deref);
                Arc::new(Way::new(channel.clone(), &self.secrets, &self.clients, before))
            });
            if let Some(way) = way.clone() {
                self.prepare(id.clone(), way, Span::ZERO);
            }
            self.ways.insert(id.clone(), way);
        }
    }

    fn prepare(&mut self, id: Id, way: Arc<Way>, after: Span) {
        let clock = self.clock.clone();
        self.preparing.spawn(async move {
            if after > Span::ZERO {
                clock.sleep_until(clock.uptime() + after).await;
            }
            let prepared = way.prepare().await;
            (id, way, prepared)
        });
    }

    /// Says at once what a channel lacks, and looks for it again until it is there.
    fn prepared(&mut self, id: Id, way: Arc<Way>, prepared: Result<(), String>) {
        let Err(lack) = prepared else {
            self.lacks.remove(&id);
            return;
        };
        if self.lacks.get(&id) != Some(&lack) {
            tell(format_args!("tilth-agent: notify {id}: {lack}; nothing can be told this way until that is mended"));
            self.lacks.insert(id.clone(), lack);
        }
        self.prepare(id, way, LACK_WAIT);
    }

    fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.preparing.is_empty()
    }

    fn send(&mut self, id: Id, parcel: Parcel) {
        let flight = match self.ways.get(&id).cloned() {
            Some(Some(way)) => {
                let now = self.clock.now().1;
                self.flights.spawn(async move { way.send(&parcel, now).await })
            }
            Some(None) => self.flights.spawn(log(&parcel)),
            None => {
                let reason = format!("there is no channel {id} any more");
                let failure = Failure { reason, again: Again::Never, after: None, perhaps: false };
                self.flights.spawn(ready(Err(failure)))
            }
        };
        self.to.insert(flight.id(), id);
    }

    /// Waits until something that is under way arrived, or did not. Cancelling is safe.
    async fn landed(&mut self) -> Input {
        let landed = tokio::select! {
            Some(landed) = self.flights.join_next_with_id() => landed,
            Some(prepared) = self.preparing.join_next() => {
                if let Ok((id, way, prepared)) = prepared {
                    self.prepared(id, way, prepared);
                }
                return Input::Tick;
            }
            else => return Input::Tick,
        };
        let (task, result) = landed.unwrap_or_else(|error: JoinError| {
            let reason = "sending failed inside the agent".to_owned();
            (error.id(), Err(Failure { reason, again: Again::UntilExpired, after: None, perhaps: true }))
        });
        let Some(channel) = self.to.remove(&task) else { return Input::Tick };
        match result {
            Ok(()) => {
                self.lacks.remove(&channel);
                Input::Sent(channel)
            }
            Err(failure) => Input::Failed(channel, failure),
        }
    }
}

/// One line for the journal, on its way when this returns.
fn log(parcel: &Parcel) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
    let text = Text::of(parcel);
    let line = format!("notify {}: {} ({})", parcel.id(), text.title, text.body.replace('\n', "; "));
    let written = output::tell_for_certain(line);
    async {
        written.await.map_err(|error| Failure {
            reason: format!("standard error: {error}"),
            again: Again::UntilExpired,
            after: None,
            perhaps: false,
        })
    }
}

#[cfg(test)]
mod tests;
