//! Bundles in every state that the wire, the disk and a mistaken hub can bring.

mod checks;
mod disk;
mod probation;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tilth_config::bundle::{Draft, SigningKey, seal};
use tilth_config::{AgentToml, BusKind, Files, Hub};
use tilth_core::engine::{Engine, Input, Start};
use tilth_core::id::Id;
use tilth_core::local::Local;
use tilth_core::plan::Plan;
use tilth_core::reading::{Quality, Raw};
use tilth_core::time::WallTime;
use tokio::sync::mpsc;

use super::super::bundle_files::ACTIVE;
use super::super::last_good::LastGoodWriter;
use super::super::reporter::ConfigReporter;
use super::super::status::ConfigStatus;
use super::super::{Configuration, FileChanges, Retry};
use super::*;
use crate::clock::Clock;
use crate::decide::{DecideRequest, DecideState};
use crate::health::TaskHealth;
use crate::sense::bus::HealthHandle;
use crate::sense::bus::health::State;
use crate::sense::{Bus, SensorInputs};

struct Bench {
    folder: PathBuf,
    key: SigningKey,
    status: ConfigStatus,
    /// What the hub was told last.
    held: NewestBundle,
    bundles: mpsc::Sender<Received>,
    requests: mpsc::Receiver<DecideRequest>,
    inputs: mpsc::Receiver<SensorInputs>,
    retries: mpsc::Sender<Retry>,
    /// What decides, once there is something to decide by.
    engine: Option<Engine>,
    clock: Clock,
    /// The bus of the sensors.
    bus: HealthHandle,
    /// Whether its board still has what the bundle names.
    has_sensor: bool,
    /// Whether the next bundle names it otherwise.
    silences: bool,
    /// What the hub is told of changed files.
    diagnostics: Vec<Value>,
    /// Changes of files.
    changes: mpsc::Sender<std::time::Instant>,
    task: tokio::task::JoinHandle<()>,
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("tilth-bundles-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    // The folder may be left from a test that failed, in a process of the same number.
    let _ = fs::remove_dir_all(&folder);
    configure(&folder);
    folder
}

fn configure(folder: &Path) {
    fs::create_dir_all(folder.join("config.d")).unwrap();
    fs::write(folder.join("config.d/site.toml"), "").unwrap();
    let agent_toml = "[device]\nid = 'pi'\nclient = 'acme'\n[bus.gateway]\nkind = 'line'\nport = 'p'\n";
    fs::write(folder.join("agent.toml"), agent_toml).unwrap();
}

fn files_in(folder: &Path) -> Compiled {
    Compiled::of(tilth_config::load(folder, tilth_config::Purpose::Run).watching_nothing(), Files::of).unwrap()
}

/// An agent that holds what is in this folder.
fn bench(folder: PathBuf) -> Bench {
    let files = BundleFiles::new(&folder);
    let mut state = files.state().unwrap();
    files.resume_probation(&mut state);
    bench_of(folder, Some(state))
}

/// An agent that remembers this of bundles before.
fn bench_of(folder: PathBuf, state: Option<BundleState>) -> Bench {
    let key = SigningKey::from_seed(&[7; 32]);
    let hub = Hub {
        url: "http://127.0.0.1:1".to_owned(),
        ca: None,
        signing_key: "hub.pub".to_owned(),
        key_file: "device.key".to_owned(),
    };
    let enrolment =
        Enrolment { tenant: id("acme"), device: id("pi"), hub, folder: folder.clone(), data: folder.clone() };
    let files = BundleFiles::new(&folder);
    let good = files.verified(ACTIVE, key.trusted(), &enrolment).unwrap();
    let bundle = good.map(Arc::new);
    // A probation takes a few seconds.
    let clock = Clock::new(ClockMode::Scaled(20));
    let status = ConfigStatus::new(clock.clone(), "none".to_owned(), Local::UTC);
    let (bus, health) = (HealthHandle::default(), TaskHealth::new(clock.clone()));
    bus.lock().state = State::Up;
    health.posted().buses = vec![Bus {
        id: id("gateway"),
        kind: BusKind::Line,
        port: "p".to_owned(),
        health: bus.clone(),
        calibrations: None,
    }];
    if let Some(bundle) = &bundle {
        status.update_bundle(|status| status.set_active(bundle));
    }
    let (to_decide, requests) = mpsc::channel(64);
    let (to_senses, inputs) = mpsc::channel(64);
    let (bundles, received) = mpsc::channel(64);
    let (changed, changes) = mpsc::channel(1);
    // No folder, for its task may still write when a test removes that.
    let last_good = LastGoodWriter::start(&folder.join("nowhere"));
    let at_start = AgentToml::default();
    let reporter = ConfigReporter { status: status.clone(), last_good, at_start, inventory: None };
    let applier = Applier::begin(&files_in(&folder), bundle, reporter, (to_decide, to_senses), health);
    let held = state.clone().unwrap_or_default().newest_bundle(applier.active());
    let configuration = Configuration {
        applier,
        files: FileChanges::new(folder.clone()),
        bundles: Some(Bundles::new(enrolment, ClockMode::System, state)),
        changes,
    };
    let (retries, retried) = mpsc::channel(1);
    let task = tokio::spawn(configuration.run(received, retried));
    let (engine, has_sensor, silences) = (None, true, false);
    Bench {
        folder,
        key,
        status,
        held,
        bundles,
        requests,
        inputs,
        retries,
        engine,
        clock,
        bus,
        has_sensor,
        silences,
        diagnostics: Vec::new(),
        changes: changed,
        task,
    }
}

impl Bench {
    fn seal(&self, version: u64, above: &str) -> Vec<u8> {
        sealed(&self.key, "pi", version, above)
    }

    /// Ends as a process does.
    async fn end(&mut self) {
        self.task.abort();
        if !self.task.is_finished() {
            let _ = (&mut self.task).await;
        }
    }

    /// Ends as a process does, and starts again.
    async fn again(mut self) -> Bench {
        self.end().await;
        bench(self.folder.clone())
    }

    async fn send(&self, bytes: &[u8]) -> oneshot::Receiver<Option<NewestBundle>> {
        let (answer, answered) = oneshot::channel();
        let received = Received { bytes: bytes.to_vec(), key: *self.key.trusted(), answer };
        assert!(self.bundles.send(received).await.is_ok());
        answered
    }

    /// What becomes of a bundle: `outcome version: reason`; nothing where nothing is said of it. And whether a plan came.
    async fn take(&mut self, bytes: &[u8]) -> (Option<String>, bool) {
        let (said, planned, held) = self.hear(bytes).await;
        self.held = held.unwrap_or(self.held.clone());
        (said, planned)
    }

    /// The same, and what the hub is told.
    async fn hear(&mut self, bytes: &[u8]) -> (Option<String>, bool, Option<NewestBundle>) {
        let mut answered = self.send(bytes).await;
        let (mut said, mut planned) = (None, false);
        loop {
            let request = tokio::select! {
                biased;
                request = self.requests.recv() => request.unwrap(),
                // The answer comes after all that is said.
                held = &mut answered => return (said, planned, held.unwrap()),
            };
            planned |= matches!(request, DecideRequest::Plan(..));
            said = self.obey(request).or(said);
        }
    }

    /// Does what decide does; gives what the hub is told of a bundle.
    fn obey(&mut self, request: DecideRequest) -> Option<String> {
        match request {
            DecideRequest::Plan(configured) => self.plan(configured.plan),
            DecideRequest::Barrier(done) => done.send(()).unwrap(),
            DecideRequest::Query(look) => {
                self.read();
                let beside = DecideState::default();
                // Before anything is decided nothing can be seen.
                if let Some(engine) = &self.engine {
                    look(engine, &beside);
                }
            }
            DecideRequest::StoreEvent("bundle", body) => {
                assert!(body["hash"].as_str().is_some_and(|hash| hash.len() == 64), "{body:?}");
                let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
                return Some(format!("{} {}: {}", text("outcome"), body["version"], text("reason")));
            }
            DecideRequest::StoreDiagnostic("configuration", body) => self.diagnostics.push(body),
            _ => panic!("another command"),
        }
        None
    }

    fn plan(&mut self, plan: Arc<Plan>) {
        let at = self.clock.uptime();
        self.has_sensor &= !self.silences;
        match &mut self.engine {
            Some(engine) => engine.handle(at, Input::Plan(plan)),
            None => self.engine = Some(Engine::new(plan, Start { boot: 1, at, wall: None })),
        }
    }

    /// The board says something; its sensor is read where the bundle names it as the board does.
    fn read(&mut self) {
        let at = self.clock.uptime();
        self.bus.lock().bytes += 10;
        let Some(engine) = self.engine.as_mut().filter(|_| self.has_sensor) else { return };
        let Some(sensor) = engine.plan().sensor_ix("room/temp") else { return };
        engine.handle(at, Input::Reading(Raw { sensor, at, value: 21.0, quality: Quality::Good }));
    }

    /// What is said of a bundle next.
    async fn said(&mut self) -> String {
        loop {
            let request = self.requests.recv().await.unwrap();
            if let Some(said) = self.obey(request) {
                return said;
            }
        }
    }

    /// A person changes `agent.toml`.
    async fn edit(&mut self, from: &str, to: &str) {
        let path = self.folder.join("agent.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
        self.changes.send(std::time::Instant::now()).await.unwrap();
    }

    /// Goes on until this holds.
    async fn until(&mut self, holds: impl Fn(&Bench) -> bool) {
        while !holds(self) {
            tokio::select! {
                request = self.requests.recv() => assert_eq!(self.obey(request.unwrap()), None),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    /// Goes on until no bundle is on probation any more, as far as the disk knows.
    async fn settles(&mut self) {
        self.until(|bench| bench.state().get("probation").is_none()).await;
    }

    /// A person says retry.
    async fn retry(&mut self) -> Result<u64, String> {
        let (answer, mut answered) = oneshot::channel();
        self.retries.send(answer).await.unwrap();
        loop {
            tokio::select! {
                biased;
                request = self.requests.recv() => drop(self.obey(request.unwrap())),
                answer = &mut answered => return answer.unwrap(),
            }
        }
    }

    fn good(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join("bundle.good")).ok()
    }

    /// The disk fails it more often than a bundle may be tried; what runs stays, and this is why.
    async fn waits(&mut self, bytes: &[u8], why: &str) {
        let good = self.good();
        for _ in 0..=MAX_ATTEMPTS + 1 {
            let held = NewestBundle { etag: None, ..self.held.clone() };
            assert_eq!(self.hear(bytes).await, (None, false, Some(held)), "so that it comes again");
        }
        let shown = self.shown();
        assert!(shown["pending_reason"].as_str().is_some_and(|said| said.contains(why)), "{shown}");
        assert_eq!((&shown["rejected"], self.good()), (&Value::Null, good));
    }

    fn state(&self) -> Value {
        let file: Value = serde_json::from_slice(&fs::read(self.folder.join("bundle.state")).unwrap()).unwrap();
        file["content"].clone()
    }

    /// Status of bundles, under the keys of `tilth-agent status`.
    fn shown(&self) -> Value {
        json!(self.status.shown().bundle)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn sealed(key: &SigningKey, device: &str, version: u64, above: &str) -> Vec<u8> {
    let content = json!({
        "sensors": { "room/temp": { "quantity": "temperature", "input": "line:gateway/temp", "interval": "2500ms" } },
        "rules": { "hot": { "sensor": "room/temp", "above": above.parse::<f64>().map_or(json!(above), |n| json!(n)) } },
    });
    let (client, device) = (id("acme"), id(device));
    let draft =
        Draft { version, client: &client, device: &device, issued: WallTime(1_770_000_000_000), content: &content };
    seal(&draft, key)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}
