//! SIGTERM and SIGINT, by which a system asks a program to stop.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::error;

use super::tasks::GRACE;

/// Time beyond the grace time after which the process is ended, even if a task hangs.
const BEYOND_GRACE: Duration = Duration::from_secs(2);

/// Longest wait for the last line of the log: standard error itself may hang.
const LAST_LINE: Duration = Duration::from_millis(200);

/// SIGTERM and SIGINT, awaited on a thread of their own, which ends the process when everything else hangs.
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
    let last_line = || error!("a task or the disk hangs; the process ends without saving its state");
    let _ = std::thread::Builder::new().spawn(last_line);
    std::thread::sleep(LAST_LINE);
    std::process::exit(1)
}
