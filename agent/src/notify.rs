//! Telling people: the task that sends what the engine wants told, by whatever channels there are.
//!
//! What is told, by whom and when is decided in [`dispatch`], which is pure, and in the queues of `tilth-notify`, which sends
//! it. No channel waits for another. Secrets and certificates are read beside the task: one that is missing holds up its own
//! channel alone.

pub(crate) mod dispatch;
mod outcomes;

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::mem;
use std::sync::Arc;

use tilth_config::Channel;
use tilth_core::alert::AlertId;
use tilth_core::effect::{Effect, Transition};
use tilth_core::escalate::PageId;
use tilth_core::id::Id;
use tilth_core::plan::{AlertKey, Plan};
use tilth_core::time::{Span, Uptime};
use tilth_notify::Clients;
use tilth_notify::client::{LACK_WAIT, Way};
use tilth_notify::notice::Notice;
use tilth_notify::queue::{self, Again, EXPIRY, Failure, Fate, Limits, Next, Outcome, Parcel};
use tilth_notify::secret::Secrets;
use tilth_notify::text::Text;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id as TaskId, JoinError, JoinSet};

use crate::chance::Run;
use crate::clock::Clock;
use crate::decide::Cause;
use crate::output::{self, counted, tell};
use dispatch::{Channels, Dispatch, Input, Levels};
use outcomes::Outcomes;

/// Commands that may wait. The task takes them whatever is under way, so they do not pile up; what does not fit waits with
/// decide.
pub(crate) const COMMANDS: usize = 1024;

/// How servers see this program.
const USER_AGENT: &str = concat!("tilth-agent/", env!("CARGO_PKG_VERSION"));

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// People are to be told, by these channels.
    Page(Box<Notice>, Vec<Id>),
    /// Somebody takes an alert on.
    Acknowledged(AlertId),
    /// An alert is over: whoever was told of it is told that.
    Resolved(Box<Notice>),
    /// An alert that is still open was told by these channels before the process began.
    Paged(AlertId, Vec<Id>),
    /// The configuration changed: its channels, and which of them tell of each open alert.
    Channels(BTreeMap<Id, Channel>, Levels),
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
    fn forget(&mut self, channels: &BTreeMap<Id, Limits>, elsewhere: &BTreeSet<Id>) {
        self.0.retain(|id, _| channels.contains_key(id) && !elsewhere.contains(id));
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

impl Command {
    /// What an effect of the engine means for people; nothing where they need not know. `cause` says what the engine does
    /// not know of an alert.
    pub(crate) fn of(
        effect: &Effect,
        plan: &Plan,
        (device, run): (&Id, &Run),
        cause: impl Fn(&AlertKey) -> Option<Cause>,
    ) -> Option<Command> {
        match effect {
            Effect::Page(page) => {
                let mut notice = Notice::page(page_id(device, page.id, Some(run)), page, plan, false);
                if let Some(Cause { why, advice }) = cause(&page.report.key) {
                    notice.report.advice = advice.map(Arc::from).or(notice.report.advice);
                    notice.why = Some(why);
                }
                Some(Command::Page(Box::new(notice), page.channels.clone()))
            }
            Effect::Alert(Transition::Acknowledged { .. }, report) => report.alert.map(Command::Acknowledged),
            Effect::Alert(Transition::Resolved(reason), report) => {
                // Of an alert that never fired nobody was told.
                let id = format!("{device}-{}-resolved-{run}", report.alert?);
                Some(Command::Resolved(Box::new(Notice::resolved(id, *reason, report, plan))))
            }
            _ => None,
        }
    }
}

/// `DEVICE-ALERT-PAGE-RUN`, where RUN names the run of the agent that decided on the page; without it of one that was decided
/// on before runs had names.
pub(crate) fn page_id(device: &Id, page: PageId, run: Option<&Run>) -> String {
    let run = run.map_or(String::new(), |run| format!("-{run}"));
    format!("{device}-{page}{run}")
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
                Some(command) => sender.input(command),
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
        if let Input::Channels(Channels { limits, elsewhere, .. }) = &input {
            failures.forget(limits, elsewhere);
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
    fn input(&mut self, command: Command) -> Input {
        match command {
            Command::Look(_) => Input::Tick,
            Command::Page(notice, channels) => Input::Page(*notice, channels),
            Command::Acknowledged(alert) => Input::Acknowledged(alert),
            Command::Resolved(notice) => Input::Resolved(*notice),
            Command::Paged(alert, channels) => Input::Paged(alert, channels),
            Command::Channels(channels, levels) => {
                let limits = channels.iter().map(|(id, channel)| (id.clone(), limits(channel))).collect();
                let is_elsewhere = |(id, way): (&Id, &Option<Arc<Way>>)| {
                    let channel = channels.get(id)?;
                    let is_other = way.as_ref().map_or(*channel != Channel::Log, |way| way.is_other_than(channel));
                    is_other.then(|| id.clone())
                };
                let elsewhere = self.ways.iter().filter_map(is_elsewhere).collect();
                let is_barred = |(_, channel): &(&Id, &Channel)| matches!(channel, Channel::Barred { .. });
                let barred = channels.iter().filter(is_barred).map(|(id, _)| id.clone()).collect();
                self.set_ways(channels);
                Input::Channels(Channels { limits, barred, elsewhere, levels })
            }
        }
    }

    fn set_ways(&mut self, channels: BTreeMap<Id, Channel>) {
        let before = mem::take(&mut self.ways);
        self.preparing = JoinSet::new();
        self.lacks.retain(|id, _| channels.contains_key(id));
        for (id, channel) in channels {
            let way = (channel != Channel::Log).then(|| {
                let before = before.get(&id).and_then(Option::as_deref);
                Arc::new(Way::new(channel, &self.secrets, &self.clients, before))
            });
            if let Some(way) = way.clone() {
                self.prepare(id.clone(), way, Span::ZERO);
            }
            self.ways.insert(id, way);
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

fn limits(channel: &Channel) -> Limits {
    match channel {
        Channel::Log => Limits { max_per_hour: None, expiry: None },
        Channel::Barred { .. } => Limits { max_per_hour: None, expiry: Some(EXPIRY) },
        Channel::Ntfy { max_per_hour, .. } | Channel::Webhook { max_per_hour, .. } => {
            Limits { max_per_hour: Some(*max_per_hour), expiry: Some(EXPIRY) }
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
