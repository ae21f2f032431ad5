//! Random histories: whatever comes in whatever order, relays keep their limits, and readings are sent, confirmed or counted.

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;
use tilth_wire::{SetRelay, Switch, ToBoard, UNLIMITED};

use super::{HARD_LIMITS, Rig};

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Wait(u32),
    Heartbeat,
    StaleHeartbeat(u32),
    Switch { command: u32, relay: u8, on_for: u32, expires_in: u32 },
    SetRelay { relay: u8, max_on: u32, min_off: u32, link_timeout: u32, excludes: u8 },
    Noise(Vec<u8>),
    Received(u32),
    Identify,
}

fn step() -> impl Strategy<Value = Step> {
    let on_for = prop_oneof![Just(0), 1_u32..10_000, Just(UNLIMITED)];
    prop_oneof![
        4 => (1_u32..4_000).prop_map(Step::Wait),
        4 => Just(Step::Heartbeat),
        1 => any::<u32>().prop_map(Step::StaleHeartbeat),
        6 => (1_u32..40, 0_u8..4, on_for, 0_u32..70_000).prop_map(|(command, relay, on_for, expires_in)| {
            Step::Switch { command, relay, on_for, expires_in }
        }),
        1 => (0_u8..4, 0_u32..100_000, 0_u32..50_000, 0_u32..1_000_000, any::<u8>()).prop_map(
            |(relay, max_on, min_off, link_timeout, excludes)| {
                Step::SetRelay { relay, max_on, min_off, link_timeout, excludes }
            }
        ),
        1 => vec(any::<u8>(), 0..40).prop_map(Step::Noise),
        1 => (0_u32..50).prop_map(Step::Received),
        1 => Just(Step::Identify),
    ]
}

/// What the outputs did, held against the wiring's limits in every millisecond.
#[derive(Default)]
struct Watch {
    was_on: [bool; 3],
    since: [Option<u32>; 3],
    heard: Option<u32>,
}

impl Watch {
    fn check(&mut self, now: u32, outputs: [bool; 3]) {
        for (relay, limits) in HARD_LIMITS.iter().enumerate() {
            let elapsed = self.since[relay].map(|since| now - since);
            if outputs[relay] && !self.was_on[relay] {
                let rested = elapsed.unwrap_or(now);
                assert!(rested >= limits.min_off, "relay {relay} on at {now} after {rested} ms off");
            }
            if outputs[relay] && self.was_on[relay] && limits.max_on != UNLIMITED {
                assert!(elapsed < Some(limits.max_on), "relay {relay} still on at {now} after {elapsed:?} ms");
            }
            if outputs[relay] {
                let silence = now - self.heard.expect("a heartbeat before a relay goes on");
                assert!(silence < limits.link_timeout, "relay {relay} on at {now} after {silence} ms of silence");
            }
            if outputs[relay] != self.was_on[relay] {
                self.since[relay] = Some(now);
            }
        }
        assert!(!(outputs[0] && outputs[1]), "relays that exclude each other are on at {now}");
        self.was_on = outputs;
    }
}

fn play(steps: &[Step]) {
    let mut rig = Rig::new();
    let mut watch = Watch::default();
    let mut next_command = 100;
    for step in steps {
        match step.clone() {
            Step::Wait(millis) => {
                for _ in 0..millis {
                    rig.at(rig.now + 1);
                    watch.check(rig.now, rig.outputs);
                }
            }
            Step::Heartbeat => {
                watch.heard = Some(rig.now);
                rig.heartbeat();
            }
            Step::StaleHeartbeat(heard) => {
                if rig.now.wrapping_sub(heard) > 10_000 {
                    rig.send(ToBoard::Heartbeat { heard });
                }
            }
            Step::Switch { command, relay, on_for, expires_in } => {
                let expires = rig.now.wrapping_add(expires_in);
                rig.send(ToBoard::Switch(Switch { command, relay, on_for, expires }));
            }
            Step::SetRelay { relay, max_on, min_off, link_timeout, excludes } => {
                next_command += 1;
                let command = next_command;
                rig.send(ToBoard::SetRelay(SetRelay { command, relay, max_on, min_off, link_timeout, excludes }));
            }
            Step::Noise(bytes) => rig.bytes(&bytes),
            Step::Received(through) => drop(rig.send(ToBoard::Received { through })),
            Step::Identify => drop(rig.send(ToBoard::Identify)),
        }
        watch.check(rig.now, rig.outputs);
        rig.said();
    }
}

proptest! {
    #[test]
    fn relays_keep_their_limits_in_every_history(steps in vec(step(), 1..60)) {
        play(&steps);
    }

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
                sleepy.input(crate::Input::Tick);
            }
            prop_assert_eq!(each.outputs, sleepy.outputs);
            prop_assert_eq!(each.said(), sleepy.said());
        }
    }
}
