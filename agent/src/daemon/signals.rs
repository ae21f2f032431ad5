//! The two ways in which a system asks a program to stop.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::error;

use super::tasks::GRACE;

/// What the stages of stopping may take beyond their grace time: after it one of them does not return to say so.
const BEYOND_GRACE: Duration = Duration::from_secs(2);

/// How long the last word may take, for what hangs may be standard error.
const LAST_WORD: Duration = Duration::from_millis(200);

/// SIGTERM and SIGINT. They are heard on a thread of their own, which ends the process when everything else hangs.
pub(super) struct Stop(oneshot::Receiver<()>);

impl Stop {
    pub(super) fn new() -> io::Result<Stop> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let signals = {
            let _inside = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        let (asked, stop) = oneshot::channel();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(either(signals));
            let _ = asked.send(());
            std::thread::sleep(GRACE + BEYOND_GRACE);
            end();
        })?;
        Ok(Stop(stop))
    }

    /// Waits until either comes.
    pub(super) async fn asked(&mut self) {
        let _ = (&mut self.0).await;
    }
}

async fn either((mut terminate, mut interrupt): (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn end() -> ! {
    let last_word = || error!("something hangs; stopped without putting anything away");
    let _ = std::thread::Builder::new().spawn(last_word);
    std::thread::sleep(LAST_WORD);
    std::process::exit(1)
}
