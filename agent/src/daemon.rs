//! `tilth-agent run`: the daemon. Reads the configuration, opens the store, starts the tasks, runs until a signal.
//!
//! ```text
//! sense (one task a bus) -- queue --> decide -- commands --> notify
//!                                       |  `--- commits ---> store (a thread) -- rows waiting --> sync ==> hub
//!                                       `------ lines -----> clients of the socket
//! ```
//!
//! A stop has stages: sense, decide, notify, sync, store, all of them within one grace time; what hangs then is abandoned, and
//! unwritten readings are logged. The end of any task is a stop, too, with exit code 1. Nothing depends on a stop: a power cut is
//! the ordinary one.

mod configured;
mod opened;
mod signals;
mod start;
mod systemd;
mod tasks;

use anyhow::Context;
use tracing::error;

use crate::cli;
use crate::clock::Clock;
use crate::configuration;
use crate::console::journal;
use crate::exit::Exit;
pub(crate) use opened::{DEFAULT_POLICY, database, free_bytes};
use tasks::Tasks;

/// Runs until SIGTERM or SIGINT, or until a task that must not end ends.
pub(crate) fn run(args: &cli::Run) -> anyhow::Result<Exit> {
    journal::start().context("the thread of the log")?;
    let (clock, stop) = (Clock::new(args.clock), signals::Stop::new().context("signals")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
    let ended = runtime.block_on(live(args, clock, stop));
    // Does not wait for system calls that may never return.
    runtime.shutdown_background();
    ended
}

async fn live(args: &cli::Run, clock: Clock, mut stop: signals::Stop) -> anyhow::Result<Exit> {
    let started = tokio::select! {
        started = Tasks::start(args, clock) => started?,
        () = stop.asked() => {
            configuration::save_end(&args.data, None).await;
            return Ok(Exit::Done);
        }
    };
    let Some(mut tasks) = started else { return Ok(Exit::Refused) };
    let ended = tasks.run(stop.asked()).await;
    if ended.is_err() {
        error!("a task ended unexpectedly; the agent saves its state and stops");
    }
    tasks.stop().await;
    // An end of sync is never blamed on a bundle: the hub may have caused it.
    if !ended.as_ref().is_err_and(tasks::is_of_sync) {
        configuration::save_end(&args.data, ended.as_ref().err()).await;
    }
    ended.map(|()| Exit::Done)
}
