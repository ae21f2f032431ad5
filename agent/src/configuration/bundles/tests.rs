//! Bundles in every state that the wire, the disk and a mistaken hub can bring.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tilth_config::bundle::{Draft, SigningKey, seal};
use tilth_config::{Files, Hub};
use tilth_core::engine::{Engine, Input, Start};
use tilth_core::id::Id;
use tilth_core::local::Local;
use tilth_core::plan::Plan;
use tilth_core::reading::{Quality, Raw};
use tilth_core::time::WallTime;
use tokio::sync::mpsc;

use super::super::active::ActiveConfig;
use super::super::last_good::LastGoodWriter;
use super::super::probation::SensorConfig;
use super::super::reporter::ConfigReporter;
use super::super::status::ConfigStatus;
use super::super::{Configuration, FileChanges, Retry};
use super::*;
use crate::checkpoint::AcknowledgedBy;
use crate::clock::Clock;
use crate::decide::{Command, EngineContext, Faults, ReadingCounts};
use crate::health::{Bus, SharedMarks};
use crate::sense::Sources;
use crate::sense::bus::HealthHandle;
use crate::sense::bus::health::State;

struct Bench {
    folder: PathBuf,
    key: SigningKey,
    status: ConfigStatus,
    /// What the hub was told last.
    holding: Holding,
    bundles: mpsc::Sender<Received>,
    commands: mpsc::Receiver<Command>,
    sources: mpsc::Receiver<Sources>,
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
    /// Kept open: changes of files come through here, and these tests change none.
    _changes: mpsc::Sender<std::time::Instant>,
    task: tokio::task::JoinHandle<()>,
}

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("tilth-bundles-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    configure(&folder);
    folder
}

fn configure(folder: &Path) {
    fs::create_dir_all(folder.join("config.d")).unwrap();
    fs::write(folder.join("config.d/site.toml"), "").unwrap();
    let site = "[device]\nid = 'pi'\nclient = 'acme'\n[bus.gateway]\nkind = 'line'\nport = 'p'\n";
    fs::write(folder.join("agent.toml"), site).unwrap();
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
        Enrolment { client: id("acme"), device: id("pi"), hub, folder: folder.clone(), data: folder.clone() };
    let files = BundleFiles::new(&folder);
    let good = files.verified(key.trusted(), &enrolment).unwrap();
    let plan = Arc::new(Plan::new(Vec::new(), Vec::new()).unwrap());
    let sensors = SensorConfig { plan: Arc::clone(&plan), feeds: Arc::default() };
    let mut active = ActiveConfig::new(good.map(Arc::new), "none".to_owned(), sensors);
    state.iter().for_each(|state| active.recall(state));
    let holding = active.holding();
    // A probation takes a few seconds.
    let clock = Clock::new(Source::Scaled(20));
    let status = ConfigStatus::new(clock.clone(), "none".to_owned(), Local::UTC);
    let (bus, health) = (HealthHandle::default(), SharedMarks::new(clock.clone()));
    bus.lock().state = State::Up;
    health.buses(vec![Bus { id: id("gateway"), port: "p".to_owned(), health: bus.clone() }]);
    if let Some(bundle) = &active.bundle {
        status.bundle(|status| status.follows(bundle.as_ref().into(), Vec::new()));
    }
    let (to_decide, commands) = mpsc::channel(64);
    let (to_senses, sources) = mpsc::channel(64);
    let (bundles, received) = mpsc::channel(64);
    let (changed, changes) = mpsc::channel(1);
    // No folder, for its thread may still write when a test removes that.
    let last_good = LastGoodWriter::start(&folder.join("nowhere")).unwrap();
    let reporter = ConfigReporter::new(status.clone(), last_good);
    let configuration = Configuration {
        applier: Applier {
            active,
            reporter,
            commands: to_decide,
            sources: to_senses,
            clock: clock.clone(),
            health,
            probation: None,
        },
        files: FileChanges::new(folder.clone(), Files::default(), plan),
        bundles: Some(BundleTrials::new(enrolment, Source::System, state)),
        changes,
    };
    let (retries, retried) = mpsc::channel(1);
    let task = tokio::spawn(configuration.run(received, retried));
    let (engine, has_sensor, silences) = (None, true, false);
    Bench {
        folder,
        key,
        status,
        holding,
        bundles,
        commands,
        sources,
        retries,
        engine,
        clock,
        bus,
        has_sensor,
        silences,
        _changes: changed,
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

    /// Ends as a process does, and begins anew.
    async fn again(mut self) -> Bench {
        self.end().await;
        bench(self.folder.clone())
    }

    async fn send(&self, bytes: &[u8]) -> oneshot::Receiver<Option<Holding>> {
        let (answer, answered) = oneshot::channel();
        let received = Received { bytes: bytes.to_vec(), key: *self.key.trusted(), answer };
        assert!(self.bundles.send(received).await.is_ok());
        answered
    }

    /// What becomes of a bundle: `outcome version: reason`; nothing where nothing is said of it. And whether a plan came.
    async fn take(&mut self, bytes: &[u8]) -> (Option<String>, bool) {
        let (said, planned, holding) = self.hear(bytes).await;
        self.holding = holding.unwrap_or(self.holding.clone());
        (said, planned)
    }

    /// The same, and what the hub is told.
    async fn hear(&mut self, bytes: &[u8]) -> (Option<String>, bool, Option<Holding>) {
        let mut answered = self.send(bytes).await;
        let (mut said, mut planned) = (None, false);
        loop {
            let command = tokio::select! {
                biased;
                command = self.commands.recv() => command.unwrap(),
                // The answer comes after all that is said.
                holding = &mut answered => return (said, planned, holding.unwrap()),
            };
            planned |= matches!(command, Command::Plan(..));
            said = self.obey(command).or(said);
        }
    }

    /// Does what decide does; gives what the hub is told of a bundle.
    fn obey(&mut self, command: Command) -> Option<String> {
        match command {
            Command::Plan(configured) => self.plan(configured.plan),
            Command::Barrier(done) => done.send(()).unwrap(),
            Command::Query(look) => {
                self.read();
                let beside = EngineContext {
                    readings: &ReadingCounts::default(),
                    lost_notifications: 0,
                    acknowledged_by: &AcknowledgedBy::default(),
                    faults: &Faults::default(),
                    unread: &Default::default(),
                    buses: &Default::default(),
                    absent: &Default::default(),
                };
                // Before anything is decided nothing can be seen.
                if let Some(engine) = &self.engine {
                    look(engine, &beside);
                }
            }
            Command::Happened("bundle", body) => {
                assert!(body["hash"].as_str().is_some_and(|hash| hash.len() == 64), "{body:?}");
                let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
                return Some(format!("{} {}: {}", text("outcome"), body["version"], text("reason")));
            }
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
            let command = self.commands.recv().await.unwrap();
            if let Some(said) = self.obey(command) {
                return said;
            }
        }
    }

    /// Goes on until no bundle is on probation any more, as far as the disk knows.
    async fn settles(&mut self) {
        while self.state().get("probation").is_some() {
            tokio::select! {
                command = self.commands.recv() => assert_eq!(self.obey(command.unwrap()), None),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    /// A person says retry.
    async fn retry(&mut self) -> Result<u64, String> {
        let (answer, mut answered) = oneshot::channel();
        self.retries.send(answer).await.unwrap();
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => drop(self.obey(command.unwrap())),
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
        for _ in 0..=TRIES + 1 {
            let holding = Holding { etag: None, ..self.holding.clone() };
            assert_eq!(self.hear(bytes).await, (None, false, Some(holding)), "so that it comes again");
        }
        let shown = self.shown();
        assert!(shown["waits"].as_str().is_some_and(|said| said.contains(why)), "{shown}");
        assert_eq!((&shown["refused"], self.good()), (&Value::Null, good));
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.join("bundle.state")).unwrap()).unwrap()
    }

    fn shown(&self) -> Value {
        serde_json::to_value(self.status.shown().bundle).unwrap()
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

/// The bundle may be what mends it; what is wrong on site must not have it refused for good.
#[test]
fn a_bundle_goes_with_the_agent_toml_of_before_where_that_is_broken_now() {
    run(async {
        let mut bench = bench(folder());
        let (five, six) = (bench.seal(5, "30"), bench.seal(6, "31"));
        let site = fs::read_to_string(bench.folder.join("agent.toml")).unwrap();
        fs::write(bench.folder.join("agent.toml"), site.replace("port", "prot")).unwrap();
        let (said, planned) = bench.take(&five).await;
        assert!(said.is_some_and(|said| said.contains("bus.gateway.prot")) && !planned, "nothing was in force before");

        fs::write(bench.folder.join("agent.toml"), &site).unwrap();
        assert_eq!(bench.take(&six).await, (Some("applied 6: ".to_owned()), true));
        fs::write(bench.folder.join("agent.toml"), site.replace("port", "prot")).unwrap();
        let seven = bench.seal(7, "32");
        assert_eq!(bench.take(&seven).await, (Some("applied 7: ".to_owned()), true));
        assert_eq!(bench.good(), Some(seven));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

#[test]
fn what_cannot_be_used_leaves_the_last_good_one_and_says_why() {
    run(async {
        let mut bench = bench(folder());
        let five = bench.seal(5, "30");
        assert_eq!(bench.take(&five).await, (Some("applied 5: ".to_owned()), true));
        assert_eq!(bench.good().as_deref(), Some(&*five));
        assert!(bench.holding.version == 5 && bench.holding.etag.is_some());
        bench.settles().await;
        assert!(bench.sources.recv().await.is_some());

        let six = bench.seal(6, "31");
        let other = SigningKey::from_seed(&[8; 32]);
        let text = String::from_utf8(six.clone()).unwrap();
        let signature = text.lines().find(|line| line.starts_with("signature ")).unwrap();
        for (bytes, expected) in [
            (text.replace(&format!("{signature}\n"), "").into_bytes(), "refused 6: the bundle is not signed"),
            (sealed(&other, "pi", 6, "31"), "refused 6: the bundle is signed by the key"),
            (text.replace("31", "99").into_bytes(), "refused 6: the bundle's signature is wrong"),
            (six[..six.len() - 1].to_vec(), "refused null: the bundle is truncated"),
            (bench.seal(4, "31"), "refused 4: version 4 is not above the running version 5"),
            (bench.seal(5, "31"), "refused 5: version 5 is not above the running version 5"),
            (sealed(&bench.key, "pi-2", 6, "31"), "refused 6: the bundle is for acme/pi-2"),
            (bench.seal(6, "much"), "refused 6: it has errors: bundle 6: error: rules.hot.above"),
            (b"<html>".to_vec(), "refused null: not a bundle"),
            (Vec::new(), "refused null: not a bundle"),
        ] {
            let (said, planned) = bench.take(&bytes).await;
            assert!(said.as_ref().is_some_and(|said| said.starts_with(expected)), "{expected}: {said:?}");
            assert!(!planned, "{expected}");
            assert_eq!(bench.good().as_deref(), Some(&*five), "{expected}");
            let shown = bench.shown();
            assert_eq!(shown["bundle"]["version"], 5);
            assert!(expected.contains(&shown["refused"]["reason"].as_str().unwrap()[..10]), "{shown}");
            assert_eq!(bench.state()["trial"], Value::Null, "{expected}");
            // It is remembered, also over a restart.
            assert_eq!(bench.take(&bytes).await, (None, false), "{expected}");
            bench = bench.again().await;
            assert_eq!(bench.take(&bytes).await, (None, false), "{expected}");
            assert!(bench.shown()["refused"]["reason"].is_string());
        }

        assert_eq!(bench.take(&six).await, (Some("applied 6: ".to_owned()), true));
        assert_eq!(bench.shown()["refused"], Value::Null);
        assert_eq!(bench.shown()["ignored"], json!(["config.d/site.toml"]));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

#[test]
fn the_same_content_starts_nothing_anew() {
    run(async {
        let mut bench = bench(folder());
        let (one, two) = (bench.seal(1, "30"), bench.seal(2, "30"));
        assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
        assert_eq!(bench.take(&one).await, (None, false));
        assert_eq!(bench.take(&two).await, (Some("same-content 2: ".to_owned()), false));
        assert_eq!(bench.good().as_deref(), Some(&*two));
        assert_eq!(bench.holding.version, 2);
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

#[test]
fn a_bundle_that_the_agent_does_not_outlive_is_given_up() {
    run(async {
        let mut bench = bench(folder());
        let one = bench.seal(1, "30");
        for _ in 0..TRIES {
            let _answered = bench.send(&one).await;
            // The process ends over it: nobody answers.
            while !matches!(bench.commands.recv().await.unwrap(), Command::Barrier(_)) {}
            assert_eq!(bench.good(), None);
            bench = bench.again().await;
        }
        let (said, planned) = bench.take(&one).await;
        assert_eq!((said.as_deref(), planned), (Some("refused 1: the agent ended 3 times while applying it"), false));
        let two = bench.seal(2, "31");
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

/// Guards against: a good bundle that is refused for ever, since it was counted as tried whenever it could not be written.
#[test]
fn a_bundle_that_cannot_be_kept_waits_and_is_not_refused() {
    run(async {
        for obstacle in ["bundle.good.new", "bundle.state.new"] {
            let mut bench = bench(folder());
            let one = bench.seal(1, "30");
            // A folder in its place: also root cannot write there.
            fs::create_dir(bench.folder.join(obstacle)).unwrap();
            bench.waits(&one, "bundle 1 waits: saving it failed, will retry: Is a directory").await;
            bench = bench.again().await;
            bench.waits(&one, "bundle 1 waits: saving it failed, will retry: Is a directory").await;
            fs::remove_dir(bench.folder.join(obstacle)).unwrap();
            assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
            assert_eq!(bench.good().as_deref(), Some(&*one));
            assert_eq!(bench.shown()["waits"], Value::Null);
            fs::remove_dir_all(&bench.folder).unwrap();
        }
    });
}

#[test]
fn a_bundle_in_force_is_kept_once_the_disk_takes_it() {
    run(async {
        let mut bench = bench(folder());
        let one = bench.seal(1, "30");
        let good = bench.folder.join("bundle.good");
        fs::create_dir(&good).unwrap();
        assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
        let shown = bench.shown();
        assert_eq!(shown["bundle"]["version"], 1);
        assert!(shown["waits"].as_str().is_some_and(|said| said.starts_with("bundle 1 applied; saving it failed")));
        fs::remove_dir(&good).unwrap();
        tokio::time::pause();
        tokio::time::sleep(SAVE_AGAIN * 2).await;
        assert_eq!(bench.good().as_deref(), Some(&*one));
        assert_eq!(bench.shown()["waits"], Value::Null);
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

/// Guards against: a rejected or older bundle that is taken after all, for what was remembered could not be read at the start.
#[test]
fn what_is_remembered_and_cannot_be_read_is_not_replaced_and_rules_once_it_can() {
    run(async {
        let folder = folder();
        fs::create_dir(folder.join("bundle.state")).unwrap();
        let mut bench = bench_of(folder.clone(), None);
        let (four, six) = (bench.seal(4, "30"), bench.seal(6, "31"));
        for _ in 0..2 {
            let holding = Holding { version: 0, etag: None };
            assert_eq!(bench.hear(&four).await, (None, false, Some(holding)), "so that it comes again");
            let waits = bench.shown()["waits"].clone();
            assert_eq!(waits, "a bundle waits: bundle.state is damaged: a folder is there; expected a file");
        }
        fs::remove_dir(folder.join("bundle.state")).unwrap();
        fs::write(folder.join("bundle.state"), r#"{"highest":5}"#).unwrap();
        let said = "refused 4: version 4 is below version 5, which was in force before";
        assert_eq!(bench.take(&four).await, (Some(said.to_owned()), false));
        assert_eq!(bench.take(&six).await, (Some("applied 6: ".to_owned()), true));
        assert_eq!(bench.shown()["waits"], Value::Null);
        fs::remove_dir_all(&folder).unwrap();
    });
}

const SMALL_DISK: &str = "TILTH_BUNDLES_TEST_SMALL_DISK";

/// The other process, in a world of its own where the folder is a small disk: full, then read-only, then well.
#[test]
fn lives_on_a_small_disk() {
    let Some(folder) = std::env::var_os(SMALL_DISK).map(PathBuf::from) else { return };
    let remount = |mode: &str| {
        let done = process::Command::new("mount").args(["-o", &format!("remount,{mode}")]).arg(&folder).status();
        assert!(done.unwrap().success(), "{mode}");
    };
    run(async {
        configure(&folder);
        let mut bench = bench(folder.clone());
        let (one, two) = (bench.seal(1, "30"), bench.seal(2, "31"));
        assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
        let ballast = folder.join("ballast");
        assert!(fs::write(&ballast, vec![1; 8 << 20]).is_err(), "full");
        bench.waits(&two, "bundle 2 waits: saving it failed, will retry: No space left on device").await;
        fs::remove_file(&ballast).unwrap();
        remount("ro");
        bench = bench.again().await;
        bench.waits(&two, "bundle 2 waits: saving it failed, will retry: Read-only file system").await;
        remount("rw");
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        assert_eq!(bench.good().as_deref(), Some(&*two));
    });
    println!("small disk: passed");
}

/// Needs to mount; where that is not allowed it says so and is done: folders in the way of a file are tried everywhere.
#[test]
fn a_disk_that_is_full_or_read_only_refuses_no_bundle() {
    let folder = folder();
    let script = "mount -t tmpfs -o size=1m tmpfs \"$1\" && \
        exec \"$2\" configuration::bundles::tests::lives_on_a_small_disk --exact --nocapture";
    let done = process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "--user", "sh", "-c", script, "sh"])
        .args([&folder, &std::env::current_exe().unwrap()])
        .env(SMALL_DISK, &folder)
        .output();
    match done {
        Ok(output) => {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let began = out.contains("running 1 test");
            assert!(!began || out.contains("small disk: passed"), "{out}\n{err}");
            println!("{}", if began { "tried" } else { "not tried: it may not mount here" });
        }
        Err(error) => println!("not tried: {error}"),
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Guards against: an old bundle that somebody sends again, and that is taken because the one after it was lost.
#[test]
fn versions_do_not_go_down_where_the_last_good_one_is_lost() {
    run(async {
        let mut bench = bench(folder());
        let (four, five) = (bench.seal(4, "30"), bench.seal(5, "31"));
        assert_eq!(bench.take(&five).await, (Some("applied 5: ".to_owned()), true));
        // Either of the two files is enough.
        fs::remove_file(bench.folder.join("bundle.state")).unwrap();
        bench = bench.again().await;
        assert_eq!(bench.take(&five).await, (None, false));
        assert_eq!(bench.state()["highest"], 5);
        fs::remove_file(bench.folder.join("bundle.good")).unwrap();
        bench = bench.again().await;

        assert_eq!(bench.holding, Holding { version: 5, etag: None });
        let said = "refused 4: version 4 is below version 5, which was in force before";
        assert_eq!(bench.take(&four).await, (Some(said.to_owned()), false));
        bench = bench.again().await;
        assert_eq!(bench.take(&bench.seal(3, "29")).await.0.as_deref().map(|said| &said[..9]), Some("refused 3"));
        assert_eq!(bench.take(&five).await, (Some("applied 5: ".to_owned()), true));
        assert!(bench.holding.etag.is_some());
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

/// It was in force when the disk failed, and the agent began anew with the one before.
#[test]
fn the_highest_version_comes_again_over_an_older_one() {
    run(async {
        let mut bench = bench(folder());
        let (one, two, three) = (bench.seal(1, "30"), bench.seal(2, "30"), bench.seal(3, "31"));
        assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
        assert_eq!(bench.take(&three).await, (Some("applied 3: ".to_owned()), true));
        fs::write(bench.folder.join("bundle.good"), &one).unwrap();
        bench = bench.again().await;
        assert_eq!(bench.holding, Holding { version: 3, etag: None });
        assert_eq!(bench.take(&one).await, (None, false));
        let said = "refused 2: version 2 is below version 3, which was in force before";
        assert_eq!(bench.take(&two).await, (Some(said.to_owned()), false));
        assert_eq!(bench.take(&three).await, (Some("applied 3: ".to_owned()), true));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

/// A device whose hub and its key `agent.toml` names, and under whose bundle 1 the sensor is good.
async fn proven() -> (Bench, Vec<u8>) {
    let folder = folder();
    let hub = "[hub]\nurl = 'http://127.0.0.1:1'\nsigning_key = 'hub.pub'\nkey_file = 'device.key'\n";
    let site = fs::read_to_string(folder.join("agent.toml")).unwrap();
    fs::write(folder.join("agent.toml"), site + hub).unwrap();
    let mut bench = bench(folder.clone());
    fs::write(folder.join("hub.pub"), bench.key.trusted().to_string()).unwrap();
    let one = bench.seal(1, "30");
    assert_eq!(bench.take(&one).await, (Some("applied 1: ".to_owned()), true));
    bench.settles().await;
    (bench, one)
}

const SILENT: &str = "refused 2: reverted: room/temp has had no value for 30s";

/// Every edge beyond `on probation` of the chart above this module.
#[test]
fn a_bundle_passes_its_probation_or_the_one_before_returns_until_another_comes_or_a_person_says_retry() {
    run(async {
        let (mut bench, one) = proven().await;
        let two = bench.seal(2, "31");
        bench.silences = true;
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        assert_eq!((bench.good(), bench.state()["probation"]["version"].clone()), (Some(two.clone()), json!(2)));
        assert_eq!(bench.said().await, SILENT);
        bench.settles().await;
        assert_eq!(bench.good(), Some(one.clone()));
        assert_eq!(bench.shown()["bundle"]["version"], 1);
        // The hub is shown that this version is known, and does not send it again.
        let content = bench.state()["refused"]["reverted"]["content"].as_str().unwrap().to_owned();
        assert_eq!(bench.holding, Holding { version: 2, etag: Some(format!("\"{content}\"")) });
        assert_eq!(bench.take(&two).await, (None, false), "it is not tried again");
        bench = bench.again().await;
        assert_eq!(bench.holding, Holding { version: 2, etag: Some(format!("\"{content}\"")) });
        assert_eq!(bench.take(&two).await, (None, false), "nor after a restart");

        assert_eq!(bench.retry().await, Ok(2));
        assert_eq!((bench.good(), bench.shown()["refused"].clone()), (Some(two), Value::Null));
        bench.settles().await;
        assert!(!bench.folder.join("bundle.before").exists());
        assert_eq!(bench.retry().await, Err("no bundle is rejected".to_owned()));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

#[test]
fn a_bundle_that_comes_within_a_probation_returns_to_the_one_before_both() {
    run(async {
        let (mut bench, one) = proven().await;
        let (two, three, four) = (bench.seal(2, "31"), bench.seal(3, "31"), bench.seal(4, "32"));
        bench.silences = true;
        assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
        assert_eq!(bench.take(&three).await, (Some("same-content 3: ".to_owned()), false));
        assert_eq!(bench.take(&four).await, (Some("applied 4: ".to_owned()), true));
        assert_eq!(bench.said().await, SILENT.replace("refused 2", "refused 4"));
        bench.settles().await;
        assert_eq!(bench.good(), Some(one));
        fs::remove_dir_all(&bench.folder).unwrap();
    });
}

/// Guards against: an agent that crashes, is started again, crashes ..
#[test]
fn a_probation_goes_on_after_an_end_that_nobody_noted_and_not_after_a_crash_or_too_many() {
    run(async {
        for (ends, expected) in [
            (vec![None, Some("told to stop"), Some("told to stop"), Some("told to stop")], None),
            (vec![Some("decide: it panicked")], Some("the agent ended within its probation: decide: it panicked")),
            (vec![None, None, None], Some("the agent ended 3 times within its probation")),
        ] {
            let (mut bench, one) = proven().await;
            let two = bench.seal(2, "31");
            assert_eq!(bench.take(&two).await, (Some("applied 2: ".to_owned()), true));
            for end in ends {
                assert_eq!(bench.good().as_ref(), Some(&two));
                bench.end().await;
                if let Some(why) = end {
                    let why = Some(why).filter(|why| *why != "told to stop");
                    BundleFiles::new(&bench.folder).note_end(why).unwrap();
                }
                bench = bench.again().await;
            }
            match expected {
                Some(reason) => {
                    assert_eq!(bench.said().await, format!("refused 2: reverted: {reason}"));
                    bench.settles().await;
                    assert_eq!(bench.good(), Some(one));
                    assert_eq!(bench.shown()["bundle"]["version"], 1);
                }
                None => {
                    assert_eq!(bench.shown()["bundle"]["version"], 2);
                    assert_eq!(bench.state()["probation"]["times"], 2);
                }
            }
            fs::remove_dir_all(&bench.folder).unwrap();
        }
    });
}
