//! Answers the driver's requests: rows from the store's reading thread, all else from its own thread, live values from decide.

use std::path::Path;
use std::time::{Duration, Instant};

use tilth_core::engine::Engine;
use tilth_protocol::{Lane, Lanes, Live, Stream};
use tilth_sync::driver::StoreRequest;
use tilth_sync::engine::{Heads, LaneState, Outbox, Rows, RowsRequest, StoreCommand, SyncInput};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::blocking;
use super::owner::{self, HistoryOwner};
use crate::clock::Clock;
use crate::configuration::ConfigStatus;
use crate::decide::DecideRequest;
use crate::health::TaskHealth;
use crate::store::thread::StoreHandle;
use crate::store::{Limit, LossAmount, LostHistory, Store, StoreError, StoreReader};

/// Retry interval while the store's queue is full.
const RETRY_FULL: Duration = Duration::from_millis(50);

/// Retry interval while the store cannot state or begin a stream.
const RETRY_STREAM: Duration = Duration::from_secs(1);

/// Timeout of decide for live values; the batch then goes without them.
const LIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Upper limit of live values in one batch.
const MAX_LIVE: usize = 2000;

pub(super) struct StoreAdapter {
    pub(super) store: StoreHandle,
    /// The stream that the driver knows of.
    pub(super) stream: Stream,
    pub(super) heads: watch::Receiver<Heads>,
    pub(super) to_decide: mpsc::Sender<DecideRequest>,
    pub(super) inputs: mpsc::Sender<SyncInput>,
    pub(super) clock: Clock,
    pub(super) config: ConfigStatus,
    pub(super) health: TaskHealth,
}

impl StoreAdapter {
    /// Runs until the driver ends.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<StoreRequest>) {
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.answer(request).await,
                    None => return,
                },
                changed = self.heads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.follow_stream().await;
                }
            }
        }
    }

    async fn answer(&mut self, request: StoreRequest) {
        match request {
            StoreRequest::Fetch { request, answer } => {
                let rows = self.fetch(request).await;
                let _ = answer.send(rows);
            }
            StoreRequest::Command(StoreCommand::Confirm { stream, confirmed }) => {
                self.update_store(move |store| {
                    if store.stream() == stream {
                        confirmed.iter().for_each(|(&lane, &seq)| {
                            store.confirm(lane, seq);
                        });
                    }
                    Ok(())
                })
                .await;
            }
            StoreRequest::Command(StoreCommand::Rewind { stream, epoch, confirmed }) => {
                self.update_store(move |store| {
                    // The epoch holds for every stream; confirmations hold for one.
                    let here = if store.stream() == stream { confirmed.clone() } else { store.lanes().confirmed() };
                    store.rewind(epoch, &here)
                })
                .await;
            }
            StoreRequest::Command(StoreCommand::Quarantine { stream, rows }) => {
                self.update_store(move |store| if store.stream() == stream { store.quarantine(&rows) } else { Ok(()) })
                    .await;
            }
            StoreRequest::NewStream { reason, answer } => {
                let why = reason.clone();
                let outbox = begin_stream(&self.store, move |store| store.new_stream(&why)).await;
                info!(target: "sync", "continuing under the new stream {}: {reason}", outbox.stream);
                self.stream = outbox.stream;
                let _ = answer.send(outbox.clone());
                // Once more behind what `follow_stream` may have sent before: the driver takes the answer first.
                let _ = self.inputs.send(SyncInput::Stream(outbox)).await;
                // The hub forgets boots and alerts of the old stream: they are stated again.
                let _ = self.to_decide.send(DecideRequest::NewStream).await;
                self.report_lost_history().await;
            }
        }
    }

    /// Reports that history may be lost, since the hub has rows of this device that this database lacks. Where the whole data folder is
    /// an older copy this is the only sign.
    async fn report_lost_history(&self) {
        let reason = "the hub has rows of this device that are not here, so the data folder is an older copy or has lost its newest rows, or two agents use this key";
        let (from, until, amount) = (None, None, LossAmount::PerhapsPart);
        let lost = LostHistory { reason: reason.to_owned(), from, until, amount };
        self.health.say_lost(&lost, self.clock.now().1, &self.config.local());
        let _ = self.to_decide.send(DecideRequest::LostHistory(Box::new(lost))).await;
    }

    /// Changes the store by what the hub stated; if that fails, the hub states it again.
    async fn update_store(&self, what: impl Fn(&mut Store) -> Result<(), StoreError> + Clone + Send + 'static) {
        if let Some(Err(why)) = on_store_thread(&self.store, what).await {
            warn!(target: "sync", "the store could not note what the hub confirmed: {why}; the hub will state it again");
        }
    }

    async fn fetch(&self, request: RowsRequest) -> Result<Rows, String> {
        let (id, live) = (request.id, request.live);
        let read = self.store.read(move |reader, until| rows(reader, &request, until)).await;
        let (stream, lanes) = read.map_err(|error| error.to_string())?;
        let live = if live { self.live().await } else { Vec::new() };
        Ok(Rows { id, stream, lanes, live })
    }

    async fn live(&self) -> Vec<Live> {
        let (answer, answered) = oneshot::channel();
        let query = DecideRequest::Query(Box::new(move |engine, _| {
            let _ = answer.send(newest(engine));
        }));
        if self.to_decide.try_send(query).is_err() {
            return Vec::new();
        }
        timeout(LIVE_TIMEOUT, answered).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// The store began a stream by itself: its database is a new one.
    async fn follow_stream(&mut self) {
        if self.heads.borrow_and_update().stream == self.stream {
            return;
        }
        let outbox = outbox(&self.store).await;
        if outbox.stream != self.stream {
            self.stream = outbox.stream;
            let _ = self.inputs.send(SyncInput::Stream(outbox)).await;
        }
    }
}

/// Answer of the store's thread; waits while its queue is full. `None` where it has no database.
async fn on_store_thread<T: Send + 'static>(
    store: &StoreHandle,
    work: impl Fn(&mut Store) -> T + Clone + Send + 'static,
) -> Option<T> {
    loop {
        let (answer, answered) = oneshot::channel();
        let work = work.clone();
        let queued = store.change(move |store| {
            let _ = answer.send(work(store));
        });
        if queued.is_ok() {
            return answered.await.ok();
        }
        sleep(RETRY_FULL).await;
    }
}

/// Stream and sequences of the store, as soon as it has a database.
pub(super) async fn outbox(store: &StoreHandle) -> Outbox {
    loop {
        if let Some(outbox) = on_store_thread(store, |store| outbox_of(store)).await {
            return outbox;
        }
        sleep(RETRY_STREAM).await;
    }
}

/// Stream and sequences once the store has begun another stream; waits until it can.
async fn begin_stream(
    store: &StoreHandle,
    begin: impl Fn(&mut Store) -> Result<Stream, StoreError> + Clone + Send + 'static,
) -> Outbox {
    loop {
        let begin = begin.clone();
        match on_store_thread(store, move |store| begin(store).map(|_| outbox_of(store))).await {
            Some(Ok(outbox)) => return outbox,
            Some(Err(why)) => warn!(target: "sync", "new stream not begun: {why}; will retry"),
            None => {}
        }
        sleep(RETRY_STREAM).await;
    }
}

/// As [`outbox`], after the store has withheld what it holds from a new owner. What is true now, such as open alerts, is stated to them.
pub(super) async fn withhold(
    store: &StoreHandle,
    to_decide: &mpsc::Sender<DecideRequest>,
    data: &Path,
    mut owner: HistoryOwner,
) -> Outbox {
    let outbox = begin_stream(store, Store::withhold).await;
    info!(target: "sync", "what was recorded before stays on this device; {owner} gets what follows");
    let _ = to_decide.send(DecideRequest::NewStream).await;
    owner.withholds = false;
    let data = data.to_owned();
    let written = blocking(move || owner.write(&data)).await;
    if let Err(why) = written.and_then(|written| Ok(written?)) {
        warn!(target: "sync", "{}: {why}; what is not confirmed at the next start is withheld as well", owner::NAME);
    }
    outbox
}

fn outbox_of(store: &Store) -> Outbox {
    let states = store.lanes();
    let state = |lane| {
        let of = states.of(lane);
        (lane, LaneState { confirmed: of.confirmed, head: of.committed })
    };
    Outbox { stream: store.stream(), epoch: store.epoch(), lanes: Lane::ALL.map(state).into() }
}

fn rows(reader: &StoreReader, request: &RowsRequest, until: Instant) -> Result<(Stream, Lanes), StoreError> {
    let mut lanes = Lanes::default();
    for wanted in &request.lanes {
        let range = wanted.first..=wanted.last;
        let limit = Limit { rows: wanted.max_rows, bytes: wanted.max_bytes, until: Some(until) };
        match wanted.lane {
            Lane::Events => lanes.events = reader.events(Lane::Events, range, limit)?,
            Lane::Diagnostics => lanes.diagnostics = reader.events(Lane::Diagnostics, range, limit)?,
            Lane::Windows => lanes.windows = reader.windows(range, limit)?,
        }
    }
    Ok((reader.stream()?, lanes))
}

fn newest(engine: &Engine) -> Vec<Live> {
    let live = |view: tilth_core::engine::SensorView| {
        let sensor = engine.plan().sensor(view.sensor);
        let ((value, at), quality) = view.newest.zip(view.quality)?;
        Some(Live { sensor: sensor.id.clone(), quantity: sensor.quantity, at, value: value.to_f64(), quality })
    };
    engine.sensors().filter_map(live).take(MAX_LIVE).collect()
}
