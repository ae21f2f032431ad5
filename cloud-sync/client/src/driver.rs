//! The shell around the engine: it carries inputs and effects and decides nothing.
//!
//! One task. It never waits inside: what the store or decide do not take at once stays in a short queue, and while a store
//! is stuck signs of life still go up. Its queues are bounded by the engine, which asks for nothing new before the last
//! question is answered.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tilth_core::time::Uptime;
use tilth_protocol::{Epoch, Lane, Stream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::{AlertKind, Effect, Engine, Heads, Holding, Input, LocalAlert, Outbox, Rows, RowsRequest, Status};
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
    /// The hub confirmed these. A store that is in another stream ignores it.
    Confirm {
        /// In this stream.
        stream: Stream,
        /// The highest confirmed sequences; lanes that did not rise are absent.
        confirmed: BTreeMap<Lane, u64>,
    },
    /// The hub lives in another epoch and has this. A store that is in another stream takes the epoch and ignores the rest.
    Rewind {
        /// In this stream.
        stream: Stream,
        /// The epoch.
        epoch: Epoch,
        /// What it confirms there; every lane is named.
        confirmed: BTreeMap<Lane, u64>,
    },
    /// Set rows aside; from now on they are quarantined gaps. A store that is in another stream ignores it.
    Quarantine {
        /// In this stream.
        stream: Stream,
        /// All that one answer refused, to be written together: a hub may refuse thousands at once.
        rows: Vec<Poison>,
    },
    /// Begin a new stream.
    NewStream {
        /// Why.
        reason: String,
        /// Takes what the new stream holds. A store that cannot begin one now keeps the question until it can.
        answer: oneshot::Sender<Outbox>,
    },
}

/// A row that the hub cannot store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Lane of the row.
    pub lane: Lane,
    /// Sequence of the row in its lane.
    pub seq: u64,
    /// Why, as the hub says it.
    pub reason: String,
}

/// What decide is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A bundle as the hub sent it: verify, then apply.
    Bundle {
        /// The bytes.
        bytes: Vec<u8>,
        /// The `ETag` they came with.
        etag: Option<String>,
    },
    /// Something that a person on site should know.
    LocalAlert(LocalAlert),
    /// That is over.
    AllClear(AlertKind),
    /// What sync is at. Only the newest is kept for a decide that is busy.
    Status(Box<Status>),
}

/// What decide tells sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// What configuration is held now.
    Holding(Holding),
    /// Configuration waits: pull at once.
    Nudged,
    /// The network came up.
    NetworkUp,
    /// The transport uses another key or certificate authority from now on, or bundles are judged by another key.
    HubLinkChanged,
    /// The store began a new stream by itself.
    Stream(Outbox),
}

/// The channels to the rest of the agent. All are bounded by whoever makes them.
#[derive(Debug)]
pub struct Links {
    /// To the store.
    pub store: mpsc::Sender<Request>,
    /// From the store: the highest committed sequence of each lane.
    pub heads: watch::Receiver<Heads>,
    /// To decide.
    pub decide: mpsc::Sender<Event>,
    /// From decide.
    pub orders: mpsc::Receiver<Order>,
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
                order.ok_or(Gone::Decide)?.into()
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
    events: VecDeque<Event>,
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
                Effect::Confirm { stream, confirmed } => {
                    self.to_store.push_back(Request::Confirm { stream, confirmed });
                }
                Effect::Rewind { stream, epoch, confirmed } => {
                    // What it replaces need not be said any more.
                    let is_older = |r: &Request| matches!(r, Request::Confirm { .. } | Request::Rewind { .. });
                    self.to_store.retain(|request| !is_older(request));
                    self.to_store.push_back(Request::Rewind { stream, epoch, confirmed });
                }
                Effect::Quarantine { stream, lane, seq, reason } => {
                    self.set_aside(stream, Poison { lane, seq, reason });
                }
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
                Effect::Bundle { bytes, etag } => self.tell(Event::Bundle { bytes, etag }),
                Effect::LocalAlert(alert) => self.tell(Event::LocalAlert(alert)),
                Effect::AllClear(kind) => self.tell(Event::AllClear(kind)),
            }
        }
    }

    /// With those that the store has not been told of yet, so that it writes them together.
    fn set_aside(&mut self, stream: Stream, row: Poison) {
        match self.to_store.back_mut() {
            Some(Request::Quarantine { stream: of, rows }) if *of == stream => rows.push(row),
            _ => self.to_store.push_back(Request::Quarantine { stream, rows: vec![row] }),
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
    fn tell(&mut self, event: Event) {
        let kind = |event: &Event| match event {
            Event::LocalAlert(alert) => Some(alert.kind),
            Event::AllClear(kind) => Some(*kind),
            Event::Bundle { .. } | Event::Status(_) => None,
        };
        let is_bundle = |event: &Event| matches!(event, Event::Bundle { .. });
        self.events.retain(|old| kind(old) != kind(&event) || is_bundle(old) != is_bundle(&event));
        self.events.push_back(event);
    }

    fn has_event(&self) -> bool {
        !self.events.is_empty() || self.shown.as_ref() != Some(&self.engine.status())
    }

    /// The oldest event, or the status as it is now.
    fn next_event(&mut self) -> Event {
        self.events.pop_front().unwrap_or_else(|| {
            let status = self.engine.status();
            self.shown = Some(status.clone());
            Event::Status(Box::new(status))
        })
    }
}

impl From<Order> for Input {
    fn from(order: Order) -> Input {
        match order {
            Order::Holding(holding) => Input::Holding(holding),
            Order::Nudged => Input::Nudged,
            Order::NetworkUp => Input::NetworkUp,
            Order::HubLinkChanged => Input::HubLinkChanged,
            Order::Stream(outbox) => Input::Stream(outbox),
        }
    }
}

#[cfg(test)]
mod tests;
