//! The shell around the engine: it carries inputs and effects and decides nothing.
//!
//! One task. It never waits inside: what the store or decide do not take at once stays in a short queue, and while a store
//! is stuck signs of life still go up. Its queues are bounded by the engine, which asks for nothing new before the last
//! question is answered.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tilth_core::time::Uptime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::{Effect, Engine, Heads, Input, Outbox, Report, Rows, RowsRequest, Status, StoreNote};
use crate::transport::Transport;

/// What the store is asked to do, in this order. Only questions have an answer: if the rest is not kept, the hub is told
/// again what it knows.
#[derive(Debug)]
pub enum Request {
    /// Give rows and gaps, each lane from its first sequence on.
    Fetch {
        /// What.
        ask: RowsRequest,
        /// Takes the rows, or why there are none, in words.
        answer: oneshot::Sender<Result<Rows, String>>,
    },
    /// Note what the hub said.
    Note(StoreNote),
    /// Begin a new stream.
    NewStream {
        /// Why.
        reason: String,
        /// Takes what the new stream holds. A store that cannot begin one now keeps the question until it can.
        answer: oneshot::Sender<Outbox>,
    },
}

/// The channels to the rest of the agent. All are bounded by whoever makes them.
#[derive(Debug)]
pub struct Links {
    /// To the store.
    pub store: mpsc::Sender<Request>,
    /// From the store: the highest committed sequence of each lane.
    pub heads: watch::Receiver<Heads>,
    /// To decide.
    pub decide: mpsc::Sender<Report>,
    /// From the rest of the agent: what it holds of configuration, a nudge, another link, another stream.
    pub orders: mpsc::Receiver<Input>,
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

/// Why sync ended without being told to. The process ends with it, and systemd starts it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// The store's end of a channel is closed.
    #[error("the store is gone")]
    Store,
    /// Decide's end of a channel is closed.
    #[error("decide is gone")]
    Decide,
}

/// Runs sync until `shutdown` is there. A batch on its way is dropped: the rows stay in the outbox, and the hub ignores what
/// it gets twice.
///
/// # Errors
/// [`Gone`] when the other end of a channel is closed.
pub async fn run<T: Transport>(
    engine: Engine,
    transport: &T,
    links: Links,
    clock: impl Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Gone> {
    let mut shutdown = std::pin::pin!(shutdown);
    let Links { store, mut heads, decide, mut orders } = links;
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
                let permit = permit.map_err(|_| Gone::Store)?;
                if let Some(request) = in_flight.to_store.pop_front() {
                    permit.send(request);
                }
                continue;
            }
            permit = decide.reserve(), if in_flight.has_event() => {
                permit.map_err(|_| Gone::Decide)?.send(in_flight.next_event());
                continue;
            }
            input = wait_for(&mut in_flight.wire), if in_flight.wire.is_some() => input,
            outbox = wait_for(&mut in_flight.stream), if in_flight.stream.is_some() => {
                // What the store committed meanwhile was said of a stream that was not known yet.
                heads.mark_changed();
                Input::Stream(outbox.ok_or(Gone::Store)?)
            }
            input = wait_for(&mut in_flight.question), if in_flight.question.is_some() => input.ok_or(Gone::Store)?,
            order = orders.recv() => {
                heads.mark_changed();
                order.ok_or(Gone::Decide)?
            }
            changed = heads.changed() => {
                changed.map_err(|_| Gone::Store)?;
                Input::Waiting(heads.borrow_and_update().clone())
            }
            () = tokio::time::sleep(wait) => Input::Tick,
        };
        in_flight.engine.handle(clock.now(), input);
    }
}

type Waiting<'t, T> = Option<Pin<Box<dyn Future<Output = T> + Send + 't>>>;

async fn wait_for<T>(slot: &mut Waiting<'_, T>) -> T {
    let answer = match slot {
        Some(waiting) => waiting.await,
        None => std::future::pending().await,
    };
    *slot = None;
    answer
}

/// Requests on their way between the engine and the others.
struct InFlight<'t, T> {
    engine: Engine,
    transport: &'t T,
    wire: Waiting<'t, Input>,
    /// A question for rows. `None` when the store went away over it.
    question: Waiting<'t, Option<Input>>,
    /// A question for a new stream. It is never given up: a stream that the engine does not know would be a lie on the wire.
    stream: Waiting<'t, Option<Outbox>>,
    to_store: VecDeque<Request>,
    events: VecDeque<Report>,
    shown: Option<Status>,
}

impl<'t, T: Transport> InFlight<'t, T> {
    fn new(engine: Engine, transport: &'t T) -> InFlight<'t, T> {
        let (to_store, events) = (VecDeque::new(), VecDeque::new());
        InFlight { engine, transport, wire: None, question: None, stream: None, to_store, events, shown: None }
    }

    fn perform(&mut self) {
        while let Some(effect) = self.engine.poll() {
            match effect {
                Effect::Fetch(ask) => self.ask_for_rows(ask),
                Effect::NewStream { reason } => self.ask_for_a_stream(reason),
                Effect::Note(note) => self.note(note),
                Effect::Send { request, body, confirmed } => {
                    let transport = self.transport;
                    self.wire = Some(Box::pin(async move {
                        let exchange = transport.post_batch(body, confirmed).await;
                        Input::Answered { request, exchange }
                    }));
                }
                Effect::PullBundle { request, holding } => {
                    let transport = self.transport;
                    self.wire = Some(Box::pin(async move {
                        let exchange = transport.get_bundle(&holding).await;
                        Input::Pulled { request, exchange }
                    }));
                }
                // One request at a time: the one on its way is the one that nobody waits for.
                Effect::Abandon { .. } => self.wire = None,
                Effect::Report(report) => self.tell(report),
            }
        }
    }

    fn note(&mut self, note: StoreNote) {
        match (note, self.to_store.back_mut()) {
            // Rows that the store has not been told of yet are written together.
            (
                StoreNote::Quarantine { stream, rows },
                Some(Request::Note(StoreNote::Quarantine { stream: of, rows: before })),
            ) if *of == stream => {
                before.extend(rows);
            }
            (note, _) => {
                if let StoreNote::Rewind { .. } = note {
                    // What it replaces need not be said any more.
                    let is_older = |request: &Request| {
                        matches!(request, Request::Note(StoreNote::Confirm { .. } | StoreNote::Rewind { .. }))
                    };
                    self.to_store.retain(|request| !is_older(request));
                }
                self.to_store.push_back(Request::Note(note));
            }
        }
    }

    fn ask_for_rows(&mut self, ask: RowsRequest) {
        let (answer, answered) = oneshot::channel();
        let id = ask.id;
        // A question that was given up may still be in the queue of a stuck store: one is enough.
        self.to_store.retain(|request| !matches!(request, Request::Fetch { .. }));
        self.to_store.push_back(Request::Fetch { ask, answer });
        self.question = Some(Box::pin(async move {
            match answered.await {
                Ok(Ok(rows)) => Some(Input::Fetched(rows)),
                Ok(Err(why)) => Some(Input::FetchFailed { id, why }),
                Err(_) => None,
            }
        }));
    }

    fn ask_for_a_stream(&mut self, reason: String) {
        if self.stream.is_some() {
            return;
        }
        let (answer, answered) = oneshot::channel();
        self.to_store.push_back(Request::NewStream { reason, answer });
        self.stream = Some(Box::pin(async move { answered.await.ok() }));
    }

    /// For decide, when it has room. What is newer of the same kind replaces what it has not taken yet.
    fn tell(&mut self, event: Report) {
        let kind = |event: &Report| match event {
            Report::LocalAlert(alert) => Some(alert.kind),
            Report::AllClear(kind) => Some(*kind),
            Report::Bundle(_) | Report::Status(_) => None,
        };
        let is_bundle = |event: &Report| matches!(event, Report::Bundle(_));
        self.events.retain(|old| kind(old) != kind(&event) || is_bundle(old) != is_bundle(&event));
        self.events.push_back(event);
    }

    fn has_event(&self) -> bool {
        !self.events.is_empty() || self.shown.as_ref() != Some(&self.engine.status())
    }

    /// The oldest event, or the status as it is now.
    fn next_event(&mut self) -> Report {
        self.events.pop_front().unwrap_or_else(|| {
            let status = self.engine.status();
            self.shown = Some(status.clone());
            Report::Status(Box::new(status))
        })
    }
}

#[cfg(test)]
mod tests;
