//! Start of the tasks: the configuration and the store first, then the tasks that work by them.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tilth_core::id::Id;
use tilth_core::interlock;
use tilth_notify::secret::Secrets;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::configured;
use super::opened::{self, OpenStore};
use super::systemd::{Notifier, Reporter};
use super::tasks::Tasks;
use crate::act::Outputs;
use crate::api::socket::{self, NotTaken, Taken};
use crate::api::{self, ApiState, Limits};
use crate::cli;
use crate::clock::{Clock, ClockMode};
use crate::configuration::{ConfigStatus, Configuration, Enrolment, Received, Retry, Startup};
use crate::console::counted;
use crate::decide::{self, DecideRequest, Handles, LiveLine, RestoredState, StoreReplaced};
use crate::health::TaskHealth;
use crate::notify;
use crate::notify::to_decide::FromChannels;
use crate::random::RunId;
use crate::recording::Recording;
use crate::sense::host::Machine;
use crate::sense::queue::{Queue, SenseMessage};
use crate::sense::released::Ports;
use crate::sense::{BusTasks, RestoredBuses};
use crate::store::thread::StoreWriter;
use crate::sync;
use crate::sync::status::{SyncSnapshot, SyncStatus};

/// Longest wait for disks at the start, all in all: more than a card takes to recover a long log. A farm that is not watched for longer is
/// worse than alerts that lose their state.
const DISKS: Duration = Duration::from_secs(30);

/// Most requests to decide that wait; people are slower than that.
const REQUESTS: usize = 256;

/// Handles that most tasks share.
struct Shared<'a> {
    args: &'a cli::Run,
    device: Id,
    clock: Clock,
    to_decide: mpsc::Sender<DecideRequest>,
    outputs: Outputs,
    ports: Ports,
    queue: Queue,
    config: ConfigStatus,
    health: TaskHealth,
    sync: SyncStatus,
    live: broadcast::Sender<Arc<LiveLine>>,
}

impl Tasks {
    /// Starts all tasks; none where the configuration is rejected, which the log says. Takes the control socket first: another agent
    /// there is an error.
    pub(super) async fn start(args: &cli::Run, clock: Clock) -> anyhow::Result<Option<Tasks>> {
        let (notifier, until) = (notifier().map(Arc::new), Instant::now() + DISKS);
        // Before the first wait for a disk.
        notifier.iter().for_each(|notifier| notifier.ready("starting: reading the configuration"));
        if clock.mode() != ClockMode::System {
            warn!("the clock is {}: for the demo and tests", clock.mode());
        }
        let socket = take_socket(args, until).await?;
        let Some(startup) = configured::read(args, &clock, until).await? else { return Ok(None) };
        let (to_decide, requests) = mpsc::channel(REQUESTS);
        let enrolment = startup.enrolment.clone();
        let (outputs, switched) = Outputs::new();
        let shared = Shared::new(args, &startup, clock, to_decide, outputs);
        let recording = shared.recording(until).await?;
        let store = shared.open_store((startup.has_run, startup.enrolment.is_some()), until).await?;
        info!("watching {} as {}", counted(startup.compiled.input_settings.len() as u64, "sensor"), shared.device);
        let (changed_inputs, inputs) = mpsc::channel(1);
        let folders = (args.config.folder.as_path(), args.data.as_path());
        let to = (shared.to_decide.clone(), changed_inputs);
        let begun = Configuration::begin(startup, folders, shared.config.clone(), shared.health.clone(), to).await;
        let (configuration, configured, first_inputs) = begun.context("threads of the configuration")?;
        let (bundles, received) = mpsc::channel(1);
        let (retries, retried) = mpsc::channel(1);
        let (notify, notices) = mpsc::channel(notify::REQUESTS);
        let (deliver, deliveries) = mpsc::channel(REQUESTS);
        let secrets = Secrets::of(&args.config.folder);
        let (by_channels, from_channels) = notify::to_decide::channel();
        let notifying = tokio::spawn(notify::run(
            (secrets, args.data.clone()),
            shared.clock.clone(),
            shared.ports.clone(),
            notices,
            deliver,
            by_channels,
        ));
        let syncing = enrolment.map(|enrolment| {
            let parts = shared.sync_parts(enrolment, &configuration, bundles, &store);
            tokio::spawn(sync::run(parts))
        });
        let mut serving = JoinSet::new();
        if let Some(socket) = socket {
            serving.spawn(api::connections::run(socket, Arc::new(shared.api_state(&notify, &store, retries))));
        }
        let senses = shared.senses(&store.restored);
        let reporting = notifier.clone().map(|notifier| tokio::spawn(shared.reporter(notifier).run()));
        let OpenStore { mut restored, store_writer, handle, replaced, thread, .. } = store;
        if let Some(said) = opened::unknown_totals(&restored, &configured.plan) {
            warn!(target: "store", "{said}");
            shared.health.history_lost(said.clone());
            restored.remarks.push(said);
        }
        let progress = store_writer.progress();
        let handles = shared.handles(store_writer, replaced, notify, switched, recording);
        let deciding = tokio::spawn(decide_from_the_first(
            shared.queue.clone(),
            shared.clock.clone(),
            requests,
            (deliveries, from_channels),
            move || decide::begin(restored, configured, handles),
        ));
        let mut tasks = Tasks {
            senses,
            inputs,
            health: shared.health,
            clock: shared.clock,
            progress,
            to_decide: shared.to_decide,
            outputs: shared.outputs,
            configuring: tokio::spawn(configuration.run(received, retried)),
            deciding,
            notifying,
            syncing,
            api: serving,
            notifier,
            reporting,
            store: handle,
            storing: thread,
        };
        tasks.read(first_inputs);
        Ok(Some(tasks))
    }
}

impl<'a> Shared<'a> {
    fn new(
        args: &'a cli::Run,
        startup: &Startup,
        clock: Clock,
        to_decide: mpsc::Sender<DecideRequest>,
        outputs: Outputs,
    ) -> Shared<'a> {
        let (device, configured) = (&startup.compiled.device, &startup.compiled.configured);
        let plan = &configured.plan;
        let hub = startup.enrolment.as_ref().map(|enrolment| &enrolment.hub);
        Shared {
            args,
            device: device.clone(),
            outputs,
            ports: Ports::default(),
            to_decide,
            queue: Queue::new(plan.sensors().len()),
            config: ConfigStatus::new(clock.clone(), configured.hash.clone(), plan.local().clone()),
            health: TaskHealth::new(clock.clone()),
            sync: SyncStatus::new(SyncSnapshot { hub: hub.map(|hub| hub.url.clone()), ..SyncSnapshot::default() }),
            live: broadcast::channel(decide::LIVE).0,
            clock,
        }
    }

    /// Opens the recording that is asked for; none where its disk does not answer, which stops no watching.
    async fn recording(&self, until: Instant) -> anyhow::Result<Option<Recording>> {
        let Some(path) = self.args.record.clone() else { return Ok(None) };
        let name = path.display().to_string();
        let Ok(opened) = timeout_at(until, spawn_blocking(move || Recording::open(&path))).await else {
            warn!("recording unavailable: {name} does not answer; monitoring continues without a recording");
            return Ok(None);
        };
        Ok(Some(opened?.context(name)?))
    }

    async fn open_store(&self, has: (bool, bool), until: Instant) -> anyhow::Result<OpenStore> {
        let (health, config) = (self.health.clone(), self.config.clone());
        opened::open(&self.args.data, &self.clock, health, config, has, self.to_decide.clone(), until).await
    }

    fn senses(&self, restored: &RestoredState) -> BusTasks {
        let machine = Machine { root: PathBuf::from("/"), disk: self.args.data.clone() };
        let mut before = RestoredBuses { positions: restored.positions.clone(), ..RestoredBuses::default() };
        if let Some(kept) = &restored.checkpoint {
            (before.label_matches, before.board_of_bus) = ((*kept.label_matches).clone(), (*kept.board_of_bus).clone());
        }
        let (outputs, ports) = (self.outputs.clone(), self.ports.clone());
        BusTasks::new(self.clock.clone(), self.queue.clone(), outputs, ports, machine, before)
    }

    fn sync_parts(
        &self,
        enrolment: Enrolment,
        configuration: &Configuration,
        bundles: mpsc::Sender<Received>,
        store: &OpenStore,
    ) -> sync::Parts {
        sync::Parts {
            enrolment,
            clock: self.clock.clone(),
            store: store.handle.clone(),
            heads: store.heads.clone(),
            to_decide: self.to_decide.clone(),
            newest_bundle: configuration.newest_bundle(),
            bundles,
            config: self.config.clone(),
            health: self.health.clone(),
            status: self.sync.clone(),
        }
    }

    fn reporter(&self, notifier: Arc<Notifier>) -> Reporter {
        let (clock, config, health) = (self.clock.clone(), self.config.clone(), self.health.clone());
        Reporter { notifier, health, clock, config, to_decide: self.to_decide.clone() }
    }

    fn api_state(
        &self,
        notify: &mpsc::Sender<notify::NotifyRequest>,
        store: &OpenStore,
        retries: mpsc::Sender<Retry>,
    ) -> ApiState {
        ApiState {
            device: self.device.clone(),
            boot: store.restored.boot,
            clock: self.clock.clone(),
            started: std::time::Instant::now(),
            config: self.config.clone(),
            health: self.health.clone(),
            to_decide: self.to_decide.clone(),
            retries,
            ports: self.ports.clone(),
            notify: notify.downgrade(),
            live: self.live.clone(),
            store: store.handle.clone(),
            database: opened::database(&self.args.data),
            policy: opened::DEFAULT_POLICY,
            sync: self.sync.clone(),
            limits: Limits::new(std::time::Instant::now()),
        }
    }

    fn handles(
        &self,
        store_writer: StoreWriter,
        replaced: watch::Receiver<StoreReplaced>,
        notify: mpsc::Sender<notify::NotifyRequest>,
        outcomes: mpsc::Receiver<interlock::ActuatorInput>,
        recording: Option<Recording>,
    ) -> Handles {
        let (device, clock, live) = (self.device.clone(), self.clock.clone(), self.live.clone());
        let (run, outputs) = (RunId::random(), (self.outputs.clone(), outcomes));
        Handles { device, run, clock, store_writer, outputs, replaced, notify, live, recording }
    }
}

/// Notifier of the service manager; none where the agent was started otherwise.
fn notifier() -> Option<Notifier> {
    Notifier::from_environment().unwrap_or_else(|error| {
        warn!("NOTIFY_SOCKET: {error}; systemd will not learn the state of the agent");
        None
    })
}

/// Takes the control socket; none where that fails, and the agent runs without it. Another agent there is an error.
async fn take_socket(args: &cli::Run, until: Instant) -> anyhow::Result<Option<Taken>> {
    let path = socket::of(args.socket.as_deref(), &args.data);
    let hangs = NotTaken::Failed(path.display().to_string(), ErrorKind::TimedOut.into());
    let taking = timeout_at(until, spawn_blocking(move || socket::take(&path))).await;
    match taking.map_or(Ok(Err(hangs)), |taken| taken)? {
        Ok(taken) => Ok(Some(taken)),
        Err(lives @ NotTaken::Lives(_)) => Err(lives.into()),
        Err(failed @ NotTaken::Failed(..)) => {
            warn!("control socket unavailable: {failed}; `tilth-agent status` will not work, monitoring continues");
            Ok(None)
        }
    }
}

/// Runs decide. On the event-time clock there is no time before the first stamp, so the engine starts with it; else at once.
async fn decide_from_the_first(
    queue: Queue,
    clock: Clock,
    mut requests: mpsc::Receiver<DecideRequest>,
    (deliveries, from_channels): (mpsc::Receiver<notify::Delivery>, FromChannels),
    begin: impl FnOnce() -> decide::Decide,
) {
    let (mut first, mut early) = (Vec::new(), Vec::new());
    while clock.mode() == ClockMode::EventTime && clock.now().1.is_none() {
        tokio::select! {
            message = queue.next() => {
                match &message {
                    SenseMessage::Bus { bus, .. } => first.retain(
                        |earlier| !matches!(earlier, SenseMessage::Bus { bus: of, .. } if of == bus),
                    ),
                    SenseMessage::Unmatched { .. } => continue,
                    SenseMessage::Missing { .. }
                    | SenseMessage::Labels { .. }
                    | SenseMessage::Board { .. }
                    | SenseMessage::BoardValues { .. } => {}
                    SenseMessage::Value(value) => match value.stamp {
                        Some(stamp) => clock.observe(stamp),
                        None => continue,
                    },
                }
                first.push(message);
            }
            request = requests.recv() => match request {
                Some(DecideRequest::Stop(done)) => {
                    let _ = done.send(());
                    return;
                }
                Some(DecideRequest::Ping(done)) => drop(done.send(())),
                // Dropping the request answers that there is no engine yet; others are kept.
                Some(request) if request.asks_engine() => {}
                Some(request) => early.push(request),
                None => return,
            }
        }
    }
    begin().run(early, first, queue, requests, deliveries, from_channels).await;
}
