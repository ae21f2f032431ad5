//! Random histories of one board, over its restarts: for any input in any order, relays keep the limits that are in force then.

mod watch;

use std::cell::Cell;
use std::string::ToString;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tilth_wire::{Sample, SetRelay, Switch, ToBoard, UNLIMITED};

use super::Rig;
use crate::{Input, RECORD_LEN, Record};
use watch::{Counts, Watch};

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// Milliseconds without a message of the agent.
    Wait(u32),
    /// Seconds with an agent that answers the board.
    Linked(u32),
    /// Days without an agent.
    Away(u32),
    /// A heartbeat that echoes this board time.
    Heartbeat(u32),
    Switch {
        command: u32,
        relay: u8,
        on_for: u32,
        expires_in: i32,
    },
    /// As many commands to switch the relay on, each with an id of its own.
    Storm {
        relay: u8,
        on_for: u32,
        commands: u32,
    },
    SetRelay {
        relay: u8,
        max_on: u32,
        min_off: u32,
        link_timeout: u32,
        excludes: u8,
    },
    /// The command that was sent so many commands ago, once more and byte for byte.
    Again(usize),
    /// The board keeps the settings that it has not kept.
    Keep,
    /// Watchdog or brown-out, after so many bytes of the record that was being kept; the board's clock then starts at `clock`.
    Restart {
        kept_bytes: usize,
        clock: u32,
    },
    Noise(Vec<u8>),
    Received(u32),
    Identify,
}

fn step() -> impl Strategy<Value = Step> {
    let on_for = || prop_oneof![1 => Just(0), 6 => 1_u32..10_000, 1 => Just(UNLIMITED)];
    let max_on = prop_oneof![1 => Just(0), 6 => 1_u32..8_000, 2 => Just(UNLIMITED)];
    let link_timeout = prop_oneof![1 => 0_u32..15_000, 2 => Just(600_000)];
    let expires_in = prop_oneof![8 => 1_i32..30_000, 1 => -70_000_i32..=0, 1 => 59_990_i32..70_000];
    // A real clock starts at 0, and wraps after seven weeks.
    let clock = prop_oneof![Just(0), (0_u32..60_000).prop_map(|before| u32::MAX - before)];
    let time = prop_oneof![
        4 => (1_u32..4_000).prop_map(Step::Wait),
        1 => (4_000_u32..80_000).prop_map(Step::Wait),
        6 => (1_u32..25).prop_map(Step::Linked),
        1 => (1_u32..60).prop_map(Step::Away),
        1 => any::<u32>().prop_map(Step::Heartbeat),
    ];
    let commands = prop_oneof![
        8 => (1_u32..60, 0_u8..4, on_for(), expires_in).prop_map(|(command, relay, on_for, expires_in)| {
            Step::Switch { command, relay, on_for, expires_in }
        }),
        1 => (0_u8..3, on_for(), 2_u32..20).prop_map(|(relay, on_for, commands)| {
            Step::Storm { relay, on_for, commands }
        }),
        3 => (0_u8..4, max_on, 0_u32..30_000, link_timeout, any::<u8>()).prop_map(
            |(relay, max_on, min_off, link_timeout, excludes)| {
                Step::SetRelay { relay, max_on, min_off, link_timeout, excludes }
            }
        ),
        3 => (0_usize..8).prop_map(Step::Again),
    ];
    let others = prop_oneof![
        Just(Step::Keep),
        (0..=RECORD_LEN, clock).prop_map(|(kept_bytes, clock)| Step::Restart { kept_bytes, clock }),
        vec(any::<u8>(), 0..40).prop_map(Step::Noise),
        (0_u32..50).prop_map(Step::Received),
        Just(Step::Identify),
    ];
    prop_oneof![13 => time, 15 => commands, 4 => others]
}

/// A day, in milliseconds.
const DAY: u32 = 86_400_000;

/// Longer than any link timeout of the wiring, in milliseconds.
const UNLINKED: u32 = 61_000;

/// Slots of the records that the board keeps.
const SLOTS: usize = 1 + 4 + 3;

/// A board over its restarts.
struct History {
    rig: Rig,
    watch: Watch,
    kept: [[u8; RECORD_LEN]; SLOTS],
    sent: Vec<ToBoard>,
    last_command: u32,
}

impl History {
    fn new() -> Self {
        let kept = [[0xFF; RECORD_LEN]; SLOTS];
        let rig = Rig::started(0, &kept, Some(Sample::Value(7)));
        Self { rig, watch: Watch::default(), kept, sent: Vec::new(), last_command: 1_000 }
    }

    fn do_step(&mut self, step: Step) {
        match step {
            Step::Wait(millis) => self.wait(millis),
            Step::Linked(seconds) => (0..seconds).for_each(|_| {
                self.send(ToBoard::Heartbeat { heard: self.rig.now });
                self.wait(1_000);
            }),
            Step::Away(days) => {
                self.wait(UNLINKED);
                // All relays are off by now: a look each half day is enough.
                (0..2 * days).for_each(|_| self.go_on(DAY / 2));
            }
            Step::Heartbeat(heard) => self.send(ToBoard::Heartbeat { heard }),
            Step::Switch { command, relay, on_for, expires_in } => {
                let expires = self.rig.now.wrapping_add_signed(expires_in);
                self.send(ToBoard::Switch(Switch { command, relay, on_for, expires }));
            }
            Step::Storm { relay, on_for, commands } => (0..commands).for_each(|_| {
                let (command, expires) = (self.next_command(), self.rig.now.wrapping_add(5_000));
                self.send(ToBoard::Switch(Switch { command, relay, on_for, expires }));
            }),
            Step::SetRelay { relay, max_on, min_off, link_timeout, excludes } => {
                let command = self.next_command();
                self.send(ToBoard::SetRelay(SetRelay { command, relay, max_on, min_off, link_timeout, excludes }));
            }
            Step::Again(back) => {
                if let Some(message) = self.sent.iter().nth_back(back).copied() {
                    self.send(message);
                }
            }
            Step::Keep => self.keep(),
            Step::Restart { kept_bytes, clock } => self.restart(kept_bytes, clock),
            Step::Noise(bytes) => {
                self.rig.bytes(&bytes);
                // The zero that ends it, so that the next frame is heard.
                self.rig.bytes(&[0]);
                self.watch.look(&self.rig, None);
            }
            Step::Received(through) => self.send(ToBoard::Received { through }),
            Step::Identify => self.send(ToBoard::Identify),
        }
        self.rig.said();
    }

    fn next_command(&mut self) -> u32 {
        self.last_command += 1;
        self.last_command
    }

    /// Waits; the board is looked at whenever it has something to do.
    fn wait(&mut self, millis: u32) {
        let mut left = millis;
        while left > 0 {
            let due = self.rig.node.deadline().millis().wrapping_sub(self.rig.now);
            let step = if due < DAY { due.clamp(1, left) } else { 1 };
            self.go_on(step);
            left -= step;
        }
    }

    fn go_on(&mut self, millis: u32) {
        self.rig.now = self.rig.now.wrapping_add(millis);
        self.watch.time += u64::from(millis);
        self.rig.input(Input::Tick);
        self.watch.look(&self.rig, None);
        self.rig.said();
    }

    fn send(&mut self, message: ToBoard) {
        let switch = self.watch.hear(self.rig.now, &message);
        self.rig.send(message);
        self.watch.look(&self.rig, switch);
        if matches!(message, ToBoard::Switch(_) | ToBoard::SetRelay(_)) {
            self.sent.push(message);
        }
    }

    fn keep(&mut self) {
        let mut record = Record::EMPTY;
        while self.rig.node.next_record(&mut record) {
            self.kept[usize::from(record.slot)] = record.bytes;
            self.rig.node.kept(record.slot);
        }
        self.watch.check_kept(&self.kept);
    }

    /// All pins are inputs at once, and the board starts with what it has kept by then.
    fn restart(&mut self, kept_bytes: usize, clock: u32) {
        let mut record = Record::EMPTY;
        if self.rig.node.next_record(&mut record) {
            self.kept[usize::from(record.slot)][..kept_bytes].copy_from_slice(&record.bytes[..kept_bytes]);
        }
        self.watch.restart(&self.kept);
        self.rig = Rig::started(clock, &self.kept, Some(Sample::Value(7)));
        self.watch.look(&self.rig, None);
    }
}

/// The invariants are those of [`Watch`]. A history that exercises none of them proves nothing, so what happened is counted.
#[test]
fn relays_keep_their_limits_in_every_history() {
    let total = Cell::new(Counts::default());
    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    let played = TestRunner::new(config).run(&vec(step(), 1..80), |steps| {
        let mut history = History::new();
        steps.into_iter().for_each(|step| history.do_step(step));
        total.set(total.get().and(history.watch.counts));
        Ok(())
    });
    assert_eq!(played.map_err(|error| error.to_string()), Ok(()));
    let Counts { on, cut_by_time, cut_by_settings, cut_by_silence, cut_by_restart, repeated, expired } = total.get();
    for (what, count) in [
        ("times on", on),
        ("ends by time", cut_by_time),
        ("ends by settings", cut_by_settings),
        ("ends by silence", cut_by_silence),
        ("ends by restart", cut_by_restart),
        ("repeated commands", repeated),
        ("expired commands", expired),
    ] {
        assert!(count >= 20, "expected at least 20 {what}: {:?}", total.get());
    }
}

proptest! {
    /// A board that sleeps until its deadline does the same as one that looks every millisecond.
    #[test]
    fn coming_at_the_deadline_is_early_enough(switches in vec((0_u8..3, 1_u32..20_000, 0_u32..9_000), 1..12)) {
        let mut each = Rig::linked();
        let mut sleepy = Rig::linked();
        for (command, (relay, on_for, wait)) in (1..).zip(switches) {
            each.heartbeat().switch(command, relay, on_for);
            sleepy.heartbeat().switch(command, relay, on_for);
            let end = each.now + wait;
            each.at(end);
            while sleepy.now != end {
                let due = sleepy.node.deadline().millis();
                sleepy.now = due.max(sleepy.now + 1).min(end);
                sleepy.input(Input::Tick);
            }
            prop_assert_eq!(each.outputs, sleepy.outputs);
            prop_assert_eq!(each.said(), sleepy.said());
        }
    }
}
