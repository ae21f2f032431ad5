//! What each request is answered with. Whatever takes time is asked of the task or thread that owns it, and not waited for
//! longer than a person would.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tilth_core::engine::Engine;
use tilth_core::id::Id;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::time::timeout;

use super::rows::{Answer, Connected, Request};
use super::views;
use crate::clock::Clock;
use crate::configuration::ConfigStatus;
use crate::decide::{self, Beside, Live};
use crate::health::Health;
use crate::notify;
use crate::sense::queue::Queue;
use crate::store::Policy;
use crate::store::thread::StoreHandle;
use crate::sync::status::SyncStatus;

/// A task that has not answered by then is in trouble, and that is the answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What people may change in a minute. Each is an event, and events are dropped when they come faster than the disk takes them.
const MOST_CHANGES: u32 = 300;
const MINUTE: Duration = Duration::from_secs(60);

/// How much was changed since when.
#[derive(Debug)]
pub(crate) struct Changes(Mutex<(Instant, u32)>);

impl Changes {
    pub(crate) fn none(now: Instant) -> Changes {
        Changes(Mutex::new((now, 0)))
    }

    /// Whether there may be one more.
    fn may(&self, now: Instant) -> bool {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(changes.0) >= MINUTE {
            *changes = (now, 0);
        }
        changes.1 += 1;
        changes.1 <= MOST_CHANGES
    }
}

/// Whom the desk asks, and what it knows itself.
pub(crate) struct Office {
    pub(crate) device: Id,
    pub(crate) boot: u32,
    pub(crate) clock: Clock,
    pub(crate) started: Instant,
    pub(crate) config: ConfigStatus,
    pub(crate) health: Health,
    pub(crate) queue: Queue,
    pub(crate) commands: mpsc::Sender<decide::Command>,
    /// Weak: the task that tells people ends when nobody can give it work.
    pub(crate) notify: mpsc::WeakSender<notify::Command>,
    pub(crate) live: broadcast::Sender<Arc<Live>>,
    pub(crate) store: StoreHandle,
    pub(crate) database: std::path::PathBuf,
    pub(crate) policy: Policy,
    pub(crate) sync: SyncStatus,
    /// Places for connections that watch what happens.
    pub(crate) watchers: Semaphore,
    /// What people changed over the socket.
    pub(crate) changes: Changes,
}

/// Why something cannot be done or told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

impl Refusal {
    pub(super) fn new(reason: impl Into<String>) -> Refusal {
        Refusal(reason.into())
    }
}

/// The lines of an answer, but for the last.
pub(super) type Lines = Result<Vec<Answer>, Refusal>;

impl Office {
    /// Everything but `tail`, which has no end.
    pub(super) async fn answer(&self, request: Request) -> Lines {
        match request {
            Request::Status => views::lines(&[self.status().await]),
            Request::Sensors => views::lines(&self.look(views::sensors).await?),
            Request::Alerts { all } => {
                views::lines(&self.look(move |engine, beside, clock| views::alerts(engine, beside, clock, all)).await?)
            }
            Request::Silences => views::lines(&self.look(|engine, _, clock| views::silences(engine, clock)).await?),
            Request::Acknowledge { alert, span, by } => views::lines(&[self.acknowledge(alert, span, &by).await?]),
            Request::Silence { of, span, by } => views::lines(&[self.silence(of, span, &by).await?]),
            Request::EndSilence { silence } => views::lines(&[self.end_silence(silence).await?]),
            Request::Note { text, by } => self.note(&text, &by).await.map(|()| Vec::new()),
            Request::Tail { .. } => Ok(Vec::new()),
        }
    }

    /// The first line of `tail`.
    pub(super) fn connected(&self) -> Connected {
        Connected {
            at: views::wall(self.clock.now().1),
            event: "connected".to_owned(),
            device: self.device.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Has decide look at its engine, between two inputs.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine, &Beside<'_>, &Clock) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, looked) = oneshot::channel();
        let clock = self.clock.clone();
        let look = move |engine: &Engine, beside: &Beside<'_>| {
            let _ = answer.send(look(engine, beside, &clock));
        };
        self.tell(decide::Command::Look(Box::new(look))).await?;
        match timeout(PATIENCE, looked).await {
            Ok(Ok(looked)) => Ok(looked),
            Ok(Err(_)) => {
                Err(Refusal::new("nothing is decided yet: on the input clock time begins with the first reading"))
            }
            Err(_) => Err(Refusal::new("the engine does not answer")),
        }
    }

    /// Something that a person does.
    pub(super) async fn change(&self, command: decide::Command) -> Result<(), Refusal> {
        if !self.changes.may(Instant::now()) {
            return Err(Refusal::new(format!(
                "more than {MOST_CHANGES} changes within a minute: try again after that"
            )));
        }
        self.tell(command).await
    }

    pub(super) async fn tell(&self, command: decide::Command) -> Result<(), Refusal> {
        let told = timeout(PATIENCE, self.commands.send(command)).await;
        told.ok().and_then(Result::ok).ok_or_else(|| Refusal::new("the engine does not answer"))
    }

    /// Asks on a channel of its own; nothing where no answer came in time.
    pub(super) async fn wait<T>(answer: oneshot::Receiver<T>) -> Option<T> {
        timeout(PATIENCE, answer).await.ok()?.ok()
    }
}
