//! The board of the evidence, and what really flowed: how long each of its relays was on, by the board's own clock.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tilth_tests::live::host_board::{HostBoard, Line, RELAYS};
use tilth_wire::ResetCause;

/// How long the board waits at most before it looks whether it is over.
const PATIENCE: Duration = Duration::from_millis(5);

/// The times in which each relay was on, in milliseconds of board time; the last one of a relay that is on has no end.
#[derive(Debug, Default, Clone)]
pub(super) struct Flow([Vec<(i64, Option<i64>)>; RELAYS]);

/// A board that runs as long as this is held: agents come and go, its clock and its relays go on.
#[derive(Debug)]
pub(super) struct Board {
    flow: Arc<Mutex<Flow>>,
    is_over: Arc<AtomicBool>,
    began: Instant,
    time_scale: u32,
    thread: Option<JoinHandle<()>>,
}

impl Flow {
    fn switched(&mut self, relay: u8, on: bool, at: i64) {
        let times = &mut self.0[usize::from(relay)];
        match (times.last_mut(), on) {
            (Some((_, end @ None)), false) => *end = Some(at),
            (Some((_, None)), true) | (_, false) => {}
            (_, true) => times.push((at, None)),
        }
    }

    /// How often a relay was switched on.
    pub(super) fn doses(&self, relay: u8) -> usize {
        self.0[usize::from(relay)].len()
    }

    /// Whether a relay is on.
    pub(super) fn is_on(&self, relay: u8) -> bool {
        self.0[usize::from(relay)].last().is_some_and(|(_, end)| end.is_none())
    }

    /// How long a relay was on the last time, in milliseconds; none while it is on, or where it never was.
    pub(super) fn last_ms(&self, relay: u8) -> Option<i64> {
        let (begin, end) = self.0[usize::from(relay)].last()?;
        Some((*end)? - begin)
    }

    /// Time on between two instants.
    pub(super) fn between_ms(&self, relay: u8, from: i64, until: i64) -> i64 {
        let part = |(begin, end): &(i64, Option<i64>)| (end.unwrap_or(until).min(until) - (*begin).max(from)).max(0);
        self.0[usize::from(relay)].iter().map(part).sum()
    }

    /// The longest time on within any period of this length. It begins with a dose. A relay that is on counts as on until the period ends.
    pub(super) fn most_within_ms(&self, relay: u8, period: i64) -> i64 {
        let begins = self.0[usize::from(relay)].iter().map(|(begin, _)| *begin);
        begins.map(|begin| self.between_ms(relay, begin, begin + period)).max().unwrap_or(0)
    }
}

impl Board {
    /// Starts the host build of the firmware on a pseudo-terminal at a path, its clock so many times as fast as the machine's.
    pub(super) fn start(link: &Path, time_scale: u32) -> anyhow::Result<Board> {
        let line = Line::pty(link).with_context(|| link.display().to_string())?;
        let (flow, is_over) = (Arc::<Mutex<Flow>>::default(), Arc::new(AtomicBool::new(false)));
        let began = Instant::now();
        let (told, ends) = (Arc::clone(&flow), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let mut board = HostBoard::start(line, time_scale, None, ResetCause::PowerOn);
            while !ends.load(Ordering::Relaxed) && board.run(PATIENCE).is_ok() {
                let mut flow = told.lock().unwrap_or_else(PoisonError::into_inner);
                while let Some((relay, on, at)) = board.next_switched() {
                    flow.switched(relay, on, at.into());
                }
            }
        });
        Ok(Board { flow, is_over, began, time_scale, thread: Some(thread) })
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

#[test]
fn the_most_within_a_period_counts_parts_of_doses() {
    let mut flow = Flow::default();
    for (on, at) in [(true, 0), (false, 10), (true, 90), (true, 90), (false, 120), (false, 121), (true, 200)] {
        flow.switched(1, on, at);
    }
    assert_eq!((flow.doses(1), flow.is_on(1), flow.is_on(0), flow.last_ms(1)), (3, true, false, None));
    assert_eq!((flow.most_within_ms(1, 100), flow.between_ms(1, 100, 210)), (100, 30));
    flow.switched(1, false, 205);
    assert_eq!((flow.most_within_ms(1, 100), flow.last_ms(1)), (30, Some(5)));
}
