//! The task that keeps in touch with the hub: it carries the outbox up and the configuration down. Nothing waits for it.
//!
//! ```text
//! store's thread <-- clerk <-- requests -- driver (tilth-sync) ==> hub
//!                                            |
//! decide <-- plan, events -- bundles <-- events
//! senses <-- sources ------------'
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `clerk` | what the driver asks of the store and of decide, and when the store's stream is another |
//! | `way` | the way to the hub: its key, ours, and TLS |
//! | `time` | the hub's word for the time of day, where nobody else has set the clock |
//! | `status` | what it is at, for whoever asks |
//!
//! Without `[hub]` in `agent.toml` none of this runs.

mod clerk;
pub(crate) mod status;
mod time;
pub(crate) mod way;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ring::rand::SecureRandom;
use serde_json::{Map, Value};
use tilth_config::{Device, Hub, Site};
use tilth_core::id::Id;
use tilth_core::time::Span;
use tilth_sync::driver::{self, Links};
use tilth_sync::engine::pace::Pace;
use tilth_sync::engine::{Engine, Heads, Setup};
use tokio::sync::{mpsc, watch};

use crate::clock::{self, Clock, Source};
use crate::configuration::bundle::Ruling;
use crate::configuration::bundles::Bundles;
use crate::configuration::file_stamps::Seen;
use crate::configuration::reporter::Herald;
use crate::decide::Command;
use crate::output::tell;
use crate::sense::Sources;
use crate::store::thread::Desk;
use clerk::Clerk;
use status::SyncStatus;
use way::{Road, Way};

/// Questions to the store and news for the bundles that may wait; what is more stays with the driver.
const LINKS: usize = 16;

/// Between two looks at the files that lead to the hub. Whoever puts a new key there looks at `status` next.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Whom this device is to the hub, and where the hub is.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// The tenant.
    pub(crate) client: Id,
    /// The device.
    pub(crate) device: Id,
    /// The hub.
    pub(crate) hub: Hub,
    /// The folder of the configuration; the hub's files are relative to it.
    pub(crate) folder: PathBuf,
    /// The folder of what is kept.
    pub(crate) data: PathBuf,
}

impl Home {
    /// Nothing on a farm without a hub.
    pub(crate) fn of(site: &Site, folder: &Path, data: &Path) -> Option<Home> {
        let (Some(hub), Some(Device { id, client: Some(client), .. })) = (&site.hub, &site.device) else { return None };
        Some(Home {
            client: client.clone(),
            device: id.clone(),
            hub: hub.clone(),
            folder: folder.to_owned(),
            data: data.to_owned(),
        })
    }
}

/// Whom it talks to.
pub(crate) struct Parts {
    pub(crate) home: Home,
    pub(crate) clock: Clock,
    pub(crate) store: Desk,
    /// How far the store has committed.
    pub(crate) heads: watch::Receiver<Heads>,
    pub(crate) commands: mpsc::Sender<Command>,
    /// To whoever reads the sensors: what is to be read from now on.
    pub(crate) sources: mpsc::Sender<Sources>,
    pub(crate) ruling: Ruling,
    pub(crate) herald: Herald,
    pub(crate) status: SyncStatus,
}

/// Runs for ever; returns why it cannot go on.
pub(crate) async fn run(parts: Parts) -> anyhow::Error {
    let Parts { home, clock, store, heads, commands, sources, ruling, herald, status } = parts;
    let (way, seen) = found(&home, &clock, &status).await;
    tell(format_args!(
        "tilth-agent: sync with {} as {}/{}, key {}",
        home.hub.url, home.client, home.device, way.key_id
    ));

    let outbox = clerk::outbox(&store).await;
    let holding = ruling.holding();
    let (requests, asked) = mpsc::channel(LINKS);
    let (events, told) = mpsc::channel(LINKS);
    let (orders, ordered) = mpsc::channel(LINKS);
    let beside = (clock.clone(), herald.facts.clone());
    let clerk = Clerk::new(store, outbox.stream, heads.clone(), commands.clone(), orders.clone(), beside);
    let setup =
        Setup { client: home.client.clone(), device: home.device.clone(), pace: pace(clock.source()), seed: seed() };
    let engine = Engine::new(clock::machine_uptime(), setup, &outbox, holding);
    let road = Road::new(way);
    let upkeep = road.keep_up(home.clone(), clock.clone(), seen, orders.clone(), status.clone());
    let timing = time::keep(home.clone(), clock.clone(), herald.facts.clone());
    let trusted = road.trusted();
    let bundles = Bundles::new(home, clock.source(), trusted, commands, sources, orders, ruling, herald, status);
    let links = Links { store: requests, heads, decide: events, orders: ordered };
    tokio::select! {
        ended = driver::run(engine, &road, links, clock::machine_uptime, std::future::pending()) => match ended {
            Ok(()) => anyhow::anyhow!("it ended"),
            Err(gone) => gone.into(),
        },
        () = timing => anyhow::anyhow!("the time of day is asked for no more"),
        () = upkeep => anyhow::anyhow!("nobody takes orders any more"),
        () = clerk.run(asked) => anyhow::anyhow!("nobody asks the store any more"),
        () = bundles.run(told) => anyhow::anyhow!("nobody tells of bundles any more"),
    }
}

/// The way to the hub, as soon as there is one: a missing key must not keep the farm from being watched.
async fn found(home: &Home, clock: &Clock, status: &SyncStatus) -> (Way, Seen) {
    let mut said = None;
    loop {
        match look(home, clock).await {
            Ok(found) => {
                status.trouble(None);
                return found;
            }
            Err(error) => {
                let why = format!("{error:#}");
                if said.as_ref() != Some(&why) {
                    tell(format_args!(
                        "tilth-agent: sync: {why}; the farm is watched without the hub until that is mended"
                    ));
                    status.trouble(Some(why.clone()));
                    said = Some(why);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

async fn look(home: &Home, clock: &Clock) -> anyhow::Result<(Way, Seen)> {
    let seen = way::seen(home).await?;
    Ok((way::find(home, clock).await?, seen))
}

/// Does what reads files on a thread of its own: a disk that hangs must not hold up what is decided.
pub(crate) async fn beside<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
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

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
