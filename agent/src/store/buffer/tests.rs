//! When it commits and what it drops, as timelines.

use std::sync::Arc;

use tilth_core::reading::{Quality, Reading, SensorIx};
use tilth_core::value::Steps;
use tokio::sync::watch;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::sense::store_ack::{BoardPosition, StoreProgress};
use crate::store::tests::farm::{calibrated, checkpoint, note};
use crate::store::{CalibratedPlan, Commit};

struct Timeline {
    buffer: Buffer,
    calibrated: Arc<CalibratedPlan>,
}

impl Timeline {
    fn new() -> Timeline {
        Timeline { buffer: Buffer::new(Span::from_secs(10)), calibrated: calibrated(1) }
    }

    fn commit(&self, secs: i64) -> Commit {
        Commit::new(Uptime(secs * 1000), Arc::clone(&self.calibrated))
    }

    fn readings(&mut self, secs: i64, count: usize) -> &mut Timeline {
        let at = Uptime(secs * 1000);
        let (quality, sensor) = (Quality::Good, SensorIx(0));
        let reading = Reading { sensor, at, steps: Steps(1), quality, raw: 0.01, late: false };
        let commit = Commit { readings: vec![reading; count], ..self.commit(secs) };
        self.buffer.add(commit);
        self
    }

    fn event(&mut self, secs: i64) -> &mut Timeline {
        let commit = Commit { events: vec![note(Uptime(secs * 1000), "x")], ..self.commit(secs) };
        self.buffer.add(commit);
        self
    }

    fn checkpoint(&mut self, secs: i64, byte: u8) -> &mut Timeline {
        let commit = Commit { checkpoint: Some(checkpoint(&byte.to_string())), ..self.commit(secs) };
        self.buffer.add(commit);
        self
    }

    #[track_caller]
    fn due(&mut self, secs: i64, expected: bool) -> &mut Timeline {
        assert_eq!(self.buffer.is_due(Uptime(secs * 1000)), expected, "at {secs} s");
        self
    }

    fn committed(&mut self) -> &mut Timeline {
        self.buffer.committed(self.buffer.waiting().0.len());
        self
    }

    fn failed(&mut self, secs: i64) -> &mut Timeline {
        self.buffer.failed(Uptime(secs * 1000));
        self
    }

    fn held(&self) -> (usize, usize) {
        let (commits, _) = self.buffer.waiting();
        (
            commits.iter().map(|commit| commit.readings.len()).sum(),
            commits.iter().map(|commit| commit.events.len()).sum(),
        )
    }
}

#[test]
fn a_block_is_due_an_interval_after_its_first_reading() {
    let mut timeline = Timeline::new();
    timeline.due(0, false).readings(3, 1).due(3, false).readings(9, 1).due(12, false).due(13, true).due(99, true);
    timeline.committed().due(99, false).readings(100, 1).due(109, false).due(110, true);
}

/// What a checkpoint holds and what came after it are two commits; a newer checkpoint holds both.
#[test]
fn readings_after_a_checkpoint_stay_behind_it() {
    let mut timeline = Timeline::new();
    let held = |timeline: &Timeline| -> Vec<(usize, Option<Arc<Checkpoint>>)> {
        let (commits, _) = timeline.buffer.waiting();
        commits.iter().map(|commit| (commit.readings.len(), commit.checkpoint.clone())).collect()
    };
    timeline.readings(1, 2).readings(2, 3).checkpoint(3, 7);
    assert_eq!(held(&timeline), [(5, Some(checkpoint("7")))]);
    timeline.readings(4, 1).readings(5, 1).event(6);
    assert_eq!(held(&timeline), [(5, Some(checkpoint("7"))), (2, None)]);
    timeline.checkpoint(7, 8).readings(8, 4);
    assert_eq!(held(&timeline), [(7, Some(checkpoint("8"))), (4, None)]);
}

#[test]
fn an_event_is_due_at_once_and_takes_the_readings_with_it() {
    let mut timeline = Timeline::new();
    timeline.readings(1, 5).event(2).due(2, true);
    assert_eq!(timeline.held(), (5, 1));
    timeline.committed().due(20, false);
    assert!(timeline.buffer.is_empty());
}

#[test]
fn many_readings_are_due_before_their_interval_is_over() {
    Timeline::new().readings(0, BLOCK_READINGS - 1).due(0, false).readings(0, 1).due(0, true);
}

#[test]
fn after_a_failure_it_waits_before_it_tries_again() {
    let mut timeline = Timeline::new();
    timeline.event(0).due(0, true).failed(0).due(4, false).event(4).due(4, false).due(5, true).failed(5).due(9, false);
    timeline.committed().event(10).due(10, true);
}

#[test]
fn beyond_a_limit_the_oldest_are_dropped_and_counted() {
    let mut timeline = Timeline::new();
    timeline.readings(1, MOST_READINGS).readings(2, 7);
    // Under another plan, so in a commit of its own.
    timeline.calibrated = calibrated(1);
    timeline.readings(3, 5);
    for secs in 0..MOST_EVENTS as i64 + 3 {
        timeline.event(secs);
    }
    assert_eq!(timeline.held(), (MOST_READINGS, MOST_EVENTS));
    let (_, losses) = timeline.buffer.waiting();
    let (cause, lost) = losses.iter().next().unwrap();
    assert_eq!(*cause, BEHIND);
    assert_eq!((lost.rows.readings, lost.rows.events, lost.rows.windows), (12, 3, 0));
    // The lost rows were all of the first commit, which is too large to be joined.
    assert_eq!(lost.from, Some(Uptime(1000)));
    timeline.committed();
    assert!(timeline.buffer.waiting().1.is_empty());
}

/// Guards against: a board that is told to forget readings which the store dropped, without a word of it.
#[test]
fn a_board_hears_how_many_of_its_values_were_dropped_and_of_a_commit_only_after_it() {
    let mut timeline = Timeline::new();
    let told = watch::Sender::default();
    let of_board = |timeline: &mut Timeline, secs, through| {
        let at = Uptime(secs * 1000);
        let reading =
            Reading { sensor: SensorIx(0), at, steps: Steps(1), quality: Quality::Good, raw: 0.01, late: false };
        let acks = vec![AckRequest::new(through, BoardPosition::made(through as u32), &told).of(2..5)];
        timeline.buffer.add(Commit { readings: vec![reading; 6], acks, ..timeline.commit(secs) });
    };
    (1..=3).for_each(|through| of_board(&mut timeline, 1, through));
    assert_eq!(*told.borrow(), StoreProgress::default());
    // Drops the first 10 of all: the 3 values of the first ack, and 2 of the second.
    timeline.readings(2, MOST_READINGS - 8);
    assert_eq!(*told.borrow(), StoreProgress { stored: None, dropped: 5 });
    timeline.readings(3, 8);
    assert_eq!(*told.borrow(), StoreProgress { stored: None, dropped: 9 });
    timeline.committed();
    assert_eq!(*told.borrow(), StoreProgress { stored: Some(3), dropped: 9 });
}

/// Guards against: one transaction of minutes after a disk that hung, and windows that a restart would repeat because their checkpoint
/// comes in a later one.
#[test]
fn a_backlog_is_written_in_transactions_that_each_bring_their_checkpoint() {
    let mut timeline = Timeline::new();
    for secs in 0..MOST_EVENTS as i64 {
        let mut commit = timeline.commit(secs);
        commit.events.push(note(Uptime(secs * 1000), "x"));
        commit.checkpoint = Some(checkpoint(&secs.to_string()));
        timeline.buffer.add(commit);
    }
    timeline.readings(5000, 3);
    let mut written = Vec::new();
    while !timeline.buffer.is_empty() {
        let count = timeline.buffer.next_transaction();
        let (commits, _) = timeline.buffer.waiting();
        let events: usize = commits[..count].iter().map(|commit| commit.events.len()).sum();
        let checkpoint = commits[..count].iter().rev().find_map(|commit| commit.checkpoint.clone());
        written.push((count, events, checkpoint));
        timeline.buffer.committed(count);
        timeline.due(9999, !timeline.buffer.is_empty());
    }
    assert_eq!(written, [(1, 1000, Some(checkpoint("999"))), (2, 1000, Some(checkpoint("1999")))]);
}

/// Guards against: memory that grows as long as a disk hangs, with a checkpoint for each commit.
#[test]
fn few_commits_wait_however_long_nothing_is_written() {
    let mut timeline = Timeline::new();
    for secs in 0..5 * MOST_EVENTS as i64 {
        let mut commit = timeline.commit(secs);
        commit.events.push(note(Uptime(secs * 1000), "x"));
        commit.checkpoint = Some(checkpoint("x"));
        timeline.buffer.add(commit);
    }
    assert_eq!(timeline.held().1, MOST_EVENTS);
    assert!(timeline.buffer.waiting().0.len() <= 4, "{}", timeline.buffer.waiting().0.len());
}
