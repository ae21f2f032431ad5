//! The task that keeps in touch with the hub: it carries the outbox up and the configuration down. Nothing waits for it.
//!
//! ```text
//! store's thread <-- store_adapter <-- requests -- driver (tilth-sync) ==> hub
//!                                            |
//! configuration <-- bundles -- events <------'
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `store_adapter` | what the driver asks of the store and of decide, and when the store's stream is another |
//! | `events` | what the driver reports: bundles, and troubles |
//! | `link` | the link to the hub: its key, ours, and TLS |
//! | `time` | the hub's word for the time of day, where nobody else has set the clock |
//! | `status` | what it is at, for whoever asks |
//!
//! Without `[hub]` in `agent.toml` none of this runs.

mod events;
pub(crate) mod link;
pub(crate) mod status;
mod store_adapter;
mod time;

use std::time::Duration;

use anyhow::Context;
use ring::rand::SecureRandom;
use tilth_core::time::Span;
use tilth_sync::driver::{self, Links};
use tilth_sync::engine::pace::Pace;
use tilth_sync::engine::{Engine, Heads, Holding, Setup};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::clock::{self, Clock, Source};
use crate::configuration::{ConfigStatus, Enrolment, FileStamps, Received};
use crate::decide::Command;
use crate::health::SharedMarks;
use crate::store::thread::StoreHandle;
use events::{Events, Said};
use link::{HubLink, ReloadableTransport};
use status::SyncStatus;
use store_adapter::StoreAdapter;

/// Questions to the store and news for the bundles that may wait; what is more stays with the driver.
const LINKS: usize = 16;

/// Between two looks at the files that lead to the hub. Whoever puts a new key there looks at `status` next.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What sync works with.
pub(crate) struct Parts {
    pub(crate) enrolment: Enrolment,
    pub(crate) clock: Clock,
    pub(crate) store: StoreHandle,
    /// How far the store has committed.
    pub(crate) heads: watch::Receiver<Heads>,
    pub(crate) commands: mpsc::Sender<Command>,
    /// The bundle of the start.
    pub(crate) holding: Holding,
    /// To the task of the configuration.
    pub(crate) bundles: mpsc::Sender<Received>,
    pub(crate) config: ConfigStatus,
    pub(crate) health: SharedMarks,
    pub(crate) status: SyncStatus,
}

/// Runs for ever; returns why it cannot go on.
pub(crate) async fn run(parts: Parts) -> anyhow::Error {
    let Parts { enrolment, clock, store, heads, commands, holding, bundles, config, health, status } = parts;
    let (link, stamps) = found(&enrolment, &clock, &status, &health).await;
    info!("sync with {} as {}/{}, key {}", enrolment.hub.url, enrolment.client, enrolment.device, link.key_id);

    let outbox = store_adapter::outbox(&store).await;
    let (requests, asked) = mpsc::channel(LINKS);
    let (reports, reported) = mpsc::channel(LINKS);
    let (orders, ordered) = mpsc::channel(LINKS);
    let (client, device) = (enrolment.client.clone(), enrolment.device.clone());
    let setup = Setup { client, device, pace: pace(clock.source()), seed: seed() };
    let engine = Engine::new(clock::machine_uptime(), setup, &outbox, holding);
    let transport = ReloadableTransport::new(link);
    let upkeep = transport.keep_up(enrolment.clone(), clock.clone(), stamps, orders.clone(), status.clone());
    let timing = time::keep(enrolment, clock.clone(), config.clone());
    let events = Events {
        trusted: transport.trusted(),
        bundles,
        commands: commands.clone(),
        orders: orders.clone(),
        health: health.clone(),
        status,
        said: Said::default(),
    };
    let (stream, heads_of_adapter) = (outbox.stream, heads.clone());
    let store_adapter =
        StoreAdapter { store, stream, heads: heads_of_adapter, commands, orders, clock, config, health };
    let links = Links { store: requests, heads, decide: reports, orders: ordered };
    tokio::select! {
        ended = driver::run(engine, &transport, links, clock::machine_uptime, std::future::pending()) => match ended {
            Ok(()) => anyhow::anyhow!("it ended"),
            Err(gone) => gone.into(),
        },
        () = timing => anyhow::anyhow!("the time of day is asked for no more"),
        () = upkeep => anyhow::anyhow!("nobody takes orders any more"),
        () = store_adapter.run(asked) => anyhow::anyhow!("nobody asks the store any more"),
        () = events.run(reported) => anyhow::anyhow!("nobody tells of bundles any more"),
    }
}

/// The link to the hub, as soon as its files are there: a missing key must not keep the farm from being watched.
async fn found(
    enrolment: &Enrolment,
    clock: &Clock,
    status: &SyncStatus,
    health: &SharedMarks,
) -> (HubLink, FileStamps) {
    let mut said = None;
    loop {
        match look(enrolment, clock).await {
            Ok(found) => {
                status.trouble(None);
                health.sync_trouble(None);
                return found;
            }
            Err(error) => {
                let why = format!("{error:#}");
                if said.as_ref() != Some(&why) {
                    warn!(target: "sync", "{why}; the farm is watched without the hub until that is mended");
                    status.trouble(Some(why.clone()));
                    health.sync_trouble(Some(("not started", Some(why.clone()))));
                    said = Some(why);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

async fn look(enrolment: &Enrolment, clock: &Clock) -> anyhow::Result<(HubLink, FileStamps)> {
    let stamps = link::stamps(enrolment).await?;
    Ok((link::find(enrolment, clock).await?, stamps))
}

/// Does what reads files on a thread of its own: a disk that hangs must not hold up what is decided.
async fn beside<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(what).await.context("reading files")
}

/// A made clock is for the demo and tests, in which a minute is over sooner than a minute.
fn pace(source: Source) -> Pace {
    if source == Source::System {
        return Pace::default();
    }
    let second = Span::from_secs(1);
    Pace {
        gather: Span(100),
        windows: second,
        backlog: Span(100),
        live: Some(second),
        heartbeat: Span::from_secs(2),
        pull: second,
        refused: Span::from_secs(10),
    }
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without chance the waits have no jitter between devices; nothing else depends on it.
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
