//! State of the API: the tasks that handlers ask, each with a timeout, and limits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use tilth_core::engine::{Engine, Input};
use tilth_core::id::Id;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tokio::time::timeout;

use super::handlers::Answered;
use super::problem::Problem;
use super::rows::Answer;
use super::views::wall;
use crate::clock::Clock;
use crate::configuration::{ConfigStatus, Retry};
use crate::decide::{DecideRequest, DecideState, EngineQuery, LiveLine};
use crate::health::TaskHealth;
use crate::notify;
use crate::sense::released::Ports;
use crate::store::Policy;
use crate::store::thread::StoreHandle;
use crate::sync::status::SyncStatus;

/// Longest wait for the answer of a task.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Upper limit of connections that follow events without an end; below that of all connections, so that requests find room.
pub(super) const MAX_WATCHERS: usize = 24;

/// Changes by people in a minute. Each is an event, and events are dropped when they come faster than the disk takes them.
const MAX_CHANGES: u32 = 300;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Limits {
    watchers: Arc<Semaphore>,
    /// Begin of the current minute, and changes since.
    changes: Mutex<(Instant, u32)>,
}

impl Limits {
    pub(crate) fn new(now: Instant) -> Limits {
        Limits { watchers: Arc::new(Semaphore::new(MAX_WATCHERS)), changes: Mutex::new((now, 0)) }
    }

    /// Permission to follow events, as long as it is held.
    pub(super) fn watch(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.watchers).try_acquire_owned();
        permit.map_err(|_| Problem::unavailable(format!("{MAX_WATCHERS} others watch already")))
    }

    /// Counts a change that a person makes.
    ///
    /// # Errors
    /// Above [`MAX_CHANGES`] in a minute.
    pub(super) fn change(&self, now: Instant) -> Result<(), Problem> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(changes.0) >= MINUTE {
            *changes = (now, 0);
        }
        changes.1 += 1;
        if changes.1 <= MAX_CHANGES {
            return Ok(());
        }
        let detail = format!("more than {MAX_CHANGES} changes within a minute: try again after that");
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail))
    }
}

/// State that all handlers share: the tasks that they ask, the clock, and limits.
pub(crate) struct ApiState {
    pub(crate) device: Id,
    pub(crate) boot: u32,
    pub(crate) clock: Clock,
    pub(crate) started: Instant,
    pub(crate) config: ConfigStatus,
    pub(crate) health: TaskHealth,
    pub(crate) to_decide: mpsc::Sender<DecideRequest>,
    /// To the task of the configuration.
    pub(crate) retries: mpsc::Sender<Retry>,
    pub(crate) ports: Ports,
    /// Weak: the task ends when its last strong sender is gone.
    pub(crate) notify: mpsc::WeakSender<notify::NotifyRequest>,
    pub(crate) live: broadcast::Sender<Arc<LiveLine>>,
    pub(crate) store: StoreHandle,
    pub(crate) database: std::path::PathBuf,
    pub(crate) policy: Policy,
    pub(crate) sync: SyncStatus,
    pub(crate) limits: Limits,
}

impl ApiState {
    /// Answer with these rows, and with what a client needs to show them.
    pub(super) fn answer<T>(&self, rows: Vec<T>) -> Answered<T> {
        let timezone = self.config.local().name().map(str::to_owned);
        let trouble = self.health.posted().problem();
        Ok(Json(Answer { at: wall(self.clock.now().1), timezone, trouble, rows }))
    }

    /// Reads the engine, between two of its inputs.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Engine, &DecideState, &Clock) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask(|answer| DecideRequest::Query(self.answering(answer, query))).await
    }

    /// Sends decide the request of a person; returns what `query` reads right after it took effect, before another input.
    pub(super) async fn change_and_query<T: Send + 'static>(
        &self,
        input: Input,
        query: impl FnOnce(&Engine, &DecideState, &Clock) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.change(|answer| DecideRequest::Input(input, self.answering(answer, query))).await
    }

    fn answering<T: Send + 'static>(
        &self,
        answer: oneshot::Sender<T>,
        query: impl FnOnce(&Engine, &DecideState, &Clock) -> T + Send + 'static,
    ) -> EngineQuery {
        let clock = self.clock.clone();
        Box::new(move |engine, context| drop(answer.send(query(engine, context, &clock))))
    }

    /// Sends decide the request of a person; returns its answer.
    pub(super) async fn change<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> DecideRequest,
    ) -> Result<T, Problem> {
        self.limits.change(Instant::now())?;
        self.ask(request).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> DecideRequest) -> Result<T, Problem> {
        let hangs = || Problem::unavailable("the engine does not answer");
        let (answer, answered) = oneshot::channel();
        let sent = timeout(PATIENCE, self.to_decide.send(request(answer))).await;
        sent.ok().and_then(Result::ok).ok_or_else(hangs)?;
        timeout(PATIENCE, answered)
            .await
            .map_err(|_| hangs())?
            .map_err(|_| Problem::unavailable("no reading yet: on the input clock time begins with the first reading"))
    }
}
