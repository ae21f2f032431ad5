//! The node: what happened goes in with its time, what is to be done comes out. No clock, no pin, no wait.

use tilth_wire::{
    BoardId, BoardKind, ChannelKind, Decoder, Fault, Fields, Heartbeat, HelloHead, MAX_FIELDS, MAX_FRAME,
    MAX_FRAME_TO_BOARD, Refusal, Request, ResetCause, Sample, SetChannel, SetRelay, Switch, Writer, version,
};

use crate::answers::{self, Answers, Outcome};
use crate::bits::bit;
use crate::channels::{ChannelSettings, Channels, Kinds};
use crate::link::Link;
use crate::queue::Queue;
use crate::record::{RECORD_LEN, Record};
use crate::relay::Limits;
use crate::relays::Relays;
use crate::time::{BoardTime, is_at_least};

/// Time between heartbeats of the board, in milliseconds.
const HEARTBEAT: u16 = 1_000;

/// Longest frame that a board takes, without its closing zero.
const MAX_RECEIVED: usize = MAX_FRAME_TO_BOARD - 1;

/// Longest frame of a Hello without its channels, which take two bytes each.
const HELLO_FRAME: usize = 32;

/// Most records of a board, by which the bits of those to keep are counted: its id, its channels and its relays.
const MAX_RECORDS: usize = 1 + tilth_wire::MAX_CHANNELS + tilth_wire::MAX_RELAYS;

/// What is wired to a board. Each board's `main.rs` states it, one line a channel and relay.
pub trait Wiring {
    /// Model of the board.
    const KIND: BoardKind;

    /// Kinds that the image has drivers for. What the node does for others is no part of it.
    const KINDS: Kinds = Kinds::ALL;

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
    /// A measurement ended. One that is no longer awaited is left out.
    Measured {
        /// Number of the channel.
        channel: u8,
        /// The value, or why there is none.
        sample: Sample,
    },
    /// Time went on, and no measurement ended. A measurement that has taken too long ends with it, one at a time.
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
    /// Begins a measurement, whose end is an [`Input::Measured`]. Of the kind [`ChannelKind::Off`]: ends what the channel's pin was used for.
    Measure {
        /// Number of the channel.
        channel: u8,
        /// What to measure.
        kind: ChannelKind,
        /// Of how many conversions an analog value is the mean, as a power of two.
        oversampling: u8,
    },
}

/// The node of a board wired as `W`, with a send queue of `QUEUE` bytes that remembers `KNOWN` places (2, or 0 where the queue is short and
/// memory scarce), and frames of at most `FRAME`.
#[derive(Debug)]
#[repr(C)]
pub struct Node<
    W,
    const CHANNELS: usize,
    const RELAYS: usize,
    const QUEUE: usize,
    const KNOWN: usize,
    const FRAME: usize = MAX_FRAME,
> {
    wiring: core::marker::PhantomData<W>,
    now: BoardTime,
    /// Milliseconds until the next heartbeat.
    until_heartbeat: u16,
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
    unsaved: [u8; MAX_RECORDS.div_ceil(8)],
    id: Option<BoardId>,
    link: Link,
    answers: Answers,
    relays: Relays<RELAYS>,
    channels: Channels<CHANNELS>,
    decoder: Decoder<MAX_RECEIVED>,
    frame: [u8; FRAME],
    queue: Queue<QUEUE, CHANNELS, KNOWN>,
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

impl<W: Wiring, const CHANNELS: usize, const RELAYS: usize, const QUEUE: usize, const KNOWN: usize, const FRAME: usize>
    Node<W, CHANNELS, RELAYS, QUEUE, KNOWN, FRAME>
{
    /// A node before [`Node::start`]. A constant of zeros: a board that has little stack makes it where it stays.
    pub const UNSTARTED: Self = {
        assert!(CHANNELS <= tilth_wire::MAX_CHANNELS && RELAYS <= tilth_wire::MAX_RELAYS, "too many");
        assert!(FRAME >= HELLO_FRAME + 2 * CHANNELS, "a frame must hold a Hello");
        let now = BoardTime::from_millis(0);
        Self {
            wiring: core::marker::PhantomData,
            now,
            until_heartbeat: 0,
            progress: Progress::None,
            is_greeted: false,
            hello_due: false,
            heartbeat_due: false,
            bad_frames: 0,
            reset: ResetCause::PowerOn,
            frame_length: 0,
            frame_sent: 0,
            unsaved: [0; MAX_RECORDS.div_ceil(8)],
            id: None,
            link: Link::HEARD,
            answers: Answers::NONE,
            relays: Relays::OFF,
            channels: Channels::OFF,
            decoder: Decoder::new(),
            frame: [0; FRAME],
            queue: Queue::EMPTY,
        }
    };

    /// The node of a board that starts now, for a reason. Its relays are off.
    pub fn new(now: BoardTime, reset: ResetCause) -> Self {
        let mut node = Self::UNSTARTED;
        node.start(now, reset);
        node
    }

    /// Starts at the board time `now`, for a reason, with channels and relays as they are wired.
    #[inline(never)]
    pub fn start(&mut self, now: BoardTime, reset: ResetCause) {
        self.now = now;
        self.reset = reset;
        self.link = Link::UNHEARD;
        // The zero of an empty frame ends the noise that was on the line while the board started.
        self.frame_length = 1;
        for channel in 0..CHANNELS as u8 {
            self.begin(now, channel, W::channel(channel).1);
        }
        for relay in 0..RELAYS as u8 {
            self.relays.start(now, relay, &W::relay(relay));
        }
    }

    /// Takes up the records that were kept, one slot after the other, before the first input. Damaged ones, and what the wiring does not
    /// allow, are left out.
    pub fn restore(&mut self, records: impl IntoIterator<Item = u8>) {
        for byte in records {
            self.handle_byte(byte);
        }
        // Ends what is no frame at the end of the last slot.
        self.handle_byte(0);
        // An answer to a record has no receiver.
        self.answers = Answers::NONE;
        self.is_greeted = false;
        self.hello_due = false;
        self.unsaved = Self::UNSTARTED.unsaved;
        self.bad_frames = 0;
    }

    /// Takes what happened at the board time `now`; first does everything that was due until then.
    pub fn handle(&mut self, now: BoardTime, input: Input) {
        let elapsed = now.since(core::mem::replace(&mut self.now, now));
        if elapsed != 0 {
            self.advance(elapsed);
            self.progress = Progress::Ticked;
        }
        match input {
            Input::Byte(byte) => self.handle_byte(byte),
            Input::Measured { channel, sample } => self.end_measurement(channel, sample),
            Input::Tick => self.end_overdue(),
        }
    }

    /// The next thing to do, until `None`.
    #[inline(never)]
    pub fn poll(&mut self) -> Option<Effect> {
        if let Some((relay, on)) = self.relays.next_output() {
            return Some(Effect::SetRelay { relay, on });
        }
        if let Some((channel, kind, oversampling)) = self.channels.next_due(self.now) {
            return Some(Effect::Measure { channel, kind, oversampling });
        }
        if self.progress == Progress::Ticked {
            self.progress = Progress::Done;
        }
        None
    }

    /// When to come again at the latest, if nothing happens before.
    pub fn deadline(&self) -> BoardTime {
        let others = [self.relays.deadline(self.now, self.link.silence()), self.channels.deadline()];
        others.into_iter().flatten().fold(self.next_heartbeat(), BoardTime::earlier)
    }

    fn next_heartbeat(&self) -> BoardTime {
        self.now.after(u32::from(self.until_heartbeat))
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

    /// Whether there is a record to keep: the next one, as the settings are now, until [`Node::kept`] says that it is.
    #[inline(never)]
    pub fn next_record(&self, record: &mut Record) -> bool {
        let is_unsaved = |slot: &u8| self.unsaved[usize::from(slot / 8)] & bit(*slot) != 0;
        let Some(slot) = (0..1 + CHANNELS as u8 + RELAYS as u8).find(is_unsaved) else { return false };
        *record = Record { slot, bytes: [0; RECORD_LEN] };
        let mut frame = Writer::frame(&mut record.bytes[1..]);
        self.write_setting(slot, &mut frame);
        frame.close().is_some()
    }

    /// Takes note that the record of a slot is kept.
    pub fn kept(&mut self, slot: u8) {
        self.unsaved[usize::from(slot / 8)] &= !bit(slot);
    }

    /// Writes the message that makes the setting of a slot.
    #[inline(never)]
    fn write_setting(&self, slot: u8, frame: &mut Writer<'_>) {
        let (command, channel) = (0, slot.wrapping_sub(1));
        let relay = channel.wrapping_sub(CHANNELS as u8);
        if slot == 0 {
            if let Some(id) = &self.id {
                id.write(frame);
            }
        } else if let Some(ChannelSettings { kind, interval, oversampling }) = self.channels.settings(channel) {
            SetChannel { command, channel, kind, interval, oversampling }.write(frame);
        } else if let Some(&Limits { max_on, min_off, link_timeout, excludes }) = self.relays.limits(relay) {
            SetRelay { command, relay, max_on, min_off, link_timeout, excludes }.write(frame);
        }
    }

    /// Notes that the record of a slot is to be kept.
    #[inline(never)]
    fn keep(&mut self, slot: u8) {
        self.unsaved[usize::from(slot / 8)] |= bit(slot);
    }

    /// Whether time went on and everything that was due is done, since this was last asked: only then is the watchdog fed.
    pub fn take_progress(&mut self) -> bool {
        let is_done = self.progress == Progress::Done;
        if is_done {
            self.progress = Progress::None;
        }
        is_done
    }

    #[inline(never)]
    fn advance(&mut self, elapsed: u32) {
        self.link.advance(elapsed);
        self.relays.advance(self.now, self.link.silence());
        if is_at_least(elapsed, u32::from(self.until_heartbeat)) {
            self.until_heartbeat += HEARTBEAT;
            if self.is_greeted {
                self.heartbeat_due = true;
            } else {
                self.hello_due = true;
            }
        }
        // After a stop of more than a second the next one comes as soon as this one.
        self.until_heartbeat = self.until_heartbeat.saturating_sub(elapsed as u16);
    }

    fn end_overdue(&mut self) {
        if let Some(channel) = (0..CHANNELS as u8).find(|channel| self.channels.is_overdue(self.now, *channel)) {
            self.end_measurement(channel, Sample::Fault(Fault::Timeout));
        }
    }

    /// Queues the sample of a measurement that was under way.
    #[inline(never)]
    fn end_measurement(&mut self, channel: u8, sample: Sample) {
        if let Some(began) = self.channels.end(channel) {
            self.queue.push(began, channel, sample);
        }
    }

    /// Takes a byte of the line. What is no frame is counted, what is no message answered.
    #[inline(never)]
    fn handle_byte(&mut self, byte: u8) {
        let Some(frame) = self.decoder.push(byte) else { return };
        let Ok(body) = frame else {
            self.bad_frames = self.bad_frames.wrapping_add(1);
            return;
        };
        let mut fields = [0; MAX_FIELDS];
        let request = Request::decode(body, &mut fields);
        if request.and_then(|request| self.handle_message(request, &fields)).is_none() {
            self.answers.add(0, Outcome::Refused(Refusal::NotUnderstood));
        }
    }

    /// Does what a message says; a command once, which is answered in any case. `None` for what is no message after all.
    fn handle_message(&mut self, request: Request, fields: &Fields) -> Option<()> {
        self.is_greeted = true;
        let command = fields[0];
        match request {
            Request::Identify => {
                self.hello_due = true;
                self.queue.rewind();
            }
            Request::SetId => {
                if self.id.is_none() {
                    let BoardId(id) = self.id.insert(BoardId([0; 8]));
                    id.iter_mut().zip(fields).for_each(|(byte, field)| *byte = *field as u8);
                    self.keep(0);
                }
                self.hello_due = true;
            }
            Request::Heartbeat => {
                if self.link.heartbeat(self.now.since(BoardTime::from_millis(fields[0]))) {
                    self.queue.rewind();
                }
            }
            Request::Received => self.queue.confirm(fields[0]),
            _ if self.answers.repeat(command) => {}
            _ => {
                let outcome = self.execute(request, fields)?;
                self.answers.add(command, outcome);
            }
        }
        Some(())
    }

    /// Does a command. `None` for what is none after all.
    fn execute(&mut self, request: Request, fields: &Fields) -> Option<Outcome> {
        match request {
            Request::SetChannel => self.set_channel(fields),
            Request::SetRelay => Some(self.set_relay(fields)),
            _ => Some(self.switch(fields)),
        }
    }

    fn switch(&mut self, fields: &Fields) -> Outcome {
        let [command, relay, on_for, expires, ..] = *fields;
        let switch = Switch { command, relay: relay as u8, on_for, expires };
        self.relays.switch(self.now, self.link.silence(), &switch)
    }

    fn set_channel(&mut self, fields: &Fields) -> Option<Outcome> {
        let [_, channel, kind, interval, oversampling, ..] = *fields;
        let (channel, kind) = (channel as u8, ChannelKind::from_number(kind as u8)?);
        let settings = ChannelSettings { kind, interval, oversampling: oversampling as u8 };
        if usize::from(channel) >= CHANNELS {
            return Some(Outcome::Refused(Refusal::NoSuchNumber));
        }
        if !settings.are_possible(W::channel(channel).0) {
            return Some(Outcome::Refused(Refusal::NotPossible));
        }
        // With the next heartbeat, so that a round does not begin anew with each of several channels that are set one after the other.
        if self.begin(self.next_heartbeat(), channel, settings) {
            self.keep(1 + channel);
        }
        Some(Outcome::Done)
    }

    /// Sets a channel; whether the settings changed, and with them the next round's begin to `due`.
    fn begin(&mut self, due: BoardTime, channel: u8, mut settings: ChannelSettings) -> bool {
        if W::KINDS.has(ChannelKind::Dht22Temperature) {
            settings.rest();
        }
        self.channels.set(due, channel, &settings, W::KINDS)
    }

    fn set_relay(&mut self, fields: &Fields) -> Outcome {
        let [_, relay, max_on, min_off, link_timeout, excludes, ..] = fields;
        let relay = *relay as u8;
        if usize::from(relay) >= RELAYS {
            return Outcome::Refused(Refusal::NoSuchNumber);
        }
        let mut limits = W::relay(relay);
        let limited = limits.tighten(*max_on, *min_off, *link_timeout, *excludes as u8);
        if self.relays.set_limits(self.now, relay, &limits) {
            self.keep(1 + CHANNELS as u8 + relay);
        }
        if limited { Outcome::Limited } else { Outcome::Done }
    }

    /// Writes the next frame, the most urgent first; its length, 0 if there is nothing to say.
    fn next_frame(&mut self) -> u8 {
        let urgent = self.write_urgent();
        if urgent > 0 { urgent } else { self.queue.write(&mut self.frame) }
    }

    /// Writes everything but readings. A function of its own, so that the stack holds only what the frame at hand takes.
    #[inline(never)]
    fn write_urgent(&mut self) -> u8 {
        let mut frame = Writer::frame(&mut self.frame);
        if let Some((command, outcome)) = self.answers.next_pending() {
            answers::write(command, outcome, &mut frame);
        } else if let Some(relay) = self.relays.next_report() {
            self.relays.write_report(relay, &mut frame);
        } else if core::mem::take(&mut self.hello_due) {
            let head = HelloHead {
                protocol: version::CURRENT,
                kind: W::KIND,
                firmware: FIRMWARE_VERSION,
                id: self.id.as_ref(),
                reset: self.reset,
                at: self.now.millis(),
                next: self.queue.next(),
                relays: RELAYS as u8,
            };
            head.write(&mut frame);
            self.channels.write(&mut frame);
        } else if core::mem::take(&mut self.heartbeat_due) {
            let (at, bad_frames, on) = (self.now.millis(), self.bad_frames, self.relays.on());
            let (next, oldest, lost) = (self.queue.next(), self.queue.oldest(), self.queue.lost());
            Heartbeat { at, next, oldest, lost, bad_frames, on }.write(&mut frame);
        } else {
            return 0;
        }
        frame.close().unwrap_or_default() as u8
    }
}

/// Version of the firmware: that of the whole project, unless the build states another one.
const FIRMWARE_VERSION: [u8; 3] = version_parts(match option_env!("TILTH_FIRMWARE_VERSION") {
    Some(stated) => stated,
    None => env!("CARGO_PKG_VERSION"),
});

/// Major, minor and patch of a version such as 0.1.0.
const fn version_parts(version: &str) -> [u8; 3] {
    let text = version.as_bytes();
    let (mut parts, mut part, mut at) = ([0; 3], 0, 0);
    while at < text.len() {
        match text[at] {
            b'.' => part += 1,
            digit => parts[part] = 10 * parts[part] + (digit - b'0'),
        }
        at += 1;
    }
    assert!(part == 2, "expected a version of three numbers, such as 0.1.0");
    parts
}
