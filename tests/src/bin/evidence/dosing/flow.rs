//! The board of the evidence, and what really flowed at its relays.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tilth_tests::live::flow::Flow;
use tilth_tests::live::host_board::{HostBoard, Line};
use tilth_wire::{ResetCause, Sample};

/// How long the board waits at most before it looks whether it is over.
const PATIENCE: Duration = Duration::from_millis(5);

/// A board that runs as long as this is held: agents come and go, its clock and its relays go on.
#[derive(Debug)]
pub(super) struct Board {
    flow: Arc<Mutex<Flow>>,
    is_over: Arc<AtomicBool>,
    /// What channels are made to show.
    shown: Sender<(u8, i32)>,
    began: Instant,
    time_scale: u32,
    thread: Option<JoinHandle<()>>,
}

impl Board {
    /// Starts the host build of the firmware on a pseudo-terminal at a path, its clock so many times as fast as the machine's.
    pub(super) fn start(link: &Path, time_scale: u32) -> anyhow::Result<Board> {
        let line = Line::pty(link).with_context(|| link.display().to_string())?;
        let (flow, is_over) = (Arc::<Mutex<Flow>>::default(), Arc::new(AtomicBool::new(false)));
        let began = Instant::now();
        let (shown, to_show) = channel();
        let (told, ends) = (Arc::clone(&flow), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let mut board = HostBoard::start(line, time_scale, None, ResetCause::PowerOn);
            while !ends.load(Ordering::Relaxed) && board.run(PATIENCE).is_ok() {
                to_show.try_iter().for_each(|(channel, value)| board.set(channel, Sample::Value(value)));
                let mut flow = told.lock().unwrap_or_else(PoisonError::into_inner);
                while let Some((relay, on, at)) = board.next_switched() {
                    flow.switched(relay, on, at.into());
                }
            }
        });
        Ok(Board { flow, is_over, shown, began, time_scale, thread: Some(thread) })
    }

    /// Makes a channel show a value from now on.
    pub(super) fn show(&self, channel: u8, value: i32) {
        // A board that is gone shows nothing, and is found out by what follows.
        let _ = self.shown.send((channel, value));
    }

    /// Board time now, in milliseconds.
    pub(super) fn now_ms(&self) -> i64 {
        (self.began.elapsed().as_millis() * u128::from(self.time_scale)) as i64
    }

    /// What flowed until now.
    pub(super) fn flow(&self) -> Flow {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
