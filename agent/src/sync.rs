//! The task that syncs with the hub: it sends the outbox up and brings the configuration down. No other task waits for it.
//!
//! ```text
//! store's thread <-- store_adapter <-- requests -- driver (tilth-sync) ==> hub
//!                                            |
//! configuration <-- bundles -- reports <-----'
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `store_adapter` | answers the driver's requests from the store and from decide, and follows the store into a new stream |
//! | `reports` | handles the driver's reports: bundles, problems, status |
//! | `link` | the link to the hub: its signing key, the device key, and TLS |
//! | `owner` | whose history the data folder holds: rows of another client or hub are not sent |
//! | `time` | the hub's signed time of day, where the machine's clock is not synchronised |
//! | `status` | status of sync, for `tilth-agent status` and the API |
//!
//! Events, windows and diagnostics go to the hub, and the newest value of each sensor. Single readings stay on the device.
//!
//! Lane, extent, head, stream and epoch are explained in the head of `tilth-sync`.
//!
//! Without `[hub]` in `agent.toml` none of this runs.

pub(crate) mod link;
pub(crate) mod owner;
mod reports;
pub(crate) mod status;
mod store_adapter;
mod time;

use std::time::Duration;

use anyhow::Context;
use tilth_core::time::Span;
use tilth_sync::driver::{self, Queues};
use tilth_sync::engine::limits::Intervals;
use tilth_sync::engine::{Heads, NewestBundle, Setup, SyncEngine};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::clock::{self, Clock, ClockMode};
use crate::configuration::{ConfigStatus, Enrolment, FileVersions, Received};
use crate::decide::DecideRequest;
use crate::health::TaskHealth;
use crate::random;
use crate::store::thread::StoreHandle;
use link::{HubLink, ReloadableTransport};
use reports::{LastReported, ReportReceiver};
use status::SyncStatus;
use store_adapter::StoreAdapter;

/// Capacity of the driver's queues; what does not fit waits in the driver.
const QUEUE: usize = 16;

/// Interval at which keys and certificates are looked for in their files. A person who puts a new key there looks at `status` next.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) struct Parts {
    pub(crate) enrolment: Enrolment,
    pub(crate) clock: Clock,
    pub(crate) store: StoreHandle,
    /// How far the store has committed.
    pub(crate) heads: watch::Receiver<Heads>,
    pub(crate) to_decide: mpsc::Sender<DecideRequest>,
    /// The newest bundle that the agent had seen at the start.
    pub(crate) newest_bundle: NewestBundle,
    /// To the task of the configuration.
    pub(crate) bundles: mpsc::Sender<Received>,
    pub(crate) config: ConfigStatus,
    pub(crate) health: TaskHealth,
    pub(crate) status: SyncStatus,
}

/// Runs for ever; returns why it cannot go on.
pub(crate) async fn run(parts: Parts) -> anyhow::Error {
    let Parts { enrolment, clock, store, heads, to_decide, newest_bundle, bundles, config, health, status } = parts;
    let (link, versions) = wait_for_link(&enrolment, &clock, &status, &health).await;
    info!("sync with {} as {}/{}, key {}", enrolment.hub.url, enrolment.tenant, enrolment.device, link.key_id);

    let outbox = match link.owner.withholds {
        true => store_adapter::withhold(&store, &to_decide, &enrolment.data, link.owner.clone()).await,
        false => store_adapter::outbox(&store).await,
    };
    let (requests, requested) = mpsc::channel(QUEUE);
    let (reports, reported) = mpsc::channel(QUEUE);
    let (inputs, inputs_out) = mpsc::channel(QUEUE);
    let (tenant, device) = (enrolment.tenant.clone(), enrolment.device.clone());
    let setup = Setup { tenant, device, intervals: intervals(clock.mode()), seed: u64::from_le_bytes(random::bytes()) };
    let engine = SyncEngine::new(clock::machine_uptime(), setup, &outbox, newest_bundle);
    let transport = ReloadableTransport::new(link);
    let reloading =
        transport.reload_on_change(enrolment.clone(), clock.clone(), versions, inputs.clone(), status.clone());
    let timing = time::keep_clock_set(enrolment, clock.clone(), config.clone());
    let handler = ReportReceiver {
        trusted: transport.trusted(),
        bundles,
        to_decide: to_decide.clone(),
        inputs: inputs.clone(),
        health: health.clone(),
        status,
        last: LastReported::default(),
    };
    let (stream, heads_of_adapter) = (outbox.stream, heads.clone());
    let store_adapter =
        StoreAdapter { store, stream, heads: heads_of_adapter, to_decide, inputs, clock, config, health };
    let queues = Queues { store: requests, heads, reports, inputs: inputs_out };
    tokio::select! {
        ended = driver::run(engine, &transport, queues, clock::machine_uptime, std::future::pending()) => match ended {
            Ok(()) => anyhow::anyhow!("the driver ended"),
            Err(closed) => closed.into(),
        },
        () = timing => anyhow::anyhow!("the requests for the time of day ended"),
        () = reloading => anyhow::anyhow!("the check for new keys ended"),
        () = store_adapter.run(requested) => anyhow::anyhow!("the answers from the store ended"),
        () = handler.run(reported) => anyhow::anyhow!("the handling of reports ended"),
    }
}

/// Waits until the files of the link to the hub exist; monitoring does not wait for them.
async fn wait_for_link(
    enrolment: &Enrolment,
    clock: &Clock,
    status: &SyncStatus,
    health: &TaskHealth,
) -> (HubLink, FileVersions) {
    let mut logged = None;
    loop {
        match find_link(enrolment, clock).await {
            Ok(found) => {
                status.send_modify(|status| status.start_error = None);
                health.sync_problem(None);
                return found;
            }
            Err(error) => {
                let why = format!("{error:#}");
                if logged.as_ref() != Some(&why) {
                    warn!(target: "sync", "no sync with the hub: {why}; will retry, monitoring continues");
                    status.send_modify(|status| status.start_error = Some(why.clone()));
                    health.sync_problem(Some(("not started", Some(why.clone()))));
                    logged = Some(why);
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }
}

async fn find_link(enrolment: &Enrolment, clock: &Clock) -> anyhow::Result<(HubLink, FileVersions)> {
    let versions = link::versions(enrolment).await?;
    Ok((link::find(enrolment, clock).await?, versions))
}

/// Runs what reads files on a thread: a disk that hangs must not hold up decide.
async fn blocking<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(what).await.context("reading files")
}

/// A simulated clock is for the demo and tests: its minute is shorter than a minute.
fn intervals(mode: ClockMode) -> Intervals {
    if mode == ClockMode::System {
        return Intervals::default();
    }
    let second = Span::from_secs(1);
    Intervals {
        batch_delay: Span(100),
        windows: second,
        backlog: Span(100),
        live: Some(second),
        heartbeat: Span::from_secs(2),
        pull: second,
        offline: Span::from_secs(4),
        key_rejected: Span::from_secs(10),
    }
}
