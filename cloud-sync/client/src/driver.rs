//! The shell around the engine: it carries inputs and effects and decides nothing.
//!
//! One task. It never waits inside: what the store or the agent does not take at once stays in a short queue, and while the
//! store hangs heartbeats still go up. The queues are bounded by the engine, which asks for nothing new before the last
//! request is answered.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tilth_core::time::Uptime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::{Effect, Heads, Outbox, Report, Rows, RowsRequest, Status, StoreCommand, SyncEngine, SyncInput};
use crate::transport::Transport;

/// Requests to the store, in the order in which they are to be done.
#[derive(Debug)]
pub enum StoreRequest {
    /// Give rows and gaps, each lane from its first sequence on.
    Fetch {
        /// Lanes and ranges.
        request: RowsRequest,
        /// Takes the rows, or why there are none, in words.
        answer: oneshot::Sender<Result<Rows, String>>,
    },
    /// What the hub said; no answer comes.
    Command(StoreCommand),
    /// Begin a new stream.
    NewStream {
        /// Why.
        reason: String,
        /// Takes what the new stream holds. A store that cannot begin one now keeps the question until it can.
        answer: oneshot::Sender<Outbox>,
    },
}

/// Queues to and from the rest of the agent. Their maker bounds them all.
#[derive(Debug)]
pub struct Queues {
    /// To the store.
    pub store: mpsc::Sender<StoreRequest>,
    /// From the store: the highest committed sequence of each lane.
    pub heads: watch::Receiver<Heads>,
    /// To the agent: bundles, problems and status.
    pub reports: mpsc::Sender<Report>,
    /// From the agent: the newest bundle that it has seen, a new link, a new stream.
    pub inputs: mpsc::Receiver<SyncInput>,
}

/// Source of time. Any `Fn() -> Uptime` is a clock that runs like the runtime's.
pub trait Clock {
    /// The time since boot.
    fn now(&self) -> Uptime;

    /// How long the runtime must sleep for `now` to become `then`. A scaled clock divides here.
    fn sleep(&self, now: Uptime, then: Uptime) -> Duration {
        Duration::from_millis((then - now).0.try_into().unwrap_or(0))
    }
}

impl<F: Fn() -> Uptime> Clock for F {
    fn now(&self) -> Uptime {
        self()
    }
}

/// Why sync ended without a shutdown: the other end of a queue is closed. The process ends with it, and systemd starts it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueClosed {
    /// The store's.
    #[error("the store is gone")]
    Store,
    /// The agent's.
    #[error("the agent's other tasks are gone")]
    Agent,
}

/// Runs sync until `shutdown` is there. A batch on its way is dropped: the rows stay in the outbox, and the hub ignores what
/// it gets twice.
///
/// # Errors
/// [`QueueClosed`] when the other end of a queue is closed.
pub async fn run<T: Transport>(
    engine: SyncEngine,
    transport: &T,
    queues: Queues,
    clock: impl Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), QueueClosed> {
    let mut shutdown = std::pin::pin!(shutdown);
    let Queues { store, mut heads, reports, mut inputs } = queues;
    let mut in_flight = InFlight::new(engine, transport);
    heads.mark_changed();
    loop {
        in_flight.perform();
        let now = clock.now();
        let wait = in_flight.engine.deadline().map_or(Duration::MAX, |deadline| clock.sleep(now, deadline));
        let input = tokio::select! {
            biased;
            () = &mut shutdown => return Ok(()),
            permit = store.reserve(), if !in_flight.to_store.is_empty() => {
                let permit = permit.map_err(|_| QueueClosed::Store)?;
                if let Some(request) = in_flight.to_store.pop_front() {
                    permit.send(request);
                }
                continue;
            }
            permit = reports.reserve(), if in_flight.has_report() => {
                permit.map_err(|_| QueueClosed::Agent)?.send(in_flight.next_report());
                continue;
            }
            input = wait_for(&mut in_flight.to_hub), if in_flight.to_hub.is_some() => input,
            outbox = wait_for(&mut in_flight.stream), if in_flight.stream.is_some() => {
                // Heads that the store stated meanwhile were of a stream that the engine did not know yet.
                heads.mark_changed();
                SyncInput::Stream(outbox.ok_or(QueueClosed::Store)?)
            }
            input = wait_for(&mut in_flight.rows), if in_flight.rows.is_some() => input.ok_or(QueueClosed::Store)?,
            input = inputs.recv() => {
                heads.mark_changed();
                input.ok_or(QueueClosed::Agent)?
            }
            changed = heads.changed() => {
                changed.map_err(|_| QueueClosed::Store)?;
                SyncInput::Committed(heads.borrow_and_update().clone())
            }
            () = tokio::time::sleep(wait) => SyncInput::Tick,
        };
        in_flight.engine.handle(clock.now(), input);
    }
}

type PendingReply<'t, T> = Option<Pin<Box<dyn Future<Output = T> + Send + 't>>>;

async fn wait_for<T>(slot: &mut PendingReply<'_, T>) -> T {
    let answer = match slot {
        Some(waiting) => waiting.await,
        None => std::future::pending().await,
    };
    *slot = None;
    answer
}

/// Requests that wait for an answer, and what waits for its receiver.
struct InFlight<'t, T> {
    engine: SyncEngine,
    transport: &'t T,
    to_hub: PendingReply<'t, SyncInput>,
    /// A request for rows. `None` when the store ended meanwhile.
    rows: PendingReply<'t, Option<SyncInput>>,
    /// A request for a new stream. Never given up, for the engine must know under which stream the store numbers rows.
    stream: PendingReply<'t, Option<Outbox>>,
    to_store: VecDeque<StoreRequest>,
    reports: VecDeque<Report>,
    shown: Option<Status>,
}

impl<'t, T: Transport> InFlight<'t, T> {
    fn new(engine: SyncEngine, transport: &'t T) -> InFlight<'t, T> {
        let (to_store, reports) = (VecDeque::new(), VecDeque::new());
        InFlight { engine, transport, to_hub: None, rows: None, stream: None, to_store, reports, shown: None }
    }

    fn perform(&mut self) {
        while let Some(effect) = self.engine.poll() {
            match effect {
                Effect::Fetch(request) => self.ask_for_rows(request),
                Effect::NewStream { reason } => self.ask_for_a_stream(reason),
                Effect::Store(command) => self.command(command),
                Effect::Send { request, body, confirmed } => {
                    let transport = self.transport;
                    self.to_hub = Some(Box::pin(async move {
                        let exchange = transport.post_batch(body, confirmed).await;
                        SyncInput::Answered { request, exchange }
                    }));
                }
                Effect::PullBundle { request, newest } => {
                    let transport = self.transport;
                    self.to_hub = Some(Box::pin(async move {
                        let exchange = transport.get_bundle(&newest).await;
                        SyncInput::Pulled { request, exchange }
                    }));
                }
                // One request at a time: the one on its way is the one that is given up.
                Effect::Abandon { .. } => self.to_hub = None,
                Effect::Report(report) => self.report(report),
            }
        }
    }

    fn command(&mut self, command: StoreCommand) {
        match (command, self.to_store.back_mut()) {
            // Rows that are not yet handed to the store are written together.
            (
                StoreCommand::Quarantine { stream, rows },
                Some(StoreRequest::Command(StoreCommand::Quarantine { stream: of, rows: before })),
            ) if *of == stream => {
                before.extend(rows);
            }
            (command, _) => {
                if let StoreCommand::Rewind { .. } = command {
                    // Earlier confirmations are replaced by it.
                    let is_older = |request: &StoreRequest| {
                        matches!(
                            request,
                            StoreRequest::Command(StoreCommand::Confirm { .. } | StoreCommand::Rewind { .. })
                        )
                    };
                    self.to_store.retain(|request| !is_older(request));
                }
                self.to_store.push_back(StoreRequest::Command(command));
            }
        }
    }

    fn ask_for_rows(&mut self, request: RowsRequest) {
        let (answer, answered) = oneshot::channel();
        let id = request.id;
        // A request that was given up may still be in the queue of a store that hangs: one is enough.
        self.to_store.retain(|request| !matches!(request, StoreRequest::Fetch { .. }));
        self.to_store.push_back(StoreRequest::Fetch { request, answer });
        self.rows = Some(Box::pin(async move {
            match answered.await {
                Ok(Ok(rows)) => Some(SyncInput::Fetched(rows)),
                Ok(Err(why)) => Some(SyncInput::FetchFailed { id, why }),
                Err(_) => None,
            }
        }));
    }

    fn ask_for_a_stream(&mut self, reason: String) {
        if self.stream.is_some() {
            return;
        }
        let (answer, answered) = oneshot::channel();
        self.to_store.push_back(StoreRequest::NewStream { reason, answer });
        self.stream = Some(Box::pin(async move { answered.await.ok() }));
    }

    /// Queues a report for the agent. A newer one of the same kind replaces one that waits.
    fn report(&mut self, report: Report) {
        let kind = |report: &Report| match report {
            Report::Problem(problem) => Some(problem.kind),
            Report::ProblemOver(kind) => Some(*kind),
            Report::Bundle(_) | Report::Status(_) => None,
        };
        let is_bundle = |report: &Report| matches!(report, Report::Bundle(_));
        self.reports.retain(|old| kind(old) != kind(&report) || is_bundle(old) != is_bundle(&report));
        self.reports.push_back(report);
    }

    fn has_report(&self) -> bool {
        !self.reports.is_empty() || self.shown.as_ref() != Some(&self.engine.status())
    }

    /// The oldest report that waits, or else the present status.
    fn next_report(&mut self) -> Report {
        self.reports.pop_front().unwrap_or_else(|| {
            let status = self.engine.status();
            self.shown = Some(status.clone());
            Report::Status(Box::new(status))
        })
    }
}

#[cfg(test)]
mod tests;
