//! The node: what happened goes in with its time, what is to be done comes out. No clock, no pin, no wait.

use tilth_wire::{
    BoardId, BoardKind, ChannelKind, Decoder, FromBoard, Heartbeat, Hello, MAX_BODY_TO_BOARD, MAX_FRAME, Refusal,
    ResetCause, Sample, SetChannel, SetRelay, ToBoard, version,
};

use crate::answers::{Answers, Outcome};
use crate::channels::{ChannelSettings, Channels, Kinds};
use crate::link::Link;
use crate::queue::Queue;
use crate::record::{Content, RECORD_LEN, Record};
use crate::relay::Limits;
use crate::relays::Relays;
use crate::time::BoardTime;

/// Time between heartbeats of the board, in milliseconds.
const HEARTBEAT: u32 = 1_000;

/// Longest frame that a board takes, without its closing zero: code byte, body, checksum.
const MAX_RECEIVED: usize = MAX_BODY_TO_BOARD + 3;

/// What is wired to a board. Each board's `main.rs` states it, one line a channel and relay.
pub trait Wiring {
    /// Model of the board.
    const KIND: BoardKind;

    /// Kinds that a channel's pin or bus can measure, and what it measures until the agent says otherwise.
    fn channel(channel: u8) -> (Kinds, ChannelSettings);

    /// Hard limits of a relay, which no command and no setting passes.
    fn relay(relay: u8) -> Limits;
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A byte came from the agent.
    Byte(u8),
    /// A measurement ended. One that nobody waits for any more is left out.
    Measured {
        /// Number of the channel.
        channel: u8,
        /// The value, or why there is none.
        sample: Sample,
    },
    /// Time went on. To be given in every round of the loop.
    Tick,
}

/// What is to be done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Sets a relay's output.
    SetRelay {
        /// Number of the relay.
        relay: u8,
        /// Whether it is on.
        on: bool,
    },
    /// Begins a measurement, whose end is an [`Input::Measured`].
    Measure {
        /// Number of the channel.
        channel: u8,
        /// What to measure, and how.
        settings: ChannelSettings,
    },
}

/// The node of a board wired as `W`, with a send queue of `QUEUE` bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Node<W, const CHANNELS: usize, const RELAYS: usize, const QUEUE: usize> {
    wiring: core::marker::PhantomData<W>,
    now: BoardTime,
    next_heartbeat: BoardTime,
    progress: Progress,
    /// Whether the agent has said anything since the start.
    is_greeted: bool,
    hello_due: bool,
    heartbeat_due: bool,
    bad_frames: u16,
    reset: ResetCause,
    /// Length of the frame under way, and how much of it is sent.
    frame_length: u8,
    frame_sent: u8,
    /// Slots whose record changed, as bits.
    unsaved: u32,
    id: Option<BoardId>,
    link: Link,
    answers: Answers,
    relays: Relays<RELAYS>,
    channels: Channels<CHANNELS>,
    decoder: Decoder<MAX_RECEIVED>,
    frame: [u8; MAX_FRAME],
    queue: Queue<QUEUE, CHANNELS>,
}

/// Progress of the board's loop, as far as the node sees it.
///
/// ```text
///   None --- time went on ---> Ticked --- no effect left ---> Done --- take_progress ---> None
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    None,
    Ticked,
    Done,
}

impl<W: Wiring, const CHANNELS: usize, const RELAYS: usize, const QUEUE: usize> Node<W, CHANNELS, RELAYS, QUEUE> {
    /// The node of a board that starts now, for a reason. Its relays are off.
    pub fn new(now: BoardTime, reset: ResetCause) -> Self {
        let mut node = Self::unwired(now, reset);
        node.wire();
        node
    }

    /// The same with its channels off until [`Node::wire`]: a board that has little stack makes the node where it stays.
    #[inline(always)]
    pub fn unwired(now: BoardTime, reset: ResetCause) -> Self {
        const { assert!(CHANNELS <= tilth_wire::MAX_CHANNELS && RELAYS <= tilth_wire::MAX_RELAYS, "too many") };
        Self {
            wiring: core::marker::PhantomData,
            now,
            reset,
            id: None,
            link: Link::default(),
            answers: const { Answers::new() },
            relays: Relays::new(now, W::relay),
            channels: Channels::OFF,
            queue: Queue::new(),
            decoder: Decoder::new(),
            bad_frames: 0,
            unsaved: 0,
            is_greeted: false,
            hello_due: false,
            heartbeat_due: false,
            next_heartbeat: now,
            // A zero ends the noise that was on the line while the board started.
            frame: [0; MAX_FRAME],
            frame_length: 1,
            frame_sent: 0,
            progress: Progress::None,
        }
    }

    /// Sets every channel as it is wired.
    #[inline(never)]
    pub fn wire(&mut self) {
        for channel in 0..CHANNELS as u8 {
            self.channels.set(self.now, channel, W::channel(channel).1);
        }
    }

    /// Takes up a record that was kept, before the first input. Damaged ones, and what the wiring does not allow, are left out.
    #[inline(never)]
    pub fn restore(&mut self, slot: u8, bytes: &[u8; RECORD_LEN]) {
        let Some(Content { numbers: [first, second, third], byte }) = Content::unpack(bytes) else { return };
        let (command, channel, relay) = (0, slot.wrapping_sub(1), slot.wrapping_sub(1 + CHANNELS as u8));
        if slot == 0 {
            let ([a, b, c, d], [e, f, g, h]) = (first.to_le_bytes(), second.to_le_bytes());
            self.id = Some(BoardId([a, b, c, d, e, f, g, h]));
        } else if usize::from(relay) < RELAYS {
            let (max_on, min_off, link_timeout, excludes) = (first, second, third, byte);
            let _ = self.set_relay(SetRelay { command, relay, max_on, min_off, link_timeout, excludes });
        } else if let Some(kind) = ChannelKind::from_number(second as u8) {
            let (interval, oversampling) = (first, third as u8);
            let _ = self.set_channel(SetChannel { command, channel, kind, interval, oversampling });
        }
        self.unsaved = 0;
    }

    /// Takes what happened at the board time `now`; first does everything that was due until then.
    pub fn handle(&mut self, now: BoardTime, input: Input) {
        if now != self.now {
            self.now = now;
            self.advance();
            if self.progress == Progress::None {
                self.progress = Progress::Ticked;
            }
        }
        match input {
            Input::Byte(byte) => self.handle_byte(byte),
            Input::Measured { channel, sample } => {
                if let Some(began) = self.channels.end(channel) {
                    self.queue.push(began, channel, sample);
                }
            }
            Input::Tick => {}
        }
    }

    /// The next thing to do, until `None`.
    #[inline(never)]
    pub fn poll(&mut self) -> Option<Effect> {
        if let Some((relay, on)) = self.relays.next_output() {
            return Some(Effect::SetRelay { relay, on });
        }
        if let Some((channel, settings)) = self.channels.next_due(self.now) {
            return Some(Effect::Measure { channel, settings });
        }
        if self.progress == Progress::Ticked {
            self.progress = Progress::Done;
        }
        None
    }

    /// When to come again at the latest, if nothing happens before.
    pub fn deadline(&self) -> BoardTime {
        let others = [self.relays.deadline(self.link.heard()), self.channels.deadline()];
        others.into_iter().flatten().fold(self.next_heartbeat, BoardTime::earlier)
    }

    /// The next byte for the agent; to be asked when the line takes one.
    #[inline(never)]
    pub fn next_byte(&mut self) -> Option<u8> {
        if self.frame_sent == self.frame_length {
            self.frame_sent = 0;
            self.frame_length = self.next_frame();
        }
        let byte = *self.frame[..usize::from(self.frame_length)].get(usize::from(self.frame_sent))?;
        self.frame_sent += 1;
        Some(byte)
    }

    /// The next record to keep; to be asked when the one before is kept.
    #[inline(never)]
    pub fn next_record(&mut self) -> Option<Record> {
        let slot = (0..1 + CHANNELS as u8 + RELAYS as u8).find(|slot| self.unsaved & (1 << slot) != 0)?;
        self.unsaved &= !(1 << slot);
        Some(Record { slot, bytes: self.content(slot)?.pack() })
    }

    /// What the record of a slot holds.
    fn content(&self, slot: u8) -> Option<Content> {
        if slot == 0 {
            let BoardId([a, b, c, d, e, f, g, h]) = self.id?;
            let numbers = [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]), 0];
            return Some(Content { numbers, byte: 0 });
        }
        if let Some(ChannelSettings { kind, interval, oversampling }) = self.channels.settings(slot - 1) {
            return Some(Content { numbers: [interval, kind.number().into(), oversampling.into()], byte: 0 });
        }
        let Limits { max_on, min_off, link_timeout, excludes } = *self.relays.limits(slot - 1 - CHANNELS as u8)?;
        Some(Content { numbers: [max_on, min_off, link_timeout], byte: excludes })
    }

    /// Whether time went on and everything that was due is done, since this was last asked: only then is the watchdog fed.
    pub fn take_progress(&mut self) -> bool {
        let is_done = self.progress == Progress::Done;
        if is_done {
            self.progress = Progress::None;
        }
        is_done
    }

    fn advance(&mut self) {
        self.link.advance(self.now);
        self.relays.advance(self.now, self.link.silence(self.now));
        while let Some((began, channel, sample)) = self.channels.next_timeout(self.now) {
            self.queue.push(began, channel, sample);
        }
        if self.now.has_reached(self.next_heartbeat) {
            let next = self.next_heartbeat.after(HEARTBEAT);
            self.next_heartbeat = if self.now.has_reached(next) { self.now.after(HEARTBEAT) } else { next };
            if self.is_greeted {
                self.heartbeat_due = true;
            } else {
                self.hello_due = true;
            }
        }
    }

    fn handle_byte(&mut self, byte: u8) {
        let message = match self.decoder.push(byte) {
            None => return,
            Some(Ok(body)) => ToBoard::decode(body),
            Some(Err(_)) => {
                self.bad_frames = self.bad_frames.wrapping_add(1);
                return;
            }
        };
        match message {
            Ok(message) => self.handle_message(message),
            Err(_) => self.answers.add(0, Err(Refusal::NotUnderstood)),
        }
    }

    fn handle_message(&mut self, message: ToBoard) {
        self.is_greeted = true;
        match message {
            ToBoard::Identify => {
                self.hello_due = true;
                self.queue.rewind();
            }
            ToBoard::SetId(id) => {
                if self.id.is_none() {
                    self.id = Some(id);
                    self.unsaved |= 1;
                }
                self.hello_due = true;
            }
            ToBoard::Heartbeat { heard } => {
                if self.link.heartbeat(self.now, BoardTime::from_millis(heard)) {
                    self.queue.rewind();
                }
            }
            ToBoard::Received { through } => self.queue.confirm(through),
            ToBoard::Switch(switch) => {
                self.once(switch.command, |node| node.relays.switch(node.now, node.link.silence(node.now), &switch));
            }
            ToBoard::SetChannel(set) => self.once(set.command, |node| node.set_channel(set)),
            ToBoard::SetRelay(set) => self.once(set.command, |node| node.set_relay(set)),
        }
    }

    /// Does a command that is not known yet, and answers it in any case.
    fn once(&mut self, command: u32, act: impl FnOnce(&mut Self) -> Outcome) {
        if !self.answers.repeat(command) {
            let outcome = act(self);
            self.answers.add(command, outcome);
        }
    }

    #[inline(never)]
    fn set_channel(&mut self, set: SetChannel) -> Outcome {
        if usize::from(set.channel) >= CHANNELS {
            return Err(Refusal::NoSuchNumber);
        }
        let settings = ChannelSettings { kind: set.kind, interval: set.interval, oversampling: set.oversampling };
        if !settings.are_possible(W::channel(set.channel).0) {
            return Err(Refusal::NotPossible);
        }
        // With the next heartbeat, so that channels that are set one after the other are measured in one round.
        if self.channels.set(self.next_heartbeat, set.channel, settings) {
            self.unsaved |= 1 << (1 + set.channel);
        }
        Ok(false)
    }

    #[inline(never)]
    fn set_relay(&mut self, set: SetRelay) -> Outcome {
        let current = *self.relays.limits(set.relay).ok_or(Refusal::NoSuchNumber)?;
        let SetRelay { max_on, min_off, link_timeout, excludes, .. } = set;
        let asked = Limits { max_on, min_off, link_timeout, excludes };
        let limits = W::relay(set.relay).tightened(asked);
        if limits != current {
            self.relays.set_limits(self.now, set.relay, limits);
            self.unsaved |= 1 << (1 + CHANNELS as u8 + set.relay);
        }
        Ok(limits != asked)
    }

    /// Writes the next frame, the most urgent first; its length, 0 if there is nothing to say.
    ///
    /// Each kind is a function of its own, so that the stack holds only what the frame at hand takes.
    #[inline(never)]
    fn next_frame(&mut self) -> u8 {
        let urgent = self.write_urgent();
        if urgent > 0 {
            return urgent;
        }
        let reading = self.write_reading();
        if reading > 0 {
            return reading;
        }
        self.queue.next_batch(&mut self.frame)
    }

    /// Everything but readings.
    #[inline(never)]
    fn write_urgent(&mut self) -> u8 {
        if let Some(answer) = self.answers.next_pending() {
            return write(&answer, &mut self.frame);
        }
        if let Some(switched) = self.relays.next_report() {
            return write(&FromBoard::Switched(switched), &mut self.frame);
        }
        if core::mem::take(&mut self.hello_due) {
            return self.write_hello();
        }
        if core::mem::take(&mut self.heartbeat_due) {
            let heartbeat = FromBoard::Heartbeat(self.heartbeat());
            return write(&heartbeat, &mut self.frame);
        }
        0
    }

    #[inline(never)]
    fn write_reading(&mut self) -> u8 {
        self.queue.next_reading().map_or(0, |reading| write(&FromBoard::Reading(reading), &mut self.frame))
    }

    #[inline(never)]
    fn write_hello(&mut self) -> u8 {
        let named = |channel: usize| {
            let kind = self.channels.settings(channel as u8).map_or(ChannelKind::Off, |set| set.kind);
            [kind.number(), kind.unit().number()]
        };
        let channels: [[u8; 2]; CHANNELS] = core::array::from_fn(named);
        let hello = Hello {
            protocol: version::CURRENT,
            kind: W::KIND,
            firmware: FIRMWARE_VERSION,
            id: self.id,
            reset: self.reset,
            at: self.now.millis(),
            next: self.queue.next(),
            relays: RELAYS as u8,
            channels: channels.as_flattened(),
        };
        write(&FromBoard::Hello(hello), &mut self.frame)
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            at: self.now.millis(),
            next: self.queue.next(),
            oldest: self.queue.oldest(),
            lost: self.queue.lost(),
            bad_frames: self.bad_frames,
            on: self.relays.on(),
        }
    }
}

#[inline(never)]
fn write(message: &FromBoard<'_>, frame: &mut [u8; MAX_FRAME]) -> u8 {
    message.encode(frame).map_or(0, |frame| frame.len() as u8)
}

/// Version of the firmware, which is that of the whole project: major, minor, patch.
const FIRMWARE_VERSION: [u8; 3] = [
    version_part(env!("CARGO_PKG_VERSION_MAJOR")),
    version_part(env!("CARGO_PKG_VERSION_MINOR")),
    version_part(env!("CARGO_PKG_VERSION_PATCH")),
];

const fn version_part(digits: &str) -> u8 {
    let digits = digits.as_bytes();
    let (mut part, mut at) = (0, 0);
    while at < digits.len() {
        part = 10 * part + (digits[at] - b'0');
        at += 1;
    }
    part
}
