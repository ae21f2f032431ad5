//! What answers need: the tasks and threads that know something, each asked for no longer than a person would wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use tilth_core::engine::Engine;
use tilth_core::id::Id;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::time::timeout;

use super::problem::Problem;
use super::rows::Answer;
use super::views::wall;
use crate::clock::Clock;
use crate::configuration::{ConfigStatus, Retry};
use crate::decide::{Command, EngineContext, Live};
use crate::health::SharedMarks;
use crate::notify;
use crate::sense::queue::Queue;
use crate::store::Policy;
use crate::store::thread::StoreHandle;
use crate::sync::status::SyncStatus;

/// A task that has not answered by then is in trouble, and that is the answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Connections that watch what happens, which have no end: whoever asks for something finds room beside them.
pub(super) const MAX_WATCHERS: usize = 24;

/// What people may change in a minute. Each is an event, and events are dropped when they come faster than the disk takes them.
const MAX_CHANGES: u32 = 300;
const MINUTE: Duration = Duration::from_secs(60);

/// Limit of how much people change.
#[derive(Debug)]
pub(crate) struct ChangeLimit(Mutex<(Instant, u32)>);

impl ChangeLimit {
    pub(crate) fn new(now: Instant) -> ChangeLimit {
        ChangeLimit(Mutex::new((now, 0)))
    }

    /// Whether there may be one more.
    fn takes(&self, now: Instant) -> bool {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(changes.0) >= MINUTE {
            *changes = (now, 0);
        }
        changes.1 += 1;
        changes.1 <= MAX_CHANGES
    }
}

/// Places for those that watch.
pub(crate) fn watchers() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_WATCHERS))
}

/// State that all handlers share: the tasks that they ask, the clock, and limits.
pub(crate) struct ApiState {
    pub(crate) device: Id,
    pub(crate) boot: u32,
    pub(crate) clock: Clock,
    pub(crate) started: Instant,
    pub(crate) config: ConfigStatus,
    pub(crate) health: SharedMarks,
    pub(crate) queue: Queue,
    pub(crate) commands: mpsc::Sender<Command>,
    /// To the task of the configuration.
    pub(crate) retries: mpsc::Sender<Retry>,
    /// Weak: the task that tells people ends when nobody can give it work.
    pub(crate) notify: mpsc::WeakSender<notify::Command>,
    pub(crate) live: broadcast::Sender<Arc<Live>>,
    pub(crate) store: StoreHandle,
    pub(crate) database: std::path::PathBuf,
    pub(crate) policy: Policy,
    pub(crate) sync: SyncStatus,
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) changes: ChangeLimit,
}

impl ApiState {
    /// Rows, and what whoever shows them to people needs to know.
    pub(super) fn answer<T>(&self, rows: Vec<T>) -> Json<Answer<T>> {
        let timezone = self.config.local().name().map(str::to_owned);
        let trouble = self.health.posted().trouble();
        Json(Answer { at: wall(self.clock.now().1), timezone, trouble, rows })
    }

    /// Has decide look at its engine, between two inputs.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine, &EngineContext<'_>, &Clock) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let clock = self.clock.clone();
        self.ask(|answer| {
            Command::Query(Box::new(move |engine, context| drop(answer.send(look(engine, context, &clock)))))
        })
        .await
    }

    /// Has decide do something for a person; gives what came of it.
    pub(super) async fn change<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Problem> {
        if !self.changes.takes(Instant::now()) {
            let detail = format!("more than {MAX_CHANGES} changes within a minute: try again after that");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
        }
        self.ask(command).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Problem> {
        let hangs = || Problem::unavailable("the engine does not answer");
        let (answer, answered) = oneshot::channel();
        let sent = timeout(PATIENCE, self.commands.send(command(answer))).await;
        sent.ok().and_then(Result::ok).ok_or_else(hangs)?;
        timeout(PATIENCE, answered).await.map_err(|_| hangs())?.map_err(|_| {
            Problem::unavailable("nothing is decided yet: on the input clock time begins with the first reading")
        })
    }

    /// Asks on a channel of its own; nothing where no answer came in time.
    pub(super) async fn wait<T>(answer: oneshot::Receiver<T>) -> Option<T> {
        timeout(PATIENCE, answer).await.ok()?.ok()
    }
}
