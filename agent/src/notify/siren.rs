//! The task of a siren: drives its actuator through the interlock, as `tilth_notify::kinds::siren` says. It follows the alerts that are
//! open and waits for no other channel.

use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tilth_config::Patterns;
use tilth_core::id::Id;
use tilth_core::interlock::{Command, Origin, Refusal, Wanted};
use tilth_core::plan::Severity;
use tilth_core::time::Span;
use tilth_notify::kinds::siren::{self, Effect, Input};
use tilth_notify::message::{Failure, Message, Retry};
use tilth_notify::notification::Kind;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::Sending;
use super::asked::Asked;
use crate::clock::Clock;

/// How long decide has to carry out an order, and the siren to sound a page.
const PATIENCE: Duration = Duration::from_secs(10);

/// An order switches nothing on later than this.
const EXPIRES: Span = Span::from_secs(30);

/// Orders of the notify task that wait.
const ORDERS: usize = 16;

/// What a siren drives, and how; the same siren goes on when the configuration changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) channel: Id,
    pub(super) actuator: Id,
    pub(super) patterns: Patterns,
}

/// A siren, with the way to its task. Dropped, the task ends.
#[derive(Debug)]
pub(super) struct Siren {
    pub(super) settings: Settings,
    /// The severity that is to be heard; the newest holds.
    wanted: watch::Sender<Option<Severity>>,
    orders: mpsc::Sender<Order>,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

/// What is shown of a siren.
#[derive(Debug, Default, Clone)]
pub(super) struct State {
    /// The severity that is to be heard.
    pub(super) worst: Option<Severity>,
    /// Why it cannot be heard.
    pub(super) trouble: Option<String>,
}

#[derive(Debug)]
enum Order {
    /// A page: answered once the siren was switched on for it, or could not be.
    Page(oneshot::Sender<Result<(), String>>),
    Chirp(oneshot::Sender<Result<(), String>>),
}

impl Siren {
    pub(super) fn start(settings: Settings, clock: Clock, asks: mpsc::Sender<Asked>) -> Siren {
        let (orders, taken) = mpsc::channel(ORDERS);
        let (wanted, heard) = watch::channel(None);
        let state = Arc::default();
        let task = Task {
            machine: siren::Siren::new(settings.patterns),
            settings: settings.clone(),
            clock,
            asks,
            state: Arc::clone(&state),
            is_heard: false,
            waiting: Vec::new(),
        };
        Siren { settings, wanted, orders, state, task: tokio::spawn(task.run(taken, heard)).abort_handle() }
    }

    pub(super) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is to be heard from now on.
    pub(super) fn sound(&self, worst: Option<Severity>) {
        self.wanted.send_replace(worst);
    }

    /// A page: done once the siren sounds. A test is a short sound; what is over is not heard.
    pub(super) fn tell(&self, message: &Message) -> Sending {
        let is_any = |kind: fn(&Kind) -> bool| message.items.iter().any(|item| kind(&item.notification.kind));
        if is_any(|kind| matches!(kind, Kind::Page(_))) {
            Box::pin(self.ask(Order::Page))
        } else if is_any(|kind| *kind == Kind::Test) {
            Box::pin(self.ask(Order::Chirp))
        } else {
            Box::pin(ready(Ok(())))
        }
    }

    fn ask(
        &self,
        order: fn(oneshot::Sender<Result<(), String>>) -> Order,
    ) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let orders = self.orders.clone();
        async move {
            let asked = timeout(PATIENCE, async {
                orders.send(order(answer)).await.ok()?;
                answered.await.ok()
            });
            let unanswered = || Err("the siren was not switched in time".to_owned());
            let result = asked.await.ok().flatten().unwrap_or_else(unanswered);
            result.map_err(|reason| Failure {
                reason,
                retry: Retry::UntilExpired,
                retry_after: None,
                may_have_arrived: false,
            })
        }
    }
}

impl Drop for Siren {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    settings: Settings,
    clock: Clock,
    asks: mpsc::Sender<Asked>,
    state: Arc<Mutex<State>>,
    machine: siren::Siren,
    /// The last order to switch on was carried out.
    is_heard: bool,
    /// Who waits for the next order.
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
}

impl Task {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, mut wanted: watch::Receiver<Option<Severity>>) {
        loop {
            self.perform().await;
            let due = self.machine.deadline();
            let clock = self.clock.clone();
            let input = tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Page(answer)) => {
                        self.page(answer);
                        continue;
                    }
                    Some(Order::Chirp(answer)) => {
                        self.page(answer);
                        Input::Chirp
                    }
                    None => return,
                },
                Ok(()) = wanted.changed() => Input::Sound(*wanted.borrow_and_update()),
                () = clock.sleep_until(due) => Input::Tick,
            };
            self.machine.handle(self.clock.uptime(), input);
        }
    }

    /// Answers a page: at once where the siren is heard, else with the next order.
    fn page(&mut self, answer: oneshot::Sender<Result<(), String>>) {
        if self.is_heard && self.machine.worst().is_some() {
            let _ = answer.send(Ok(()));
        } else {
            self.waiting.push(answer);
        }
    }

    async fn perform(&mut self) {
        while let Some(effect) = self.machine.poll() {
            let (wanted, result) = match effect {
                Effect::On(span) => (true, self.actuate(Wanted::On(span)).await),
                Effect::Off => (false, self.actuate(Wanted::Off).await),
            };
            self.done(wanted, result);
        }
        self.state.lock().unwrap_or_else(PoisonError::into_inner).worst = self.machine.worst();
    }

    fn done(&mut self, wanted: bool, result: Result<(), Refusal>) {
        // Another time than asked is asked for at once, and what sounds already is heard.
        let trouble = match &result {
            Ok(()) | Err(Refusal::MaxOn(_) | Refusal::On | Refusal::MinOff { .. } | Refusal::Busy) => None,
            Err(refusal) => Some(format!("actuator {}: {refusal}", self.settings.actuator)),
        };
        self.is_heard = wanted && result.is_ok();
        if result.is_ok() || trouble.is_some() {
            for answer in self.waiting.drain(..) {
                let _ = answer.send(trouble.clone().map_or(Ok(()), Err));
            }
        }
        let channel = &self.settings.channel;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &trouble {
            Some(why) if state.trouble.as_ref() != Some(why) => {
                warn!("channel {channel} unavailable: {why}; alerts go to the other channels");
            }
            None if state.trouble.is_some() && result.is_ok() => info!("channel {channel} is available again"),
            _ => {}
        }
        if result.is_ok() || trouble.is_some() {
            state.trouble = trouble;
        }
        drop(state);
        if let Err(refusal) = result {
            self.machine.handle(self.clock.uptime(), Input::Refused(refusal));
        }
    }

    /// Has the interlock switch the actuator.
    async fn actuate(&self, wanted: Wanted) -> Result<(), Refusal> {
        let now = self.clock.uptime();
        let id: String = format!("siren-{}-{}", now.0, self.settings.channel).chars().take(40).collect();
        let id = Id::new(&id).map_err(|_| Refusal::NoSuchActuator)?;
        let by = Origin::Channel(self.settings.channel.clone());
        let actuator = self.settings.actuator.clone();
        let command = Command { id, actuator, wanted, expires: now + EXPIRES, by };
        let (answer, answered) = oneshot::channel();
        let asked = timeout(PATIENCE, async {
            self.asks.send(Asked::Actuate(Box::new(command), answer)).await.ok()?;
            answered.await.ok()
        });
        asked.await.ok().flatten().unwrap_or(Err(Refusal::Expired))
    }
}
