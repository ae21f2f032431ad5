//! Reading the configuration that the agent starts with, while disks may hang.

use std::path::Path;

use anyhow::Context;
use tilth_config::ClockTrust;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::cli;
use crate::clock::Clock;
use crate::configuration::Startup;
use crate::sync::owner::HistoryOwner;

/// What to start with; none where that is rejected, which the log says. A data folder that does not answer until then is done without.
pub(super) async fn read(args: &cli::Run, clock: &Clock, until: Instant) -> anyhow::Result<Option<Startup>> {
    let Some(startup) = choose(args, clock, until).await? else { return Ok(None) };
    if let Some(problem) = startup.compiled.forbids(args.clock) {
        warn!("--clock {}: {problem}", args.clock);
        return Ok(None);
    }
    if startup.compiled.clock_trust == ClockTrust::Rtc {
        clock.trust_battery();
    }
    Ok(Some(startup))
}

async fn choose(args: &cli::Run, clock: &Clock, until: Instant) -> anyhow::Result<Option<Startup>> {
    let on_a_thread = |read: fn(&Path, &Path, &Clock) -> Option<Startup>| {
        let (folder, data, clock) = (args.config.folder.clone(), args.data.clone(), clock.clone());
        spawn_blocking(move || read(&folder, &data, &clock))
    };
    let mut whole = on_a_thread(|folder, data, clock| {
        HistoryOwner::keep_of_last_run(data);
        Startup::read(folder, data, clock)
    });
    if let Ok(startup) = timeout_at(until, &mut whole).await {
        return startup.context("configuration");
    }
    warn!("the data folder {} does not answer; starting without it", args.data.display());
    tokio::select! {
        startup = &mut whole => startup,
        startup = on_a_thread(Startup::read_without_data) => match startup {
            // What the folder keeps may be better than files with errors.
            Ok(None) => whole.await,
            startup => startup,
        }
    }
    .context("configuration")
}
