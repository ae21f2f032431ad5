//! What the outputs of a board may do, told from the messages that reached it and nothing else.

use std::collections::VecDeque;

use tilth_wire::{Decoder, MAX_FRAME_TO_BOARD, SetRelay, Switch, ToBoard, UNLIMITED};

use super::super::{HARD_LIMITS, Rig};
use crate::{Limits, RECORD_LEN};

/// Commands whose answers a board repeats.
const REMEMBERED: usize = 4;

/// What happened, so that a test knows what it has tried.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) on: u32,
    pub(super) cut_by_time: u32,
    pub(super) cut_by_settings: u32,
    pub(super) cut_by_silence: u32,
    pub(super) cut_by_restart: u32,
    pub(super) repeated: u32,
    pub(super) expired: u32,
}

impl Counts {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            on: self.on + other.on,
            cut_by_time: self.cut_by_time + other.cut_by_time,
            cut_by_settings: self.cut_by_settings + other.cut_by_settings,
            cut_by_silence: self.cut_by_silence + other.cut_by_silence,
            cut_by_restart: self.cut_by_restart + other.cut_by_restart,
            repeated: self.repeated + other.repeated,
            expired: self.expired + other.expired,
        }
    }
}

/// A relay's output.
#[derive(Debug, Clone, Copy, Default)]
struct Output {
    is_on: bool,
    /// Since when it is on or off; a start of the board counts as going off.
    since: u64,
    /// When it is off again at the latest.
    until: u64,
    /// Id of the command that last switched it on since the board started.
    command: u32,
}

/// The outputs, held against the limits in force. Times are in milliseconds since the history began.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) time: u64,
    pub(super) counts: Counts,
    limits: [Limits; 3],
    outputs: [Output; 3],
    /// The newest valid heartbeat since the board started.
    heard: Option<u64>,
    /// The last commands since the board started.
    answered: VecDeque<u32>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            time: 0,
            counts: Counts::default(),
            limits: HARD_LIMITS,
            outputs: [Output::default(); 3],
            heard: None,
            answered: VecDeque::new(),
        }
    }
}

impl Watch {
    /// Takes a message that reaches the board at its time `now`; the command that may switch a relay, if it is one.
    pub(super) fn hear(&mut self, now: u32, message: &ToBoard) -> Option<Switch> {
        match *message {
            ToBoard::Heartbeat { heard } if now.wrapping_sub(heard) <= 10_000 => self.heard = Some(self.time),
            ToBoard::SetRelay(set) if self.is_new(set.command) => {
                let was_on = self.outputs.get(usize::from(set.relay)).is_some_and(|output| output.is_on);
                let changes = tighten(&mut self.limits, &set);
                self.counts.cut_by_settings += u32::from(changes && was_on);
            }
            ToBoard::Switch(switch) if self.is_new(switch.command) => {
                let has_expired = !is_before_expiry(&switch, now);
                self.counts.expired += u32::from(has_expired);
                return Some(switch);
            }
            _ => {}
        }
        None
    }

    /// Whether a command is none of the last ones, whose answer is repeated.
    fn is_new(&mut self, command: u32) -> bool {
        let is_new = !self.answered.contains(&command);
        if is_new {
            self.answered.push_back(command);
            self.answered.drain(..self.answered.len().saturating_sub(REMEMBERED));
        } else {
            self.counts.repeated += 1;
        }
        is_new
    }

    /// Checks that the board has kept the limits in force.
    pub(super) fn check_kept(&self, kept: &[[u8; RECORD_LEN]]) {
        assert_eq!(kept_limits(kept), self.limits, "limits that are kept and those in force at {}", self.time);
    }

    /// The board restarts with what it has kept.
    pub(super) fn restart(&mut self, kept: &[[u8; RECORD_LEN]]) {
        self.counts.cut_by_restart += self.outputs.iter().map(|output| u32::from(output.is_on)).sum::<u32>();
        self.limits = kept_limits(kept);
        self.outputs = [Output { since: self.time, ..Output::default() }; 3];
        self.heard = None;
        self.answered.clear();
    }

    /// Looks at the outputs, after `switch` was sent or time went on.
    pub(super) fn look(&mut self, rig: &Rig, switch: Option<Switch>) {
        for relay in 0..3 {
            match (self.outputs[relay].is_on, rig.outputs[relay]) {
                (false, true) => self.goes_on(relay, rig.now, switch),
                (true, false) => self.goes_off(relay),
                _ => {}
            }
        }
        if let Some(Switch { relay, on_for: 0, .. }) = switch {
            assert_ne!(
                rig.outputs.get(usize::from(relay)),
                Some(&true),
                "relay {relay} is on after an order to go off"
            );
        }
        (0..3).filter(|relay| rig.outputs[*relay]).for_each(|relay| self.may_be_on(relay));
    }

    fn goes_on(&mut self, relay: usize, now: u32, switch: Option<Switch>) {
        let (time, limits, before) = (self.time, self.limits[relay], self.outputs[relay]);
        let ordered = switch.filter(|switch| usize::from(switch.relay) == relay && switch.on_for > 0);
        let Some(switch) = ordered else { panic!("relay {relay} on at {time} without an order") };
        let rested = time - before.since;
        assert!(rested >= u64::from(limits.min_off), "relay {relay} on at {time} after {rested} ms off: {limits:?}");
        assert!(is_before_expiry(&switch, now), "relay {relay} on at board time {now} by {switch:?}");
        assert_ne!(switch.command, before.command, "relay {relay} on at {time} by a command that is repeated");
        let span = switch.on_for.min(limits.max_on);
        let until = if span == UNLIMITED { u64::MAX } else { time + u64::from(span) };
        self.outputs[relay] = Output { is_on: true, since: time, until, command: switch.command };
        self.counts.on += 1;
    }

    fn goes_off(&mut self, relay: usize) {
        let (time, output) = (self.time, &mut self.outputs[relay]);
        assert!(time <= output.until, "relay {relay} off at {time} and not at {}", output.until);
        (output.is_on, output.since) = (false, time);
        self.counts.cut_by_time += u32::from(time == output.until);
        let silence = self.heard.map_or(0, |heard| time - heard);
        self.counts.cut_by_silence += u32::from(silence == u64::from(self.limits[relay].link_timeout));
    }

    /// Checks what holds for as long as a relay is on.
    fn may_be_on(&self, relay: usize) {
        let (time, limits, output) = (self.time, self.limits[relay], self.outputs[relay]);
        let on = time - output.since;
        assert!(time < output.until, "relay {relay} still on at {time} and not off at {}", output.until);
        assert!(
            limits.max_on == UNLIMITED || on < u64::from(limits.max_on),
            "relay {relay} on for {on} ms: {limits:?}"
        );
        let Some(heard) = self.heard else { panic!("relay {relay} on at {time} before the agent was heard") };
        let silence = time - heard;
        assert!(silence < u64::from(limits.link_timeout), "relay {relay} on after {silence} ms of silence: {limits:?}");
        let excludes = |one: usize, other: usize| self.limits[one].excludes & (1 << other) != 0;
        let is_excluded = |other: &usize| *other != relay && (excludes(relay, *other) || excludes(*other, relay));
        let together = (0..3).filter(is_excluded).find(|other| self.outputs[*other].is_on);
        assert_eq!(together, None, "relay {relay} is on at {time} with one that it excludes");
    }
}

/// Whether a board time is before the expiry of a command, which is at most a minute ahead.
fn is_before_expiry(switch: &Switch, now: u32) -> bool {
    (1..=60_000).contains(&switch.expires.wrapping_sub(now))
}

/// The tighter ones of the limits of the wiring and those of a setting come into force; whether that changes them.
fn tighten(limits: &mut [Limits; 3], set: &SetRelay) -> bool {
    let number = usize::from(set.relay);
    let Some(hard) = HARD_LIMITS.get(number) else { return false };
    let tight = Limits {
        max_on: hard.max_on.min(set.max_on),
        min_off: hard.min_off.max(set.min_off),
        link_timeout: hard.link_timeout.min(set.link_timeout),
        excludes: hard.excludes | set.excludes,
    };
    core::mem::replace(&mut limits[number], tight) != tight
}

/// Limits of a board that starts with these records: where one is damaged those of the wiring hold.
fn kept_limits(kept: &[[u8; RECORD_LEN]]) -> [Limits; 3] {
    let mut limits = HARD_LIMITS;
    for set in kept.iter().filter_map(kept_setting) {
        tighten(&mut limits, &set);
    }
    limits
}

/// The setting of a relay that a record holds.
fn kept_setting(record: &[u8; RECORD_LEN]) -> Option<SetRelay> {
    let mut decoder = Decoder::<{ MAX_FRAME_TO_BOARD - 1 }>::new();
    record.iter().chain(&[0]).find_map(|byte| match ToBoard::decode(decoder.push(*byte)?.ok()?) {
        Ok(ToBoard::SetRelay(set)) => Some(set),
        _ => None,
    })
}
