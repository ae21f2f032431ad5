//! `tilth-agent run`: the daemon. Reads the configuration, opens the store, starts the tasks, runs until it is told to stop.
//!
//! ```text
//! sense (one task a bus) -- queue --> decide -- commands --> notify
//!                                       |  `--- commits ---> store (a thread) -- rows waiting --> sync ==> hub
//!                                       `------ lines -----> whoever watches over the socket
//! ```
//!
//! It stops in stages: sense, decide, notify, sync, store, all of them within one grace time; what hangs then is left behind, and
//! what it left unwritten is said. So it does when one of its tasks ends that must not, and then its exit code is 1. Nothing
//! depends on it: a power cut is the ordinary stop.

pub(crate) mod opened;
mod signals;
mod tasks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use tilth_config::{Channel, ClockTrust, Files, Loaded, Merged, redact};
use tilth_core::id::Id;
use tilth_core::time::Span;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::task::JoinSet;

use crate::chance::Run;
use crate::cli;
use crate::clock::{Clock, Source};
use crate::configuration::bundle_files::Kept;
use crate::configuration::last_good::Keeper;
use crate::configuration::reload::{self, Reload};
use crate::configuration::reporter::{Herald, Papers};
use crate::configuration::startup::First;
use crate::decide::{self, Command, Configured, Tools};
use crate::desk::address::{self, NotTaken, Taken};
use crate::desk::{self, Changes, Office};
use crate::exit::Exit;
use crate::health::{Bus, Facts};
use crate::journal;
use crate::notify::{self, secret::Secrets};
use crate::output::{counted, tell};
use crate::recording::Recording;
use crate::sense::host::Machine;
use crate::sense::queue::{Queue, Told};
use crate::sense::{Senses, Sources};
use crate::sync::{self, status::SyncStatus};
use tasks::Tasks;

/// Commands to decide that may wait; people are slower than that.
const COMMANDS: usize = 256;

/// Runs until SIGTERM or SIGINT, or until a task that must not end ends.
pub(crate) fn run(wanted: &cli::Run) -> anyhow::Result<Exit> {
    journal::start().context("the thread of the log")?;
    let clock = Clock::new(wanted.clock);
    let Some(first) = First::read(&wanted.config.folder, &wanted.data, &clock) else { return Ok(Exit::Refused) };
    if let Some(problem) = first.farm.forbids(wanted.clock) {
        tell(format_args!("tilth-agent: --clock {}: {problem}", wanted.clock));
        return Ok(Exit::Refused);
    }
    if first.farm.clock_trust == ClockTrust::Rtc {
        clock.trust_battery();
    }
    let stop = signals::Stop::new().context("signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
    let ended = runtime.block_on(live(wanted, first, clock, stop));
    // Without waiting for calls to the system that may never return.
    runtime.shutdown_background();
    ended.map(|()| Exit::Done)
}

/// What a checked configuration says, in the words of the tasks.
pub(crate) struct Farm {
    pub(crate) device: Id,
    /// What makes the machine's clock right.
    pub(crate) clock_trust: ClockTrust,
    /// How many sensors the documents name; the agent adds some of its own.
    pub(crate) sensors: usize,
    pub(crate) configured: Configured,
    pub(crate) sources: Sources,
    pub(crate) papers: Papers,
}

impl Farm {
    /// The same, and what is wrong with the files that lie there and are not these.
    pub(crate) fn instead_of(mut self, refused: Vec<String>) -> Farm {
        self.papers.refused = refused;
        self
    }

    /// What people wrote on site. Nothing where it has errors or names no device.
    pub(crate) fn of_files(loaded: Loaded) -> Option<Farm> {
        let files = Files::of(&loaded);
        Farm::of(loaded, files)
    }

    /// What is watched is the hub's word, and `agent.toml` says where.
    pub(crate) fn of_hub(loaded: Loaded) -> Option<Farm> {
        let files = Files::site_of(&loaded);
        Farm::of(loaded, files)
    }

    fn of(loaded: Loaded, files: Files) -> Option<Farm> {
        let (hash, merged) = (opened::hash(&loaded), Merged::of(&loaded));
        let papers = Papers::of(hash.clone(), files, &loaded);
        let plan = Arc::new(loaded.plan?);
        let site = loaded.site?;
        let sources = Sources::of(Some(&site), &loaded.feeds);
        let configured = Configured { plan, hash, channels: loaded.channels, merged };
        let (device, sensors) = (site.device?, loaded.feeds.len());
        Some(Farm { device: device.id, clock_trust: device.clock, sensors, configured, sources, papers })
    }

    /// A clock that is not the machine's is for the demo and tests: it must not page anybody for real.
    pub(crate) fn forbids(&self, clock: Source) -> Option<String> {
        if clock == Source::System {
            return None;
        }
        let url = |channel: &Channel| match channel {
            Channel::Log => None,
            Channel::Ntfy { url, .. } | Channel::Webhook { url, .. } | Channel::Barred { url, .. } => {
                Some(redact::server(url))
            }
        };
        let real = self.configured.channels.values().filter_map(url).find(|url| !is_loopback(url))?;
        Some(format!("{real} is a real output; a made clock may only tell this machine"))
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

async fn live(wanted: &cli::Run, first: First, clock: Clock, mut stop: signals::Stop) -> anyhow::Result<()> {
    let First { farm, home, ruling, lost, had, seen } = first;
    let since = reload::Since::of(&farm);
    if clock.source() != Source::System {
        tell(format_args!("tilth-agent: the clock is {}: for the demo and tests", clock.source()));
    }
    let (commands, heard) = mpsc::channel(COMMANDS);
    let taken = take_socket(wanted)?;
    let facts = Facts::new(clock.clone(), farm.configured.hash.clone(), farm.configured.plan.local().clone());
    let has_run = had.is_some() || Kept::new(&wanted.data).has_good();
    let store = opened::open(&wanted.data, &clock, facts.clone(), has_run, commands.clone())?;
    let queue = Queue::new(farm.configured.plan.sensors().len());
    let machine = Machine { root: PathBuf::from("/"), disk: wanted.data.clone() };
    let seen_labels = store.begun.snapshot.as_deref().map(decide::seen_labels).unwrap_or_default();
    let mut senses = Senses::new(clock.clone(), queue.clone(), machine, seen_labels);
    read(&mut senses, farm.sources, &facts);
    tell(format_args!("tilth-agent: watching {} as {}", counted(farm.sensors as u64, "sensor"), farm.device));
    let keeper = Keeper::start(&wanted.data).context("the thread that keeps the configuration")?;
    let herald = Herald::new(facts.clone(), keeper, farm.papers.site.clone(), had);
    if !farm.papers.refused.is_empty() {
        let _ = commands.send(reload::refusal(&farm.papers.refused)).await;
    }
    herald.begins(farm.papers);

    let (notify, notices) = mpsc::channel(notify::COMMANDS);
    let (told, outcomes) = mpsc::channel(COMMANDS);
    let notifying = tokio::spawn(notify::run(Secrets::of(&wanted.config.folder), clock.clone(), notices, told));
    let (lines, _) = broadcast::channel(decide::LIVE);
    let recording = match &wanted.record {
        Some(path) => Some(Recording::open(path).with_context(|| path.display().to_string())?),
        None => None,
    };
    let status = home.as_ref().map_or_else(SyncStatus::default, |home| SyncStatus::of(&home.hub.url));
    lost.into_iter().for_each(|why| status.lost(why));
    let (changed_sources, mut sources) = mpsc::channel(1);
    let store_desk = store.desk.clone();
    let syncing = home.map(|home| {
        if let Some(bundle) = ruling.bundle() {
            let running = sync::status::Running { version: bundle.version, hash: bundle.hash.to_string() };
            status.runs(running, crate::configuration::bundle::ignored(&home.folder));
        }
        tokio::spawn(sync::run(sync::Parts {
            home,
            clock: clock.clone(),
            store: store.desk.clone(),
            heads: store.heads,
            commands: commands.clone(),
            sources: changed_sources.clone(),
            ruling: ruling.clone(),
            herald: herald.clone(),
            status: status.clone(),
        }))
    });
    let office = Office {
        device: farm.device.clone(),
        boot: store.begun.boot,
        clock: clock.clone(),
        started: Instant::now(),
        facts: facts.clone(),
        queue: queue.clone(),
        commands: commands.clone(),
        notify: notify.downgrade(),
        live: lines.clone(),
        store: store.desk,
        database: database(&wanted.data),
        policy: opened::USUAL,
        sync: status,
        watchers: Semaphore::new(desk::server::MAX_WATCHERS),
        changes: Changes::none(Instant::now()),
    };
    let mut desk = JoinSet::new();
    if let Some(taken) = taken {
        desk.spawn(desk::server::run(taken, Arc::new(office)));
    }
    let tools = Tools {
        device: farm.device.clone(),
        run: Run::draw(),
        clock: clock.clone(),
        recorder: store.recorder,
        anew: store.anew,
        notify,
        live: lines,
        recording,
    };
    let deciding = tokio::spawn(decide_from_the_first(queue.clone(), clock.clone(), heard, outcomes, move || {
        decide::begin(store.begun, farm.configured, tools)
    }));
    let reload = Reload {
        folder: wanted.config.folder.clone(),
        ruling,
        commands: commands.clone(),
        sources: changed_sources,
        herald,
        since,
    };
    let mut tasks = Tasks { commands, deciding, notifying, syncing, desk, store: store_desk, storing: store.thread };
    let ended = match reload.start(seen) {
        Err(error) => Err(anyhow::Error::from(error).context("reload thread")),
        Ok(()) => loop {
            tokio::select! {
                () = stop.asked() => break Ok(()),
                why = tasks.ended() => break Err(why),
                Some(sources) = sources.recv() => read(&mut senses, sources, &facts),
            }
        },
    };
    if ended.is_err() {
        tell("tilth-agent: a task ended that must not; the agent stops and keeps what it has");
    }
    tasks.stop(senses).await;
    if let Some(from) = store.progress.unwritten_from() {
        let secs = Span::from_secs((clock.uptime() - from).0 / 1000 + 1);
        tell(format_args!("tilth-agent: store: nothing of the last {secs} could be written"));
    }
    ended
}

/// The socket on which it is asked how it is. Another agent there is an error; an agent that cannot have one still watches.
fn take_socket(wanted: &cli::Run) -> anyhow::Result<Option<Taken>> {
    match address::take(&address::of(wanted.socket.as_deref(), &wanted.data)) {
        Ok(taken) => Ok(Some(taken)),
        Err(lives @ NotTaken::Lives(_)) => Err(lives.into()),
        Err(failed @ NotTaken::Failed(..)) => {
            tell(format_args!("tilth-agent: nobody can ask this agent how it is: {failed}"));
            Ok(None)
        }
    }
}

fn read(senses: &mut Senses, sources: Sources, facts: &Facts) {
    senses.read(sources);
    let bus = |(id, port, status): (&Id, &str, _)| Bus { id: id.clone(), port: port.to_owned(), status };
    facts.buses(senses.buses().map(bus).collect());
}

/// On the input clock there is no time before the first stamp, so the engine begins with it; else at once.
async fn decide_from_the_first(
    queue: Queue,
    clock: Clock,
    mut commands: mpsc::Receiver<Command>,
    outcomes: mpsc::Receiver<notify::Told>,
    begin: impl FnOnce() -> decide::Decide,
) {
    let (mut first, mut early) = (Vec::new(), Vec::new());
    while clock.source() == Source::Input && clock.now().1.is_none() {
        tokio::select! {
            heard = queue.next() => {
                match &heard {
                    Told::Bus { bus, .. } => first.retain(|earlier| !is_of_bus(earlier, bus)),
                    Told::Line { .. } => continue,
                    Told::Absent { .. } | Told::Labels { .. } => {}
                    Told::Value(sample) | Told::Fault { sample, .. } => match sample.stamp {
                        Some(stamp) => clock.observe(stamp),
                        None => continue,
                    },
                }
                first.push(heard);
            }
            command = commands.recv() => match command {
                Some(Command::Stop(done)) => {
                    let _ = done.send(());
                    return;
                }
                // Who looks is told that there is nothing to see; whatever else is said holds.
                Some(Command::Look(_)) => {}
                Some(command) => early.push(command),
                None => return,
            }
        }
    }
    begin().run(early, first, queue, commands, outcomes).await;
}

fn is_of_bus(told: &Told, of: &Id) -> bool {
    matches!(told, Told::Bus { bus, .. } if bus == of)
}

/// Where the agent keeps what it must not forget.
pub(crate) fn database(data: &std::path::Path) -> PathBuf {
    data.join("tilth.db")
}
